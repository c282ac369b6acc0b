import { fail } from '../model/errors.ts'

/** The public ports of this host. What was given back longest ago is given first, so that an old caller of a port rarely meets its next owner. */
export interface PublicPorts {
  /** A public port for each inner one; all or none. */
  take(inner: readonly number[]): Record<number, number>
  /** Notes that somebody has them, be they of the range or not. */
  adopt(ports: readonly number[]): void
  give(ports: readonly number[]): void
}

export function publicPorts(from: number, to: number): PublicPorts {
  const used = new Set<number>()
  /** In the order in which they are given. */
  const free = new Set(Array.from({ length: to - from + 1 }, (_, at) => from + at))
  const size = free.size
  return {
    take(inner) {
      const wanted = new Set(inner)
      if (wanted.size > free.size)
        fail('exhausted', `${wanted.size} public ports are wanted and ${free.size} of ${size} (${from} to ${to}) are free on this host`, {
          subject: 'host',
          remedy: 'delete an ENV, or start the server with a larger --port-range',
        })
      const given: Record<number, number> = {}
      const next = free.values()
      for (const port of wanted) given[port] = next.next().value as number
      for (const port of Object.values(given)) {
        free.delete(port)
        used.add(port)
      }
      return given
    },
    adopt(ports) {
      for (const port of ports) {
        used.add(port)
        free.delete(port)
      }
    },
    give(ports) {
      for (const port of ports) if (used.delete(port) && port >= from && port <= to) free.add(port)
    },
  }
}
