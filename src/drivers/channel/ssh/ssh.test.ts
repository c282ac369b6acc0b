import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, it, test } from 'node:test'
import { TtError } from '../../../model/errors.ts'
import type { TerminalSize } from '../../../model/session.ts'
import { channelContract, runIn } from '../channel.contract.ts'
import type { Channel } from '../channel.ts'
import { filesContract } from '../files.contract.ts'
import { ssh } from './ssh.ts'
import { noSshd, type SshdGround, sshdGround } from './sshd-ground.ts'

if (noSshd !== false) test('channel ssh', { skip: noSshd }, () => undefined)
else {
  channelContract({ name: 'ssh', make: async () => under(await sshdGround()) })
  filesContract({
    name: 'ssh',
    async make() {
      const ground = await sshdGround()
      const dir = join(ground.dir, 'files')
      mkdirSync(dir)
      return { ...under(ground), dir }
    },
  })
  describe('ssh against the server of OpenSSH', () => cases())
}

function under(ground: SshdGround) {
  const channel = ssh(ground.guest)
  return {
    channel,
    interrupt: () => ground.interrupt(),
    async [Symbol.asyncDispose]() {
      await channel[Symbol.asyncDispose]()
      await ground[Symbol.asyncDispose]()
    },
  }
}

const isCode = (code: string, words = /./) => (error: unknown) => error instanceof TtError && error.code === code && words.test(error.message)
const textOf = async (channel: Channel, ...given: Parameters<typeof runIn> extends [unknown, ...infer R] ? R : never) => {
  const { stdout, stderr, exit } = await runIn(channel, ...given)
  return { stdout: stdout.toString(), stderr: stderr.toString(), exit }
}

