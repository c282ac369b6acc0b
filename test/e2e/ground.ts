import assert from 'node:assert/strict'
import { type ChildProcess, execFile, execFileSync, spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** Runs the test file `url` again in a network namespace of its own, where `suite` then runs: nothing touches the network of the machine. */
export async function inNamespace(url: string, suite: () => void | Promise<void>): Promise<void> {
  if (process.env['TT_TEST_NAMESPACE'] === url) {
    execFileSync('ip', ['link', 'set', 'lo', 'up'])
    return suite()
  }
  const { status, stderr, error } = spawnSync('unshare', ['--net', 'true'], { encoding: 'utf8' })
  if (status !== 0) {
    test(fileURLToPath(url), { skip: `no network namespace can be made here: ${error?.message ?? stderr.trim()}` }, () => undefined)
    return
  }
  const ran = spawnSync('unshare', ['--net', process.execPath, fileURLToPath(url)], { stdio: 'inherit', env: { ...process.env, TT_TEST_NAMESPACE: url } })
  process.exitCode = ran.status ?? 1
}

export interface Said {
  code: number
  stdout: string
  stderr: string
}

/** A server as a program of its own, and the client beside it, as people use them. */
export interface ServerGround extends AsyncDisposable {
  dir: string
  port: number
  /** Starts it and waits until it answers. */
  start(env?: Record<string, string>): Promise<void>
  /** Starts it and does not wait: for one that will be killed, or fail. */
  launch(env?: Record<string, string>): ChildProcess
  /** Ends it and waits for its end. */
  stop(signal?: NodeJS.Signals): Promise<void>
  /** Waits until the process that was started is gone. */
  gone(): Promise<void>
  tt(...args: string[]): Promise<Said>
  json(...args: string[]): Promise<unknown>
  /** Of the server that was started last. */
  pid(): number
  /** The letters that name its things on the machine. */
  mark(): string
  log(): string
}

let nextPort = 18_100 + (process.pid % 500) * 10

export function serverGround(flags: string[] = []): ServerGround {
  const dir = mkdtempSync(join(tmpdir(), 'tt-e2e-'))
  spawnSync('chmod', ['755', dir])
  const port = nextPort++
  const data = join(dir, 'data')
  const env = { ...process.env, TT_SERVER: `127.0.0.1:${port}`, TT_DATA_DIR: data, TT_CONFIG: join(dir, 'config.json') }
  let child: ChildProcess | undefined
  let ended: Promise<unknown> = Promise.resolve()
  const logPath = join(dir, 'server.log')
  const log = () => (existsSync(logPath) ? readFileSync(logPath, 'utf8') : '')
  const launch = (more: Record<string, string> = {}) => {
    child = spawn(join(root, 'ttserver'), ['--serv-port', String(port), '--log-path', logPath, ...flags], { env: { ...env, ...more }, stdio: 'ignore' })
    ended = new Promise((resolve) => child?.once('exit', resolve))
    return child
  }
  const tt = (...args: string[]) =>
    new Promise<Said>((resolve) => {
      execFile(join(root, 'tt'), args, { env, maxBuffer: 64 << 20, timeout: process.env['TT_SOAK'] === '1' ? 1_800_000 : 120_000 }, (fault, stdout, stderr) => resolve({ code: fault ? Number(fault.code ?? 255) : 0, stdout, stderr }))
    })
  return {
    dir,
    port,
    launch,
    log,
    pid: () => child?.pid ?? assert.fail('no server was started'),
    tt,
    async start(more) {
      const started = launch(more)
      for (let tries = 0; tries < 600; tries++) {
        if ((await fetch(`http://127.0.0.1:${port}/ping`).catch(() => undefined))?.ok) return
        if (started.exitCode !== null || started.signalCode !== null) throw new Error(`the server ended: ${log().slice(-2000)}`)
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
      throw new Error(`the server does not answer: ${log().slice(-2000)}`)
    },
    async stop(signal = 'SIGTERM') {
      child?.kill(signal)
      await ended
    },
    gone: async () => void (await ended),
    async json(...args) {
      const said = await tt(...args, '--json')
      assert.equal(said.code, 0, said.stderr)
      return JSON.parse(said.stdout)
    },
    mark: () => /"mark":"([a-z0-9]{5})"/.exec(log())?.[1] ?? assert.fail('the server did not say its mark'),
    async [Symbol.asyncDispose]() {
      child?.kill('SIGTERM')
      await ended
      spawnSync(join(root, 'ttserver'), ['down', '--destroy', '--serv-port', String(port), ...flags], { env })
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

/** Everything on the machine with this server's mark in its name, found by this function alone: no code of the server's. */
export function traces(mark: string, dataDir: string): string[] {
  const found: string[] = []
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    const line = read(`/proc/${pid}/cmdline`).replaceAll('\0', ' ')
    if (line.includes(`tt-${mark}-`)) found.push(`process ${pid}: ${line.slice(0, 80)}`)
  }
  const links = JSON.parse(execFileSync('ip', ['-j', 'link'], { encoding: 'utf8' })) as { ifname: string }[]
  found.push(...links.filter(({ ifname }) => ifname.startsWith(`tt${mark}`)).map(({ ifname }) => `link ${ifname}`))
  const nft = JSON.parse(execFileSync('nft', ['-j', 'list', 'ruleset'], { encoding: 'utf8' })) as { nftables: { map?: NftSet; set?: NftSet }[] }
  for (const { map, set } of nft.nftables) for (const one of [map, set]) if (one?.table.includes(mark) && one.elem?.length) found.push(`nft ${one.name}: ${JSON.stringify(one.elem)}`)
  for (const dir of cgroupDirs(mark)) found.push(`cgroup ${dir}`)
  for (const line of read('/proc/self/mountinfo').split('\n')) if (line.includes(dataDir)) found.push(`mount ${line}`)
  for (const kind of ['engine', 'volume']) {
    for (const driver of list(join(dataDir, kind))) for (const name of list(join(dataDir, kind, driver))) found.push(`file ${kind}/${driver}/${name}`)
  }
  return found
}

interface NftSet {
  table: string
  name: string
  elem?: unknown[]
}

/** Directories of VMs below `tt-<mark>` in any cgroup hierarchy. */
export function cgroupDirs(mark: string): string[] {
  const mounts = read('/proc/self/mountinfo')
    .split('\n')
    .filter((line) => / - cgroup2? /.test(line))
    .map((line) => line.split(' ')[4] ?? '')
  return mounts.flatMap((mount) => {
    const dir = join(mount, `tt-${mark}`)
    return list(dir).filter((name) => existsSync(join(dir, name, 'cgroup.procs'))).map((name) => join(dir, name))
  })
}

const list = (dir: string) => (existsSync(dir) ? readdirSync(dir) : [])

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

export interface ShownEnv {
  envs: { name: string; phase: string; vms: { name: string; index: number; state: string; pid?: number; ip?: string; ports: Record<string, number> }[] }[]
}
