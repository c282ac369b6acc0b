import { httpCloud } from '../api/client.ts'
import { nodeTransport } from '../api/node-transport.ts'
import { apiServer } from '../api/server.ts'
import { type Command, type Given, parseCommand } from '../base/arguments.ts'
import { type Endpoint, endpointText } from '../base/endpoint.ts'
import { jsonLog } from '../base/log.ts'
import { endpoint, listOf } from '../base/setting-forms.ts'
import { flagsOf, type Schema, settle } from '../base/settings.ts'
import { commandHelp } from '../base/usage.ts'
import { realWorld as world, wakefulness } from '../base/world.ts'
import type { Cloud } from '../model/cloud.ts'
import { asTtError, errorCodes, fail, problemOf, reasonOf, TtError } from '../model/errors.ts'
import type { User } from '../model/user.ts'

const program = 'ttproxy'
const proxySchema = {
  proxyAddr: { form: endpoint(9528), default: { host: '127.0.0.1', port: 9528 }, env: 'TT_PROXY_ADDR', flag: { long: 'proxy-addr', value: 'HOST:PORT' }, about: 'Where the proxy listens' },
  serverSet: { form: listOf(endpoint(9527)), default: [] as Endpoint[], env: 'TT_SERVER_SET', flag: { long: 'server-set', value: 'HOST:PORT', list: 'commas' }, about: 'The servers behind it' },
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

function settings(given: Given): { listen: Endpoint; server: Endpoint } {
  try {
    const { proxyAddr, serverSet } = settle(proxySchema, { flags: given, env: { variables: process.env, prefix: 'TT_PROXY' } }).values
    const [server, second] = serverSet
    if (!server) fail('invalid', 'no server is named', { remedy: 'name one with --server-set' })
    if (second) fail('unsupported', `${serverSet.length} servers are named, and several as one cloud are not built yet`, { remedy: 'name one' })
    return { listen: proxyAddr, server }
  } catch (thrown) {
    if (thrown instanceof TtError) throw thrown
    fail('invalid', reasonOf(thrown), { remedy: `see \`${program} --help\`` })
  }
}

async function serve({ listen, server }: { listen: Endpoint; server: Endpoint }): Promise<number> {
  await using stack = new AsyncDisposableStack()
  const log = jsonLog((line) => process.stderr.write(line), world.now)
  const transport = stack.use(nodeTransport())
  const clouds = new WeakMap<User, Cloud>()
  const api = stack.use(
    apiServer({
      cloudFor: (user) => clouds.get(user) ?? fail('internal', 'a user without a cloud'),
      async authenticate(token) {
        const cloud = httpCloud(`http://${endpointText(server)}`, { token, world, ...transport })
        try {
          const { user: name, role } = await cloud.about()
          const user: User = { name, role }
          clouds.set(user, cloud)
          return user
        } catch (thrown) {
          if (asTtError(thrown).code === 'unauthenticated') return undefined
          throw thrown
        }
      },
      world,
      log,
    }),
  )
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
