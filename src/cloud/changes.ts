import { type Queue, queue } from '../base/queue.ts'
import type { Call } from '../model/call.ts'
import type { Change } from '../model/cloud.ts'
import type { Kind, Resource } from '../model/kinds.ts'

/**
 * A Cloud's watch out of listeners: all there is, `synced`, then each name that was touched, looked up when the reader comes to it. So a
 * slow reader gets fewer steps and always the latest state.
 */
export async function* changes<K extends Kind>(
  source: {
    names(): readonly string[]
    get(name: string): Resource<K> | undefined
    /** Calls `touch` with each name whose resource may have changed, from now on. */
    listen(touch: (name: string) => void): () => void
  },
  call?: Call,
): AsyncGenerator<Change<K>> {
  if (call?.signal?.aborted) return
  const wake: Queue<void> = queue(call?.signal)
  const touched = new Set<string>()
  const known = new Set<string>()
  const stop = source.listen((name) => {
    if (touched.size === 0) wake.push()
    touched.add(name)
  })
  try {
    touched.clear() // Listening may tell of all there is, and that comes now anyway.
    for (const name of source.names()) {
      const resource = source.get(name)
      if (!resource || call?.signal?.aborted) continue
      known.add(name)
      yield { type: 'is', resource }
    }
    if (!call?.signal?.aborted) yield { type: 'synced' }
    for await (const _ of wake) {
      const names = [...touched]
      touched.clear()
      for (const name of names) {
        const resource = source.get(name)
        if (resource) {
          known.add(name)
          yield { type: 'is', resource }
        } else if (known.delete(name)) yield { type: 'gone', name }
      }
    }
  } finally {
    stop()
  }
}
