import { deadline, type World } from '../base/world.ts'
import type { Channel, Identity } from '../drivers/channel/channel.ts'
import { parseVmId } from '../model/names.ts'
import type { Way } from '../model/image.ts'
import type { VmSpec } from '../model/vm.ts'
import type { GuestFiles } from './guest-files.ts'

/** A guest that answers is not kept waiting for longer by this. */
const limitMs = 10_000
const entropyBytes = 64

/** What a VM's guest is to call itself. */
export const hostnameOf = ({ env, index }: Pick<VmSpec, 'env' | 'index'>): string => `${env}-${index}`.replaceAll('_', '-').slice(0, 63)

/** The keys that may enter a guest: the user's, and this host's where ssh is a way into it. */
export function keysFor(vm: Pick<VmSpec, 'id' | 'sshKeys'>, ways: readonly Way[], files: Pick<GuestFiles, 'keyOf'>): string[] {
  const envUid = parseVmId(vm.id)?.envUid
  return ways.includes('ssh') && envUid !== undefined ? [...vm.sshKeys, files.keyOf(envUid).publicKey] : [...vm.sshKeys]
}

/**
 * Tells a guest who it is to be, after each of its starts, and later only what has changed. A name is given once in its life: whoever renames it afterwards has the last word.
 * Resolves with what it was told, to be given back the next time.
 */
export async function introduced(channel: Channel, { vm, ways, told, files, world }: { vm: VmSpec; ways: readonly Way[]; told?: string; files: GuestFiles; world: World }): Promise<string> {
  const sshKeys = keysFor(vm, ways, files)
  const now = JSON.stringify(sshKeys)
  if (told === now) return now
  const isNew = !files.isNamed(vm.id)
  const atStart: Identity = told === undefined ? { timeMs: world.now(), entropy: world.random(entropyBytes), ...(isNew ? { hostname: hostnameOf(vm) } : {}) } : {}
  using limit = deadline(world, limitMs, undefined, new Error(`the guest did not take its name and keys within ${limitMs / 1000} s`))
  await channel.identify?.({ ...atStart, sshKeys }, { signal: limit.signal })
  if (isNew) files.setNamed(vm.id)
  return now
}
