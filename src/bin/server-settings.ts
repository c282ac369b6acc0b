import { resolve } from 'node:path'
import type { Given } from '../base/arguments.ts'
import { listOf, oneOf, text, whole } from '../base/setting-forms.ts'
import { type Form, type Schema, type Settings, settle } from '../base/settings.ts'
import { defaultLimits, type Limits } from '../cloud/admission.ts'
import { fail, reasonOf } from '../model/errors.ts'
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
  imagePath: { form: listOf(path), default: [] as string[], env: 'TT_IMAGE_PATH', flag: { long: 'image-path', value: 'DIR', list: 'commas' }, about: 'Folders with images; those built from recipes are always there' },
  cpuTotal: { form: whole(1, most), env: 'TT_CPU_TOTAL', flag: { long: 'cpu-total', value: 'N' }, about: 'Cpus offered to VMs; by default 8 times those of the machine' },
  memTotal: { form: whole(1, most), env: 'TT_MEM_TOTAL', flag: { long: 'mem-total', value: 'MB' }, about: 'Memory offered; by default all of it' },
  diskTotal: { form: whole(1, most), env: 'TT_DISK_TOTAL', flag: { long: 'disk-total', value: 'MB' }, about: 'Disk offered; by default the size of the file system of the data directory' },
  vmsMax: { form: whole(1, 1_000_000), default: 100_000, env: 'TT_VMS_MAX', flag: { long: 'vms-max', value: 'N' }, about: 'VMs at the same time' },
  dataDir: { form: path, env: 'TT_DATA_DIR', flag: { long: 'data-dir', value: 'DIR' }, about: 'Where the server keeps its things' },
  logPath: { form: path, env: 'TT_LOG_PATH', flag: { long: 'log-path', value: 'FILE' }, about: 'Where it logs; by default standard error, in the background server.log in the data directory' },
  logLevel: { form: oneOf('debug', 'info', 'warn', 'error'), default: 'info' as const, env: 'TT_LOG_LEVEL', flag: { long: 'log-level', value: 'LEVEL' }, about: 'The least that is logged' },
  engine: { form: listOf(text('an engine', 32)), default: [] as string[], env: 'TT_ENGINE', flag: { long: 'engine', value: 'NAME', list: 'commas' }, about: 'Engines to use; by default every one that works here. `fake` runs nothing and needs nothing' },
  network: { form: listOf(text('a network driver', 32)), default: [] as string[], env: 'TT_NETWORK', flag: { long: 'network', value: 'NAME', list: 'commas' }, about: 'Network drivers to try, in this order' },
  volume: { form: listOf(text('a volume driver', 32)), default: [] as string[], env: 'TT_VOLUME', flag: { long: 'volume', value: 'NAME', list: 'commas' }, about: 'Volume drivers to try, in this order' },
  store: { form: oneOf('sqlite', 'memory'), default: 'sqlite' as const, env: 'TT_STORE', flag: { long: 'store', value: 'NAME' }, about: 'Where the truth is kept; `memory` forgets it with the process' },
  subnet: { form: text('a subnet, as 10.77.0.0/16', 18), env: 'TT_SUBNET', flag: { long: 'subnet', value: 'CIDR' }, about: 'Addresses for VMs; by default a free /16 from 10.64 to 10.191' },
  portRange: { form: portRange, env: 'TT_PORT_RANGE', flag: { long: 'port-range', value: 'FROM-TO' }, about: 'Public ports for VMs; by default 4,000 from 40000 to 59999 that no other server here uses' },
  publicAddress: { form: text('an address', 255), env: 'TT_PUBLIC_ADDRESS', flag: { long: 'public-address', value: 'ADDRESS' }, about: 'Where clients reach this host and the ports of its VMs; by default where it listens' },
  cpuMax: { form: whole(1, 65_536), default: defaultLimits.cpuMax, env: 'TT_CPU_MAX', flag: { long: 'cpu-max', value: 'N' }, about: 'Cpus one VM may ask for' },
  memMin: { form: whole(1, most), default: defaultLimits.memMinMb, env: 'TT_MEM_MIN', flag: { long: 'mem-min', value: 'MB' }, about: 'Memory one VM must ask for at least' },
  diskMin: { form: whole(1, most), default: defaultLimits.diskMinMb, env: 'TT_DISK_MIN', flag: { long: 'disk-min', value: 'MB' }, about: 'Disk one VM must ask for at least' },
  dupMax: { form: whole(0, 999_999), default: defaultLimits.copiesMax - 1, env: 'TT_DUP_MAX', flag: { long: 'dup-max', value: 'N' }, about: 'Extra copies of an image in one ENV' },
  drivers: { form: driverForm, default: {} as DriverOptions, env: 'TT_DRIVERS', flag: { long: 'drivers', value: 'JSON' }, about: 'Options by kind and driver' },
  config: { form: path, env: 'TT_SERVER_CONFIG', file: false, flag: { long: 'config', value: 'FILE' }, about: 'A JSON file with these settings' },
} satisfies Schema

/** The settings of a server, worked out. */
export interface ServerSettings {
  address: string
  port: number
  publicAddress: string
  imagePaths: string[]
  cpuTotal?: number
  memTotal?: number
  diskTotal?: number
  vmsMax: number
  dataDir: string
  logPath?: string
  logLevel: 'debug' | 'info' | 'warn' | 'error'
  engines: string[]
  networks: string[]
  volumes: string[]
  store: 'sqlite' | 'memory'
  subnet?: string
  portFrom?: number
  portTo?: number
  limits: Limits
  driverOptions: DriverOptions
  settled: Settings<typeof serverSchema>
}

/** Variables of other programs of the project, not misspelt settings of the server. */
const foreign = ['TT_SERVER', 'TT_TOKEN', 'TT_CONFIG', 'TT_IMAGE_CACHE', 'TT_SOAK', 'TT_CRASH_AT']

export function serverSettings(flags: Given, variables: NodeJS.ProcessEnv, readFile: (path: string) => string | undefined): ServerSettings {
  const own = Object.fromEntries(Object.entries(variables).filter(([name]) => !foreign.includes(name)))
  const file = flags.one('config') ?? variables['TT_SERVER_CONFIG']
  try {
    const settled = settle(serverSchema, { flags, env: { variables: own, prefix: 'TT_' }, ...(file === undefined ? {} : { file: { path: file, text: readFile(file) } }) })
    const { values } = settled
    const address = values.servAddr.replace(/^\[(.*)\]$/, '$1')
    return {
      address,
      port: values.servPort,
      publicAddress: values.publicAddress ?? address,
      imagePaths: values.imagePath,
      cpuTotal: values.cpuTotal,
      memTotal: values.memTotal,
      diskTotal: values.diskTotal,
      vmsMax: values.vmsMax,
      dataDir: values.dataDir !== undefined ? resolve(values.dataDir) : defaultDataDir(address, values.servPort, variables),
      logPath: values.logPath,
      logLevel: values.logLevel,
      engines: values.engine,
      networks: values.network,
      volumes: values.volume,
      store: values.store,
      subnet: values.subnet,
      portFrom: values.portRange?.from,
      portTo: values.portRange?.to,
      limits: { cpuMax: values.cpuMax, memMinMb: values.memMin, diskMinMb: values.diskMin, copiesMax: values.dupMax + 1 },
      driverOptions: values.drivers,
      settled,
    }
  } catch (fault) {
    fail('invalid', reasonOf(fault), { subject: 'server', remedy: 'see `ttserver --help`' })
  }
}
