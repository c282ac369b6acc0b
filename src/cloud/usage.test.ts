import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { realWorld as world } from '../base/world.ts'
import type { EnvSpec } from '../model/env.ts'
import { demandOf, nothing, plus } from '../model/expand.ts'
import { type EnvRecord, keys, type PhaseRecord } from '../model/records.ts'
import { memoryStore } from '../store/memory.ts'
import { view } from '../store/view.ts'
import { usages } from './usage.ts'

const specOf = (count: number, stopped: boolean) => ({ groups: [{ image: 'i', digest: 'd', engine: 'x', first: 0, count, cpu: 1, memMb: 10, diskMb: 5, ports: [] }], kicked: [], stopped }) as unknown as EnvSpec
const names = ['a', 'b', 'c', 'd']
const owners = ['ann', 'bob']
const step = fc.record({ name: fc.constantFrom(...names), owner: fc.constantFrom(...owners), count: fc.nat(4), stopped: fc.boolean(), uid: fc.constantFrom('u1', 'u2'), what: fc.constantFrom('env', 'env', 'release', 'unrelease', 'phase gone') })

test('[D07] what an owner uses is the sum over their ENVs, whatever came, went, changed and failed', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
      await using stack = new AsyncDisposableStack()
      const store = stack.use(memoryStore({ world }))
      const open = async <T>(prefix: string) => stack.use(await view<T>(store, prefix, { world, onFault: (fault) => assert.fail(String(fault)) }))
      const [envs, phases] = [await open<EnvRecord>(keys.envs), await open<PhaseRecord>(keys.phases)]
      let used = stack.use(usages(envs, phases))
      const check = () => {
        for (const owner of owners) {
          const mine = envs.values().filter((env) => env.owner === owner)
          const held = mine.filter((env) => !phases.values().some(({ uid, released }) => released && uid === `${env.uid}`))
          assert.deepEqual(used.of(owner), { envs: mine.length, used: held.reduce((sum, { spec }) => plus(sum, demandOf(spec)), nothing) })
        }
      }
      for (const { name, owner, count, stopped, uid, what } of steps) {
        const record = { name, uid: `${name}${uid}`, owner, created: '', spec: specOf(count, stopped) }
        const released: Record<string, unknown> = { uid: `${name}${uid}`, phase: 'failed', since: '', released: what === 'release' }
        const write = what === 'env' ? { key: keys.env(name), value: count === 0 ? null : record } : { key: keys.phase(name), value: what === 'phase gone' ? null : released }
        const revision = await store.commit([write])
        await Promise.all([envs.reached(revision), phases.reached(revision)])
        check()
      }
      used = stack.use(usages(envs, phases)) // As a server that starts now sees it.
      check()
    }),
    { numRuns: 200 },
  )
})
