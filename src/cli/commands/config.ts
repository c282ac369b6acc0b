import { type Endpoint, endpointText, isHost, placeText } from '../../base/endpoint.ts'
import { parseFingerprint } from '../../base/fingerprint.ts'
import { whole } from '../../base/setting-forms.ts'
import type { About } from '../../model/cloud.ts'
import { asTtError, fail } from '../../model/errors.ts'
import { type ClientSettings, configText, defaultPort } from '../client-settings.ts'
import type { Action, Invocation } from '../invocation.ts'
import { isSameServer, profileForm, profileIfAny, profileOf, profileText } from '../profiles.ts'
import { visible } from '../text.ts'
import { tokenGiven } from '../token-asked.ts'

/** `tt config`: which server, whose key it has, and what says who you are. */
export const config: Action = {
  operands: [],
  flags: [
    { long: 'server-addr', short: 'a', also: ['serv-addr'], value: 'HOST', about: 'A host name, an IPv4 address, or an IPv6 address with or without brackets' },
    { long: 'server-port', short: 'p', also: ['serv-port'], value: 'PORT', about: 'Its port', default: String(defaultPort) },
    { long: 'tls', about: 'It is asked by TLS' },
    { long: 'no-tls', about: 'It is asked without TLS, and its fingerprint is forgotten' },
    { long: 'fingerprint', value: 'SHA256', about: 'The fingerprint of its key, as `ttserver settings` shows it on its machine; from then on a server with another key is refused' },
    { long: 'trust', about: 'Save the fingerprint that it shows now, unseen: only where nobody can be in between' },
    { long: 'client-id', short: 'n', value: 'NAME', about: 'The name to keep the token under, `default` if there is none yet; alone, whose token to use from now on' },
    { long: 'token-file', value: 'FILE', about: 'A file whose first line is your token for this server; - is standard input' },
    { long: 'token', value: '-', about: 'Read your token from standard input; it is never taken from the command line, where others could see it' },
    { long: 'forget', value: 'NAME', about: 'Remove the token of this name from this machine; the server still knows it' },
  ],
  details: [
    'A server is saved only after it answered. By TLS its certificate must be signed by an authority this machine trusts, or its key must be the one whose fingerprint you give: without either nothing is saved.',
    'Tokens are kept one to a file beside the file of the settings, readable by you only. Each belongs to one server and is sent to no other. On the machine of the server, as the user that started it, neither token nor fingerprint is needed: the client finds those the server left there.',
  ],
  examples: [
    { line: 'tt config --serv-addr 10.0.0.5', about: 'use the server at 10.0.0.5:9527' },
    { line: 'tt config -a fd00::5 -p 9000 --client-id ann --token-file token', about: 'another port, with the token somebody gave you' },
    { line: 'tt config --client-id ann', about: 'be ann again, at her server' },
    { line: 'tt config -a 10.0.0.5 --tls --fingerprint sha256//ZOuhQh6f9fQ+OMDsDSFHzuGFt7dCUz8gnxUMLZkkGYw=', about: 'by TLS, to the server with this key' },
  ],
  run: configure,
}

/** Flags that are about the server, so that it is asked before anything is saved. */
const aboutServer = ['server-addr', 'server-port', 'tls', 'no-tls', 'fingerprint', 'trust', 'token', 'token-file']

async function configure(invocation: Invocation): Promise<void> {
  const { given, terminal } = invocation
  const settings = await invocation.settings() // Refuses a file that is not valid: what cannot be read is never replaced.
  const kept = JSON.parse(configText(terminal) ?? '{}') as Record<string, unknown>
  const name = nameIn(invocation, 'client-id')
  const forgotten = nameIn(invocation, 'forget')
  if (forgotten !== undefined) {
    profileOf(terminal, forgotten)
    terminal.profiles.remove(forgotten)
    if (kept.clientId === forgotten) save(invocation, { ...kept, clientId: undefined })
  }
  if (aboutServer.some((flag) => given.has(flag))) return useServer(invocation, { settings, kept, name })
  if (name !== undefined) return save(invocation, { ...kept, server: endpointText(profileOf(terminal, name).server), clientId: name })
  if (forgotten === undefined) fail('invalid', 'nothing to set', { remedy: 'see `tt config --help`, and `tt status` for what is set' })
}

