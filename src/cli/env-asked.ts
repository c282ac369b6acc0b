import type { Flag, Given } from '../base/arguments.ts'
import { check } from '../model/check.ts'
import { type EnvAsked, EnvSpec } from '../model/env.ts'
import { fail } from '../model/errors.ts'
import { shown } from '../model/names.ts'

/** The flags that describe an ENV. */
export const envFlags: readonly Flag[] = [
  { long: 'os-prefix', short: 's', value: 'PREFIX', list: 'commas', required: true, of: 'image', about: 'What the names of the images begin with, upper or lower case, with or without the engine; every image that fits becomes a VM' },
  { long: 'dup-each', short: 'd', value: 'N', about: 'So many copies more of each', default: '0' },
  { long: 'cpu-num', short: 'C', value: 'N', about: 'Cpus of each VM', default: "the image's, else 2" },
  { long: 'mem-size', short: 'M', value: 'MB', about: 'Memory of each VM', default: "the image's, else 1024" },
  { long: 'disk-size', short: 'D', value: 'MB', about: 'Disk of each VM', default: "the image's, else 40960" },
  { long: 'vm-port', short: 'p', value: 'PORT', list: 'commas', about: 'Ports of each VM to reach from outside, TCP and UDP' },
  { long: 'life-time', short: 'l', value: 'SECONDS', about: 'When it ends, counted from now; 90m, 12h, 7d are understood too, 0 or never means that it does not end', default: '3600' },
  { long: 'deny-outgoing', short: 'n', about: 'Its VMs may not open connections to the outside' },
  { long: 'host', value: 'HOST', about: 'Only this host may run it' },
  { long: 'deadline', value: 'SECONDS', about: 'All VMs must answer within this time, else the ENV has failed', default: '600' },
]

/** The ENV that the flags describe, checked as the server will check it: what is wrong is named by its flag. */
export function envAsked(given: Given): EnvAsked {
  const sizes = {
    count: 1 + (numberOf(given, 'dup-each') ?? 0),
    cpu: numberOf(given, 'cpu-num'),
    memMb: numberOf(given, 'mem-size'),
    diskMb: numberOf(given, 'disk-size'),
    ...(given.has('vm-port') ? { ports: [...new Set(given.all('vm-port').map((port) => wholeNumber('--vm-port', port)))] } : {}),
  }
  const asked: EnvAsked = {
    groups: [...new Set(given.all('os-prefix'))].map((prefix) => ({ prefix, ...sizes })),
    ...(given.has('life-time') ? { lifetimeSeconds: lifetimeOf(given.one('life-time') ?? '') } : {}),
    ...(given.has('deny-outgoing') ? { denyOutgoing: true } : {}),
    ...(given.has('deadline') ? { deadlineSeconds: numberOf(given, 'deadline') } : {}),
    ...(given.has('host') ? { host: given.one('host') } : {}),
  }
  const { wrong } = check(EnvSpec, asked)
  if (wrong !== undefined) fail('invalid', flagged(wrong), { remedy: 'see `tt env add --help`' })
  return asked
}

/** Seconds, or with a unit; null for no end. */
export function lifetimeOf(text: string): number | null {
  if (text === 'never' || text === '0') return null
  const [, digits, unit = 's'] = /^(\d{1,10})([smhd])?$/.exec(text) ?? fail('invalid', `--life-time is ${shown(text)}, allowed is a number of seconds, such as 3600, or 90m, 12h, 7d, never`)
  return Number(digits) * ({ s: 1, m: 60, h: 3600, d: 86_400 }[unit] ?? 1)
}

/** A number as written by people who mean one: digits and nothing else. */
function wholeNumber(flag: string, text: string): number {
  return /^(0|[1-9]\d{0,14})$/.test(text) ? Number(text) : fail('invalid', `${flag} is ${shown(text)}, allowed is a whole number`, { remedy: 'see `tt env add --help`' })
}

function numberOf(given: Given, flag: string): number | undefined {
  const text = given.one(flag)
  return text === undefined ? undefined : wholeNumber(`--${flag}`, text)
}

const flagOfField: Record<string, string> = {
  prefix: '--os-prefix',
  count: '1 + --dup-each',
  cpu: '--cpu-num',
  memMb: '--mem-size',
  diskMb: '--disk-size',
  ports: '--vm-port',
  lifetimeSeconds: '--life-time',
  deadlineSeconds: '--deadline',
  host: '--host',
}

/** The server's sentence with the flag in place of the field that it fills. */
const flagged = (wrong: string): string => wrong.replace(/^(?:groups\.\d+\.)?([A-Za-z]+)(?:\.\d+)?(?= is )/, (path, field: string) => flagOfField[field] ?? path)
