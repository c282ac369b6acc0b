import { gate } from '../base/queue.ts'
import { deadline } from '../base/world.ts'
import { fail, TtError } from '../model/errors.ts'
import type { SessionRequest } from '../model/session.ts'
import { entered, limitText, silenceTold, type WaysIn } from './session-guest.ts'
import { eachVm, type Part, type Scene } from './session-scene.ts'

type Exec = Extract<SessionRequest, { type: 'exec' }>

/** Commands that run on this host at the same time for one session, unless it says otherwise: each may have output waiting. */
const atOnceByDefault = 1000

/** A command in every VM, so many at a time; a VM that waits for its turn has not begun, and neither has its time. */
export async function serveExec(parts: WaysIn, request: Exec, scene: Scene): Promise<void> {
  // What is typed goes to all VMs at the same time, so none can be kept waiting for it.
  const live = request.stdin === true || request.tty !== undefined
  const atOnce = request.atOnce ?? (live ? Infinity : atOnceByDefault)
  if (live && atOnce < scene.targets.length) fail('invalid', `input goes to all VMs at the same time, so ${scene.targets.length} of them cannot take turns, ${atOnce} at once`, { remedy: 'leave out the input, or the bound' })
  const turns = gate(atOnce)
  await eachVm(scene, (part) => turns.pass(() => run(parts, request, part), part.signal))
}

async function run(parts: WaysIn, request: Exec, { target, input, out, signal }: Part): Promise<void> {
  const { vm } = target
  const { timeoutMs, command, env, cwd, tty, via } = request
  const channel = await entered(parts, { target, via, limitMs: timeoutMs, signal })
  if (tty && !channel.features.tty) fail('unsupported', `the way into ${vm} gives no terminal`, { remedy: `run the command without one, or use its serial line: \`tt env console ${vm}\`` })
  if (request.stdin && !channel.features.stdin) fail('unsupported', `the way into ${vm} passes no input on`, { remedy: 'send the input as a file: `tt env push`' })
  using limit = timeoutMs === undefined ? { signal, [Symbol.dispose]: () => undefined } : deadline(parts.world, timeoutMs, signal, tooLate(timeoutMs))
  using _ = silenceTold(parts, { target, channel, out, timeoutMs })
  const exit = await channel.exec(
    command,
    {
      output: (stream, data) => out.send({ type: stream, vm, data }),
      ...(request.stdin || tty ? { stdin: input.stdin } : {}),
      ...(tty ? { tty, sizes: input.sizes } : {}),
      signals: input.signals,
      ...(env ? { env } : {}),
      ...(cwd === undefined ? {} : { cwd }),
    },
    { signal: limit.signal },
  )
  out.tell({ type: 'exit', vm, ...exit })
}

const tooLate = (ms: number) => new TtError({ code: 'timeout', message: `the command did not end within ${limitText(ms)}` })
