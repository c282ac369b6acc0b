import { type Endpoint, endpointText, isHost } from '../../base/endpoint.ts'
import { whole } from '../../base/setting-forms.ts'
import type { About } from '../../model/cloud.ts'
import { asTtError, fail } from '../../model/errors.ts'
import { clientSchema, configText, defaultPort } from '../client-settings.ts'
import type { Action, Invocation } from '../invocation.ts'
import type { Terminal } from '../terminal.ts'
import { visible } from '../text.ts'

/** `tt config`: which server, and what says who you are. */
export const config: Action = {
  operands: [],
  flags: [
    { long: 'server-addr', short: 'a', also: ['serv-addr'], value: 'HOST', about: 'A host name, an IPv4 address, or an IPv6 address with or without brackets' },
    { long: 'server-port', short: 'p', also: ['serv-port'], value: 'PORT', about: 'Its port', default: String(defaultPort) },
    { long: 'token-file', value: 'FILE', about: 'A file whose first line is your token for this server' },
    { long: 'token', value: '-', about: 'Read your token from standard input; it is never taken from the command line, where others could see it' },
    { long: 'client-id', short: 'n', value: 'NAME', about: 'A name for this client, shown by `tt status`; who you are is said by the token' },
  ],
  details: [
    'The server is saved only after it answered. A token is kept in the file of the settings, which only you can read, and is sent to that server alone: naming another server forgets it. On the machine of the server, as the user that started it, no token is needed: the client finds the one the server left there.',
  ],
  examples: [
    { line: 'tt config --serv-addr 10.0.0.5', about: 'use the server at 10.0.0.5:9527' },
    { line: 'tt config -a fd00::5 -p 9000 --token-file token', about: 'another port, with the token somebody gave you' },
  ],
  run: configure,
}

async function configure(invocation: Invocation): Promise<void> {
  const { given, terminal } = invocation
  const settings = await invocation.settings() // Refuses a file that is not valid: what cannot be read is never replaced.
  const kept = JSON.parse(configText(terminal) ?? '{}') as Record<string, unknown>
  const changes: Record<string, unknown> = {}
  if (given.has('client-id')) changes.clientId = clientSchema.clientId.form.fromText(given.one('client-id') ?? '') ?? fail('invalid', `--client-id is not ${clientSchema.clientId.form.expects}`)
  const token = await tokenGiven(invocation)
  if (given.has('server-addr') || given.has('server-port') || token !== undefined) {
    const server = endpointGiven(invocation, settings.server)
    const same = endpointText(server) === endpointText(settings.server)
    const own = terminal.ownToken(server)?.token
    const about = await asked(invocation, { server, token: token ?? (same ? settings.token : own), given: token !== undefined })
    changes.server = endpointText(server)
    changes.token = token ?? (kept.server === changes.server ? kept.token : undefined)
    await save(invocation, { ...kept, ...changes })
    return tell(invocation, server, about)
  }
  if (Object.keys(changes).length === 0) fail('invalid', 'nothing to set', { remedy: 'see `tt config --help`, and `tt status` for what is set' })
  await save(invocation, { ...kept, ...changes })
}

function endpointGiven({ given }: Invocation, now: Endpoint): Endpoint {
  const address = given.one('server-addr')
  const portText = given.one('server-port')
  const ports = whole(1, 65_535)
  const port = portText === undefined ? (address === undefined ? now.port : defaultPort) : (ports.fromText(portText) ?? fail('invalid', `--server-port is ${JSON.stringify(portText)}, allowed is ${ports.expects}`))
  if (address === undefined) return { host: now.host, port }
  const host = address.replace(/^\[(.*)\]$/, '$1')
  if (!isHost(host)) fail('invalid', `--server-addr is ${JSON.stringify(address.slice(0, 80))}, allowed is a host name or an IP address`, { remedy: 'the port goes into --server-port' })
  return { host, port }
}

/** The token of --token-file or --token -, never of an argument itself. */
async function tokenGiven({ given, terminal }: Invocation): Promise<string | undefined> {
  const path = given.one('token-file')
  const source = given.one('token')
  if (path !== undefined && source !== undefined) fail('invalid', 'either --token-file or --token -')
  if (source !== undefined && source !== '-') fail('invalid', '--token takes only "-", standard input: on a command line others could read it', { remedy: 'use --token-file FILE, --token -, or TT_TOKEN' })
  if (source === undefined && path === undefined) return undefined
  const text = path === undefined || path === '-' ? await firstLine(terminal) : readToken(terminal, path)
  const token = text.split('\n')[0]?.trim() ?? ''
  return /^[\x21-\x7e]{1,1000}$/.test(token) ? token : fail('invalid', 'that is no token: it is one line of letters, digits and signs')
}

function readToken(terminal: Terminal, path: string): string {
  try {
    return terminal.readFile(path)
  } catch (fault) {
    fail('invalid', `the token cannot be read: ${fault instanceof Error ? fault.message : String(fault)}`)
  }
}

async function firstLine({ input, signal }: Terminal): Promise<string> {
  const interrupted = Promise.withResolvers<never>()
  signal.addEventListener('abort', () => interrupted.reject(signal.reason), { once: true })
  const read = async () => {
    const decoder = new TextDecoder()
    let text = ''
    for await (const piece of input()) {
      text += decoder.decode(piece, { stream: true })
      if (text.includes('\n') || text.length > 4096) break
    }
    return text
  }
  return Promise.race([read(), interrupted.promise])
}

/** Asks the server who it is. One that is there but wants a token it was not given counts as answering; a token it refuses does not. */
async function asked({ terminal, call }: Invocation, { server, token, given }: { server: Endpoint; token?: string; given: boolean }): Promise<About | undefined> {
  try {
    const { cloud } = await terminal.connect(server, token ?? '')
    return await cloud.about(call)
  } catch (thrown) {
    const error = asTtError(thrown)
    if (error.code !== 'unauthenticated') throw thrown
    if (given) fail('unauthenticated', `${endpointText(server)} does not know this token; nothing was saved`, { remedy: 'ask whoever runs the server for a token' })
    return undefined
  }
}

async function save({ terminal }: Invocation, settings: Record<string, unknown>): Promise<void> {
  try {
    terminal.config.write(`${JSON.stringify(settings, undefined, 2)}\n`)
  } catch (fault) {
    fail('failed', `the settings could not be saved in ${terminal.config.path}: ${fault instanceof Error ? fault.message : String(fault)}`)
  }
}

async function tell(invocation: Invocation, server: Endpoint, about: About | undefined): Promise<void> {
  const address = endpointText(server)
  if (invocation.json) return invocation.printJson({ server: address, version: about?.version ?? null, user: about?.user ?? null, role: about?.role ?? null })
  await invocation.print(about ? `${address} answered: version ${visible(about.version)}, you are ${visible(about.user)}; saved in ${invocation.terminal.config.path}` : `${address} answered; saved in ${invocation.terminal.config.path}`)
  if (!about) await invocation.note(`tt: it wants a token, and none is set\n  give it by \`tt config --token-file FILE\` or TT_TOKEN`)
}
