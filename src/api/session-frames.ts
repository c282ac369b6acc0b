import { errorOf } from '../model/errors.ts'
import type { Session, SessionFrame } from '../model/session.ts'

/** The frames of a session until its end or until the signal aborts; the session is disposed then, also when the reader stops early. */
export async function* framesOf(session: Session, signal?: AbortSignal): AsyncGenerator<SessionFrame> {
  const reader = session.output.getReader()
  const stop = () => void reader.cancel().catch(() => undefined)
  signal?.addEventListener('abort', stop, { once: true })
  if (signal?.aborted) stop()
  try {
    for (let step = await reader.read(); !step.done; step = await reader.read()) yield step.value
  } finally {
    signal?.removeEventListener('abort', stop)
    await session[Symbol.asyncDispose]()
  }
}

/**
 * What the VM of a `logs` session wrote, as bytes. Resolves with its first frame and rejects if that is a problem, so that a refusal
 * can still be an answer of its own; a problem after that breaks the bytes off.
 */
export async function logBytes(session: Session, signal?: AbortSignal): Promise<AsyncIterable<Uint8Array>> {
  const frames = framesOf(session, signal)
  const first = await frames.next()
  if (first.done || first.value.type !== 'problem') return bytesOf(first, frames)
  await frames.return(undefined)
  throw errorOf(first.value.problem)
}

async function* bytesOf(first: IteratorResult<SessionFrame>, rest: AsyncGenerator<SessionFrame>): AsyncGenerator<Uint8Array> {
  try {
    for (let step = first; !step.done; step = await rest.next()) {
      if (step.value.type === 'problem') throw errorOf(step.value.problem)
      if (step.value.type === 'stdout') yield step.value.data
    }
  } finally {
    await rest.return(undefined)
  }
}
