import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import type { Channel, GuestFiles } from '../src/drivers/channel/channel.ts'
import type { Engine } from '../src/drivers/engine/engine.ts'
import { TtError } from '../src/model/errors.ts'
import type { FileEntry, SessionFrame } from '../src/model/session.ts'
import { directoryOf, fetched, fileOf, patternOf, push } from '../src/model/transfer.ts'
import { calledWith } from './command-line.ts'
import { fakeCloud, temporaryDir } from './fake-cloud.ts'
import { readyEnv } from './transfer-ground.ts'

/** A cloud of fakes whose VMs of this index, or all of them, have other files than they should. */
async function ground(count: number, odd: (files: GuestFiles) => Partial<GuestFiles> | 'none', index: number | 'all' = 1) {
  await using building = new AsyncDisposableStack()
  const { dir } = building.use(temporaryDir('transfers-hostile'))
  const around = {
    engine: (engine: Engine): Engine => ({
      ...engine,
      channel(id) {
        const channel = engine.channel?.(id) ?? assert.fail('no channel')
        if (index !== 'all' && !id.endsWith(`.${index}`)) return channel
        const changed = odd(channel.files as GuestFiles)
        const features = { ...channel.features, files: changed !== 'none' }
        return new Proxy(channel, { get: (from, name) => (name === 'features' ? features : name === 'files' ? (changed === 'none' ? undefined : { ...from.files, ...changed }) : (from[name as keyof Channel] as unknown)) })
      },
    }),
  }
  const made = building.use(await fakeCloud({ dir: join(dir, 'server'), around }))
  await readyEnv(made.cloud, 'demo', count)
  const stack = building.move()
  return { ...made, [Symbol.asyncDispose]: () => stack.disposeAsync() }
}

const never = () => new Promise<never>(() => undefined)
const endsOf = (frames: SessionFrame[]) => Object.fromEntries(frames.flatMap((frame) => (frame.type === 'exit' ? [[frame.vm, 'ok']] : frame.type === 'problem' && frame.vm !== undefined ? [[frame.vm, frame.problem.code]] : [])))
const demo = { envs: ['demo'], path: '/tmp/f' }

