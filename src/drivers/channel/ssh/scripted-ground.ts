import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import type { AddressInfo, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import ssh2, { type Connection, type ServerChannel, type SFTPWrapper } from 'ssh2'
import { silentLog } from '../../../base/log.ts'
import { realWorld } from '../../../base/world.ts'
import type { Guest } from '../channel.ts'
import { guestOf } from '../ground.ts'

/** A command that a guest's server is asked for. */
export interface Asked {
  /** How many were asked for before. */
  nth: number
  text: string
  /** What the header of the command is to begin with; none in words of our own. */
  mark?: string
  /** Takes it; the channel is the server's side. */
  take(): ServerChannel
  refuse(): void
  /** Sends all that `work` says in one piece. */
  together(work: () => void): void
  /** Ends the connection as a guest does that is gone. */
  breakOff(): void
}

export interface ScriptedGround extends AsyncDisposable {
  guest: Guest
  /** Commands that were asked for. */
  readonly asked: string[]
}

/** A server of the library ssh2 that does what the test says, where no real one could be brought to it. `request` is a question that starts nothing. */
export async function scriptedGround({ exec, request, files }: { exec?: (asked: Asked) => void; request?: (answer: () => void, breakOff: () => void) => void; files?: (sftp: SFTPWrapper, end: () => void) => void }): Promise<ScriptedGround> {
  const [host, user] = [newKey(), newKey()]
  const dir = mkdtempSync(join(tmpdir(), 'tt-scripted-'))
  const clients = new Set<Connection>()
  const asked: string[] = []
  const server = new ssh2.Server({ hostKeys: [host] }, (client) => {
    const socket = (client as unknown as { _sock: Socket })._sock
    const breakOff = () => void socket.destroy()
    clients.add(client)
    client.on('error', () => undefined)
    client.on('authentication', (context) => context.accept())
    client.on('request', (_, reject) => (request ?? ((answer) => answer()))(() => reject?.(), breakOff))
    client.on('session', (accept) => {
      const session = accept()
      session.on('exec', (take, refuse, { command }) => {
        asked.push(command)
        exec?.({
          nth: asked.length - 1,
          text: command,
          mark: /tt-[0-9a-f]{24}/.exec(command)?.[0],
          take,
          refuse: () => refuse(),
          together(work) {
            socket.cork()
            work()
            realWorld.after(1, () => socket.uncork())
          },
          breakOff,
        })
      })
      session.on('sftp', (take) => {
        const sftp = take()
        files?.(sftp, () => (sftp as unknown as { end(): void }).end())
      })
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    asked,
    guest: guestOf({
      id: 'scripted.0',
      world: realWorld,
      log: silentLog,
      dial: () => Promise.reject(new Error('nothing to dial')),
      address: () => ({ host: '127.0.0.1', port }),
      sshKey: async () => ({ privateKey: user, publicKey: '(any is let in)' }),
      dir: async () => dir,
    }),
    async [Symbol.asyncDispose]() {
      for (const client of clients) client.end()
      server.close()
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

/** Not by the library's own generator: some of its ed25519 keys it cannot read again. */
const newKey = (): string => generateKeyPairSync('ec', { namedCurve: 'P-256', privateKeyEncoding: { type: 'sec1', format: 'pem' }, publicKeyEncoding: { type: 'spki', format: 'pem' } }).privateKey
