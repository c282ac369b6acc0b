import assert from 'node:assert/strict'
import { chmodSync, existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { patternOf } from '../src/model/transfer.ts'
import type { Cloud } from '../src/model/cloud.ts'
import { calledOn, calledWith } from './command-line.ts'
import { type FakeCloudOptions, fakeCloud, temporaryDir } from './fake-cloud.ts'
import { readyEnv } from './transfer-ground.ts'

/** A cloud of fakes with ENVs of so many VMs, and a directory for the client's files. */
async function ground(envs: Record<string, number>, options: Partial<FakeCloudOptions> = {}) {
  await using building = new AsyncDisposableStack()
  const { dir } = building.use(temporaryDir('transfers'))
  const made = building.use(await fakeCloud({ dir: join(dir, 'server'), ...options }))
  for (const [name, count] of Object.entries(envs)) await readyEnv(made.cloud, name, count)
  const here = join(dir, 'client')
  mkdirSync(here)
  const stack = building.move()
  return { ...made, here, tt: (...args: string[]) => calledWith(made.cloud, ...args), [Symbol.asyncDispose]: () => stack.disposeAsync() }
}

interface Results {
  results: { vm: string; path: string; files: number; bytes: number; movedBytes: number; code?: number; problem?: { code: string } }[]
}
const resultsOf = (out: string) => (JSON.parse(out) as Results).results

describe('tt env push and get', () => {
  test('F11: a file goes to /tmp/NAME of each VM, with equal content and mode', async () => {
    await using at = await ground({ demo: 3 })
    const bytes = patternOf(700_000)
    writeFileSync(join(at.here, 'app.tar'), bytes)
    chmodSync(join(at.here, 'app.tar'), 0o750)
    const pushed = await at.tt('env', 'push', 'demo', '-f', join(at.here, 'app.tar'))
    assert.deepEqual([pushed.status, pushed.err], [0, ''])
    assert.match(pushed.out, /^VM +FILES +SIZE +MOVED +SECONDS +PATH\ndemo\.0 +1 +683\.6 KB +683\.6 KB +\d+\.\d +\/tmp\/app\.tar\ndemo\.1 /)
    const got = await at.tt('env', 'get', 'demo', '-f', '/tmp/app.tar', '--to', join(at.here, 'back'), '--json')
    assert.equal(got.status, 0, got.err)
    assert.deepEqual(resultsOf(got.out).map(({ vm, path, bytes: size, code }) => [vm, path, size, code]), [0, 1, 2].map((index) => [`demo.${index}`, join(at.here, 'back', `demo.${index}-app.tar`), bytes.length, 0]))
    for (const index of [0, 1, 2]) {
      const path = join(at.here, 'back', `demo.${index}-app.tar`)
      assert.ok(readFileSync(path).equals(bytes))
      assert.equal(statSync(path).mode & 0o777, 0o750)
    }
    assert.equal(readdirSync(join(at.here, 'back')).length, 3, 'nothing else is left')
  })

  test('F12: each VM has a local name of its own, and what is there is not overwritten unless that is said', async () => {
    await using at = await ground({ one: 1, two: 2 })
    writeFileSync(join(at.here, 'f'), 'first')
    assert.equal((await at.tt('env', 'push', 'one', 'two', '-f', join(at.here, 'f'))).status, 0)
    const to = join(at.here, 'got')
    assert.equal((await at.tt('env', 'get', 'one', 'two', '-f', '/tmp/f', '--to', to)).status, 0)
    assert.deepEqual(readdirSync(to).sort(), ['one.0-f', 'two.0-f', 'two.1-f'])
    writeFileSync(join(to, 'two.0-f'), 'mine')
    const refused = await at.tt('env', 'get', 'two', '-f', '/tmp/f', '--to', to)
    assert.equal(refused.status, 7)
    assert.match(refused.err, /two\.0-f is there already, and 1 more: nothing was fetched/)
    assert.equal(readFileSync(join(to, 'two.0-f'), 'utf8'), 'mine')
    assert.equal((await at.tt('env', 'get', 'two', '-f', '/tmp/f', '--to', to, '--overwrite')).status, 0)
    assert.equal(readFileSync(join(to, 'two.0-f'), 'utf8'), 'first')
    const single = await at.tt('env', 'get', 'one', '-f', '/tmp/f', '--to', join(at.here, 'named'))
    assert.equal(single.status, 0)
    assert.equal(readFileSync(join(at.here, 'named'), 'utf8'), 'first')
    writeFileSync(join(at.here, 'f'), 'second')
    const other = await at.tt('env', 'push', 'one', '-f', join(at.here, 'f'))
    assert.equal(other.status, 7, 'nor in a guest')
    assert.match(other.err, /^tt: one\.0: there is something else at \/tmp\/f already \(exists\)\n.*--overwrite .*\n$/)
  })

  test('[F03 F16] several ENVs, and the VMs of them that are meant', async () => {
    await using at = await ground({ one: 3, two: 2 })
    writeFileSync(join(at.here, 'f'), 'x')
    const reached = async (...args: string[]) => resultsOf((await at.tt('env', 'push', ...args, '-f', join(at.here, 'f'), '--json')).out).map(({ vm }) => vm)
    assert.deepEqual(await reached('one', 'two'), ['one.0', 'one.1', 'one.2', 'two.0', 'two.1'])
    assert.deepEqual(await reached('one', '-m', '0,2'), ['one.0', 'one.2'])
    assert.deepEqual(await reached('two', '-s', 'FAKE:mi', '-m', '9'), ['two.0', 'two.1'])
    for (const [args, status] of [[['none'], 6], [['one', '-m', '9'], 6], [['one', 'none'], 6]] as const) assert.equal((await at.tt('env', 'push', ...args, '-f', join(at.here, 'f'))).status, status)
    const got = await at.tt('env', 'get', 'one', 'two', '-m', '1', '-f', '/tmp/f', '--to', join(at.here, 'got'))
    assert.equal(got.status, 0, got.err)
    assert.deepEqual(readdirSync(join(at.here, 'got')).sort(), ['one.1-f', 'two.1-f'])
  })

  test('a directory goes and comes with all that is in it', async () => {
    await using at = await ground({ demo: 2 })
    const tree = join(at.here, 'site')
    mkdirSync(join(tree, 'sub', 'empty'), { recursive: true })
    writeFileSync(join(tree, 'sub', 'big'), patternOf(300_000))
    writeFileSync(join(tree, 'sub', 'run'), '#!/bin/sh\n')
    writeFileSync(join(tree, 'ä b'), '')
    chmodSync(join(tree, 'sub', 'run'), 0o555)
    chmodSync(join(tree, 'sub'), 0o700)
    symlinkSync('sub/big', join(tree, 'link'))
    assert.equal((await at.tt('env', 'push', 'demo', '-f', tree, '--to', '/root/www')).status, 0)
    const got = await at.tt('env', 'get', 'demo', '-f', '/root/www', '--to', join(at.here, 'got'))
    assert.equal(got.status, 0, got.err)
    for (const name of ['demo.0-www', 'demo.1-www']) {
      const back = join(at.here, 'got', name)
      const namesIn = (dir: string) => new Set(readdirSync(dir, { recursive: true, encoding: 'utf8' }))
      assert.deepEqual(namesIn(back), namesIn(tree))
      assert.ok(readFileSync(join(back, 'sub/big')).equals(patternOf(300_000)))
      assert.equal(readlinkSync(join(back, 'link')), 'sub/big')
      assert.deepEqual([statSync(join(back, 'sub')).mode & 0o777, statSync(join(back, 'sub/run')).mode & 0o777], [0o700, 0o555])
    }
    const again = await at.tt('env', 'push', 'demo', '-f', tree, '--to', '/root/www', '--json')
    assert.deepEqual(resultsOf(again.out).map(({ movedBytes }) => movedBytes), [0, 0], 'what is there is not sent again')
    assert.equal((await at.tt('env', 'get', 'demo', '-m', '0', '-f', '/root/www', '--to', join(at.here, 'got', 'demo.0-www'))).status, 0, 'into a directory that is there')
    assert.ok(existsSync(join(at.here, 'got', 'demo.0-www', 'www', 'sub', 'big')))
    writeFileSync(join(at.here, 'got', 'demo.0-www', 'www', 'mine'), 'mine')
    const over = ['env', 'get', 'demo', '-m', '0', '-f', '/root/www', '--to', join(at.here, 'got', 'demo.0-www')]
    assert.equal((await at.tt(...over)).status, 7)
    assert.equal((await at.tt(...over, '--overwrite')).status, 0)
    assert.equal(readFileSync(join(at.here, 'got', 'demo.0-www', 'www', 'mine'), 'utf8'), 'mine', 'what is only here stays')
  })

  test('a link leads where the guest would go, also below a linked directory and behind `..`', async () => {
    await using at = await ground({ demo: 1 })
    const tree = join(at.here, 'tree')
    mkdirSync(join(tree, 'real/deep'), { recursive: true })
    for (const [path, text] of [['data', 'wrong'], ['real/data', 'right']] as const) writeFileSync(join(tree, path), text)
    for (const [path, target] of [['short', 'real/deep'], ['real/deep/up', '../data'], ['real/deep/around', '../../short/../data']] as const) symlinkSync(target, join(tree, path))
    assert.equal((await at.tt('env', 'push', 'demo', '-f', tree, '--to', '/root/tree')).status, 0)
    const got = async (path: string) => {
      const { status, err } = await at.tt('env', 'get', 'demo', '-f', path, '--to', join(at.here, 'got'), '--overwrite')
      assert.equal(status, 0, err)
      return readFileSync(join(at.here, 'got'), 'utf8')
    }
    for (const path of ['short/up', 'short/around', 'short/../data', 'short/.././/data']) assert.equal(await got(`/root/tree/${path}`), 'right', path)
    assert.equal(await got('/root/tree/data'), 'wrong')
    writeFileSync(join(at.here, 'new'), 'new')
    assert.equal((await at.tt('env', 'push', 'demo', '-f', join(at.here, 'new'), '--to', '/root/tree/short/../new')).status, 0)
    assert.equal(await got('/root/tree/real/new'), 'new', 'a push means the same place')
    const nameless = await at.tt('env', 'push', 'demo', '-f', join(at.here, 'new'), '--to', '/root/tree/..')
    assert.deepEqual([nameless.status, /does not end in a name/.test(nameless.err)], [2, true])
  })

  test('what has no UTF-8 name, or a link to one, is not lost on the way: nothing is sent, and it is named', async () => {
    await using at = await ground({ demo: 1 })
    const tree = join(at.here, 'tree')
    mkdirSync(join(tree, 'sub'), { recursive: true })
    writeFileSync(join(tree, 'good'), 'x')
    const odd = Buffer.concat([Buffer.from(join(tree, 'sub/caf')), Buffer.of(0xe9)])
    const push = async () => {
      const { status, err } = await at.tt('env', 'push', 'demo', '-f', tree)
      assert.equal((await at.tt('env', 'get', 'demo', '-f', '/tmp/tree', '--to', join(at.here, 'got'))).status, status === 0 ? 0 : 6, 'nothing is there of what is refused')
      return [status, err]
    }
    writeFileSync(odd, 'x')
    assert.deepEqual(await push(), [2, `tt: ${join(tree, 'sub')} holds a name that is not UTF-8: $'caf\\xe9'; it cannot be sent as it is (invalid)\n  give it another name, or send the directory packed by \`tar c\`\n`])
    rmSync(odd)
    symlinkSync(Buffer.of(0x61, 0xff), join(tree, 'sub/link'))
    assert.deepEqual(await push(), [2, `tt: the link ${join(tree, 'sub/link')} leads to $'a\\xff', which is not UTF-8: it cannot be sent as it is (invalid)\n  make it lead to a name in UTF-8, or send the directory packed by \`tar c\`\n`])
    rmSync(join(tree, 'sub/link'))
    // What Node makes of such bytes in the arguments.
    for (const [args, status] of [[['env', 'push', 'demo', '-f', join(tree, 'caf\ufffd')], 2], [['env', 'get', 'demo', '-f', '/tmp/x', '--to', join(tree, 'caf\ufffd')], 2], [['image', 'import', join(tree, 'caf\ufffd'), '--name', 'x'], 2]] as const) {
      const called = await at.tt(...args)
      assert.equal(called.status, status, called.err)
      assert.match(called.err, /was given in bytes that are not UTF-8.*\(invalid\)\n {2}rename it, or make a link/)
    }
    writeFileSync(join(tree, 'really \ufffd'), 'x')
    assert.deepEqual(await push(), [0, ''])
    assert.deepEqual(readdirSync(join(at.here, 'got')).sort(), ['good', 'really \ufffd', 'sub'])
  })

  test('what is in the way in a guest is told with what helps, and only with that', async () => {
    await using at = await ground({ demo: 1 })
    mkdirSync(join(at.here, 'dir'))
    for (const name of ['f', 'g']) writeFileSync(join(at.here, name), name)
    writeFileSync(join(at.here, 'dir/f'), 'x')
    symlinkSync('nowhere', join(at.here, 'dir/l'))
    const push = (from: string, to: string, ...more: string[]) => at.tt('env', 'push', 'demo', '-f', join(at.here, from), '--to', to, ...more)
    for (const [from, to] of [['f', '/root/file'], ['dir', '/root/dir']] as const) assert.equal((await push(from, to)).status, 0)
    const told = { file: /there is something else at \/root\/file already \(exists\)\n {2}say --overwrite to take its place, or send it elsewhere by --to\n$/, directory: /there is a directory at \/root\/dir already \(exists\)\n {2}nothing takes the place of a directory: say --to \/root\/dir\/ to put it in there, or remove that one in the guest\n$/, noDirectory: /there is something at \/root\/file already that is no directory \(exists\)\n {2}remove it in the guest, or send the directory elsewhere by --to: a directory takes the place of nothing\n$/ }
    const cases: [string, string, RegExp, again: RegExp | undefined][] = [
      ['g', '/root/file', told.file, undefined],
      ['f', '/root/dir', told.directory, told.directory],
      ['dir', '/root/file', told.noDirectory, told.noDirectory],
    ]
    for (const [from, to, says, again] of cases) {
      const plain = await push(from, to)
      assert.equal(plain.status, 7)
      assert.match(plain.err, says)
      const over = await push(from, to, '--overwrite')
      assert.equal(over.status, again ? 7 : 0, over.err)
      if (again) assert.match(over.err, again)
      if (!again) assert.equal((await push('f', to, '--overwrite')).status, 0)
    }
    // Below the directory that is sent, a file and a link where directories are.
    for (const name of ['f', 'l']) {
      mkdirSync(join(at.here, 'empty', name), { recursive: true })
      assert.equal((await push('empty', `/root/other-${name}`)).status, 0)
      const below = await push('dir', `/root/other-${name}`, '--overwrite')
      assert.equal(below.status, 7)
      assert.match(below.err, new RegExp(`there is a directory at /root/other-${name}/${name} already \\(exists\\)\\n {2}nothing takes the place of a directory: send it elsewhere by --to, or remove that one in the guest\\n$`))
      rmSync(join(at.here, 'empty'), { recursive: true })
    }
  })

  test('[F13 F15 fault 39] Ctrl-C leaves a part, and the same command goes on from there and removes it', async () => {
    await using at = await ground({ demo: 1 })
    const bytes = patternOf(12_000_000)
    writeFileSync(join(at.here, 'big'), bytes)
    /** Calls, and interrupts once so much has moved in a session. */
    const interrupted = async (args: string[], most: number) => {
      const stop = new AbortController()
      const called = await calledOn(counting(at.cloud, most, () => stop.abort()), { args, signal: stop.signal })
      assert.equal(called.status, 16, called.err)
      assert.match(called.err, /interrupted/)
      assert.match(called.err, /the same command goes on from there/)
    }
    const push = ['env', 'push', 'demo', '-f', join(at.here, 'big'), '--json']
    await interrupted(push, 6_000_000)
    const [pushed] = resultsOf((await at.tt(...push)).out)
    assert.ok(pushed && pushed.movedBytes > 0 && pushed.movedBytes < 9_000_000, `${pushed?.movedBytes} bytes were sent again`)
    const get = ['env', 'get', 'demo', '-f', '/tmp/big', '--to', join(at.here, 'got/'), '--json']
    await interrupted(get, 6_000_000)
    assert.deepEqual(readdirSync(join(at.here, 'got')), ['.tt-part-big'])
    const [got] = resultsOf((await at.tt(...get)).out)
    assert.ok(got && got.movedBytes > 0 && got.movedBytes < 9_000_000, `${got?.movedBytes} bytes came again`)
    assert.ok(readFileSync(join(at.here, 'got', 'big')).equals(bytes))
    assert.deepEqual(readdirSync(join(at.here, 'got')), ['big'], 'nothing else is left')
  })

  test('a directory that broke off goes on too: large files that came are not fetched again', async () => {
    await using at = await ground({ demo: 1 })
    mkdirSync(join(at.here, 'tree'))
    for (const name of ['a', 'b', 'c']) writeFileSync(join(at.here, 'tree', name), patternOf(3_000_000, name.charCodeAt(0)))
    assert.equal((await at.tt('env', 'push', 'demo', '-f', join(at.here, 'tree'))).status, 0)
    const get = ['env', 'get', 'demo', '-f', '/tmp/tree', '--to', join(at.here, 'got/'), '--json']
    const stop = new AbortController()
    assert.equal((await calledOn(counting(at.cloud, 4_500_000, () => stop.abort()), { args: get, signal: stop.signal })).status, 16)
    const [got] = resultsOf((await at.tt(...get)).out)
    assert.ok(got?.code === 0 && got.movedBytes > 3_000_000 && got.movedBytes < 6_000_000, JSON.stringify(got))
    for (const name of ['a', 'b', 'c']) assert.ok(readFileSync(join(at.here, 'got', 'tree', name)).equals(patternOf(3_000_000, name.charCodeAt(0))))
    assert.deepEqual(readdirSync(join(at.here, 'got')), ['tree'])
  })

  test('what cannot be is refused before anything is sent', async () => {
    await using at = await ground({ demo: 1 })
    const cases: [string[], number, RegExp][] = [
      [['env', 'push', 'demo', '-f', join(at.here, 'none')], 6, /there is no file or directory/],
      [['env', 'push', 'demo', '-f', '/dev/null'], 2, /neither a file nor a directory/],
      [['env', 'push', 'demo', '-f', at.here, '--to', 'relative'], 2, /absolute path in the guest/],
      [['env', 'get', 'demo', '-f', 'relative'], 2, /absolute path in the guest/],
      [['env', 'get', 'demo', '-f', '/tmp/..'], 2, /last name is none/],
      [['env', 'push', 'demo'], 2, /--file is missing/],
      [['env', 'push', 'demo', '-f', at.here, '-t', 'x'], 2, /--time-out/],
      [['env', 'get', 'demo', '-f', '/tmp/none', '--to', at.here], 6, /there is no \/tmp\/none in the guest/],
    ]
    for (const [args, status, says] of cases) {
      const called = await at.tt(...args)
      assert.equal(called.status, status, `${args.join(' ')}: ${called.err}`)
      assert.match(called.err, says)
    }
    assert.deepEqual(readdirSync(at.here), [])
    assert.equal(lstatSync(at.here).isDirectory(), true)
  })
})

/** The cloud, telling when so many bytes have gone through a session in either direction. */
function counting(cloud: Cloud, most: number, tell: () => void): Cloud {
  let bytes = 0
  const count = (frame: object) => {
    if ('data' in frame && (bytes += (frame.data as Uint8Array).length) > most) tell()
  }
  return {
    ...cloud,
    async open(request, call) {
      const session = await cloud.open(request, call)
      const writer = session.input.getWriter()
      return {
        output: session.output.pipeThrough(
          new TransformStream({
            transform(frame, controller) {
              count(frame)
              controller.enqueue(frame)
            },
          }),
        ),
        input: new WritableStream({
          write(input) {
            count(input)
            return writer.write(input)
          },
          close: () => writer.close(),
        }),
        [Symbol.asyncDispose]: () => session[Symbol.asyncDispose](),
      }
    },
  }
}
