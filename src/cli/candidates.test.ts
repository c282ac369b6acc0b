import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { bashWords } from './candidates.ts'
import { scripts } from './commands/completion.ts'
import { rehearse, type Stage } from './rehearsal.ts'
import { envOf, imageOf } from './specimens.ts'

const stage: Stage = { env: [envOf('demo'), envOf('data'), envOf('web')], image: [imageOf('micro'), imageOf('qemu:centos-7'), imageOf('evil`id`')] }

const cases: [line: string, candidates: string][] = [
  ['', 'config status env image doctor completion'],
  ['e', 'env'],
  ['env ', 'add list listall show run logs console stop start update del'],
  ['env l', 'list listall logs'],
  ['env show ', 'demo data web'],
  ['env del demo d', 'demo data'],
  ['-q env run w', 'web'],
  ['env add x -s m', 'micro'],
  ['env add x --os-prefix=m', '--os-prefix=micro'],
  ['env add x -s micro,q', 'micro,qemu:centos-7'],
  ['env add x --d', '--dup-each --disk-size --deny-outgoing --deadline'],
  ['env add x -C ', ''],
  ['image show q', 'qemu:centos-7'],
  ['image show e', ''],
  ['completion ', 'bash zsh fish'],
  ['--j', '--json'],
  ['env run demo -- d', ''],
  ['nonsense x', ''],
]
for (const [line, candidates] of cases)
  test(`completes: tt ${line}`, async () => {
    const { out, err, status } = await rehearse(['__complete', 'fish', '--', ...line.split(' ')], stage)
    assert.deepEqual([out.trim().split('\n').join(' '), err, status], [candidates, '', 0])
  })

test('bash gets what follows the last break of the word', async () => {
  const ask = async (line: string) => (await rehearse(['__complete', 'bash', '--', line], stage)).out.trim()
  assert.equal(await ask('./tt env add x --os-prefix=m'), 'micro')
  assert.equal(await ask('tt env add x -s qemu:c'), 'centos-7')
  assert.equal(await ask('tt env show "de'), 'demo')
  assert.equal(await ask('tt env show '), 'demo\ndata\nweb')
})

test('a line of bash is split as bash does', () => {
  assert.deepEqual(bashWords('tt  env run a -c "b  c" d\\ e \'f"g\''), ['env', 'run', 'a', '-c', 'b  c', 'd e', 'f"g'])
  assert.deepEqual(bashWords('tt env '), ['env', ''])
  assert.deepEqual(bashWords('tt'), [])
})

test('a server that does not answer, or a broken setting, completes nothing and says nothing', async () => {
  for (const more of [{ refusals: { 'env.list': [{ code: 'unavailable', message: 'no' } as const] } }, { config: '{' }]) {
    const { out, err, status } = await rehearse(['__complete', 'zsh', '--', 'env', 'show', ''], { ...stage, ...more })
    assert.deepEqual([out, err, status], ['', '', 0])
  }
})

test('the script of bash is one, and asks the program on the line', () => {
  const dir = mkdtempSync(join(tmpdir(), 'tt-cli-'))
  try {
    writeFileSync(join(dir, 'tt'), '#!/bin/sh\nprintf "%s\\n" "$3" "$4" micro\n')
    chmodSync(join(dir, 'tt'), 0o755)
    const drive = `${scripts.bash}\nCOMP_LINE='tt env show d rest'; COMP_POINT=13; _tt_complete tt; printf '%s|' "\${COMPREPLY[@]}"`
    assert.equal(spawnSync('bash', ['-n'], { input: scripts.bash, encoding: 'utf8' }).stderr, '')
    const { stdout, stderr } = spawnSync('bash', ['--norc', '--noprofile', '-c', drive], { env: { PATH: `${dir}:/usr/bin:/bin` }, encoding: 'utf8' })
    assert.deepEqual([stdout, stderr], ['--|tt env show d|micro|', ''])
  } finally {
    rmSync(dir, { recursive: true })
  }
})

for (const shell of ['zsh', 'fish'] as const)
  test(`the script of ${shell} is one`, (t) => {
    const { error, stderr } = spawnSync(shell, ['-n'], { input: scripts[shell], encoding: 'utf8' })
    if (error) return t.skip(`there is no ${shell} here`)
    assert.equal(stderr, '')
  })

test('a shell that has no script is named with those that have', async () => {
  const { err, status } = await rehearse('completion tcsh')
  assert.deepEqual([err, status], ['tt: there is no completion for "tcsh" (invalid)\n  there is one for bash, zsh, fish\n', 2])
})
