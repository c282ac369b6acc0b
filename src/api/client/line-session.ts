import { errorOf, fail, type Problem } from '../../model/errors.ts'
import type { Session, SessionFrame } from '../../model/session.ts'
import { frameOf } from '../sessions.ts'
import type { Answer } from './connection.ts'
import { linesOf } from './events.ts'
import { foreign } from './faults.ts'

const lineLength = 16 * 1024 * 1024

/** A session whose frames come as lines of an answer. It has no input; disposing it drops the answer, which ends it at the server. */
export function lineSession(answer: Answer, place: string): Session {
  const lines = linesOf(answer.body, { most: lineLength, endless: () => foreign(place, 'a frame of it is endless') })
  let disposed = false
  return {
    output: new ReadableStream<SessionFrame>(
      {
        async pull(controller) {
          try {
            const step = await lines.next()
            if (step.done) controller.close()
            else controller.enqueue(said(step.value, place))
          } catch (thrown) {
            if (!disposed) throw thrown
            controller.close()
          }
        },
        cancel: () => answer.stop(),
      },
      { highWaterMark: 0 },
    ),
    input: new WritableStream({
      write: () => fail('unsupported', 'this session was opened without input', { remedy: 'ask for stdin when opening it' }),
    }),
    async [Symbol.asyncDispose]() {
      disposed = true
      answer.stop()
    },
  }
}

/** The frame of a line; throws the error of the last line of an output that broke. */
function said(line: string, place: string): SessionFrame {
  const broken = line.startsWith('{"error":') ? errorIn(line) : undefined
  if (broken) throw errorOf(broken)
  try {
    return frameOf(line)
  } catch {
    throw foreign(place, 'it sent a line that is no frame')
  }
}

function errorIn(line: string): Partial<Problem> | undefined {
  try {
    return (JSON.parse(line) as { error?: Partial<Problem> }).error
  } catch {
    return undefined
  }
}
