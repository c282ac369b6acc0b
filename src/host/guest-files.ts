import { createHmac } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Effects } from '../base/effects.ts'
import { isMissing, readTextNow, removeAll, writeWhole } from '../base/files.ts'
import type { World } from '../base/world.ts'
import type { SshKey } from '../drivers/channel/channel.ts'
import { fail } from '../model/errors.ts'
import { parseVmId } from '../model/names.ts'
import { newSshKey } from './ssh-key.ts'

/** What this host keeps for its guests over restarts, readable by the server alone: by what they know it, and what it knows them by. */
export interface GuestFiles {
  /** 32 bytes that only this host and this guest can know. */
  secretOf(id: string): Uint8Array
  /** The key of an ENV on this host, made when it is first asked for. */
  keyOf(envUid: string): SshKey
  /** A directory for the guest. */
  dirOf(id: string): string
  /** Whether the guest was given its name, and that it was now. */
  isNamed(id: string): boolean
  setNamed(id: string): void
  /** Takes away what is kept for the guest, and the key of its ENV if it was the last of it here: asked only where there is a key. */
  forget(id: string, isLast: () => boolean): void
  /** Takes away what is kept for guests that are none of these. */
  sweep(ids: ReadonlySet<string>): void
}

/** Names of a data directory that hold it. */
export const guestFileNames = ['guest-secret', 'guests', 'guest-keys'] as const
const secretBytes = 32

export function guestFiles({ dataDir, world, effects }: { dataDir: string; world: World; effects: Effects }): GuestFiles {
  const [secretFile, dirs, keyDir] = guestFileNames.map((name) => join(dataDir, name)) as [string, string, string]
  const write = (path: string, bytes: string | Uint8Array) => effects.act({ kind: 'file', verb: 'make', subject: path }, () => writeWhole(path, bytes, { mode: 0o600, durable: true }))
  const remove = (path: string) => {
    if (statSync(path, { throwIfNoEntry: false })) effects.act({ kind: 'file', verb: 'remove', subject: path }, () => removeAll(path))
  }
  const makeDir = (path: string) => effects.act({ kind: 'file', verb: 'make', subject: path }, () => mkdirSync(path, { recursive: true, mode: 0o700 }))
  let secret: Buffer | undefined
  /** Made once, when the first guest is met. */
  const hostSecret = (): Buffer => {
    if (secret) return secret
    const kept = bytesOf(secretFile)
    if (kept && kept.length !== secretBytes) fail('failed', `${secretFile} has ${kept.length} bytes, and not the ${secretBytes} that were written`, { subject: 'server', remedy: 'put a copy of it back, or remove it: guests that run then have to be started again before they answer' })
    secret = kept ?? Buffer.from(world.random(secretBytes))
    if (!kept) write(secretFile, secret)
    return secret
  }
  const keyFile = (envUid: string) => join(keyDir, envUid)
  const keys = new Map<string, SshKey>()
  const dirOf = (id: string): string => {
    const dir = join(dirs, id)
    if (!statSync(dir, { throwIfNoEntry: false })) makeDir(dir)
    return dir
  }
  const namesIn = (dir: string): string[] => (statSync(dir, { throwIfNoEntry: false }) ? readdirSync(dir) : [])

  return {
    secretOf: (id) => createHmac('sha256', hostSecret()).update(id).digest(),
    keyOf(envUid) {
      const known = keys.get(envUid)
      if (known) return known
      const key = keptKey(keyFile(envUid)) ?? newSshKey(`tt-${envUid}`, world)
      if (!statSync(keyFile(envUid), { throwIfNoEntry: false })) {
        if (!statSync(keyDir, { throwIfNoEntry: false })) makeDir(keyDir)
        // Both in one file, so that no crash leaves half a key; OpenSSH reads the private one and passes over what follows it.
        write(keyFile(envUid), `${key.privateKey}${key.publicKey}\n`)
      }
      keys.set(envUid, key)
      return key
    },
    dirOf,
    isNamed: (id) => statSync(join(dirs, id, 'named'), { throwIfNoEntry: false }) !== undefined,
    setNamed(id) {
      const path = join(dirOf(id), 'named')
      effects.act({ kind: 'file', verb: 'make', subject: path }, () => writeWhole(path, ''))
    },
    forget(id, isLast) {
      remove(join(dirs, id))
      const envUid = parseVmId(id)?.envUid
      if (envUid === undefined || !statSync(keyFile(envUid), { throwIfNoEntry: false }) || !isLast()) return
      keys.delete(envUid)
      remove(keyFile(envUid))
    },
    sweep(ids) {
      const envs = new Set([...ids].map((id) => parseVmId(id)?.envUid))
      for (const name of namesIn(dirs)) if (!ids.has(name)) remove(join(dirs, name))
      for (const name of namesIn(keyDir)) if (!envs.has(name)) remove(join(keyDir, name))
    },
  }
}

function bytesOf(path: string): Buffer | undefined {
  try {
    return readFileSync(path)
  } catch (fault) {
    if (isMissing(fault)) return undefined
    throw fault
  }
}

function keptKey(path: string): SshKey | undefined {
  const text = readTextNow(path)
  if (text === undefined) return undefined
  const [, privateKey, publicKey] = /^(-----BEGIN [\s\S]*-----END [^\n]*\n)(ssh-\S+ \S+[^\n]*)\n$/.exec(text) ?? []
  if (privateKey === undefined || publicKey === undefined) fail('failed', `${path} holds no ssh key`, { subject: 'server', remedy: 'remove it: another is made, which guests take when they are started' })
  return { privateKey, publicKey }
}
