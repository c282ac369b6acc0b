import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { after, before, describe, it } from 'node:test'
import { silentLog } from '../../src/base/log.ts'
import { realWorld } from '../../src/base/world.ts'
import { runIn } from '../../src/drivers/channel/channel.contract.ts'
import { guestOf } from '../../src/drivers/channel/ground.ts'
import { hello, pack } from '../../src/drivers/channel/rexec/frame.ts'
import { proofFor } from '../../src/drivers/channel/rexec/proof.ts'
import { agreeMagic, answer, ask, execFlag, nonceBytes, trailerBytes } from '../../src/drivers/channel/rexec/protocol.ts'
import { requestOf } from '../../src/drivers/channel/rexec/request.ts'
import { rexec } from '../../src/drivers/channel/rexec/rexec.ts'
import { TtError } from '../../src/model/errors.ts'
import { localAgent, streamAgent } from './local-agent.ts'
import { execFrame, talker } from './talker.ts'

const another = new Uint8Array(32).fill(9)
const isDenied = (error: unknown) => error instanceof TtError && error.code === 'denied'

async function dial(to: string | number): Promise<Socket> {
  for (let n = 0; ; n++) {
    const socket = typeof to === 'number' ? connect(to, '127.0.0.1') : connect(to)
    try {
      await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject))
      socket.on('error', () => undefined)
      return socket
    } catch (fault) {
      if (n === 200) throw fault
      await sleep(20)
    }
  }
}
const channelTo = (to: string | number, secret = new Uint8Array(32).fill(7)) => rexec(guestOf({ id: 'local', dial: () => dial(to), world: realWorld, log: silentLog, secret }))
const soon = () => AbortSignal.timeout(20_000)

describe('F14: the agent on one stream takes nothing from who does not know its key', () => {
  let agent: Awaited<ReturnType<typeof streamAgent>>
  let talk: ReturnType<typeof talker>
  before(async () => {
    agent = await streamAgent('sanitized')
    talk = talker(agent.stream)
    await talk.awake(1)
    await talk.greet()
  })
  after(() => agent[Symbol.asyncDispose]())

  it('and what runs for the one who does goes on, and is told to nobody else', async () => {
    const file = join(agent.dir, 'beats')
    writeFileSync(file, '', { mode: 0o666 })
    chmodSync(file, 0o666)
    talk.exec(1, { shell: `trap 'echo hup >>${file}; exit' HUP; trap '' PIPE; exec 2>/dev/null; echo up; while :; do echo secret; echo beat >>${file}; sleep 0.02; done` })
    await talk.next(answer.stdout, 1)
    for (let n = 0; n < 3; n++) {
      const challenge = await talk.hail()
      assert.equal(challenge[0], 1)
      const lines = readFileSync(file, 'utf8').length
      const wrong = talk.proofFor(challenge, another)
      assert.ok(wrong)
      const run = execFrame(2, requestOf({ shell: `touch ${agent.dir}/impostor` }, {}), execFlag.noStdin)
      talk.send(...[{ type: ask.proof, id: 0, payload: wrong.payload }, { type: ask.key, id: 0, payload: another }, run].slice(n))
      assert.equal((await talk.next(answer.error, 0)).payload.toString(), 'EACCES greeting')
      talk.write(pack(wrong.ours, [run]))
      talk.send(run)
      for (let tries = 0; tries < 500 && readFileSync(file, 'utf8').length <= lines; tries++) await sleep(20)
      assert.ok(readFileSync(file, 'utf8').length > lines, 'it runs on')
      await sleep(100)
      assert.doesNotMatch(readFileSync(file, 'utf8'), /hup/)
      assert.deepEqual(talk.heard.map(({ type }) => type), [])
    }
    await talk.greet()
    assert.deepEqual(await talk.run(3, 'echo mine'), { stdout: 'mine\n', stderr: '', exit: [0, 0] })
    for (let n = 0; n < 100 && !readFileSync(file, 'utf8').includes('hup'); n++) await sleep(20)
    assert.match(readFileSync(file, 'utf8'), /hup\n$/)
    assert.equal(existsSync(join(agent.dir, 'impostor')), false)
  })
  it('nor frames that end as those of the guest do, or as the greeting did', async () => {
    const nonce = Buffer.alloc(nonceBytes, 0x42)
    await talk.greet(nonce)
    const proof = talk.proven()
    assert.ok(proof)
    for (const trailer of [proof.theirs, nonce.subarray(nonceBytes - trailerBytes)]) {
      talk.write(pack(trailer, [execFrame(2, requestOf({ shell: `touch ${agent.dir}/forged` }, {}), execFlag.noStdin)]))
      await sleep(50)
    }
    await talk.greet()
    await talk.run(1, 'true')
    assert.equal(existsSync(join(agent.dir, 'forged')), false)
  })
  it('nor a proof that was heard before, as every greeting asks for another', async () => {
    const nonce = Buffer.alloc(nonceBytes, 0x43)
    const first = await talk.hail(nonce)
    const proof = proofFor(first, nonce, new Uint8Array(32).fill(7))
    assert.ok(proof)
    await talk.greet()
    const second = await talk.hail(nonce)
    assert.notDeepEqual(second, first)
    talk.send({ type: ask.proof, id: 0, payload: proof.payload })
    assert.equal((await talk.next(answer.error, 0)).payload.toString(), 'EACCES greeting')
    await talk.greet()
  })
  it('tells a host of another version which one it speaks, and no more', async () => {
    await using own = await streamAgent('sanitized')
    const nonce = Buffer.alloc(nonceBytes, 0x44)
    const greeting = hello(nonce)
    greeting.writeUInt32LE(1, greeting.length - 4)
    const wanted = Buffer.concat([agreeMagic, nonce, pack(nonce.subarray(nonceBytes - trailerBytes), [{ type: answer.facts, id: 0, payload: Buffer.from('protocol=2\n') }])])
    let raw = Buffer.alloc(0)
    own.stream.on('data', (chunk: Buffer) => (raw = Buffer.concat([raw, chunk])))
    own.stream.write(greeting)
    for (let n = 0; n < 500 && !raw.includes(agreeMagic); n++) await sleep(20)
    await sleep(50)
    assert.deepEqual(raw.subarray(raw.indexOf(agreeMagic)), wanted)
  })
})

