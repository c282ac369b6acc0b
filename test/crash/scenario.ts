import type { Cloud } from '../../src/model/cloud.ts'
import type { EnvAsked } from '../../src/model/env.ts'
import { asTtError } from '../../src/model/errors.ts'
import { eachVm, type Wish, type WishedEnv, type WishedVm, wishing } from './wish.ts'

/** One thing its user does, and what is wanted once it is answered. While it is not, both that and what was wanted before are right. */
export interface Step {
  name: string
  act(cloud: Cloud): Promise<unknown>
  wish(before: Wish, nowMs: number): Wish
  /** So much time passes after the answer. */
  waitMs?: number
  /** The next step comes before this one has come about. */
  hurried?: boolean
}

export interface ScenarioOptions {
  image: string
  owner: string
  /** Sizes of each VM. */
  size: Pick<WishedVm, 'cpu' | 'memMb' | 'diskMb'>
  /** Inner ports asked for, besides those of the image. */
  ports: number[]
  /** How many VMs the ENV has at first. */
  count: number
  /** With it there is an ENV, too, whose second VM the engine was told not to start: index 99. */
  failing: boolean
  /** With it there is an ENV `short` that ends by itself, and one, `halting`, that is stopped at its end; or there is one already, which ends after so many ms. */
  expiring: boolean | { inMs: number }
  /** Nobody waits for anything but answers. */
  hurried?: boolean
  /** How often a VM was started cannot be seen. */
  uncounted?: boolean
}

const triesMost = 3000

/** The life of an ENV with everything that can be asked of it, beside one that ends by itself and one that fails. */
export function scenario(options: ScenarioOptions): Step[] {
  const { image, owner, size, count, failing, expiring, hurried = false, uncounted = false } = options
  const ports = [...options.ports].sort((a, b) => a - b)
  const vm: WishedVm = { ...size, ports, denyOutgoing: false, ...(hurried ? {} : { starts: uncounted ? 'some times' : 1 }) }
  const group = (more: object) => ({ image, ...size, ...(ports.length > 0 ? { ports } : {}), ...more })
  const env = (indices: number[], lifetimeSeconds: number | null, bornMs: number): WishedEnv => ({ owner, vms: new Map(indices.map((index) => [index, vm])), stopped: false, lifetimeSeconds, bornMs })
  const add = (name: string, spec: EnvAsked, wished: (nowMs: number) => WishedEnv): Step => ({
    name: `add ${name}`,
    act: (cloud) => cloud.collection('env').put(name, { spec, expect: 'absent' }),
    wish: (before, nowMs) => wishing(before, name, wished(nowMs)),
  })
  const change = (name: string, spec: (seen: EnvAsked) => Partial<EnvAsked>, wished: (env: WishedEnv) => WishedEnv): Step => ({
    name,
    async act(cloud) {
      // A guest that has halted a moment ago may not be on record as halted yet: its user is told to try again, and does.
      for (let tries = 1; ; tries++) {
        const seen = await cloud.collection('env').get('main')
        try {
          return await cloud.collection('env').put('main', { spec: { ...seen.spec, ...spec(seen.spec) }, expect: seen.revision })
        } catch (thrown) {
          if (asTtError(thrown).code !== 'not_ready' || tries >= triesMost) throw thrown
          await new Promise((resolve) => setImmediate(resolve))
        }
      }
    },
    wish: (before) => wishing(before, 'main', wished(before.get('main') as WishedEnv)),
  })
  const remove = (name: string): Step => ({ name: `del ${name}`, act: (cloud) => cloud.collection('env').remove(name), wish: (before) => wishing(before, name, undefined) })
  const only = (env: WishedEnv, keep: (index: number) => boolean) => ({ ...env, vms: new Map([...env.vms].filter(([index]) => keep(index))) })
  const resizing = (more: object) => (seen: EnvAsked) => ({ groups: seen.groups.map((one) => ({ ...one, ...more })) })
  const counting = (to: number) => (seen: EnvAsked) => ({ groups: seen.groups.map((one) => ({ ...one, count: to })) })

  const stop = (name: string) => change(name, () => ({ stopped: true }), (one) => ({ ...one, stopped: true }))
  const start = (name: string) => change(name, () => ({ stopped: false }), (one) => ({ ...eachVm(one, (each) => ({ ...each, ...(typeof each.starts === 'number' ? { starts: each.starts + 1 } : {}) })), stopped: false }))

  const steps: Step[] = [
    ...(expiring === true ? [add('short', { groups: [group({ count: 2 })], lifetimeSeconds: 30 }, (nowMs) => env([0, 1], 30, nowMs))] : []),
    ...(expiring === true ? [add('halting', { groups: [group({ count: 2 })], lifetimeSeconds: 30, atEnd: 'stop' }, (nowMs) => ({ ...env([0, 1], 30, nowMs), staysAtEnd: true }))] : []),
    add('main', { groups: [group({ count })], lifetimeSeconds: null }, (nowMs) => env([...Array(count).keys()], null, nowMs)),
    ...(failing ? [add('doomed', { groups: [group({ first: 98, count: 2 })], lifetimeSeconds: null }, (nowMs) => ({ ...env([98, 99], null, nowMs), fails: true }))] : []),
    stop('stop'),
    start('start'),
    change('update its life', () => ({ lifetimeSeconds: 7200 }), (one) => ({ ...one, lifetimeSeconds: 7200 })),
    change('deny outgoing', () => ({ denyOutgoing: true }), (one) => eachVm(one, (each) => ({ ...each, denyOutgoing: true }))),
    change('deny', () => ({ deny: ['10.1.2.3', '192.168.0.0/16'] }), (one) => eachVm(one, (each) => ({ ...each, deny: ['10.1.2.3', '192.168.0.0/16'] }))),
    change('change ports', resizing({ ports: [8080, 9090] }), (one) => eachVm(one, (each) => ({ ...each, ports: [8080, 9090] }))),
    { ...stop('stop to resize'), hurried: false }, // Hardware is changed only of what has halted.
    change('resize', resizing({ cpu: 2, diskMb: size.diskMb + 100 }), (one) => eachVm(one, (each) => ({ ...each, cpu: 2, diskMb: size.diskMb + 100 }))),
    start('start with more'),
    change('make one VM different', () => ({ exceptions: { 1: { denyOutgoing: false, ports: [7000] } } }), (one) => ({ ...one, vms: new Map([...one.vms].map(([index, each]) => [index, index === 1 ? { ...each, denyOutgoing: false, ports: [7000] } : each])) })),
    change('grow', counting(count + 2), (one) => ({ ...one, vms: new Map([...one.vms, ...[count, count + 1].map((index) => [index, { ...(one.vms.get(0) ?? vm), starts: vm.starts }] as const)]) })),
    change('kick', () => ({ kicked: [0, count] }), (one) => only(one, (index) => index !== 0 && index !== count)),
    change('shrink', counting(count + 1), (one) => only(one, (index) => index <= count)),
    ...(expiring ? [{ name: 'wait for the end of short', act: async () => undefined, wish: (before: Wish) => before, waitMs: expiring === true ? 30_000 : expiring.inMs }] : []),
    remove('main'),
    ...(expiring === true ? [remove('halting')] : []),
    ...(failing ? [remove('doomed')] : []),
  ]
  return hurried ? steps.map((step): Step => ({ waitMs: 100, hurried, ...step })) : steps
}
