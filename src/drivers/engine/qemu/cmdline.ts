import type { Nic } from '../../../model/plan.ts'
import { fail } from '../../../model/errors.ts'
import type { CheckedPlan } from './check.ts'
import type { Machine } from './argv.ts'

/** What Linux takes on x86, less the byte that ends it: COMMAND_LINE_SIZE in arch/x86/include/asm/setup.h. */
const longestOnX86 = 2047

/**
 * The kernel command line: what this machine needs, the image's own words, what the agent is to know. Of a word given twice Linux takes
 * the last, so an image can overrule the machine.
 */
export function cmdline({ plan, options, board }: CheckedPlan, machine: Machine): string {
  // Under TCG a microvm has no clock good enough to measure the time stamp counter by: one boot in ten hangs unless Linux is told.
  const clock = !board && machine.accel === 'tcg' && options.machine === 'microvm' ? [`tsc_early_khz=${machine.tscKhz}`, 'no_timer_check', 'tsc=reliable'] : []
  const words = [...clock, `console=${board?.console ?? 'ttyS0'}`, 'panic=-1', 'quiet', plan.cmdline ?? '', `tt.name=${plan.hostname}`, ...plan.nics.slice(0, 1).flatMap(addressWords)]
  const line = words.filter((word) => word !== '').join(' ')
  const longest = board?.cmdlineMax ?? longestOnX86
  if (line.length > longest) fail('invalid', `the kernel command line has ${line.length} characters, Linux takes ${longest}`, { subject: `vm/${plan.id}` })
  return line
}

function addressWords(nic: Nic): string[] {
  if (nic.kind === 'none') return []
  const dns = nic.kind === 'user' ? [`tt.dns=${userNet(nic).dns}`] : []
  const mtu = nic.mtu === undefined ? [] : [`tt.mtu=${nic.mtu}`]
  return [`tt.ip=${nic.ip}/${nic.prefixLength}`, `tt.gw=${nic.gateway}`, ...dns, ...mtu]
}

/** The network QEMU's own stack plays for one guest: it answers names at the network's third address. */
export function userNet({ ip, prefixLength }: Nic): { network: string; dns: string } {
  const bits = ip.split('.').reduce((sum, byte) => sum * 256 + Number(byte), 0)
  const network = bits - (bits % 2 ** (32 - prefixLength))
  const text = (value: number) => [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join('.')
  return { network: `${text(network)}/${prefixLength}`, dns: text(network + 3) }
}
