import assert from 'node:assert/strict'
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { after, before, describe, it } from 'node:test'
import { silentLog } from '../../src/base/log.ts'
import { realWorld } from '../../src/base/world.ts'
import { runIn } from '../../src/drivers/channel/channel.contract.ts'
import type { Channel, Identity } from '../../src/drivers/channel/channel.ts'
import { guestOf } from '../../src/drivers/channel/ground.ts'
import { rexec } from '../../src/drivers/channel/rexec/rexec.ts'
import { TtError } from '../../src/model/errors.ts'
import { type LocalAgent, localAgent } from './local-agent.ts'

/** An agent that is root in namespaces of its own, with a card, an /etc and a home of its own, and without the right to set this machine's clock. */
const within = (dir: string) => [
  'unshare',
  '--mount',
  '--uts',
  '--net',
  '--',
  'sh',
  '-c',
  'set -e; mount --bind "$0/etc" /etc; mount --bind "$0/root" /root; hostname before; ip link set lo up; ip link add other type veth peer name card; ip link set other up; exec setpriv --bounding-set=-sys_time -- "$@"',
  dir,
]
const prepare = (dir: string) => {
  mkdirSync(join(dir, 'etc'))
  mkdirSync(join(dir, 'root'), { mode: 0o777 })
  chmodSync(join(dir, 'root'), 0o777)
  writeFileSync(join(dir, 'etc/passwd'), 'x:x:1:1::/x:/x\nroot:x:0:0:root:/root:/bin/sh\n')
  writeFileSync(join(dir, 'etc/hosts'), '127.0.0.1 localhost\n1.2.3.4 old # tt-agent\n# end\n', { mode: 0o640 })
}

