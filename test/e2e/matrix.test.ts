import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { inNamespace, type ServerGround, serverGround } from './ground.ts'

/** What `uname -m` says in a guest of the image for each processor. */
const machines: Record<string, string> = { arm64: 'aarch64', armhf: 'armv7l', i386: 'i686', mips64el: 'mips64', mipsel: 'mips', ppc64el: 'ppc64le', riscv64: 'riscv64', s390x: 's390x' }
const emulators: Record<string, string> = { arm64: 'aarch64', armhf: 'arm', i386: 'x86_64', ppc64el: 'ppc64' }

/** Where script/step/matrix builds them: beside the images of this machine, whose users are to get no others. */
const dir = process.getuid?.() === 0 ? '/var/cache/tt/matrix' : join(process.env['XDG_CACHE_HOME'] ?? join(process.env['HOME'] ?? '/', '.cache'), 'tt/matrix')
const isSoak = process.env['TT_SOAK'] === '1'

function whyNot(image: string, arch: string): string | undefined {
  if (!existsSync(join(dir, image, 'image.json'))) return `${join(dir, image)} is not built: ${isSoak || arch === 'arm64' ? 'set-up could not' : 'TT_SOAK=1 TT_SETUP_TESTS=1 script/setup builds it'}`
  const emulator = `qemu-system-${emulators[arch] ?? arch}`
  return ['/usr/local/bin', '/usr/bin'].some((bin) => existsSync(join(bin, emulator))) ? undefined : `${emulator} is not installed`
}

/** One that was built just now counts once it has settled. */
async function listed(server: ServerGround, names: readonly string[]): Promise<void> {
  for (let tries = 0; ; tries++) {
    const { images } = (await server.json('image', 'list')) as { images: { name: string }[] }
    const missing = names.filter((wanted) => !images.some(({ name }) => name === wanted))
    if (missing.length === 0) return
    assert.ok(tries < 50, `not listed: ${missing.join(', ')}`)
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
}

await inNamespace(import.meta.url, () => {
  const present = Object.keys(machines).filter((arch) => {
    const why = whyNot(`micro-${arch}`, arch)
    if (why !== undefined) test(`a guest for ${arch}`, { skip: why }, () => undefined)
    return why === undefined
  })

  test(`[H05 H06] one VM of each processor, side by side in one ENV: amd64, ${present.join(', ')}`, { timeout: 60_000 + present.length * 30_000, skip: present.length === 0 }, async (t) => {
    await using server = serverGround(['--image-path', dir])
    await server.start()
    await listed(server, present.map((arch) => `micro-${arch}`))
    const added = await server.tt('env', 'add', 'matrix', '-s', 'micro')
    assert.equal(added.code, 0, added.stderr)
    const { envs } = (await server.json('env', 'show', 'matrix')) as { envs: { vms: { name: string; image: string; state: string }[] }[] }
    const vms = envs[0]?.vms ?? []
    assert.deepEqual(vms.map(({ state }) => state), vms.map(() => 'ready'))
    assert.deepEqual(vms.map(({ image }) => image).sort(), ['micro', ...present.map((arch) => `micro-${arch}`)].sort())
    const wanted = (image: string) => (image === 'micro' ? 'x86_64' : machines[image.replace('micro-', '')])

    const run = async (command: string, ...flags: string[]): Promise<Map<string, string>> => {
      const { stdout, code } = await server.tt('env', 'run', 'matrix', '--json', '--cmd', command, ...flags)
      assert.equal(code, 0, stdout)
      return new Map((JSON.parse(stdout) as { results: { vm: string; stdout: string }[] }).results.map((one) => [one.vm, one.stdout]))
    }
    const said = await run('uname -m; od -An -tx1 -N2 /sys/class/net/eth0/address; dd if=/dev/vda bs=1k count=64 2>/dev/null | wc -c')
    for (const { name, image } of vms) assert.deepEqual(said.get(name)?.split('\n').map((line) => line.trim()), [wanted(image), '35 32', '65536', ''], image)

    const file = join(server.dir, 'odd file')
    const bytes = randomBytes(300_001)
    writeFileSync(file, bytes, { mode: 0o754 })
    const pushed = await server.tt('env', 'push', 'matrix', '--file', file, '--to', '/root/odd file')
    assert.equal(pushed.code, 0, pushed.stderr)
    const sum = execFileSync('sha256sum', { input: bytes, encoding: 'utf8' }).split(' ')[0]
    const sums = await run("sha256sum '/root/odd file' | cut -d ' ' -f 1; stat -c %a '/root/odd file'")
    for (const { name, image } of vms) assert.equal(sums.get(name), `${sum}\n754\n`, image)
    const bySsh = await run('uname -m', '--use-ssh')
    for (const { name, image } of vms) assert.equal(bySsh.get(name), `${wanted(image)}\n`, `${image} by ssh`)
    for (const { name, image } of vms) assert.match((await server.tt('env', 'logs', 'matrix', '-m', name.split('.')[1] ?? '')).stdout, /tt-agent ready/, `the serial line of ${image}`)
    for (const arch of present) t.diagnostic(`${arch}: runs`)
  })

  const why = whyNot('sparc-os', 'sparc')
  test('[N02] a guest of our own on a SPARCstation: two tasks print A and B by a timer; it has a console and takes no commands', { timeout: 60_000, ...(why === undefined ? {} : { skip: why }) }, async () => {
    await using server = serverGround(['--image-path', dir])
    await server.start()
    await listed(server, ['sparc-os'])
    const added = await server.tt('env', 'add', 'station', '-s', 'sparc-os')
    assert.equal(added.code, 0, added.stderr)
    const printed = async () => (await server.tt('env', 'logs', 'station')).stdout
    for (let tries = 0; !/!(?:A+B+){20}/.test(await printed()); tries++) {
      assert.ok(tries < 100, `it printed ${await printed()}`)
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
    const ran = await server.tt('env', 'run', 'station', '--cmd', 'true')
    assert.match(ran.stderr, /unsupported/)
    assert.match(ran.stderr, /tt env console station.0/)
    const large = await server.tt('env', 'add', 'large', '-s', 'sparc-os', '-M', '1024')
    assert.equal(large.code, 2)
    assert.match(large.stderr, /32 to 256 MB of memory, not 1024: it is a QEMU SS-5/)
  })

  test('what there is no emulator for is refused with what to install, and runs once it is there, without a restart', { timeout: 60_000, skip: whyNot('micro-arm64', 'arm64') ?? false }, async () => {
    await using server = serverGround(['--image-path', dir])
    const emulatorDir = join(server.dir, 'emulators')
    await server.start({ TT_DRIVERS: JSON.stringify({ engine: { qemu: { emulators: emulatorDir } } }) })
    await listed(server, ['micro-arm64'])
    const refused = await server.tt('env', 'add', 'none', '-s', 'micro-arm64')
    assert.equal(refused.code, 10, refused.stderr)
    assert.match(refused.stderr, /no host fits, because none runs guests for arm64[^]*apt-get install qemu-system-arm/)

    mkdirSync(emulatorDir)
    symlinkSync('/usr/bin/qemu-system-aarch64', join(emulatorDir, 'qemu-system-aarch64'))
    await new Promise((resolve) => setTimeout(resolve, 5500))
    assert.equal((await server.tt('reload')).code, 0)
    const added = await server.tt('env', 'add', 'some', '-s', 'micro-arm64')
    assert.equal(added.code, 0, added.stderr)
    assert.equal((await server.tt('env', 'run', 'some', '--cmd', 'uname -m')).stdout, 'aarch64\n')
  })
})
