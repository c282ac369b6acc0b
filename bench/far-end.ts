import { createConnection, createServer } from 'node:net'
import { createInterface } from 'node:readline'

/**
 * The other end of a connection, as a program in a network namespace of its own; it speaks as much HTTP as a guest's `wget` and `httpd` need. Whoever
 * asks it on port 5001 gets as many bytes as its path says; a line `HOST PORT PATH` of input has it ask. How many milliseconds passed between the
 * request and the last byte is a line of output each time.
 */
const chunk = Buffer.alloc(256 << 10)
const say = (begun: number) => process.stdout.write(`${performance.now() - begun}\n`)

createServer((socket) => {
  socket.once('data', (request) => {
    const begun = performance.now()
    let left = Number(/^GET \/(\d+)/.exec(request.toString())?.[1])
    socket.write(`HTTP/1.0 200 OK\r\nContent-Length: ${left}\r\n\r\n`)
    const write = () => {
      while (left > 0) {
        const piece = left < chunk.length ? chunk.subarray(0, left) : chunk
        left -= piece.length
        if (!socket.write(piece)) return void socket.once('drain', write)
      }
    }
    write()
    socket.once('end', () => say(begun)) // It has all and hangs up.
  })
}).listen(5001)

createInterface({ input: process.stdin })
  .on('line', (line) => {
    const [host = '', port, path] = line.split(' ')
    const begun = performance.now()
    const socket = createConnection({ host, port: Number(port) }, () => socket.write(`GET ${path} HTTP/1.0\r\n\r\n`))
    socket.resume().once('end', () => say(begun))
  })
  .once('close', () => process.exit())
