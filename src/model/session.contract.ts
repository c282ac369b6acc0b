import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type CloudUnderTest, type Ground, groundOf, refuses } from './cloud-under-test.ts'
import type { SessionFrame, SessionRequest } from './session.ts'
import { transferContract } from './transfer.contract.ts'

/** All that `session.ts` promises, asked of the sessions of one Cloud. */
export function sessionContract({ name, make: makeCloud }: { name: string; make: () => Promise<CloudUnderTest> }): void {
  transferContract({ name, make: makeCloud })
  const make = () => groundOf(makeCloud)
  describe(`sessions of the Cloud ${name}`, { timeout: 180_000 }, () => {
    it('[F01] run a command in every VM and say how each ended', async () => {
      await using ground = await make()
      await ground.ready('demo', 3)
      const frames = await run(ground, { type: 'exec', vms: { envs: ['demo'] }, command: ground.commands.echo('a  b') })
      for (const vm of ['demo.0', 'demo.1', 'demo.2']) {
        const own = frames.filter((frame) => 'vm' in frame && frame.vm === vm)
        assert.equal(own[0]?.type, 'begin')
        assert.deepEqual(own.at(-1), { type: 'exit', vm, code: 0 })
        assert.equal(own.filter(({ type }) => type === 'begin').length, 1)
        assert.equal(outputOf(own), 'a  b\n')
      }
      assert.ok(frames.every((frame) => 'vm' in frame && /^demo\.[012]$/.test(frame.vm ?? '')))
    })

    it("pass on a command's own status", async () => {
      await using ground = await make()
      await ground.ready('demo')
      const frames = await run(ground, { type: 'exec', vms: { envs: ['demo'] }, command: ground.commands.exit(3) })
      assert.deepEqual(frames.at(-1), { type: 'exit', vm: 'demo.0', code: 3 })
    })

    it('[F03] reach the VMs that were picked', async () => {
      await using ground = await make()
      const { cloud, image, commands } = ground
      await ground.ready('one', 3)
      await ground.ready('two', 2)
      const reached = async (vms: { envs: string[]; indices?: number[]; prefixes?: string[] }) => {
        const frames = await run(ground, { type: 'exec', vms, command: commands.echo('x') })
        return frames.flatMap((frame) => (frame.type === 'exit' ? [frame.vm] : [])).sort()
      }
      assert.deepEqual(await reached({ envs: ['one', 'two'] }), ['one.0', 'one.1', 'one.2', 'two.0', 'two.1'])
      assert.deepEqual(await reached({ envs: ['one'], indices: [0, 2, 7] }), ['one.0', 'one.2'])
      assert.deepEqual(await reached({ envs: ['two'], prefixes: [image.slice(0, 4)] }), ['two.0', 'two.1'])
      const nothing = (vms: object) => cloud.open({ type: 'exec', vms: { envs: ['one'], ...vms }, command: commands.echo('x') })
      await refuses(nothing({ indices: [9] }), 'not_found', 'env/one')
      await refuses(nothing({ prefixes: ['zzz'] }), 'not_found', 'env/one')
      await refuses(nothing({ envs: ['one', 'nope'] }), 'not_found', 'env/nope')
    })

    it('carry input, whole and in order', async () => {
      await using ground = await make()
      await ground.ready('demo', 1)
      await using session = await ground.cloud.open({ type: 'exec', vms: { envs: ['demo'] }, command: ground.commands.copy, stdin: true })
      const sent = Uint8Array.from({ length: 300_000 }, (_, at) => (at * 31) % 251)
      const frames: SessionFrame[] = []
      const writer = session.input.getWriter()
      const write = async () => {
        for (let at = 0; at < sent.length; at += 70_000) await writer.write({ type: 'stdin', data: sent.slice(at, at + 70_000) })
        await writer.write({ type: 'eof', vm: 'demo.0' })
      }
      const read = async () => {
        for await (const frame of session.output) frames.push(frame)
      }
      await Promise.all([write(), read()])
      const pieces = frames.flatMap((frame) => (frame.type === 'stdout' ? [...frame.data] : []))
      assert.deepEqual(Uint8Array.from(pieces), sent)
      assert.deepEqual(frames.at(-1), { type: 'exit', vm: 'demo.0', code: 0 })
      await Promise.race([writer.write({ type: 'stdin', data: new Uint8Array(1) }).catch(() => undefined), fault('a write after the end must settle', 5000)])
    })

    it('[G01] ask every guest whether it lives, and say so of each', async () => {
      await using ground = await make()
      await ground.ready('demo', 3)
      const frames = await run(ground, { type: 'ping', vms: { envs: ['demo'] }, timeoutMs: 5000 })
      for (const vm of ['demo.0', 'demo.1', 'demo.2']) {
        const own = frames.filter((frame) => 'vm' in frame && frame.vm === vm)
        assert.deepEqual(own.map(({ type }) => type), ['begin', 'exit'])
        assert.deepEqual(own[1], { type: 'exit', vm, code: 0 })
      }
      await refuses(ground.cloud.open({ type: 'ping', vms: { envs: ['none'] }, timeoutMs: 5000 }), 'not_found', 'env/none')
    })

    it('tell what happened to the ENVs that are asked for, and end', async () => {
      await using ground = await make()
      const { owner } = await ground.ready('demo')
      await ground.ready('more')
      const events = (await run(ground, { type: 'events', envs: ['demo'] })).flatMap((frame) => (frame.type === 'event' ? [frame.event] : assert.fail(`a frame of type ${frame.type}`)))
      assert.deepEqual(events.map(({ event }) => event).slice(0, 2), ['created', 'ready'])
      for (const event of events) {
        assert.match(event.subject, /^(env\/demo|vm\/demo\.\d+)$/)
        assert.equal(event.owner, owner)
        assert.ok(event.message !== '' && !Number.isNaN(Date.parse(event.time)))
      }
      const subjects = (await run(ground, { type: 'events' })).flatMap((frame) => (frame.type === 'event' ? [frame.event.subject] : []))
      for (const subject of ['env/demo', 'env/more']) assert.ok(subjects.includes(subject), subject)
    })

    it('go on telling what happens while somebody listens', async () => {
      await using ground = await make()
      const session = await ground.cloud.open({ type: 'events', envs: ['demo'], follow: true })
      const reader = session.output.getReader()
      const first = reader.read()
      await ground.ready('demo')
      const { value } = await Promise.race([first, fault('nothing was told', 5000)])
      assert.deepEqual(value?.type === 'event' && [value.event.subject, value.event.event], ['env/demo', 'created'])
      const rest = (async () => {
        while (!(await reader.read()).done);
      })().catch(() => undefined)
      await session[Symbol.asyncDispose]()
      await Promise.race([rest, fault('the output must end', 5000)])
    })

    it("tell nobody what happened to another's ENV", async () => {
      await using ground = await make()
      if (!ground.other) return
      await ground.ready('demo')
      const frames = await run({ ...ground, cloud: ground.other }, { type: 'events' })
      assert.ok(frames.every((frame) => frame.type !== 'event' || !/^(env|vm)\//.test(frame.event.subject)))
      assert.deepEqual(await run({ ...ground, cloud: ground.other }, { type: 'events', envs: ['demo'] }), [])
    })

    it('[N07] look at every host, and say what is wrong with what can be done, to admins only', async () => {
      await using ground = await make()
      await ground.ready('demo')
      for (const cloud of distinct(ground)) {
        const open = (fix?: boolean) => run({ ...ground, cloud }, { type: 'doctor', ...(fix === undefined ? {} : { fix }) })
        if ((await cloud.about()).role !== 'admin') {
          await refuses(open(), 'denied', 'doctor')
          continue
        }
        for (const frames of [await open(), await open(true)]) {
          const findings = frames.flatMap((frame) => (frame.type === 'finding' ? [frame.finding] : []))
          assert.ok(findings.length > 0)
          for (const { check, state, message, remedy } of findings) assert.ok(check !== '' && message !== '' && (state === 'good' || remedy), `${check} ${state}: ${message}`)
          assert.ok(frames.every((frame) => frame.type === 'finding' || frame.type === 'leak'))
        }
      }
      const [exit] = (await run(ground, { type: 'ping', vms: { envs: ['demo'] }, timeoutMs: 5000 })).filter(({ type }) => type === 'exit')
      assert.ok(exit, 'a fix touches no VM')
    })

    it('fault 38: read settings again on every host, for admins only', async () => {
      await using ground = await make()
      for (const cloud of distinct(ground)) {
        const open = () => run({ ...ground, cloud }, { type: 'reload' })
        if ((await cloud.about()).role !== 'admin') {
          await refuses(open(), 'denied', 'reload')
          continue
        }
        const frames = await open()
        assert.ok(frames.length > 0)
        for (const frame of frames) {
          // A host may have no settings that can be read again.
          if (frame.type === 'problem') assert.equal(frame.problem.code, 'unsupported')
          else assert.ok(frame.type === 'reloaded' && Array.isArray(frame.changed) && Array.isArray(frame.needRestart))
        }
      }
    })

    it('end when they are disposed', async () => {
      await using ground = await make()
      await ground.ready('demo', 1)
      const session = await ground.cloud.open({ type: 'exec', vms: { envs: ['demo'] }, command: ground.commands.hang })
      const reader = session.output.getReader()
      assert.equal((await reader.read()).value?.type, 'begin')
      const rest = (async () => {
        while (!(await reader.read()).done);
      })().catch(() => undefined)
      await session[Symbol.asyncDispose]()
      await session[Symbol.asyncDispose]()
      await Promise.race([rest, fault('the output must end', 5000)])
    })
  })
}

/** The cloud as each has it who has it in a way of their own. */
const distinct = ({ cloud, other, admin, viewer }: Ground) => [...new Set([cloud, other, admin, viewer])].filter((one) => one !== undefined)

async function run({ cloud }: Pick<Ground, 'cloud'>, request: SessionRequest): Promise<SessionFrame[]> {
  await using session = await cloud.open(request)
  const frames: SessionFrame[] = []
  for await (const frame of session.output) frames.push(frame)
  return frames
}

const outputOf = (frames: SessionFrame[]) => new TextDecoder().decode(Uint8Array.from(frames.flatMap((frame) => (frame.type === 'stdout' ? [...frame.data] : []))))

const fault = (message: string, ms: number) =>
  new Promise<never>((_resolve, reject) => {
    setTimeout(() => reject(new Error(message)), ms).unref()
  })
