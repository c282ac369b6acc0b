import assert from 'node:assert/strict'
import { it } from 'node:test'
import fc from 'fast-check'
import { type ErrorCode, errorCodes, TtError } from '../src/model/errors.ts'
import { type Route, routes } from '../src/api/routes.ts'
import { sampleCloud } from '../src/api/sample-cloud.ts'
import { ask, raw, type SampleAnswer } from '../src/api/sample-requests.ts'
import { sampleServer } from '../src/api/sample-server.ts'

const spec = { groups: [{ image: 'sample:micro', count: 1 }], lifetimeSeconds: null }
/** Statuses that say more than their code does: 405 what is offered, 408 and 431 what was wrong with the request itself. */
const finer: Partial<Record<ErrorCode, number[]>> = { unsupported: [405], timeout: [408], too_large: [431], invalid: [417] }

/** A refusal has the envelope and a status of its code; anything else has neither. */
function lawful({ status, headers, text }: Pick<SampleAnswer, 'status' | 'headers' | 'text'>, what: string): void {
  if (status < 400) {
    const isError = headers['content-type'] === 'application/json' && text.startsWith('{"error"')
    return assert.ok(status >= 200 && !isError, `${what}: ${status} ${text.slice(0, 200)}`)
  }
  assert.equal(headers['content-type'], 'application/json', what)
  const body = JSON.parse(text) as { error: Record<string, unknown> }
  assert.deepEqual(Object.keys(body), ['error'], what)
  const { code, message, ...more } = body.error
  assert.ok(typeof code === 'string' && Object.hasOwn(errorCodes, code), `${what}: ${String(code)}`)
  assert.ok(typeof message === 'string' && message !== '' && message.length <= 2000 && !message.includes('\n    at '), `${what}: ${String(message)}`)
  for (const [name, value] of Object.entries(more)) assert.ok(['subject', 'remedy'].includes(name) && typeof value === 'string', `${what}: ${name}`)
  assert.ok([errorCodes[code as ErrorCode].http, ...(finer[code as ErrorCode] ?? [])].includes(status), `${what}: ${code} with ${status}`)
}

const oddText = fc.oneof(fc.constantFrom('demo', 'nope', '0', '1', '..', '%zz', '%00', 'a%2Fb', '', '-1', 'x'.repeat(300), 'true', '__proto__'), fc.string({ maxLength: 20 }).map((text) => encodeURIComponent(text.toWellFormed())))
const oddBody = fc.oneof(
  fc.constant(undefined),
  fc.constant(''),
  fc.constant('{'),
  fc.constant({ spec }),
  fc.constant({ type: 'exec', vms: { envs: ['demo'] }, command: { shell: 'echo x' } }),
  fc.constant({ shell: 'echo x' }),
  fc.jsonValue({ maxDepth: 3 }),
  fc.record({ spec: fc.jsonValue({ maxDepth: 2 }) }),
)
const oddHeaders = fc.dictionary(fc.constantFrom('if-match', 'if-none-match', 'content-type', 'accept', 'x-request-id'), fc.constantFrom('*', '"1"', 'application/json', 'text/html', 'text/plain', 'x;y', '""'), { maxKeys: 2 })
const token = fc.constantFrom(undefined, undefined, undefined, undefined, '', 'wrong')

const oddRequest = fc.record({
  route: fc.constantFrom<Route>(...routes),
  method: fc.option(fc.constantFrom('GET', 'PUT', 'PATCH', 'POST', 'DELETE', 'OPTIONS', 'PROPFIND'), { nil: undefined, freq: 4 }),
  params: fc.array(oddText, { minLength: 2, maxLength: 2 }),
  query: fc.option(fc.tuple(fc.constantFrom('wait', 'under', 'all', 'follow', 'task', 'what'), oddText).map(([name, value]) => `?${name}=${value}`), { nil: '' }),
  body: oddBody,
  headers: oddHeaders,
  token,
})

