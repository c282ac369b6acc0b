import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'

const launchers = join(import.meta.dirname, '../launch')
const program = 'console.log(JSON.stringify({ args: process.argv.slice(2), file: import.meta.filename, cache: process.env.NODE_COMPILE_CACHE }))'
let dir: string

/** A place with the launchers, and programs that say how they were started. */
function place(path: string, kind: 'checkout' | 'package'): string {
  const root = join(dir, path)
  const [folder, ending] = kind === 'checkout' ? ['src/bin', 'ts'] : ['dist/bin', 'js']
  mkdirSync(join(root, folder), { recursive: true })
  cpSync(launchers, join(root, 'launch'), { recursive: true })
  writeFileSync(join(root, 'package.json'), '{ "type": "module" }')
  for (const name of ['tt', 'ttserver', 'ttproxy']) writeFileSync(join(root, folder, `${name}.${ending}`), program)
  if (kind === 'checkout') {
    mkdirSync(join(root, '.cache'))
    mkdirSync(join(root, '.tools'))
    symlinkSync(process.execPath, join(root, '.tools/node'))
    symlinkSync('launch/tt', join(root, 'tt'))
  }
  return root
}

function launch(command: string, args: string[], env: Record<string, string> = {}, cwd = '/') {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd, encoding: 'utf8', env: { PATH: '/usr/bin:/bin', HOME: join(dir, 'home'), ...env } })
  return { status, stderr, said: stdout === '' ? undefined : (JSON.parse(stdout) as { args: string[]; file: string; cache?: string }) }
}

/** A directory whose `node` has this version, as far as it is asked for it. */
function nodeOf(version: string): string {
  const bin = mkdtempSync(join(dir, 'bin-'))
  writeFileSync(join(bin, 'node'), `#!/bin/sh\n[ "$1" != --version ] || { echo ${version} >>${bin}/asked; echo ${version}; exit; }\nexec ${process.execPath} "$@"\n`)
  chmodSync(join(bin, 'node'), 0o755)
  // Older than what is remembered of it, as one that was installed: files of one tick of the kernel's clock are of one age.
  utimesSync(join(bin, 'node'), 1_700_000_000, 1_700_000_000)
  return bin
}

before(() => {
  dir = mkdtempSync(join(tmpdir(), 'tt-launch-'))
  mkdirSync(join(dir, 'home'))
})
after(() => rmSync(dir, { recursive: true }))

test('a checkout is found however its launcher is called, and arguments arrive as they are', () => {
  const root = place('a checkout', 'checkout')
  symlinkSync(join(root, 'tt'), join(dir, 'link'))
  const expected = { args: ['a  b', '', '$x', '*'], file: join(root, 'src/bin/tt.ts') }
  for (const [command, cwd] of [[join(root, 'tt'), '/'], ['./tt', root], ['launch/tt', root], ['./tt', join(root, 'launch')], [join(dir, 'link'), '/']] as const) {
    const { said, stderr } = launch(command, expected.args, {}, cwd)
    assert.deepEqual({ args: said?.args, file: said?.file }, expected, `${command} in ${cwd}: ${stderr}`)
    assert.match(said?.cache ?? '', /^\/.*\.cache\/node$/)
  }
  assert.deepEqual(launch('tt', ['x'], { PATH: `${root}:/usr/bin:/bin` }).said?.file, expected.file)
})

test('`tt up` and `tt down` are done by the program of the server, and only as first word', () => {
  const root = place('words', 'checkout')
  const fileOf = (...args: string[]) => launch(join(root, 'tt'), args).said
  assert.deepEqual(fileOf('up', '--demo'), { args: ['up', '--demo'], file: join(root, 'src/bin/ttserver.ts'), cache: join(root, '.cache/node') })
  assert.equal(fileOf('down')?.file, join(root, 'src/bin/ttserver.ts'))
  assert.equal(fileOf('env', 'up')?.file, join(root, 'src/bin/tt.ts'))
  assert.equal(launch(join(root, 'launch/ttproxy'), ['up']).said?.file, join(root, 'src/bin/ttproxy.ts'))
})

test('an installed package takes the first Node of 24 or newer, and asks it for its version once', () => {
  const root = place('project/node_modules/tt-cloud', 'package')
  const [old, fresh] = [nodeOf('v20.20.2'), nodeOf('v24.1.0')]
  mkdirSync(join(root, '../.bin'))
  symlinkSync('../tt-cloud/launch/tt', join(root, '../.bin/tt'))
  const env = { PATH: `${old}:${fresh}:/usr/bin:/bin`, XDG_CACHE_HOME: join(dir, 'xdg') }
  for (let times = 0; times < 3; times++) {
    const { said, stderr } = launch(join(root, '../.bin/tt'), ['x'], env)
    assert.deepEqual(said, { args: ['x'], file: join(root, 'dist/bin/tt.js'), cache: join(dir, 'xdg/tt/node') }, stderr)
  }
  assert.equal(spawnSync('cat', [join(fresh, 'asked')], { encoding: 'utf8' }).stdout, 'v24.1.0\n')
})

test('without a new enough Node it says what is missing and how to get it', () => {
  const old = nodeOf('v22.9.0')
  const { status, stderr, said } = launch(join(place('bare', 'package'), 'launch/ttserver'), [], { PATH: `${old}:/usr/bin:/bin`, XDG_CACHE_HOME: join(dir, 'empty') })
  assert.equal(said, undefined)
  assert.equal(status, 1)
  assert.match(stderr, /^ttserver: Node 24 or newer is needed.*\n {2}Try: npm install/)
})
