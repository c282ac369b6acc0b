import type { Given } from '../base/arguments.ts'
import { type Endpoint, placeText } from '../base/endpoint.ts'
import { parseFingerprint } from '../base/fingerprint.ts'
import { endpoint, text } from '../base/setting-forms.ts'
import { type Form, type Origin, originText, type Schema, settingRows, settle, type Values } from '../base/settings.ts'
import { fail } from '../model/errors.ts'
import { isSameServer, type Profile, profileForm, profileIfAny, profileOf } from './profiles.ts'
import type { Terminal } from './terminal.ts'

export const defaultPort = 9527

const fingerprintForm: Form<string> = {
  expects: 'the SHA-256 of a public key, as sha256//… or 64 hexadecimal digits',
  fromText: parseFingerprint,
  fromJson: (value) => (typeof value === 'string' ? parseFingerprint(value) : undefined),
  toText: (value) => value,
}

const pinsForm: Form<Record<string, string>> = {
  expects: 'fingerprints by HOST:PORT',
  fromText: () => undefined,
  fromJson: (value) => (typeof value === 'object' && value !== null && Object.values(value).every((one) => fingerprintForm.fromJson(one) !== undefined) ? (value as Record<string, string>) : undefined),
  toText: (value) => Object.keys(value).join(','),
}

/** What the client can be told, by key in its file. */
export const clientSchema = {
  server: {
    form: endpoint(defaultPort),
    default: { host: '127.0.0.1', port: defaultPort } as Endpoint,
    env: 'TT_SERVER',
    flag: { long: 'server', value: 'HOST:PORT' },
    about: 'The server or proxy to talk to; https:// before it for TLS',
  },
  token: { form: text('the text of a token'), env: 'TT_TOKEN', file: false, secret: true, about: 'What says who you are' },
  clientId: { form: profileForm, env: 'TT_CLIENT_ID', flag: { long: 'client-id', value: 'NAME' }, about: 'The name of a token that `tt config` has saved, and so of its server' },
  fingerprint: { form: fingerprintForm, env: 'TT_FINGERPRINT', file: false, about: 'Of the key of the server: by TLS no other is talked to' },
  pins: { form: pinsForm, default: {} as Record<string, string>, about: 'Fingerprints of servers, by HOST:PORT; `tt config` saves them' },
  config: { form: text('a path'), env: 'TT_CONFIG', file: false, about: 'The file of these settings' },
  dataDir: { form: text('a path'), env: 'TT_DATA_DIR', file: false, about: 'The data directory of a server on this machine, for its token and fingerprint' },
} satisfies Schema

export interface ClientSettings {
  /** With `tls` if that is how it is asked. */
  server: Endpoint
  token?: string
  clientId?: string
  /** Of the server's key, where it is known. */
  fingerprint?: string
  pins: Record<string, string>
  /** For people and `--json`: every setting with its origin; the token only as `set`. */
  rows: { key: string; value: string; origin: string; about: string }[]
}

/**
 * The settings that hold for this call. A token in a profile is sent to the server of the profile and to no other; without one, a server of this machine
 * and user has left one for its clients. With `mending` a profile that is not there is no error.
 */
export function clientSettings(terminal: Terminal, flags: Given, { mending = false } = {}): ClientSettings {
  const file = { path: terminal.config.path, text: configText(terminal) }
  const settled = refusing(() => settle(clientSchema, { flags, env: { variables: terminal.variables, prefix: 'TT_' }, file }))
  const { values, origins } = settled
  const { clientId } = values
  const profile = clientId === undefined ? undefined : mending ? profileIfAny(terminal, clientId) : profileOf(terminal, clientId)
  const asked = isGiven(origins.server) || !profile ? values.server : profile.server
  const own = terminal.ownToken(asked)
  const identity = identityOf(terminal, { values, origins, profile, server: asked, own })
  const trust = trustOf(terminal, { values, server: asked, own: own?.fingerprint && { fingerprint: own.fingerprint, path: own.path } })
  const { fingerprint } = trust
  const server = fingerprint !== undefined && asked.tls === undefined ? { ...asked, tls: true } : asked
  const known: Record<string, { value: string; origin: string }> = {
    server: { value: clientSchema.server.form.toText(server), origin: asked === values.server ? originText(origins.server) : terminal.profiles.pathOf(clientId ?? '') },
    token: { value: identity.token === undefined ? '' : 'set', origin: identity.origin },
    fingerprint: { value: fingerprint ?? '', origin: trust.origin },
    ...(values.config === undefined ? { config: { value: file.path, origin: 'default' } } : {}),
  }
  const rows = settingRows(clientSchema, settled).flatMap((row) => (row.key === 'pins' ? [] : [{ ...row, ...known[row.key] }]))
  return { server, token: identity.token, clientId, fingerprint, pins: values.pins, rows }
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

interface Known {
  values: Values<typeof clientSchema>
  origins: Record<keyof typeof clientSchema, Origin>
  profile?: Profile
  server: Endpoint
  own?: { token: string; path: string }
}

/** A token given for this call goes before one by name, and that before the one of a server of this machine and user; a name by a flag goes before all. */
function identityOf({ profiles }: Terminal, { values, origins, profile, server, own }: Known): { token?: string; origin: string } {
  const { token, clientId = '' } = values
  if (token !== undefined && origins.clientId.from !== 'flag') return { token, origin: originText(origins.token) }
  if (profile && isSameServer(profile.server, server)) return { token: profile.token, origin: profiles.pathOf(clientId) }
  const place = profile && placeText(profile.server)
  if (profile && isGiven(origins.clientId)) fail('invalid', `the token ${clientId} is for ${place} and is sent to no other server than that`, { subject: `profile/${clientId}`, remedy: `leave ${originText(origins.server)} out, or save a token for ${placeText(server)} under another name` })
  if (own) return { token: own.token, origin: own.path }
  return { origin: profile ? `not set; ${clientId} is for ${place}` : 'not set' }
}

function trustOf({ config }: Terminal, { values, server, own }: { values: Known['values']; server: Endpoint; own?: { fingerprint: string; path: string } | '' }): { fingerprint?: string; origin: string } {
  if (values.fingerprint !== undefined) return { fingerprint: values.fingerprint, origin: 'TT_FINGERPRINT' }
  if (own) return { fingerprint: own.fingerprint, origin: own.path.replace(/token$/, 'server.json') }
  const pin = values.pins[placeText(server)]
  return pin === undefined ? { origin: 'not set' } : { fingerprint: parseFingerprint(pin), origin: config.path }
}

const isGiven = ({ from }: Origin) => from === 'flag' || from === 'environment'

function refusing<T>(run: () => T): T {
  try {
    return run()
  } catch (fault) {
    fail('invalid', fault instanceof Error ? fault.message : String(fault), { remedy: 'see `tt status` and `tt config --help`' })
  }
}
