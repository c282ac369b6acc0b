import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readdirSync, readFileSync, realpathSync, rmdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { machineLayout } from '../../src/base/cgroups.ts'
import { processOf } from '../../src/base/processes.ts'
import { run } from '../../src/base/run.ts'
import { randomHex, realWorld } from '../../src/base/world.ts'
import { testOptions } from '../../src/drivers/engine/qemu/guests.ts'

const { launcher } = testOptions
const root = mkdtempSync(join(tmpdir(), 'tt-launcher-'))
after(() => rmSync(root, { recursive: true, force: true }))
const isRoot = process.getuid?.() === 0
const needsRoot = isRoot ? false : 'only root can give up rights'
const launch = (...argv: string[]) => run([launcher, ...argv])

test('the program gets its arguments, its own session, the directory, and no way to gain rights', async () => {
  const script = 'printf "%s|" "$@"; pwd; umask; grep -E "^(NoNewPrivs)" /proc/self/status; ulimit -c; ulimit -n; echo $$; cut -d" " -f6 /proc/$$/stat; cat /proc/self/oom_score_adj'
  const { code, stdout } = await launch('--dir', root, '--nofile', '77', '--oom-score-adj', '500', '--', 'sh', '-c', script, 'sh', 'a b', '$HOME', '')
  const lines = stdout.trim().split('\n')
  assert.equal(code, 0)
  assert.deepEqual(lines.slice(0, 5), [`a b|$HOME||${realpathSync(root)}`, '0077', 'NoNewPrivs:\t1', '0', '77'])
  assert.equal(lines[5], lines[6], 'it leads its session')
  assert.equal(lines[7], '500')
})

test('no open file but three reaches the program', async () => {
  const extra = openSync(join(root, 'open'), 'w')
  const child = spawn(launcher, ['--', 'sh', '-c', 'ls /proc/$$/fd'], { stdio: ['ignore', 'pipe', 'inherit', extra, extra] })
  const text = await new Promise((resolve) => child.stdout?.once('data', (bytes) => resolve(String(bytes))))
  closeSync(extra)
  assert.equal(text, '0\n1\n2\n')
})

test('as another user it keeps no group and no capability', { skip: needsRoot }, async () => {
  const { code, stdout } = await launch('--uid', '61234', '--gid', '61235', '--', 'sh', '-c', 'grep -E "^(Uid|Gid|Groups|Cap)" /proc/self/status')
  assert.equal(code, 0)
  const none = '0000000000000000'
  assert.deepEqual(
    Object.fromEntries(stdout.trim().split('\n').map((line) => line.split(/:\s*/, 2))),
    { Uid: '61234\t61234\t61234\t61234', Gid: '61235\t61235\t61235\t61235', Groups: '', CapInh: none, CapPrm: none, CapEff: none, CapBnd: none, CapAmb: none },
  )
})

test('the pid file is whole before the program runs, private, and never another’s', async () => {
  const file = join(root, 'pid')
  const child = spawn(launcher, ['--pid-file', file, '--cookie', 'c00kie', '--', 'sh', '-c', `cat ${file}; stat -c %a ${file}; read line`])
  let said = ''
  for await (const bytes of child.stdout.iterator({ destroyOnReturn: false })) if ((said += String(bytes)).split('\n').length > 2) break
  const self = processOf(child.pid ?? 0)
  const text = `${child.pid} ${self?.startTime} c00kie\n`
  assert.equal(said, `${text}600\n`)
  const second = await launch('--pid-file', file, '--cookie', 'other', '--', 'echo', 'runs')
  assert.deepEqual([second.code, second.stdout], [126, ''])
  assert.match(second.stderr, /^launcher: cannot make .*pid: File exists\n$/)
  assert.equal(readFileSync(file, 'utf8'), text)
  assert.deepEqual(readdirSync(root).filter((name) => name.startsWith('pid.')), [])
  child.stdin.end()
  await new Promise((resolve) => child.once('exit', resolve))
})

test('it joins cgroups', { skip: needsRoot }, async () => {
  const name = `tt-${randomHex(realWorld, 4)}`
  const { v1, v2 } = machineLayout()
  const dirs = [...v1, ...(v2 ? [v2] : [])].map(({ dir }) => join(dir, name))
  for (const dir of dirs) mkdirSync(dir)
  const { stdout } = await launch(...dirs.flatMap((dir) => ['--cgroup', dir]), '--', 'sh', '-c', 'cat /proc/$$/cgroup')
  assert.equal(stdout.split('\n').filter((line) => line.endsWith(`/${name}`)).length, dirs.length)
  for (const dir of dirs) rmdirSync(dir)
})

test('what cannot be done is one line and 126', async () => {
  writeFileSync(join(root, 'plain'), '')
  const wrong: [string[], RegExp][] = [
    [[], /no program/],
    [['--'], /no program/],
    [['--dir'], /--dir needs a value/],
    [['--frob', 'x', '--', 'true'], /--frob is not an option/],
    [['--uid', 'root', '--gid', '0', '--', 'true'], /root is not a number/],
    [['--uid', '1', '--', 'true'], /--uid and --gid need each other/],
    [['--nofile', '-1', '--', 'true'], /-1 is not a number/],
    [['--pid-file', join(root, 'p'), '--', 'true'], /--pid-file and --cookie/],
    [['--pid-file', join(root, 'none/pid'), '--cookie', 'x', '--', 'true'], /cannot write .*none/],
    [['--pid-file', join(root, 'long'), '--cookie', 'x'.repeat(600), '--', 'true'], /cookie is too long/],
    [['--cgroup', join(root, 'none'), '--', 'true'], /cannot write .*none\/cgroup.procs: No such file/],
    [['--dir', join(root, 'plain'), '--', 'true'], /cannot enter .*plain: Not a directory/],
    [['--tap', 'tt-none', '--', 'true'], /there is no tap tt-none|cannot open .dev.net.tun/],
    [['--', join(root, 'none')], /cannot run .*none: No such file/],
  ]
  for (const [argv, says] of wrong) {
    const { code, stdout, stderr } = await launch(...argv)
    assert.deepEqual([code, stdout], [126, ''], argv.join(' '))
    assert.match(stderr, says)
    assert.match(stderr, /^launcher: [^\n]+\n$/)
  }
  assert.equal(existsSync(join(root, 'p')), false)
})

test('the rate of the time stamp counter is the same each time, and the kernel’s where it tells', async () => {
  const rates = []
  for (let count = 0; count < 3; count++) rates.push(Number((await launch('--tsc-khz')).stdout))
  assert(Math.max(...rates) - Math.min(...rates) < Math.min(...rates) / 1000, rates.join(' '))
  const kernels = /tsc: (?:Detected|Refined TSC clocksource calibration:) (\d+)\.(\d{3}) MHz/.exec((await run(['dmesg'])).stdout)
  if (kernels) assert(Math.abs(Number(`${kernels[1]}${kernels[2]}`) - (rates[0] ?? 0)) < (rates[0] ?? 0) / 1000, `${kernels[0]} against ${rates[0]} kHz`)
})
