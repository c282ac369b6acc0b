import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { heard } from '../ground.ts'
import { consoleHub } from './console.ts'
import { connectUnix } from './socket.ts'

const root = mkdtempSync(join(tmpdir(), 'tt-console-'))
after(() => rmSync(root, { recursive: true }))

/** A serial line that takes one client at a time, as QEMU's. */
async function line(name: string) {
  const path = join(root, name)
  let connections = 0
  let client: Socket | undefined
  const server = createServer((socket) => {
    connections++
    client = socket.on('error', () => undefined)
  }).listen(path)
  await new Promise((resolve) => server.once('listening', resolve))
  const joined = async () => {
    while (!client) await turn()
    return client
  }
  return { path, hub: consoleHub(() => connectUnix(path)), joined, server, count: () => connections, forget: () => (client = undefined) }
}

const turn = () => new Promise((resolve) => setTimeout(resolve, 5))
const until = async (holds: () => boolean) => {
  for (const end = Date.now() + 5000; !holds(); await turn()) assert(Date.now() < end, 'it did not come in time')
}

test('many readers share one connection, which is held only while there are any', async () => {
  const { hub, joined, server, count, forget } = await line('shared')
  const [one, two] = (await Promise.all([hub.open(), hub.open()])).map(heard)
  assert(one && two)
  const client = await joined()
  client.write('to all')
  await until(() => one.text === 'to all' && two.text === 'to all')
  one.stream.destroy()
  client.write(', still')
  await until(() => two.text === 'to all, still')
  assert.deepEqual([count(), one.text], [1, 'to all'])
  const gone = new Promise((resolve) => client.once('close', resolve).resume())
  two.stream.destroy()
  await gone
  forget()
  const three = heard(await hub.open())
  ;(await joined()).write('again')
  await until(() => three.text === 'again')
  assert.equal(count(), 2)
  hub.close()
  server.close()
})

test('the end of the line is the end for each reader, after what was said', async () => {
  const { hub, joined, server } = await line('ends')
  const readers = [heard(await hub.open()), heard(await hub.open())]
  ;(await joined()).end('last words')
  await Promise.all(readers.map(({ ended }) => ended))
  assert.deepEqual(readers.map(({ text }) => text), ['last words', 'last words'])
  server.close()
})

test('one who does not read is let go, and holds up nobody', async () => {
  const { hub, joined, server } = await line('slow')
  const sleeper = await hub.open()
  const fault = new Promise<Error>((resolve) => sleeper.once('error', resolve))
  const reader = await hub.open()
  let size = 0
  reader.on('data', (bytes: Buffer) => (size += bytes.length))
  const client = await joined()
  client.write(Buffer.alloc(3 << 20, 'x'))
  await until(() => size === 3 << 20)
  assert.match((await fault).message, /behind/)
  assert(sleeper.destroyed && sleeper.readableLength <= 2 << 20)
  hub.close()
  server.close()
})

test('a line nobody serves rejects, and is tried anew the next time', async () => {
  const path = join(root, 'late')
  const hub = consoleHub(() => connectUnix(path))
  await assert.rejects(hub.open(), { code: 'ENOENT' })
  const server = createServer().listen(path)
  await new Promise((resolve) => server.once('listening', resolve))
  ;(await hub.open()).destroy()
  server.close()
})