describe('transfers and guests that do not keep to it', () => {
  const hangs: Record<string, (files: GuestFiles) => Partial<GuestFiles>> = {
    'when it is asked what it has': () => ({ offer: never }),
    'before the first byte': () => ({ write: never }),
    'in the middle': () => ({
      async write(_path, _file, bytes) {
        for await (const _ of bytes) await new Promise((resolve) => setTimeout(resolve, 20).unref()).then(() => (never()))
      },
    }),
    'at the end': () => ({
      async write(_path, _file, bytes) {
        for await (const _ of bytes);
        await never()
      },
    }),
  }
  for (const [when, odd] of Object.entries(hangs))
    test(`[F07 fault 17 fault 30] a VM that hangs ${when} is named as late, and holds the others no longer than its time`, async () => {
      await using at = await ground(3, odd)
      const began = performance.now()
      const frames = await push(at.cloud, { ...demo, timeoutMs: 700 }, [await fileOf('', patternOf(4_000_000))])
      const tookMs = performance.now() - began
      assert.deepEqual(endsOf(frames), { 'demo.0': 'ok', 'demo.1': 'timeout', 'demo.2': 'ok' })
      const late = frames.find((frame) => frame.type === 'problem')
      assert.match(late?.type === 'problem' ? late.problem.message : '', /the guest has got on by nothing for 700 ms while \/tmp\/f was written/)
      assert.ok(tookMs > 600 && tookMs < 6000, `${tookMs} ms`)
    })

  test('a VM that is slow and gets on is waited for', async () => {
    await using at = await ground(2, (files) => ({
      write: (path, file, bytes, call) => files.write(path, file, slowly(bytes, 30), call),
    }))
    const frames = await push(at.cloud, { ...demo, timeoutMs: 500 }, [await fileOf('', patternOf(2_000_000))])
    assert.deepEqual(endsOf(frames), { 'demo.0': 'ok', 'demo.1': 'ok' })
  })

  test('what a VM has not taken is kept within bounds, and the caller waits', async () => {
    await using at = await ground(2, () => ({ write: never }))
    const { entry, bytes } = await fileOf('', patternOf(20_000_000))
    await using session = await at.cloud.open({ type: 'push', vms: { envs: ['demo'] }, path: '/tmp/f', timeoutMs: 60_000 })
    const reading = (async () => {
      for await (const _ of session.output);
    })().catch(() => undefined)
    const writer = session.input.getWriter()
    await writer.write({ type: 'entry', entry })
    await writer.write({ type: 'from', offset: 0 })
    let taken = 0
    const writing = (async () => {
      for (let at = 0; at < bytes!.length; at += 65_536) {
        await writer.write({ type: 'stdin', data: bytes!.subarray(at, at + 65_536) })
        taken = at
      }
    })().catch(() => undefined)
    await new Promise((resolve) => setTimeout(resolve, 500))
    assert.ok(taken > 500_000 && taken < 2_000_000, `${taken} bytes were taken`)
    await session[Symbol.asyncDispose]()
    await Promise.all([reading, writing])
  })

  test('[N02] a way in without files is said to be none, and the others get theirs', async () => {
    await using at = await ground(2, () => 'none')
    assert.deepEqual(endsOf(await push(at.cloud, demo, [await fileOf('', patternOf(10))])), { 'demo.0': 'ok', 'demo.1': 'unsupported' })
    const got = await fetched(at.cloud, demo)
    assert.equal(got.get('demo.1')?.end, 'unsupported')
    const via = await push(at.cloud, { ...demo, via: 'ssh' }, [await fileOf('', patternOf(10))])
    assert.deepEqual(endsOf(via), { 'demo.0': 'unsupported', 'demo.1': 'unsupported' })
  })

  test('what a guest does not give leaves nothing here, and what others give is kept', async () => {
    const refused = async () => Promise.reject(new TtError({ code: 'denied', message: 'the guest does not permit it' }))
    await using at = await ground(2, () => ({ read: refused }))
    using own = temporaryDir('transfers-refused')
    for (const path of ['/tmp/f', '/tmp/d']) await push(at.cloud, { envs: ['demo'], path }, path === '/tmp/f' ? [await fileOf('', patternOf(10))] : [directoryOf(''), directoryOf('sub'), await fileOf('sub/f', patternOf(10))])
    for (const name of ['f', 'd']) assert.equal((await calledWith(at.cloud, 'env', 'get', 'demo', '-f', `/tmp/${name}`, '--to', join(own.dir, 'got'))).status, 5)
    assert.deepEqual(readdirSync(join(own.dir, 'got')).sort(), ['demo.0-d', 'demo.0-f'])
  })

  const odd = (entries: (n: number) => FileEntry) => () => ({
    async *list() {
      for (let n = 0; n < 200_000; n++) yield entries(n)
    },
  })
  for (const [what, code, list] of [
    ['names something above', 'failed', odd(() => ({ path: '../x', type: 'file', mode: 0o644, sizeBytes: 1 }))],
    ['names a path for a name', 'failed', odd(() => ({ path: 'a/b', type: 'file', mode: 0o644, sizeBytes: 1 }))],
    ['names itself', 'failed', odd(() => ({ path: '.', type: 'directory', mode: 0o755 }))],
    ['names things without end', 'too_large', odd((n) => ({ path: `f${n}`, type: 'link', mode: 0o777, target: 'x' }))],
  ] as const)
    test(`a guest that ${what} ends its own part, and nobody else's`, async () => {
      await using at = await ground(2, list)
      await push(at.cloud, { envs: ['demo'], path: '/tmp/d' }, [directoryOf(''), await fileOf('f', patternOf(3))])
      const got = await fetched(at.cloud, { envs: ['demo'], path: '/tmp/d' })
      assert.equal(got.get('demo.1')?.end, code)
      assert.equal(got.get('demo.0')?.files.length, 2)
      assert.deepEqual(got.get('demo.0')?.end, { type: 'exit', vm: 'demo.0', code: 0 })
    })

  test('[F13] no more VMs than are asked for are looked into, or read, at the same time', async () => {
    const most = { offer: 0, read: 0 }
    const now = { offer: 0, read: 0 }
    const counted = async <T>(what: 'offer' | 'read', work: () => Promise<T>): Promise<T> => {
      most[what] = Math.max(most[what], ++now[what])
      await new Promise((resolve) => setTimeout(resolve, 20))
      return work().finally(() => now[what]--)
    }
    await using at = await ground(
      12,
      (files) => ({
        offer: (path, file, call) => counted('offer', () => files.offer(path, file, call)),
        read: (path, options, call) => counted('read', () => files.read(path, options, call)),
      }),
      'all',
    )
    assert.equal(Object.values(endsOf(await push(at.cloud, { ...demo, atOnce: 3 }, [await fileOf('', patternOf(200_000))]))).filter((end) => end === 'ok').length, 12)
    assert.equal((await fetched(at.cloud, { ...demo, atOnce: 2 })).size, 12)
    assert.deepEqual(most, { offer: 3, read: 2 })
  })

  test('a caller that says what makes no sense is refused, in each VM', async () => {
    await using at = await ground(1, () => ({}), 9)
    const { entry } = await fileOf('', patternOf(10))
    const stories: Record<string, object[]> = {
      'bytes of nothing': [{ type: 'stdin', data: new Uint8Array(3) }],
      'too many bytes': [{ type: 'entry', entry }, { type: 'from', offset: 0 }, { type: 'stdin', data: new Uint8Array(11) }],
      'a beginning beyond the end': [{ type: 'entry', entry }, { type: 'from', offset: 11 }],
      'a beginning too late': [{ type: 'entry', entry }, { type: 'from', offset: 4 }, { type: 'stdin', data: new Uint8Array(6) }],
      'a file without its size': [{ type: 'entry', entry: { path: '', type: 'file', mode: 0o644 } }],
      'another entry in between': [{ type: 'entry', entry }, { type: 'entry', entry }],
      'a signal': [{ type: 'signal', signal: 'SIGTERM' }],
      'too few bytes': [{ type: 'entry', entry }, { type: 'from', offset: 0 }, { type: 'stdin', data: new Uint8Array(9) }, { type: 'eof' }],
    }
    for (const [what, story] of Object.entries(stories)) {
      await using session = await at.cloud.open({ type: 'push', vms: { envs: ['demo'] }, path: '/tmp/f' })
      const writer = session.input.getWriter()
      for (const input of story) await writer.write(input as never).catch(() => undefined)
      const frames = await Array.fromAsync(session.output)
      assert.deepEqual(endsOf(frames), { 'demo.0': what === 'too few bytes' ? 'failed' : 'invalid' }, what)
    }
    assert.equal((await fetched(at.cloud, demo)).get('demo.0')?.end, 'not_found')
  })
})

async function* slowly(bytes: AsyncIterable<Uint8Array>, ms: number): AsyncGenerator<Uint8Array> {
  for await (const piece of bytes) {
    await new Promise((resolve) => setTimeout(resolve, ms))
    yield piece
  }
}
