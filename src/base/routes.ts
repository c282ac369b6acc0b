import { cidrOf, overlap } from './ipv4.ts'
import { runOk } from './run.ts'

/** A way the machine already knows to some addresses. */
export interface Route {
  /** CIDR; an address alone for a single one. */
  to: string
  dev?: string
  via?: string
  /** `unicast`, `local`, `blackhole`… */
  type: string
}

/** IPv4 routes of all tables, the addresses of this machine among them as `local`. */
export async function readRoutes(): Promise<Route[]> {
  return parseRoutes(await runOk(['ip', '-j', '-4', 'route', 'show', 'table', 'all']))
}

/** The answer of `ip -j -4 route show table all`. */
export function parseRoutes(json: string): Route[] {
  const entries = JSON.parse(json) as { dst?: string; dev?: string; gateway?: string; type?: string }[]
  return entries.flatMap(({ dst, dev, gateway, type = 'unicast' }) => {
    if (dst === undefined) return []
    const route: Route = { to: dst === 'default' ? '0.0.0.0/0' : dst, type }
    if (dev !== undefined) route.dev = dev
    if (gateway !== undefined) route.via = gateway
    return [route]
  })
}

/** Routes that lead some address of `subnet` elsewhere, the widest first. The default route clashes with nothing; nor does what leaves by a device `isOurs`. */
export function clashes(routes: readonly Route[], subnet: string, isOurs: (dev: string) => boolean = () => false): Route[] {
  const wanted = cidrOf(subnet)
  if (!wanted) throw new Error(`${subnet} is no range of addresses`)
  return routes
    .flatMap((route) => {
      const range = cidrOf(route.to)
      const theirs = range !== undefined && range.prefixLength > 0 && overlap(range, wanted) && !(route.dev !== undefined && isOurs(route.dev))
      return theirs ? [{ route, prefixLength: range.prefixLength }] : []
    })
    .sort((one, other) => one.prefixLength - other.prefixLength)
    .map(({ route }) => route)
}

/** A route as `ip` would print it: `10.77.0.0/24 via 192.0.2.1 dev eth0`. */
export const routeText = ({ to, via, dev, type }: Route): string =>
  [type === 'unicast' ? '' : type, to, via ? `via ${via}` : '', dev ? `dev ${dev}` : ''].filter(Boolean).join(' ')