describe('the agent takes an identity', { skip: process.getuid?.() === 0 ? false : 'SKIPPED: namespaces with cards and mounts of their own need root' }, () => {
  let agent: LocalAgent
  let channel: Channel
  const file = (name: string) => readFileSync(join(agent.dir, name), 'utf8')
  const mode = (name: string) => statSync(join(agent.dir, name)).mode & 0o777
  const identify = (identity: Identity) => Promise.resolve(channel.identify?.(identity, { signal: AbortSignal.timeout(20_000) }))
  const run = async (shell: string) => (await runIn(channel, shell, {}, AbortSignal.timeout(20_000))).stdout.toString().trim()
  before(async () => {
    agent = await localAgent('sanitized', (dir) => ['--unix', join(dir, 'socket')], { prepare, launcher: within, asRoot: true })
    for (let n = 0; n < 500 && !existsSync(join(agent.dir, 'socket')); n++) await sleep(20)
    const dial = async () => connect(join(agent.dir, 'socket'))
    channel = rexec(guestOf({ id: 'local', dial, world: realWorld, log: silentLog }))
    await channel.ready({ signal: AbortSignal.timeout(20_000) })
  })
  after(async () => {
    await channel[Symbol.asyncDispose]()
    await agent.end()
  })

  it('a name, which stands where names stand, and only there', async () => {
    await identify({ hostname: 'new-name' })
    assert.equal(await run('hostname'), 'new-name')
    assert.equal(file('etc/hostname'), 'new-name\n')
    assert.equal(file('etc/hosts'), '127.0.0.1 localhost\n# end\n127.0.1.1 new-name # tt-agent\n')
    assert.equal(mode('etc/hosts'), 0o640)
  })
  it('an address, a gateway and an MTU, and others later', async () => {
    const state = async () => {
      const said = await run('ip -o -4 addr show card; ip route show default; ip -o link show card')
      const routes = said.match(/^default .*$/gm)?.map((route) => route.trim())
      return [/ inet (\S+)/.exec(said)?.[1], routes?.join(), / mtu (\d+)/.exec(said)?.[1]]
    }
    await identify({ address: { cidr: '10.77.0.2/24', gateway: '10.77.0.1', mtu: 1400 } })
    assert.deepEqual(await state(), ['10.77.0.2/24', 'default via 10.77.0.1 dev card', '1400'])
    assert.match(file('etc/hosts'), /^10\.77\.0\.2 new-name # tt-agent$/m)
    await run('ip route add 1.1.1.0/24 via 10.77.0.1')
    await identify({ address: { cidr: '10.77.0.2/24', gateway: '10.77.0.1' } })
    assert.equal(await run('ip route show 1.1.1.0/24'), '1.1.1.0/24 via 10.77.0.1 dev card', 'what it says already is left alone')
    await identify({ address: { cidr: '10.77.0.2/24', gateway: '10.77.0.254' } })
    assert.deepEqual(await state(), ['10.77.0.2/24', 'default via 10.77.0.254 dev card', '1400'])
    await identify({ hostname: 'newer', address: { cidr: '192.168.3.4/16', gateway: '192.168.0.1', mtu: 1300 } })
    assert.deepEqual(await state(), ['192.168.3.4/16', 'default via 192.168.0.1 dev card', '1300'])
    assert.equal(file('etc/hosts'), '127.0.0.1 localhost\n# end\n192.168.3.4 newer # tt-agent\n')
    await assert.rejects(identify({ address: { cidr: '10.0.0.2/24', gateway: '99.0.0.1' } }), /its address \(ENETUNREACH\)/)
  })
  it('keys, of which only its own are replaced', async () => {
    const keys = 'root/.ssh/authorized_keys'
    await identify({ sshKeys: [] })
    assert.equal(existsSync(join(agent.dir, 'root/.ssh')), false)
    await identify({ sshKeys: ['ssh-ed25519 AAAA one@x', 'ssh-rsa BBBB'] })
    assert.equal(file(keys), 'ssh-ed25519 AAAA one@x # tt-agent\nssh-rsa BBBB # tt-agent\n')
    assert.deepEqual([mode(keys), mode('root/.ssh'), mode('root')], [0o600, 0o700, 0o755])
    writeFileSync(join(agent.dir, keys), `# mine\n\nssh-ed25519 CCCC them\n${file(keys)}ssh-dss DDDD # tt-agent too`)
    chmodSync(join(agent.dir, keys), 0o664)
    chmodSync(join(agent.dir, 'root/.ssh'), 0o775)
    await identify({ sshKeys: ['ssh-ed25519 EEEE'] })
    assert.equal(file(keys), '# mine\n\nssh-ed25519 CCCC them\nssh-dss DDDD # tt-agent too\nssh-ed25519 EEEE # tt-agent\n')
    assert.deepEqual([mode(keys), mode('root/.ssh')], [0o644, 0o755])
    const inode = statSync(join(agent.dir, keys)).ino
    await identify({ sshKeys: ['ssh-ed25519 EEEE'] })
    await identify({ hostname: 'newest' })
    assert.equal(statSync(join(agent.dir, keys)).ino, inode, 'it says so already')
    await identify({ sshKeys: [] })
    assert.equal(file(keys), '# mine\n\nssh-ed25519 CCCC them\nssh-dss DDDD # tt-agent too\n')
    const many = Array.from({ length: 1000 }, (_, n) => `ssh-ed25519 ${'A'.repeat(68)} user-${n}@somewhere`)
    await identify({ sshKeys: many })
    assert.equal(file(keys).split('\n').filter((line) => line.endsWith(' # tt-agent')).length, 1000)
    await assert.rejects(identify({ sshKeys: [...many, ...many] }), (error) => error instanceof TtError && error.code === 'too_large')
    assert.deepEqual(readdirSync(join(agent.dir, 'root/.ssh')), ['authorized_keys'], 'nothing is left beside it')
  })
  it('through a link, which stays one', async () => {
    writeFileSync(join(agent.dir, 'root/real'), 'old\n')
    mkdirSync(join(agent.dir, 'etc/ssh'))
    await run('rm /root/.ssh/authorized_keys; ln -s /root/real /root/.ssh/authorized_keys')
    await identify({ sshKeys: ['ssh-ed25519 FFFF'] })
    assert.equal(file('root/real'), 'old\nssh-ed25519 FFFF # tt-agent\n')
    assert.equal(await run('readlink /root/.ssh/authorized_keys'), '/root/real')
  })
  it('random numbers, and a time; and tells what it could not take, after it took the rest', async () => {
    await identify({ entropy: new Uint8Array(64).fill(0xa5), timeMs: Date.now() })
    await assert.rejects(identify({ timeMs: Date.now() + 3_600_000, hostname: 'in-spite' }), (error) => error instanceof TtError && error.code === 'failed' && /the time \(EPERM\)/.test(error.message))
    assert.equal(await run('hostname'), 'in-spite')
    await run('rm -rf /root/.ssh; echo x >/root/.ssh')
    await assert.rejects(identify({ sshKeys: ['ssh-ed25519 A'] }), /ssh keys \(ENOTDIR\)/)
    await run('rm /root/.ssh')
  })
  it('and beats every ten seconds', async () => {
    const at: number[] = []
    for await (const beat of channel.beats?.({ signal: AbortSignal.timeout(40_000) }) ?? []) {
      assert.ok(beat.memTotalMb > 0)
      at.push(performance.now())
      if (at.length === 2) break
    }
    const pause = (at[1] ?? 0) - (at[0] ?? 0)
    assert.ok(pause > 8000 && pause < 15_000, `${pause} ms`)
  })
})
