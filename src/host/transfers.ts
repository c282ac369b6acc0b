import type { Channel, GuestFiles } from '../drivers/channel/channel.ts'
import { fail } from '../model/errors.ts'
import type { SessionRequest, Target } from '../model/session.ts'
import { entered, type WaysIn } from './session-guest.ts'

export type Push = Extract<SessionRequest, { type: 'push' }>
export type Get = Extract<SessionRequest, { type: 'get' }>

/** How long a guest may get on by nothing, unless the request says otherwise. */
export const transferMs = 10_000

/** The files of a guest that answers; refuses where its way in carries none. */
export async function filesOf(parts: WaysIn, { target, via, signal }: { target: Target; via: Push['via']; signal: AbortSignal }): Promise<GuestFiles> {
  const channel: Channel = await entered(parts, { target, via, signal })
  return (channel.features.files ? channel.files : undefined) ?? fail('unsupported', `the way into ${target.vm} carries no files`, { remedy: 'send it through a command: `tar c FILE | tt env run ENV --stdin -c "tar x"`' })
}

/** Where an entry is to be. Its path may come from a stranger: it never leads out of the base. */
export function placeOf(base: string, path: string): string {
  if (path === '') return base
  if (path.includes('\0') || path.split('/').some((part) => part === '' || part === '.' || part === '..')) fail('invalid', `${JSON.stringify(path.slice(0, 200))} is no path below what is sent`)
  return `${base === '/' ? '' : base}/${path}`
}

/** The path of a request as the guest is given it. What `..` means behind a link only the guest knows, so it stays. */
export function basePath(path: string): string {
  if (!path.startsWith('/') || path.includes('\0')) fail('invalid', `${JSON.stringify(path.slice(0, 200))} is no absolute path`)
  return `/${path.split('/').filter((name) => name !== '' && name !== '.').join('/')}`
}
