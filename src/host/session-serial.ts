import type { Duplex } from 'node:stream'
import type { Engine } from '../drivers/engine/engine.ts'
import { fail } from '../model/errors.ts'
import type { SessionRequest, Target } from '../model/session.ts'
import { eachVm, type Part, type Scene } from './session-scene.ts'

type Engines = ReadonlyMap<string, Engine>

/** What guests wrote to their serial lines, and what they write from now on. */
export async function serveLogs(engines: Engines, request: Extract<SessionRequest, { type: 'logs' }>, scene: Scene): Promise<void> {
  await eachVm(scene, async ({ target, out, signal }) => {
    const engine = engineOf(engines, target)
    if (!engine.logs) fail('unsupported', `the engine ${target.engine} keeps no log of the serial line`)
    if (request.follow && !engine.console) fail('unsupported', `the engine ${target.engine} cannot follow the serial line`)
    const line = request.follow ? await opened(engine, target.id) : undefined
    const past = await engine.logs(target.id)
    await out.send({ type: 'stdout', vm: target.vm, data: past })
    if (line) await shown(line.orFault(), { target, out, signal, past })
    out.tell({ type: 'exit', vm: target.vm, code: 0 })
  })
}

/** The serial line both ways. */
export async function serveConsole(engines: Engines, { scrollbackBytes = 0 }: Extract<SessionRequest, { type: 'console' }>, scene: Scene): Promise<void> {
  await eachVm(scene, async (part) => {
    const { target, out } = part
    const engine = engineOf(engines, target)
    if (!engine.console) fail('unsupported', `the engine ${target.engine} has no serial line to attach to`)
    const line = await engine.console(target.id)
    const past = (scrollbackBytes > 0 && (await engine.logs?.(target.id, { limitBytes: scrollbackBytes }))) || undefined
    if (past) await out.send({ type: 'stdout', vm: target.vm, data: past })
    await connected(line, { ...part, past })
    out.tell({ type: 'exit', vm: target.vm, code: 0 })
  })
}

/** The screen, as bytes both ways. */
export async function serveScreen(engines: Engines, scene: Scene): Promise<void> {
  await eachVm(scene, async (part) => {
    const { target, out } = part
    const engine = engineOf(engines, target)
    if (!engine.screen) fail('unsupported', `the engine ${target.engine} shows no screen of its guests`, { remedy: `use the serial line: \`tt env console ${target.vm}\`` })
    await connected(await engine.screen(target.id), part)
    out.tell({ type: 'exit', vm: target.vm, code: 0 })
  })
}

/** A line, or why there is none, which is said when it is asked for: a guest that has ended has a past still. */
async function opened(engine: Engine, id: string): Promise<{ orFault(): Duplex }> {
  try {
    const line = await engine.console?.(id)
    return { orFault: () => line ?? fail('unsupported', 'the engine has no serial line') }
  } catch (fault) {
    return {
      orFault() {
        throw fault
      },
    }
  }
}

type Shown = Pick<Part, 'target' | 'out' | 'signal'> & {
  /** What was shown of its past: read after the line was opened, so it may end with what the line begins with. */
  past?: Uint8Array
}

/** Passes bytes both ways until the line or the caller ends it. */
async function connected(line: Duplex, part: Shown & Pick<Part, 'input'>): Promise<void> {
  const { stdin } = part.input
  let left = false
  const typed = async () => {
    for await (const data of stdin) if (!line.write(data)) await new Promise<void>((resolve) => line.once('drain', resolve).once('close', resolve))
    left = true
    line.destroy()
  }
  const [, end] = await Promise.allSettled([typed(), shown(line, part).finally(() => stdin.end())])
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
