import type { Duplex } from 'node:stream'
import type { Effects } from '../../base/effects.ts'
import type { Log } from '../../base/log.ts'
import type { World } from '../../base/world.ts'
import type { Call } from '../../model/call.ts'
import type { Arch, ImageManifest } from '../../model/image.ts'
import type { Disk, Plan, Saved } from '../../model/plan.ts'
import type { Finding } from '../../model/session.ts'
import type { Channel } from '../channel/channel.ts'

/**
 * Runs guests. An engine is given a Plan, keeps what it must remember in a directory of its own, and finds its guests again after
 * a restart of the server: guests outlive it. It knows no store, no volume, no network and no image; files in the plan are ready to be opened.
 *
 * Rules for an implementer
 * - `start`, `stop` and `destroy` may be repeated at any time, also after a crash in the middle of an earlier one: `start` of a running guest
 *   with the same id resolves, `stop` of a stopped one resolves, `destroy` of an unknown one resolves.
 * - Guests are found by their mark (pid, start time and a cookie that only this guest's process carries), never by pid alone and never from memory.
 * - `destroy` leaves nothing: no process, cgroup, socket, file or directory. Disks and network cards in the plan are others' and stay.
 * - `start` of a stopped guest runs the plan it is given: processors, memory and the size of disks may be others than before.
 * - A Plan the engine cannot run is refused with `invalid` or `unsupported` and leaves nothing behind.
 * - Calls for different ids run at the same time; the caller never overlaps two verbs on one id.
 * - Every effect on the machine goes through `effects`.
 */
export interface Engine extends AsyncDisposable {
  readonly features: EngineFeatures
  /** Images the engine brings with it, without files: listed as `<engine>:<name>`. */
  readonly images?: readonly ImageManifest[]
  /** Whether it works here: really starts something, once, within a few seconds. Never throws. */
  probe(call?: Call): Promise<Probe>
  /** Resolves when the guest's processor runs. `failed` tells why it does not, in the engine's own last words. */
  start(plan: Plan, call?: Call): Promise<void>
  /** Asks the guest to halt where the machine has a way to ask, waits `graceMs`, then takes its processor away. Its disks stay whole on the host's side. */
  stop(id: string, graceMs: number, call?: Call): Promise<void>
  destroy(id: string, call?: Call): Promise<void>
  inspect(id: string, call?: Call): Promise<Inspection>
  /** Every id it holds anything of, running or not. */
  list(call?: Call): Promise<string[]>
  /** Ids whose state may have changed, at once and without polling while this server runs. Ends when the signal aborts. */
  watch(call: Call): AsyncIterable<string>
  /** With `features.dial`: an exclusive byte stream to the guest's port of this name. `not_ready` if the guest is not running, `conflict` if it is taken. */
  dial?(id: string, portName: string, call?: Call): Promise<Duplex>
  /**
   * With `features.window`, for guests whose plan asks for it: a file of this host that the guest sees as a disk with the serial number `tt-window`, by whose blocks both hand large pieces to each other;
   * what one side writes the other reads at once. Its first and last MiB are left as they are: there a guest's system would look for partitions and file systems. Undefined where the guest has none.
   */
  window?(id: string): Promise<string | undefined>
  /** With `features.console`: the serial line. Reading does not take it from others; the past comes from `logs`. */
  console?(id: string, call?: Call): Promise<Duplex>
  /** With `features.screen`, for guests that have one: a connection to their screen in the RFB protocol (VNC). `unsupported` for those that have none. */
  screen?(id: string, call?: Call): Promise<Duplex>
  /** With `features.logs`: what the guest wrote to its serial line, newest `limitBytes` (by default all that is kept). */
  logs?(id: string, options?: { limitBytes?: number }, call?: Call): Promise<Uint8Array>
  /** With `features.channel`: commands without an agent. */
  channel?(id: string): Channel
  pause?(id: string, call?: Call): Promise<void>
  resume?(id: string, call?: Call): Promise<void>
  save?(id: string, dir: string, call?: Call): Promise<Saved>
  replaceDisk?(id: string, disk: Disk, call?: Call): Promise<void>
  /** Things of this engine's mark on the machine that no id of `owned` explains, found without the engine's own records. */
  leaks?(owned: ReadonlySet<string>): Promise<{ kind: 'process' | 'cgroup' | 'file' | 'mount'; subject: string; why: string }[]>
  /** Takes away what `leaks` would name, and nothing else; what cannot be taken away is left and no fault. */
  clean?(owned: ReadonlySet<string>): Promise<void>
  /** How well it works here, for the doctor: what its probe found out, and whether what holds for its guests really does. Changes nothing. */
  findings?(owned: ReadonlySet<string>): Promise<Finding[]>
}

/** Declared once, never guessed from a name. Each says that the method beside it is there and passes its part of the contract suite. */
export interface EngineFeatures {
  /** How guests are run, for people: `kvm`, `tcg`, `none`. */
  accel: string
  /** What holds guests to their processors and memory on this machine, for people: `cgroups`, or `none: WHY`. */
  limits: string
  /** Its guests are not there: no disk, network or processor of theirs can be seen at work. */
  simulated?: true
  /** How many starts at the same time gain anything; the caller makes more wait. Absent: no limit. */
  startsAtOnce?: number
  /** Processors it can run guests for on this machine; may become more while the server runs. */
  archs: readonly Arch[]
  /** What is missing on this machine to run guests for other processors, by processor: names of packages, for people. */
  lacks?: Readonly<Partial<Record<Arch, string>>>
  /** Boot ways it can run. */
  boots: readonly ('kernel' | 'disk')[]
  /** Kinds of network card it can open. */
  nics: readonly ('tap' | 'user' | 'none')[]
  dial: boolean
  window: boolean
  console: boolean
  logs: boolean
  screen: boolean
  channel: boolean
  pause: boolean
  save: boolean
  replaceDisk: boolean
}

export type Probe =
  | { usable: true; version: string }
  | {
      usable: false
      why: string
      /** It would work but for what whoever started the server chose: no other driver may quietly take its place. */
      remedy?: string
    }

export type Inspection =
  | { state: 'running'; since: string; pid?: number; /** What keeps it from going on, and for how long; it needs nobody's hand on the VM. */ trouble?: string }
  | { state: 'paused' }
  | { state: 'stopped'; /** The engine's last words or the process' status, where known; `out of memory` is among them if that is what the kernel ended it for. */ exit?: string }
  | { state: 'absent' }

/** Where a driver lives. `dir` is its own and exists. */
export interface DriverHome {
  dir: string
  /** Names this server's things on the machine (taps, tables, cgroups, argv): 5 of a-z and 0-9, the same over restarts. */
  mark: string
  world: World
  effects: Effects
  log: Log
}

/** Makes an engine. Cheap: no process is started and nothing is probed before it is asked for. */
export type EngineFactory = (home: DriverHome, options: Record<string, unknown>) => Promise<Engine>
