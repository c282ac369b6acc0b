import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, writeSync } from 'node:fs'
import { argv, env, execPath } from 'node:process'
import { it } from 'node:test'
import { setTimeout } from 'node:timers/promises'
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
  const words = `${dir}/words` // A file and not a pipe: what was written to it is there, and it is never full.
  const fd = openSync(words, 'w')
  const child = spawn(execPath, [import.meta.filename, 'victim', dir], { stdio: ['ignore', fd, 'inherit'] })
  const ended = new Promise((resolve) => child.once('close', resolve))
  closeSync(fd)
  while (child.exitCode === null && statSync(words).size === 0) await setTimeout(2)
  await setTimeout(afterMs)
  child.kill('SIGKILL')
  await ended
  assert.equal(child.signalCode, 'SIGKILL')
  const lines = readFileSync(words, 'utf8').split('\n').slice(0, -1).map((line) => line.split(' ').map(Number))
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
    let told = Array<number>(writers).fill(0)
    for (let round = 0; round < rounds; round++) {
      const before = told
      told = (await killed(dir, dice.random(1)[0]! / 2)).map((now, by) => Math.max(now, before[by]!))
      assert.notDeepEqual(told, before, 'the victim got on')
      const store = await open(dir)
      await checkWhole(store, told)
      await store[Symbol.asyncDispose]()
    }
    t.diagnostic(`${told.reduce((sum, one) => sum + one)} commits acknowledged`)
  })
}
