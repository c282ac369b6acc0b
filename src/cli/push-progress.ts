import type { SessionFrame } from '../model/session.ts'
import type { Tally } from './transfer-tally.ts'

/** How far each VM is with the files that are sent to all of them, from what they say of them. */
export function pushProgress(told: Tally, sizes: readonly number[]): (frame: SessionFrame) => void {
  /** Bytes of all files before that of this number. */
  const sums = [0]
  for (const size of sizes) sums.push((sums.at(-1) ?? 0) + size)
  const total = sums.at(-1) ?? 0
  const parts = new Map<string, { files: number; offset: number; movedBefore: number }>()
  return (frame) => {
    if (!('vm' in frame) || frame.vm === undefined) return
    const transfer = told.vms.get(frame.vm)
    if (!transfer) return
    const part = parts.get(frame.vm) ?? { files: 0, offset: 0, movedBefore: 0 }
    parts.set(frame.vm, part)
    const at = Math.max(0, part.files - 1)
    const movedOfLast = part.files === 0 ? 0 : (sizes[at] ?? 0) - part.offset
    if (frame.type === 'begin') transfer.totalBytes = total
    else if (frame.type === 'wants') {
      part.movedBefore += movedOfLast
      part.offset = frame.offset
      transfer.files = part.files++
      transfer.bytes = (sums[part.files - 1] ?? total) + frame.offset
      transfer.movedBytes = part.movedBefore
    } else if (frame.type === 'progress') {
      transfer.bytes = (sums[at] ?? 0) + frame.doneBytes
      transfer.movedBytes = part.movedBefore + Math.max(0, frame.doneBytes - part.offset)
    } else if (frame.type === 'exit') {
      transfer.files = sizes.length
      transfer.bytes = total
      transfer.movedBytes = part.movedBefore + movedOfLast
    }
  }
}
