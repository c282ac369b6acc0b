import { fail, type Problem } from '../model/errors.ts'
import type { SessionFrame, SessionInput, SessionRequest } from '../model/session.ts'

/**
 * Frames of a session on the wire. For people, one JSON object per line: bytes are `text` where they are UTF-8 and `base64` otherwise.
 * For WebSockets, one binary message per frame: type, length of the VM's name, name, payload. Both directions carry no state, so
 * any message is understood alone. Everything read here comes from a network: what is no frame is refused with `invalid`.
 */

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const encoder = new TextEncoder()

/** Whether what a session does depends on what its caller says later; such a session needs a WebSocket. */
export const needsInput = (request: SessionRequest): boolean => request.type === 'console' || request.type === 'screen' || request.type === 'push' || (request.type === 'import' && request.image.url === undefined) || (request.type === 'exec' && (request.stdin === true || request.tty !== undefined))

/** A frame as a line of NDJSON, the line end included. */
export function lineOf(frame: SessionFrame): string {
  if (frame.type !== 'stdout' && frame.type !== 'stderr') return `${JSON.stringify(frame)}\n`
  const { type, vm, data } = frame
  // What has a zero byte is no text for people, and as one each zero would take six letters.
  const text = data.includes(0) ? undefined : textOf(data)
  return `${JSON.stringify(text === undefined ? { vm, type, base64: base64Of(data) } : { vm, type, text })}\n`
}

/** The frame of a line of NDJSON. */
export function frameOf(line: string): SessionFrame {
  const value = objectOf(line)
  const { type, vm, text, base64 } = value
  if (type !== 'stdout' && type !== 'stderr') return checkedFrame(value)
  if (typeof vm !== 'string') return bad('without a VM')
  if (typeof text === 'string') return { type, vm, data: encoder.encode(text) }
  return typeof base64 === 'string' ? { type, vm, data: bytesOf(base64) } : bad('without text or base64')
}

/** What one WebSocket message says. `credit` lets the other side send that many bytes more; `opened` answers the request. */
export type Message =
  | { type: 'frame'; frame: SessionFrame }
  | { type: 'input'; input: SessionInput }
  | { type: 'credit'; bytes: number }
  | { type: 'opened' }
  | { /** The output has ended as it should. */ type: 'ended' }
  | { /** The request was refused, or the output broke. */ type: 'broken'; problem: Problem }

const tags = { frame: 1, stdout: 2, stderr: 3, input: 4, stdin: 5, credit: 6, opened: 7, ended: 8, broken: 9 } as const

export function packed(message: Message): Uint8Array<ArrayBuffer> {
  switch (message.type) {
    case 'frame': {
      const { frame } = message
      if (frame.type === 'stdout' || frame.type === 'stderr') return binary(tags[frame.type], frame.vm, frame.data)
      return binary(tags.frame, '', json(frame))
    }
    case 'input': {
      const { input } = message
      return input.type === 'stdin' ? binary(tags.stdin, input.vm ?? '', input.data) : binary(tags.input, '', json(input))
    }
    case 'credit': {
      const payload = new Uint8Array(4)
      new DataView(payload.buffer).setUint32(0, message.bytes)
      return binary(tags.credit, '', payload)
    }
    case 'opened':
    case 'ended':
      return binary(tags[message.type], '', new Uint8Array())
    case 'broken':
      return binary(tags.broken, '', json(message.problem))
  }
}

/** The message in some bytes; refuses with `invalid` whatever `packed` would not have made. */
export function unpacked(bytes: Uint8Array): Message {
  const [tag, length] = bytes
  if (tag === undefined || length === undefined || bytes.length < 2 + length) return bad('cut short')
  const vm = decoded(bytes.subarray(2, 2 + length))
  const payload = bytes.subarray(2 + length)
  switch (tag) {
    case tags.stdout:
      return { type: 'frame', frame: { type: 'stdout', vm, data: payload } }
    case tags.stderr:
      return { type: 'frame', frame: { type: 'stderr', vm, data: payload } }
    case tags.stdin:
      return { type: 'input', input: { type: 'stdin', ...(vm === '' ? {} : { vm }), data: payload } }
    case tags.frame:
      return { type: 'frame', frame: checkedFrame(objectOf(decoded(payload))) }
    case tags.input:
      return { type: 'input', input: checkedInput(objectOf(decoded(payload))) }
    case tags.credit:
      return payload.length === 4 ? { type: 'credit', bytes: new DataView(payload.buffer, payload.byteOffset).getUint32(0) } : bad('of a wrong size')
    case tags.opened:
      return { type: 'opened' }
    case tags.ended:
      return { type: 'ended' }
    case tags.broken:
      return { type: 'broken', problem: problemIn(objectOf(decoded(payload))) }
    default:
      return bad('of no known type')
  }
}

function binary(tag: number, vm: string, payload: Uint8Array): Uint8Array<ArrayBuffer> {
  const name = encoder.encode(vm)
  if (name.length > 255) fail('invalid', 'the name of a VM is too long for a frame')
  const bytes = new Uint8Array(2 + name.length + payload.length)
  bytes[0] = tag
  bytes[1] = name.length
  bytes.set(name, 2)
  bytes.set(payload, 2 + name.length)
  return bytes
}

