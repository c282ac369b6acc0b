import assert from 'node:assert/strict'
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { after, before, describe, it } from 'node:test'
import { silentLog } from '../../src/base/log.ts'
import { realWorld } from '../../src/base/world.ts'
import { channelContract, type ChannelUnderTest, runIn } from '../../src/drivers/channel/channel.contract.ts'
import type { Channel } from '../../src/drivers/channel/channel.ts'
import { filesContract } from '../../src/drivers/channel/files.contract.ts'
import { fetched, noise, put } from '../../src/drivers/channel/files-ground.ts'
import { guestOf } from '../../src/drivers/channel/ground.ts'
import { rexec } from '../../src/drivers/channel/rexec/rexec.ts'
import { TtError } from '../../src/model/errors.ts'
import { hello, nonceOf, pack } from '../../src/drivers/channel/rexec/frame.ts'
import { ask, execFlag, nonceBytes, trailerBytes } from '../../src/drivers/channel/rexec/protocol.ts'
import { requestOf } from '../../src/drivers/channel/rexec/request.ts'

const image = imageDir()

/** The image `micro`, if it is built and fresh. */
function imageDir(): { dir: string } | { why: string } {
  const build = join(import.meta.dirname, '../../images/build')
  try {
    execFileSync('qemu-system-x86_64', ['--version'], { stdio: 'ignore' })
    execFileSync('sh', [build, '--check', 'micro'], { stdio: 'ignore' })
    return { dir: execFileSync('sh', [build, 'micro'], { encoding: 'utf8' }).trim() }
  } catch (fault) {
    return { why: `SKIPPED: no qemu-system-x86_64, or the image micro is not built (images/build micro): ${(fault as Error).message}` }
  }
}

interface Vm extends AsyncDisposable {
  /** The file it sees as the disk `tt-window`. */
  window: string
  console(): string
  /** A stream to the agent's port, or to the second one. */
  dial(port?: 'tt.agent' | 'tt.second'): Promise<Socket>
  /** Its exit status, once it has ended. */
  readonly ended: Promise<number | null>
}

