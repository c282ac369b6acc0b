import assert from 'node:assert/strict'
import { test } from 'node:test'
import { paced } from '../base/paced.ts'
import type { SessionFrame, SessionInput, Target } from '../model/session.ts'
import { eachVm, inputOf, sceneOf } from './session-scene.ts'

const target = (vm: string): Target => ({ id: `u.${vm}`, vm, image: 'micro', engine: 'fake' })
const given = (...vms: string[]) => sceneOf(vms.map(target), paced<SessionFrame>({ sizeOf: () => 1, limitBytes: 100, onCancel: () => undefined }), new AbortController().signal)
const stdin = (text: string, vm?: string): SessionInput => ({ type: 'stdin', data: Buffer.from(text), ...(vm === undefined ? {} : { vm }) })

test('input goes to the VM it names or to all, and waits for the slowest of them', async () => {
  const scene = given('a', 'b')
  const writer = inputOf(scene, { asStory: false }).getWriter()
  const heard: Record<string, string> = {}
  let released = false
  const hold = Promise.withResolvers<void>()
  const done = eachVm(scene, async ({ input }) => {
    for await (const data of input.stdin) {
      heard[input.vm] = (heard[input.vm] ?? '') + Buffer.from(data).toString()
      if (input.vm === 'b') await hold.promise
    }
  })
  await writer.write(stdin('1', 'a'))
  const second = writer.write(stdin('2')).then(() => assert.ok(released))
  await new Promise((resolve) => setTimeout(resolve, 5))
  released = true
  hold.resolve()
  await second
  await writer.write({ type: 'eof' })
  await done
  assert.deepEqual(heard, { a: '12', b: '2' })
})

test('a VM that has ended, or does not listen, holds nobody up', async () => {
  const scene = given('a', 'b')
  const writer = inputOf(scene, { asStory: false }).getWriter()
  const heard: string[] = []
  const done = eachVm(scene, async ({ input }) => {
    if (input.vm === 'b') throw new Error('no')
    for await (const data of input.stdin) heard.push(Buffer.from(data).toString())
  })
  for (const text of ['1', '2', '3']) await writer.write(stdin(text))
  await writer.close()
  await done
  assert.deepEqual(heard, ['1', '2', '3'])
})

test('a caller that floods with signals and sizes fills no memory', async () => {
  const scene = given('a')
  const writer = inputOf(scene, { asStory: false }).getWriter()
  for (let at = 0; at < 10_000; at++) {
    await writer.write({ type: 'signal', signal: 'SIGUSR1' })
    await writer.write({ type: 'size', columns: 1 + at, rows: 24 })
  }
  assert.ok((scene.inputs[0]?.signals.length ?? Infinity) <= 64)
  scene.end()
  assert.deepEqual(await Array.fromAsync(scene.inputs[0]?.sizes ?? []), [{ columns: 10_000, rows: 24 }])
})

test('a story reaches one reader whole and in order, the next frame when one is done with', async () => {
  const scene = given('a', 'b')
  const writer = inputOf(scene, { asStory: true }).getWriter()
  const frames: SessionInput[] = [{ type: 'entry', entry: { path: '', type: 'directory', mode: 0o755 } }, { type: 'from', offset: 3 }, stdin('x'), { type: 'eof' }]
  const seen: SessionInput[] = []
  let sent = 0
  const sending = (async () => {
    for (const frame of frames) {
      await writer.write(frame)
      sent++
    }
    await writer.close()
  })()
  for await (const frame of scene.said) {
    seen.push(frame)
    await new Promise((resolve) => setTimeout(resolve, 2))
    assert.equal(sent, seen.length - 1)
  }
  await sending
  assert.deepEqual(seen, frames)
})
