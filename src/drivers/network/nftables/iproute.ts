import { type Coprocess, coprocess } from '../../../base/coprocess.ts'
import type { World } from '../../../base/world.ts'
import type { Bridge, Tap } from './shape.ts'

/** One long-lived `ip -batch`. It goes on after a command that fails: what held of a batch is to be read from the machine. */
export function iproute(world: World): Coprocess {
  return coprocess({
    argv: ['ip', '-force', '-batch', '-'],
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
    world,
    complaint: (marker) => new RegExp(`^Object "${marker}" is unknown.*\\nCommand failed -:\\d+\\n`, 'm'),
    explain: explainIp,
  })
}

/** The first complaint of `ip` in one line, with the command it is about. */
export function explainIp(words: string, line: (number: number) => string | undefined): string {
  const [, why = words.trim().slice(0, 500), number = ''] = /^(.*)\nCommand failed -:(\d+)/m.exec(words) ?? []
  const command = line(Number(number))
  return `ip: ${why}${command === undefined ? '' : ` at "${command}"`}`
}

/** Commands that make a bridge and set it right; those that set it right may be repeated. */
export function bridgeCommands({ name, bridge, make }: { name: string; bridge: Bridge; make: boolean }, ipv6: boolean): string[] {
  return [
    ...(make ? [`link add name ${name} type bridge stp_state 0 forward_delay 0 mcast_snooping 0`] : [`address flush dev ${name}`]),
    `link set dev ${name} address ${bridge.mac}${silent(ipv6)} up`,
    `address replace ${bridge.address} dev ${name}`,
  ]
}

/** As `bridgeCommands`, but the tap stays down. */
export function tapCommands({ name, tap, make }: { name: string; tap: Tap; make: boolean }, ipv6: boolean): string[] {
  const user = tap.owner === undefined ? '' : ` user ${tap.owner}`
  return [...(make ? [`tuntap add dev ${name} mode tap${user}`] : []), `link set dev ${name} master ${tap.bridge}${silent(ipv6)}`]
}

/**
 * Lets a tap speak. A hairpin port may get back what it sent: where net.bridge.bridge-nf-call-iptables is on, and that is the default of kernels that
 * have it built in, a guest's call to its own public port is turned round inside the bridge.
 */
export const raiseCommand = (name: string): string => `link set dev ${name} up type bridge_slave hairpin on`

/** How many interfaces are removed together: as long as that takes, the kernel changes no other interface of the machine. */
const perGroup = 500

/**
 * Removes many at once: each by itself costs 16 ms, for the kernel waits until no processor looks at it any more; as a group 0.3 ms each. In parts to
 * be sent one after the other: a server killed in the middle of a long part leaves its last line cut, and a group's number must never be.
 */
export function removeCommands(names: readonly string[], group: number): string[][] {
  if (names.length < 2) return [names.map((name) => `link delete dev ${name}`)]
  return Array.from({ length: Math.ceil(names.length / perGroup) }, (_, at) => names.slice(at * perGroup, (at + 1) * perGroup)).flatMap((some) => [
    some.map((name) => `link set dev ${name} group ${group}`),
    [`link delete group ${group}`],
  ])
}

/** No IPv6 address of its own, so that the host says nothing to guests that they did not ask for. */
const silent = (ipv6: boolean) => (ipv6 ? ' addrgenmode none' : '')
