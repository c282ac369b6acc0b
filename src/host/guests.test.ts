import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { plainEffects } from '../base/effects.ts'
import { manualWorld } from '../base/manual-world.ts'
import { queue } from '../base/queue.ts'
import type { Beat, Channel, Guest, Identity } from '../drivers/channel/channel.ts'
import type { Engine } from '../drivers/engine/engine.ts'
import { asTtError, TtError } from '../model/errors.ts'
import type { Way } from '../model/image.ts'
import type { VmSpec } from '../model/vm.ts'
import { guests } from './guests.ts'

const log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined, with: () => log }
const isCode = (code: string, words = /./) => (thrown: unknown) => thrown instanceof TtError && thrown.code === code && words.test(thrown.message)
const vmOf = (id: string, sshKeys: string[] = []): VmSpec => ({ id, env: 'demo_x', index: Number(id.split('.')[1]), image: 'i', digest: 'd', engine: 'e', cpu: 1, memMb: 1, diskMb: 0, ports: [], denyOutgoing: false, deny: [], stopped: false, starts: 0, sshKeys })

/** A channel that answers when it is told to. */
function scripted(way: Way, { beats = false } = {}) {
  const closing = new AbortController()
  const said = queue<Beat>()
  let answering = Promise.withResolvers<void>()
  let breaking = Promise.withResolvers<void>()
  const seen = { guest: undefined as Guest | undefined, pings: 0, told: [] as Identity[], ran: 0 }
  const wait = async (promise: Promise<void>, signal?: AbortSignal) => {
    const cut = Promise.withResolvers<never>()
    for (const one of [signal, closing.signal]) {
      one?.addEventListener('abort', () => cut.reject(asTtError(one.reason)))
      if (one?.aborted) cut.reject(asTtError(one.reason))
    }
    cut.promise.catch(() => undefined)
    await Promise.race([promise, cut.promise])
  }
  const channel: Channel = {
    features: { tty: false, stdin: false, signals: false, files: false, identity: true, beats },
    closed: closing.signal,
    ready: (call) => wait(answering.promise, call?.signal),
    async ping(call) {
      seen.pings++
      await wait(answering.promise, call?.signal)
    },
    exec: async () => (seen.ran++, { code: ways.indexOf(way) }),
    identify: async (identity) => void seen.told.push(identity),
    ...(beats ? { beats: () => said } : { broken: (call) => wait(breaking.promise, call.signal) }),
    async [Symbol.asyncDispose]() {
      said.end()
      closing.abort(new TtError({ code: 'unavailable', message: 'closed' }))
    },
  }
  return {
    channel,
    seen,
    beat: (load: number, memUsedMb = 100) => said.push({ load, memUsedMb, memTotalMb: 1000 }),
    answers: () => answering.resolve(),
    /** Answers no more, and nothing notices that by itself. */
    freezes: () => (answering = Promise.withResolvers()),
    falls() {
      answering = Promise.withResolvers()
      breaking.resolve()
      breaking = Promise.withResolvers()
    },
  }
}

const ways: Way[] = ['rexec', 'ssh', 'qga']

function ground(t: TestContext, { beats = true } = {}) {
  const dataDir = mkdtempSync(join(tmpdir(), 'tt-ways-'))
  t.after(() => rmSync(dataDir, { recursive: true, force: true }))
  const world = manualWorld()
  const opened: string[] = []
  const scripts = { rexec: scripted('rexec', { beats }), ssh: scripted('ssh'), qga: scripted('qga') }
  const changes: string[] = []
  const channels = Object.fromEntries(Object.entries(scripts).map(([way, { channel, seen }]) => [way, (guest: Guest) => (opened.push(way), (seen.guest = guest), channel)]))
  const made = () => guests({ channels, addressOf: (_, port) => ({ host: '192.0.2.1', port }), dataDir, world, effects: plainEffects(), log, onChange: (id) => changes.push(JSON.stringify(all.status(id))) })
  const all = made()
  t.after(() => all[Symbol.asyncDispose]())
  return { all, made, world, opened, changes, dataDir, ...scripts }
}

const engine = {} as Engine
const settle = () => new Promise((resolve) => setImmediate(resolve))
const id = 'abcd.0'

