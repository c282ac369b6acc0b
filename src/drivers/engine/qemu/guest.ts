import { existsSync, watch } from 'node:fs'
import type { Socket } from 'node:net'
import { basename, dirname } from 'node:path'
import type { Duplex } from 'node:stream'
import { hasErrno, isMissing } from '../../../base/files.ts'
import { ended, isAlive } from '../../../base/processes.ts'
import type { World } from '../../../base/world.ts'
import type { Call } from '../../../model/call.ts'
import { fail, TtError } from '../../../model/errors.ts'
import { files } from './argv.ts'
import { consoleHub } from './console.ts'
import { heldUp } from './held-up.ts'
import { type Qmp, qmp, type QmpEvent } from './qmp.ts'
import type { Found, GuestDir } from './guest-dir.ts'
import { connectUnix } from './socket.ts'

/** A guest that runs, as this server holds it: its control line, its serial line, its ports. All of it can be let go and taken up again. */
export interface Guest {
  readonly process: Found
  readonly paused: boolean
  /** Why it does not go on although nobody paused it. */
  readonly trouble: string | undefined
  /** Resolves when QEMU first answered; rejects with `failed` if the guest ended before. */
  readonly ready: Promise<void>
  /** Why it ended, where QEMU or the system said so. */
  readonly exit: string | undefined
  /** `unavailable` while there is no control line. */
  execute(command: string, args?: object, call?: Call): Promise<unknown>
  pause(): Promise<void>
  console(): Promise<Duplex>
  screen(): Promise<Duplex>
  dial(portName: string): Promise<Duplex>
  /** Closes every connection to it; it goes on. */
  letGo(): void
}

export interface GuestOptions {
  world: World
  /** Something about it changed: paused, resumed or ended. */
  onChange: () => void
  /** Given where this server is the parent: tells the end at once and how it came. */
  childEnded?: Promise<string>
}

/** Then it is asked again and again instead of watched for. */
const firstAnswerMs = 1000

/** Takes up a guest. `follow` is to be run beside the caller and ends with the guest or with `letGo`. */
export function guest(at: GuestDir, found: Found, options: GuestOptions): Guest & { follow(): Promise<void> } {
  const { world, onChange, childEnded } = options
  const letGo = new AbortController()
  const { signal } = letGo
  const ready = Promise.withResolvers<void>()
  ready.promise.catch(() => undefined)
  const facts = at.facts()
  const dialled = new Map<string, Promise<Socket>>()
  const screens = new Set<Socket>()
  const hub = consoleHub(() => connectUnix(at.path(files.serial)).catch(asNotReady(at.id)))
  let line: Qmp | undefined
  let isNew = childEnded !== undefined
  let paused = false
  let exit: string | undefined

  const execute: Guest['execute'] = (command, args, call) =>
    line?.execute(command, args, call) ?? Promise.reject(new TtError({ code: 'unavailable', message: 'QEMU does not answer on its control line' }))
  const held = heldUp({ world, resume: () => execute('cont'), onChange })

  const onEvent = ({ event, data }: QmpEvent) => {
    if (event === 'BLOCK_IO_ERROR' && data['action'] === 'stop') held.begin()
    if (event === 'STOP' || event === 'RESUME') {
      paused = event === 'STOP'
      onChange()
    }
    if (event === 'SHUTDOWN' && data['guest'] === true) exit = `the guest ended (${String(data['reason'])})`
  }
  const openLine = async (): Promise<Qmp> => {
    const opened = await qmp(await connectUnix(at.path(files.qmp)), { world, onEvent, call: { signal } })
    if (!isNew) {
      const { running, status } = (await opened.execute('query-status')) as { running?: boolean; status?: string }
      paused = running === false
      if (status === 'io-error') held.begin()
    }
    isNew = false
    return opened
  }
  /** Waits a little for the process to be gone: QEMU closes its line a moment before. */
  const endsWithin = (waitMs: number) => Promise.race([ended(found, waitMs, { world, signal }).catch(() => undefined), ...(childEnded ? [childEnded] : [])])
  /** For a QEMU that was started just now: waits until it has made its socket, or ended. Where the kernel watches no more files, not at all. */
  const socketMade = async () => {
    const made = Promise.withResolvers<void>()
    const seen = (_kind: string, name: string | null) => void (name === basename(files.qmp) && made.resolve())
    using stack = new DisposableStack()
    try {
      const watcher = stack.adopt(watch(dirname(at.path(files.qmp)), { persistent: false }, seen), (one) => one.close())
      watcher.on('error', () => made.resolve())
    } catch {
      return
    }
    stack.defer(world.after(firstAnswerMs, made.resolve))
    signal.addEventListener('abort', () => made.resolve(), { once: true })
    if (!existsSync(at.path(files.qmp))) await Promise.race([made.promise, childEnded])
  }

  return {
    process: found,
    ready: ready.promise,
    get paused() {
      return paused
    },
    get exit() {
      return exit
    },
    get trouble() {
      return held.trouble
    },
    execute,
    async pause() {
      held.end()
      await execute('stop')
    },
    console: () => hub.open(),
    async screen() {
      if (!existsSync(at.path(files.vnc))) fail('unsupported', 'this VM has no screen: its image boots without one', { subject: `vm/${at.id}`, remedy: 'use its serial line: `tt env console`' })
      const stream = await connectUnix(at.path(files.vnc)).catch(asNotReady(at.id))
      screens.add(stream)
      stream.on('error', () => undefined) // It is followed by `close`.
      stream.once('close', () => screens.delete(stream))
      return stream
    },
    async dial(portName) {
      const about = { subject: `vm/${at.id}` }
      const number = facts?.ports.indexOf(portName) ?? -1
      if (number < 0) fail('not_found', `the VM has no port ${portName}`, about)
      if (dialled.has(portName)) fail('conflict', `the port ${portName} is in use`, about)
      const opening = connectUnix(at.path(files.port(number)))
      dialled.set(portName, opening)
      try {
        const stream = await opening
        stream.on('error', () => undefined) // For who does not listen: it is followed by `close`.
        stream.once('close', () => dialled.delete(portName))
        return stream
      } catch (fault) {
        dialled.delete(portName)
        return asNotReady(at.id)(fault)
      }
    },
    async follow() {
      if (isNew) await socketMade()
      // At first QEMU has not made its socket; later only a QEMU that hangs does not answer, and is asked less and less often.
      for (let waitMs = 1; isAlive(found) && !signal.aborted; waitMs = Math.min(waitMs * 1.2, 1000)) {
        try {
          line = await openLine()
          ready.resolve()
          waitMs = 1
          if (signal.aborted) line.close()
          await line.closed
        } catch {
          // Tried again as long as it lives.
        }
        line = undefined
        if (!signal.aborted) await endsWithin(waitMs)
      }
      held.end()
      if (signal.aborted) return
      exit ??= await childEnded
      ready.reject(new TtError({ code: 'failed', message: exit ?? 'it ended' }))
      onChange()
    },
    letGo() {
      letGo.abort(new Error('the server lets go of the guest'))
      line?.close()
      hub.close()
      for (const stream of screens) stream.destroy()
      for (const opening of dialled.values()) opening.then((stream) => stream.destroy(), () => undefined)
    },
  }
}

const asNotReady = (id: string) => (fault: unknown): never => {
  if (isMissing(fault) || hasErrno(fault, 'ECONNREFUSED')) fail('not_ready', 'the VM does not run', { subject: `vm/${id}`, cause: fault })
  throw fault
}
