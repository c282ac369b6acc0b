import { networkInterfaces } from 'node:os'
import { resolve } from 'node:path'
import type { RateLimit } from '../api/rate-limit.ts'
import type { Given } from '../base/arguments.ts'
import { listOf, oneOf, text, whole } from '../base/setting-forms.ts'
import { type Form, type Schema, type Settings, settle, type Values } from '../base/settings.ts'
import { defaultLimits, type Limits } from '../cloud/admission.ts'
import { fail, reasonOf } from '../model/errors.ts'
import type { TlsSettings } from './certificates.ts'
import type { DriverOptions } from './drivers.ts'
import { defaultDataDir } from './home.ts'

const most = 1_000_000_000
const path = text('a path')

/** `40000-43999`. */
const portRange: Form<{ from: number; to: number }> = {
  expects: 'two ports, as 40000-43999',
  fromText(value) {
    const [from, to] = /^(\d{1,5})-(\d{1,5})$/.exec(value)?.slice(1).map(Number) ?? []
    return from !== undefined && to !== undefined && from >= 1024 && from <= to && to <= 65_535 ? { from, to } : undefined
  },
  fromJson: (value) => (typeof value === 'string' ? portRange.fromText(value) : undefined),
  toText: ({ from, to }) => `${from}-${to}`,
}

const driverForm: Form<DriverOptions> = {
  expects: 'options by kind and driver, as {"engine": {"fake": {"bootMs": 100}}}',
  fromText(value) {
    try {
      return driverForm.fromJson(JSON.parse(value))
    } catch {
      return undefined
    }
  },
  fromJson: (value) => (isObject(value) && Object.entries(value).every(([kind, drivers]) => driverKinds.includes(kind) && isObject(drivers) && Object.values(drivers).every(isObject)) ? (value as DriverOptions) : undefined),
  toText: (value) => JSON.stringify(value),
}

const driverKinds = ['engine', 'volume', 'network']
const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value)

