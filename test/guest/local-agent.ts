import assert from 'node:assert/strict'
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { realWorld } from '../../src/base/world.ts'
import { silentLog } from '../../src/base/log.ts'
import type { ChannelUnderTest } from '../../src/drivers/channel/channel.contract.ts'
import { guestOf } from '../../src/drivers/channel/ground.ts'
import { rexec } from '../../src/drivers/channel/rexec/rexec.ts'

const sources = join(import.meta.dirname, '../../guest/agent')
const builds = join(import.meta.dirname, '../../build/test')
const flags = {
  plain: ['-static', '-O2', '-D_FORTIFY_SOURCE=2', '-fstack-protector-strong'],
  sanitized: ['-O1', '-g', '-fsanitize=address,undefined', '-fno-sanitize-recover=all', '-fno-omit-frame-pointer'],
}

/** The agent of this checkout, built if its source has changed; sanitized, any fault of memory ends it with a report. */
function agentBinary(kind: keyof typeof flags): string {
  const files = readdirSync(sources).filter((name) => /\.[ch]$/.test(name)).sort()
  const hash = createHash('sha256').update(flags[kind].join(' '))
  for (const name of files) hash.update(name).update(readFileSync(join(sources, name)))
  const binary = join(builds, `agent-${kind}-${hash.digest('hex').slice(0, 16)}`)
  if (existsSync(binary)) return binary
  mkdirSync(builds, { recursive: true })
  for (const old of readdirSync(builds)) if (old.startsWith(`agent-${kind}-`)) rmSync(join(builds, old))
  const args = ['-Wall', '-Wextra', '-Werror', ...flags[kind], '-o', `${binary}.new`, ...files.filter((name) => name.endsWith('.c')).map((name) => join(sources, name))]
  execFileSync('gcc', args, { stdio: ['ignore', 'inherit', 'inherit'] })
  renameSync(`${binary}.new`, binary)
  return binary
}

/** A real agent on this machine: without rights where we have some, in a directory of its own. */
export interface LocalAgent extends AsyncDisposable {
  readonly process: ChildProcess
  readonly dir: string
  /** What it said to people. */
  said(): string
  /** Ends it and checks that it had no fault; also by disposing. */
  end(): Promise<void>
}

/** How an agent is started: `launcher` does it, in a namespace of its own for instance. */
interface AgentStart {
  extra?: 'pipe'[]
  prepare?: (dir: string) => void
  launcher?: (dir: string) => string[]
  asRoot?: boolean
}

/** With these words. */
export async function localAgent(kind: keyof typeof flags, args: (dir: string) => string[], { extra = [], prepare, launcher, asRoot = false }: AgentStart = {}): Promise<LocalAgent> {
  const binary = agentBinary(kind)
  const dir = mkdtempSync(join(tmpdir(), 'tt-agent-test-'))
  const identity = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {}
  if (identity.uid !== undefined) chownSync(dir, identity.uid, identity.gid)
  chmodSync(dir, 0o700)
  const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', HOME: dir, ASAN_OPTIONS: 'exitcode=99:detect_stack_use_after_return=0', UBSAN_OPTIONS: 'print_stacktrace=1' }
  prepare?.(dir)
  const [program = binary, ...words] = [...(launcher?.(dir) ?? []), binary, ...args(dir)]
  const child = spawn(program, words, { cwd: dir, env, stdio: ['ignore', 'ignore', 'pipe', ...extra], ...(asRoot ? {} : identity) })
  let said = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-20_000)))
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  let ending: Promise<void> | undefined
  const end = async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM')
    await ended
    rmSync(dir, { recursive: true, force: true })
    assert.ok(child.exitCode === 0 || child.signalCode === 'SIGTERM', `the agent ended with ${child.exitCode ?? child.signalCode}:\n${said}`)
    assert.doesNotMatch(said, /Sanitizer|runtime error/)
  }
  return { process: child, dir, said: () => said, end: () => (ending ??= end()), [Symbol.asyncDispose]: () => (ending ??= end()) }
}

/** An agent on one stream that lasts as long as it does, as a virtio port lasts as long as its guest. */
export async function streamAgent(kind: keyof typeof flags): Promise<LocalAgent & { stream: Duplex }> {
  const agent = await localAgent(kind, () => ['--fd', '3'], { extra: ['pipe'] })
  const stream = agent.process.stdio[3] as unknown as Duplex
  stream.on('error', () => undefined)
  return { ...agent, stream, end: agent.end }
}

/** An agent that takes calls on a socket, and a channel to it. */
export async function calledAgent(kind: keyof typeof flags, started: AgentStart = {}): Promise<ChannelUnderTest & { agent: LocalAgent; dial: () => Promise<Socket>; interrupt(): void }> {
  const agent = await localAgent(kind, (dir) => ['--unix', join(dir, 'socket')], started)
  let last: Socket | undefined
  const dial = () => {
    const { promise, resolve, reject } = Promise.withResolvers<Socket>()
    const socket = connect(join(agent.dir, 'socket'))
    last = socket
    socket.once('error', reject)
    socket.once('connect', () => resolve(socket))
    return promise
  }
  const channel = rexec(guestOf({ id: 'local', dial, world: realWorld, log: silentLog }))
  return {
    agent,
    channel,
    dial,
    interrupt: () => void last?.destroy(),
    async [Symbol.asyncDispose]() {
      await channel[Symbol.asyncDispose]()
      await agent.end()
    },
  }
}
