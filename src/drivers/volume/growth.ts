import { fail } from '../../model/errors.ts'

/** Whether a volume has to grow to be as asked; refused if it would have to shrink, which its file system would not survive. */
export function isGrowth(id: string, fromBytes: number, toBytes: number): boolean {
  if (toBytes >= fromBytes) return toBytes > fromBytes
  return fail('invalid', `volume ${id} has ${fromBytes} bytes and cannot shrink to ${toBytes}`, {
    subject: `volume/${id}`,
    remedy: `ask for a disk of at least ${Math.ceil(fromBytes / 2 ** 20)} MB, or make the VM anew`,
  })
}

/** Refuses as `exhausted`: whoever asked is told that it is the machine's disk that is full. */
export const noRoom = (what: string, cause: unknown): never =>
  fail('exhausted', `the host's disk has no room for ${what}`, { cause, remedy: 'free space in the data directory of the server, or give it a larger file system' })
