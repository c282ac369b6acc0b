import { createConnection, type Socket } from 'node:net'
import type { Client as SshClient, ClientChannel, ClientErrorExtensions, PseudoTtyOptions, SFTPWrapper } from 'ssh2'
import { fail, TtError } from '../../../model/errors.ts'
import { gate } from '../../../base/queue.ts'
import type { Guest } from '../channel.ts'
import { posix } from '../shell-text.ts'
import type { World } from '../../../base/world.ts'
import type { HostKey } from './host-key.ts'

/** One connection to a guest's server of ssh, logged in. */
export interface Login {
  /** Commands that run over it, and how many may: fewer once the server has refused one more. */
  busy: number
  room: number
  /** Why it ended, once it has. */
  readonly ended: Promise<string>
  /** It has ended, or is being ended. */
  readonly over: boolean
  /** It takes no commands any more, though it stands: another is to be used. */
  worn: boolean
  /** Opens a channel with a command. */
  exec(text: string, how?: Begin): Promise<ClientChannel>
  /** Opens a channel with the subsystem of files; `ended` is told when it ends, however that comes. */
  sftp(ended: () => void): Promise<SFTPWrapper>
  /** Runs a few words of our own for a POSIX shell, to their end, beside the commands that are counted. */
  aside(text: string): Promise<void>
  /** Asks what starts nothing and waits for the answer, whatever it is; rejects if the connection ends first. */
  ask(): Promise<void>
  end(): void
}

export interface Begin {
  pty?: PseudoTtyOptions
  /** Is told of the channel before anything is heard on it: its end may come together with its beginning. */
  begun?: (channel: ClientChannel) => void
}

/** A guest whose processor is emulated takes seconds for a login, and more while it boots. */
const patienceMs = 20_000
const connectMs = 5000
/**
 * Of the ten channels that OpenSSH opens for a connection (MaxSessions) some are left for files and for what ends a command. Dropbear (2022.83) mixes up
 * commands of one connection: while one ends it may close another that has just been asked for.
 */
const roomOf = (greeting: string): number => (/^SSH-2\.0-dropbear/i.test(greeting) ? 1 : 7)
/** What is left of the ten beside commands and files. */
const asideAtOnce = 2
const mostTries = 4
/** A channel that was closed is counted until the server has looked at that. */
const mostTriesFull = 7
const againMs = 5
/** What a server says by itself: three of these without an answer, and the guest is gone. */
const keepalive = { keepaliveInterval: 10_000, keepaliveCountMax: 3 }
/** Everything that a key of this type may sign with: https://www.rfc-editor.org/rfc/rfc8332 */
const signing: Record<string, string[]> = { 'ssh-rsa': ['rsa-sha2-512', 'rsa-sha2-256', 'ssh-rsa'] }

/** Enters the guest as root with the key of its ENV, and nothing else: no agent, no password, nobody's files. Refuses with `denied` a guest whose host key is another than before. */
export async function login(guest: Guest, hostKey: HostKey, signal: AbortSignal): Promise<Login> {
  const at = guest.address(22) ?? fail('unsupported', 'port 22 of this guest is not reached from its host', { remedy: 'make its ENV with `-p 22`' })
  const { Client } = (await import('ssh2').catch((fault: unknown) => fail('unsupported', 'the library ssh2 is not installed beside this server', { remedy: 'install tt anew', cause: fault }))).default
  const { privateKey } = await guest.sshKey({ signal })
  const socket = await connected(at, signal)
  const client = new Client()
  let room = 1
  socket.once('data', (piece: Buffer) => (room = roomOf(piece.toString('latin1', 0, 64))))
  const { promise, resolve, reject } = Promise.withResolvers<Login>()
  const { promise: ended, resolve: setEnded } = Promise.withResolvers<string>()
  let over = false
  let ending = false
  let lastFault = 'the connection to the guest broke'
  let strange = false
  const end = () => {
    ending = true
    client.end()
    // A guest that is frozen would never close its side.
    guest.world.after(1000, () => socket.destroy())
  }
  const abort = () => socket.destroy()
  client.on('error', (fault: Error & ClientErrorExtensions) => {
    lastFault = fault.message
    if (strange) return reject(hostKey.refusal())
    const denied = fault.level === 'client-authentication'
    reject(new TtError({ code: denied ? 'denied' : 'unavailable', message: denied ? "the guest's root does not let the key of its ENV in" : `the guest speaks no ssh that can be understood: ${fault.message}` }, fault))
    socket.destroy()
  })
  socket.on('close', () => {
    over = true
    signal.removeEventListener('abort', abort)
    reject(new TtError({ code: 'unavailable', message: lastFault }))
    setEnded(lastFault)
  })
  client.on('ready', () => {
    signal.removeEventListener('abort', abort)
    const beside = gate(asideAtOnce)
    const made: Login = {
      busy: 0,
      room,
      worn: false,
      ended,
      end,
      get over() {
        return over || ending
      },
      async exec(text, how = {}) {
        try {
          return await opened(() => asked(client, text, how), { world: guest.world, isOver: () => over })
        } catch (fault) {
          made.worn ||= isUnasked(fault)
          throw fault
        }
      },
      sftp: (ended) => opened(() => filesOf(client, ended), { world: guest.world, isOver: () => over }),
      aside: (text) => beside.pass(async () => closedOf(await made.exec(posix(text)))),
      ask: () =>
        new Promise((resolve, reject) => {
          const broken = () => reject(new TtError({ code: 'unavailable', message: 'the connection to the guest broke' }))
          if (made.over) return broken()
          try {
            // To end a forwarding that never was. It is answered by the library itself when the connection ends.
            client.unforwardIn('127.0.0.1', 1, () => (over ? broken() : resolve()))
          } catch {
            broken() // It is not connected any more.
          }
        }),
    }
    resolve(made)
  })
  signal.addEventListener('abort', abort, { once: true })
  if (signal.aborted) abort()
  const known = hostKey.type
  client.connect({
    sock: socket,
    username: 'root',
    privateKey,
    authHandler: ['publickey'],
    readyTimeout: patienceMs,
    ...keepalive,
    ...(known === undefined ? {} : { algorithms: { serverHostKey: { prepend: signing[known] ?? [known], append: [], remove: [] } as never } }),
    hostVerifier: (key: Buffer) => {
      strange = !hostKey.check(key)
      return !strange
    },
  })
  return promise
}