/** Frames that are JSON on both wires, by what they must have to be one. */
const frameChecks: Record<Exclude<SessionFrame['type'], 'stdout' | 'stderr'>, Check> = {
  begin: ({ vm, image, address }) => isText(vm) && isText(image) && isTextOrNothing(address),
  exit: ({ vm, code, signal }) => isText(vm) && (code === undefined ? isText(signal) : Number.isInteger(code) && signal === undefined),
  problem: ({ vm, problem }) => isTextOrNothing(vm) && isObject(problem) && isText(problem.code) && isText(problem.message),
  entry: ({ vm, entry, offset }) => isText(vm) && isEntry(entry) && isCountOrNothing(offset),
  'entry-end': ({ vm, sha256 }) => isText(vm) && isSha256(sha256),
  wants: ({ vm, host, offset }) => isTextOrNothing(vm) && isTextOrNothing(host) && isCount(offset),
  progress: ({ vm, host, what, doneBytes, totalBytes }) => isTextOrNothing(vm) && isTextOrNothing(host) && isText(what) && isCount(doneBytes) && isCountOrNothing(totalBytes),
  note: ({ vm, host, text }) => isTextOrNothing(vm) && isTextOrNothing(host) && isText(text),
  leak: ({ host, leak }) => isText(host) && isObject(leak) && isText(leak.kind) && isText(leak.subject) && isText(leak.why),
  finding: ({ host, finding }) => isText(host) && isObject(finding) && isText(finding.check) && isText(finding.message) && ['good', 'poor', 'bad'].includes(finding.state as string),
  event: ({ event }) => isObject(event) && isText(event.time) && isText(event.subject) && isText(event.event) && isText(event.message),
  audit: ({ entry }) => isObject(entry) && isText(entry.time) && isText(entry.user) && isText(entry.action) && isText(entry.subject) && isText(entry.result),
  reloaded: ({ host, changed, needRestart }) => isText(host) && Array.isArray(changed) && Array.isArray(needRestart),
  built: ({ host, image }) => isText(host) && isText(image),
}

const inputChecks: Record<Exclude<SessionInput['type'], 'stdin'>, Check> = {
  eof: ({ vm }) => isTextOrNothing(vm),
  signal: ({ vm, signal }) => isTextOrNothing(vm) && isText(signal) && /^[A-Z][A-Z0-9+-]{0,15}$/.test(signal),
  entry: ({ entry }) => isEntry(entry) && ((entry as { type?: string }).type !== 'file' || isSha256((entry as { sha256?: string }).sha256)),
  from: ({ offset }) => isCount(offset),
  size: ({ vm, columns, rows }) => isTextOrNothing(vm) && isSize(columns) && isSize(rows),
}

const isText = (value: unknown): value is string => typeof value === 'string'
const isTextOrNothing = (value: unknown) => value === undefined || isText(value)
const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value)
const isCount = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 0
const isCountOrNothing = (value: unknown) => value === undefined || isCount(value)
const isSha256 = (value: unknown) => isText(value) && /^[0-9a-f]{64}$/.test(value)
/** Paths come from a guest or a stranger: none may lead out of where it is to be. */
const isBelow = (value: unknown) => isText(value) && value.length <= 4096 && !value.includes('\0') && (value === '' || value.split('/').every((part) => part !== '' && part !== '.' && part !== '..'))
const isEntry = (value: unknown) =>
  isObject(value) &&
  isBelow(value.path) &&
  Number.isInteger(value.mode) &&
  (value.mode as number) >= 0 &&
  (value.mode as number) <= 0o7777 &&
  (value.type === 'file' ? isCount(value.sizeBytes) && (value.sha256 === undefined || isSha256(value.sha256)) : value.type === 'directory' || (value.type === 'link' && isText(value.target)))
const isSize = (value: unknown) => Number.isInteger(value) && (value as number) >= 1 && (value as number) <= 10_000

type Check = (value: Record<string, unknown>) => boolean
const checkOf = (checks: Record<string, Check>, type: unknown): Check | undefined => (isText(type) && Object.hasOwn(checks, type) ? checks[type] : undefined)

function checkedFrame(value: Record<string, unknown>): SessionFrame {
  const check = checkOf(frameChecks, value.type)
  return check?.(value) ? (value as SessionFrame) : bad('that says nothing known')
}

function checkedInput(value: Record<string, unknown>): SessionInput {
  const check = checkOf(inputChecks, value.type)
  return check?.(value) ? (value as SessionInput) : bad('that says nothing known')
}

function problemIn(value: Record<string, unknown>): Problem {
  return isText(value.code) && isText(value.message) ? (value as unknown as Problem) : bad('without a reason')
}

function objectOf(text: string): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return bad('that is not JSON')
  }
  return isObject(value) ? value : bad('that is not an object')
}

const bad = (what: string): never => fail('invalid', `a frame ${what}`)
const json = (value: unknown) => encoder.encode(JSON.stringify(value))
const decoded = (bytes: Uint8Array) => textOf(bytes) ?? bad('that is not UTF-8')

function textOf(bytes: Uint8Array): string | undefined {
  try {
    return strictUtf8.decode(bytes)
  } catch {
    return undefined
  }
}

/** Node does it many times faster than what browsers have too. */
const { Buffer: fast } = globalThis as { Buffer?: typeof Buffer }

function base64Of(bytes: Uint8Array): string {
  if (fast) return fast.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64')
  let text = ''
  for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192)) // Pieces keep the argument list short.
  return btoa(text)
}

function bytesOf(base64: string): Uint8Array {
  try {
    const text = atob(base64)
    if (!fast) return Uint8Array.from(text, (character) => character.charCodeAt(0))
    const { buffer, byteOffset, length } = fast.from(text, 'latin1')
    return new Uint8Array(buffer, byteOffset, length)
  } catch {
    return bad('whose base64 is broken')
  }
}
