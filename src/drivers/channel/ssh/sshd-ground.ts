import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createConnection, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { silentLog } from '../../../base/log.ts'
import { run, runOk } from '../../../base/run.ts'
import { realWorld } from '../../../base/world.ts'
import type { Guest, SshKey } from '../channel.ts'
import { guestOf } from '../ground.ts'

/** OpenSSH's own server as an ordinary process on loopback, for tests of what speaks to it. */
export interface SshdGround extends AsyncDisposable {
  dir: string
  guest: Guest
  /** Breaks every connection there is. */
  interrupt(): void
  /** Nothing passes any more, and nothing breaks. */
  freeze(): void
  /** Has another host key from now on. */
  rekey(): Promise<void>
  stop(): Promise<void>
  start(): Promise<void>
}

/** Why it cannot run here, or false. */
export const noSshd: string | false =
  process.getuid?.() !== 0 ? 'only root can run a server of ssh that lets root in' : existsSync('/usr/sbin/sshd') && existsSync('/usr/bin/ssh-keygen') ? false : 'there is no /usr/sbin/sshd (packages openssh-server and openssh-client)'

export async function sshdGround({ lines = [] }: { lines?: string[] } = {}): Promise<SshdGround> {
  const dir = mkdtempSync(join(tmpdir(), 'tt-sshd-'))
  const user = await newKey(join(dir, 'user'))
  const port = await freePort()
  mkdirSync('/run/sshd', { recursive: true, mode: 0o755 })
  await newKey(join(dir, 'host'))
  writeFileSync(join(dir, 'authorized'), `${user.publicKey}\n`, { mode: 0o600 })
  const config = [...lines, `ListenAddress 127.0.0.1:${port}`, `HostKey ${dir}/host`, 'PidFile none', `AuthorizedKeysFile ${dir}/authorized`, 'UsePAM no', 'StrictModes no', 'PermitRootLogin prohibit-password', 'Subsystem sftp internal-sftp']
  writeFileSync(join(dir, 'config'), `${config.join('\n')}\n`)
  let server: { stop: AbortController; over: Promise<unknown> } | undefined
  const start = async () => {
    const stop = new AbortController()
    server = { stop, over: run(['/usr/sbin/sshd', '-D', '-e', '-f', join(dir, 'config')], { signal: stop.signal, timeoutMs: 0 }).catch(() => undefined) }
    for (let n = 0; n < 200 && !(await answers(port)); n++) await realWorld.sleep(25)
  }
  const stop = async () => {
    const one = server
    server = undefined
    one?.stop.abort()
    await one?.over
  }
  await start()
  const sockets = new Set<Socket>()
  let frozen = false
  const between = createServer((near) => {
    const far = createConnection({ port, host: '127.0.0.1' })
    for (const [from, to] of [[near, far], [far, near]] as const) {
      sockets.add(from)
      from.on('data', (piece) => frozen || to.write(piece) || (from.pause(), to.once('drain', () => from.resume())))
      from.on('error', () => undefined).on('end', () => to.end()).on('close', () => (sockets.delete(from), to.destroy()))
    }
  })
  await new Promise<void>((resolve) => between.listen(0, '127.0.0.1', resolve))
  const { port: reached } = between.address() as { port: number }
  return {
    dir,
    guest: guestOf({
      id: 'abcd.0',
      world: realWorld,
      log: silentLog,
      dial: () => Promise.reject(new Error('nothing to dial')),
      address: (inner) => (inner === 22 ? { host: '127.0.0.1', port: reached } : undefined),
      sshKey: async () => user,
      dir: async () => dir,
    }),
    interrupt: () => sockets.forEach((socket) => socket.destroy()),
    freeze: () => void (frozen = true),
    async rekey() {
      await stop()
      await newKey(join(dir, 'host'))
      sockets.forEach((socket) => socket.destroy())
      await start()
    },
    stop,
    start,
    async [Symbol.asyncDispose]() {
      sockets.forEach((socket) => socket.destroy())
      between.close()
      await stop()
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

async function newKey(path: string): Promise<SshKey> {
  rmSync(path, { force: true })
  await runOk(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', 'tt-test', '-f', path])
  return { privateKey: readFileSync(path, 'utf8'), publicKey: readFileSync(`${path}.pub`, 'utf8').trim() }
}

const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number }
      server.close(() => resolve(port))
    })
  })

const answers = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = createConnection({ port, host: '127.0.0.1' })
    socket.once('data', () => resolve(true)).once('error', () => resolve(false)).once('close', () => resolve(false))
    socket.once('data', () => socket.destroy())
  })
