import { gate } from '../base/queue.ts'
import { deadline, type World } from '../base/world.ts'
import { fail, TtError } from '../model/errors.ts'
import { parseVmId } from '../model/names.ts'
import { keys, type VmRecord } from '../model/records.ts'
import type { Target } from '../model/session.ts'
import { duration } from '../model/units.ts'
import type { Guests } from './guests.ts'
import { limitText } from './session-guest.ts'
import type { HostViews } from './views.ts'

export interface PingOptions {
  guests: Guests
  views: HostViews
  world: World
}

/** Guests that are asked at the same time. */
const askedAtOnce = 256

/**
 * Asks guests whether they live, so many at a time, each with a limit of its own that begins when it is asked. Resolves if it answers. Rejects with
 * `timeout` for one that is dead: silent, ended by itself, or not made. One that is on its way is `not_ready`, unless it is for longer than its ENV allows.
 */
export function pinger(options: PingOptions): (target: Target, timeoutMs: number, signal: AbortSignal) => Promise<void> {
  const asked = gate(askedAtOnce)
  return (target, timeoutMs, signal) => asked.pass(() => pinged(options, { target, timeoutMs, signal }), signal)
}

async function pinged(options: PingOptions, { target, timeoutMs, signal }: { target: Target; timeoutMs: number; signal: AbortSignal }): Promise<void> {
  const { guests, views, world } = options
  const record = views.vms.get(keys.vm(target.id))
  if (record?.state === 'failed') dead(`it could not be made: ${record.problem?.message ?? 'no reason is known'}`)
  if (record?.state === 'stopped' && !record.halted) dead(record.problem?.message ?? 'the guest ended by itself')
  if (record?.ways?.length === 0 && record.state === 'ready') fail('unsupported', `${target.image} has no agent that could answer`, { remedy: 'read what it prints: `tt env logs`' })
  const channel = guests.get(target.id) ?? onItsWay(options, target, record)
  using limit = deadline(world, timeoutMs, signal, new TtError({ code: 'timeout', message: `the guest did not answer within ${limitText(timeoutMs)}` }))
  try {
    await channel.ping({ signal: limit.signal })
  } catch (thrown) {
    if (signal.aborted || guests.answered(target.id)) throw silence(thrown)
    onItsWay(options, target, record) // It has not answered since it was started.
  }
}

/** A guest whose stream broke does not answer either. */
const silence = (thrown: unknown): unknown => (thrown instanceof TtError && thrown.code === 'unavailable' ? new TtError({ code: 'timeout', message: `the guest does not answer: ${thrown.message}` }, thrown) : thrown)

/** Refuses as one that is being made; after the time its ENV gives its VMs to come up it counts as dead. */
function onItsWay({ views, world }: PingOptions, { id }: Target, record?: VmRecord): never {
  const limitSeconds = views.envOf(parseVmId(id)?.envUid ?? '')?.spec.deadlineSeconds
  const forSeconds = record === undefined ? 0 : (world.now() - Date.parse(record.since)) / 1000
  if (limitSeconds !== undefined && forSeconds > limitSeconds) dead(`it is ${record?.state} for ${duration(forSeconds)}, and its ENV allows ${duration(limitSeconds)}`)
  fail('not_ready', `it is ${record?.state ?? 'starting'} and has not answered yet`, { remedy: 'see what it prints: `tt env logs`' })
}

const dead = (why: string): never => fail('timeout', why)
