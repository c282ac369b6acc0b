import { queue, type Queue } from '../base/queue.ts'
import type { CloudEvent, Session, SessionFrame, SessionInput, SessionRequest } from '../model/session.ts'

/** What happened in the sample cloud, for those who ask. */
export interface SampleEvents {
  tell(env: { name: string; owner: string }, event: string): void
  open(request: Extract<SessionRequest, { type: 'events' }>, closed: () => void): Session
}

export function sampleEvents(now: () => string): SampleEvents {
  const told: CloudEvent[] = []
  const readers = new Set<Queue<CloudEvent>>()
  return {
    tell({ name, owner }, event) {
      const one: CloudEvent = { time: now(), subject: `env/${name}`, owner, event, message: event }
      told.push(one)
      for (const reader of readers) reader.push(one)
    },
    open({ follow, envs }, closed) {
      const wanted = ({ subject }: CloudEvent) => envs === undefined || envs.includes(subject.slice('env/'.length))
      const coming = queue<CloudEvent>()
      for (const one of told) coming.push(one)
      if (follow) readers.add(coming)
      else coming.end()
      const frames = async function* (): AsyncGenerator<SessionFrame> {
        for await (const event of coming) if (wanted(event)) yield { type: 'event', event }
      }
      return {
        output: ReadableStream.from(frames()),
        input: new WritableStream<SessionInput>(),
        async [Symbol.asyncDispose]() {
          readers.delete(coming)
          coming.end()
          closed()
        },
      }
    },
  }
}
