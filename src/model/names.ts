import { fail } from './errors.ts'

const envName = /^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$/
const imageName = /^[A-Za-z0-9][A-Za-z0-9._-]*(?:[:/][A-Za-z0-9][A-Za-z0-9._-]*)*$/

/** Refuses a name that is not 1 to 63 of letters, digits, `-` and `_`, beginning with a letter or digit. No dot: `demo.3` is the VM 3 of `demo`. */
export function checkEnvName(name: string): void {
  if (envName.test(name)) return
  fail('invalid', `${shown(name)} is not an ENV name: ${whyNotEnvName(name)}`, {
    subject: 'env',
    remedy: 'use 1 to 63 letters, digits, "-" and "_", beginning with a letter or digit',
  })
}

/** Refuses what cannot be the name of a user: they are written like those of ENVs. */
export function checkUserName(name: string): void {
  if (envName.test(name)) return
  fail('invalid', `${shown(name)} is not a user name: ${whyNotEnvName(name)}`, { subject: 'user', remedy: 'use 1 to 63 letters, digits, "-" and "_", beginning with a letter or digit' })
}

/** The parts of `ann/laptop`, or undefined if it is no name of a token. */
export function parseTokenName(name: string): { user: string; token: string } | undefined {
  const [user = '', token = '', ...rest] = name.split('/')
  return rest.length === 0 && envName.test(user) && envName.test(token) ? { user, token } : undefined
}

function whyNotEnvName(name: string): string {
  if (name === '') return 'it is empty'
  if (name.length > 63) return `it has ${name.length} characters, 63 are allowed`
  if (!/^[A-Za-z0-9]/.test(name)) return 'it does not begin with a letter or digit'
  const bad = [...name].find((character) => !/[A-Za-z0-9_-]/.test(character)) ?? ''
  return `it contains ${JSON.stringify(bad)}`
}

/** Whether a file or directory may be listed as an image: parts of letters, digits, `.`, `_`, `-`, joined by `:` or `/`, 255 at most. */
export const isImageName = (name: string): boolean => name.length <= 255 && imageName.test(name)

/** A quoted text for a message, cut at 40 characters so that one bad argument cannot fill a screen. */
export const shown = (text: string): string => JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}…` : text)

/** What people write for a VM: `demo.3`. */
export const vmName = (env: string, index: number): string => `${env}.${index}`

/** The ENV and index of `demo.3`, or undefined if it is no VM name. */
export function parseVmName(name: string): { env: string; index: number } | undefined {
  const parts = /^(.*)\.(0|[1-9][0-9]{0,8})$/.exec(name)
  if (parts?.[1] === undefined || !envName.test(parts[1])) return undefined
  return { env: parts[1], index: Number(parts[2]) }
}

/** A VM's id on every host and in every driver: the ENV's uid and the index. Safe as a file name. */
export const vmId = (envUid: string, index: number): string => `${envUid}.${index}`

/** The ENV uid and index of a VM id. */
export function parseVmId(id: string): { envUid: string; index: number } | undefined {
  const parts = /^([a-z0-9]{4,32})\.(0|[1-9][0-9]{0,8})$/.exec(id)
  return parts?.[1] === undefined ? undefined : { envUid: parts[1], index: Number(parts[2]) }
}

/** A MAC whose last three bytes are the last three of the IPv4 address; `52:54` marks it as locally administered. */
export function macOf(ip: string): string {
  const [, b = 0, c = 0, d = 0] = ip.split('.').map(Number)
  return ['52', '54', '00', ...[b, c, d].map((byte) => byte.toString(16).padStart(2, '0'))].join(':')
}

/** The image name without its engine part: `qemu:centos-7` as `centos-7`; a name without one as it is. */
const withoutEngine = (image: string): string => image.slice(image.indexOf(':') + 1)

/** Whether `prefix` picks `image`: no case, with or without the engine part. */
export function matchesPrefix(image: string, prefix: string): boolean {
  const wanted = prefix.toLowerCase()
  const name = image.toLowerCase()
  return name.startsWith(wanted) || withoutEngine(name).startsWith(wanted)
}
