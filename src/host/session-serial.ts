import type { Duplex } from 'node:stream'
import type { Engine } from '../drivers/engine/engine.ts'
import { fail } from '../model/errors.ts'
import { parseVmName } from '../model/names.ts'
import type { SessionRequest, Target } from '../model/session.ts'
import { eachVm, type Part, type Scene } from './session-scene.ts'

type Engines = ReadonlyMap<string, Engine>

/** What guests wrote to their serial lines, also before they were stopped, and what they write from now on. */
export async function serveLogs(engines: Engines, { follow }: Extract<SessionRequest, { type: 'logs' }>, scene: Scene): Promise<void> {
  await eachVm(scene, async (part) => {
    const { target, out } = part
    const engine = engineOf(engines, target)
    if (!engine.logs) fail('unsupported', `the engine ${target.engine} keeps no log of the serial line`)
    if (follow && !engine.console) fail('unsupported', `the engine ${target.engine} cannot follow the serial line`)
    using line = follow ? await opened(engine, target.id) : undefined
    const past = await engine.logs(target.id)
    await out.send({ type: 'stdout', vm: target.vm, data: past })
    if (line?.stream) await shown(line.stream, { ...part, past })
    else if (line && (await isStopped(engine, target.id))) out.tell({ type: 'note', vm: target.vm, text: `${target.vm}: it is stopped, and nothing follows` })
    else if (line) throw line.fault
    out.tell({ type: 'exit', vm: target.vm, code: 0 })
  })
}

/** The serial line both ways. Of a guest that is stopped only what it said before. */
export async function serveConsole(engines: Engines, { scrollbackBytes = 0 }: Extract<SessionRequest, { type: 'console' }>, scene: Scene): Promise<void> {
  await eachVm(scene, async (part) => {
    const { target, out } = part
    const engine = engineOf(engines, target)
    if (!engine.console) fail('unsupported', `the engine ${target.engine} has no serial line to attach to`)
    using line = await opened(engine, target.id)
    if (!line.stream && !(await isStopped(engine, target.id))) throw line.fault
    const past = (scrollbackBytes > 0 && (await engine.logs?.(target.id, { limitBytes: scrollbackBytes }))) || undefined
    if (past) await out.send({ type: 'stdout', vm: target.vm, data: past })
    if (!line.stream) fail('not_ready', 'the VM is stopped, and nobody is at the other end of its serial line', { remedy: `start it first: \`tt env start ${parseVmName(target.vm)?.env}\`` })
    await connected(line.stream, { ...part, past })
    out.tell({ type: 'exit', vm: target.vm, code: 0 })
  })
}

/** The screen, as bytes both ways. */
export async function serveScreen(engines: Engines, scene: Scene): Promise<void> {
  await eachVm(scene, async (part) => {
    const { target, out } = part
    const engine = engineOf(engines, target)
    if (!engine.screen) fail('unsupported', `the engine ${target.engine} shows no screen of its guests`, { remedy: `use the serial line: \`tt env console ${target.vm}\`` })
    using line = owned(await engine.screen(target.id))
    await connected(line.stream, part)
    out.tell({ type: 'exit', vm: target.vm, code: 0 })
  })
}

/** A line that is let go of with this; or why there is none, as a guest that has ended has a past still. */
type Line = Disposable & ({ stream: Duplex } | { stream?: never; fault: unknown })

const owned = (stream: Duplex): Disposable & { stream: Duplex } => ({ stream, [Symbol.dispose]: () => void stream.destroy() })

async function opened(engine: Engine, id: string): Promise<Line> {
  try {
    return owned((await engine.console?.(id)) ?? fail('unsupported', 'the engine has no serial line'))
  } catch (fault) {
    return { fault, [Symbol.dispose]: () => undefined }
  }
}

const isStopped = async (engine: Engine, id: string): Promise<boolean> => (await engine.inspect(id)).state === 'stopped'

type Shown = Pick<Part, 'target' | 'out' | 'signal'> & {
  /** What was shown of its past: read after the line was opened, so it may end with what the line begins with. */
  past?: Uint8Array
}

/** Passes bytes both ways until the line or the caller ends it. */
async function connected(line: Duplex, part: Shown & Pick<Part, 'input'>): Promise<void> {
  const { stdin } = part.input
  let over = false
  let left = false
  let goOn: (() => void) | undefined
  for (const event of ['drain', 'close']) line.on(event, () => goOn?.())
  const typed = async () => {
    for await (const data of stdin) {
      if (line.destroyed) continue // What is written then is taken by nobody, and no event tells of that.
      if (!line.write(data)) await new Promise<void>((resolve) => (goOn = resolve))
    }
    left = !over
    line.destroy()
  }
  const looked = async () => {
    try {
      await shown(line, part)
    } finally {
      over = true
      stdin.end()
    }
  }
  const [, end] = await Promise.allSettled([typed(), looked()])
  if (end.status === 'rejected' && !left) throw end.reason
}

async function shown(line: Duplex, { target, out, signal, past }: Shown): Promise<void> {
  const leave = () => line.destroy()
  signal.addEventListener('abort', leave, { once: true })
  if (signal.aborted) leave()
  let isFirst = true
  try {
    for await (const data of line) {
      const fresh = isFirst && past ? (data as Uint8Array).subarray(overlap(past, data as Uint8Array)) : (data as Uint8Array)
      isFirst = false
      await out.send({ type: 'stdout', vm: target.vm, data: fresh })
    }
  } catch (fault) {
    if (!signal.aborted) throw fault
  } finally {
    signal.removeEventListener('abort', leave)
  }
}

/** How many bytes `next` begins with that `past` ends with. */
export function overlap(past: Uint8Array, next: Uint8Array): number {
  for (let length = Math.min(past.length, next.length, longestOverlap); length > 0; length--) {
    if (Buffer.compare(past.subarray(past.length - length), next.subarray(0, length)) === 0) return length
  }
  return 0
}

/** What a guest can have written between the opening of its line and a look at its log. */
const longestOverlap = 16_384

const engineOf = (engines: Engines, { engine }: Target) => engines.get(engine) ?? fail('unsupported', `the engine ${engine} is not usable on this host`)
