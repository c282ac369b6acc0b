import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { bashWords } from './candidates.ts'
import { entries } from './commands.ts'
import { scripts } from './commands/completion.ts'
import { rehearse, type Stage } from './rehearsal.ts'
import { envOf, hostOf, imageOf, vmOf } from './specimens.ts'

/** The words that may follow these, as the table of commands has them. */
const nextOf = (lead: string) => [...new Set(entries.filter(({ words }) => words.startsWith(lead)).map(({ words }) => words.slice(lead.length).split(' ')[0]))]

const task: NonNullable<Stage['task']>[number] = { kind: 'task', name: 't1a2', uid: 't', revision: '1', owner: 'ann', created: '2026-01-01T00:00:00.000Z', spec: { verb: 'stop', subject: 'env/demo', limitSeconds: 9 } }
const stage: Stage = { vm: [vmOf('demo.0'), vmOf('demo.7'), vmOf('web.0'), vmOf('web.1')], host: [hostOf('h1')], task: [task], env: [envOf('demo'), envOf('data'), envOf('web')], image: [imageOf('micro'), imageOf('qemu:centos-7'), imageOf('evil`id`')] }

const cases: [line: string, candidates: string][] = [
  ['', nextOf('').join(' ')],
  ['env ', nextOf('env ').join(' ')],
  ['tas', 'task'],
  ['env l', 'list listall logs'],
  ['env show ', 'demo data web'],
  ['env del demo d', 'demo data'],
  ['-q env run w', 'web'],
  ['env shell d', 'demo data'],
  ['env shell web.', 'web.0 web.1'],
  ['env run demo web.1', 'web.1'],
  ['env run demo --via=r', '--via=rexec'],
  ['env add x -s m', 'micro'],
  ['env add x --os-prefix=m', '--os-prefix=micro'],
  ['env add x -s micro,q', 'micro,qemu:centos-7'],
  ['env add x --d', '--dup-each --disk-size --deny-outgoing --deny --deadline'],
  ['env add x -C ', ''],
  ['env add x -s ce', 'centos-7'],
  ['env add x --flavor m1.s', 'm1.small'],
  ['env add x --at-end ', 'delete stop'],
  ['env add x --at-end=s', '--at-end=stop'],
  ['env add x --host ', 'h1'],
  ['env update web -m ', '0 1'],
  ['env update web demo --kick-vm 0,', '0,0 0,1 0,7'],
  ['env update -C 2 web --kick-vm ', '0 1'],
  ['env update web --peer d', 'demo data'],
  ['env export ', 'demo data web'],
  ['task wait ', 't1a2'],
  ['task wait t1a2 ', 't1a2'],
  ['task list d', 'demo data'],
  ['task list demo ', ''],
  ['task list --state f', 'failed'],
  ['settings cl', 'clientId'],
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

/** A directory with a program `tt` that has some names to offer, where a shell finds it. */
function place(): { dir: string; env: Record<string, string> } & Disposable {
  const dir = mkdtempSync(join(tmpdir(), 'tt-cli-'))
  writeFileSync(join(dir, 'tt'), '#!/bin/sh\n[ "$1 $3" = "__complete --" ] || exit 9\nshift 3\necho "$*" >>asked\nprintf "%s\\n" micro minor\n')
  chmodSync(join(dir, 'tt'), 0o755)
  return { dir, env: { PATH: `${dir}:/usr/bin:/bin`, HOME: dir, TERM: 'dumb' }, [Symbol.dispose]: () => rmSync(dir, { recursive: true }) }
}

test('fish completes with the script', (t) => {
  using ground = place()
  writeFileSync(join(ground.dir, 'tt.fish'), scripts.fish)
  const { error, stdout, stderr } = spawnSync('fish', ['--no-config', '-c', "source tt.fish; complete -C 'tt env add x -s mi'"], { cwd: ground.dir, env: ground.env, encoding: 'utf8' })
  if (error) return t.skip(`there is no fish here: ${error.message}`)
  assert.deepEqual([stdout, stderr, readFileSync(join(ground.dir, 'asked'), 'utf8')], ['micro\nminor\n', '', 'env add x -s mi\n'])
})

/** Drives a zsh as a person does: the line is typed, Tab is pressed, and what stands there is read. */
const driver = `zmodload zsh/zpty
zpty -b z zsh -f -i
take() { out=; repeat 100; do zpty -r -t z chunk && out+=$chunk; [[ $out == *$1* ]] && return; sleep 0.1; done; return 1 }
zpty -w z 'PS1=; autoload -U compinit; compinit -u -d dump; source ./tt.zsh; print READ''Y'
take READY && zpty -n -w z $'tt env show mic\t' && take micro && print -r -- completed
zpty -d z
`

test('zsh completes with the script', (t) => {
  using ground = place()
  writeFileSync(join(ground.dir, 'tt.zsh'), scripts.zsh)
  const { error, stdout, stderr } = spawnSync('zsh', ['-f', '-c', driver], { cwd: ground.dir, env: ground.env, encoding: 'utf8', timeout: 30_000 })
  if (error && 'code' in error && error.code === 'ENOENT') return t.skip(`there is no zsh here: ${error.message}`)
  assert.deepEqual([stdout, readFileSync(join(ground.dir, 'asked'), 'utf8')], ['completed\n', 'env show mic\n'], stderr)
})

test('a shell that has no script is named with those that have', async () => {
  const { err, status } = await rehearse('completion tcsh')
  assert.deepEqual([err, status], ['tt: there is no completion for "tcsh" (invalid)\n  there is one for bash, zsh, fish\n', 2])
})
