import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, it } from 'node:test'
import { latest } from '../../base/latest.ts'
import { TtError } from '../../model/errors.ts'
import type { Command, Exit, TerminalSize } from '../../model/session.ts'
import type { Channel, ExecOptions } from './channel.ts'

/** What is done at a terminal, one after another: a text that must be shown, what is typed then, and what else is done. */
type Step = { sees: string; types?: string; resizes?: TerminalSize }

/** Sits at a terminal that runs the command; afterwards the line is held, or hung up. What was shown, and how it ended. */
async function sit(channel: Channel, command: Command, steps: Step[], options: Partial<ExecOptions> & { hangsUp?: boolean } = {}): Promise<{ shown: string; exit: Exit }> {
  const sizes = latest<TerminalSize>()
  const held = Promise.withResolvers<void>()
  let shown = ''
  let seen = 0
  const stdin = async function* () {
    for (const { sees, types, resizes } of steps) {
      for (const end = Date.now() + 20_000; !shown.includes(sees, seen); await sleep(5)) assert.ok(Date.now() < end, `${JSON.stringify(sees)} does not come; there is ${JSON.stringify(shown.slice(seen))}`)
      seen = shown.indexOf(sees, seen) + sees.length
      if (resizes) {
        sizes.tell(resizes)
        await sleep(300)
      }
      if (types !== undefined) yield Buffer.from(types)
    }
    if (!options.hangsUp) await held.promise
  }
  const tty = { columns: 80, rows: 24, term: 'vt100' }
  const output = (stream: string, bytes: Uint8Array) => {
    assert.equal(stream, 'stdout')
    shown += Buffer.from(bytes).toString()
  }
  try {
    const exit = await channel.exec(command, { output, stdin: stdin(), sizes, tty, ...options }, { signal: AbortSignal.timeout(60_000) })
    return { shown, exit }
  } finally {
    held.resolve()
  }
}

/**
 * Part of the suite for every Channel, where it has terminals. Beyond the rest it uses `stty size`.
 */
export function terminalContract(channelOf: () => Channel): void {
  describe('a terminal [F06]', () => {
    const at = (name: string, run: (channel: Channel) => Promise<void>): void => {
      it(name, async (t) => (channelOf().features.tty ? run(channelOf()) : t.skip('no feature tty')))
    }

    at('shows both streams as one, with its line ends, and tells the status', async (channel) => {
      const { shown, exit } = await sit(channel, { shell: 'echo one; echo two >&2; echo "$TERM"; exit 5' }, [])
      assert.deepEqual([shown, exit], ['one\r\ntwo\r\nvt100\r\n', { code: 5 }])
    })
    at('has its size, and the next one', async (channel) => {
      const { shown, exit } = await sit(channel, { shell: 'stty size; cat; stty size' }, [{ sees: '24 80\r\n', resizes: { columns: 132, rows: 50 }, types: '\x04' }])
      assert.match(shown, /^24 80\r\n(\^D[\b]{2})?50 132\r\n$/)
      assert.deepEqual(exit, { code: 0 })
    })
    at('echoes what is typed and hands it on by lines', async (channel) => {
      const { shown, exit } = await sit(channel, { argv: ['cat'] }, [{ sees: '', types: 'hellp\x7fo\r' }, { sees: 'hello\r\n', types: '\x04' }])
      assert.match(shown, /^hellp[\b] [\b]o\r\nhello\r\n(\^D[\b]{2})?$/)
      assert.deepEqual(exit, { code: 0 })
    })
    at('turns keys into signals', async (channel) => {
      const { exit } = await sit(channel, { shell: 'echo up; sleep 30; echo late' }, [{ sees: 'up', types: '\x03' }])
      assert.ok('signal' in exit ? exit.signal === 'SIGINT' : exit.code === 130, JSON.stringify(exit))
    })
    at('is hung up when nothing more will be typed', async (channel) => {
      const started = performance.now()
      const { exit } = await sit(channel, { shell: 'echo up; sleep 30' }, [{ sees: 'up' }], { hangsUp: true })
      assert.ok('signal' in exit ? exit.signal === 'SIGHUP' : exit.code === 129, JSON.stringify(exit))
      assert.ok(performance.now() - started < 20_000)
    })
    at('without anybody who types is not hung up', async (channel) => {
      const { shown, exit } = await sit(channel, { shell: 'echo up; sleep 1; echo late' }, [], { stdin: undefined })
      assert.deepEqual([shown, exit], ['up\r\nlate\r\n', { code: 0 }])
    })
    at('loses nothing, however slow it is looked at', async (channel) => {
      let bytes = 0
      const output = async (_: string, piece: Uint8Array) => {
        if (bytes < 200_000) await sleep(1)
        bytes += piece.length
      }
      const { exit } = await sit(channel, { shell: 'head -c 2000000 /dev/zero' }, [], { output })
      assert.deepEqual([bytes, exit], [2_000_000, { code: 0 }])
    })
    at('ends with its command when the call is aborted', async (channel) => {
      const calls = new AbortController()
      const running = channel.exec({ shell: 'echo up; sleep 30' }, { tty: { columns: 80, rows: 24 }, output: () => calls.abort() }, { signal: calls.signal })
      await assert.rejects(running, (error) => error instanceof TtError && error.code === 'cancelled')
    })
  })
}
