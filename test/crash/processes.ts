import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { httpCloud } from '../../src/api/client.ts'
import { nodeTransport } from '../../src/api/node-transport.ts'
import type { Cloud } from '../../src/model/cloud.ts'
import { serverGround } from '../e2e/ground.ts'
import type { Ground } from './play.ts'
import type { Wish } from './wish.ts'

export interface ProcessGround extends Ground, AsyncDisposable {
  dataDir: string
  /** Ends the server in order. */
  end(): Promise<void>
}

export interface ProcessOptions {
  flags: string[]
  /** What lies in the data directory before the first server is started. */
  fill?: (dataDir: string) => void
  wish?: Wish
  /** What is not as wished on the machine, one line each; asked again and again. */
  judge(ground: { dataDir: string; mark(): string }, wish: Wish, nowMs: number): string[]
}

/** Servers as processes of their own, which end by SIGKILL at their fate and are spoken to over HTTP. Time is the real one. */
export function processGround({ flags, fill, wish = new Map(), judge }: ProcessOptions): ProcessGround {
  const server = serverGround(flags)
  const dataDir = join(server.dir, 'data')
  fill?.(dataDir)
  const transport = nodeTransport()
  let child: ReturnType<typeof server.launch> | undefined
  let exited: Promise<void> = Promise.resolve()
  let dead = true
  let cloud: Cloud | undefined

  /** The journal's lines of the present life: each has its number. */
  const journal = () => {
    const lines = read(join(dataDir, 'journal.ndjson')).split('\n').slice(0, -1).map((line) => JSON.parse(line) as { n: number; kind: string; verb: string; subject: string })
    return lines.slice(lines.findLastIndex(({ n }) => n === 1))
  }
  const pings = async () => (await fetch(`http://127.0.0.1:${server.port}/ping`).catch(() => undefined))?.ok === true

  return {
    dataDir,
    end: () => server.stop(),
    wish,
    get dead() {
      return dead
    },
    async death() {
      await exited
      const last = journal().at(-1)
      return last ? `${last.verb} ${last.kind} ${last.subject}` : 'before its first effect'
    },
    async drop() {
      if (!dead) child?.kill('SIGKILL')
      await exited
    },
    effects: () => journal().length,
    now: () => Date.now(),
    ticks: () => performance.now(),
    wait: (ms) => Promise.race([sleep(ms), exited]),
    async begin(fate) {
      // Without a fate commits are counted too, and nothing comes of it.
      const started = server.launch({ TT_CRASH_AT: fate ? `${fate.at}:${fate.side}` : '0:before' })
      child = started
      dead = false
      exited = server.gone().then(() => {
        dead = true
      })
      for (const endMs = performance.now() + 30_000; !(await pings()); await sleep(20)) {
        if (performance.now() > endMs) throw new Error(`the server does not answer: ${server.log().slice(-2000)}`)
        if (dead && started.signalCode !== 'SIGKILL') throw new Error(`the server did not start: ${server.log().slice(-2000)}`)
        if (dead) return false
      }
      cloud = httpCloud(`http://127.0.0.1:${server.port}`, { token: read(join(dataDir, 'token')).trim(), ...transport })
      return true
    },
    cloud() {
      if (!cloud) throw new Error('no server was begun')
      return cloud
    },
    async drive<T>(work: Promise<T>) {
      const heard = await Promise.race([work.then((answer) => ({ answer }), (fault: unknown) => ({ fault })), exited.then(() => undefined)])
      if (heard && 'answer' in heard) return heard
      await Promise.race([exited, sleep(1000)]) // A connection may break a moment before the process is known to be gone.
      if (dead) return undefined
      throw heard?.fault
    },
    async until(wishes, limitMs) {
      for (const endMs = performance.now() + limitMs; ; await Promise.race([sleep(50), exited])) {
        const faults = wishes.map((one) => judge({ dataDir, mark: server.mark }, one, Date.now()))
        const at = faults.findIndex((one) => one.length === 0)
        if (at >= 0) return wishes[at]
        if (dead) return undefined
        if (performance.now() >= endMs) throw new Error(`not so after ${limitMs} ms: ${faults.map((one) => one.slice(0, 8).join('; ')).join(' | or: ')}\n${server.log().slice(-2000)}`)
      }
    },
    async [Symbol.asyncDispose]() {
      if (!dead) child?.kill('SIGKILL')
      await exited
      transport[Symbol.dispose]()
      await server[Symbol.asyncDispose]()
    },
  }
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
