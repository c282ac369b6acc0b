import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { EnvSpec } from '../model/env.ts'
import type { Problem } from '../model/errors.ts'
import type { SessionFrame } from '../model/session.ts'
import { rehearse, type Stage } from './rehearsal.ts'
import { envOf } from './specimens.ts'

const began = (index: number): SessionFrame => ({ type: 'begin', vm: `demo.${index}`, image: 'micro' })
const alive = (index: number): SessionFrame => ({ type: 'exit', vm: `demo.${index}`, code: 0 })
const not = (index: number, code: Problem['code'], message = 'why'): SessionFrame => ({ type: 'problem', vm: `demo.${index}`, problem: { code, message } })
const groups = [{ image: 'micro', digest: 'd1', engine: 'qemu', first: 0, count: 7, cpu: 1, memMb: 128, diskMb: 1024, ports: [22] }]
const demo = envOf('demo', { spec: { groups } })
const roll = [...[0, 1, 2, 3, 4, 5].map(began), alive(0), not(1, 'not_ready'), not(2, 'timeout'), not(3, 'unsupported'), not(4, 'unavailable', 'its host h2 does not answer')]

const kick = (stage: Stage, line = '--no-wait') => rehearse(`env update demo --kick-dead ${line}`, { env: [demo], ...stage })
const kickedBy = (options: unknown) => (options as { spec: EnvSpec }).spec.kicked

test('G01: only the silent go: who answers, boots, has no agent, or cannot be asked stays', async () => {
  const { status, out, err, cloud } = await kick({ frames: roll })
  assert.deepEqual(cloud.opened, [{ type: 'ping', vms: { envs: ['demo'] }, timeoutMs: 5000 }])
  assert.deepEqual(cloud.puts.map(({ options }) => kickedBy(options)), [[2]])
  assert.match(out, /^demo: being changed, .*; 1 VM taken out\n {2}- VM 2 taken out\n$/)
  assert.match(err, /tt: demo.4 could not be asked, and stays: its host h2 does not answer\n.*demo.5 could not be asked/s)
  assert.doesNotMatch(err, /demo\.[0-3] could not/, 'what boots or has no agent is no news')
  assert.equal(status, 0)
})

test('the put names the revision that was asked about, so that a VM which was made again meanwhile is not hit', async () => {
  const { cloud } = await kick({ frames: roll })
  assert.equal((cloud.puts[0]!.options as { expect: string }).expect, '7')
})

test('fault 10: if the ENV has changed meanwhile, all are asked again', async () => {
  const { status, cloud } = await kick({ frames: roll, refusals: { 'env.put demo': [{ code: 'conflict', message: 'ENV demo was changed meanwhile' }] } })
  assert.deepEqual([status, cloud.opened.length, cloud.calls], [0, 2, ['env.get demo', 'env.put demo', 'env.get demo', 'env.put demo']])
})

test('nobody is dead: nothing is put, and the command says so', async () => {
  const { status, out, cloud } = await kick({ frames: [began(0), alive(0)] })
  assert.deepEqual([status, cloud.puts], [0, []])
  assert.match(out, /demo: unchanged, ends in 30 min; no VM is dead/)
})

test('it goes with other changes as one put, and waits as long for an answer as it is told', async () => {
  const { cloud } = await kick({ frames: roll }, '--no-wait -n --kick-vm 0 -t 0.5')
  assert.deepEqual([cloud.puts.length, kickedBy(cloud.puts[0]!.options), cloud.opened[0]], [1, [0, 2], { type: 'ping', vms: { envs: ['demo'] }, timeoutMs: 500 }])
})

test('of a session that breaks off nothing is concluded', async () => {
  const { status, cloud } = await kick({ frames: [began(0), not(0, 'timeout'), { broken: { code: 'unavailable', message: 'the connection broke' } }] })
  assert.deepEqual([status, cloud.puts], [14, []])
})

test('a stopped ENV has no VM that could answer, and none is taken out', async () => {
  const { status, err, cloud } = await kick({ env: [envOf('demo', { spec: { stopped: true } })], frames: roll })
  assert.match(err, /ENV demo is stopped: none of its VMs could answer/)
  assert.deepEqual([status, cloud.opened, cloud.puts], [13, [], []])
})

test('the JSON says who was taken out', async () => {
  const { out } = await kick({ frames: roll }, '--no-wait --json -q')
  const { results } = JSON.parse(out) as { results: { name: string; state: string; kicked: string[] }[] }
  assert.deepEqual(results.map(({ name, state, kicked }) => [name, state, kicked]), [['demo', 'changed', ['demo.2']]])
})
