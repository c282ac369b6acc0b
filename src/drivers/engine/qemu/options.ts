import * as v from 'valibot'
import { driverOptions } from '../../../model/driver-options.ts'
import { fail } from '../../../model/errors.ts'
import type { Plan } from '../../../model/plan.ts'
import { boardOf } from './archs.ts'

const flag = v.boolean('true or false')

/** Parts of a microvm that are on unless an image says otherwise. */
const parts = { acpi: v.optional(flag), pit: v.optional(flag), pic: v.optional(flag), rtc: v.optional(flag) }

/** What an image may ask of this engine in `options`; `docs/engines/qemu.md` explains it for people. */
const Options = v.strictObject({
  machine: v.optional(v.strictObject({ type: v.optional(v.picklist(['microvm', 'q35'])), ...parts }), {}),
  /** QEMU's name of the processor; by default the best the accelerator has. */
  cpuModel: v.optional(v.pipe(v.string(), v.regex(/^[A-Za-z0-9_][A-Za-z0-9_.,+=-]{0,200}$/, 'a name as QEMU has them'))),
  cache: v.optional(v.picklist(['writeback', 'direct', 'unsafe']), 'writeback'),
  /** Whether the guest halts when the power button is pressed. */
  powerButton: v.optional(flag),
  vnc: v.optional(flag),
})

/** An image's options with nothing left open. */
export interface ImageOptions {
  machine: 'microvm' | 'q35'
  parts: Record<string, boolean>
  cpuModel?: string
  cache: 'writeback' | 'direct' | 'unsafe'
  powerButton: boolean
  vnc: boolean
}

/** The options of a plan; anything unknown, of the wrong kind or that does not go together is refused. */
export function imageOptions({ id, arch, boot, options }: Plan): ImageOptions {
  const { machine, cpuModel, cache, vnc, ...asked } = driverOptions('the image', Options, options)
  const { type = boot === 'kernel' ? 'microvm' : 'q35', ...rest } = machine
  const isX86 = boardOf(arch) === undefined
  if (!isX86 && (Object.keys(machine).length > 0 || vnc)) fail('invalid', `options of the image: ${vnc ? 'vnc' : 'machine'} is for amd64 and i386, and it is for ${arch}`, { subject: `vm/${id}`, remedy: 'leave it out' })
  const isMicrovm = type === 'microvm'
  const refuse = (why: string) => fail('invalid', `options of the image: ${why}`, { subject: `vm/${id}`, remedy: `use the machine type ${isMicrovm ? 'q35' : 'microvm'}` })
  if (isMicrovm && boot === 'disk') refuse('a microvm has no firmware that boots a disk')
  if (isMicrovm && vnc) refuse('a microvm has no screen')
  const given = Object.entries(rest).filter((one): one is [string, boolean] => one[1] !== undefined)
  if (!isMicrovm && given.length > 0) refuse(`machine.${given[0]?.[0]} is for a microvm`)
  return { machine: type, parts: Object.fromEntries(given), cpuModel, cache, powerButton: asked.powerButton ?? (isX86 && !isMicrovm), vnc: vnc ?? (isX86 && boot === 'disk') }
}
