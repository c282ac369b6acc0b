import type { Problem } from '../model/errors.ts'
import { joined } from './vm-output.ts'
import type { End, FramePrinter, Told } from './vm-frames.ts'

/** A VM's part in a session as `--json` shows it: its end is one of `code`, `signal` and `problem`; bytes that are no UTF-8 stand under `…Base64`. */
export type Result = Told & { code?: number; signal?: string; problem?: Problem } & { stdout?: string; stdoutBase64?: string; stderr?: string; stderrBase64?: string }

/** Gathers what VMs wrote and how they ended, in the order of their names, and hands it over at the end. */
export function resultPrinter(done: (results: Result[]) => Promise<void>): FramePrinter {
  const parts = new Map<string, { told: Told; end?: End; stdout: Uint8Array[]; stderr: Uint8Array[] }>()
  return {
    async begin(told) {
      parts.set(told.vm, { told, stdout: [], stderr: [] })
    },
    async data(vm, stream, bytes) {
      parts.get(vm)?.[stream].push(bytes)
    },
    async end(vm, end) {
      const part = parts.get(vm)
      if (part) part.end = end
    },
    async close() {
      const inOrder = [...parts.values()].sort((one, two) => byName(one.told.vm, two.told.vm))
      await done(inOrder.map(({ told, end, stdout, stderr }) => ({ vm: told.vm, image: told.image, ...(told.address === undefined ? {} : { address: told.address }), ...end, ...bytesAs('stdout', stdout), ...bytesAs('stderr', stderr) })))
    },
  }
}

/** `demo.2` before `demo.10`. */
function byName(one: string, two: string): number {
  const [envOne = '', indexOne] = one.split('.')
  const [envTwo = '', indexTwo] = two.split('.')
  if (envOne !== envTwo) return envOne < envTwo ? -1 : 1
  return Number(indexOne) - Number(indexTwo)
}

function bytesAs(stream: 'stdout' | 'stderr', pieces: readonly Uint8Array[]): Partial<Result> {
  const bytes = joined(pieces)
  try {
    return { [stream]: new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes) }
  } catch {
    return { [`${stream}Base64`]: base64(bytes) }
  }
}

/** By pieces that keep the argument list short. */
function base64(bytes: Uint8Array): string {
  let text = ''
  for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192))
  return btoa(text)
}
