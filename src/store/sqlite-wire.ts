import type { Order, Row } from './sqlite-database.ts'

/**
 * Orders and rows pass between the store and its worker as flat arrays of strings and numbers: copying these between threads
 * costs the main thread half of what objects would.
 */
export type Flat = (string | number | null | undefined)[]

const endLease = -1

/** Appends an order; `ordersOf` finds it again. */
export function pushOrder(flat: Flat, order: Order): void {
  if ('endLease' in order) {
    flat.push(endLease, order.endLease)
    return
  }
  flat.push(order.writes.length)
  for (const { key, text, expect, lease } of order.writes) flat.push(key, text, expect, lease)
}

export function* ordersOf(flat: Flat): Generator<Order> {
  for (let at = 0; at < flat.length; ) {
    const count = flat[at++] as number
    if (count === endLease) {
      yield { endLease: flat[at++] as string }
      continue
    }
    const writes = Array.from({ length: count }, () => ({
      key: flat[at++] as string,
      text: flat[at++] as string | null | undefined,
      expect: flat[at++] as number | 'absent' | undefined,
      lease: flat[at++] as string | undefined,
    }))
    yield { writes }
  }
}

/** The rows in pieces of about a megabyte. */
export function* flatRows(rows: Iterable<Row>): Generator<Flat> {
  let flat: Flat = []
  let size = 0
  for (const { key, value, revision } of rows) {
    flat.push(key, value, revision)
    size += key.length + value.length
    if (size < 1 << 20) continue
    yield flat
    flat = []
    size = 0
  }
  yield flat
}

export function* rowsOf(flat: Flat): Generator<Row> {
  for (let at = 0; at < flat.length; at += 3) yield { key: flat[at] as string, value: flat[at + 1] as string, revision: flat[at + 2] as number }
}
