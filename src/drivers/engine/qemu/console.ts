import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { TtError } from '../../../model/errors.ts'

/** One serial line for any number of readers: QEMU takes a single client, so it is shared, and held only while somebody reads. */
export interface ConsoleHub {
  open(): Promise<Duplex>
  close(): void
}

/** A reader this far behind is let go, so that it holds back neither the guest nor the others. */
const farthestBehindBytes = 1 << 20

export function consoleHub(connect: () => Promise<Socket>): ConsoleHub {
  const readers = new Set<Duplex>()
  let line: Promise<Socket> | undefined

  const connected = async (): Promise<Socket> => {
    const socket = await connect()
    socket.on('data', (bytes: Buffer) => readers.forEach((reader) => give(reader, bytes)))
    socket.on('error', () => undefined) // It is followed by `close`.
    socket.once('close', () => {
      line = undefined
      for (const reader of readers) {
        reader.push(null)
        reader.end()
      }
      readers.clear()
    })
    return socket
  }
  const leave = (reader: Duplex, socket: Socket) => {
    readers.delete(reader)
    if (readers.size > 0) return
    line = undefined
    socket.removeAllListeners('close')
    socket.destroy()
  }
  const hub: ConsoleHub = {
    async open() {
      line ??= connected()
      const mine = line
      const socket = await mine.catch((fault: unknown) => {
        if (line === mine) line = undefined
        throw fault
      })
      if (socket.destroyed) return hub.open() // The last reader left while we waited.
      const reader: Duplex = new Duplex({
        read: () => undefined,
        write: (bytes: Buffer, _encoding, done) => void socket.write(bytes, done),
        destroy: (fault, done) => {
          if (readers.has(reader)) leave(reader, socket)
          done(fault)
        },
      })
      reader.on('error', () => undefined) // For who does not listen: a fault of the line is no fault of the server.
      readers.add(reader)
      return reader
    },
    close: () => readers.forEach((reader) => reader.destroy()),
  }
  return hub
}

function give(reader: Duplex, bytes: Buffer): void {
  reader.push(bytes)
  if (reader.readableLength <= farthestBehindBytes) return
  reader.destroy(new TtError({ code: 'failed', message: `the reader of the serial line fell ${farthestBehindBytes} bytes behind` }))
}
