import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type CloudUnderTest, type Ground, groundOf, refuses } from './cloud-under-test.ts'
import type { SessionFrame, SessionRequest } from './session.ts'

/** All that `session.ts` promises, asked of the sessions of one Cloud. */
export function sessionContract({ name, make: makeCloud }: { name: string; make: () => Promise<CloudUnderTest> }): void {
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

async function run({ cloud }: Ground, request: SessionRequest): Promise<SessionFrame[]> {
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
