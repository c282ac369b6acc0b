import assert from 'node:assert/strict'
import { test } from 'node:test'
import { silentLog } from '../base/log.ts'
import { realWorld as world } from '../base/world.ts'
import { keys } from '../model/records.ts'
import type { Peer, SessionFrame, SessionInput, SessionRequest } from '../model/session.ts'
import { memoryStore } from '../store/memory.ts'
import { fanOut } from './fan-out.ts'
import { truth } from './truth.ts'

const request = (hosts?: string[]): SessionRequest => ({ type: 'import', image: { name: 'x' }, ...(hosts ? { hosts } : {}) })

async function ground(known: string[], online: string[]) {
  const stack = new AsyncDisposableStack()
  const store = stack.use(memoryStore({ world }))
  await store.commit([...known.map((host) => ({ key: keys.host(host), value: { address: `${host}:1`, images: {}, broken: {}, total: {} } })), ...online.map((host) => ({ key: keys.presence(host), value: { since: '' } }))])
  const seen = stack.use(await truth(store, { world, log: silentLog }))
  return { seen, [Symbol.asyncDispose]: () => stack.disposeAsync() }
}

/** A host that has so much of the file already, or refuses; and what it was sent. */
function hostWith(name: string, has: number | 'refuses', heard: Record<string, SessionInput[]>): Peer {
  const mine = (heard[name] = [] as SessionInput[])
  return {
    async open() {
      const ended = Promise.withResolvers<void>()
      async function* frames(): AsyncGenerator<SessionFrame> {
        if (has === 'refuses') return yield { type: 'problem', problem: { code: 'exhausted', message: 'no room', subject: `host/${name}` } }
        await world.sleep(has) // They answer in their own time.
        yield { type: 'wants', host: name, offset: has }
        await ended.promise
        yield { type: 'built', host: name, image: 'x' }
      }
      return {
        output: ReadableStream.from(frames()),
        input: new WritableStream<SessionInput>({
          write(frame) {
            mine.push(frame)
            if (frame.type === 'eof') ended.resolve()
          },
        }),
        [Symbol.asyncDispose]: async () => undefined,
      }
    },
  }
}

async function sent(on: { seen: Parameters<typeof fanOut>[0]['truth'] }, hosts: Record<string, number | 'refuses'>, named?: string[]) {
  const heard: Record<string, SessionInput[]> = {}
  const peers = Object.fromEntries(Object.entries(hosts).map(([name, has]) => [name, hostWith(name, has, heard)]))
  await using session = await fanOut({ truth: on.seen, peer: (host) => peers[host] }, request(named))
  const writer = session.input.getWriter()
  const frames: SessionFrame[] = []
  for await (const frame of session.output) {
    frames.push(frame)
    if (frame.type !== 'wants') continue
    await writer.write({ type: 'from', offset: frame.offset })
    await writer.write({ type: 'eof' })
  }
  return { frames, heard, wants: frames.filter(({ type }) => type === 'wants'), built: frames.flatMap((frame) => (frame.type === 'built' ? [frame.host] : [])).toSorted() }
}

test('a file goes to all hosts at once, from where the one begins that has least of it', async () => {
  await using on = await ground(['a', 'b', 'c'], ['a', 'b', 'c'])
  const all = await sent(on, { a: 30, b: 10, c: 'refuses' })
  assert.deepEqual(all.wants, [{ type: 'wants', offset: 10 }])
  assert.deepEqual(all.built, ['a', 'b'])
  assert.deepEqual(all.heard.a?.[0], { type: 'from', offset: 10 })
  assert.equal(all.frames.filter(({ type }) => type === 'problem').length, 1)
})

test('if every host refuses, nothing is wanted', async () => {
  await using on = await ground(['a', 'b'], ['a', 'b'])
  const all = await sent(on, { a: 'refuses', b: 'refuses' })
  assert.deepEqual([all.wants, all.built], [[], []])
})

test('only the hosts that are named are asked, and those that do not answer are told', async () => {
  await using on = await ground(['a', 'b', 'gone'], ['a', 'b'])
  const all = await sent(on, { a: 1, b: 2 }, ['b', 'b', 'gone'])
  assert.deepEqual([all.built, Object.entries(all.heard).filter(([, said]) => said.length > 0).map(([name]) => name)], [['b'], ['b']])
  assert.deepEqual(all.frames.flatMap((frame) => (frame.type === 'problem' ? [frame.problem.subject] : [])), ['host/gone'])
  await assert.rejects(sent(on, {}, ['nobody']), { code: 'not_found' })
  await assert.rejects(sent(on, {}, []), { code: 'invalid' })
  await assert.rejects(sent(on, {}, ['gone']), { code: 'unavailable' })
})
