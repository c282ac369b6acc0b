import { fork } from 'node:child_process'
import { mkdtempSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'
import { type Bench, type Ground, roundsOf } from './bench.ts'
import { amountFinding, type Finding } from './finding.ts'
import { inPairs, ticks } from './measure.ts'
import { driven } from './request-load.ts'
import { type Server, startServer } from './server.ts'

const seconds = 2
const envs = 64
const enough = ['--cpu-total', '1000000', '--mem-total', '1000000000', '--disk-total', '1000000000']

/** How many requests a server answers: reads beside a bare Node that sends the same bytes, durable changes beside the same number of commits in SQLite alone. */
export const apiRates: Bench = {
  name: 'api-rates',
  about: 'requests per second: reads, and changes that are on the disk when they are answered',
  async run(ground) {
    await using server = await startServer(ground, { flags: ['--engine', 'fake', ...enough] })
    const collection = server.cloud.collection('env')
    for (let at = 0; at < envs; at++) await collection.put(`e${at}`, { spec: { groups: [{ image: 'fake:micro', count: 1 }], lifetimeSeconds: null } })
    return [...(await reads(ground, server)), ...(await changes(ground, server))]
  },
}

async function reads(ground: Ground, { port, token }: Server): Promise<Finding[]> {
  const headers = { authorization: `Bearer ${token}` }
  const answer = await (await fetch(`http://127.0.0.1:${port}/v1/env/e1`, { headers })).text()
  await using bare = await bareServer(answer)
  const rate = (at: number) => driven({ port: at, connections: 16, seconds, request: () => ({ method: 'GET', path: '/v1/env/e1', headers }) })
  const pairs = await inPairs(ground, { ours: () => rate(port), peer: () => rate(bare.port) }, { rounds: roundsOf(ground, 5) })
  const ours = { what: 'GET /v1/env/X over 16 connections', unit: '/s', samples: pairs.ours } as const
  const peer = { what: 'a bare Node that sends the same bytes', unit: '/s', samples: pairs.peer } as const
  return [amountFinding({ name: 'API reads', better: 'more', step: 5000, goal: 10_000 }, ours, { peer })]
}

async function changes(ground: Ground, { port, token, env }: Server): Promise<Finding[]> {
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/merge-patch+json' }
  let count = 0
  const rate = () =>
    driven({ port, connections: envs, seconds, request: (connection) => ({ method: 'PATCH', path: `/v1/env/e${connection}`, headers, body: JSON.stringify({ spec: { lifetimeSeconds: 10_000 + (count++ % 10_000) } }) }) })
  const alone = () => Promise.resolve(commitsAlone(mkdtempSync(join(String(env['HOME']), 'sqlite-'))))
  const pairs = await inPairs(ground, { ours: rate, peer: alone }, { rounds: roundsOf(ground, 5) })
  const ours = { what: `PATCH of ${envs} ENVs over as many connections`, unit: '/s', samples: pairs.ours } as const
  const peer = { what: 'SQLite alone, one record a commit, each on the disk', unit: '/s', samples: pairs.peer } as const
  return [amountFinding({ name: 'durable changes', better: 'more', step: 1000, goal: 3000 }, ours, { peer })]
}

/** Commits per second that a disk takes, one after the other. */
function commitsAlone(dir: string): number {
  using database = new DatabaseSync(join(dir, 'peer.db')) as DatabaseSync & Disposable
  database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE record (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID')
  const put = database.prepare('INSERT OR REPLACE INTO record VALUES (?, ?)')
  const value = 'x'.repeat(700)
  const begun = ticks()
  let commits = 0
  while (ticks() - begun < seconds * 1000) put.run(`e${commits++ % envs}`, value)
  return commits / ((ticks() - begun) / 1000)
}

async function bareServer(answer: string): Promise<{ port: number } & AsyncDisposable> {
  const child = fork(fileURLToPath(new URL('bare-http.ts', import.meta.url)), [answer], { execArgv: ['--disable-warning=ExperimentalWarning'] })
  const port = await new Promise<number>((resolve, reject) => {
    child.once('message', (message) => resolve(message as number))
    child.once('exit', () => reject(new Error('the bare server ended')))
  })
  return {
    port,
    async [Symbol.asyncDispose]() {
      const ended = new Promise((resolve) => child.once('exit', resolve))
      child.kill('SIGKILL')
      await ended
    },
  }
}
