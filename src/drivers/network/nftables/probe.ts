import { accessSync, constants } from 'node:fs'
import { hasErrno, readTextNow } from '../../../base/files.ts'
import { clashes, readRoutes, routeText } from '../../../base/routes.ts'
import { run, runOk } from '../../../base/run.ts'
import type { DriverHome, Probe } from '../../engine/engine.ts'
import { interfacePrefix, tableOf } from './names.ts'
import { baseRuleset } from './ruleset.ts'

/** Whether this driver works here: makes and removes its tables, a bridge and a tap under names no link has. Never throws. */
export async function probeMachine(home: DriverHome, { subnet }: { subnet: string }): Promise<Probe> {
  try {
    const version = await versions()
    checkRights()
    await checkSubnet(home.mark, subnet)
    await tryTables(home, subnet)
    await tryInterfaces(home)
    await warnOfOthers(home)
    return { usable: true, version }
  } catch (fault) {
    const clash = fault instanceof SubnetClash ? { remedy: 'choose another with --subnet, or take that route away' } : {}
    return { usable: false, why: fault instanceof Error ? fault.message : String(fault), ...clash }
  }
}

class SubnetClash extends Error {}

async function versions(): Promise<string> {
  const say = async (program: string, flag: string, packageName: string) => {
    const ran = await run([program, flag]).catch((fault: unknown) => {
      if (hasErrno(fault, 'ENOENT')) throw new Error(`${program} is not installed: apt-get install ${packageName}`)
      throw fault
    })
    return /\d+(\.\d+)+/.exec(ran.stdout)?.[0] ?? 'of no known version'
  }
  return `nftables ${await say('nft', '--version', 'nftables')}, iproute2 ${await say('ip', '-V', 'iproute2')}`
}

/** CAP_NET_ADMIN of linux/capability.h. */
const netAdmin = 12n

function checkRights(): void {
  const effective = /^CapEff:\s*([0-9a-f]+)/m.exec(readTextNow('/proc/self/status') ?? '')?.[1] ?? '0'
  if (((BigInt(`0x${effective}`) >> netAdmin) & 1n) === 0n) throw new Error('the right to change the network is missing: run as root, or with CAP_NET_ADMIN')
  const reach = (file: string, mode: number, why: string) => {
    try {
      accessSync(file, mode)
    } catch {
      throw new Error(why)
    }
  }
  reach('/dev/net/tun', constants.R_OK | constants.W_OK, '/dev/net/tun is missing: modprobe tun, or give the container that device')
  if (readTextNow('/proc/sys/net/ipv4/ip_forward')?.trim() !== '1')
    reach('/proc/sys/net/ipv4/ip_forward', constants.W_OK, 'net.ipv4.ip_forward is 0 and cannot be changed here: set it on the machine')
}

async function checkSubnet(mark: string, subnet: string): Promise<void> {
  const [route, ...more] = clashes(await readRoutes(), subnet, (dev) => dev.startsWith(interfacePrefix(mark)))
  if (!route) return
  const others = more.length === 0 ? '' : ` and ${more.length} more`
  throw new SubnetClash(`the subnet ${subnet} overlaps the route ${routeText(route)}${others} of this machine`)
}

/** The real rules, with the marks of a server that nobody is: no hook of theirs meets a packet of anybody. */
async function tryTables({ mark, effects }: DriverHome, subnet: string): Promise<void> {
  const name = `${tableOf(mark)}_probe`
  const rules = baseRuleset({ mark, subnet }).map((statement) => statement.replaceAll(tableOf(mark), name).replaceAll(interfacePrefix(mark), 'tt.'))
  await effects.act({ kind: 'nft', verb: 'make', subject: name }, async () => {
    const remove = ['ip', 'bridge'].flatMap((family) => [`add table ${family} ${name}`, `delete table ${family} ${name}`])
    const { code, stderr } = await run(['nft', '-f', '-'], { input: `${[...rules, ...remove].join('\n')}\n` })
    if (code !== 0) throw new Error(`the kernel or nft cannot do what is needed: ${stderr.trim().split('\n').slice(0, 3).join('; ')}`)
  })
}

async function tryInterfaces({ mark, effects }: DriverHome): Promise<void> {
  const bridge = `${interfacePrefix(mark)}p0`
  const tap = `${interfacePrefix(mark)}p1`
  await effects.act({ kind: 'tap', verb: 'make', subject: `${bridge} ${tap}` }, async () => {
    try {
      await runOk(['ip', 'link', 'add', 'name', bridge, 'type', 'bridge'])
      await runOk(['ip', 'tuntap', 'add', 'dev', tap, 'mode', 'tap'])
      await runOk(['ip', 'link', 'set', 'dev', tap, 'master', bridge])
    } finally {
      for (const name of [tap, bridge]) await run(['ip', 'link', 'delete', 'dev', name])
    }
  })
}

/** In nftables one drop is final, whoever accepts besides: a machine that forwards nothing forwards nothing for us. */
async function warnOfOthers({ mark, log }: DriverHome): Promise<void> {
  const { nftables } = JSON.parse(await runOk(['nft', '-j', 'list', 'chains'])) as {
    nftables: { chain?: { family: string; table: string; name: string; hook?: string; policy?: string } }[]
  }
  for (const { chain } of nftables)
    if (chain?.hook === 'forward' && chain.policy === 'drop' && chain.table !== tableOf(mark))
      log.warn('another chain drops what it does not know, guests may not reach anything through this machine', {
        chain: `${chain.family} ${chain.table} ${chain.name}`,
        remedy: `let it accept interfaces "${interfacePrefix(mark)}*"`,
      })
}
