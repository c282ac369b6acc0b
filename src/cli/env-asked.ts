import type { Flag, Given } from '../base/arguments.ts'
import { check } from '../model/check.ts'
import { type EnvAsked, EnvSpec } from '../model/env.ts'
import { fail } from '../model/errors.ts'
import { atEndOf } from './env-edit.ts'
import { numberOf } from './flag-values.ts'
import { lifetimeOf, longLifeFlag } from './life-asked.ts'
import { addressesOf, peersOf, portsOf } from './reach-asked.ts'
import { flavorAsked } from './sizes-asked.ts'

/** The flags that describe an ENV. */
export const envFlags: readonly Flag[] = [
  { long: 'os-prefix', short: 's', value: 'PREFIX', list: 'commas', required: true, of: 'prefix', about: 'What the names of the images begin with, upper or lower case, with or without the engine; every image that fits becomes a VM' },
  { long: 'dup-each', short: 'd', value: 'N', about: 'So many copies more of each', default: '0' },
  { long: 'flavor', value: 'NAME|NUMBER', of: 'flavor', about: 'Cpus, memory and disk of a flavor, as m1.small or 2: see tt flavor list; sizes given beside it count more' },
  { long: 'cpu-num', short: 'C', value: 'N', about: 'Cpus of each VM', default: "the image's, else 2" },
  { long: 'mem-size', short: 'M', value: 'MB', about: 'Memory of each VM', default: "the image's, else 1024" },
  { long: 'disk-size', short: 'D', value: 'MB', about: 'Disk of each VM', default: "the image's, else 40960" },
  { long: 'vm-port', short: 'p', value: 'PORT', list: 'commas', about: 'Ports of each VM to reach from outside, TCP and UDP' },
  { long: 'life-time', short: 'l', value: 'SECONDS', about: 'When it ends, counted from now; 90m, 12h, 7d are understood too, 0 or never means that it does not end', default: '3600' },
  longLifeFlag,
  { long: 'at-end', value: 'delete|stop', about: 'What happens at its end: it is deleted, or halted and kept', default: 'delete' },
  { long: 'keep-disks', also: ['keep-image'], about: 'Disks of VMs that are taken away stay, as images of its owner' },
  { long: 'deny-outgoing', short: 'n', about: 'Its VMs may not open connections to the outside' },
  { long: 'deny', value: 'ADDRESS', list: 'commas', about: 'Addresses and prefixes its VMs may not open connections to; of a VM of another ENV on the same server, it cuts both directions' },
  { long: 'peer', value: 'ENV', list: 'commas', of: 'env', about: 'ENVs it may talk with; of another owner, that one must name it too' },
  { long: 'host', value: 'HOST', of: 'host', about: 'Only this host may run it' },
  { long: 'deadline', value: 'SECONDS', about: 'All VMs must answer within this time, else the ENV has failed', default: '600' },
]

/** The ENV that the flags describe, checked as the server will check it: what is wrong is named by its flag. */
export function envAsked(given: Given): EnvAsked {
  const sizes = {
    count: 1 + (numberOf(given, 'dup-each') ?? 0),
    cpu: numberOf(given, 'cpu-num'),
    memMb: numberOf(given, 'mem-size'),
    diskMb: numberOf(given, 'disk-size'),
    ...(given.has('flavor') ? { flavor: flavorAsked(given.one('flavor') ?? '') } : {}),
    ...(given.has('vm-port') ? { ports: portsOf(given, 'vm-port') } : {}),
  }
  const deny = addressesOf(given, 'deny')
  const peers = peersOf(given, 'peer')
  if (deny.includes('all')) fail('invalid', '--deny is "all", allowed is an IPv4 address or prefix', { remedy: 'to deny everything, use --deny-outgoing' })
  const asked: EnvAsked = {
    groups: [...new Set(given.all('os-prefix'))].map((prefix) => ({ prefix, ...sizes })),
    ...(given.has('life-time') ? { lifetimeSeconds: lifetimeOf(given.one('life-time') ?? '') } : {}),
    ...(given.has('long-life') ? { longLife: true } : {}),
    ...(given.has('at-end') ? { atEnd: atEndOf(given.one('at-end') ?? '') } : {}),
    ...(given.has('keep-disks') ? { keepDisks: true } : {}),
    ...(given.has('deny-outgoing') ? { denyOutgoing: true } : {}),
    ...(deny.length > 0 ? { deny } : {}),
    ...(peers.length > 0 ? { peers } : {}),
    ...(given.has('deadline') ? { deadlineSeconds: numberOf(given, 'deadline') } : {}),
    ...(given.has('host') ? { host: given.one('host') } : {}),
  }
  const { wrong } = check(EnvSpec, asked)
  if (wrong !== undefined) fail('invalid', flagged(wrong), { remedy: 'see `tt env add --help`' })
  return asked
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
  deny: '--deny',
  peers: '--peer',
}

/** The server's sentence with the flag in place of the field that it fills. */
const flagged = (wrong: string): string => wrong.replace(/^(?:groups\.\d+\.)?([A-Za-z]+)(?:\.\d+)?(?= is )/, (path, field: string) => flagOfField[field] ?? path)
