import * as v from 'valibot'
import { driverOptions } from '../../../model/driver-options.ts'
import { programEnv } from './launch.ts'
import { keptBytesByDefault } from './serial-log.ts'

const path = v.pipe(v.string('a path'), v.minLength(1, 'a path'))

const Settings = v.strictObject({
  /** The built `native/launcher`. */
  launcher: path,
  /** The built `guest/demo-os`: what a probe boots. */
  demoOs: path,
  /** QEMU: a path, or a name looked up in the system's directories. */
  binary: v.optional(path, 'qemu-system-x86_64'),
  /** Where the emulators of other processors are looked up: directories, with a colon between them. */
  emulators: v.optional(path, programEnv.PATH),
  accel: v.optional(v.picklist(['auto', 'kvm', 'tcg']), 'auto'),
  /** How much of each guest's serial output is kept. */
  serialKeepBytes: v.optional(v.pipe(v.number('a number of bytes'), v.integer('a whole number'), v.minValue(1024, 'at least 1024')), keptBytesByDefault),
})

/** The settings of this engine, from the server. */
export type Settings = v.InferOutput<typeof Settings>

export const settingsOf = (options: unknown): Settings => driverOptions('engine qemu', Settings, options)
