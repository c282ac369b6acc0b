import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { createConnection, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, it, test } from 'node:test'
import { realWorld } from '../../../base/world.ts'
import { TtError } from '../../../model/errors.ts'
import { channelContract, runIn } from '../channel.contract.ts'
import { qgaPort } from '../channel.ts'
import { guestOf } from '../ground.ts'
import { qga } from './qga.ts'

const program = '/usr/sbin/qemu-ga'
const missing = existsSync(program) ? false : `there is no ${program} (package qemu-guest-agent)`
const log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined, with: () => log }

/** The real agent as an ordinary process that listens on a socket. */
async function agentGround(args: string[] = []) {
  const dir = mkdtempSync(join(tmpdir(), 'tt-qga-'))
  const path = join(dir, 'socket')
  let agent: ChildProcess | undefined
  const start = async () => {
    rmSync(path, { force: true })
    agent = spawn(program, ['-m', 'unix-listen', '-p', path, '-t', dir, '-f', join(dir, 'pid'), ...args], { stdio: 'ignore' })
    for (let n = 0; n < 400 && !existsSync(path); n++) await sleep(10)
  }
  const stop = async () => {
    const one = agent
    agent = undefined
    if (!one || one.exitCode !== null || one.signalCode !== null) return
    one.kill('SIGKILL')
    await new Promise((resolve) => one.once('exit', resolve))
  }
  await start()
  const sockets = new Set<Socket>()
  const dial = async (_call?: unknown, port?: string) => {
    assert.equal(port, qgaPort)
    const socket = createConnection({ path })
    sockets.add(socket.once('close', () => sockets.delete(socket)))
    await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject))
    return socket
  }
  const channel = qga(guestOf({ id: 'abcd.0', dial, world: realWorld, log }))
  return {
    channel,
    start,
    stop,
    signal: (name: NodeJS.Signals) => agent?.kill(name),
    interrupt: () => sockets.forEach((socket) => socket.destroy()),
    async [Symbol.asyncDispose]() {
      await channel[Symbol.asyncDispose]()
      await stop()
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

const isCode = (code: string, words = /./) => (error: unknown) => error instanceof TtError && error.code === code && words.test(error.message)

if (missing !== false) test('channel qga', { skip: missing }, () => undefined)
else {
  channelContract({ name: 'qga', make: () => agentGround() })

  describe('qga against the agent of QEMU', () => {
    it('says that output was cut, and gives what there is', async () => {
      await using ground = await agentGround()
      let bytes = 0
      const running = ground.channel.exec({ shell: 'head -c 20000000 /dev/zero' }, { output: (_, piece) => void (bytes += piece.length) })
      await assert.rejects(running, isCode('too_large', /more to stdout than the guest agent keeps/))
      assert.equal(bytes, 16 << 20)
    })
    it('aborted, a command is gone', async () => {
      await using ground = await agentGround()
      const { channel } = ground
      const calls = new AbortController()
      const running = runIn(channel, 'sleep 31.415926', {}, calls.signal)
      await sleep(300)
      assert.match((await runIn(channel, 'ps -eo args')).stdout.toString(), /^sleep 31\.415926$/m)
      calls.abort()
      await assert.rejects(running, isCode('cancelled'))
      await sleep(300)
      assert.doesNotMatch((await runIn(channel, 'ps -eo args')).stdout.toString(), /^sleep 31\.415926$/m)
    })
    it('an agent that may not run commands is unsupported, and says so', async () => {
      await using ground = await agentGround(['-b', 'guest-exec'])
      await ground.channel.ping()
      await assert.rejects(runIn(ground.channel, 'true'), isCode('unsupported', /does not run commands/))
    })
    it('comes back when the agent does, and tells that it was gone', async () => {
      await using ground = await agentGround()
      const { channel } = ground
      await channel.ready()
      const broken = channel.broken?.({ signal: AbortSignal.timeout(20_000) })
      await ground.stop()
      await broken
      await assert.rejects(channel.ready({ signal: AbortSignal.timeout(300) }), isCode('timeout'))
      await ground.start()
      assert.equal((await runIn(channel, 'echo back', {}, AbortSignal.timeout(20_000))).stdout.toString(), 'back\n')
    })
  })
}

test('an agent that says more than it may, or no JSON, is disconnected, and its commands fail', async () => {
  for (const garbage of [Buffer.alloc(49 << 20, 'x'), Buffer.from('{"return"\n'), Buffer.concat([Buffer.from([0xff]), Buffer.from('{{{\n')])]) {
    let calls = 0
    const server = createServer((socket) => {
      socket.on('error', () => undefined)
      socket.on('data', (piece) => {
        const id = /"id":(\d+)/.exec(piece.toString('latin1'))?.[1]
        if (id !== undefined && calls++ === 0) socket.write(Buffer.concat([Buffer.from([0xff]), Buffer.from(`{"return": ${id}}\n`)]))
        else socket.write(garbage)
      })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as { port: number }
    {
      await using channel = qga(guestOf({ id: 'abcd.0', dial: async () => createConnection({ port, host: '127.0.0.1' }), world: realWorld, log }))
      await channel.ready({ signal: AbortSignal.timeout(10_000) })
      await assert.rejects(runIn(channel, 'true', {}, AbortSignal.timeout(10_000)), isCode('unavailable'))
    }
    server.close()
  }
})
