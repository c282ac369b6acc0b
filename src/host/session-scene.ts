import { latest, type Latest } from '../base/latest.ts'
import type { Paced } from '../base/paced.ts'
import { handoff, type Handoff, queue, type Queue } from '../base/queue.ts'
import { asTtError, type Problem, problemOf } from '../model/errors.ts'
import type { SessionFrame, SessionInput, Target, TerminalSize } from '../model/session.ts'

/**
 * What a session works with: the VMs it is for, where its frames go, and what its caller says. A session whose input is about each VM for itself (commands, consoles)
 * reads the `Input` of each; one whose input is a single story for all (files that are pushed, an image that is sent) reads `said`, and there nothing else is told.
 */
export interface Scene {
  targets: Target[]
  out: Paced<SessionFrame>
  /** Aborts when the caller is gone. */
  signal: AbortSignal
  inputs: readonly Input[]
  /** Every frame of the caller in its order; the caller's next is taken when this one is done with. Its end is the caller's. */
  said: Handoff<SessionInput>
}

/** What the caller says to one VM. */
export interface Input {
  vm: string
  stdin: Handoff<Uint8Array>
  signals: Queue<string>
  sizes: Latest<TerminalSize>
}

/** One VM's part in a scene. */
export interface Part {
  target: Target
  input: Input
  out: Paced<SessionFrame>
  /** Its own, so that thousands of VMs do not all listen on one signal, which would cost the square of their number. */
  signal: AbortSignal
}

/** Signals to one command that it has not taken yet; more say nothing that these do not. */
const signalsWaiting = 64

export function sceneOf(targets: Target[], out: Paced<SessionFrame>, signal: AbortSignal): Scene & { end(): void } {
  const inputs = targets.map(({ vm }): Input => ({ vm, stdin: handoff(), signals: queue(), sizes: latest() }))
  const said = handoff<SessionInput>()
  return {
    targets,
    out,
    signal,
    inputs,
    said,
    end() {
      said.end()
      inputs.forEach(hush)
    },
  }
}

/** Runs `work` for every VM at the same time: `begin` is told before, and a problem after it if it throws. Never rejects. */
export async function eachVm({ targets, inputs, out, signal }: Scene, work: (part: Part) => Promise<void>): Promise<void> {
  const controllers = targets.map(() => new AbortController())
  const abort = () => controllers.forEach((controller) => controller.abort(signal.reason))
  signal.addEventListener('abort', abort, { once: true })
  if (signal.aborted) abort()
  await Promise.all(
    targets.map(async (target, at) => {
      const { vm, image, address } = target
      const input = inputs[at] as Input
      out.tell({ type: 'begin', vm, image, ...(address === undefined ? {} : { address }) })
      try {
        await work({ target, input, out, signal: (controllers[at] as AbortController).signal })
      } catch (thrown) {
        out.tell({ type: 'problem', vm, problem: aboutVm(thrown, vm) })
      } finally {
        await unheard(input)
      }
    }),
  )
  signal.removeEventListener('abort', abort)
}

const aboutVm = (thrown: unknown, vm: string): Problem => ({ ...problemOf(asTtError(thrown)), subject: `vm/${vm}` })

/** Where the caller's frames go: to all in their order (`asStory`), or each to the VM it names or to every one. */
export function inputOf({ inputs, said }: Scene, { asStory }: { asStory: boolean }): WritableStream<SessionInput> {
  const to = (frame: { vm?: string }) => (frame.vm === undefined ? inputs : inputs.filter(({ vm }) => frame.vm === vm))
  const tell = async (frame: SessionInput) => {
    if (frame.type === 'stdin') await Promise.all(to(frame).map(({ stdin }) => stdin.give(frame.data)))
    if (frame.type === 'eof') to(frame).forEach(({ stdin }) => stdin.end())
    if (frame.type === 'signal') for (const { signals } of to(frame)) if (signals.length < signalsWaiting) signals.push(frame.signal)
    if (frame.type === 'size') to(frame).forEach(({ sizes }) => sizes.tell({ columns: frame.columns, rows: frame.rows }))
  }
  return new WritableStream<SessionInput>({
    write: asStory ? said.give : tell,
    close() {
      said.end()
      inputs.forEach(({ stdin }) => stdin.end())
    },
  })
}

function hush({ stdin, signals, sizes }: Input): void {
  stdin.end()
  signals.end()
  sizes.end()
}

/** Nobody listens any more: whoever speaks to all VMs is not to wait for this one. */
async function unheard(input: Input): Promise<void> {
  hush(input)
  for await (const _ of input.stdin);
}
