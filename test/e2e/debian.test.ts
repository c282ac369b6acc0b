import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { debianImage } from './debian-image.ts'
import { inNamespace, type ServerGround, serverGround, type ShownEnv, traces } from './ground.ts'

// Where it can still be downloaded: the namespace leads nowhere.
const image = debianImage()

await inNamespace(import.meta.url, () => {
  const skip = 'why' in image ? image.why : false
  const limitSeconds = 150
  const soak = process.env['TT_SOAK'] === '1'

  test('[H06 L10 C11 J05] Debian 12 boots from its own disk with systemd; it and the same disk as a stock image take name, keys, disk and user-data from cloud-init, and are entered in every way they have', { skip, timeout: 900_000 }, async (t) => {
    assert(!('why' in image))
    const began = performance.now()
    await using server = serverGround()
    const { dir, tt } = server
    const at = (name: string) => join(dir, name)
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'user@example.org', '-f', at('key')])
    writeFileSync(at('user-data'), `#cloud-config\nwrite_files: [{ path: /etc/from-user-data, content: 'é "quoted"' }]\nruncmd: [[sh, -c, 'echo ran >>/root/ran']]\n`)
    await server.start()
    const ok = async (...args: string[]) => {
      const said = await tt(...args)
      assert.equal(said.code, 0, `tt ${args.join(' ')}: ${said.stderr}${said.stdout}`)
      return said.stdout
    }
    /** What a command prints in one VM, entered in one way. */
    const run = async (index: number, command: string, ...more: string[]) => (await ok('env', 'run', 'deb', '-m', String(index), '--cmd', command, '--time-out', '120', ...more)).trim()

    // Without a word about an agent: what is known of a cloud image.
    await ok('image', 'import', image.disk, '--name', 'stock')
    await ok('env', 'add', 'deb', '-s', 'debian-12', '-s', 'stock', '-D', '5000', '-M', '768', '--ssh-key', at('key.pub'), '--user-data', at('user-data'), '--no-wait')
    const [ours, stock] = await untilReady(server, 'deb')
    const readySeconds = (performance.now() - began) / 1000
    assert.deepEqual([ours?.name, stock?.name], ['deb.0', 'deb.1'])

    for (const index of [0, 1]) assert.match(await run(index, 'cloud-init status --wait'), /status: done$/)
    for (const via of ['rexec', 'ssh', 'qga']) assert.equal(await run(0, 'hostname; echo "a  b"', '--via', via), 'deb-0\na  b', via)
    for (const via of ['ssh', 'qga']) assert.equal(await run(1, 'hostname; echo "a  b"', '--via', via), 'deb-1\na  b', via)
    const refused = await tt('env', 'run', 'deb', '-m', '1', '--cmd', 'true', '--via', 'rexec')
    assert.notEqual(refused.code, 0)
    assert.match(refused.stderr, /rexec/)

    for (const index of [0, 1]) {
      assert.equal(await run(index, 'systemctl is-system-running --wait; systemctl --failed --plain --no-legend'), 'running')
      assert.equal(await run(index, 'cat /etc/from-user-data; cat /root/ran'), 'é "quoted"ran')
      const [size, left] = (await run(index, `df --block-size=1M --output=size,avail / | tail -n 1`)).split(/\s+/).map(Number)
      assert.ok((size ?? 0) > 4700 && (left ?? 0) > 4000, `/ has ${size} MiB, ${left} free`)
      assert.equal(await run(index, 'nproc; systemctl is-active ssh systemd-networkd qemu-guest-agent | sort -u'), '2\nactive')
      const memoryMb = Number(await run(index, "sed -n 's/^MemTotal: *\\([0-9]*\\).*/\\1/p' /proc/meminfo")) / 1024
      assert.ok(memoryMb > 650 && memoryMb < 768, `${memoryMb} MB of memory, asked for 768`)
      assert.match(await run(index, 'passwd -S root'), /^root L/, 'root has no password')
    }
    const unique = 'cat /etc/machine-id; cut -d" " -f2 /etc/ssh/ssh_host_*_key.pub'
    const [one, two] = [(await run(0, unique)).split('\n'), (await run(1, unique)).split('\n')]
    assert.equal(new Set([...one, ...two]).size, one.length + two.length, 'no two VMs have an identity in common')

    // As its user enters it, with no help of ours.
    const ssh = (checking: string, command: string) => spawnSync('ssh', ['-i', at('key'), '-o', 'BatchMode=yes', '-o', 'IdentitiesOnly=yes', '-o', `UserKnownHostsFile=${at('known')}`, '-o', `StrictHostKeyChecking=${checking}`, `root@${ours?.ip}`, command], { encoding: 'utf8' })
    assert.equal(ssh('accept-new', 'echo kept >/root/kept; sync; id -un').stdout, 'root\n')
    const bare = spawnSync('ssh', ['-F', '/dev/null', '-i', '/dev/null', '-o', 'BatchMode=yes', '-o', 'IdentitiesOnly=yes', '-o', 'UserKnownHostsFile=/dev/null', '-o', 'StrictHostKeyChecking=no', `root@${ours?.ip}`, 'true'], { encoding: 'utf8' })
    assert.match(bare.stderr, /Permission denied \(publickey\)/)

    // A second boot is a minute of both processors.
    if (soak) {
      await ok('env', 'update', 'deb', '--kick-vm', '1')
      await ok('env', 'stop', 'deb')
      await ok('env', 'start', 'deb', '--no-wait')
      await untilReady(server, 'deb')
      assert.equal(await run(0, 'cat /root/kept /root/ran; hostname', '--via', 'rexec'), 'kept\nran\ndeb-0', 'data survive, and user-data run once')
      assert.deepEqual((await run(0, unique)).split('\n'), one)
      assert.equal(await sshAgain(() => ssh('yes', 'cat /root/kept')), 'kept\n', 'its host key is the same')
    }
    await ok('env', 'del', 'deb')
    await ok('image', 'del', 'stock')
    assert.deepEqual(traces(server.mark(), join(dir, 'data')), [])
    const seconds = (performance.now() - began) / 1000
    t.diagnostic(`ready after ${readySeconds.toFixed(0)} s, all done after ${seconds.toFixed(0)} s (at best within ${limitSeconds}), load ${readFileSync('/proc/loadavg', 'utf8').split(' ')[0]}`)
  })
})

/** Its VMs, once all of them answer: with a longer breath than a command has. */
async function untilReady(server: ServerGround, env: string): Promise<ShownEnv['envs'][0]['vms']> {
  for (let tries = 0; ; tries++) {
    const { envs } = (await server.json('env', 'show', env)) as ShownEnv
    const [{ phase, vms } = { phase: 'unknown', vms: [] }] = envs
    if (phase === 'ready' && vms.every(({ state }) => state === 'ready')) return vms
    assert.ok(phase !== 'failed' && tries < 600, JSON.stringify(envs))
    await new Promise((resolve) => setTimeout(resolve, 1000))
  }
}

/** The agent may answer before sshd does. */
async function sshAgain(enter: () => { stdout: string; stderr: string }): Promise<string> {
  for (let tries = 0; ; tries++) {
    const said = enter()
    if (said.stdout !== '') return said.stdout
    assert.ok(tries < 60, said.stderr)
    await new Promise((resolve) => setTimeout(resolve, 500))
  }
}