/** What a server can be told, by key in its file. */
export const serverSchema = {
  servAddr: { form: text('an address of this machine', 255), default: '127.0.0.1', env: 'TT_SERV_ADDR', flag: { long: 'serv-addr', also: ['server-addr'], value: 'ADDRESS' }, about: 'Where the API listens' },
  servPort: { form: whole(1, 65_535), default: 9527, env: 'TT_SERV_PORT', flag: { long: 'serv-port', also: ['server-port'], value: 'PORT' }, about: 'Its port' },
  imagePath: { form: listOf(path), default: [] as string[], env: 'TT_IMAGE_PATH', flag: { long: 'image-path', value: 'DIR', list: 'commas' }, live: true, about: 'Folders with images; those built from recipes are always there' },
  cpuTotal: { form: whole(1, most), env: 'TT_CPU_TOTAL', flag: { long: 'cpu-total', value: 'N' }, live: true, about: 'Cpus of the machine for VMs; by default all' },
  cpuOvercommit: { form: whole(1, 64), env: 'TT_CPU_OVERCOMMIT', flag: { long: 'cpu-overcommit', value: 'N' }, live: true, about: 'VMs may ask for so many times the cpus there are, as they are rarely all busy; by default 8, and 1 with --cpu-total' },
  memTotal: { form: whole(1, most), env: 'TT_MEM_TOTAL', flag: { long: 'mem-total', value: 'MB' }, live: true, about: 'Memory offered; by default all of it' },
  diskTotal: { form: whole(1, most), env: 'TT_DISK_TOTAL', flag: { long: 'disk-total', value: 'MB' }, live: true, about: 'Disk offered; by default the size of the file system of the data directory' },
  vmsMax: { form: whole(1, 1_000_000), default: 100_000, env: 'TT_VMS_MAX', flag: { long: 'vms-max', value: 'N' }, live: true, about: 'VMs at the same time' },
  dataDir: { form: path, env: 'TT_DATA_DIR', flag: { long: 'data-dir', value: 'DIR' }, about: 'Where the server keeps its things' },
  logPath: { form: path, env: 'TT_LOG_PATH', flag: { long: 'log-path', value: 'FILE' }, about: 'Where it logs; by default standard error, in the background server.log in the data directory' },
  logLevel: { form: oneOf('debug', 'info', 'warn', 'error'), default: 'info' as const, env: 'TT_LOG_LEVEL', flag: { long: 'log-level', value: 'LEVEL' }, live: true, about: 'The least that is logged' },
  onExit: { form: oneOf('keep', 'destroy'), default: 'keep' as const, env: 'TT_ON_EXIT', flag: { long: 'on-exit', value: 'WHAT' }, about: 'What becomes of the VMs when the server ends, however it ends: `keep` lets them run on, `destroy` takes them away with it' },
  engine: { form: listOf(text('an engine', 32)), default: [] as string[], env: 'TT_ENGINE', flag: { long: 'engine', value: 'NAME', list: 'commas' }, about: 'Engines to use; by default every one that works here. `fake` runs nothing and needs nothing' },
  network: { form: listOf(text('a network driver', 32)), default: [] as string[], env: 'TT_NETWORK', flag: { long: 'network', value: 'NAME', list: 'commas' }, about: 'Network drivers to try, in this order' },
  volume: { form: listOf(text('a volume driver', 32)), default: [] as string[], env: 'TT_VOLUME', flag: { long: 'volume', value: 'NAME', list: 'commas' }, about: 'Volume drivers to try, in this order' },
  store: { form: oneOf('sqlite', 'memory'), default: 'sqlite' as const, env: 'TT_STORE', flag: { long: 'store', value: 'NAME' }, about: 'Where the truth is kept; `memory` forgets it with the process' },
  subnet: { form: text('a subnet, as 10.77.0.0/16', 18), env: 'TT_SUBNET', flag: { long: 'subnet', value: 'CIDR' }, about: 'Addresses for VMs; by default a free /16 from 10.64 to 10.191' },
  portRange: { form: portRange, env: 'TT_PORT_RANGE', flag: { long: 'port-range', value: 'FROM-TO' }, about: 'Public ports for VMs; by default 4,000 from 40000 to 59999 that no other server here uses' },
  publicAddress: { form: text('an address', 255), env: 'TT_PUBLIC_ADDRESS', flag: { long: 'public-address', value: 'ADDRESS' }, about: 'Where clients reach this host and the ports of its VMs; by default where it listens' },
  cpuMax: { form: whole(1, 65_536), default: defaultLimits.cpuMax, env: 'TT_CPU_MAX', flag: { long: 'cpu-max', value: 'N' }, live: true, about: 'Cpus one VM may ask for' },
  memMin: { form: whole(1, most), default: defaultLimits.memMinMb, env: 'TT_MEM_MIN', flag: { long: 'mem-min', value: 'MB' }, live: true, about: 'Memory one VM must ask for at least' },
  diskMin: { form: whole(1, most), default: defaultLimits.diskMinMb, env: 'TT_DISK_MIN', flag: { long: 'disk-min', value: 'MB' }, live: true, about: 'Disk one VM must ask for at least' },
  dupMax: { form: whole(0, 999_999), default: defaultLimits.copiesMax - 1, env: 'TT_DUP_MAX', flag: { long: 'dup-max', value: 'N' }, live: true, about: 'Extra copies of an image in one ENV' },
  lifetimeMax: { form: whole(30, most), default: defaultLimits.lifetimeMaxSeconds, env: 'TT_LIFETIME_MAX', flag: { long: 'lifetime-max', value: 'SECONDS' }, live: true, about: 'Longest life of an ENV without --SSSS' },
  powerInterval: { form: whole(0, 86_400), default: defaultLimits.powerIntervalSeconds, env: 'TT_POWER_INTERVAL', flag: { long: 'power-interval', value: 'SECONDS' }, live: true, about: 'Time between a stop and a start of one ENV; 0: none' },
  creationsMax: { form: whole(1, most), default: defaultLimits.creationsMax, env: 'TT_CREATIONS_MAX', flag: { long: 'creations-max', value: 'N' }, live: true, about: 'ENVs that are being made at the same time; more wait for their turn' },
  queueWait: { form: whole(1, most), default: defaultLimits.queueSeconds, env: 'TT_QUEUE_WAIT', flag: { long: 'queue-wait', value: 'SECONDS' }, live: true, about: 'How long the making of an ENV may wait for its turn' },
  changeLimit: { form: whole(1, most), default: defaultLimits.changeSeconds, env: 'TT_CHANGE_LIMIT', flag: { long: 'change-limit', value: 'SECONDS' }, live: true, about: 'How long a stop, a start, a change or the removal of an ENV may take before its task has failed' },
  drivers: { form: driverForm, default: {} as DriverOptions, env: 'TT_DRIVERS', flag: { long: 'drivers', value: 'JSON' }, about: 'Options by kind and driver' },
  rateLimit: { form: whole(0, 1_000_000), default: 2000, env: 'TT_RATE_LIMIT', flag: { long: 'rate-limit', value: 'N' }, live: true, about: 'Requests a token may make per second; 0 is no limit' },
  rateBurst: { form: whole(1, 1_000_000), env: 'TT_RATE_BURST', flag: { long: 'rate-burst', value: 'N' }, live: true, about: 'Requests it may make at once after some quiet; by default those of two seconds' },
  tls: { form: oneOf('off', 'own', 'given'), env: 'TT_TLS', flag: { long: 'tls', value: 'MODE' }, about: '`own` makes a certificate at the first start, whose fingerprint clients pin; `given` shows that of --tls-cert, and is meant by it; by default off' },
  tlsCert: { form: path, env: 'TT_TLS_CERT', flag: { long: 'tls-cert', value: 'FILE' }, about: 'A certificate in PEM, those of its chain after it' },
  tlsKey: { form: path, env: 'TT_TLS_KEY', flag: { long: 'tls-key', value: 'FILE' }, about: 'Its key, which others may not read' },
  config: { form: path, env: 'TT_SERVER_CONFIG', file: false, flag: { long: 'config', value: 'FILE' }, about: 'A JSON file with these settings' },
} satisfies Schema

