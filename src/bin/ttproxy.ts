import { httpCloud } from '../api/client.ts'
import { nodeTransport } from '../api/node-transport.ts'
import { apiServer } from '../api/server.ts'
import { type Command, type Given, parseCommand } from '../base/arguments.ts'
import { type Endpoint, endpointText, endpointUrl } from '../base/endpoint.ts'
import { parseFingerprint } from '../base/fingerprint.ts'
import { jsonLog } from '../base/log.ts'
import { endpoint, listOf, text } from '../base/setting-forms.ts'
import { flagsOf, type Schema, settle } from '../base/settings.ts'
import { commandHelp } from '../base/usage.ts'
import { realWorld as world, wakefulness } from '../base/world.ts'
import type { Cloud } from '../model/cloud.ts'
import { asTtError, errorCodes, fail, problemOf, reasonOf, TtError } from '../model/errors.ts'
import type { User } from '../model/user.ts'
import { type Certificate, givenCertificate } from './certificates.ts'
import { leaveWithoutWaiting } from './leaving.ts'
import { warnOfOpenEars } from './secured.ts'

const program = 'ttproxy'
const proxySchema = {
  proxyAddr: { form: endpoint(9528), default: { host: '127.0.0.1', port: 9528 }, env: 'TT_PROXY_ADDR', flag: { long: 'proxy-addr', value: 'HOST:PORT' }, about: 'Where the proxy listens' },
  serverSet: { form: listOf(endpoint(9527)), default: [] as Endpoint[], env: 'TT_SERVER_SET', flag: { long: 'server-set', value: 'HOST:PORT', list: 'commas' }, about: 'The servers behind it; https:// before one for TLS' },
  fingerprint: { form: text('the SHA-256 of a public key, as `ttserver settings` shows it'), env: 'TT_FINGERPRINT', flag: { long: 'fingerprint', value: 'SHA256' }, about: 'Of the key of the server: by TLS no other is talked to' },
  tlsCert: { form: text('a path'), env: 'TT_PROXY_TLS_CERT', flag: { long: 'tls-cert', value: 'FILE' }, about: 'A certificate in PEM, those of its chain after it: callers then speak TLS' },
  tlsKey: { form: text('a path'), env: 'TT_PROXY_TLS_KEY', flag: { long: 'tls-key', value: 'FILE' }, about: 'Its key, which others may not read' },
} satisfies Schema
const command: Command = {
  words: '',
  summary: 'One address in front of servers; it speaks the same API and keeps nothing',
  operands: [],
  flags: flagsOf(proxySchema),
  details: ['Callers bring the token of the server. One server can stand behind it so far; several as one cloud are to come.'],
  examples: [{ line: 'ttproxy --proxy-addr 0.0.0.0:9528 --server-set 127.0.0.1:9527', about: 'the server of this machine, for others too' }],
}
const globals = [
  { long: 'help', short: 'h', about: 'Shows this' },
  { long: 'version', short: 'V', about: 'Shows the version' },
]

using _ = wakefulness()
leaveWithoutWaiting()
process.exitCode = await run().catch((thrown: unknown) => {
  const { code, message, remedy } = problemOf(thrown)
  process.stderr.write(`${program}: ${message} (${code})\n${remedy === undefined ? '' : `  ${remedy}\n`}`)
  return errorCodes[code].exit
})

async function run(): Promise<number> {
  const { given, wrong } = parseCommand(command, process.argv.slice(2), globals)
  if (wrong) return said(process.stderr, `${program}: ${wrong.message}\n  ${wrong.hint ?? `see \`${program} --help\``}\n`, 2)
  if (given.has('help')) return said(process.stdout, commandHelp(program, command, globals))
  if (given.has('version')) return said(process.stdout, `${program} ${(await import('./version.ts')).version}\n`)
  return serve(settings(given))
}

interface ProxySettings {
  listen: Endpoint
  server: Endpoint
  fingerprint?: string
  tls?: Certificate
}

function settings(given: Given): ProxySettings {
  try {
    const { proxyAddr, serverSet, fingerprint, tlsCert, tlsKey } = settle(proxySchema, { flags: given, env: { variables: process.env, prefix: 'TT_PROXY' } }).values
    const [server, second] = serverSet
    if (!server) fail('invalid', 'no server is named', { remedy: 'name one with --server-set' })
    if (second) fail('unsupported', `${serverSet.length} servers are named, and several as one cloud are not built yet`, { remedy: 'name one' })
    if (proxyAddr.tls !== undefined) fail('invalid', '--proxy-addr is HOST:PORT alone', { remedy: 'TLS is asked for by --tls-cert and --tls-key' })
    if ((tlsCert === undefined) !== (tlsKey === undefined)) fail('invalid', 'a certificate needs both --tls-cert and --tls-key')
    const pin = fingerprint === undefined ? undefined : (parseFingerprint(fingerprint) ?? fail('invalid', '--fingerprint is not the SHA-256 of a public key', { remedy: 'see `ttserver settings` on the machine of the server' }))
    const tls = tlsCert === undefined || tlsKey === undefined ? undefined : givenCertificate(tlsCert, tlsKey)
    return { listen: proxyAddr, server: pin === undefined ? server : { ...server, tls: true }, fingerprint: pin, tls }
  } catch (thrown) {
    if (thrown instanceof TtError) throw thrown
    fail('invalid', reasonOf(thrown), { remedy: `see \`${program} --help\`` })
  }
}

async function serve({ listen, server, fingerprint, tls }: ProxySettings): Promise<number> {
  await using stack = new AsyncDisposableStack()
  const log = jsonLog((line) => process.stderr.write(line), world.now)
  const transport = stack.use(nodeTransport({ fingerprint }))
  const clouds = new WeakMap<User, Cloud>()
  const api = stack.use(
    apiServer({
      cloudFor: (user) => clouds.get(user) ?? fail('internal', 'a user without a cloud'),
      async authenticate(token) {
        const cloud = httpCloud(endpointUrl(server), { token, world, ...transport })
        try {
          const { user: name, role } = await cloud.about()
          const user: User = { name, role }
          clouds.set(user, cloud)
          return { user }
        } catch (thrown) {
          if (asTtError(thrown).code === 'unauthenticated') return undefined
          throw thrown
        }
      },
      world,
      log,
      tls,
      rateLimit: { perSecond: 0, burst: 1 }, // The server behind limits tokens; here only strangers are held up.
    }),
  )
  warnOfOpenEars({ tls: { mode: tls ? 'given' : 'off' }, address: listen.host }, log)
  await api.listen(listen.host, listen.port)
  log.info('proxying', { at: endpointText(listen), server: endpointText(server) })
  const stopped = Promise.withResolvers<number>()
  let signals = 0
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => (++signals > 1 ? process.exit(130) : stopped.resolve(0)))
  return await stopped.promise // Not before: leaving this function closes the server.
}

function said(to: NodeJS.WriteStream, text: string, status = 0): number {
  to.write(text)
  return status
}
