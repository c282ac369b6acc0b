import * as v from 'valibot'

/**
 * How commands and files get into a guest: our agent, ssh, the guest agent of QEMU, or the engine itself. An image names those it has, the preferred first.
 */
export const ways = ['rexec', 'ssh', 'qga', 'engine'] as const
export type Way = (typeof ways)[number]

/** What a guest's processor is, as Debian names it. */
export const archs = ['amd64', 'arm64', 'armhf', 'i386', 'mips64el', 'mipsel', 'ppc64el', 'riscv64', 's390x', 'sparc'] as const
export type Arch = (typeof archs)[number]

const fileName = v.pipe(v.string(), v.regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/, 'a plain file name'))
const digest = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/, 'a sha256 in hexadecimal'))
const port = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65535))
const file = v.strictObject({ file: fileName, sha256: digest })

/** `image.json` of an image directory. `docs/how-to/images.md` explains it for people. */
export const ImageManifest = v.strictObject({
  format: v.literal(1),
  /** May be a path; its engine part is left out. */
  name: v.pipe(v.string(), v.maxLength(255)),
  memo: v.optional(v.pipe(v.string(), v.maxLength(1000))),
  /** Of an image that was kept from a disk. */
  owner: v.optional(v.pipe(v.string(), v.maxLength(255))),
  /** Engines that can run it, the preferred first. */
  engines: v.pipe(v.array(v.pipe(v.string(), v.regex(/^[a-z][a-z0-9-]{0,31}$/))), v.minLength(1), v.maxLength(16)),
  boot: v.picklist(['kernel', 'disk']),
  kernel: v.optional(file),
  initrd: v.optional(file),
  disk: v.optional(v.strictObject({ ...file.entries, format: v.picklist(['raw', 'qcow2']), sizeBytes: v.pipe(v.number(), v.integer(), v.minValue(0)) })),
  cmdline: v.optional(v.pipe(v.string(), v.maxLength(2000), v.regex(/^[\x20-\x7e]*$/, 'one line of ASCII'))),
  arch: v.optional(v.picklist(archs), 'amd64'),
  /** Ways into it: one, several with the preferred first, or none. What answers of them is used. */
  agent: v.optional(v.pipe(v.union([v.picklist([...ways, 'none']), v.array(v.picklist(ways))]), v.transform((agent): Way[] => (agent === 'none' ? [] : typeof agent === 'string' ? [agent] : [...new Set(agent)]))), 'none'),
  features: v.optional(v.array(v.string()), []),
  defaults: v.optional(
    v.strictObject({
      cpu: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1))),
      memMb: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1))),
      diskMb: v.optional(v.pipe(v.number(), v.integer(), v.minValue(0))),
      ports: v.optional(v.pipe(v.array(port), v.maxLength(64))),
    }),
    {},
  ),
  options: v.optional(v.record(v.string(), v.unknown()), {}),
  /** Hash of the recipe it was built by. */
  recipe: v.optional(v.string()),
})
export type ImageManifest = v.InferOutput<typeof ImageManifest>

/** An image a Cloud can start VMs from, as its users see it. Never written by them: hosts find images. */
export interface ImageSpec {
  engines: string[]
  memo?: string
  /** Names the content: of the manifest's files together, or of the file's path, size and time until its bytes were read. */
  digest: string
  /** What its guests' processor is. */
  arch: Arch
  /** Ways into it, the preferred first; none if nothing in it takes commands. */
  ways: Way[]
  /** What else is known of it: `cloud-init`. */
  features: string[]
  /** Whose it is, of an image that was kept from a disk: only they and admins see it. */
  owner?: string
  cpu: number
  memMb: number
  diskMb: number
  ports: number[]
  sizeBytes: number
  /** It comes from a recipe: true if that is to be built yet, which the first VM that wants it does; false if it is. */
  buildable?: boolean
  /** It was imported: admins can delete it. */
  removable?: boolean
}

export interface ImageStatus {
  /** Hosts that hold it now. */
  hosts: string[]
}

/** MB of disk that images take which were kept from disks, of one owner or of all; and that imported ones take, which are nobody's. */
export const keptMb = (images: Record<string, ImageSpec>, owner?: string): number =>
  Object.values(images).reduce((sum, image) => {
    if (image.owner !== undefined) return sum + (owner === undefined || image.owner === owner ? image.diskMb : 0)
    return sum + (image.removable && owner === undefined ? Math.ceil(image.sizeBytes / 2 ** 20) : 0)
  }, 0)

/** Sizes of a VM that neither the request nor the image names. */
export const fallbackSize = { cpu: 2, memMb: 1024, diskMb: 40_960 } as const
