import { lookup } from 'node:dns'
import type { Agent, IncomingMessage, OutgoingHttpHeaders } from 'node:http'
import { BlockList, isIP } from 'node:net'
import { fail, TtError } from '../model/errors.ts'

// By these names loading them costs nothing before the first request.
const http = () => process.getBuiltinModule('node:http')
const https = () => process.getBuiltinModule('node:https')

/** Asks web servers for files, through the proxies that the environment names (`http_proxy`, `https_proxy`, `no_proxy`). */
export interface Requester extends Disposable {
  /** The answer at the end of all redirects, with its bytes unread. Rejects with a `TtError` for what no further try changes. */
  get(url: string, asked: Asked): Promise<IncomingMessage>
}

interface Asked {
  headers: OutgoingHttpHeaders
  signal: AbortSignal
  subject: string
}

const redirectsMost = 10

export function requester(variables: Record<string, string | undefined>): Requester {
  const options = { keepAlive: false, proxyEnv: variables as NodeJS.ProcessEnv }
  const agents: Record<string, Agent> = { 'http:': new (http().Agent)(options), 'https:': new (https().Agent)(options) }
  return {
    async get(text, asked) {
      let url = urlOf(text, asked.subject)
      for (let redirects = 0; ; redirects++) {
        const response = await answered(url, agents[url.protocol], asked)
        const to = response.headers.location
        if (![301, 302, 303, 307, 308].includes(response.statusCode ?? 0) || to === undefined) return response
        response.destroy()
        if (redirects === redirectsMost) fail('failed', `${shownUrl(text)} leads on more than ${redirectsMost} times`, { subject: asked.subject })
        url = redirected(url, to, asked.subject)
      }
    },
    [Symbol.dispose]() {
      for (const agent of Object.values(agents)) agent.destroy()
    },
  }
}

/** An address as it may be shown and logged: without a password, and without what follows a "?", which can be a signature. */
export function shownUrl(text: string): string {
  const url = URL.parse(text)
  return url ? `${url.protocol}//${url.host}${url.pathname}${url.search === '' ? '' : '?…'}` : 'an address that cannot be read'
}

function urlOf(text: string, subject: string, base?: URL): URL {
  const url = URL.parse(text, base?.href) ?? fail('invalid', 'the address cannot be read', { subject })
  if (url.protocol !== 'http:' && url.protocol !== 'https:') fail('invalid', `an address begins with https:// or http://, not with ${url.protocol}`, { subject })
  return url
}

function redirected(from: URL, to: string, subject: string): URL {
  const url = urlOf(to, subject, from)
  if (from.protocol === 'https:' && url.protocol === 'http:') fail('denied', `${shownUrl(from.href)} leads to ${shownUrl(url.href)}, which anybody on the way can change`, { subject, remedy: 'give an address that stays with https' })
  if (url.origin === from.origin && url.username === '') [url.username, url.password] = [from.username, from.password]
  return url
}

function answered(url: URL, agent: Agent | undefined, { headers, signal, subject }: Asked): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
  const host = url.hostname.replace(/^\[|\]$/g, '')
  if (isIP(host) !== 0 && isLinkLocal(host)) linkLocal(host, subject)
  const request = (url.protocol === 'https:' ? https() : http()).request(url, {
    agent,
    headers: { 'accept-encoding': 'identity', 'user-agent': 'tt', ...headers },
    signal,
    // What a name means is looked at where the connection is made, so that it cannot mean something else by then.
    lookup: (name, options, done) =>
      lookup(name, options, (fault, found, family) => {
        const bad = fault ? undefined : [found].flat().map((one: string | { address: string }) => (typeof one === 'string' ? one : one.address)).find(isLinkLocal)
        done(bad === undefined ? fault : linkLocalFault(bad, subject), found as string, family)
      }),
  })
  request.once('response', resolve)
  request.once('error', (fault: NodeJS.ErrnoException) => reject(lasting(fault, url, subject) ?? fault))
  request.end()
  return promise
}

/** Faults that no further try mends. */
function lasting(fault: NodeJS.ErrnoException, url: URL, subject: string): TtError | undefined {
  if (fault instanceof TtError) return fault
  const { code = '' } = fault
  const whyNot = `${shownUrl(url.href)} could not be fetched: ${fault.message}`
  if (/CERT|SELF_SIGNED|UNABLE_TO|ERR_TLS/.test(code)) return new TtError({ code: 'denied', message: whyNot, subject, remedy: "start ttserver with NODE_EXTRA_CA_CERTS=FILE if it is your own authority's certificate" }, fault)
  if (/PROXY/.test(code)) return new TtError({ code: 'unavailable', message: whyNot, subject, remedy: 'see the proxy that http_proxy, https_proxy and no_proxy of the server name' }, fault)
  return undefined
}

/** Addresses of a network's own servants. Under one of them a cloud gives its machines their credentials, which no image is made of. */
const linkLocals = new BlockList()
linkLocals.addSubnet('169.254.0.0', 16, 'ipv4')
linkLocals.addSubnet('fe80::', 10, 'ipv6')
linkLocals.addAddress('fd00:ec2::254', 'ipv6')

/** An IPv4 address in IPv6 is found by the list too. */
const isLinkLocal = (address: string): boolean => linkLocals.check(address.split('%')[0] ?? '', address.includes(':') ? 'ipv6' : 'ipv4')

const linkLocalFault = (address: string, subject: string) => new TtError({ code: 'denied', message: `${address} is an address of the host's own network services, from which nothing is fetched`, subject })
const linkLocal = (address: string, subject: string): never => {
  throw linkLocalFault(address, subject)
}
