import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import ssh2, { type ServerChannel } from 'ssh2'
import { realWorld } from '../../../base/world.ts'
import { runIn } from '../channel.contract.ts'
import { guestOf } from '../ground.ts'
import { ssh } from './ssh.ts'

const beforeEndMs = 1300
/** Longer than the channel listens by itself after an end, as on a busy machine. */
const afterEndMs = 1500

test('what a command said is whole though its server tells the end first, and late', async () => {
  await using server = await lateServer()
  await using channel = ssh(server.guest)
  const { stdout, stderr, exit } = await runIn(channel, 'anything')
  assert.deepEqual([stdout.toString(), stderr.toString(), exit], ['out\n', 'err\n', { code: 3 }])
})

/** A server that ends a command silently, and only then passes on what it said; everything else that is asked is answered after that. */
async function lateServer() {
  const host = ssh2.utils.generateKeyPairSync('ed25519')
  const user = ssh2.utils.generateKeyPairSync('ed25519')
  const dir = mkdtempSync(join(tmpdir(), 'tt-late-'))
  const clients = new Set<{ end(): void }>()
  let first = true
  let told = Promise.resolve()
  const server = new ssh2.Server({ hostKeys: [host.private] }, (client) => {
    clients.add(client)
    client.on('error', () => undefined)
    client.on('authentication', (asked) => asked.accept())
    client.on('ready', () =>
      client.on('session', (accept) =>
        accept().on('exec', (take, _, { command }) => {
          const end = first ? late : later
          first = false
          end(take(), command)
        }),
      ),
    )
  })
  const late = (channel: ServerChannel, command: string) => {
    const mark = /tt-[0-9a-f]{24}/.exec(command)?.[0]
    assert.ok(mark, command)
    told = sleep(beforeEndMs).then(async () => {
      channel.exit(3)
      await sleep(afterEndMs)
      channel.stderr.write(`${mark} 4711\nerr\n`)
      channel.write('out\n')
      // Something it left in the background holds its output: nothing is closed.
    })
  }
  const later = (channel: ServerChannel) =>
    void told.then(() => {
      channel.exit(0)
      channel.end()
    })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const silent = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined, with: () => silent }
  return {
    guest: guestOf({
      id: 'late.0',
      world: realWorld,
      log: silent,
      dial: () => Promise.reject(new Error('nothing to dial')),
      address: () => ({ host: '127.0.0.1', port }),
      sshKey: async () => ({ privateKey: user.private, publicKey: user.public }),
      dir: async () => dir,
    }),
    async [Symbol.asyncDispose]() {
      for (const client of clients) client.end()
      server.close()
      rmSync(dir, { recursive: true, force: true })
    },
  }
}
