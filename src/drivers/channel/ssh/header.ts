import { TtError } from '../../../model/errors.ts'

/** Finds the one line that a command says before it begins, and passes on what comes after it; what a login shell said before is dropped. */
export interface Header {
  /** What of the piece belongs to the command, if the line has come. */
  take(piece: Buffer): Buffer | undefined
  /** What the line says. */
  readonly said: Promise<string>
}

/** A login shell that says more than this before it begins says too much. */
const limitBytes = 1 << 20

export function header(mark: string): Header {
  const { promise: said, resolve, reject } = Promise.withResolvers<string>()
  said.catch(() => undefined)
  let before = Buffer.alloc(0)
  let found = false
  return {
    said,
    take(piece) {
      if (found) return piece
      before = Buffer.concat([before, piece])
      const at = before.indexOf(mark)
      const end = at < 0 ? -1 : before.indexOf('\n', at)
      if (end >= 0) {
        found = true
        const rest = before.subarray(end + 1)
        resolve(before.toString('latin1', at + mark.length + 1, end).trim())
        before = Buffer.alloc(0)
        return rest
      }
      if (before.length > limitBytes) reject(new TtError({ code: 'failed', message: "the login shell of the guest's root says too much before the command begins" }))
      return undefined
    },
  }
}
