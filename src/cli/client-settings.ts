import type { Given } from '../base/arguments.ts'
import { type Endpoint, endpointText } from '../base/endpoint.ts'
import { endpoint, text } from '../base/setting-forms.ts'
import { originText, type Schema, settingRows, settle } from '../base/settings.ts'
import { fail } from '../model/errors.ts'
import type { Terminal } from './terminal.ts'

export const defaultPort = 9527

/** What the client can be told, by key in its file. */
export const clientSchema = {
  server: {
    form: endpoint(defaultPort),
    default: { host: '127.0.0.1', port: defaultPort },
    env: 'TT_SERVER',
    flag: { long: 'server', value: 'HOST:PORT' },
    about: 'The server or proxy to talk to',
  },
  token: { form: text('the text of a token'), env: 'TT_TOKEN', secret: true, about: 'What says who you are' },
  clientId: { form: text('a name of at most 64 characters', 64), about: 'A name for this client' },
  config: { form: text('a path'), env: 'TT_CONFIG', file: false, about: 'The file of these settings' },
  dataDir: { form: text('a path'), env: 'TT_DATA_DIR', file: false, about: 'The data directory of a server on this machine, for its token' },
} satisfies Schema

export interface ClientSettings {
  server: Endpoint
  token?: string
  clientId?: string
  /** For people and `--json`: every setting with its origin; the token only as `set`. */
  rows: { key: string; value: string; origin: string; about: string }[]
}

/**
 * The settings that hold for this call. A token in the file belongs to the server in the file and is sent to no other; without one, a
 * server of this machine and user has left one for its clients.
 */
export function clientSettings(terminal: Terminal, flags: Given): ClientSettings {
  const file = { path: terminal.config.path, text: configText(terminal) }
  const env = { variables: terminal.variables, prefix: 'TT_' }
  const settled = refusing(() => settle(clientSchema, { flags, env, file }))
  const { server, clientId } = settled.values
  const rows = settingRows(clientSchema, settled).map((row) => (row.key === 'config' && row.value === '' ? { ...row, value: file.path, origin: 'default' } : row))
  const show = (value: string, origin: string) => rows.map((row) => (row.key === 'token' ? { ...row, value, origin } : row))
  const { token } = settled.values
  const from = settled.origins.token
  if (token !== undefined && (from.from !== 'file' || endpointText(server) === endpointText(serverIn(file)))) return { server, token, clientId, rows: show('set', originText(from)) }
  const own = terminal.ownToken(server)
  if (own) return { server, token: own.token, clientId, rows: show('set', own.path) }
  return { server, clientId, rows: show('', token === undefined ? 'not set' : `not set; the one in ${file.path} is for ${endpointText(serverIn(file))}`) }
}

/** The file's text; a file that is there and cannot be read is an error, never an empty one. */
export function configText({ config }: Terminal): string | undefined {
  try {
    return config.read()
  } catch (fault) {
    const why = fault instanceof Error ? fault.message : String(fault)
    fail('invalid', `the settings in ${config.path} cannot be read: ${why}`, { remedy: 'mend or move the file; TT_CONFIG names another' })
  }
}

/** The server that the file names, or the default. */
const serverIn = (file: { path: string; text?: string }): Endpoint => settle(clientSchema, { file }).values.server

function refusing<T>(run: () => T): T {
  try {
    return run()
  } catch (fault) {
    fail('invalid', fault instanceof Error ? fault.message : String(fault), { remedy: 'see `tt status` and `tt config --help`' })
  }
}
