import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync } from 'node:fs'
import { get } from 'node:http'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { httpCloud } from '../src/api/client.ts'
import { nodeTransport } from '../src/api/node-transport.ts'
import { realWorld } from '../src/base/world.ts'
import type { Cloud } from '../src/model/cloud.ts'
import type { Ground } from './bench.ts'
import { root } from './machine.ts'

/** A server as a program of its own, and a client of it in this process that keeps its connections. */
export interface Server extends AsyncDisposable {
  pid: number
  port: number
  token: string
  cloud: Cloud
  /** For `tt` and `ttserver` as programs of their own. */
  env: NodeJS.ProcessEnv
}

let nextPort = 9527

export interface Starting {
  program?: string[]
  flags?: string[]
  /** Of a server that ran before, whose things it goes on with. */
  place?: { port: number; dir: string }
}

/** Starts one and waits until it answers. Disposing it takes away everything of it. */
export async function startServer(ground: Ground, { program = [join(root, 'ttserver')], flags = [], place = newPlace(ground) }: Starting = {}): Promise<Server> {
  const { port, dir } = place
  const env = { ...plainEnv(dir), TT_SERVER: `127.0.0.1:${port}`, TT_DATA_DIR: join(dir, 'data'), TT_CONFIG: join(dir, 'config.json') }
  const log = join(dir, 'server.log')
  const [first = '', ...before] = program
  const child = spawn(first, [...before, '--serv-port', String(port), '--log-path', log, '--rate-limit=0', ...flags], { env, stdio: 'ignore' })
  let unstartable: Error | undefined
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()).once('error', (fault) => ((unstartable = fault), resolve())))
  await using starting = new AsyncDisposableStack()
  starting.defer(async () => {
    child.kill('SIGTERM')
    await ended
    spawnSync(join(root, 'ttserver'), ['down', '--destroy', '--serv-port', String(port), ...flags], { env })
  })
  await answers(port, { child, log, signal: ground.signal, fault: () => unstartable })
  const token = readFileSync(join(dir, 'data', 'token'), 'utf8').trim()
  const transport = starting.use(nodeTransport())
  const cloud = httpCloud(`http://127.0.0.1:${port}`, { token, world: realWorld, ...transport })
  const running = starting.move()
  return { pid: child.pid ?? 0, port, token, cloud, env, [Symbol.asyncDispose]: () => running.disposeAsync() }
}

/** Where a server will be: a port and a directory that others may pass through, as VMs run as users of their own. */
export function newPlace(ground: Ground): { port: number; dir: string } {
  const dir = mkdtempSync(join(ground.dir, 'server-'))
  spawnSync('chmod', ['755', dir])
  return { port: nextPort++, dir }
}

/** An environment without settings of ours, except where the machine's images lie. */
export function plainEnv(home: string): NodeJS.ProcessEnv {
  const { PATH, TT_IMAGE_CACHE } = process.env
  return { PATH, HOME: home, LANG: 'C.UTF-8', ...(TT_IMAGE_CACHE === undefined ? {} : { TT_IMAGE_CACHE }) }
}

async function answers(port: number, { child, log, signal, fault }: { child: ChildProcess; log: string; signal: AbortSignal; fault: () => Error | undefined }): Promise<void> {
  for (let tries = 0; tries < 1200; tries++) {
    if (await pings(port)) return
    const why = fault()
    if (why) throw why
    if (child.exitCode !== null || child.signalCode !== null) throw new Error(`the server ended: ${existsSync(log) ? readFileSync(log, 'utf8').slice(-2000) : 'it said nothing'}`)
    await sleep(50, undefined, { signal })
  }
  throw new Error('the server does not answer within a minute')
}

const pings = (port: number) =>
  new Promise<boolean>((resolve) => {
    get({ host: '127.0.0.1', port, path: '/ping', agent: false }, (response) => {
      response.resume()
      response.once('end', () => resolve(response.statusCode === 200))
    }).once('error', () => resolve(false))
  })
