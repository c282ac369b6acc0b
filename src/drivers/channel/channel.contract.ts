import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { after, before, describe, it } from 'node:test'
import { TtError } from '../../model/errors.ts'
import type { Command, Exit } from '../../model/session.ts'
import type { Channel, ExecOptions } from './channel.ts'
import { identityContract } from './identity.contract.ts'
import { scriptsContract } from './scripts.contract.ts'
import { terminalContract } from './terminal.contract.ts'

/** A channel to a guest of its own that runs, or is starting. */
export interface ChannelUnderTest extends AsyncDisposable {
  channel: Channel
  /** Breaks the stream under the channel, as a restart of the host's side would. */
  interrupt?(): void | Promise<void>
}

/**
 * The suite for every Channel. Its guest needs no more than a small shell. What the commands use, all of it:
 * `;` between commands, 'single' and "double" quotes, `$NAME` in both bare words and double quotes, `$$`, `>&2`,
 * `echo WORDS`, `exit N`, `true`, `false`, `pwd`, `cat` (standard input to standard output), `sleep SECONDS`,
 * `head -c N /dev/zero`, `kill -TERM $$`, what scripts.contract.ts and terminal.contract.ts name; as argv the programs `echo`, `cat`, `sleep` and `true`. `/` is a directory, `/nowhere` is none.
 */
