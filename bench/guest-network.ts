import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { bareMachine, runBy } from './bare-guest.ts'
import { type Bench, roundsOf } from './bench.ts'
import { makeEnv, runIn } from './env.ts'
import { ratioFinding } from './finding.ts'
import { inPairs } from './measure.ts'
import { startServer } from './server.ts'

const sentMb = 32
const inner = 5002
/** QEMU moves packets in a thread beside that of the processor; a limit of one for both, which a server keeps and bare QEMU knows nothing of, would be measured instead. */
const cpu = 2

/** What passes between a guest and another machine, with address translation: by our bridge and rules, and by a bridge and the fewest rules one can write by hand. */
export const guestNetwork: Bench = {
  name: 'guest-network',
  about: 'bytes between a guest and another machine, translated, against bare QEMU on a tap with three rules made by hand',
  async run(ground) {
    await using far = await farEnd()
    await using hand = await namespace('sleep', 'infinity')
    far.cable('far0', '192.0.2', process.pid)
    far.cable('far1', '198.51.100', hand.pid)
    await using bare = await bareMachine(ground, { namespace: hand.pid, cpu })
    await using twin = await bare.prepare()
    byHand(hand, twin.ip)
    const raw = twin.start()
    await using server = await startServer(ground)
    await makeEnv(server.cloud, 'net', [{ image: 'micro', count: 1, cpu, ports: [22, inner] }])
    const { items } = await server.cloud.collection('vm').list({ under: 'net' })
    const outer = items[0]?.status?.ports[inner] ?? 0
    const guests = {
      ours: { far: '192.0.2.2', near: `192.0.2.1 ${outer}`, run: (argv: string[]) => runIn(server.cloud, 'net', { argv }) },
      peer: { far: '198.51.100.2', near: `198.51.100.1 ${inner}`, run: (argv: string[]) => runBy(raw, argv) },
    }
    // The last thing a guest does after its boot.
    for (const { run } of Object.values(guests)) await run(['sh', '-c', 'for at in $(seq 600); do [ -s /run/dropbear.pid ] && exit 0; sleep 0.1; done; exit 1'])
    for (const { run } of Object.values(guests)) await run(['sh', '-c', `mkdir /run/www && dd if=/dev/zero of=/run/www/file bs=1M count=${sentMb} 2>/dev/null && httpd -p ${inner} -h /run/www`])
    const out = ({ near }: Guest) => async () => {
      const done = far.line()
      far.say(`${near} /file`)
      return done
    }
    const inwards = ({ far: to, run }: Guest) => async () => {
      const done = far.line()
      await run(['wget', '-q', '-O', '/dev/null', `http://${to}:5001/${sentMb << 20}`])
      return done
    }
    const findings = []
    for (const { name, way, what } of [
      { name: 'guest network, outwards', way: out, what: `${sentMb} MiB fetched from a public port` },
      { name: 'guest network, inwards', way: inwards, what: `${sentMb} MiB fetched by the guest` },
    ]) {
      ground.say(name)
      const { ours, peer } = await inPairs(ground, { ours: way(guests.ours), peer: way(guests.peer) }, { rounds: roundsOf(ground, 24), warmUps: 2 })
      findings.push(ratioFinding({ name, better: 'more', step: 0.9, goal: 0.95 }, { what: `${what}, a VM of the server`, unit: 'ms', samples: ours }, { what: 'the same by bare QEMU and three rules', unit: 'ms', samples: peer }))
    }
    return findings
  },
}

interface Guest {
  /** The far end as it sees it, and where the far end reaches it. */
  far: string
  near: string
  run(argv: string[]): Promise<unknown>
}

interface Namespace extends AsyncDisposable {
  pid: number
  child: ChildProcess
  /** Runs a program in it. */
  sh(...argv: string[]): void
}

/** A network namespace that is there as long as this program in it. */
async function namespace(...argv: string[]): Promise<Namespace> {
  const child = spawn('unshare', ['--net', ...argv], { stdio: ['pipe', 'pipe', 'inherit'] })
  const pid = child.pid ?? 0
  const sh = (...command: string[]) => void execFileSync('nsenter', ['--net', '--target', String(pid), ...command])
  const own = execFileSync('readlink', ['/proc/self/ns/net'], { encoding: 'utf8' })
  while (execFileSync('readlink', [`/proc/${pid}/ns/net`], { encoding: 'utf8' }) === own) await sleep(5)
  sh('ip', 'link', 'set', 'dev', 'lo', 'up')
  return {
    pid,
    child,
    sh,
    async [Symbol.asyncDispose]() {
      const ended = once(child, 'exit')
      child.kill('SIGKILL')
      await ended
    },
  }
}

/** The machine the guests speak with. */
async function farEnd() {
  const at = await namespace(process.execPath, join(import.meta.dirname, 'far-end.ts'))
  const waiting: ((ms: number) => void)[] = []
  createInterface({ input: at.child.stdout as NonNullable<ChildProcess['stdout']> }).on('line', (text) => waiting.shift()?.(Number(text)))
  return {
    ...at,
    line: () => new Promise<number>((resolve) => waiting.push(resolve)),
    say: (text: string) => void at.child.stdin?.write(`${text}\n`),
    /** A cable from here to the namespace of a process: there it is .1, here .2. */
    cable(name: string, network: string, pid: number) {
      at.sh('ip', 'link', 'add', 'name', name, 'type', 'veth', 'peer', 'name', name, 'netns', String(pid))
      at.sh('ip', 'address', 'add', `${network}.2/24`, 'dev', name)
      at.sh('ip', 'link', 'set', 'dev', name, 'up')
      for (const command of [`address add ${network}.1/24 dev ${name}`, `link set dev ${name} up`]) execFileSync('nsenter', ['--net', '--target', String(pid), 'ip', ...command.split(' ')])
    },
  }
}

/** What somebody writes who wants a guest to reach the world and be reached on one port. */
function byHand({ sh }: Namespace, guest: string): void {
  sh('sh', '-c', 'echo 1 >/proc/sys/net/ipv4/ip_forward')
  sh('nft', `add table ip hand ; add chain ip hand in { type nat hook prerouting priority -100; } ; add chain ip hand out { type nat hook postrouting priority 100; }`)
  sh('nft', `add rule ip hand in iifname "far1" tcp dport ${inner} dnat to ${guest}`)
  sh('nft', `add rule ip hand out oifname "far1" masquerade`)
}

