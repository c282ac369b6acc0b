import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { parseCommand } from '../base/arguments.ts'
import { realWorld } from '../base/world.ts'
import { adminToken, markOf, placeOf } from './home.ts'
import { serverCommands } from './server-commands.ts'
import { serverSettings } from './server-settings.ts'

const withDir = (work: (dir: string) => void) => {
  const dir = mkdtempSync(join(tmpdir(), 'tt-home-'))
  try {
    work(join(dir))
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}
const command = serverCommands.find(({ words }) => words === '')
const dataDirOf = (...args: string[]) => serverSettings(parseCommand(command ?? assert.fail('no command'), args, []).given ?? assert.fail('it was refused'), {}, () => undefined).dataDir

test('however a data directory is written, it is one: start, down and doctor give things one mark', () => {
  for (const written of ['/tmp/tt-x/', '/tmp/./tt-x', '/tmp/y/../tt-x']) assert.equal(dataDirOf('--data-dir', written), '/tmp/tt-x')
  assert.equal(dataDirOf('--data-dir', 'tt-x'), join(process.cwd(), 'tt-x'))
})

test('a server that moves to another port keeps its mark', () =>
  withDir((dir) => {
    const mark = markOf('127.0.0.1', 9527, dir)
    placeOf(dir, mark, {})
    assert.equal(markOf('127.0.0.1', 9999, dir), mark)
    assert.equal(placeOf(dir, mark, {}).mark, mark)
  }))

test('a token whose making was cut short is made anew; one that is damaged is not replaced', () =>
  withDir((dir) => {
    const file = join(dir, 'token')
    writeFileSync(file, '')
    const token = adminToken(dir, realWorld)
    assert.match(token, /^[0-9a-f]{64}$/)
    assert.equal(statSync(file).mode & 0o777, 0o600)
    assert.equal(adminToken(dir, realWorld), token)
    writeFileSync(file, 'short')
    assert.throws(() => adminToken(dir, realWorld), /holds no token/)
  }))
