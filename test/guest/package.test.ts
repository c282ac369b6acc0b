import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'

const root = join(import.meta.dirname, '../..')
const arch = { x64: 'amd64', arm64: 'arm64', riscv64: 'riscv64' }[process.arch as string]
const version = /AGENT_VERSION "([\d.]+)"/.exec(readFileSync(join(root, 'guest/agent/facts.h'), 'utf8'))?.[1]

describe('[F15] the agent as a service of ordinary guests', () => {
  let dir: string
  const sh = (text: string, env: Record<string, string> = {}) => execFileSync('sh', ['-euc', text], { cwd: dir, encoding: 'utf8', env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  const names = [`tt-agent-${version}-linux-${arch}.tar.gz`, `tt-agent_${version}_${arch}.deb`]
  const tree = `tt-agent-${version}-linux-${arch}`
  const filesBelow = (place: string) => readdirSync(join(dir, place), { recursive: true, withFileTypes: true }).filter((entry) => !entry.isDirectory()).map((entry) => join(entry.parentPath, entry.name).slice(join(dir, place).length)).sort()
  before(() => {
    dir = mkdtempSync(join(tmpdir(), 'tt-guest-package-'))
    execFileSync('sh', [join(root, 'script/guest')], { env: { ...process.env, TT_OUT: join(dir, 'one') }, stdio: ['ignore', 'ignore', 'inherit'] })
    sh(`tar xzf one/${names[0]}; dpkg-deb -x one/${names[1]} deb`)
  })
  after(() => rmSync(dir, { recursive: true, force: true }))

  it('is a package and an archive, of the same bytes whenever and wherever they are made', () => {
    assert.deepEqual(readdirSync(join(dir, 'one')).sort(), names)
    sh(`umask 077; cd ${root}; TZ=Asia/Tokyo LC_ALL=C.UTF-8 TT_OUT=${dir}/two sh script/guest >/dev/null`)
    for (const name of names) assert.ok(readFileSync(join(dir, 'one', name)).equals(readFileSync(join(dir, 'two', name))), name)
  })
  it('is a package of Debian, owned by root', () => {
    assert.equal(sh(`dpkg-deb -f one/${names[1]} Package Version Architecture`), `Package: tt-agent\nVersion: ${version}\nArchitecture: ${arch}\n`)
    const lines = sh(`dpkg-deb -c one/${names[1]}`).trim().split('\n')
    assert.ok(lines.every((line) => line.includes(' root/root ')))
    assert.match(sh(`cd deb; dpkg-deb -e ../one/${names[1]} ../control; md5sum -c ../control/md5sums`), /usr\/sbin\/tt-agent: OK/)
    assert.equal(sh('deb/usr/sbin/tt-agent --version'), `${version}\n`)
    assert.match(sh('readelf -d deb/usr/sbin/tt-agent'), /no dynamic section/)
    for (const script of ['postinst', 'prerm', 'postrm']) sh(`sh -n control/${script}`)
  })
  it('installs with every kind of init, and takes away all it put there', () => {
    const wanted = {
      systemd: ['/etc/systemd/system/tt-agent-tcp.service', '/etc/systemd/system/tt-agent.service', '/etc/udev/rules.d/60-tt-agent.rules', '/usr/sbin/tt-agent'],
      openrc: ['/etc/init.d/tt-agent', '/usr/sbin/tt-agent'],
      sysv: ['/etc/init.d/tt-agent', '/usr/sbin/tt-agent'],
      none: ['/usr/sbin/tt-agent'],
    }
    const marks = { systemd: 'lib/systemd/system', openrc: 'sbin', sysv: 'etc/init.d', none: 'etc' }
    for (const [init, files] of Object.entries(wanted)) {
      const place = `at-${init}`
      mkdirSync(join(dir, place, marks[init as keyof typeof marks]), { recursive: true })
      if (init === 'openrc') writeFileSync(join(dir, place, 'sbin/openrc-run'), '', { mode: 0o755 })
      const before = filesBelow(place)
      sh(`sh ${tree}/install.sh`, { DESTDIR: join(dir, place) })
      assert.deepEqual(filesBelow(place).filter((file) => !before.includes(file)), files, init)
      assert.equal(statSync(join(dir, place, 'usr/sbin/tt-agent')).mode & 0o777, 0o755)
      sh(`sh ${tree}/uninstall.sh`, { DESTDIR: join(dir, place) })
      assert.deepEqual(filesBelow(place), before, init)
    }
  })
  it('has units that systemd understands', (t) => {
    if (!existsSync('/usr/bin/systemd-analyze')) return t.skip('SKIPPED: no systemd-analyze (Debian package systemd)')
    sh(`sed -i 's,/usr/sbin/tt-agent,${dir}/deb/usr/sbin/tt-agent,' deb/lib/systemd/system/*.service; systemd-analyze verify --man=no deb/lib/systemd/system/tt-agent.service deb/lib/systemd/system/tt-agent-tcp.service`)
  })
  it('has a script for SysV init that starts it once, knows it, and stops nothing else', (t) => {
    if (process.getuid?.() !== 0) return t.skip('SKIPPED: a /run of its own needs root')
    const script = readFileSync(join(dir, tree, 'tt-agent.sysv'), 'utf8').replace('/usr/sbin/tt-agent', join(dir, tree, 'tt-agent'))
    writeFileSync(join(dir, 'init'), script)
    const said = sh(`exec unshare --mount --pid --fork --mount-proc sh -c '
      mount -t tmpfs none /run
      sh ./init status || echo "is $?"
      sh ./init start; sh ./init start; sleep 0.3
      ls /proc/*/exe -l 2>/dev/null | grep -c "/tt-agent$"
      sh ./init status
      ls -l /run/tt-agent -d | cut -c1-10
      sh ./init restart; sh ./init status; sh ./init stop; sleep 0.3; sh ./init status || echo "is $?"
      sleep 60 & echo $! >/run/tt-agent.pid; sh ./init stop; kill $!
    '`)
    assert.match(said, /^tt-agent does not run\nis 3\n1\ntt-agent runs \(\d+\)\ndrwx------\ntt-agent runs \(\d+\)\ntt-agent does not run\nis 3\n$/)
  })
})
