/** A map whose keys are kept in byte order, so that a range of it costs what it holds and no sorting. */
export interface Ordered<T> {
  get(key: string): T | undefined
  set(key: string, item: T): void
  delete(key: string): boolean
  /** The items whose keys begin with `prefix`, in order, as an array of the caller's own. */
  under(prefix: string): T[]
  readonly size: number
}

interface Slot<T> {
  readonly key: string
  item: T
}

const chunkLimit = 512

/**
 * Slots stand in chunks of at most 512, so an insertion moves hundreds of pointers and never tens of thousands. Keys are
 * ASCII, for which JavaScript's order of strings is byte order.
 */
export function ordered<T>(): Ordered<T> {
  const slots = new Map<string, Slot<T>>()
  const chunks: Slot<T>[][] = []

  const insert = (slot: Slot<T>) => {
    const at = Math.max(0, firstAfter(chunks.length, (index) => chunks[index]![0]!.key <= slot.key) - 1)
    const chunk = chunks[at]
    if (!chunk) return chunks.push([slot])
    const place = placeOf(chunk, slot.key)
    if (chunk.length < chunkLimit) return chunk.splice(place, 0, slot)
    // Sorted input only appends: its chunks stay full instead of being halved.
    if (place === chunk.length && at === chunks.length - 1) return chunks.push([slot])
    const upper = chunk.splice(chunkLimit / 2)
    chunks.splice(at + 1, 0, upper)
    return place > chunk.length ? upper.splice(place - chunk.length, 0, slot) : chunk.splice(place, 0, slot)
  }

  const remove = (key: string) => {
    const at = firstAfter(chunks.length, (index) => chunks[index]![0]!.key <= key) - 1
    const chunk = chunks[at]!
    chunk.splice(placeOf(chunk, key), 1)
    if (chunk.length === 0) chunks.splice(at, 1)
  }

  return {
    get size() {
      return slots.size
    },
    get: (key) => slots.get(key)?.item,
    set(key, item) {
      const slot = slots.get(key)
      if (slot) {
        slot.item = item
        return
      }
      const added = { key, item }
      slots.set(key, added)
      insert(added)
    },
    delete(key) {
      if (!slots.delete(key)) return false
      remove(key)
      return true
    },
    under(prefix) {
      const items: T[] = []
      let at = Math.max(0, firstAfter(chunks.length, (index) => chunks[index]![0]!.key <= prefix) - 1)
      let place = at < chunks.length ? placeOf(chunks[at]!, prefix) : 0
      for (; at < chunks.length; at++, place = 0) {
        for (const { key, item } of place > 0 ? chunks[at]!.slice(place) : chunks[at]!) {
          if (!key.startsWith(prefix)) return items
          items.push(item)
        }
      }
      return items
    },
  }
}

const placeOf = <T>(chunk: Slot<T>[], key: string): number => firstAfter(chunk.length, (index) => chunk[index]!.key < key)

/** The first of `count` indexes that is not `before`, when all that are stand first. */
function firstAfter(count: number, before: (index: number) => boolean): number {
  let low = 0
  let high = count
  while (low < high) {
    const middle = (low + high) >>> 1
    if (before(middle)) low = middle + 1
    else high = middle
  }
  return low
}
