import { type Paced, paced } from '../base/paced.ts'
import { handoff, type Handoff, queue, type Queue } from '../base/queue.ts'
import { deadline, type World } from '../base/world.ts'
import type { Engine } from '../drivers/engine/engine.ts'
import type { Call } from '../model/call.ts'
import { asTtError, fail, type Problem, problemOf, TtError } from '../model/errors.ts'
import { duration } from '../model/units.ts'
import { frameSize, type Peer, type Session, type SessionFrame, type SessionInput, type SessionRequest, type Target, unreadLimitBytes } from '../model/session.ts'
import type { Doctor } from './doctor.ts'
import type { Guests } from './guests.ts'
import type { Catalogue } from './images.ts'
import { pinger } from './ping.ts'
import type { HostViews } from './views.ts'

export interface SessionOptions {
  name: string
  engines: ReadonlyMap<string, Engine>
  guests: Guests
  views: HostViews
  images: Catalogue
  world: World
  examine: Doctor
  reload?: () => Promise<{ changed: string[]; needRestart: string[] }>
}

/** How long a command waits for a guest that has not answered yet, unless the request says otherwise. */
const greetingMs = 8000

/** Sessions of this host: commands, serial lines, what the doctor finds, image builds and settings that change. */
export function hostSessions(options: SessionOptions): Peer {
  return {
    async open(request, targets, call) {
      const stop = new AbortController()
      const out = paced<SessionFrame>({ sizeOf: frameSize, limitBytes: unreadLimitBytes, onCancel: () => stop.abort() })
      const signal = call?.signal ? AbortSignal.any([call.signal, stop.signal]) : stop.signal
      const inputs = targets.map((target) => ({ vm: target.vm, stdin: handoff<Uint8Array>(), signals: queue<string>(signal) }))
      signal.addEventListener('abort', () => inputs.forEach(({ stdin }) => stdin.end()), { once: true })
      const work = serve(options, request, { targets, inputs, out, signal }).finally(() => {
        inputs.forEach(({ stdin }) => stdin.end())
        out.end()
      })
      return {
        output: out.output,
        input: inputOf(inputs),
        async [Symbol.asyncDispose]() {
          stop.abort()
          await work
        },
      } satisfies Session
    },
  }
}

interface Input {
  vm: string
  stdin: Handoff<Uint8Array>
  signals: Queue<string>
}

interface Scene {
  targets: Target[]
  inputs: Input[]
  out: Paced<SessionFrame>
  signal: AbortSignal
}

/** Never rejects: what goes wrong is a frame. */
async function serve(options: SessionOptions, request: SessionRequest, scene: Scene): Promise<void> {
  const { out, targets, inputs, signal } = scene
  const each = (work: (target: Target, input: Input) => Promise<void>) =>
    Promise.all(
      targets.map(async (target, at) => {
        const { vm, image, address } = target
        out.tell({ type: 'begin', vm, image, ...(address === undefined ? {} : { address }) })
        try {
          await work(target, inputs[at] as Input)
        } catch (thrown) {
          out.tell({ type: 'problem', vm, problem: aboutVm(thrown, vm) })
        } finally {
          await unheard(inputs[at] as Input)
        }
      }),
    )
  if (request.type === 'exec') await each((target, input) => exec(options, request, { target, input, out, signal }))
  else if (request.type === 'logs') await each((target) => logs(options, request, { target, out, signal }))
  else if (request.type === 'ping') {
    const ping = pinger(options)
    await each(async (target) => {
      await ping(target, request.timeoutMs, signal)
      out.tell({ type: 'exit', vm: target.vm, code: 0 })
    })
  } else if (request.type === 'console') await each((target, input) => serial(options, { target, input, out, signal }))
  else await ofHost(options, request, scene)
}

/** Nobody listens any more: whoever speaks to all VMs is not to wait for this one. */
async function unheard({ stdin, signals }: Input): Promise<void> {
  stdin.end()
  signals.end()
  for await (const _ of stdin);
}

async function exec(options: SessionOptions, request: Extract<SessionRequest, { type: 'exec' }>, { target, input, out, signal }: { target: Target; input: Input; out: Paced<SessionFrame>; signal: AbortSignal }) {
  const { vm } = target
  const image = options.images.get(target.image)
  if (image?.spec.ways.length === 0) fail('unsupported', `${target.image} has no agent that could run commands`, { remedy: 'read what it prints: `tt env logs`' })
  const channel = options.guests.get(target.id) ?? fail('not_ready', 'the guest is not running', { remedy: 'see `tt env show`' })
  const { timeoutMs, command, env, cwd } = request
  const late = new TtError({ code: 'timeout', message: `the command did not end within ${(timeoutMs ?? 0) < 1000 ? `${timeoutMs} ms` : duration((timeoutMs ?? 0) / 1000)}` })
  using limit = timeoutMs === undefined ? { signal, [Symbol.dispose]: () => undefined } : deadline(options.world, timeoutMs, signal, late)
  if (!options.guests.answered(target.id)) await greeted(options, channel, limit.signal)
  const exit = await channel.exec(
    command,
    {
      output: (stream, data) => out.send({ type: stream, vm, data }),
      ...(request.stdin ? { stdin: input.stdin } : {}),
      signals: input.signals,
      ...(env ? { env } : {}),
      ...(cwd === undefined ? {} : { cwd }),
    },
    { signal: limit.signal },
  )
  out.tell({ type: 'exit', vm, ...exit })
}

