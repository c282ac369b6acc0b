import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'

const root = join(import.meta.dirname, '..')
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }
const dir = mkdtempSync(join(tmpdir(), 'tt-install-'))
const prefix = join(dir, 'prefix')
/** A package as npm unpacks it: beside it what it needs. */
const tree = join(dir, 'node_modules/tt-cloud')
const home = join(dir, 'home')
const port = String(18_000 + (process.pid % 900))
/** No Node and nobody else's settings. */
const env = { PATH: '/usr/bin:/bin:/usr/sbin:/sbin', HOME: home, TT_CONFIG: join(home, 'config.json'), TT_SERV_PORT: port, TT_DATA_DIR: join(dir, 'data/own') }
const run = (program: string, ...args: string[]) => spawnSync(program, args, { env, encoding: 'utf8', cwd: '/', timeout: 120_000 })
const install = (...args: string[]) => run('sh', join(tree, 'script/install'), '--prefix', prefix, ...args)
const installed = join(prefix, 'lib/node_modules/tt-cloud')
const uninstall = (...args: string[]) => run('sh', join(installed, 'script/uninstall'), ...args)
const everything = (below: string) => readdirSync(below, { recursive: true, encoding: 'utf8' }).sort()
const ok = ({ status, stdout, stderr }: { status: number | null; stdout: string; stderr: string }) => {
  assert.equal(status, 0, stdout + stderr)
  return stdout
}

before(() => {
  mkdirSync(join(tree, 'build'), { recursive: true })
  mkdirSync(home)
  const built = spawnSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '--project', join(root, 'tsconfig.build.json'), '--noCheck', '--outDir', join(tree, 'dist')], { encoding: 'utf8', cwd: root })
  assert.equal(built.status, 0, built.stdout)
  for (const part of ['launch', 'guest', 'native', 'images', 'script', 'package.json', 'build/native', 'build/guest']) cpSync(join(root, part), join(tree, part), { recursive: true, verbatimSymlinks: true })
  for (const name of readdirSync(join(root, 'node_modules')).filter((one) => !one.startsWith('.'))) symlinkSync(join(root, 'node_modules', name), join(dir, 'node_modules', name))
  symlinkSync(join(process.execPath, '../..'), join(dir, 'node_modules/node'))
})
after(() => {
  spawnSync(join(prefix, 'bin/ttserver'), ['down', '--destroy', '--engine', 'fake'], { env })
  rmSync(dir, { recursive: true, force: true })
})