function cases() {
  it('A05: keeps the host key of a guest at first sight, in a file of its own, and takes no other afterwards', async () => {
    await using ground = await sshdGround()
    const [kind, text] = readFileSync(join(ground.dir, 'host.pub'), 'utf8').split(' ')
    {
      await using channel = ssh(ground.guest)
      await channel.ready()
    }
    assert.equal(readFileSync(join(ground.dir, 'known_hosts'), 'utf8'), `abcd.0 ${kind} ${text}\n`)
    assert.equal(statSync(join(ground.dir, 'known_hosts')).mode & 0o777, 0o600)
    await using channel = ssh(ground.guest)
    await channel.ready() // The same key, seen again.
    await ground.rekey()
    await assert.rejects(channel.ready({ signal: AbortSignal.timeout(10_000) }), (error) => isCode('denied', /another ssh host key/)(error) && (error as TtError).remedy?.includes(join(ground.dir, 'known_hosts')) === true)
    await assert.rejects(textOf(channel, 'true', {}, AbortSignal.timeout(10_000)), isCode('denied'))
  })

  it('A05: enters with the key of the ENV only, and says so of a guest that does not take it', async () => {
    await using ground = await sshdGround({ lines: ['AuthorizedKeysFile none', 'PasswordAuthentication yes'] })
    await using channel = ssh(ground.guest)
    await assert.rejects(channel.ready({ signal: AbortSignal.timeout(1500) }), isCode('timeout', /does not let the key of its ENV in/))
  })

  it('one connection carries more commands than its server allows channels, by others beside it', async () => {
    await using ground = await sshdGround({ lines: ['MaxSessions 10'] })
    await using channel = ssh(ground.guest)
    const began = performance.now()
    const ran = await Promise.all(Array.from({ length: 25 }, (_, n) => textOf(channel, `sleep 2; echo ${n}`)))
    assert.deepEqual(ran.map(({ stdout }) => stdout), Array.from({ length: 25 }, (_, n) => `${n}\n`))
    assert.ok(performance.now() - began < 20_000)
  })

  it('[F05] passes every text on as it is, and whole programs with their arguments', async () => {
    await using ground = await sshdGround()
    await using channel = ssh(ground.guest)
    const texts = ["'", '"', '\\', '$HOME', '`id`', '*', 'a\nb', 'ünïcödé ☃', ' lead', 'trail ', '', '-n', '!!', '#', '~', "a'b'c", '\t', '%s', '\\n']
    const ran = await textOf(channel, { argv: ['printf', '[%s]', ...texts] })
    assert.equal(ran.stdout, texts.map((text) => `[${text}]`).join(''))
    const variables = Object.fromEntries(texts.map((text, n) => [`V${n}`, text]))
    assert.equal((await textOf(channel, texts.map((_, n) => `printf '[%s]' "$V${n}"`).join('; '), { env: variables })).stdout, texts.map((text) => `[${text}]`).join(''))
    assert.equal((await textOf(channel, { script: '#!/bin/sh -e\nprintf "[%s]" "$@"\nfalse\necho never', args: texts })).stdout, texts.map((text) => `[${text}]`).join(''))
    assert.deepEqual(await textOf(channel, { script: 'echo "$1"; exit 7', args: ['no first line'] }), { stdout: 'no first line\n', stderr: '', exit: { code: 7 } })
    assert.equal((await textOf(channel, { script: '#!/usr/bin/env python3\nimport sys\nprint(sys.argv[1:], sys.stdin.read())', args: ['x'] }, { stdin: once('in') })).stdout, "['x'] in\n")
    await assert.rejects(textOf(channel, { script: '#!/no/such/thing\n' }), isCode('not_found', /no\/such\/thing/))
  })

  it('leaves no file of a long command behind', async () => {
    await using ground = await sshdGround()
    await using channel = ssh(ground.guest)
    const list = async () => (await textOf(channel, 'ls -a /tmp')).stdout.split('\n').filter((name) => name.startsWith('.tt-'))
    const before = await list()
    assert.equal((await textOf(channel, `echo ${'x'.repeat(400_000)} | wc -c`)).stdout.trim(), '400001')
    assert.deepEqual((await textOf(channel, { argv: ['printf', '%s', ...Array.from({ length: 5 }, () => 'y'.repeat(100_000))] })).stdout.length, 500_000)
    await textOf(channel, { script: `#!/bin/sh\n: ${'z'.repeat(300_000)}` })
    assert.deepEqual(await list(), before)
  })

  it('long input leaves nothing behind on its way', async () => {
    await using ground = await sshdGround()
    await using channel = ssh(ground.guest)
    const warnings: string[] = []
    const warn = ({ name }: Error) => void warnings.push(name)
    process.on('warning', warn)
    const stdin = async function* () {
      for (let n = 0; n < 60; n++) yield Buffer.alloc(1 << 20)
    }
    assert.equal((await textOf(channel, 'wc -c', { stdin: stdin() })).stdout.trim(), String(60 << 20))
    process.off('warning', warn)
    assert.deepEqual(warnings, [])
  })

  it('names a signal that OpenSSH does not tell of as one', async () => {
    await using ground = await sshdGround()
    await using channel = ssh(ground.guest)
    assert.deepEqual((await textOf(channel, 'kill -USR1 $$')).exit, { signal: 'SIGUSR1' })
    assert.deepEqual((await textOf(channel, 'ulimit -c 0; kill -BUS $$')).exit, { signal: 'SIGUNKNOWN' })
  })

  it('what a command leaves in the background does not hold its end up', async () => {
    await using ground = await sshdGround()
    await using channel = ssh(ground.guest)
    const began = performance.now()
    assert.deepEqual(await textOf(channel, 'sleep 20 & echo done'), { stdout: 'done\n', stderr: '', exit: { code: 0 } })
    assert.ok(performance.now() - began < 5000)
  })

  it('aborted, a command is gone with all it started', async () => {
    await using ground = await sshdGround()
    await using channel = ssh(ground.guest)
    const calls = new AbortController()
    const file = join(ground.dir, 'alive')
    const running = runIn(channel, `(while :; do touch ${file}; sleep 0.1; done) & sleep 30`, {}, calls.signal)
    while (!existsSync(file)) await sleep(20)
    calls.abort()
    await assert.rejects(running, isCode('cancelled'))
    await sleep(300)
    const last = statSync(file).mtimeMs
    await sleep(500)
    assert.equal(statSync(file).mtimeMs, last)
  })

  it('has terminals: their size, what is typed, signals of keys, and an end when the window is closed', async () => {
    await using ground = await sshdGround()
    await using channel = ssh(ground.guest)
    const sizes = handed<TerminalSize>()
    const typed = handed<Uint8Array>()
    let said = ''
    const heard = async (words: RegExp) => {
      for (let n = 0; n < 400 && !words.test(said); n++) await sleep(25)
      assert.match(said, words)
    }
    const running = channel.exec({ shell: 'trap "echo interrupted" INT; echo "$TERM"; stty size; read a; stty size; echo "got $a"; sleep 30; echo slept; cat' }, { tty: { columns: 91, rows: 27, term: 'vt220' }, sizes, stdin: typed, output: (stream, bytes) => void (said += stream === 'stdout' ? Buffer.from(bytes).toString() : 'STDERR') })
    await heard(/vt220\r\n27 91\r\n/)
    sizes.give({ columns: 100, rows: 30 })
    await sleep(200)
    typed.give(Buffer.from('hello\r'))
    await heard(/30 100\r\ngot hello\r\n/)
    typed.give(Buffer.from('\x03'))
    await heard(/interrupted/)
    typed.end()
    const exit = await running
    sizes.end()
    assert.ok(exit.signal === 'SIGHUP' || (exit.code ?? 0) > 128, JSON.stringify(exit))
    assert.ok(!said.includes('STDERR') && !said.includes('tt-'), said)
  })

  it('tells that the connection broke, and when it is back', async () => {
    await using ground = await sshdGround()
    await using channel = ssh(ground.guest)
    await channel.ready()
    const broken = channel.broken?.({ signal: AbortSignal.timeout(10_000) })
    await ground.stop()
    ground.interrupt()
    await broken
    await assert.rejects(channel.ready({ signal: AbortSignal.timeout(500) }), isCode('timeout', /does not answer|speaks no ssh/))
    await ground.start()
    await channel.ready({ signal: AbortSignal.timeout(10_000) })
    assert.equal((await textOf(channel, 'echo back')).stdout, 'back\n')
  })

  it('a guest whose port nobody leads to is unsupported, with what to do', async () => {
    await using ground = await sshdGround()
    await using channel = ssh({ ...ground.guest, address: () => undefined })
    await assert.rejects(channel.ready(), (error) => isCode('unsupported')(error) && /-p 22/.test((error as TtError).remedy ?? ''))
  })
}

async function* once(text: string): AsyncIterable<Uint8Array> {
  yield Buffer.from(text)
}

/** Values that are given one by one. */
function handed<T>(): AsyncIterable<T> & { give(value: T): void; end(): void } {
  const values: T[] = []
  let ended = false
  return {
    give: (value) => void values.push(value),
    end: () => void (ended = true),
    async *[Symbol.asyncIterator]() {
      for (;;) {
        while (values.length > 0) yield values.shift() as T
        if (ended) return
        await sleep(10)
      }
    },
  }
}
