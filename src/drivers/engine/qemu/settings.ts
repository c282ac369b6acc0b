import { fail } from '../../../model/errors.ts'
import { shown } from '../../../model/names.ts'
import { keptBytesByDefault } from './serial-log.ts'

/** The settings of this engine, from the server. */
export interface Settings {
  /** Path of the built `native/launcher`. */
  launcher: string
  /** Path of the built `guest/demo-os`: what a probe boots. */
  demoOs: string
  /** QEMU: a path, or a name looked up in the system's directories. */
  binary: string
  accel: 'auto' | 'kvm' | 'tcg'
  /** How much of each guest's serial output is kept. */
  serialKeepBytes: number
}

const accels = ['auto', 'kvm', 'tcg'] as const
const known = ['launcher', 'demoOs', 'binary', 'accel', 'serialKeepBytes']

export function settingsOf(options: Record<string, unknown>): Settings {
  const about = { subject: 'engine/qemu' }
  for (const name of Object.keys(options)) if (!known.includes(name)) fail('invalid', `the engine qemu has no option ${shown(name)}`, { ...about, remedy: `it knows ${known.join(', ')}` })
  const text = (name: string, byDefault?: string): string => {
    const value = options[name] ?? byDefault
    return typeof value === 'string' && value !== '' ? value : fail('invalid', `the engine qemu needs the option ${name}, a text`, about)
  }
  const accel = accels.find((one) => one === (options['accel'] ?? 'auto')) ?? fail('invalid', `accel is one of ${accels.join(', ')}`, about)
  const serialKeepBytes = options['serialKeepBytes'] ?? keptBytesByDefault
  if (typeof serialKeepBytes !== 'number' || !(serialKeepBytes >= 1024)) return fail('invalid', 'serialKeepBytes is a number of at least 1024', about)
  return { launcher: text('launcher'), demoOs: text('demoOs'), binary: text('binary', 'qemu-system-x86_64'), accel, serialKeepBytes }
}
