import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeSync } from 'node:fs'
import { argv, env, execPath } from 'node:process'
import { it } from 'node:test'
import { silentLog } from '../base/log.ts'
import { manualWorld } from '../base/manual-world.ts'
import { realWorld } from '../base/world.ts'
import { sqliteStore } from './sqlite.ts'
import type { Store } from './store.ts'
import { put } from './under-test.ts'

const writers = 4
const open = (dir: string) => sqliteStore({ dir, world: realWorld, log: silentLog })

/** The other process: every writer counts up in commits of several keys and says each number once it was acknowledged. */
async function victim(dir: string): Promise<void> {
  const store = await open(dir)
  const count = async (by: number) => {
    for (let at = (((await store.get(`left/${by}`))?.value as number) ?? 0) + 1; ; at++) {
      await store.commit([put(`left/${by}`, at), put(`log/${by}/${at}`, 'x'.repeat(at % 3000)), put(`right/${by}`, at)])
      writeSync(1, `${by} ${at}\n`)
    }
  }
  await Promise.all(Array.from({ length: writers }, (_, by) => count(by)))
}

/** Runs the victim, kills it `afterMs` after its first word, and returns the last number each writer was told. */
async function killed(dir: string, afterMs: number): Promise<number[]> {
  const child = spawn(execPath, [import.meta.filename, 'victim', dir], { stdio: ['ignore', 'pipe', 'inherit'] })
  let said = ''
  child.stdout.setEncoding('utf8').on('data', (piece) => {
    if (said === '') setTimeout(() => child.kill('SIGKILL'), afterMs)
    said += piece
  })
  await new Promise((resolve) => child.once('close', resolve))
  assert.equal(child.signalCode, 'SIGKILL')
  const lines = said.split('\n').slice(0, -1).map((line) => line.split(' ').map(Number))
  return Array.from({ length: writers }, (_, by) => lines.filter(([writer]) => writer === by).at(-1)?.[1] ?? 0)
}

async function checkWhole(store: Store, acknowledged: number[]): Promise<void> {
  let commits = 0
  for (const [by, told] of acknowledged.entries()) {
    const reached = ((await store.get(`left/${by}`))?.value as number) ?? 0
    assert.ok(reached >= told, `writer ${by} was told ${told}, and the store has ${reached}`)
    assert.equal((await store.get(`right/${by}`))?.value ?? 0, reached, 'half a commit')
    const log = (await store.list(`log/${by}/`)).items
    assert.equal(log.length, reached)
    for (const { key, value } of log) assert.equal((value as string).length, Number(key.split('/')[2]) % 3000)
    commits += reached
  }
  assert.equal((await store.list('')).revision, commits)
}

if (argv[2] === 'victim') await victim(argv[3]!)
else {
  const rounds = env.TT_SOAK === '1' ? 300 : 10
  it(`keeps every acknowledged commit, and none in part, when its process is killed ${rounds} times`, async (t) => {
    const dir = mkdtempSync('/tmp/tt-store-kill-')
    t.after(() => rmSync(dir, { recursive: true }))
    const dice = manualWorld(20)
    let last = 0
    for (let round = 0; round < rounds; round++) {
      const acknowledged = await killed(dir, dice.random(1)[0]! / 2)
      const store = await open(dir)
      await checkWhole(store, acknowledged)
      const total = acknowledged.reduce((sum, one) => sum + one, 0)
      assert.ok(total > last, 'the victim got on')
      last = total
      await store[Symbol.asyncDispose]()
    }
    t.diagnostic(`${last} commits`)
  })
}