async function greeted({ world }: SessionOptions, channel: { ready(call?: Call): Promise<void> }, signal: AbortSignal): Promise<void> {
  const late = new TtError({ code: 'not_ready', message: `the guest has not answered within ${greetingMs / 1000} s: it is still booting, or hangs`, remedy: 'see what it prints: `tt env logs`' })
  using limit = deadline(world, greetingMs, signal, late)
  await channel.ready({ signal: limit.signal })
}

async function logs({ engines }: SessionOptions, request: Extract<SessionRequest, { type: 'logs' }>, { target, out, signal }: { target: Target; out: Paced<SessionFrame>; signal: AbortSignal }) {
  const engine = engineOf(engines, target)
  if (!engine.logs) fail('unsupported', `the engine ${target.engine} keeps no log of the serial line`)
  await out.send({ type: 'stdout', vm: target.vm, data: await engine.logs(target.id) })
  if (request.follow) {
    if (!engine.console) fail('unsupported', `the engine ${target.engine} cannot follow the serial line`)
    const line = await engine.console(target.id)
    signal.addEventListener('abort', () => line.destroy(), { once: true })
    try {
      for await (const data of line) await out.send({ type: 'stdout', vm: target.vm, data: data as Uint8Array })
    } catch (fault) {
      if (!signal.aborted) throw fault
    }
  }
  out.tell({ type: 'exit', vm: target.vm, code: 0 })
}

async function serial({ engines }: SessionOptions, { target, input, out, signal }: { target: Target; input: Input; out: Paced<SessionFrame>; signal: AbortSignal }) {
  const engine = engineOf(engines, target)
  if (!engine.console) fail('unsupported', `the engine ${target.engine} has no serial line to attach to`)
  const line = await engine.console(target.id)
  signal.addEventListener('abort', () => line.destroy(), { once: true })
  const typed = async () => {
    for await (const data of input.stdin) if (!line.write(data)) await new Promise<void>((resolve) => line.once('drain', resolve).once('close', resolve))
    line.destroy()
  }
  const shown = async () => {
    for await (const data of line) await out.send({ type: 'stdout', vm: target.vm, data: data as Uint8Array })
  }
  await Promise.allSettled([typed(), shown().finally(() => input.stdin.end())])
  out.tell({ type: 'exit', vm: target.vm, code: 0 })
}

async function ofHost({ name, images, examine, reload }: SessionOptions, request: SessionRequest, { out, signal }: Scene): Promise<void> {
  try {
    if (request.type === 'doctor') {
      for await (const frame of examine({ fix: request.fix ?? false })) {
        if (signal.aborted) return
        await out.send(frame)
      }
    }
    if (request.type === 'reload') {
      const asked = (await reload?.()) ?? fail('unsupported', 'this server has no settings to read again', { subject: `host/${name}` })
      out.tell({ type: 'reloaded', host: name, ...asked })
    }
    if (request.type === 'build') {
      await images.build(request.image, (text) => out.tell({ type: 'note', host: name, text }))
      out.tell({ type: 'built', host: name, image: request.image })
    }
  } catch (thrown) {
    out.tell({ type: 'problem', problem: problemOf(thrown) })
  }
}

const engineOf = (engines: ReadonlyMap<string, Engine>, { engine }: Target) => engines.get(engine) ?? fail('unsupported', `the engine ${engine} is not usable on this host`)

const aboutVm = (thrown: unknown, vm: string): Problem => ({ ...problemOf(asTtError(thrown)), subject: `vm/${vm}` })

/** What the caller says, to the VM it names or to all. */
function inputOf(inputs: Input[]): WritableStream<SessionInput> {
  const to = (frame: SessionInput) => inputs.filter(({ vm }) => !('vm' in frame) || frame.vm === undefined || frame.vm === vm)
  return new WritableStream<SessionInput>({
    async write(frame) {
      if (frame.type === 'stdin') await Promise.all(to(frame).map(({ stdin }) => stdin.give(frame.data)))
      if (frame.type === 'eof') to(frame).forEach(({ stdin }) => stdin.end())
      if (frame.type === 'signal') to(frame).forEach(({ signals }) => signals.push(frame.signal))
    },
    close: () => inputs.forEach(({ stdin }) => stdin.end()),
  })
}