interface Using {
  settings: ClientSettings
  kept: Record<string, unknown>
  name?: string
}

async function useServer(invocation: Invocation, { settings, kept, name }: Using): Promise<void> {
  const { terminal } = invocation
  const token = await tokenGiven(invocation)
  // By name alone, the token of that name: for its own server.
  const named = name === undefined || token !== undefined ? undefined : profileOf(terminal, name)
  const at = endpointGiven(invocation, named?.server ?? settings.server)
  if (named && !isSameServer(named.server, at)) fail('invalid', `the token ${name} is for ${placeText(named.server)} and is sent to no other server than that`, { subject: `profile/${name}`, remedy: 'give its token for this server too: --token-file FILE' })
  const { server, pin, fingerprint } = await trusted(invocation, at, settings)
  const current = settings.clientId === undefined ? undefined : profileIfAny(terminal, settings.clientId)
  const known = named ?? (current && isSameServer(current.server, server) ? current : undefined)
  const settled = isSameServer(server, settings.server) ? settings.token : undefined
  const about = await asked(invocation, { server, fingerprint, token: token ?? named?.token ?? settled ?? known?.token ?? terminal.ownToken(server)?.token, given: token !== undefined })
  const id = name ?? (known || token !== undefined ? settings.clientId : undefined) ?? (token === undefined ? undefined : 'default')
  if (token !== undefined && id !== undefined) await keep(invocation, id, { server, token, user: about?.user })
  const { [placeText(server)]: _old, ...others } = settings.pins
  const pins = pin === undefined ? (server.tls ? settings.pins : others) : { ...others, [placeText(server)]: pin }
  save(invocation, { ...kept, server: endpointText(server), clientId: id, pins: Object.keys(pins).length === 0 ? undefined : pins })
  await tell(invocation, { server, about, pin })
}

/** The server with how it is asked, the fingerprint it must have, and whether that is to be saved. Refuses one whose key nobody vouches for. */
async function trusted({ given, terminal, call }: Invocation, at: Endpoint, { pins, server: now, fingerprint: settled }: ClientSettings): Promise<{ server: Endpoint; fingerprint?: string; pin?: string }> {
  const wants = ['tls', 'fingerprint', 'trust'].some((flag) => given.has(flag))
  const { host, port } = at
  if (given.has('no-tls')) {
    if (wants) fail('invalid', 'either with TLS or --no-tls')
    return { server: { host, port } }
  }
  const text = given.one('fingerprint')
  const wanted = text === undefined ? undefined : (parseFingerprint(text) ?? fail('invalid', `--fingerprint is ${JSON.stringify(text.slice(0, 100))}, allowed is the SHA-256 of a public key, as sha256//… or 64 hexadecimal digits`))
  const saved = wanted ?? (given.has('trust') ? undefined : pins[placeText(at)])
  const fingerprint = saved ?? (given.has('trust') ? undefined : (terminal.ownToken(at)?.fingerprint ?? (isSameServer(at, now) ? settled : undefined)))
  const tls = wants || fingerprint !== undefined || (at.tls ?? (isSameServer(at, now) && now.tls === true))
  if (!tls) return { server: { host, port } }
  const server = { host, port, tls }
  if (fingerprint !== undefined) return { server, fingerprint, pin: saved }
  const shown = await terminal.shown(server, call)
  if (given.has('trust')) return { server, fingerprint: shown.fingerprint, pin: shown.fingerprint }
  if (shown.untrusted === undefined) return { server }
  fail('denied', `the certificate of ${placeText(server)} is not trusted (${shown.untrusted}); the fingerprint of its key is ${shown.fingerprint}; nothing was saved`, {
    subject: `server/${placeText(server)}`,
    remedy: `compare it with what \`ttserver settings\` says on its machine, then give it: --fingerprint ${shown.fingerprint}`,
  })
}

