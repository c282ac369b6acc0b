import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'
import { silentLog } from '../../src/base/log.ts'
import { realWorld } from '../../src/base/world.ts'
import { channelContract } from '../../src/drivers/channel/channel.contract.ts'
import { guestOf } from '../../src/drivers/channel/ground.ts'
import { ssh } from '../../src/drivers/channel/ssh/ssh.ts'
import { inNamespace, type ServerGround, serverGround, type ShownEnv } from './ground.ts'

/** The way in by ssh against the other server of ssh there is in guests, in a real one. */
await inNamespace(import.meta.url, () => {
  let server: ServerGround | undefined
  let host: Promise<string> | undefined
  const begin = async (): Promise<string> => {
    server = serverGround()
    await server.start()
    const added = await server.tt('env', 'add', 'box', '-s', 'micro', '-M', '256')
    assert.equal(added.code, 0, added.stderr)
    return ((await server.json('env', 'show', 'box')) as ShownEnv).envs[0]?.vms[0]?.ip ?? assert.fail('the VM has no address')
  }
  after(() => server?.[Symbol.asyncDispose]())
  channelContract({
    name: 'ssh to dropbear',
    async make() {
      const at = await (host ??= begin())
      const keys = join(server?.dir ?? '', 'data/guest-keys')
      const text = readFileSync(join(keys, readdirSync(keys)[0] ?? ''), 'utf8')
      const dir = mkdtempSync(join(tmpdir(), 'tt-ways-'))
      const channel = ssh(
        guestOf({
          id: 'abcd.0',
          world: realWorld,
          log: silentLog,
          dial: () => Promise.reject(new Error('nothing to dial')),
          address: (port) => ({ host: at, port }),
          sshKey: async () => ({ privateKey: text.slice(0, text.indexOf('ssh-ed25519 ')), publicKey: text.slice(text.indexOf('ssh-ed25519 ')) }),
          dir: async () => dir,
        }),
      )
      return {
        channel,
        async [Symbol.asyncDispose]() {
          await channel[Symbol.asyncDispose]()
          rmSync(dir, { recursive: true })
        },
      }
    },
  })
})
