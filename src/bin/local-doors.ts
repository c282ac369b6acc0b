import { createServer, type Server, type Socket } from 'node:net'
import { queue } from '../base/queue.ts'
import { runShown } from '../base/shown-program.ts'
import type { Door, LocalDoors, Visitor } from '../cli/local-doors.ts'
import { type ErrorCode, TtError } from '../model/errors.ts'

/** The machine's own. Loaded by commands that listen only. */
export const localDoors: LocalDoors = {
  async open(at) {
    const visitors = queue<Visitor>()
    const sockets = new Set<Socket>()
    const server = createServer({ noDelay: true }, (socket) => {
      sockets.add(socket)
      socket.once('close', () => sockets.delete(socket))
      visitors.push(visitorOf(socket))
    })
    await listening(server, at)
    return {
      visitors,
      async [Symbol.asyncDispose]() {
        visitors.end()
        for (const socket of sockets) socket.destroy()
        await new Promise((resolve) => server.close(resolve))
      },
    } satisfies Door
  },
  async run(program, args, signal) {
    try {
      return { code: await runShown([program, ...args], signal) }
    } catch (fault) {
      const { code, message } = fault as NodeJS.ErrnoException
      throw new TtError({ code: code === 'ENOENT' ? 'not_found' : 'failed', message: `${program} cannot be started: ${message}` }, fault)
    }
  },
}

async function listening(server: Server, at: Parameters<LocalDoors['open']>[0]): Promise<void> {
  const before = 'path' in at ? process.umask(0o077) : undefined // From its first moment nobody else may open it.
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen({ ...at, exclusive: true }, resolve)
    })
  } catch (fault) {
    const { code, message } = fault as NodeJS.ErrnoException
    const known: Record<string, ErrorCode> = { EADDRINUSE: 'conflict', EACCES: 'denied', EADDRNOTAVAIL: 'invalid', ENOENT: 'not_found' }
    throw new TtError({ code: known[code ?? ''] ?? 'failed', message: `nobody can be let in there: ${message}`, ...('path' in at && code === 'EADDRINUSE' ? { remedy: 'if it was left behind by a program that is gone, remove it' } : {}) }, fault)
  } finally {
    if (before !== undefined) process.umask(before)
  }
}

function visitorOf(socket: Socket): Visitor {
  socket.on('error', () => undefined) // It is followed by `close`.
  return {
    said: said(socket),
    async tell(bytes) {
      if (!socket.destroyed && !socket.write(bytes)) await new Promise<void>((resolve) => socket.once('drain', resolve).once('close', resolve))
    },
    hangUp: () => socket.destroy(),
  }
}

async function* said(socket: Socket): AsyncGenerator<Uint8Array> {
  try {
    for await (const data of socket) yield data as Uint8Array
  } catch {
    // It broke: that is an end too.
  }
}
