import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A server that does nothing but answer: the least that any server on Node costs. */
const body = process.argv[2] ?? ''
const server = createServer({ noDelay: true }, (_request, response) => {
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) })
  response.end(body)
})
server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port))