describe('L09: installed under a prefix', { timeout: 300_000 }, () => {
  const offline = spawnSync('unshare', ['--net', 'true']).status === 0

  test('L09: it installs without a network, says what it does, and what it installed runs', () => {
    const args = ['sh', join(tree, 'script/install'), '--prefix', prefix]
    const said = ok(offline ? run('unshare', '--net', ...args) : run(args[0] ?? '', ...args.slice(1)))
    for (const what of ['program', 'commands', 'completion', 'service', 'done']) assert.match(said, new RegExp(`^ *${what}`, 'm'))
    assert.equal(ok(run(join(prefix, 'bin/tt'), '--version')), `tt ${version}\n`)
    assert.equal(ok(run(join(prefix, 'bin/ttserver'), '--version')), `ttserver ${version}\n`)
    assert.match(readFileSync(join(prefix, 'share/bash-completion/completions/tt'), 'utf8'), /^complete .* tt/m)
    for (const file of ['share/zsh/site-functions/_tt', 'share/fish/vendor_completions.d/tt.fish']) assert.match(readFileSync(join(prefix, file), 'utf8'), /__complete/)
    assert.ok(!existsSync(join(installed, 'node_modules/typescript')), 'only what it needs')
  })

  test('the unit is one that systemd takes', (context) => {
    const unit = process.getuid?.() === 0 ? join(prefix, 'lib/systemd/system/ttserver.service') : join(prefix, 'share/systemd/user/ttserver.service')
    const text = readFileSync(unit, 'utf8')
    assert.ok(text.includes(`Environment=TT_SERVER_CONFIG=${prefix}/etc/tt/ttserver.json\nExecStart=${prefix}/bin/ttserver\n`), text)
    assert.doesNotMatch(text, /@[A-Z]+@/)
    const verified = spawnSync('systemd-analyze', ['verify', unit], { encoding: 'utf8' })
    if (verified.error) return context.skip(`systemd-analyze is not here: ${verified.error.message}`)
    assert.deepEqual([verified.status, verified.stderr], [0, ''])
  })

  test('it may be repeated, and leaves the same', () => {
    const files = everything(prefix)
    ok(install())
    assert.deepEqual(everything(prefix), files)
  })

  test('a server runs from there, and keeps the program from being taken away under it', async () => {
    const server = spawn(join(prefix, 'bin/ttserver'), ['--engine', 'fake', '--serv-port', port], { env, stdio: ['ignore', 'ignore', 'pipe'] })
    const gone = new Promise((resolve) => server.once('exit', resolve))
    let said = ''
    server.stderr.on('data', (text: Buffer) => (said += String(text)))
    for (let tries = 0; !said.includes('"message":"serving"'); tries++) {
      assert.ok(tries < 200 && server.exitCode === null, said)
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    const tt = (...args: string[]) => run(join(prefix, 'bin/tt'), '--server', `127.0.0.1:${port}`, ...args)
    ok(tt('env', 'add', 'mine', '-s', 'micro'))
    assert.match(ok(tt('env', 'list')), /mine +ready/)
    const refused = uninstall()
    server.kill('SIGTERM')
    await gone
    assert.equal(refused.status, 1)
    assert.match(refused.stderr, /a ttserver of this installation runs, process \d+\n {2}stop it first/)
    assert.ok(existsSync(join(prefix, 'bin/tt')))
  })

  test('L09: taken away, nothing is left but the data; installed again, that is there', () => {
    const said = ok(uninstall())
    assert.match(said, /is gone, with its commands/)
    assert.ok(!existsSync(prefix), everything(dir).filter((path) => path.startsWith('prefix')).join('\n'))
    assert.ok(existsSync(join(dir, 'data/own/store')))
    ok(install())
    assert.match(run(join(prefix, 'bin/ttserver'), 'settings').stdout, new RegExp(`dataDir +${join(dir, 'data/own')}`))
  })

  test('what others have put beside it stays', () => {
    writeFileSync(join(prefix, 'bin/other'), '')
    ok(uninstall('--purge', '--data-home', join(dir, 'data')))
    assert.deepEqual(everything(prefix), ['bin', 'bin/other'])
    assert.ok(!existsSync(join(dir, 'data')), 'and --purge takes the data')
  })

  test('what is missing or wrong is one line and a remedy, and nothing is done', () => {
    const other = join(dir, 'other')
    const cases: [string[], number, RegExp][] = [
      [['script/install', '--prefx', other], 2, /--prefx is not understood/],
      [['script/install', '--prefix'], 2, /needs a value/],
      [['script/install', '--prefix', `${other} two`], 1, /has letters that do not go into a unit/],
      [['script/uninstall', '--prefix', other], 1, /there is no such prefix/],
      [['script/uninstall', '--prefix', dir], 1, /was not installed in .* by script\/install/],
      [['script/uninstall', '--data-home', dir], 2, /goes with --purge/],
    ]
    for (const [[script = '', ...args], status, says] of cases) {
      const ran = run('sh', join(tree, script), ...args)
      assert.equal(ran.status, status, ran.stderr)
      assert.match(ran.stderr, says)
    }
    rmSync(join(dir, 'node_modules/valibot'))
    assert.match(run('sh', join(tree, 'script/install'), '--prefix', other).stderr, /the npm package valibot, which it needs, is not here\n {2}run `npm ci/)
    assert.ok(!existsSync(other), 'what was begun is taken back')
    rmSync(join(tree, 'build/native/leash'))
    assert.match(run('sh', join(tree, 'script/install'), '--prefix', other).stderr, /there is no .*leash\n {2}run `script\/setup native`/)
    rmSync(join(tree, 'dist/bin/ttserver.js'))
    assert.match(run('sh', join(tree, 'script/install'), '--prefix', other).stderr, /the program is not built\n {2}run `npm run build`/)
    assert.ok(!existsSync(other))
  })
})
