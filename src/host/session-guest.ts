import type { Paced } from '../base/paced.ts'
import { deadline, type World } from '../base/world.ts'
import type { Channel } from '../drivers/channel/channel.ts'
import { fail, TtError } from '../model/errors.ts'
import type { Way } from '../model/image.ts'
import { keys } from '../model/records.ts'
import type { SessionFrame, Target } from '../model/session.ts'
import { duration } from '../model/units.ts'
import type { Guests } from './guests.ts'
import type { Catalogue } from './images.ts'
import type { HostViews } from './views.ts'

export interface WaysIn {
  guests: Guests
  views: HostViews
  images: Catalogue
  world: World
}

/** How long a guest that has not answered yet is waited for at most. */
const greetingMs = 8000

/**
 * The channel into a guest that answers. Refuses at once, and says why, where nothing in the guest takes commands (`unsupported`), where it does not run (`not_ready`, `failed`) and where
 * it has fallen silent (`unavailable`); one that still boots is given a while (`not_ready`).
 */
export async function entered(parts: WaysIn, { target, via, limitMs = greetingMs, signal }: { target: Target; via?: Way; limitMs?: number; signal: AbortSignal }): Promise<Channel> {
  const { guests, views, images, world } = parts
  const record = views.vms.get(keys.vm(target.id))
  const ways = record?.ways ?? images.get(target.image)?.spec.ways
  const console = `tt env console ${target.vm}`
  if (ways?.length === 0) fail('unsupported', `nothing in a guest of ${target.image} takes commands or files: its image names no agent, no ssh and no other way in`, { remedy: `its serial line is open: \`${console}\`` })
  if (via !== undefined && ways && !ways.includes(via)) fail('unsupported', `a guest of ${target.image} has no way in by ${via}, but by ${ways.join(' and ')}`)
  if (record?.state === 'failed') fail('failed', `it could not be made: ${record.problem?.message ?? 'no reason is known'}`)
  if (record?.state === 'stopped') fail('not_ready', record.problem?.message ?? 'the guest does not run', { remedy: 'see what it printed: `tt env logs`' })
  if (guests.status(target.id)?.state === 'lost' && via === undefined) fail('unavailable', 'the guest answered once and is silent now: it hangs, or what takes commands in it has ended', { remedy: `see what it prints: \`${console}\`` })
  const channel = guests.get(target.id, via) ?? fail('not_ready', 'the guest is not running', { remedy: 'see `tt env show`' })
  if (via === undefined && guests.answered(target.id)) return channel
  await greeted(channel, { via, world, signal, limitMs: Math.min(limitMs, greetingMs) })
  return guests.get(target.id, via) ?? channel
}

/** While a command is under way in this guest, whoever waits for it is told when the guest falls silent and when it answers again: it is waited for all the same, as a guest may be busy, or paused. */
export function silenceTold({ guests, views }: WaysIn, { target, channel, out, timeoutMs }: { target: Target; channel: Channel; out: Pick<Paced<SessionFrame>, 'tell'>; timeoutMs?: number }): Disposable {
  const { id, vm } = target
  return guests.heed(id, channel, ({ forMs, over }) => {
    const time = duration(Math.round(forMs / 1000))
    if (over) return out.tell({ type: 'note', vm, text: `${vm}: the guest answers again, after ${time}` })
    const record = views.vms.get(keys.vm(id))
    const why = record?.stuck === undefined ? record?.problem?.message : undefined // What it is stuck with is something else.
    const limit = timeoutMs === undefined ? 'without a limit (--time-out sets one)' : `until ${limitText(timeoutMs)} are over`
    out.tell({ type: 'note', vm, text: `${vm}: the guest is silent for ${time}${why === undefined ? '' : ` (${why})`}, and the command is still waited for, ${limit}; see what it prints: \`tt env logs ${vm}\`` })
  })
}

async function greeted(channel: Channel, { via, world, signal, limitMs }: { via?: Way; world: World; signal: AbortSignal; limitMs: number }): Promise<void> {
  const late = new TtError({ code: 'not_ready', message: `the guest has not answered within ${limitText(limitMs)}${via === undefined ? '' : ` by ${via}`}: it is still booting, or hangs`, remedy: 'see what it prints: `tt env logs`' })
  using limit = deadline(world, limitMs, signal, late)
  await channel.ready({ signal: limit.signal })
}

export const limitText = (ms: number): string => (ms < 1000 ? `${ms} ms` : duration(ms / 1000))
