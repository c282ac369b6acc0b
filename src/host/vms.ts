import { breather } from '../base/breather.ts'
import { inspectable } from '../base/inspect.ts'
import { Loop } from '../base/loop.ts'
import { type Gate, gate } from '../base/queue.ts'
import { asTtError, fail, problemOf } from '../model/errors.ts'
import { keys, lastPart, type VmRecord } from '../model/records.ts'
import { type Applied, runApplied } from './applied.ts'
import { greet, halt, mourn } from './vm-guest.ts'
import { start } from './vm-making.ts'
import { triesBeforeFailure, unstuck, type VmOptions, type VmParts, write } from './vm-parts.ts'
import { destroyLocal, remove } from './vm-removal.ts'

/** VMs of one engine that are being made at the same time; and VMs being taken away. */
const madeAtOnce = 256

/** Makes every VM this host has claimed be as wanted: made, started, met, stopped, destroyed. Level-triggered, one VM at a time each. */
export function runVms(options: VmOptions): AsyncDisposable & { touch(id: string): void } {
  const { views, world, log, engines } = options
  const parts: VmParts = {
    ...options,
    makes: new Map([...engines.keys()].map((name) => [name, gate(madeAtOnce)])),
    starts: new Map([...engines].map(([name, engine]) => [name, gate(engine.features.startsAtOnce ?? madeAtOnce)])),
    removals: gate(madeAtOnce),
    tries: new Map(),
    faults: new Map(),
    breathe: breather(world),
  }
  const applied = runApplied(options)
  const loop = new Loop((id, signal) => followed(parts, { id, applied, signal }), {
    name: 'vms',
    world,
    width: Infinity, // The gates of what is done hold back; a place kept while waiting would hold back what is not slow.
    backoffMs: { first: 200, last: 10_000 },
    onFault: (vm, fault, tries) => log.warn('a VM is not as wanted yet', { vm, fault: String(fault), tries }),
  })
  const mine = (key: string) => views.claims.get(keys.claim(lastPart(key)))?.host === options.name
  const touchEnv = (uid: string) => {
    for (const { key, value } of views.claims.entries(`${keys.claims}${uid}.`)) if (value.host === options.name) loop.touch(lastPart(key))
  }
  const gates = inspectable({ kind: 'gate', name: 'vms', state: () => ({ makes: Object.fromEntries([...parts.makes].map(gateOf)), starts: Object.fromEntries([...parts.starts].map(gateOf)), removals: gateOf(['', parts.removals])[1] }) })
  const stops = [
    views.claims.onChange(({ key }) => mine(key) && loop.touch(lastPart(key))),
    views.envs.onChange(({ key, value }, before) => {
      if (value) touchEnv(value.uid)
      // One nobody could read is gone: only the claims say whose VMs these were.
      else if (!before) for (const { key: claim, value: of } of views.claims.entries()) if (of.env === lastPart(key)) loop.touch(lastPart(claim))
    }),
    options.links.onChange(touchEnv),
    views.phases.onChange(({ value }, before) => value?.phase === 'failed' && before?.phase !== 'failed' && touchEnv(value.uid)),
  ]
  return {
    touch: (id) => loop.touch(id),
    async [Symbol.asyncDispose]() {
      stops.forEach((stop) => stop())
      gates[Symbol.dispose]()
      await loop[Symbol.asyncDispose]()
      await applied[Symbol.asyncDispose]()
    },
  }
}

const gateOf = ([name, { busy, waiting }]: [string, Gate]) => [name, { busy, waiting }] as const

/** A turn that is told of: the cloud hears when the VM is as wanted, and its users why it is not after some tries. */
async function followed(parts: VmParts, { id, applied, signal }: { id: string; applied: Applied; signal: AbortSignal }): Promise<void> {
  const look = applied.look(id)
  const told = () => parts.views.vms.get(keys.vm(id))
  try {
    await turn(parts, id, signal)
  } catch (thrown) {
    const record = told()
    const problem = problemOf(asTtError(thrown))
    const tries = (parts.faults.get(id) ?? 0) + 1
    parts.faults.set(id, tries)
    const known = record?.stuck === look.revision && record.problem?.message === problem.message
    if (!signal.aborted && tries >= triesBeforeFailure && record && record.state !== 'failed' && !known) await write(parts, id, { ...record, problem, stuck: look.revision })
    throw thrown
  }
  parts.faults.delete(id)
  const record = told()
  if (record?.stuck !== undefined) {
    const { problem: _problem, ...rest } = unstuck(record)
    await write(parts, id, rest)
  }
  look.done()
}

async function turn(parts: VmParts, id: string, signal: AbortSignal): Promise<void> {
  const { views, name } = parts
  await parts.breathe()
  const claim = views.claims.get(keys.claim(id))
  if (claim?.host !== name || views.leftOut.has(keys.env(claim.env))) return
  const vm = views.wish(id)
  if (!vm) return remove(parts, id, signal)
  if (views.leftOut.has(keys.vm(id))) return // What it has is not known: to make it anew would be to take away its disk.
  const record = views.vms.get(keys.vm(id))
  // Its index was another group's, and is wanted again before that VM was gone: it goes first.
  if (record?.image !== undefined && record.image !== vm.image) return remove(parts, id, signal)
  const again = vm.starts > (record?.starts ?? 0) // Somebody wants what has ended started again.
  if (record?.state === 'failed' && !vm.stopped && !again) return // Its ENV is told; it goes when that has failed.
  const engine = parts.engines.get(vm.engine) ?? fail('unsupported', `the engine ${vm.engine} is not usable here`)
  const found = await engine.inspect(id)
  const running = found.state === 'running' || found.state === 'paused'
  const linked = (known: VmRecord) => parts.links.follow(vm, known, { running, write: (now) => write(parts, id, now) })
  const follows = record !== undefined && !running && record.state !== 'failed' // What failed may have no place yet.
  if (vm.stopped) return halt(parts, { vm, engine, record: follows ? await linked(record) : record, found })
  const make = () => (parts.makes.get(vm.engine) as Gate).pass(() => start(parts, { vm, engine, signal }))
  if (running && record) return greet(parts, { vm, engine, record: await linked(record), found })
  if (running) return destroyLocal(parts, id).then(make)
  if (record === undefined || record.state === 'starting' || record.halted || record.boot !== parts.boot || ((record.state === 'stopped' || record.state === 'failed') && again)) return make()
  if (record.state === 'booting' || record.state === 'ready') return mourn(parts, { vm, record, found })
  await linked(record) // One that ended by itself keeps its place until it is started again or goes.
}
