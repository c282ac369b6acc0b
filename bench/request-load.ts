import { connect, type Socket } from 'node:net'
import { ticks } from './measure.ts'

export interface Load {
  port: number
  connections: number
  seconds: number
  /** The next request of a connection. */
  request(connection: number): { method: string; path: string; headers: Record<string, string>; body?: string }
}

/** Asks again as soon as it is answered, on so many kept connections; gives answers per second. Throws at an answer other than 2xx. Plain sockets: a client that costs more than the server would measure itself. */
export async function driven({ port, connections, seconds, request }: Load): Promise<number> {
  let answered = 0
  let fault: Error | undefined
  let over = false
  const sockets: Socket[] = []
  const one = (connection: number) =>
    new Promise<void>((resolve) => {
      const socket = connect({ port, host: '127.0.0.1', noDelay: true })
      sockets.push(socket)
      let held = ''
      const ask = () => {
        if (over) return socket.destroy()
        const { method, path, headers, body = '' } = request(connection)
        const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
        socket.write(`${method} ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\n${lines.join('')}${body === '' ? '' : `content-length: ${Buffer.byteLength(body)}\r\n`}\r\n${body}`)
      }
      socket.setEncoding('latin1')
      socket.once('connect', ask)
      socket.on('data', (piece: string) => {
        held += piece
        const end = held.indexOf('\r\n\r\n')
        if (end < 0) return
        const length = Number(/content-length: (\d+)/i.exec(held)?.[1] ?? Number.NaN)
        if (Number.isNaN(length) || !held.startsWith('HTTP/1.1 2')) fault ??= new Error(`the answer is not one to count: ${held.slice(0, 300)}`)
        if (fault) return socket.destroy()
        if (held.length < end + 4 + length) return
        held = ''
        answered++
        ask()
      })
      socket.once('error', (error) => (fault ??= error))
      socket.once('close', () => resolve())
    })
  const begun = ticks()
  const running = Promise.all(Array.from({ length: connections }, (_, at) => one(at)))
  await Promise.race([new Promise((resolve) => setTimeout(resolve, seconds * 1000)), running])
  const lasted = (ticks() - begun) / 1000
  const count = answered
  over = true
  for (const socket of sockets) socket.destroy()
  await running
  if (fault) throw fault
  return count / lasted
}