function boot({ words = '', blankDisk = false } = {}): Vm {
  assert.ok('dir' in image)
  const dir = mkdtempSync(join(tmpdir(), 'tt-agent-vm-'))
  const file = (name: string) => join(image.dir, name)
  const { kernel, initrd, disk: own, cmdline } = JSON.parse(readFileSync(file('image.json'), 'utf8')) as Record<'kernel' | 'initrd' | 'disk', { file: string; format: string }> & { cmdline: string }
  const disk = blankDisk ? join(dir, 'blank') : file(own.file)
  const format = blankDisk ? 'raw' : own.format
  if (blankDisk) writeFileSync(disk, Buffer.alloc(1 << 20))
  const window = windowFile(dir)
  const khz = Math.round(Number(/^cpu MHz\s*:\s*([\d.]+)/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1] ?? 2000) * 1000)
  const port = (id: string, name: string) => ['-chardev', `socket,id=${id},path=${join(dir, name)},server=on,wait=off`, '-device', `virtserialport,chardev=${id},name=${name}`]
  const args = [
    ['-M', 'microvm', '-cpu', 'max,-erms,-fsrm', '-accel', 'tcg,tb-size=64', '-m', '128M', '-nodefaults', '-no-user-config', '-display', 'none', '-serial', 'stdio', '-no-reboot'],
    ['-kernel', file(kernel.file), '-initrd', file(initrd.file)],
    // Without tsc_early_khz a microvm without KVM sometimes hangs while it measures its clock.
    ['-append', `console=ttyS0 no_timer_check tsc=reliable tsc_early_khz=${khz} ${cmdline} ${words}`],
    ['-device', 'virtio-serial-device', ...port('a', 'tt.agent'), ...port('b', 'tt.second')],
    ['-netdev', 'user,id=n,restrict=on', '-device', 'virtio-net-device,netdev=n'],
    ['-drive', `if=none,id=d,file=${disk},format=${format},snapshot=on`, '-device', 'virtio-blk-device,drive=d'],
    ['-drive', `if=none,id=w,file=${window},format=raw`, '-device', 'virtio-blk-device,drive=w,serial=tt-window'],
  ].flat()
  const child: ChildProcess = spawn('qemu-system-x86_64', args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream?.setEncoding('utf8').on('data', (text: string) => (said += text))
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
  return {
    window,
    console: () => said,
    ended,
    dial(name = 'tt.agent') {
      const { promise, resolve, reject } = Promise.withResolvers<Socket>()
      const socket = connect(join(dir, name))
      socket.once('error', reject)
      socket.once('connect', () => resolve(socket))
      return promise
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await ended
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

/** As an engine makes it. */
function windowFile(dir: string): string {
  const path = join(dir, 'window')
  writeFileSync(path, '')
  truncateSync(path, 8 << 20)
  return path
}

/** A channel to the port, and the way to break it. */
function channelTo(vm: Vm, port: 'tt.agent' | 'tt.second' = 'tt.agent', { secret = new Uint8Array(32).fill(7), window = vm.window } = {}) {
  let last: Socket | undefined
  let dials = 0
  const dial = async () => {
    last = await vm.dial(port)
    dials++
    return last
  }
  const channel = rexec(guestOf({ id: 'vm', dial, secret, window: async () => window, world: realWorld, log: silentLog }))
  return { channel, interrupt: () => void last?.destroy(), dials: () => dials }
}

const words = (text: { stdout: Buffer }) => text.stdout.toString().trim()
const booted = () => ({ signal: AbortSignal.timeout(120_000) })

async function comeUp(vm: Vm, channel: Channel) {
  const end = vm.ended.then((status) => Promise.reject(new Error(`QEMU ended with ${status}: ${vm.console()}`)))
  await Promise.race([channel.ready(booted()), end])
}

if ('why' in image) {
  it(`the agent in a real guest`, (t) => t.skip(image.why))
} else {
  const whole = async (): Promise<ChannelUnderTest> => {
    const vm = boot()
    const { channel, interrupt } = channelTo(vm)
    await comeUp(vm, channel)
    return {
      channel,
      interrupt,
      async [Symbol.asyncDispose]() {
        await channel[Symbol.asyncDispose]()
        await vm[Symbol.asyncDispose]()
      },
    }
  }
  channelContract({ name: 'rexec into a real guest', make: whole })
  filesContract({
    name: 'rexec into a real guest',
    make: async () => {
      const under = await whole()
      await runIn(under.channel, 'mkdir /root/files')
      return { ...under, dir: '/root/files', longBytes: 20_000_000 }
    },
  })

  describe('the agent as process 1 of a real guest', { timeout: 240_000 }, () => {
    let vm: Vm
    let channel: Channel
    let interrupt: () => void
    const run = async (shell: string) => words(await runIn(channel, shell, {}, AbortSignal.timeout(60_000)))
    before(async () => {
      vm = boot({ words: 'tt.ip=10.0.2.15/24 tt.gw=10.0.2.2 tt.mtu=1400 tt.name=demo-7 tt.dns=10.0.2.3,10.0.2.4' })
      ;({ channel, interrupt } = channelTo(vm))
      await comeUp(vm, channel)
    })
    after(async () => {
      await channel[Symbol.asyncDispose]()
      await vm[Symbol.asyncDispose]()
    })

    it('is where it should be', async () => {
      assert.equal(await run('readlink /proc/1/exe; echo $$ | grep -v "^1$" >/dev/null && pwd; echo $HOME $USER'), '/init (deleted)\n/root\n/root root')
      const mounts = await run('cut -d" " -f1-3 /proc/mounts')
      for (const line of ['/dev/vda / ext4', 'devtmpfs /dev devtmpfs', 'proc /proc proc', 'sysfs /sys sysfs', 'devpts /dev/pts devpts', 'tmpfs /run tmpfs', 'tmpfs /tmp tmpfs'])
        assert.ok(mounts.split('\n').includes(line), `${line} in ${mounts}`)
      assert.equal(await run('echo through >/dev/stdout; ls /dev/fd/0 && touch /root/x && echo writes'), 'through\n/dev/fd/0\nwrites')
    })
    it('has set up names and network', async () => {
      assert.equal(await run('hostname; cat /etc/hostname; grep demo-7 /etc/hosts; grep nameserver /etc/resolv.conf'), 'demo-7\ndemo-7\n10.0.2.15 demo-7 # tt-agent\nnameserver 10.0.2.3\nnameserver 10.0.2.4')
      assert.match(await run('ip addr show eth0'), /,UP,.* mtu 1400 [^]* inet 10\.0\.2\.15\/24 /)
      assert.match(await run('ip route'), /default via 10\.0\.2\.2 dev eth0/)
      assert.match(await run('ip addr show lo'), /UP[^]* inet 127\.0\.0\.1\/8/)
      assert.equal(await run('ping -c 1 -W 5 10.0.2.2 >/dev/null && echo answers'), 'answers')
    })
    it('leaves no zombies behind', async () => {
      await run('for n in 1 2 3 4 5; do (sleep 0.0$n &); done; sleep 0.5')
      assert.equal(await run('grep -h "^State:.*Z" /proc/[0-9]*/status 2>/dev/null | wc -l'), '0')
    })
    it('costs nothing while it has nothing to do, whether the host is there or away', async () => {
      const ticks = async () => Number(await run("cut -d')' -f2 /proc/1/stat | { read a b c d e f g h i j k l m n; echo $((l + m)); }"))
      const spent: Record<string, number> = {}
      await run('true')
      let from = await ticks()
      await sleep(4000)
      spent['there'] = (await ticks()) - from
      from = await ticks()
      interrupt()
      const blocker = await vm.dial() // takes the place of the channel, and goes
      blocker.destroy()
      await channel[Symbol.asyncDispose]()
      await sleep(4000)
      ;({ channel, interrupt } = channelTo(vm))
      await channel.ready(booted())
      spent['away'] = (await ticks()) - from
      // Ticks of 10 ms: 3 of 400 are under 1 %, and the questions themselves cost some, as does the greeting of a host.
      assert.ok(spent['there'] <= 3 && spent['away'] <= 8, JSON.stringify(spent))
    })
    it('keeps nothing of a host that was cut off in the middle of a frame', async () => {
      await channel[Symbol.asyncDispose]()
      for (const cut of [3, 12, 700, 2500]) {
        const stream = await vm.dial()
        stream.on('error', () => undefined)
        const nonce = nonceOf(realWorld.random(nonceBytes))
        const body = requestOf({ shell: `echo x >/root/cut-${cut}; : ${'x'.repeat(3000)}` }, {})
        const exec = pack(nonce.subarray(nonceBytes - trailerBytes), [{ type: ask.exec, id: 1, payload: Buffer.concat([Buffer.of(execFlag.noStdin), body]) }])
        await new Promise<void>((resolve) => stream.write(Buffer.concat([hello(nonce), exec.subarray(0, cut)]), () => resolve()))
        await sleep(100)
        stream.destroy()
      }
      ;({ channel, interrupt } = channelTo(vm))
      await channel.ready(booted())
      assert.equal(await run('ls /root | grep cut; echo ok'), 'ok')
    })
    it('as a daemon on another port tells the host when it was killed and began anew', async () => {
      await run('setsid tt-agent --port tt.second >/dev/null 2>&1 </dev/null & echo $! >/run/second')
      const second = channelTo(vm, 'tt.second')
      await using own = second.channel
      await own.ready(booted())
      assert.equal(words(await runIn(own, 'echo second')), 'second')
      const lost = assert.rejects(runIn(own, 'cat /dev/zero'), (error) => error instanceof TtError && error.code === 'unavailable')
      await sleep(100)
      await run('kill -9 $(cat /run/second); sleep 0.2; setsid tt-agent --port tt.second >/dev/null 2>&1 </dev/null &')
      await lost
      assert.equal(words(await runIn(own, 'echo again', {}, AbortSignal.timeout(20_000))), 'again')
      assert.equal(second.dials() <= 2, true)
    })
    it('takes an identity, and a time', async () => {
      const hourLater = Date.now() + 3_600_000
      await channel.identify?.({ hostname: 'clone-8', timeMs: hourLater, entropy: realWorld.random(64), sshKeys: ['ssh-ed25519 AAAA me'], address: { cidr: '10.0.2.16/24', gateway: '10.0.2.2', mtu: 1300 } }, booted())
      assert.equal(await run('hostname; cat /etc/hostname; grep clone-8 /etc/hosts; cat /root/.ssh/authorized_keys; stat -c %a /root/.ssh /root/.ssh/authorized_keys'), 'clone-8\nclone-8\n10.0.2.16 clone-8 # tt-agent\nssh-ed25519 AAAA me # tt-agent\n700\n600')
      const off = Number(await run('date +%s')) * 1000 - hourLater
      assert.ok(off > -3000 && off < 60_000, `${off} ms`)
      assert.match(await run('ip addr show eth0'), / mtu 1300 [^]* inet 10\.0\.2\.16\/24 /)
      assert.equal(await run('ping -c 1 -W 5 10.0.2.2 >/dev/null && echo answers'), 'answers')
    })
    it('F14: keeps what runs for its host from another, which gets nothing', async () => {
      await run('echo 0 >/root/count; (while :; do echo x >>/root/count; sleep 0.1; done) >/dev/null 2>&1 & echo')
      await channel[Symbol.asyncDispose]()
      const stranger = channelTo(vm, 'tt.agent', { secret: new Uint8Array(32).fill(9) }).channel
      await assert.rejects(runIn(stranger, 'echo x >/root/stranger', {}, AbortSignal.timeout(20_000)), (error) => error instanceof TtError && error.code === 'denied')
      await stranger[Symbol.asyncDispose]()
      ;({ channel, interrupt } = channelTo(vm))
      await channel.ready(booted())
      assert.equal(await run('test -e /root/stranger || echo nothing'), 'nothing')
    })
    it('ends what runs when its host does not come back', async () => {
      const running = assert.rejects(runIn(channel, `exec 2>/dev/null; trap 'echo hup >/root/hup; exit' HUP; echo up; while :; do sleep 0.1; done`, { output: () => up.resolve() }, AbortSignal.timeout(60_000)))
      const up = Promise.withResolvers<void>()
      await up.promise
      const blocker = await new Promise<Socket>((resolve, reject) => {
        interrupt()
        vm.dial().then(resolve, reject)
      })
      await channel[Symbol.asyncDispose]()
      await running
      blocker.destroy()
      await sleep(14_000)
      ;({ channel, interrupt } = channelTo(vm))
      const since = await runIn(channel, 'echo $(($(date +%s) - $(stat -c %Y /root/hup)))', {}, booted().signal)
      assert.ok(Number(words(since)) >= 2, words(since))
    })
    it('[F13] takes large files and gives them by its window, many at once, and uses nothing of its ends', async () => {
      const { files } = channel
      assert.ok(files)
      const all = Array.from({ length: 7 }, (_, n) => noise(1_700_000 + n))
      await Promise.all(all.map((bytes, n) => put(files, `/root/by-window-${n}`, bytes)))
      for (const { bytes, at } of await Promise.all(all.map(async (_, at) => ({ ...(await fetched(files, `/root/by-window-${at}`)), at })))) assert.ok(bytes.equals(all[at] as Buffer), `file ${at}`)
      const disk = readFileSync(vm.window)
      assert.ok(all.some((bytes) => disk.subarray(1 << 20, 7 << 20).includes(bytes.subarray(1_572_864, 1_600_000))), 'the bytes went another way')
      assert.ok(disk.subarray(0, 1 << 20).every((byte) => byte === 0) && disk.subarray(7 << 20).every((byte) => byte === 0), 'something was written at its ends')
      await run('rm /root/by-window-*')
    })
    it('[F13] notices a window that does not carry what it is given, leaves nothing of that, and goes on without it', async () => {
      await channel[Symbol.asyncDispose]()
      const elsewhere = mkdtempSync(join(tmpdir(), 'tt-other-window-'))
      const wrong = channelTo(vm, 'tt.agent', { window: windowFile(elsewhere) }).channel
      await wrong.ready(booted())
      const { files } = wrong
      assert.ok(files)
      const bytes = noise(900_000)
      await assert.rejects(put(files, '/root/spoiled', bytes), (error) => error instanceof TtError && error.code === 'failed' && /not those that were sent/.test(error.message))
      assert.equal(await files.stat('/root/spoiled'), undefined)
      await put(files, '/root/spoiled', bytes)
      assert.ok((await fetched(files, '/root/spoiled')).bytes.equals(bytes))
      await wrong[Symbol.asyncDispose]()
      const other = channelTo(vm, 'tt.agent', { window: windowFile(elsewhere) }).channel
      await other.ready(booted())
      await assert.rejects(fetched(other.files ?? assert.fail(), '/root/spoiled'), (error) => error instanceof TtError && error.code === 'failed')
      assert.ok((await fetched(other.files ?? assert.fail(), '/root/spoiled')).bytes.equals(bytes))
      await other[Symbol.asyncDispose]()
      rmSync(elsewhere, { recursive: true })
      ;({ channel, interrupt } = channelTo(vm))
      await channel.ready(booted())
    })
    it('halts in order', async () => {
      await run('(trap "echo told >/root/told; sync; exit" TERM; while :; do sleep 0.1; done) >/dev/null 2>&1 & echo')
      assert.ok(channel.halt)
      await channel.halt(booted())
      assert.equal(await Promise.race([vm.ended, sleep(20_000, 'still there')]), 0)
      assert.match(vm.console(), /^tt-agent ready$/m)
      assert.match(vm.console(), /Power down/)
    })
  })

  it('a guest that is told so from inside switches itself off', { timeout: 240_000 }, async () => {
    await using vm = boot()
    await using channel = channelTo(vm).channel
    await comeUp(vm, channel)
    const lost = assert.rejects(runIn(channel, 'poweroff; sleep 60'), (error) => error instanceof TtError && error.code === 'unavailable')
    assert.equal(await vm.ended, 0)
    assert.match(vm.console(), /Power down/)
    await lost
  })

  it('a guest that cannot have its disk says why and switches itself off', { timeout: 60_000 }, async () => {
    await using vm = boot({ blankDisk: true })
    assert.equal(await vm.ended, 0)
    assert.match(vm.console(), /^tt-agent cannot mount \/dev\/vda \(ext4\) as \/: Invalid argument$/m)
    assert.match(vm.console(), /Power down/)
  })
}
