import type { Attributes, FileEntryWithStats, SFTPWrapper, Stats } from 'ssh2'
import type { Call } from '../../../model/call.ts'
import { asTtError, fail, TtError } from '../../../model/errors.ts'
import { within } from '../within.ts'
import type { Connection } from './connection.ts'
import { isFull, type Login } from './login.ts'

/** The protocol of files over one connection, each step a promise that ends with its call and with the connection. */
export interface Sftp {
  lstat(path: string): Promise<Stats | undefined>
  /** Links followed. */
  stat(path: string): Promise<Stats | undefined>
  readlink(path: string): Promise<string>
  list(path: string): AsyncIterable<FileEntryWithStats>
  open(path: string, how: string): Promise<Buffer>
  close(handle: Buffer): Promise<void>
  /** At most so many bytes; none at the end. */
  read(handle: Buffer, at: number, length: number): Promise<Buffer>
  write(handle: Buffer, at: number, bytes: Uint8Array): Promise<void>
  truncate(handle: Buffer, length: number): Promise<void>
  chmod(path: string, mode: number): Promise<void>
  chmodOpen(handle: Buffer, mode: number): Promise<void>
  mkdir(path: string, mode: number): Promise<void>
  symlink(target: string, path: string): Promise<void>
  unlink(path: string): Promise<void>
  /** Refuses what is there already. */
  link(from: string, to: string): Promise<void>
  /** Takes the place of what is there, at once. */
  rename(from: string, to: string): Promise<void>
}

/** What the protocol says of failures: https://datatracker.ietf.org/doc/html/draft-ietf-secsh-filexfer-02#section-7 */
export const status = { eof: 1, noSuchFile: 2, denied: 3, failure: 4 } as const

interface Session {
  raw: SFTPWrapper
  readonly over: boolean
  /** What waits for an answer, and is told when none can come any more. */
  readonly pending: Set<() => void>
}

const sessions = new WeakMap<Login, Promise<Session>>()

/** Files of a guest whose server of ssh has the subsystem; it is opened once for a connection. */
export async function sftpOver(connection: Connection, call?: Call): Promise<Sftp> {
  const login = await connection.ready(call)
  const opening = sessions.get(login) ?? opened(login)
  sessions.set(login, opening)
  opening.catch(() => sessions.get(login) === opening && sessions.delete(login))
  const session = await within(opening, call?.signal).catch((fault: Error) => {
    if (call?.signal?.aborted) throw fault
    if (login.over) throw broken()
    if (isFull(fault)) return fail('unavailable', "the guest's server of ssh has no room for files now: it allows no more over one connection", { cause: fault })
    return fail('unsupported', `the guest's server of ssh has no files to offer (sftp): ${fault.message}`, { remedy: 'install sftp-server in it, as the package openssh-sftp-server has it, or use another way in' })
  })
  const { raw, pending } = session
  /** Settles once, whatever is first: the answer, the end of the connection, or of the call. */
  const ask = <T>(what: (done: (fault: unknown, value?: T) => void) => void): Promise<T> =>
    new Promise((resolve, reject) => {
      const give = () => {
        pending.delete(end)
        reject(asTtError(call?.signal?.reason))
      }
      const end = () => settle(broken())
      const settle = (fault: unknown, value?: T) => {
        call?.signal?.removeEventListener('abort', give)
        pending.delete(end)
        if (fault) reject(session.over || login.over || !isAnswer(fault) ? broken(fault) : fault)
        else resolve(value as T)
      }
      if (call?.signal?.aborted) return give()
      if (session.over || login.over) return reject(broken())
      call?.signal?.addEventListener('abort', give, { once: true })
      pending.add(end)
      try {
        what(settle)
      } catch (fault) {
        settle(fault)
      }
    })
  const absent = (fault: unknown): undefined => {
    if (codeOf(fault) === status.noSuchFile) return undefined
    throw fault
  }
  const whole = ask<never> as (what: (done: (fault: unknown) => void) => void) => Promise<unknown>
  const nothing = async (what: (done: (fault: unknown) => void) => void) => void (await whole(what))
  return {
    lstat: (path) => ask<Stats>((done) => raw.lstat(path, done)).catch(absent),
    stat: (path) => ask<Stats>((done) => raw.stat(path, done)).catch(absent),
    readlink: (path) => ask<string>((done) => raw.readlink(path, done)),
    async *list(path) {
      const handle = await ask<Buffer>((done) => raw.opendir(path, done))
      try {
        for (;;) {
          const some = await ask<FileEntryWithStats[]>((done) => raw.readdir(handle, done)).catch((fault: unknown) => {
            if (codeOf(fault) === status.eof) return undefined
            throw fault
          })
          if (!some) return
          yield* some
        }
      } finally {
        if (!session.over && !login.over) raw.close(handle, () => undefined)
      }
    },
    open: (path, how) => ask<Buffer>((done) => raw.open(path, how as never, { mode: 0o600 } as Attributes, done)),
    close: (handle) => nothing((done) => raw.close(handle, done)),
    read: (handle, at, length) =>
      ask<Buffer>((done) => {
        const into = Buffer.allocUnsafe(length)
        raw.read(handle, into, 0, length, at, (fault: unknown, count: number) => (fault && codeOf(fault) !== status.eof ? done(fault) : done(undefined, into.subarray(0, fault ? 0 : count))))
      }),
    write: (handle, at, bytes) => nothing((done) => raw.write(handle, bytes as Buffer, 0, bytes.length, at, done)),
    truncate: (handle, length) => nothing((done) => raw.fsetstat(handle, { size: length } as Attributes, done)),
    chmod: (path, mode) => nothing((done) => raw.setstat(path, { mode } as Attributes, done)),
    chmodOpen: (handle, mode) => nothing((done) => raw.fsetstat(handle, { mode } as Attributes, done)),
    mkdir: (path, mode) => nothing((done) => raw.mkdir(path, { mode } as Attributes, done)),
    symlink: (target, path) => nothing((done) => raw.symlink(target, path, done)),
    unlink: (path) => nothing((done) => raw.unlink(path, done)),
    link: (from, to) => nothing((done) => raw.rename(from, to, done)),
    rename: (from, to) => nothing((done) => raw.ext_openssh_rename(from, to, done)),
  }
}

async function opened(login: Login): Promise<Session> {
  const pending = new Set<() => void>()
  let over = false
  // It may end without its connection, and what is asked after that is answered by nobody. Told once for all: what waits for the end of each would be held for as long as the connection lives.
  const end = () => {
    if (over) return
    over = true
    sessions.delete(login)
    for (const tell of pending) tell()
  }
  const raw = await login.sftp(end)
  login.ended.then(end).catch(() => undefined)
  return {
    raw,
    pending,
    get over() {
      return over
    },
  }
}

export const codeOf = (fault: unknown): number | undefined => (fault instanceof Error && 'code' in fault && typeof fault.code === 'number' ? fault.code : undefined)

/** A refusal of the server, and no fault of the way to it. */
const isAnswer = (fault: unknown): boolean => codeOf(fault) !== undefined || fault instanceof TtError

const broken = (cause?: unknown) => (cause instanceof TtError ? cause : new TtError({ code: 'unavailable', message: 'the connection to the guest broke while its files were moved' }, cause))