describe('ways into a guest', () => {
  it('F02: opens the first, and after some seconds the next as well; what answers first is used, and the preferred once it answers', async (t) => {
    const { all, world, opened, changes, rexec, ssh } = ground(t)
    const channel = all.meet(id, engine, ways)
    assert.ok(channel)
    assert.deepEqual([opened, all.answered(id), all.status(id)], [['rexec'], false, { state: 'booting' }])
    const running = all.get(id)?.exec({ shell: 'true' }, { output: () => undefined })
    await world.advance(4900)
    assert.deepEqual(opened, ['rexec'])
    await world.advance(200)
    assert.deepEqual(opened, ['rexec', 'ssh'])
    ssh.answers()
    assert.deepEqual(await running, { code: 1 })
    await settle()
    assert.deepEqual([all.answered(id), all.status(id)], [true, { state: 'ready', way: 'ssh' }])
    await world.advance(20_000)
    assert.deepEqual(opened, ['rexec', 'ssh'])
    rexec.answers()
    await settle()
    assert.equal(all.get(id), rexec.channel)
    assert.deepEqual(changes.map((text) => JSON.parse(text) as unknown), [{ state: 'ready', way: 'ssh' }, { state: 'ready', way: 'rexec' }])
  })
  it('F02: gives the way that was asked for, opened for that; and refuses one that the image has not', async (t) => {
    const { all, opened, ssh } = ground(t)
    all.meet(id, engine, ['rexec', 'ssh'])
    assert.equal(all.get(id, 'ssh'), ssh.channel)
    assert.deepEqual(opened, ['rexec', 'ssh'])
    assert.throws(() => all.get(id, 'qga'), isCode('unsupported', /no way in by qga, but by rexec and ssh/))
    assert.equal(all.get('other.1', 'ssh'), undefined)
  })
  it('N02: a guest without any way is none, and is refused with what is left', (t) => {
    const { all, opened } = ground(t)
    assert.equal(all.meet(id, engine, []), undefined)
    assert.deepEqual([all.status(id), opened], [{ state: 'none' }, []])
    assert.throws(() => all.get(id), (thrown) => isCode('unsupported')(thrown) && /env console/.test((thrown as TtError).remedy ?? ''))
    assert.throws(() => all.get(id, 'ssh'), isCode('unsupported', /none at all/))
  })
  it('passes over a way that this host cannot open, and refuses a guest that has no other', async (t) => {
    const { all, opened } = ground(t)
    all.meet(id, engine, ['engine', 'ssh'])
    assert.deepEqual(opened, ['ssh'])
    assert.throws(() => all.meet('abcd.1', engine, ['engine']), isCode('unsupported', /no channel of its own/))
  })
  it('tells a way where the guest is and who this host is to it', async (t) => {
    const { all, rexec, ssh, dataDir } = ground(t)
    all.meet(id, engine, ways)
    all.get(id, 'ssh')
    const [one, other] = [rexec.seen.guest, ssh.seen.guest]
    assert.ok(one && other)
    assert.deepEqual(other.address(22), { host: '192.0.2.1', port: 22 })
    assert.equal(one.secret.length, 32)
    assert.deepEqual(one.secret, other.secret)
    assert.equal(await other.dir(), join(dataDir, 'guests', id))
    assert.match((await other.sshKey()).publicKey, /^ssh-ed25519 \S+ tt-abcd$/)
  })
})

describe('how a guest is', () => {
  it('F17: one that misses three beats and does not answer is lost, and ready when it beats again', async (t) => {
    const { all, world, rexec, changes } = ground(t)
    all.meet(id, engine, ['rexec'])
    rexec.answers()
    await settle()
    for (let n = 0; n < 6; n++) {
      rexec.beat(0.1)
      await settle()
      await world.advance(10_000)
    }
    assert.equal(rexec.seen.pings, 0)
    rexec.falls()
    await world.advance(19_000)
    assert.equal(all.status(id)?.state, 'ready')
    await world.advance(7000)
    assert.equal(rexec.seen.pings, 1)
    assert.deepEqual([all.status(id), all.answered(id)], [{ state: 'lost', way: 'rexec' }, true])
    await world.advance(300_000)
    assert.equal(rexec.seen.pings, 1, 'nobody asks a silent guest again and again')
    rexec.beat(3)
    await settle()
    assert.equal(all.status(id)?.state, 'ready')
    assert.deepEqual(changes.map((text) => (JSON.parse(text) as { state: string }).state), ['ready', 'ready', 'lost', 'ready', 'ready'])
  })
  it('one that is only late stays ready', async (t) => {
    const { all, world, rexec } = ground(t)
    all.meet(id, engine, ['rexec'])
    rexec.answers()
    await world.advance(100_000)
    assert.equal(all.status(id)?.state, 'ready')
    assert.ok(rexec.seen.pings >= 2)
  })
  it('F17: tells load and memory only when they have changed much, and not more than once in 30 s', async (t) => {
    const { all, world, rexec, changes } = ground(t)
    all.meet(id, engine, ['rexec'])
    rexec.answers()
    await settle()
    let load = 0
    for (let n = 0; n < 60; n++) {
      rexec.beat((load = n < 30 ? n : load + 0.001), 100 + n)
      await settle()
      await world.advance(10_000)
    }
    assert.ok(changes.length >= 10 && changes.length <= 13, `${changes.length} changes`)
    assert.deepEqual(all.status(id), JSON.parse(changes.at(-1) ?? '{}'))
  })
  it('F17: one whose connection broke is lost if it does not come back, and the next way is opened', async (t) => {
    const { all, world, ssh, qga, opened } = ground(t)
    all.meet(id, engine, ['ssh', 'qga'])
    ssh.answers()
    await settle()
    ssh.falls()
    await world.advance(100)
    ssh.answers() // At once again: nothing has happened.
    await world.advance(20_000)
    assert.deepEqual([all.status(id), opened], [{ state: 'ready', way: 'ssh' }, ['ssh']])
    ssh.falls()
    await world.advance(6000)
    assert.deepEqual([all.status(id), opened], [{ state: 'lost', way: 'ssh' }, ['ssh', 'qga']])
    qga.answers()
    await settle()
    assert.deepEqual(all.status(id), { state: 'ready', way: 'qga' })
    ssh.answers()
    await settle()
    assert.deepEqual(all.status(id), { state: 'ready', way: 'ssh' })
  })
})

