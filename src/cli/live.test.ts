import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rehearse, type Stage } from './rehearsal.ts'
import { envOf, vmOf } from './specimens.ts'

const stage: Stage = {
  env: [envOf('demo'), envOf('web', { status: { phase: 'creating', ready: 0 } })],
  vm: [vmOf('demo.0'), vmOf('demo.1', { status: { state: 'booting' } })],
  steps: [
    { kind: 'env', name: 'web', status: { phase: 'ready', ready: 2 } },
    'break',
    { kind: 'env', name: 'demo', gone: true },
  ],
  interruptMs: 4000,
}

test('list --watch: everything once, then a line for each change, until Ctrl-C ends it with 130', async () => {
  const { out, err, status } = await rehearse('env list --watch', stage)
  assert.deepEqual(out.trimEnd().split('\n').map((line) => line.replaceAll(/ {2,}/g, ' ')), [
    'NAME STATE VMS READY CREATED ENDS',
    'demo ready 2 2 30 min ago in 30 min',
    'web creating 2 0 30 min ago in 30 min',
    'web ready 2 2 30 min ago in 29 min 59 s',
    'demo: gone',
  ])
  assert.match(err, /^tt: the server does not answer, asking again\n$/)
  assert.equal(status, 130)
})

test('list --watch --json is a document a line, of what has changed only', async () => {
  const { out } = await rehearse('env list --watch --json', stage)
  const documents = out.trimEnd().split('\n').map((line) => JSON.parse(line) as { name?: string; phase?: string; gone?: string })
  assert.deepEqual(documents.map(({ name, phase, gone }) => gone ?? `${name} ${phase}`), ['demo ready', 'web creating', 'web ready', 'demo'])
})

test('on a screen it is drawn anew in place, and cut to its height', async () => {
  const { out, pieces } = await rehearse('env list -w', { ...stage, screen: { columns: 80, rows: 3, colour: false } })
  const drawn = pieces.filter(({ to, text }) => to === 'out' && text.startsWith('\x1b[H'))
  assert.ok(out.startsWith('\x1b[2J\x1b[HNAME'))
  assert.deepEqual(drawn.map(({ text }) => text.split('\n').length), drawn.map(() => 2))
  assert.ok(drawn[0]?.text.endsWith('… and 2 lines more\x1b[K\x1b[J'))
  assert.ok(drawn.length >= 3)
})

test('the times on a screen go on although nothing changes', async () => {
  const { pieces } = await rehearse('env list -w', { env: [envOf('demo')], interruptMs: 11_000, screen: { columns: 80, colour: false } })
  const ends = pieces.flatMap(({ text }) => text.split('ago  ')[1]?.split('\x1b')[0] ?? [])
  assert.deepEqual(ends, ['in 30 min', 'in 29 min 55 s', 'in 29 min 50 s'])
})

test('show --watch tells of VMs as they change, and ends when the ENV is gone', async () => {
  const { out, err, status } = await rehearse('env show demo none -w', {
    ...stage,
    interruptMs: undefined,
    steps: [{ kind: 'vm', name: 'demo.1', status: { state: 'ready' } }, { kind: 'env', name: 'demo', status: { ready: 2 } }, { kind: 'env', name: 'demo', gone: true }],
  })
  assert.match(out, /^demo: ready, 2 of 2 VMs ready.*demo\.1 +micro +booting.*\ndemo\.1 +micro +ready[^\n]*\ndemo: gone\ndemo\.0: gone\ndemo\.1: gone\n$/s)
  assert.match(err, /there is no ENV "none"/)
  assert.equal(status, 6)
})

test('a refusal ends it', async () => {
  assert.equal((await rehearse('env list -w', { refusals: { 'env.watch': [{ code: 'denied', message: 'no' }] } })).status, 5)
  assert.equal((await rehearse('env list -w -q', stage)).status, 2)
})
