import { closeSync, constants, openSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { basename, dirname, join } from 'node:path'

/** What fits into `sun_path` with the byte that ends it: unix(7). */
const longestPath = 107

/** Connects to a unix socket, however long its path is. Rejects with the system's reason; nobody listening is ECONNREFUSED or ENOENT. */
export async function connectUnix(path: string): Promise<Socket> {
  if (Buffer.byteLength(path) <= longestPath) return connected(connect({ path, allowHalfOpen: false }))
  const dir = openSync(dirname(path), constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    return await connected(connect({ path: join('/proc/self/fd', String(dir), basename(path)), allowHalfOpen: false }))
  } finally {
    closeSync(dir)
  }
}

function connected(socket: Socket): Promise<Socket> {
  return new Promise((resolve, reject) => {
    socket.once('error', reject)
    socket.once('connect', () => {
      socket.off('error', reject)
      resolve(socket)
    })
  })
}