describe('F14: the agent that takes calls', () => {
  it('goes on with the host it has, whoever else calls, until that one calls anew', async () => {
    await using agent = await localAgent('sanitized', (dir) => ['--unix', join(dir, 'socket')])
    const path = join(agent.dir, 'socket')
    await using mine = channelTo(path)
    await mine.ready({ signal: soon() })
    const go = Promise.withResolvers<void>()
    const stdin = async function* () {
      await go.promise
      yield Buffer.from('on\n')
    }
    const running = runIn(mine, 'echo up; cat', { stdin: stdin() })
    await using stranger = channelTo(path, another)
    await assert.rejects(runIn(stranger, 'true', {}, soon()), isDenied)
    const squatters = await Promise.all(Array.from({ length: 40 }, () => dial(path)))
    squatters.forEach((socket, n) => socket.write(n % 2 ? hello(Buffer.alloc(nonceBytes, n + 1)) : randomBytes(100)))
    assert.equal((await runIn(mine, 'echo undisturbed')).stdout.toString(), 'undisturbed\n')
    go.resolve()
    assert.equal((await running).stdout.toString(), 'up\non\n')
    const file = join(agent.dir, 'hup')
    const lost = assert.rejects(runIn(mine, `exec 2>/dev/null; trap 'echo hup >${file}; exit' HUP; echo up; while :; do sleep 0.02; done`, { output: () => anew.resolve() }), /not known/)
    const anew = Promise.withResolvers<void>()
    await anew.promise
    await using next = channelTo(path)
    assert.equal((await runIn(next, 'echo here', {}, soon())).stdout.toString(), 'here\n')
    await mine[Symbol.asyncDispose]()
    await lost
    for (let n = 0; n < 100 && !existsSync(file); n++) await sleep(20)
    assert.ok(existsSync(file))
    for (const socket of squatters) socket.destroy()
  })
  it('hangs up on what runs when its host is gone', async () => {
    await using agent = await localAgent('sanitized', (dir) => ['--unix', join(dir, 'socket')])
    const file = join(agent.dir, 'hup')
    const mine = channelTo(join(agent.dir, 'socket'))
    const up = Promise.withResolvers<void>()
    const lost = assert.rejects(runIn(mine, `exec 2>/dev/null; trap 'echo hup >${file}; exit' HUP; echo up; while :; do sleep 0.02; done`, { output: () => up.resolve() }))
    await up.promise
    await mine[Symbol.asyncDispose]()
    await lost
    for (let n = 0; n < 100 && !existsSync(file); n++) await sleep(20)
    assert.ok(existsSync(file))
  })
})

