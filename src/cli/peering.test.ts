import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { EnvSpec } from '../model/env.ts'
import type { Resource } from '../model/kinds.ts'
import { type Played, rehearse, type Stage } from './rehearsal.ts'
import { envOf } from './specimens.ts'

const named = (name: string, peers: string[], more: { owner?: string; removing?: string } = {}) => envOf(name, { spec: { peers }, ...more })
/** Pa names demo and is its owner's too; bobs names it and is not. */
const envs = [named('demo', ['mute', 'nosuch']), named('pa', ['demo']), named('bobs', ['demo'], { owner: 'bob' }), named('mute', [], { owner: 'bob' }), named('apart', [])]

const updated = (line: string, stage: Stage = { env: envs }): Promise<Played> => rehearse(`env update demo --no-wait ${line}`, stage)

test('who may talk with an ENV is told as the network has it, and who is named to no effect', async () => {
  const { out } = await rehearse('env show demo', { env: envs })
  assert.match(out, /^demo: .*, talks with pa\n/)
  const lines = out.split('\n').filter((line) => line.startsWith('  '))
  assert.deepEqual(lines, [
    '  bobs: names this ENV as its peer, but is not named by it: they do not talk',
    '  mute: named as its peer, but does not name this ENV: they do not talk',
    '  nosuch: named as its peer, but there is no such ENV that you can see',
  ])
  const { out: json } = await rehearse('env show demo --json', { env: envs })
  const [{ peers, peerings } = {}] = (JSON.parse(json) as { envs: { peers: string[]; peerings: object[] }[] }).envs
  assert.deepEqual(peers, ['mute', 'nosuch'])
  assert.deepEqual(peerings, [
    { env: 'bobs', namedBy: 'other', talks: false },
    { env: 'mute', namedBy: 'this', talks: false },
    { env: 'nosuch', namedBy: 'this', talks: false },
    { env: 'pa', namedBy: 'other', talks: true },
  ])
})

test('two owners talk if both name the other; of whom no peers are seen, nothing is claimed', async () => {
  const shown = async (other: Resource<'env'>) => (await rehearse('env show demo', { env: [named('demo', ['bobs']), other] })).out
  assert.match(await shown(named('bobs', ['demo'], { owner: 'bob' })), /talks with bobs\n\n/)
  assert.match(await shown({ ...named('bobs', [], { owner: 'bob' }), reduced: true }), /\n {2}bobs: named as its peer; being another owner's, it must name this ENV too\n/)
  assert.match(await shown(named('bobs', [], { removing: '2026-01-01T00:00:00.000Z' })), /\n {2}bobs: a peer, but it has failed or is being removed\n/)
})

test('who still talks after --no-peer is told, and how to end that', async () => {
  const stage = () => ({ env: [named('demo', ['pa', 'apart']), named('pa', ['demo']), named('apart', [])] })
  const { status, out } = await updated('--no-peer all', stage())
  assert.deepEqual([status, out.split('\n').filter((line) => line.includes('!'))], [0, ['  ! pa names it too, so they still talk: `tt env update pa --no-peer demo`']])
  const { results: [{ remarks }] } = JSON.parse((await updated('--no-peer pa --json', stage())).out) as { results: [{ remarks: string[] }] }
  assert.deepEqual(remarks, ['pa names it too, so they still talk: `tt env update pa --no-peer demo`'])
  assert.doesNotMatch((await updated('--no-peer apart', stage())).out, /!/)
})

test('a peer that is not there, or does not name it, is told when it is named', async () => {
  const told = async (line: string) => (await updated(line)).out.split('\n').filter((one) => one.startsWith('  !'))
  assert.deepEqual(await told('--peer absent'), ['  ! there is no ENV absent that you can see; it takes effect when there is one'])
  assert.deepEqual(await told('--peer mute'), ["  ! mute is another owner's: they talk once it names demo too"])
  assert.deepEqual(await told('--peer bobs,apart'), [])
  const made = await rehearse('env add new -s micro --peer absent,new2 --no-wait', { env: [named('new2', [])] })
  assert.deepEqual([made.status, made.err], [0, 'tt: there is no ENV absent that you can see; it takes effect when there is one\n'])
})

test('an ENV is no peer of itself', async () => {
  for (const line of ['env add new -s micro --peer new', 'env update demo pa --peer pa']) {
    const { status, err, cloud } = await rehearse(line, { env: envs })
    assert.match(err, /^tt: --peer is (new|pa), the ENV itself/)
    assert.deepEqual([status, cloud.puts], [2, [] satisfies EnvSpec[]])
  }
})
