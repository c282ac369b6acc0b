import { createSocket } from 'node:dgram'
import { connect, isIPv6 } from 'node:net'

/** A place on the network to speak to. */
export interface Place {
  host: string
  port: number
}

const answerLimitBytes = 65_536

/** Connects by TCP, says `text`, and gives what comes until the other side closes, at most 64 KiB. The signal ends it. */
export function tcpAnswer({ host, port }: Place, text: string, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason)
    const pieces: Buffer[] = []
    const socket = connect({ host, port })
    const stop = () => socket.destroy(signal.reason)
    signal.addEventListener('abort', stop, { once: true })
    socket.once('connect', () => socket.write(text))
    socket.on('data', (piece) => {
      pieces.push(piece)
      if (pieces.reduce((sum, { length }) => sum + length, 0) >= answerLimitBytes) socket.end()
    })
    socket.once('error', reject)
    socket.once('close', () => {
      signal.removeEventListener('abort', stop)
      resolve(Buffer.concat(pieces).toString())
    })
  })
}

/** Sends one datagram by UDP. That nobody takes it is no fault. */
export function udpSend({ host, port }: Place, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = createSocket(isIPv6(host) ? 'udp6' : 'udp4')
    socket.once('error', (fault) => {
      socket.close()
      reject(fault)
    })
    socket.send(text, port, host, (fault) => {
      socket.close()
      if (fault) reject(fault)
      else resolve()
    })
  })
}
