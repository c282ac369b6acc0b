import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { appendFileSync, chmodSync, copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { inNamespace, serverGround, type ShownEnv } from './ground.ts'
import { microImage } from './micro-guest.ts'

/** How images were prepared for the original system: their boot script makes the address of the card's MAC, with the whole of 10/8 on the wire and one gateway for all. */
const byMac = `
IFS=: read -r _ _ _ _ fifth sixth </sys/class/net/eth0/address
ifconfig eth0 "10.10.$((0x$fifth)).$((0x$sixth))" netmask 255.0.0.0 up
route add default gw 10.0.0.1`

const byDhcp = `
printf '#!/bin/sh\\n[ "$1" = bound ] || exit 0\\nifconfig eth0 "$ip" netmask "$subnet" up\\nroute add default gw "$router"\\n' >/script
chmod 755 /script
ifconfig eth0 up
udhcpc -q -n -t 10 -i eth0 -s /script`

/** What the guest runs instead of the agent: it takes its address by \`addressing\`, and serves what came of that by HTTP. */
const init = (addressing: string) => `#!/bin/busybox sh
/bin/busybox mkdir -p /bin /sbin /proc /sys /dev /tmp /www
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
while read -r module; do insmod "/lib/modules/$module.ko"; done </etc/tt/modules
ifconfig lo up
${addressing}
ifconfig eth0 | grep -o 'inet addr:[^ ]*' >/www/index.html
timeout 20 wget -q -O - http://192.0.2.1:8081/ >>/www/index.html 2>&1
httpd -p 80 -h /www
while :; do sleep 1000; done
`

const image = microImage()

await inNamespace(import.meta.url, () => {
  const skip = 'why' in image ? image.why : false
  test('[E01] guests prepared for the original system, and guests that ask by DHCP, have the addresses given to them, are reached and reach out', { skip, timeout: 120_000 }, async () => {
    assert(!('why' in image))
    const images = mkdtempSync(join(tmpdir(), 'tt-prepared-'))
    chmodSync(images, 0o755)
    // A machine outside, as far as the guests can tell: they get there by the way the host would take.
    execFileSync('sh', ['-c', 'ip link add name outside type bridge && ip address add 192.0.2.1/24 dev outside && ip link set dev outside up && ip route add default via 192.0.2.254'])
    const outside = createServer((request, response) => response.end(`outside saw ${request.socket.remoteAddress}\n`))
    await new Promise<void>((resolve) => outside.listen(8081, '192.0.2.1', resolve))
    await using server = serverGround(['--subnet', '10.10.0.0/16', '--image-path', images])
    try {
      makeImage(join(images, 'by-mac'), image.plan('x.0', []), init(byMac))
      makeImage(join(images, 'by-dhcp'), image.plan('x.0', []), init(byDhcp))
      await server.start()
      for (let tries = 0; !(await server.tt('image', 'list', '--json')).stdout.includes('by-mac'); tries++) {
        assert.ok(tries < 100, 'a new image is listed once its files rest')
        await new Promise((resolve) => setTimeout(resolve, 200))
      }
      const added = await server.tt('env', 'add', 'old', '-s', 'by-mac', '-s', 'by-dhcp', '-d', '1')
      assert.equal(added.code, 0, added.stderr)
      const { envs } = (await server.json('env', 'show', 'old')) as ShownEnv
      const vms = envs[0]?.vms ?? []
      assert.equal(vms.length, 4)
      for (const { name, ip = '', ports } of vms) {
        const said = await page(`http://${ip}/`, name)
        assert.match(said, new RegExp(`^inet addr:${ip.replaceAll('.', '\\.')}\\noutside saw ${ip.replaceAll('.', '\\.')}$`, 'm'), `${name}, whose address is ${ip}`)
        assert.equal(await page(`http://192.0.2.1:${ports['80']}/`, name), said, 'its public port leads to the same')
      }
    } finally {
      outside.close()
      rmSync(images, { recursive: true })
    }
  })
})

async function page(url: string, name: string): Promise<string> {
  for (let tries = 0; ; tries++) {
    const answer = await fetch(url, { signal: AbortSignal.timeout(2000) }).then((one) => one.text(), () => undefined)
    if (answer !== undefined) return answer
    assert.ok(tries < 300, `${name} does not answer at ${url}`)
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

/** The kernel and drivers of `micro` with another program as their first, and busybox for it. The kernel takes archives one after the other. */
function makeImage(dir: string, { files: { kernel = '', initrd = '' } }: { files: { kernel?: string; initrd?: string } }, script: string): void {
  const tree = join(dir, 'tree')
  mkdirSync(join(tree, 'bin'), { recursive: true })
  const packages = join(dirname(dirname(kernel)), '.packages/micro')
  const debian = join(packages, readdirSync(packages).find((name) => name.startsWith('busybox-static_')) ?? assert.fail(`busybox-static is not in ${packages}`))
  execFileSync('sh', ['-c', `dpkg-deb --fsys-tarfile "$1" | tar -x -C "$2" --no-same-owner ./bin/busybox`, 'sh', debian, tree])
  writeFileSync(join(tree, 'init'), script, { mode: 0o755 })
  copyFileSync(kernel, join(dir, 'vmlinux'))
  copyFileSync(initrd, join(dir, 'initrd'))
  appendFileSync(join(dir, 'initrd'), execFileSync('sh', ['-c', 'cd "$1" && find . | cpio -o -H newc -R 0:0 --quiet', 'sh', tree], { maxBuffer: 64 << 20 }))
  rmSync(tree, { recursive: true })
  const file = (name: string) => ({ file: name, sha256: createHash('sha256').update(readFileSync(join(dir, name))).digest('hex') })
  const manifest = { format: 1, name: dir.split('/').pop(), engines: ['qemu'], boot: 'kernel', kernel: file('vmlinux'), initrd: file('initrd'), agent: 'none', defaults: { cpu: 1, memMb: 128, diskMb: 0, ports: [80] } }
  writeFileSync(join(dir, 'image.json'), JSON.stringify(manifest))
}
