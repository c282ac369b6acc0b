import { createHash } from 'node:crypto'
import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, copyFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import { type AddressInfo, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { realWorld } from '../src/base/world.ts'
import { convert, type Conversion } from '../src/host/import-conversion.ts'
import type { Cloud } from '../src/model/cloud.ts'
import type { ImageOrder, SessionFrame, SessionInput } from '../src/model/session.ts'

export const MiB = 1 << 20

/** Options of a test that needs the program, which is skipped with its reason where that is missing. */
export function needing(program: string, timeout = 120_000): { timeout: number; skip?: string } {
  const { error } = spawnSync(program, ['--version'])
  return { timeout, ...(error ? { skip: `${program} cannot be run: ${error.message}` } : {}) }
}

export const digestOf = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')

/** A disk with a boot sector that prints `D` on the first serial line for ever, and bytes that tell one disk from another. */
export function bootDisk(sizeBytes = 3 * MiB, seed = 'disk'): Buffer {
  const disk = Buffer.alloc(sizeBytes)
  Buffer.from([0xba, 0xf8, 0x03, 0xb0, 0x44, 0xee, 0xb9, 0xff, 0xff, 0xe2, 0xfe, 0xeb, 0xf6]).copy(disk)
  disk.writeUInt16LE(0xaa55, 510)
  let block = createHash('sha256').update(seed).digest()
  for (let at = MiB; at + 32 <= 2 * MiB; at += 32) {
    block.copy(disk, at)
    block = createHash('sha256').update(block).digest()
  }
  return disk
}

/** A directory for disks that goes away, with what makes them. */
export function disks() {
  const dir = mkdtempSync(join(tmpdir(), 'tt-disks-'))
  chmodSync(dir, 0o755)
  const path = (name: string) => join(dir, name)
  const raw = (name = 'disk.raw', bytes = bootDisk()) => {
    writeFileSync(path(name), bytes)
    return path(name)
  }
  return {
    dir,
    path,
    raw,
    /** The same disk in another format. */
    as(format: string, options?: string, from = raw()): string {
      const to = path(`disk-${options ?? 'plain'}.${format}`.replaceAll(/[^a-z0-9.-]/gi, '_'))
      const flags = options === '-c' ? ['-c'] : options === undefined ? [] : ['-o', options]
      execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', format, ...flags, from, to])
      return to
    },
    /** A copy that is changed. */
    forged(from: string, change: (bytes: Buffer) => Buffer | void): string {
      const to = path(`forged-${readdirSync(dir).length}`)
      copyFileSync(from, to)
      const bytes = readFileSync(to)
      writeFileSync(to, change(bytes) ?? bytes)
      return to
    },
    cut(from: string, bytes: number): string {
      const to = path(`cut-${readdirSync(dir).length}`)
      copyFileSync(from, to)
      truncateSync(to, bytes)
      return to
    },
    img: (...args: string[]) => execFileSync('qemu-img', args, { encoding: 'utf8', cwd: dir }),
    [Symbol.dispose]: () => rmSync(dir, { recursive: true, force: true }),
  }
}

/** The user whose rights disks are read with in tests that root runs. */
export const stranger = 0x7e57 << 8

/** The conversion alone, without the look at the header that comes before. */
export async function converted(path: string, to: string, more: Partial<Conversion> = {}): Promise<unknown> {
  await using source = await open(path)
  await using target = await open(to, 'w+', 0o600)
  return await convert({ source, kind: 'raw', target, ...(process.getuid?.() === 0 ? { uid: stranger } : {}), diskLimitBytes: 2 ** 40, room: async () => 2 ** 40, onBytes: () => undefined, subject: 'image/x', world: realWorld, ...more })
}

/** What became of an import: all its frames, and what the last said. */
export interface Outcome {
  frames: SessionFrame[]
  wants: number[]
  built: string[]
  problem?: { code: string; message: string; remedy?: string; subject?: string }
}

export interface Sending {
  hosts?: string[]
  signal?: AbortSignal
  onFrame?: (frame: SessionFrame) => void
  /** Says something else than what a client says. */
  inputs?: (wanted: number) => SessionInput[]
  pieceBytes?: number
  /** What the client says of the file. */
  sha256?: string
}

/** Imports a file, or what an order's URL names, as a client does. */
export async function imported(cloud: Cloud, image: ImageOrder, bytes?: Buffer, sending: Sending = {}): Promise<Outcome> {
  await using session = await cloud.open({ type: 'import', image, ...(sending.hosts ? { hosts: sending.hosts } : {}) }, { signal: sending.signal })
  const outcome: Outcome = { frames: [], wants: [], built: [] }
  const writer = session.input.getWriter()
  const writes: Promise<void>[] = []
  const write = (...inputs: SessionInput[]) => void writes.push(all(writer, inputs))
  if (bytes) write({ type: 'entry', entry: { path: '', type: 'file', mode: 0o644, sizeBytes: bytes.length, sha256: sending.sha256 ?? digestOf(bytes) } })
  for await (const frame of session.output) {
    outcome.frames.push(frame)
    sending.onFrame?.(frame)
    if (frame.type === 'problem') outcome.problem = frame.problem
    if (frame.type === 'built') outcome.built.push(frame.host)
    if (frame.type !== 'wants' || !bytes) continue
    outcome.wants.push(frame.offset)
    const pieceBytes = sending.pieceBytes ?? 256 << 10
    write(...(sending.inputs?.(frame.offset) ?? [{ type: 'from' as const, offset: frame.offset }, ...pieces(bytes.subarray(frame.offset), pieceBytes), { type: 'eof' }]))
  }
  await session[Symbol.asyncDispose]()
  await Promise.all(writes)
  return outcome
}

/** Says all of it to a session that may have ended. */
async function all(writer: WritableStreamDefaultWriter<SessionInput>, inputs: SessionInput[]): Promise<void> {
  for (const input of inputs) await writer.write(input).catch(() => undefined)
}

const pieces = (bytes: Buffer, size: number): SessionInput[] => Array.from({ length: Math.ceil(bytes.length / size) }, (_, at) => ({ type: 'stdin', data: bytes.subarray(at * size, (at + 1) * size) }))

/** Directories of images that a host has imported, and of parts of some. */
export function shelf(dataDir: string): { images: string[]; parts: string[] } {
  const dir = join(dataDir, 'imported')
  return { images: readdirSync(dir).filter((name) => !name.startsWith('.')), parts: existsSync(join(dir, '.parts')) ? readdirSync(join(dir, '.parts')) : [] }
}

/** The disk of the only image there. */
export function onlyDisk(dataDir: string): { path: string; manifest: { name: string; disk: { sha256: string; sizeBytes: number }; agent: string[]; features: string[] } & Record<string, unknown> } {
  const { images } = shelf(dataDir)
  if (images.length !== 1) throw new Error(`there are ${images.length} images`)
  const dir = join(dataDir, 'imported', images[0] ?? '')
  return { path: join(dir, 'disk.qcow2'), manifest: JSON.parse(readFileSync(join(dir, 'image.json'), 'utf8')) }
}

/** The bytes a guest would see. */
export function guestBytes(qcow2: string): Buffer {
  const raw = `${qcow2}.${process.pid}.seen`
  execFileSync('qemu-img', ['convert', '-f', 'qcow2', '-O', 'raw', qcow2, raw])
  try {
    return readFileSync(raw)
  } finally {
    rmSync(raw)
  }
}

export const mode = (path: string): string => (statSync(path).mode & 0o777).toString(8)

/** A web server for one file, that can be made to misbehave. */
export interface Web extends AsyncDisposable {
  url: string
  port: number
  server: Server
  /** Requests so far, as `METHOD PATH RANGE`. */
  asked: string[]
  requests: IncomingMessage[]
  bytes: Buffer
  etag: string | undefined
  lastModified: string | undefined
  /** Answers instead of the file; false lets it. */
  instead?: (request: IncomingMessage, response: ServerResponse) => boolean
  /** The connection breaks after so many bytes of the file, each time. */
  breakAfter?: number
}

export async function web(bytes: Buffer, tls?: { key: string; cert: string }): Promise<Web> {
  const listener: RequestListener = (request, response) => {
    asked.push(`${request.method} ${request.url} ${request.headers.range ?? ''}`.trim())
    requests.push(request)
    if (made.instead?.(request, response)) return
    const from = rangeOf(request, made)
    if (from !== undefined && from >= made.bytes.length) return void response.writeHead(416, { 'content-range': `bytes */${made.bytes.length}` }).end()
    const rest = made.bytes.subarray(from ?? 0)
    response.writeHead(from === undefined ? 200 : 206, {
      'content-length': rest.length,
      ...(made.etag === undefined ? {} : { etag: made.etag }),
      ...(made.lastModified === undefined ? {} : { 'last-modified': made.lastModified }),
      ...(from === undefined ? {} : { 'content-range': `bytes ${from}-${made.bytes.length - 1}/${made.bytes.length}` }),
    })
    if (made.breakAfter === undefined || rest.length <= made.breakAfter) return void response.end(rest)
    response.write(rest.subarray(0, made.breakAfter), () => setTimeout(() => response.destroy(), 30))
  }
  const server = tls ? createSecureServer(tls, listener) : createServer(listener)
  const asked: string[] = []
  const requests: IncomingMessage[] = []
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const made: Web = {
    url: `${tls ? 'https' : 'http'}://127.0.0.1:${port}/disk`,
    port,
    server: server as Server,
    asked,
    requests,
    bytes,
    etag: '"one"',
    lastModified: undefined,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  return made
}

/** Where the answer begins; undefined for all of it: also if what the client has is of another file. */
function rangeOf({ headers }: IncomingMessage, { etag, lastModified }: Web): number | undefined {
  const from = /^bytes=(\d+)-$/.exec(headers.range ?? '')?.[1]
  const same = headers['if-range'] === undefined || headers['if-range'] === etag || headers['if-range'] === lastModified
  return from !== undefined && same ? Number(from) : undefined
}

/** A proxy that wants a password, has one file itself, and lets https through. What it passed on is in `passed`. */
export async function webProxy(bytes: Buffer): Promise<{ url: string; passed: string[] } & AsyncDisposable> {
  const passed: string[] = []
  const proxy = createServer((request, response) => {
    passed.push(`${request.method} ${request.url} ${request.headers['proxy-authorization'] ?? ''}`.trim())
    response.writeHead(200, { 'content-length': bytes.length }).end(bytes)
  })
  proxy.on('connect', (request, socket) => {
    passed.push(`${request.method} ${request.url}`)
    const [host = '', port] = (request.url ?? '').split(':')
    const to = connect(Number(port), host, () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n')
      to.pipe(socket).pipe(to)
    })
    to.on('error', () => socket.destroy())
    socket.on('error', () => to.destroy())
  })
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://me:word@127.0.0.1:${(proxy.address() as AddressInfo).port}`,
    passed,
    async [Symbol.asyncDispose]() {
      proxy.closeAllConnections()
      proxy.close()
    },
  }
}
