import type { Arch } from './image.ts'

/**
 * The currency between `host/` and the drivers: plain values, no methods, safe to write to a file. `host/` turns a VM into a Plan;
 * an engine runs a Plan; volume and network drivers make the Disks and Nics in it. No driver knows another.
 */

/** A block device, ready to be opened by an engine. Made by a volume driver. */
export interface Disk {
  /** Absolute path of the file or device. */
  path: string
  format: 'raw' | 'qcow2'
  /** What the guest sees, in bytes. */
  sizeBytes: number
  readOnly?: boolean
}

/** A network card, ready to be opened by an engine. Made by a network driver. */
export type Nic = {
  /** The VM it belongs to. */
  id: string
  mac: string
  /** The guest's address; in user mode the same for every VM. */
  ip: string
  /** Length of the network prefix of `ip`. */
  prefixLength: number
  gateway: string
  mtu?: number
  /** Public port for each inner port, the same for TCP and UDP. */
  ports: Record<number, number>
} & (
  | { /** A tap that exists, is up and belongs to `Plan.uid`. */ kind: 'tap'; tap: string }
  | { /** QEMU's own network stack with host forwards on `bind`. */ kind: 'user'; bind: string; denyOutgoing: boolean }
  | { /** Nothing behind it: the fake's. */ kind: 'none' }
)

/** A saved state a VM can start from. Later work; engines without `save` never see one. */
export interface Saved {
  /** Directory with the engine's own files. */
  dir: string
  engine: string
  version: string
}

/** One VM, as an engine is to run it. */
export interface Plan {
  /** `parseVmId` reads it; safe as a file name. */
  id: string
  /** What the guest is to call itself. */
  hostname: string
  cpu: number
  memMb: number
  arch: Arch
  /** How the image boots: a kernel given to the engine, or a disk with a boot loader. */
  boot: 'kernel' | 'disk'
  files: { kernel?: string; initrd?: string }
  /** The image's kernel command line; the engine adds what its machine needs. */
  cmdline?: string
  disks: Disk[]
  nics: Nic[]
  /**
   * Files of a NoCloud seed by name (`meta-data`, `user-data`, `network-config`): the engine shows them to the guest as a read-only disk labelled `CIDATA`, which cloud-init looks for.
   * They may hold secrets. Absent: no such disk.
   */
  seed?: Record<string, string>
  /** Names of virtio-serial ports to offer; `dial` opens them. */
  ports: string[]
  /** The guest has an agent that takes large pieces of files from a disk: engines with such a window show it to the guest. */
  window?: boolean
  /** The unprivileged user that runs this VM alone, or undefined where the server itself is not root. */
  uid?: number
  /** Engine options from the image, checked by the engine. */
  options: Record<string, unknown>
  from?: Saved
}