describe('F14: the key of an agent', () => {
  const words = (dir: string) => ['--unix', join(dir, 'socket'), '--run-dir', join(dir, 'run')]
  /** Starts an agent whose directory is as `prepare` makes it; whether it takes the key of another host. */
  const takesAnother = async (prepare: (dir: string) => void): Promise<boolean> => {
    await using agent = await localAgent('sanitized', words, { prepare })
    await using channel = channelTo(join(agent.dir, 'socket'), another)
    return await channel.ready({ signal: soon() }).then(
      () => true,
      (fault: unknown) => {
        assert.ok(isDenied(fault), String(fault))
        return false
      },
    )
  }
  const ours = (path: string) => {
    if (process.getuid?.() === 0) chownSync(path, 65534, 65534)
  }
  const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
  const kept = (text: string, mode = 0o600) => (dir: string) => {
    mkdirSync(join(dir, 'run'), { mode: 0o700 })
    writeFileSync(join(dir, 'run/key'), text, { mode })
    chmodSync(join(dir, 'run/key'), mode)
    ours(join(dir, 'run'))
    ours(join(dir, 'run/key'))
  }

  it('is kept where only its own user reads it, and found there after a restart', async () => {
    let saved = ''
    {
      await using agent = await localAgent('sanitized', words)
      await using channel = channelTo(join(agent.dir, 'socket'))
      await channel.ready({ signal: soon() })
      saved = readFileSync(join(agent.dir, 'run/key'), 'utf8')
      assert.equal(saved, `${boot} ${'07'.repeat(32)}\n`)
      assert.equal(statSync(join(agent.dir, 'run/key')).mode & 0o777, 0o600)
      assert.equal(statSync(join(agent.dir, 'run')).mode & 0o777, 0o700)
    }
    assert.equal(await takesAnother(kept(saved)), false)
  })
  it('of another boot, of nobody, or that others could have written does not count', async () => {
    assert.equal(await takesAnother(() => undefined), true)
    assert.equal(await takesAnother(kept(`00000000-0000-0000-0000-000000000000 ${'07'.repeat(32)}\n`)), true)
    assert.equal(await takesAnother(kept(`${boot} ${'07'.repeat(31)}\n`)), true)
    assert.equal(await takesAnother(kept(`${boot} ${'07'.repeat(32)}\n`, 0o620)), true)
  })
  it('may be given by file, and then no other is taken; the file must be its user’s alone', async () => {
    const withFile = (mode: number, text = `${'07'.repeat(32)}\n`) => ({
      prepare: (dir: string) => {
        writeFileSync(join(dir, 'secret'), text)
        chmodSync(join(dir, 'secret'), mode)
        ours(join(dir, 'secret'))
      },
    })
    const words = (dir: string) => ['--unix', join(dir, 'socket'), '--key-file', join(dir, 'secret')]
    {
      await using agent = await localAgent('sanitized', words, withFile(0o400))
      await using stranger = channelTo(join(agent.dir, 'socket'), another)
      await assert.rejects(stranger.ready({ signal: soon() }), isDenied)
      await using channel = channelTo(join(agent.dir, 'socket'))
      assert.equal((await runIn(channel, 'echo in', {}, soon())).stdout.toString(), 'in\n')
    }
    for (const [prepare, why] of [
      [withFile(0o440), /cannot use the key file/],
      [withFile(0o400, '0707'), /does not hold 64 hexadecimal digits/],
      [withFile(0o400, `${'07'.repeat(33)}\n`), /does not hold 64 hexadecimal digits/],
    ] as const)
      assert.match(await refusalOf(words, prepare), why)
  })
})

/** What an agent that does not start says. */
async function refusalOf(words: (dir: string) => string[], options: { prepare?: (dir: string) => void } = {}): Promise<string> {
  const agent = await localAgent('sanitized', words, options)
  for (let n = 0; n < 500 && agent.process.exitCode === null; n++) await sleep(20)
  assert.equal(agent.process.exitCode, 1)
  await agent.end().catch(() => undefined)
  rmSync(agent.dir, { recursive: true, force: true })
  return agent.said()
}

describe('[F14 F15] the agent over TCP', () => {
  const withKey = (dir: string) => {
    writeFileSync(join(dir, 'secret'), '07'.repeat(32), { mode: 0o600 })
    if (process.getuid?.() === 0) chownSync(join(dir, 'secret'), 65534, 65534)
  }
  it('serves who knows the key of its file', async () => {
    const port = await freePort()
    await using agent = await localAgent('sanitized', (dir) => ['--listen', `127.0.0.1:${port}`, '--key-file', join(dir, 'secret')], { prepare: withKey })
    await using channel = channelTo(port)
    assert.equal((await runIn(channel, 'echo over tcp', {}, soon())).stdout.toString(), 'over tcp\n')
    await using stranger = channelTo(port, another)
    await assert.rejects(runIn(stranger, 'true', {}, soon()), isDenied)
    assert.equal(agent.process.exitCode, null)
  })
  it('F15: listens on 22000 unless told otherwise', async (t) => {
    if (process.getuid?.() !== 0) return t.skip('SKIPPED: a network of its own needs root')
    const launcher = () => ['unshare', '--net', '--setuid', '65534', '--setgid', '65534', '--']
    await using agent = await localAgent('sanitized', (dir) => ['--listen', '--key-file', join(dir, 'secret')], { prepare: withKey, launcher, asRoot: true })
    const listening = () => /: 0{32}:55F0 0{32}:0000 0A/.test(readFileSync(`/proc/${agent.process.pid}/net/tcp6`, 'utf8'))
    for (let n = 0; n < 200 && !listening(); n++) await sleep(20)
    assert.ok(listening(), readFileSync(`/proc/${agent.process.pid}/net/tcp6`, 'utf8'))
  })
  it('is not served without a key file, or at what is no address', async () => {
    assert.match(await refusalOf(() => ['--listen', '22000']), /--listen needs --key-file/)
    for (const where of ['0', '65536', 'x:1', '1.2.3.4.5:1', '[::1:22', '127.0.0.1:', ''])
      assert.match(await refusalOf((dir) => [`--listen=${where}`, '--key-file', join(dir, 'secret')], { prepare: withKey }), /is no |needs/)
  })
})

const freePort = () =>
  new Promise<number>((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0))
    })
  })
