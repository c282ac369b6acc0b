import { fail } from '../../../model/errors.ts'
import type { NewFile } from '../channel.ts'
import { windowBytes } from './protocol.ts'

/** Operations, as guest/agent/files-order.h numbers them. */
export const operations = { stat: 1, list: 2, digest: 3, read: 4, offer: 5, write: 6, directory: 7, link: 8 } as const

export interface FilesOrder {
  operation: (typeof operations)[keyof typeof operations]
  path: string
  mode?: number
  sizeBytes?: number
  offset?: number
  sha256?: string
  target?: string
  overwrite?: boolean
  /** Not all of the file, but its first `sizeBytes`. */
  part?: boolean
  /** Its bytes go by the window, with tags by this key. */
  key?: Uint8Array
}

const flags = { overwrite: 1, part: 2, window: 4 }
const digestBytes = 32
const fixedBytes = 30 + digestBytes
/** PATH_MAX of Linux without the zero at its end. */
const pathLimitBytes = 4095

/** The body of a FILE: u32 window of the output and of the answer, u8 operation, u8 flags, u32 mode, u64 size, u64 offset, sha256, path and target with a zero after each; the key, if the bytes go by the window. */
export function orderOf(order: FilesOrder): Buffer {
  const path = textOf('the path', order.path, order.path)
  if (!order.path.startsWith('/')) fail('invalid', 'the path in the guest is not absolute', { subject: order.path })
  const target = order.target === undefined ? Buffer.alloc(0) : textOf('the target of the link', order.target, order.path)
  if (order.target === '') fail('invalid', 'a link leads somewhere', { subject: order.path })
  const { mode = 0, sizeBytes = 0, offset = 0 } = order
  if (!Number.isInteger(mode) || mode < 0 || mode > 0o7777) fail('invalid', `${mode} is no mode`, { subject: order.path })
  for (const number of [sizeBytes, offset]) if (!Number.isSafeInteger(number) || number < 0) fail('invalid', `${number} is no number of bytes`, { subject: order.path })
  const { key = new Uint8Array() } = order
  const named = fixedBytes + path.length + 1 + target.length + 1
  const body = Buffer.alloc(named + key.length)
  body.writeUInt32LE(windowBytes, 0)
  body.writeUInt32LE(windowBytes, 4)
  body[8] = order.operation
  body[9] = (order.overwrite ? flags.overwrite : 0) | (order.part ? flags.part : 0) | (order.key ? flags.window : 0)
  body.writeUInt32LE(mode, 10)
  body.writeBigUInt64LE(BigInt(sizeBytes), 14)
  body.writeBigUInt64LE(BigInt(offset), 22)
  if (order.sha256 !== undefined) body.write(order.sha256, 30, 'hex')
  path.copy(body, fixedBytes)
  target.copy(body, fixedBytes + path.length + 1)
  body.set(key, named)
  return body
}

/** What a file that is offered or written says of itself, for its order. */
export function claimOf(file: NewFile): Pick<FilesOrder, 'mode' | 'sizeBytes' | 'sha256' | 'overwrite'> {
  if (!/^[0-9a-f]{64}$/.test(file.sha256)) fail('invalid', `'${file.sha256.slice(0, 70)}' is no sha256 in hexadecimal`)
  return { mode: file.mode, sizeBytes: file.sizeBytes, sha256: file.sha256, overwrite: file.overwrite }
}

function textOf(what: string, text: string, subject: string): Buffer {
  if (text.includes('\0') || !text.isWellFormed()) fail('invalid', `${what} holds a zero byte, or is no text`, { subject })
  const bytes = Buffer.from(text)
  if (bytes.length > pathLimitBytes) fail('invalid', `${what} is longer than ${pathLimitBytes} bytes`, { subject: subject.slice(0, 100) })
  return bytes
}
