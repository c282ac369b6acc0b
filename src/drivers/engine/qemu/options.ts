import { fail } from '../../../model/errors.ts'
import { shown } from '../../../model/names.ts'
import type { Plan } from '../../../model/plan.ts'

/** What an image may ask of this engine in `options`; `docs/engines/qemu.md` explains it for people. */
export interface ImageOptions {
  machine: 'microvm' | 'q35'
  /** Parts of a microvm that are on unless an image says otherwise. */
  parts: Partial<Record<MicrovmPart, boolean>>
  /** QEMU's name of the processor; by default the best the accelerator has. */
  cpuModel?: string
  cache: 'writeback' | 'direct' | 'unsafe'
  /** Whether the guest halts when the power button is pressed. */
  powerButton: boolean
  vnc: boolean
}

const microvmParts = ['acpi', 'pit', 'pic', 'rtc'] as const
export type MicrovmPart = (typeof microvmParts)[number]

const cacheModes = ['writeback', 'direct', 'unsafe'] as const
const known = ['machine', 'cpuModel', 'cache', 'powerButton', 'vnc']

/** The options of a plan with what they leave open filled in; anything unknown or of the wrong kind is refused. */
export function imageOptions({ id, boot, options }: Plan): ImageOptions {
  const refuse = (why: string, remedy?: string): never => fail('invalid', `the image's options: ${why}`, { subject: `vm/${id}`, remedy })
  const stranger = (name: string, among: readonly string[]) => refuse(`${shown(name)} is not one`, `the engine qemu knows ${among.join(', ')}`)
  for (const name of Object.keys(options)) if (!known.includes(name)) stranger(name, known)
  const flag = (name: string, value: unknown): boolean => (typeof value === 'boolean' ? value : refuse(`${name} is true or false`))

  const asked = options['machine'] ?? {}
  if (typeof asked !== 'object' || asked === null || Array.isArray(asked)) return refuse('machine is an object')
  const { type = boot === 'kernel' ? 'microvm' : 'q35', ...rest } = asked as Record<string, unknown>
  if (type !== 'microvm' && type !== 'q35') return refuse('machine.type is microvm or q35')
  if (type === 'microvm' && boot === 'disk') return refuse('a microvm has no firmware that boots a disk', 'use the machine type q35')
  const parts: ImageOptions['parts'] = {}
  for (const [name, value] of Object.entries(rest)) {
    const part = microvmParts.find((one) => one === name)
    if (!part || type !== 'microvm') return stranger(`machine.${name}`, type === 'microvm' ? ['type', ...microvmParts] : ['type'])
    parts[part] = flag(`machine.${name}`, value)
  }

  const { cpuModel, cache = 'writeback', powerButton = type === 'q35', vnc = false } = options
  if (cpuModel !== undefined && !(typeof cpuModel === 'string' && /^[A-Za-z0-9_][A-Za-z0-9_.,+=-]{0,200}$/.test(cpuModel))) return refuse('cpuModel is a name as QEMU has them')
  const mode = cacheModes.find((one) => one === cache) ?? refuse(`cache is one of ${cacheModes.join(', ')}`)
  if (flag('vnc', vnc) && type === 'microvm') return refuse('a microvm has no screen', 'use the machine type q35')
  return { machine: type, parts, cpuModel, cache: mode, powerButton: flag('powerButton', powerButton), vnc: vnc === true }
}