describe('a guest that falls silent', () => {
  it('F17: is not called ready by another way that has only not noticed it yet', async (t) => {
    const { all, world, rexec, ssh, changes } = ground(t)
    all.meet(id, engine, ['rexec', 'ssh'])
    await world.advance(6000)
    ssh.answers()
    await settle()
    rexec.answers()
    await settle()
    assert.deepEqual(all.status(id), { state: 'ready', way: 'rexec' })
    rexec.freezes()
    ssh.freezes() // Its connection stands: it would notice much later.
    await world.advance(45_000)
    assert.deepEqual(all.status(id), { state: 'lost', way: 'rexec' })
    assert.deepEqual(changes.map((text) => (JSON.parse(text) as { state: string; way: string }).state), ['ready', 'ready', 'lost'])
    assert.equal(ssh.seen.pings, 2)
    rexec.answers()
    ssh.answers()
    await settle()
    assert.deepEqual(all.status(id), { state: 'ready', way: 'ssh' })
    rexec.beat(0.1)
    await settle()
    assert.equal(all.status(id)?.way, 'rexec')
  })
  it('F17: is called ready by another way that answers when it is asked', async (t) => {
    const { all, world, rexec, ssh, changes } = ground(t)
    all.meet(id, engine, ['rexec', 'ssh'])
    await world.advance(6000)
    for (const way of [ssh, rexec]) {
      way.answers()
      await settle()
    }
    rexec.freezes()
    await world.advance(45_000)
    assert.deepEqual(all.status(id), { state: 'ready', way: 'ssh' })
    assert.deepEqual(changes.map((text) => JSON.parse(text) as unknown), [{ state: 'ready', way: 'ssh' }, { state: 'ready', way: 'rexec' }, { state: 'ready', way: 'ssh' }])
  })
  it('F17: is ready again by a way whose connection was broken and made anew after it was doubted', async (t) => {
    const { all, world, ssh, qga } = ground(t)
    all.meet(id, engine, ['ssh', 'qga'])
    await world.advance(6000)
    for (const way of [ssh, qga]) {
      way.answers()
      await settle()
    }
    ssh.falls()
    qga.freezes()
    await world.advance(12_000)
    assert.equal(all.status(id)?.state, 'lost')
    qga.falls()
    qga.answers()
    await world.advance(6000)
    assert.deepEqual(all.status(id), { state: 'ready', way: 'qga' })
  })
  it('F17: is told to those who heed the way that they use, since when, and that it is back', async (t) => {
    const { all, world, rexec, ssh } = ground(t)
    const channel = all.meet(id, engine, ['rexec', 'ssh'])
    assert.ok(channel)
    const told: string[] = []
    const heed = (one: Channel, name: string) => all.heed(id, one, ({ forMs, over }) => told.push(`${name} ${over ? 'back' : 'silent'} ${Math.round(forMs / 1000)}`))
    rexec.answers()
    ssh.answers()
    all.get(id, 'ssh')
    await settle()
    rexec.beat(0.1)
    await settle()
    const first = heed(rexec.channel, 'first')
    using _other = heed(ssh.channel, 'other')
    const gone = heed(rexec.channel, 'gone')
    gone[Symbol.dispose]()
    rexec.freezes()
    await world.advance(40_000)
    assert.deepEqual(told, ['first silent 35'])
    using _late = heed(rexec.channel, 'late')
    assert.deepEqual(told.splice(0), ['first silent 35', 'late silent 40'])
    await world.advance(20_000)
    rexec.beat(0.1)
    await settle()
    assert.deepEqual(told.splice(0), ['first back 60', 'late back 60'])
    first[Symbol.dispose]()
    await all.leave(id)
    assert.equal(told.length, 0)
    all.heed(id, rexec.channel, () => told.push('x'))[Symbol.dispose]() // Nobody is there.
  })
})