async function connected(at: { host: string; port: number }, signal: AbortSignal): Promise<Socket> {
  const socket = createConnection({ ...at, noDelay: true, timeout: connectMs })
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  socket.once('connect', resolve).on('error', reject)
  socket.once('timeout', () => socket.destroy(new Error(`no answer within ${connectMs / 1000} s`)))
  const abort = () => socket.destroy(new Error('the channel was closed'))
  signal.addEventListener('abort', abort, { once: true })
  if (signal.aborted) abort()
  try {
    await promise
  } catch (fault) {
    fail('unavailable', `port 22 of the guest does not answer: ${(fault as Error).message}`, { cause: fault })
  } finally {
    signal.removeEventListener('abort', abort)
  }
  socket.setTimeout(0)
  return socket
}

/**
 * Dropbear (2022.83) closes a new channel now and then while others end, before it has looked at what is asked of it: nothing was begun then,
 * and it is asked again. Sometimes it goes on so for as long as the connection lasts.
 */
async function opened<T>(ask: () => Promise<T>, { world, isOver }: { world: World; isOver: () => boolean }): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await ask()
    } catch (fault) {
      // The library says the same of a command that was asked for when its connection ended.
      if (isUnasked(fault) && isOver()) throw new TtError({ code: 'unavailable', message: 'the connection to the guest broke as the command was begun: whether it had an effect is not known' }, fault)
      const again = isUnasked(fault) ? tries < mostTries : isFull(fault) && tries < mostTriesFull
      if (!again || isOver()) throw fault
      await world.sleep(againMs * 2 ** tries)
    }
  }
}

const isUnasked = (fault: unknown): boolean => fault instanceof Error && /^(Unable to (exec|request a pseudo|start subsystem)|Channel is not open)/.test(fault.message)
/** Whether the server has opened no channel, as it has as many as it allows over this connection. */
export const isFull = (fault: unknown): boolean => fault instanceof Error && 'reason' in fault && typeof fault.reason === 'number' && fault.message.startsWith('(SSH) Channel open failure')

const asked = (client: SshClient, text: string, { pty, begun }: Begin): Promise<ClientChannel> =>
  new Promise((resolve, reject) => {
    try {
      client.exec(text, pty ? { pty } : {}, (fault, channel) => {
        if (fault) return reject(fault)
        // A stream without a listener for its errors would end the server.
        channel.on('error', () => undefined)
        channel.stderr.on('error', () => undefined)
        begun?.(channel)
        resolve(channel)
      })
    } catch (fault) {
      reject(fault) // It is not connected any more.
    }
  })

const filesOf = (client: SshClient, ended: () => void): Promise<SFTPWrapper> =>
  new Promise((resolve, reject) => {
    try {
      client.sftp((fault, files) => {
        if (fault) return reject(fault)
        // What breaks it breaks its requests, which tell.
        files.on('error', () => undefined).on('end', ended).on('close', ended)
        resolve(files)
      })
    } catch (fault) {
      reject(fault)
    }
  })

/** Takes what the command says until its channel is closed. */
const closedOf = (channel: ClientChannel): Promise<void> =>
  new Promise((resolve) => {
    channel.once('close', () => resolve())
    channel.resume().stderr.resume()
    channel.end()
  })
