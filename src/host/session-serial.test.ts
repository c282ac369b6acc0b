import assert from 'node:assert/strict'
import { Duplex } from 'node:stream'
import { test } from 'node:test'
import { paced } from '../base/paced.ts'
import type { Engine } from '../drivers/engine/engine.ts'
import { TtError } from '../model/errors.ts'
import type { SessionFrame, SessionRequest } from '../model/session.ts'
import { inputOf, sceneOf } from './session-scene.ts'
import { overlap, serveConsole, serveLogs, serveScreen } from './session-serial.ts'

test('what a line begins with is not shown again if its past ended with it', () => {
  for (const [past, next, length] of [['boot\r\nlogin: ', 'login: ann', 7], ['boot', 'login', 0], ['', 'x', 0], ['x', '', 0], ['abc', 'abc', 3], ['bc', 'abc', 0], ['aab', 'aabaab', 3]] as const)
    assert.equal(overlap(Buffer.from(past), Buffer.from(next)), length, `${past} | ${next}`)
})

/** A serial line whose other end is here. */
function serialLine({ deaf = false } = {}) {
  const heard: string[] = []
  const line = new Duplex({
    read: () => undefined,
    write(data: Buffer, _encoding, done) {
      heard.push(data.toString())
      if (!deaf) done()
    },
    writableHighWaterMark: 8,
  })
  line.on('error', () => undefined)
  return { line, heard }
}

const notRunning = () => Promise.reject(new TtError({ code: 'not_ready', message: 'the VM does not run' }))
const machine = (engine: Partial<Engine>, state: 'running' | 'stopped' | 'absent' = 'running') =>
  new Map([['fake', { inspect: async () => (state === 'running' ? { state, since: '' } : { state }), logs: async () => Buffer.from('boot\n'), ...engine } as Engine]])

/** A session about the serial line of one VM, which nobody reads until its end is asked for. */
function session(engines: ReadonlyMap<string, Engine>, { type, ...request }: Omit<Extract<SessionRequest, { type: 'logs' }>, 'vms'> | Omit<Extract<SessionRequest, { type: 'console' }>, 'vms'> | { type: 'screen' }) {
  const stop = new AbortController()
  const out = paced<SessionFrame>({ sizeOf: () => 1, limitBytes: 1, onCancel: () => undefined })
  const scene = sceneOf([{ id: 'u.0', vm: 'demo.0', image: 'micro', engine: 'fake' }], out, stop.signal)
  const vms = { envs: ['demo'] }
  const serve = type === 'logs' ? serveLogs(engines, { type, vms, ...request }, scene) : type === 'console' ? serveConsole(engines, { type, vms, ...request }, scene) : serveScreen(engines, scene)
  const over = serve.finally(() => out.end())
  return {
    writer: inputOf(scene, { asStory: false }).getWriter(),
    leave: () => stop.abort(),
    /** What it said in short, once it has ended. */
    async said() {
      const told = Array.fromAsync(out.output)
      await Promise.race([over, new Promise((_, reject) => setTimeout(reject, 5000, new Error('it does not end')).unref())])
      return (await told).map((frame) => (frame.type === 'stdout' ? `> ${Buffer.from(frame.data).toString()}` : frame.type === 'problem' ? `${frame.problem.code}: ${frame.problem.message}${frame.problem.remedy === undefined ? '' : ` (${frame.problem.remedy})`}` : frame.type === 'note' ? `note: ${frame.text}` : frame.type === 'exit' ? `exit ${frame.code}` : frame.type))
    },
  }
}

test('the logs of a VM that is stopped are shown, and followed to their end, which is where it stopped', async () => {
  const stopped = machine({ console: notRunning }, 'stopped')
  assert.deepEqual(await session(stopped, { type: 'logs' }).said(), ['begin', '> boot\n', 'exit 0'])
  assert.deepEqual(await session(stopped, { type: 'logs', follow: true }).said(), ['begin', '> boot\n', 'note: demo.0: it is stopped, and nothing follows', 'exit 0'])
  assert.deepEqual(await session(machine({ console: notRunning }), { type: 'logs', follow: true }).said(), ['begin', '> boot\n', 'not_ready: the VM does not run'])
})

test('F18: the console of a VM that is stopped shows what was said, and how it is started', async () => {
  const stopped = machine({ console: notRunning }, 'stopped')
  const why = 'not_ready: the VM is stopped, and nobody is at the other end of its serial line (start it first: `tt env start demo`)'
  assert.deepEqual(await session(stopped, { type: 'console', scrollbackBytes: 100 }).said(), ['begin', '> boot\n', why])
  assert.deepEqual(await session(stopped, { type: 'console' }).said(), ['begin', why])
  assert.deepEqual(await session(machine({ console: notRunning }, 'absent'), { type: 'console', scrollbackBytes: 100 }).said(), ['begin', 'not_ready: the VM does not run'])
})

test('a line is let go of when what was said before cannot be read', async () => {
  for (const request of [{ type: 'logs', follow: true }, { type: 'console', scrollbackBytes: 10 }] as const) {
    const { line } = serialLine()
    const engines = machine({ console: async () => line, logs: () => Promise.reject(new TtError({ code: 'failed', message: 'a broken disk' })) })
    assert.deepEqual(await session(engines, request).said(), ['begin', 'failed: a broken disk'])
    assert.ok(line.destroyed)
  }
})

test('a line that ends while it takes nothing holds up nobody who types', async () => {
  for (const when of ['before', 'while'] as const) {
    const { line } = serialLine({ deaf: true })
    const one = session(machine({ console: async () => line }), { type: 'console' })
    const soon = () => new Promise((resolve) => setImmediate(resolve))
    line.push('much') // It waits for the reader, so that the end of the line is not seen at once.
    await soon()
    if (when === 'before') line.destroy()
    await soon()
    for (let n = 0; n < 3; n++) one.writer.write({ type: 'stdin', data: Buffer.from('more than eight') }).catch(() => undefined)
    await soon()
    line.destroy()
    assert.deepEqual((await one.said()).slice(0, 2), ['begin', '> much'], when)
  }
})

test('what a line ends with is told, unless its viewer left', async () => {
  const behind = new TtError({ code: 'failed', message: 'it fell behind' })
  const ended = async (end: (line: Duplex, one: ReturnType<typeof session>) => void, type: 'console' | 'screen' = 'console') => {
    const { line, heard } = serialLine()
    const one = session(machine({ console: async () => line, screen: async () => line }), { type })
    await one.writer.write({ type: 'stdin', data: Buffer.from('keys') })
    end(line, one)
    const said = await one.said()
    assert.deepEqual([line.destroyed, heard], [true, ['keys']])
    return said
  }
  assert.deepEqual(await ended((line) => line.destroy(behind)), ['begin', 'failed: it fell behind'])
  assert.deepEqual(await ended((line) => line.destroy(behind), 'screen'), ['begin', 'failed: it fell behind'])
  assert.deepEqual(await ended((line) => void (line.push('bye'), line.push(null))), ['begin', '> bye', 'exit 0'])
  assert.deepEqual(await ended((_, one) => void one.writer.write({ type: 'eof' })), ['begin', 'exit 0'])
  assert.deepEqual(await ended((_, one) => one.leave()), ['begin', 'exit 0'])
})