export function channelContract({ name, make }: { name: string; make: () => Promise<ChannelUnderTest> }): void {
  describe(`channel ${name}`, () => {
    let under: ChannelUnderTest
    before(async () => {
      under = await make()
      await under.channel.ready({ signal: AbortSignal.timeout(60_000) })
    })
    after(() => under[Symbol.asyncDispose]())
    const run = (command: Command | string, options: Partial<ExecOptions> = {}, signal?: AbortSignal) => runIn(under.channel, command, options, signal)

    it('answers pings, and is ready at once when it was', async () => {
      await under.channel.ready()
      await under.channel.ping()
    })

    describe('what a command says and how it ends', () => {
      it('[F08] keeps the two streams apart and unchanged, and tells the status', async () => {
        const ran = await run('echo "a  b"; echo err >&2; exit 3')
        assert.deepEqual({ ...ran, stdout: ran.stdout.toString(), stderr: ran.stderr.toString() }, { stdout: 'a  b\n', stderr: 'err\n', exit: { code: 3 } })
      })
      it('tells 0 and 1', async () => {
        assert.deepEqual((await run('true')).exit, { code: 0 })
        assert.deepEqual((await run('false')).exit, { code: 1 })
        assert.deepEqual((await run('')).exit, { code: 0 })
      })
      it('names the signal that ended it', async () => {
        assert.deepEqual((await run('echo before; kill -TERM $$; echo after')).exit, { signal: 'SIGTERM' })
      })
      it('[F05] runs a program with its arguments as they are', async () => {
        const ran = await run({ argv: ['echo', 'a  b', '$HOME', '*', "it's", ''] })
        assert.equal(ran.stdout.toString(), "a  b $HOME * it's \n")
      })
      it('[F08] delivers many megabytes, all of them', async () => {
        const ran = await run('head -c 5000000 /dev/zero; echo end')
        assert.equal(ran.stdout.length, 5_000_004)
        assert.equal(ran.stdout.subarray(5_000_000).toString(), 'end\n')
        assert.ok(ran.stdout.subarray(0, 5_000_000).every((byte) => byte === 0))
      })
      it('takes long shell texts', async () => {
        const text = 'x'.repeat(300_000)
        const ran = await run(`echo ${text}; echo '${text}' >&2`)
        assert.equal(ran.stdout.toString(), `${text}\n`)
        assert.equal(ran.stderr.toString(), `${text}\n`)
      })
    })

    describe('what a command is given', () => {
      it('an empty input, unless there is one', async () => {
        assert.deepEqual(await run('cat'), { stdout: Buffer.alloc(0), stderr: Buffer.alloc(0), exit: { code: 0 } })
      })
      it('variables', async () => {
        const ran = await run('echo "$ONE"; echo "$TWO"', { env: { ONE: ' a  "b"\n$c', TWO: 'ü' } })
        assert.equal(ran.stdout.toString(), ' a  "b"\n$c\nü\n')
      })
      it('a directory', async () => {
        assert.equal((await run('pwd', { cwd: '/' })).stdout.toString(), '/\n')
      })
    })

    describe('stdin', () => {
      const each = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))
      it('is bytes, in any number', async (t) => {
        if (!under.channel.features.stdin) return t.skip('no feature stdin')
        const pieces = [each, Buffer.alloc(0), Buffer.alloc(1_000_000, each), Buffer.from('\n')]
        const ran = await run('cat', { stdin: iterate(pieces) })
        assert.ok(ran.stdout.equals(Buffer.concat(pieces)))
        assert.deepEqual(ran.exit, { code: 0 })
      })
      it('arrives while the command runs', async (t) => {
        if (!under.channel.features.stdin) return t.skip('no feature stdin')
        const heard = Promise.withResolvers<string>()
        const stdin = async function* () {
          yield Buffer.from('first')
          assert.equal(await heard.promise, 'first')
          yield Buffer.from(' second')
        }
        let said = ''
        const exit = await under.channel.exec(
          { argv: ['cat'] },
          {
            stdin: stdin(),
            output: (_, bytes) => {
              said += Buffer.from(bytes).toString()
              heard.resolve(said)
            },
          },
        )
        assert.deepEqual([said, exit], ['first second', { code: 0 }])
      })
      it('that nobody reads holds nothing up', async (t) => {
        if (!under.channel.features.stdin) return t.skip('no feature stdin')
        const endless = async function* () {
          for (;;) yield Buffer.alloc(10_000)
        }
        assert.deepEqual((await run('echo done; exit 4', { stdin: endless() })).exit, { code: 4 })
        const never = { [Symbol.asyncIterator]: () => ({ next: () => new Promise<never>(() => undefined) }) }
        assert.deepEqual((await run('exit 5', { stdin: never })).exit, { code: 5 })
      })
      it('that fails ends the command', async (t) => {
        if (!under.channel.features.stdin) return t.skip('no feature stdin')
        const broken = async function* () {
          yield Buffer.from('x')
          throw new Error('no more of this')
        }
        await assert.rejects(run('cat; sleep 30', { stdin: broken() }), /no more of this/)
      })
    })

    scriptsContract(() => under.channel)
    terminalContract(() => under.channel)
    identityContract(() => under.channel, make)

    it('passes signals on', async (t) => {
      if (!under.channel.features.signals) return t.skip('no feature signals')
      const started = Promise.withResolvers<void>()
      const signals = async function* () {
        await started.promise
        yield 'SIGTERM'
      }
      const exit = await under.channel.exec({ shell: 'echo started; sleep 30' }, { signals: signals(), output: () => started.resolve() })
      assert.deepEqual(exit, { signal: 'SIGTERM' })
      const unknown = async function* () {
        yield 'SIGNOTHING'
      }
      await assert.rejects(run('sleep 30', { signals: unknown() }), isCode('invalid'))
    })

    describe('many at once', () => {
      it('each gets its own', async () => {
        const numbers = Array.from({ length: 60 }, (_, number) => number)
        const ran = await Promise.all(numbers.map((number) => run(`echo ${number}; echo $N >&2; exit ${number}`, { env: { N: `n${number}` } })))
        assert.deepEqual(
          ran.map(({ stdout, stderr, exit }) => [stdout.toString(), stderr.toString(), exit]),
          numbers.map((number) => [`${number}\n`, `n${number}\n`, { code: number }]),
        )
      })
      it('a reader that waits holds up nobody else, and is never called twice at once', async () => {
        const go = Promise.withResolvers<void>()
        let inside = 0
        let bytes = 0
        const slow = under.channel.exec(
          { shell: 'head -c 3000000 /dev/zero' },
          {
            output: async (_, piece) => {
              assert.equal(++inside, 1)
              await go.promise
              inside--
              bytes += piece.length
            },
          },
        )
        for (let n = 0; n < 5; n++) assert.equal((await run('echo meanwhile')).stdout.toString(), 'meanwhile\n')
        assert.equal((await run('head -c 1000000 /dev/zero')).stdout.length, 1_000_000)
        go.resolve()
        assert.deepEqual(await slow, { code: 0 })
        assert.equal(bytes, 3_000_000)
      })
    })

    describe('refusals', () => {
      it('a program that is not there is not_found', () => assert.rejects(run({ argv: ['no-such-program-anywhere'] }), isCode('not_found')))
      it('a directory that is not there is failed', () => assert.rejects(run('pwd', { cwd: '/nowhere' }), isCode('failed')))
      it('what no program can be given is invalid', async () => {
        await assert.rejects(run({ argv: [] }), isCode('invalid'))
        await assert.rejects(run({ argv: ['echo', 'a\0b'] }), isCode('invalid'))
        await assert.rejects(run('true', { env: { 'A=B': 'c' } }), isCode('invalid'))
      })
      it('a reader that throws ends its command with its own error', async (t) => {
        if (under.channel.features.outputAtEnd) return t.skip('its output comes at the end')
        const fault = new Error('the reader is full')
        const started = performance.now()
        await assert.rejects(
          run('echo x; sleep 30', {
            output: () => {
              throw fault
            },
          }),
          fault,
        )
        await assert.rejects(run('echo x; sleep 30', { output: () => Promise.reject(fault) }), fault)
        assert.ok(performance.now() - started < 10_000)
      })
    })

    describe('aborting', () => {
      it('ends the command and rejects', async (t) => {
        if (under.channel.features.outputAtEnd) return t.skip('its output comes at the end')
        const calls = new AbortController()
        const started = performance.now()
        const running = run('echo started; sleep 30; echo late', { output: () => calls.abort() }, calls.signal)
        await assert.rejects(running, isCode('cancelled'))
        assert.ok(performance.now() - started < 10_000)
        assert.equal((await run('echo still here')).stdout.toString(), 'still here\n')
      })
      it('gives the reason it was given', async () => {
        const reason = new TtError({ code: 'timeout', message: 'too slow' })
        const calls = new AbortController()
        const running = run('sleep 30', {}, calls.signal)
        await sleep(20)
        calls.abort(reason)
        await assert.rejects(running, reason)
      })
      it('before the start starts nothing', async () => {
        await assert.rejects(run('sleep 30', {}, AbortSignal.abort()), isCode('cancelled'))
        await assert.rejects(under.channel.ping({ signal: AbortSignal.abort() }), isCode('cancelled'))
      })
    })

    it('loses what runs when its stream breaks, says so, and comes back', async (t) => {
      await using own = await make()
      const interrupt = own.interrupt?.bind(own)
      if (!interrupt) return t.skip('its stream cannot be broken from outside')
      const { channel } = own
      if (channel.features.outputAtEnd) sleep(500).then(interrupt).catch(() => undefined)
      await assert.rejects(
        runIn(channel, 'echo started; sleep 30', { output: () => void Promise.resolve(interrupt()) }),
        (error) => isCode('unavailable')(error) && /not known/.test((error as Error).message),
      )
      assert.equal((await runIn(channel, 'echo back', {}, AbortSignal.timeout(20_000))).stdout.toString(), 'back\n')
      assert.equal(channel.closed.aborted, false)
    })

    it('ends what runs when it is disposed, and refuses from then on', async () => {
      await using own = await make()
      const { channel } = own
      await channel.ready()
      const running = assert.rejects(runIn(channel, 'sleep 30'), isCode('unavailable'))
      await sleep(20)
      await channel[Symbol.asyncDispose]()
      await running
      assert.equal(channel.closed.aborted, true)
      await assert.rejects(channel.ready(), isCode('unavailable'))
      await assert.rejects(runIn(channel, 'true'), isCode('unavailable'))
      await channel[Symbol.asyncDispose]()
    })
  })
}

/** A command's whole output and its end. */
export async function runIn(
  channel: Channel,
  command: Command | string,
  options: Partial<ExecOptions> = {},
  signal?: AbortSignal,
): Promise<{ stdout: Buffer; stderr: Buffer; exit: Exit }> {
  const pieces = { stdout: [] as Uint8Array[], stderr: [] as Uint8Array[] }
  const output = (stream: 'stdout' | 'stderr', bytes: Uint8Array) => void pieces[stream].push(bytes)
  const exit = await channel.exec(typeof command === 'string' ? { shell: command } : command, { output, ...options }, { signal })
  return { stdout: Buffer.concat(pieces.stdout), stderr: Buffer.concat(pieces.stderr), exit }
}

async function* iterate(pieces: Uint8Array[]): AsyncIterable<Uint8Array> {
  yield* pieces
}

const isCode = (code: string) => (error: unknown) => error instanceof TtError && error.code === code
