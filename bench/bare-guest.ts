import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { plainEffects } from '../src/base/effects.ts'
import { silentLog } from '../src/base/log.ts'
import { realWorld } from '../src/base/world.ts'
import { agentPort, type Channel } from '../src/drivers/channel/channel.ts'
import { guestOf } from '../src/drivers/channel/ground.ts'
import { rexec } from '../src/drivers/channel/rexec/rexec.ts'
import { argv, files } from '../src/drivers/engine/qemu/argv.ts'
import { checked } from '../src/drivers/engine/qemu/check.ts'
import { connectUnix } from '../src/drivers/engine/qemu/socket.ts'
import { qcow2 } from '../src/drivers/volume/qcow2/qcow2.ts'
import type { VolumeDriver } from '../src/drivers/volume/volume.ts'
import type { Plan } from '../src/model/plan.ts'
import type { Ground } from './bench.ts'
import { type MicroImage, microImage } from './micro-image.ts'
import { root } from './machine.ts'

/** Guests by QEMU alone: the arguments are those of our engine, the image is the same, and nobody looks after them. */
export interface BareMachine extends AsyncDisposable {
  /** Makes disk, tap and arguments: what somebody who runs QEMU by hand has lying ready. */
  prepare(): Promise<BareGuest>
}

export interface BareGuest extends AsyncDisposable {
  ip: string
  /** Starts QEMU; the channel speaks to its agent as soon as that answers. */
  start(): Channel
  /** Kills QEMU and waits for its end. */
  kill(): Promise<void>
}

const bridge = 'bare0'
const network = '10.201.0'

/** `qemuImg`: disks are made by that program, not by ours. `namespace`: a process in whose network namespace the guests are to be. `cpu`: other than the image's. */
export async function bareMachine(ground: Ground, { qemuImg = false, namespace, cpu }: { qemuImg?: boolean; namespace?: number; cpu?: number } = {}): Promise<BareMachine> {
  const there = namespace === undefined ? [] : ['nsenter', '--net', '--target', String(namespace), '--']
  const ip = (...args: string[]) => {
    const [program = '', ...rest] = [...there, 'ip', ...args]
    return execFileSync(program, rest)
  }
  const dir = mkdtempSync(join(ground.dir, 'bare-'))
  const image = { ...microImage(), ...(cpu === undefined ? {} : { cpu }) }
  mkdirSync(join(dir, 'volumes'))
  const volumes = await qcow2({ dir: join(dir, 'volumes'), mark: 'bench', world: realWorld, effects: plainEffects(), log: silentLog }, {})
  const tscKhz = Number(execFileSync(join(root, 'build/native/launcher'), ['--tsc-khz'], { encoding: 'utf8' }))
  ip('link', 'add', bridge, 'type', 'bridge', 'stp_state', '0', 'forward_delay', '0')
  ip('address', 'add', `${network}.1/24`, 'dev', bridge)
  ip('link', 'set', bridge, 'up')
  let made = 0
  return {
    async prepare() {
      const number = made++
      const plan = await planOf(number, { image, volumes })
      if (qemuImg) overlayByProgram(plan, image)
      ip('tuntap', 'add', 'dev', tapOf(number), 'mode', 'tap')
      ip('link', 'set', 'dev', tapOf(number), 'master', bridge, 'up')
      const args = argv(checked(plan), { accel: 'tcg', tscKhz, name: `bare-${number}` })
      // Our launcher opens taps as root before it gives that up; QEMU alone opens them itself.
      const own = args.map((argument) => argument.replace('tap,id=net0,fd=3', `tap,id=net0,ifname=${tapOf(number)},script=no,downscript=no`))
      return bareGuest([...there, 'qemu-system-x86_64', ...own], {
        dir: mkdtempSync(join(dir, 'guest-')),
        ip: ipOf(number),
        async clear() {
          ip('link', 'delete', 'dev', tapOf(number))
          await volumes.destroy(plan.id)
        },
      })
    },
    async [Symbol.asyncDispose]() {
      ip('link', 'delete', 'dev', bridge)
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

const tapOf = (number: number) => `bare0t${number}`
const ipOf = (number: number) => `${network}.${2 + (number % 250)}`

async function planOf(number: number, { image, volumes }: { image: MicroImage; volumes: VolumeDriver }): Promise<Plan> {
  const id = `bare.${number}`
  await volumes.create(id, { base: { path: image.disk, format: 'raw', sizeBytes: image.diskBytes, readOnly: true }, sizeBytes: image.diskMb * 2 ** 20 })
  const mac = `52:54:00:b0:00:${(2 + (number % 250)).toString(16).padStart(2, '0')}`
  return {
    id,
    hostname: `bare-${number}`,
    cpu: image.cpu,
    memMb: image.memMb,
    arch: 'amd64',
    boot: 'kernel',
    files: { kernel: image.kernel, initrd: image.initrd },
    cmdline: image.cmdline,
    disks: [await volumes.attach(id)],
    nics: [{ id, kind: 'tap', tap: tapOf(number), mac, ip: ipOf(number), prefixLength: 24, gateway: `${network}.1`, ports: {} }],
    ports: [agentPort],
    options: {},
  }
}

/** What we would make of the image, made anew by `qemu-img` with its own choices. */
function overlayByProgram({ disks }: Plan, image: MicroImage): void {
  for (const { path, sizeBytes } of disks) execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', image.disk, '-F', 'raw', path, String(sizeBytes)])
}

function bareGuest(command: string[], at: { dir: string; ip: string; clear(): Promise<void> }): BareGuest {
  mkdirSync(join(at.dir, 'run'))
  const log = join(at.dir, 'qemu.log')
  let child: ChildProcess | undefined
  let ended: Promise<unknown> = Promise.resolve()
  let channel: Channel | undefined
  /** Asks again as fast as timers go, so that no millisecond is lost to us. */
  const dial = async () => {
    for (;;) {
      try {
        return await connectUnix(join(at.dir, files.port(0)))
      } catch (fault) {
        if (child?.exitCode !== null || child.signalCode !== null) throw new Error(`QEMU ended: ${readFileSync(log, 'utf8').slice(-500)}`, { cause: fault })
        await sleep(1)
      }
    }
  }
  const guest: BareGuest = {
    ip: at.ip,
    start() {
      const fd = openSync(log, 'a')
      const [program = '', ...args] = command
      child = spawn(program, args, { cwd: at.dir, stdio: ['ignore', fd, fd] })
      closeSync(fd)
      ended = new Promise((resolve) => child?.once('exit', resolve))
      channel = rexec(guestOf({ id: 'bare', dial, world: realWorld, log: silentLog }))
      return channel
    },
    async kill() {
      await channel?.[Symbol.asyncDispose]()
      child?.kill('SIGKILL')
      await ended
    },
    async [Symbol.asyncDispose]() {
      await guest.kill()
      await at.clear()
      rmSync(at.dir, { recursive: true, force: true })
    },
  }
  return guest
}

/** Runs a command by the channel to its end; it has to say 0. */
export async function runBy(channel: Channel, argv: string[]): Promise<void> {
  const exit = await channel.exec({ argv }, { output: () => undefined }, { signal: AbortSignal.timeout(60_000) })
  if (exit.code !== 0) throw new Error(`${argv.join(' ')} said ${exit.code ?? exit.signal}`)
}