describe('who a guest is to be', () => {
  it('J05: is told once after each start, its name once in its life, and keys again when they change', async (t) => {
    const { all, made, rexec, world, dataDir } = ground(t)
    all.meet(id, engine, ['rexec'])
    await all.introduce(vmOf(id, ['k1']))
    assert.equal(rexec.seen.told.length, 0) // It has not answered.
    rexec.answers()
    await settle()
    for (let n = 0; n < 3; n++) await all.introduce(vmOf(id, ['k1']))
    await all.introduce(vmOf(id, ['k2', 'k3']))
    const [first, second, ...rest] = rexec.seen.told
    assert.deepEqual([first?.hostname, first?.sshKeys, first?.timeMs, first?.entropy?.length, rest], ['demo-x-0', ['k1'], world.now(), 64, []])
    assert.deepEqual(second, { sshKeys: ['k2', 'k3'] })
    await using again = made()
    again.meet(id, engine, ['rexec'])
    await settle()
    await again.introduce(vmOf(id, ['k2']))
    assert.deepEqual([rexec.seen.told.at(-1)?.hostname, rexec.seen.told.at(-1)?.sshKeys], [undefined, ['k2']])
    assert.deepEqual(readdirSync(join(dataDir, 'guests', id)), ['named'])
  })
  it('A05: the key of its ENV on this host enters where ssh is a way in', async (t) => {
    const { all } = ground(t)
    const keys = all.keysFor(vmOf(id, ['mine']), ['ssh'])
    assert.deepEqual([keys.length, keys[0]], [2, 'mine'])
    assert.match(keys[1] ?? '', /^ssh-ed25519 /)
    assert.deepEqual(all.keysFor(vmOf(id, ['mine']), ['rexec']), ['mine'])
  })
})

describe('what a host keeps for its guests', () => {
  it('A05: F14: survives restarts, is readable by the server alone, differs by guest and ENV, and goes with the last VM', async (t) => {
    const { all, made, dataDir } = ground(t)
    const [one] = all.keysFor(vmOf('abcd.0'), ['ssh'])
    const [other] = all.keysFor(vmOf('efgh.0'), ['ssh'])
    assert.notEqual(one?.split(' ')[1], other?.split(' ')[1])
    all.meet(id, engine, ['rexec'])
    await using again = made()
    assert.deepEqual(again.keysFor(vmOf('abcd.7'), ['ssh']), [one])
    const key = join(dataDir, 'guest-keys', 'abcd')
    assert.equal(statSync(key).mode & 0o777, 0o600)
    assert.equal(statSync(join(dataDir, 'guest-keys')).mode & 0o777, 0o700)
    all.forget('abcd.0', () => false)
    assert.ok(existsSync(key))
    all.forget('abcd.1', () => true)
    assert.ok(!existsSync(key))
    assert.deepEqual(readdirSync(join(dataDir, 'guest-keys')), ['efgh'])
    all.sweep(new Set(['zzzz.1']))
    assert.deepEqual(readdirSync(join(dataDir, 'guest-keys')), [])
  })
  it('F14: a secret of 32 bytes for each guest, from one of the host that is made once', async (t) => {
    const { all, made, rexec, dataDir } = ground(t)
    const secretOf = (guest: string, of = all) => {
      of.meet(guest, engine, ['rexec'])
      return Buffer.from(rexec.seen.guest?.secret ?? []).toString('hex')
    }
    const [one, other] = [secretOf('abcd.0'), secretOf('abcd.1')]
    assert.notEqual(one, other)
    assert.equal(readFileSync(join(dataDir, 'guest-secret')).length, 32)
    assert.equal(statSync(join(dataDir, 'guest-secret')).mode & 0o777, 0o600)
    await using again = made()
    assert.equal(secretOf('abcd.0', again), one)
  })
})
