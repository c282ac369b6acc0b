import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { TtError } from '../../../model/errors.ts'
import type { FileEntry } from '../../../model/session.ts'
import type { GuestFiles } from '../channel.ts'
import { entryReader } from './files-entry.ts'
import { operations } from './files-order.ts'
import type { Frame } from './frame.ts'
import { answer, ask, execFlag } from './protocol.ts'
import { channelTo } from './guest-ground.ts'

const isCode = (code: string, message = /./) => (error: unknown) => error instanceof TtError && error.code === code && message.test(error.message)
const exit = (id: number, code: number): Frame => ({ type: answer.exit, id, payload: Buffer.of(0, code) })
const zeros = { sizeBytes: 10, sha256: '0'.repeat(64), mode: 0o644 }

/** An entry as an agent tells of it. */
const entry = (type: string, { name = '' as string | Buffer, mode = 0o644, size = 0n, target = '' as string | Buffer } = {}): Buffer => {
  const head = Buffer.alloc(15)
  head.write(type)
  head.writeUInt32LE(mode, 1)
  head.writeBigUInt64LE(size, 5)
  head.writeUInt16LE(Buffer.byteLength(name), 13)
  const between = Buffer.alloc(2)
  between.writeUInt16LE(Buffer.byteLength(target))
  return Buffer.concat([head, Buffer.from(name), between, Buffer.from(target)])
}

describe('entries a guest tells of', () => {
  it('are found however they are cut', () => {
    const all = Buffer.concat([entry('f', { name: 'a', size: 5_000_000_000n }), entry('d', { name: 'ü', mode: 0o1777 }), entry('l', { name: 'c', target: '../x y' })])
    const wanted: FileEntry[] = [
      { path: 'a', type: 'file', mode: 0o644, sizeBytes: 5_000_000_000 },
      { path: 'ü', type: 'directory', mode: 0o1777 },
      { path: 'c', type: 'link', mode: 0o644, target: '../x y' },
    ]
    for (let cut = 0; cut <= all.length; cut++) {
      const reader = entryReader('/d')
      const found = [...reader.take(Buffer.from(all.subarray(0, cut))), ...reader.take(all.subarray(cut))]
      assert.deepEqual(found, wanted, `cut at ${cut}`)
      assert.equal(reader.open, false)
    }
    const reader = entryReader('/d')
    reader.take(all.subarray(0, 40))
    assert.equal(reader.open, true)
  })
  it('are judged: no name leads elsewhere, nothing is too long', () => {
    const bad = [
      entry('f', { name: '..' }),
      entry('f', { name: '.' }),
      entry('f', { name: 'a/b' }),
      entry('f', { name: 'a\0b' }),
      entry('x', { name: 'a' }),
      entry('f', { name: 'a', mode: 0o100644 }),
      entry('f', { name: 'a', size: 2n ** 63n }),
      entry('f', { name: 'a'.repeat(257) }),
      entry('l', { name: 'a', target: 'b'.repeat(4097) }),
    ]
    for (const one of bad) assert.throws(() => entryReader('/d').take(one), isCode('failed'), one.toString('latin1').slice(0, 40))
    for (const one of [entry('f', { name: Buffer.of(0xff) }), entry('l', { name: 'a', target: Buffer.of(0xc3) })]) assert.throws(() => entryReader('/d').take(one), isCode('unsupported'))
  })
})