it('[J07 fault 32] every refusal of every route has the envelope and no 200', { timeout: 120_000 }, async (t) => {
  await using served = await sampleServer()
  await served.cloud.collection('env').put('demo', { spec })
  const seen = new Map<string, Set<number>>()
  await fc.assert(
    fc.asyncProperty(oddRequest, async ({ route, method = route.method, params, query, body, headers, token: given }) => {
      const path = route.path.replaceAll(/\{(\w+)\+?\}/g, (_all, name) => (name === 'index' ? params[1] : params[0]) ?? 'x') + (query.startsWith('?wait') || query.startsWith('?follow') ? '' : query)
      if (!/^[\x21-\x7e]+$/.test(path)) return
      const what = `${method} ${path} ${JSON.stringify(body)} ${JSON.stringify(headers)}`
      const answer = await ask(served.port, method, path, { headers: { 'content-type': 'application/json', ...headers }, body, ...(given === undefined ? {} : { token: given }) })
      lawful(answer, what)
      seen.set(route.id, (seen.get(route.id) ?? new Set()).add(answer.status))
    }),
    { numRuns: 1500 },
  )
  const statuses = new Set([...seen.values()].flatMap((set) => [...set]))
  t.diagnostic(`statuses seen: ${[...statuses].sort((one, two) => one - two).join(' ')}`)
  assert.deepEqual(routes.filter(({ id }) => !seen.has(id)).map(({ id }) => id), [], 'routes that were not asked')
  for (const status of [200, 400, 401, 404, 405]) assert.ok(statuses.has(status), `no answer was ${status}`)
})

it('J07: a Cloud that refuses or fails, by any code, is answered so on every route', async () => {
  for (const code of [...Object.keys(errorCodes), 'fault'] as (ErrorCode | 'fault')[]) {
    const refuse = () => Promise.reject(code === 'fault' ? new RangeError('inside') : new TtError({ code, message: 'for this test', subject: 'env/demo' }))
    const broken = (): AsyncIterable<never> => ({ [Symbol.asyncIterator]: () => ({ next: refuse }) })
    const cloud = sampleCloud()
    await using served = await sampleServer({ cloud: { ...cloud, about: refuse, open: refuse, collection: () => ({ get: refuse, list: refuse, put: refuse, remove: refuse, watch: broken }) } })
    for (const { id, method, path } of routes as readonly Route[]) {
      const body = method === 'PUT' || method === 'PATCH' ? { spec } : id === 'run' ? { shell: 'x' } : id === 'session' ? { type: 'doctor' } : undefined
      for (const accept of ['application/json', 'text/event-stream']) {
        const answer = await ask(served.port, method, path.replaceAll(/\{\w+\+?\}/g, '0'), { headers: { 'content-type': 'application/json', accept }, body })
        lawful(answer, `${id} with ${code}`)
      }
    }
  }
})

it('J07: what is no request at all is refused alike', async () => {
  await using served = await sampleServer()
  for (const bytes of ['\x16\x03\x01\x02\x00', 'GET\r\n\r\n', 'GET / HTTP/9.9\r\n\r\n', `GET / HTTP/1.1\r\nhost: x\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`, 'GET / HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n', 'GET /v1/session HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n']) {
    const [head = '', body = ''] = (await raw(served.port, Buffer.from(bytes, 'latin1'), { half: true })).split('\r\n\r\n')
    lawful({ status: Number(head.split(' ')[1]), headers: { 'content-type': /content-type: (.*)/.exec(head)?.[1] }, text: body }, JSON.stringify(bytes.slice(0, 40)))
  }
})

it('the law of refusals fires on what breaks it', () => {
  const json = { 'content-type': 'application/json' }
  const error = { code: 'invalid', message: 'no' }
  const text = (body: unknown) => JSON.stringify(body)
  lawful({ status: 400, headers: json, text: text({ error }) }, 'fine')
  for (const [status, body] of [[200, { error }], [500, { error }], [400, {}], [400, { error, more: 1 }], [400, { error: { ...error, stack: 'x' } }], [400, { error: { ...error, code: 'odd' } }], [400, { error: { ...error, message: '' } }]] as const)
    assert.throws(() => lawful({ status, headers: json, text: text(body) }, 'broken'), `${status} ${text(body)}`)
  assert.throws(() => lawful({ status: 400, headers: { 'content-type': 'text/html' }, text: text({ error }) }, 'broken'))
})
