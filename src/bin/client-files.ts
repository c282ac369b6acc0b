import type { Endpoint } from '../base/endpoint.ts'
import type { Terminal } from '../cli/terminal.ts'

// Importing node:fs as a module costs 2 ms, because it runs the getter of its promises; this does not.
const fs = process.getBuiltinModule('node:fs')
const os = process.getBuiltinModule('node:os')
const { join, dirname } = process.getBuiltinModule('node:path')

/** The files of the client: its settings, the tokens it keeps, and those that servers of this machine and user leave for it. It opens no others. */
export function clientFiles(env: NodeJS.ProcessEnv, dataHome = defaultDataHome(env)): Pick<Terminal, 'config' | 'profiles' | 'readFile' | 'ownToken'> {
  const path = env['TT_CONFIG'] || join(env['XDG_CONFIG_HOME'] || join(homeOf(env), '.config'), 'tt', 'config.json')
  return {
    config: { path, read: () => readIfThere(path), write: (text) => replace(path, text) },
    profiles: profilesIn(join(dirname(path), 'tokens')),
    readFile: (name) => fs.readFileSync(name, 'utf8'),
    ownToken(server) {
      if (!isHere(server.host)) return undefined
      const dirs = env['TT_DATA_DIR'] ? [env['TT_DATA_DIR']] : dataDirs(dataHome, server)
      const found = dirs.map(tokenIn).find((one) => one !== undefined)
      const fingerprint = found && fingerprintIn(dirname(found.path))
      return found && fingerprint !== undefined ? { ...found, fingerprint } : found
    },
  }
}

/** A file for each, in a directory that only its owner may enter. A name with anything else than a profile's letters is nobody's. */
function profilesIn(dir: string): Terminal['profiles'] {
  const pathOf = (name: string) => join(dir, name)
  return {
    pathOf,
    names: () => namesIn(dir).filter((name) => /^[A-Za-z0-9][\w.-]{0,63}$/.test(name) && !name.endsWith('.new')).sort(),
    read: (name) => readIfThere(pathOf(name)),
    write: (name, text) => replace(pathOf(name), text),
    remove: (name) => fs.rmSync(pathOf(name), { force: true }),
  }
}

const homeOf = (env: NodeJS.ProcessEnv) => env['HOME'] || os.homedir()

/** Where servers of this user have their data directories. */
const defaultDataHome = (env: NodeJS.ProcessEnv) => (process.getuid?.() === 0 ? '/var/lib/tt' : join(env['XDG_DATA_HOME'] || join(homeOf(env), '.local/share'), 'tt'))

function readIfThere(path: string): string | undefined {
  try {
    return fs.readFileSync(path, 'utf8')
  } catch (fault) {
    if ((fault as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw fault
  }
}

/** The file is whole, old or new, at any moment, and only its owner can read it. A link stays one: what it leads to is replaced. */
function replace(path: string, text: string): void {
  fs.mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  const target = fs.existsSync(path) ? fs.realpathSync(path) : path
  const temporary = `${target}.${process.pid}.new`
  try {
    const fd = fs.openSync(temporary, 'wx', 0o600)
    try {
      fs.writeSync(fd, text)
      fs.fsyncSync(fd)
    } finally {
      fs.closeSync(fd)
    }
    fs.renameSync(temporary, target)
  } catch (fault) {
    fs.rmSync(temporary, { force: true })
    throw fault
  }
}

/** Data directories are called `ADDRESS-PORT`: those of this port, the one of this very address first, then those that listen everywhere. */
function dataDirs(dataHome: string, { host, port }: Endpoint): string[] {
  const own = asName(host)
  const rank = (address: string) => (address === own ? 0 : address === '0.0.0.0' || address === asName('::') ? 1 : isLoopback(address) ? 2 : 3)
  const end = `-${port}`
  return namesIn(dataHome)
    .filter((name) => name.endsWith(end))
    .map((name) => ({ name, rank: rank(name.slice(0, -end.length)) }))
    .sort((one, two) => one.rank - two.rank || (one.name < two.name ? -1 : 1))
    .map(({ name }) => join(dataHome, name))
}

function namesIn(dir: string): string[] {
  try {
    return fs.readdirSync(dir)
  } catch {
    return []
  }
}

/** As `defaultDataDir` of the server writes an address. */
const asName = (host: string) => host.replaceAll(/[^A-Za-z0-9.-]/g, '_')

/** One that cannot be read is another user's, and not for us. */
function tokenIn(dir: string): { token: string; path: string } | undefined {
  const path = join(dir, 'token')
  try {
    const token = fs.readFileSync(path, 'utf8').trim()
    return /^[\x21-\x7e]{1,1000}$/.test(token) ? { token, path } : undefined
  } catch {
    return undefined
  }
}

/** The fingerprint a server says it has while it runs. */
function fingerprintIn(dir: string): string | undefined {
  try {
    const { fingerprint } = JSON.parse(fs.readFileSync(join(dir, 'server.json'), 'utf8')) as { fingerprint?: unknown }
    return typeof fingerprint === 'string' && /^sha256\/\/[A-Za-z0-9+/]{43}=$/.test(fingerprint) ? fingerprint : undefined
  } catch {
    return undefined
  }
}

// Whole addresses only: 127.example.org is somebody's name.
const isLoopback = (host: string) => /^127(\.\d{1,3}){3}$/.test(host) || host === 'localhost' || host === '::1'

/** Whether the address is this machine's. */
function isHere(host: string): boolean {
  if (isLoopback(host) || host === '0.0.0.0' || host === '::') return true
  if (host.toLowerCase() === os.hostname().toLowerCase()) return true
  return Object.values(os.networkInterfaces()).some((list) => list?.some(({ address }) => address === host))
}
