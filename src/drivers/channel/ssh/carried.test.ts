import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, it, test } from 'node:test'
import type { ServerChannel } from 'ssh2'
import { realWorld } from '../../../base/world.ts'
import { TtError } from '../../../model/errors.ts'
import { runIn } from '../channel.contract.ts'
import { type Asked, scriptedGround } from './scripted-ground.ts'
import { ssh } from './ssh.ts'
import { noSshd, sshdGround } from './sshd-ground.ts'

const long = `: ${'x'.repeat(12_000_000)}; echo never`
const isCode = (code: string, words = /./) => (error: unknown) => error instanceof TtError && error.code === code && words.test(error.message)

if (noSshd !== false) test('long commands over ssh', { skip: noSshd }, () => undefined)
else describe('long commands over ssh, on their way', () => cases())

/** A guest whose directory of temporary files is its own. */
async function ground() {
  const temporary = `/tmp/tt-carried-${process.pid}-${Math.trunc(performance.now())}`
  const own = await sshdGround({ lines: [`SetEnv TMPDIR=${temporary}`] })
  mkdirSync(temporary)
  const left = () => readdirSync(temporary)
  return {
    ...own,
    left,
    /** Some of a text has come, and not all. */
    async midway() {
      const size = () => left().map((name) => statSync(join(temporary, name)).size)[0] ?? 0
      while (size() === 0) await sleep(1)
      assert.ok(size() < 12_000_000, 'it went too fast for this case')
    },
    async isEmpty() {
      for (let n = 0; n < 200 && left().length > 0; n++) await sleep(20)
      assert.deepEqual(left(), [])
    },
    async [Symbol.asyncDispose]() {
      await own[Symbol.asyncDispose]()
      rmSync(temporary, { recursive: true, force: true })
    },
  }
}

function cases() {
  it('aborted, they end at once and leave no file', async () => {
    await using own = await ground()
    await using channel = ssh(own.guest)
    const calls = new AbortController()
    const running = runIn(channel, long, {}, calls.signal)
    await own.midway()
    calls.abort()
    const began = performance.now()
    await assert.rejects(running, isCode('cancelled'))
    assert.ok(performance.now() - began < 1000)
    await own.isEmpty()
  })
  it('the same of a guest that takes nothing any more, which removes the file when it notices', async () => {
    await using own = await ground()
    await using channel = ssh(own.guest)
    const calls = new AbortController()
    const running = runIn(channel, long, {}, calls.signal)
    await own.midway()
    own.freeze()
    calls.abort(new TtError({ code: 'timeout', message: 'too slow' }))
    const began = performance.now()
    await assert.rejects(running, isCode('timeout', /too slow/))
    assert.ok(performance.now() - began < 1000)
    own.interrupt()
    await own.isEmpty()
  })
  it('when the connection breaks the file goes', async () => {
    await using own = await ground()
    await using channel = ssh(own.guest)
    const running = runIn(channel, long)
    await own.midway()
    own.interrupt()
    await assert.rejects(running, isCode('unavailable'))
    await own.isEmpty()
  })
  it('when the channel is disposed they end, and the file goes', async () => {
    await using own = await ground()
    const channel = ssh(own.guest)
    const running = assert.rejects(runIn(channel, long), isCode('unavailable'))
    await own.midway()
    await channel[Symbol.asyncDispose]()
    await running
    await own.isEmpty()
  })
  it('a guest that does not take them is not waited for without end', async () => {
    await using own = await ground()
    // Two minutes pass in one second.
    const world = { ...realWorld, after: (ms: number, run: () => void) => realWorld.after(ms / 120, run) }
    await using channel = ssh({ ...own.guest, world })
    await channel.ready()
    own.freeze()
    const began = performance.now()
    await assert.rejects(runIn(channel, long, {}, AbortSignal.timeout(20_000)), isCode('timeout', /did not take the text/))
    assert.ok(performance.now() - began < 10_000)
  })
  it('one that its server does not take afterwards leaves no file', async () => {
    const exec = (asked: Asked) => {
      if (asked.text.includes('mktemp')) takeText(asked.take())
      else if (asked.mark !== undefined) asked.refuse()
      else asked.take().end()
    }
    await using server = await scriptedGround({ exec })
    await using channel = ssh(server.guest)
    const calls = new AbortController()
    const running = assert.rejects(runIn(channel, `: ${'x'.repeat(20_000)}`, {}, calls.signal), TtError)
    const isRemoved = () => server.asked.includes("exec /bin/sh -c 'rm -f /tmp/.tt-abcdefgh'")
    for (let n = 0; n < 100 && !isRemoved(); n++) await sleep(20)
    const removed = isRemoved()
    calls.abort()
    await running
    assert.ok(removed, server.asked.map((text) => text.slice(0, 100)).join('\n'))
  })
  it('one that is aborted when its file is there leaves none', async () => {
    await using server = await scriptedGround({ exec: (asked) => (asked.text.includes('mktemp') ? takeText(asked.take(), { ends: false }) : asked.take().end()) })
    await using channel = ssh(server.guest)
    await assert.rejects(runIn(channel, `: ${'x'.repeat(20_000)}`, {}, AbortSignal.timeout(500)), isCode('timeout'))
    for (let n = 0; n < 100 && server.asked.length < 2; n++) await sleep(20)
    assert.match(server.asked[1] ?? '', /rm -f \/tmp\/\.tt-abcdefgh/)
  })
}

/** Takes a text as a guest does that has found a file for it. */
function takeText(channel: ServerChannel, { ends = true } = {}): void {
  channel.once('data', () => channel.write('/tmp/.tt-abcdefgh\n'))
  channel.on('data', () => undefined)
  if (ends) channel.on('end', () => (channel.exit(0), channel.end()))
}