function nameIn({ given }: Invocation, flag: string): string | undefined {
  const text = given.one(flag)
  return text === undefined ? undefined : (profileForm.fromText(text) ?? fail('invalid', `--${flag} is ${JSON.stringify(text.slice(0, 80))}, allowed is ${profileForm.expects}`))
}

function endpointGiven({ given }: Invocation, now: Endpoint): Endpoint {
  const address = given.one('server-addr')
  const portText = given.one('server-port')
  const ports = whole(1, 65_535)
  const port = portText === undefined ? (address === undefined ? now.port : defaultPort) : (ports.fromText(portText) ?? fail('invalid', `--server-port is ${JSON.stringify(portText)}, allowed is ${ports.expects}`))
  if (address === undefined) return { ...now, port }
  const host = address.replace(/^\[(.*)\]$/, '$1')
  if (!isHost(host)) fail('invalid', `--server-addr is ${JSON.stringify(address.slice(0, 80))}, allowed is a host name or an IP address`, { remedy: 'the port goes into --server-port, and TLS is asked for by --tls' })
  return { host, port }
}

/** Asks the server who it is. One that is there but wants a token it was not given counts as answering; a token it refuses does not. */
async function asked({ terminal, call }: Invocation, { server, fingerprint, token, given }: { server: Endpoint; fingerprint?: string; token?: string; given: boolean }): Promise<About | undefined> {
  try {
    const { cloud } = await terminal.connect(server, { token: token ?? '', fingerprint })
    return await cloud.about(call)
  } catch (thrown) {
    const error = asTtError(thrown)
    if (error.code !== 'unauthenticated') throw thrown
    if (given) fail('unauthenticated', `${placeText(server)} does not know this token; nothing was saved`, { remedy: 'ask whoever runs the server for a token' })
    return undefined
  }
}

/** Keeps a token under its name. Another user's under a name in use is said, as what the name stood for is out of sight from then on. */
async function keep(invocation: Invocation, name: string, { server, token, user }: { server: Endpoint; token: string; user?: string }): Promise<void> {
  const { terminal } = invocation
  const before = profileIfAny(terminal, name)
  saving(terminal.profiles.pathOf(name), () => terminal.profiles.write(name, profileText({ server, token, user })))
  if (before && (before.user !== user || !isSameServer(before.server, server))) await invocation.note(`tt: ${name} was ${visible(before.user ?? 'somebody')} at ${placeText(before.server)} until now`)
}

function save({ terminal }: Invocation, settings: Record<string, unknown>): void {
  saving(terminal.config.path, () => terminal.config.write(`${JSON.stringify(settings, undefined, 2)}\n`))
}

function saving(path: string, write: () => void): void {
  try {
    write()
  } catch (fault) {
    fail('failed', `${path} could not be written: ${fault instanceof Error ? fault.message : String(fault)}`)
  }
}

async function tell(invocation: Invocation, { server, about, pin }: { server: Endpoint; about?: About; pin?: string }): Promise<void> {
  const address = endpointText(server)
  if (invocation.json) return invocation.printJson({ server: address, version: about?.version ?? null, user: about?.user ?? null, role: about?.role ?? null, fingerprint: pin ?? null })
  const trust = pin === undefined ? '' : `, its key is ${pin}`
  await invocation.print(about ? `${address} answered: version ${visible(about.version)}, you are ${visible(about.user)}${trust}; saved in ${invocation.terminal.config.path}` : `${address} answered${trust}; saved in ${invocation.terminal.config.path}`)
  if (!about) await invocation.note(`tt: it wants a token, and none is set\n  give it by \`tt config --token-file FILE\` or TT_TOKEN`)
}