/** The settings of a server, worked out. */
export interface ServerSettings {
  address: string
  port: number
  publicAddress: string
  imagePaths: string[]
  cpuTotal?: number
  cpuOvercommit?: number
  memTotal?: number
  diskTotal?: number
  vmsMax: number
  dataDir: string
  logPath?: string
  logLevel: 'debug' | 'info' | 'warn' | 'error'
  onExit: 'keep' | 'destroy'
  engines: string[]
  networks: string[]
  volumes: string[]
  store: 'sqlite' | 'memory'
  subnet?: string
  portFrom?: number
  portTo?: number
  limits: Limits
  driverOptions: DriverOptions
  tls: TlsSettings
  rateLimit: RateLimit
  settled: Settings<typeof serverSchema>
}

/** Variables of other programs of the project, not misspelt settings of the server. */
const foreign = ['TT_SERVER', 'TT_TOKEN', 'TT_CLIENT_ID', 'TT_FINGERPRINT', 'TT_CONFIG', 'TT_IMAGE_CACHE', 'TT_SOAK', 'TT_CRASH_AT', 'TT_LEASH']

export function serverSettings(flags: Given, variables: NodeJS.ProcessEnv, readFile: (path: string) => string | undefined): ServerSettings {
  const own = Object.fromEntries(Object.entries(variables).filter(([name]) => !foreign.includes(name)))
  const file = flags.one('config') ?? variables['TT_SERVER_CONFIG']
  try {
    // One that is named on the line is meant; that of the environment may be there or not, as a service has it.
    if (flags.has('config') && readFile(file ?? '') === undefined) throw new Error(`there is no file ${file}`)
    return settingsOf(settle(serverSchema, { flags, env: { variables: own, prefix: 'TT_' }, ...(file === undefined ? {} : { file: { path: file, text: readFile(file) } }) }), variables)
  } catch (fault) {
    fail('invalid', reasonOf(fault), { subject: 'server', remedy: 'see `ttserver --help`' })
  }
}

/** The settings as the server works with them. Throws a plain Error when they do not go together. */
export function settingsOf(settled: Settings<typeof serverSchema>, variables: NodeJS.ProcessEnv): ServerSettings {
  const { values } = settled
  const address = values.servAddr.replace(/^\[(.*)\]$/, '$1')
  return {
    address,
    port: values.servPort,
    publicAddress: values.publicAddress ?? reachable(address),
    imagePaths: values.imagePath,
    cpuTotal: values.cpuTotal,
    cpuOvercommit: values.cpuOvercommit,
    memTotal: values.memTotal,
    diskTotal: values.diskTotal,
    vmsMax: values.vmsMax,
    dataDir: values.dataDir !== undefined ? resolve(values.dataDir) : defaultDataDir(address, values.servPort, variables),
    logPath: values.logPath,
    logLevel: values.logLevel,
    onExit: values.onExit,
    engines: values.engine,
    networks: values.network,
    volumes: values.volume,
    store: values.store,
    subnet: values.subnet,
    portFrom: values.portRange?.from,
    portTo: values.portRange?.to,
    limits: { ...defaultLimits, cpuMax: values.cpuMax, memMinMb: values.memMin, diskMinMb: values.diskMin, copiesMax: values.dupMax + 1, lifetimeMaxSeconds: values.lifetimeMax, powerIntervalSeconds: values.powerInterval, creationsMax: values.creationsMax, queueSeconds: values.queueWait, changeSeconds: values.changeLimit },
    driverOptions: values.drivers,
    tls: tlsOf(values),
    rateLimit: { perSecond: values.rateLimit, burst: values.rateBurst ?? Math.max(1, values.rateLimit * 2) },
    settled,
  }
}

/** Where others find a server that listens everywhere: at the first address of this machine that is not its own alone. */
function reachable(address: string): string {
  if (address !== '0.0.0.0' && address !== '::') return address
  const family = address === '::' ? 'IPv6' : 'IPv4'
  const own = Object.values(networkInterfaces()).flatMap((list) => list ?? [])
  return own.find((one) => !one.internal && one.family === family && !one.address.startsWith('fe80:'))?.address ?? (family === 'IPv4' ? '127.0.0.1' : '::1')
}

function tlsOf({ tls, tlsCert, tlsKey }: Values<typeof serverSchema>): TlsSettings {
  const mode = tls ?? (tlsCert === undefined && tlsKey === undefined ? 'off' : 'given')
  if (mode !== 'given') {
    if (tlsCert !== undefined || tlsKey !== undefined) throw new Error(`--tls-cert and --tls-key are for --tls given, and it is ${mode}`)
    return { mode }
  }
  if (tlsCert === undefined || tlsKey === undefined) throw new Error('a given certificate needs both --tls-cert and --tls-key')
  return { mode, certPath: resolve(tlsCert), keyPath: resolve(tlsKey) }
}