describe('rexec: files of a guest that does what the test says', () => {
  const ground = async () => {
    const under = await channelTo()
    const guest = await under.guest(0)
    await guest.greet()
    const { files } = under.channel
    assert.ok(files)
    return { under, guest, files, [Symbol.asyncDispose]: () => under[Symbol.asyncDispose]() }
  }
  const calls: Record<string, (files: GuestFiles) => Promise<unknown>> = {
    stat: (files) => files.stat('/f'),
    digest: (files) => files.digest('/f'),
    read: (files) => files.read('/f', { output: () => undefined }),
    offer: (files) => files.offer('/f', zeros),
    write: (files) => files.write('/f', { ...zeros, offset: 0 }, (async function* () {})()),
    directory: (files) => files.makeDirectory('/f', 0o755),
    link: (files) => files.makeLink('/f', { target: 'x' }),
    list: (files) => Array.fromAsync(files.list('/f')),
  }

  it('asks in as many frames as a long path takes', async () => {
    await using own = await ground()
    const path = `/${'p'.repeat(254)}`.repeat(16)
    const asked = own.files.stat(path)
    const first = await own.guest.next(ask.file)
    const second = await own.guest.next(ask.file)
    assert.deepEqual([first.payload[0], second.payload[0]], [execFlag.more, execFlag.noStdin])
    const body = Buffer.concat([first.payload.subarray(1), second.payload.subarray(1)])
    assert.equal(body[8], operations.stat)
    assert.equal(body.toString('utf8', 62), `${path}\0\0`)
    own.guest.say(exit(first.id, 0))
    assert.equal(await asked, undefined)
  })
  for (const [name, call] of Object.entries(calls)) {
    it(`${name}: a refusal names the path and the guest's reason`, async () => {
      await using own = await ground()
      const asked = call(own.files)
      const { id } = await own.guest.next(ask.file)
      own.guest.say({ type: answer.stderr, id, payload: Buffer.from('ENOSPC write') }, exit(id, 1))
      await assert.rejects(asked, (error) => isCode('exhausted', /ENOSPC write/)(error) && (error as TtError).subject === '/f')
    })
    it(`${name}: an answer that cannot be is failed`, async () => {
      await using own = await ground()
      const asked = call(own.files)
      const { id } = await own.guest.next(ask.file)
      // Longer than any, shorter than one, and of another kind.
      own.guest.say({ type: answer.stderr, id, payload: Buffer.alloc(9000) }, exit(id, 0))
      await assert.rejects(asked, isCode('failed'))
    })
    it(`${name}: a process that dies is failed`, async () => {
      await using own = await ground()
      for (const end of [Buffer.of(0, 2), Buffer.concat([Buffer.of(1), Buffer.from('SIGKILL')])]) {
        const asked = call(own.files)
        const { id } = await own.guest.next(ask.file)
        own.guest.say({ type: answer.exit, id, payload: end })
        await assert.rejects(asked, isCode('failed', /before it was done/))
      }
    })
    if (name !== 'read' && name !== 'list')
      it(`${name}: bytes that nobody asked for are failed, and end it`, async () => {
        await using own = await ground()
        const asked = assert.rejects(call(own.files), isCode('failed'))
        const { id } = await own.guest.next(ask.file)
        own.guest.say({ type: answer.stdout, id, payload: Buffer.alloc(10) })
        assert.equal((await own.guest.next(ask.kill)).id, id)
        own.guest.say(exit(id, 0))
        await asked
      })
  }
  it('what is in the way is told with what helps: a directory is never overwritten', async () => {
    await using own = await ground()
    for (const [said, remedy] of [['EEXIST name', /allow it to be overwritten/], ['EEXIST directory', /^(?!.*overwritten).*remove the directory/]] as const) {
      const asked = calls['write']?.(own.files)
      const { id } = await own.guest.next(ask.file)
      own.guest.say({ type: answer.stderr, id, payload: Buffer.from(said) }, exit(id, 1))
      await assert.rejects(asked ?? Promise.resolve(), (error) => isCode('exists')(error) && remedy.test((error as TtError).remedy ?? ''))
    }
  })
  it('an offer of more than there is, a digest that is none and a list that breaks off are failed', async () => {
    await using own = await ground()
    const eleven = Buffer.alloc(8)
    eleven.writeUInt8(11)
    const answers: [call: string, said: Buffer, type: number][] = [
      ['offer', eleven, answer.stderr],
      ['offer', Buffer.alloc(7), answer.stderr],
      ['digest', Buffer.alloc(31), answer.stderr],
      ['digest', Buffer.alloc(0), answer.stderr],
      ['read', Buffer.alloc(0), answer.stderr],
      ['stat', entry('f', { name: 'a' }), answer.stderr],
      ['stat', Buffer.concat([entry('f'), entry('f')]), answer.stderr],
      ['list', entry('f', { name: 'a' }).subarray(0, 9), answer.stdout],
      ['list', entry('f'), answer.stdout],
    ]
    for (const [name, said, type] of answers) {
      const asked = assert.rejects(calls[name]?.(own.files) ?? Promise.resolve(), isCode('failed'), `${name} ${said.toString('hex')}`)
      const { id } = await own.guest.next(ask.file)
      own.guest.say({ type, id, payload: said }, exit(id, 0))
      await asked
    }
  })
  it('a list is read no faster than it is wanted', async () => {
    await using own = await ground()
    const list = own.files.list('/d')[Symbol.asyncIterator]()
    const first = list.next()
    const { id } = await own.guest.next(ask.file)
    const many = Buffer.concat(Array.from({ length: 1200 }, (_, n) => entry('d', { name: `${n}` })))
    let sent = 0
    for (let n = 0; n < 9; n++) {
      own.guest.say({ type: answer.stdout, id, payload: many })
      sent += many.length
    }
    assert.equal((await first).value.path, '0')
    assert.ok(sent < 256 << 10)
    await own.guest.silence()
    let count = 1
    own.guest.say(exit(id, 0))
    for (let next = await list.next(); !next.done; next = await list.next()) count++
    assert.equal(count, 9 * 1200)
  })
})
