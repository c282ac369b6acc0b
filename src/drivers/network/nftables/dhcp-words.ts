import { type Cidr, cidrOf, ipv4Of, ipv4Text, sizeOf } from '../../../base/ipv4.ts'
import type { Link } from '../network.ts'
import { bridgePrefix } from './names.ts'
import type { Realm } from './ruleset.ts'

/** What `dnsmasq` is to be: it gives out the addresses in files of `hostsDir` and no others, on the bridges of this server only, and does nothing else. */
export function dhcpArgv({ mark, subnet }: Realm, to: { hostsDir: string; user: string; resolvers: readonly string[] }): string[] {
  const range = cidrOf(subnet) as Cidr
  const network = ipv4Text(range.network)
  return [
    '--conf-file=/dev/null',
    '--keep-in-foreground',
    '--pid-file',
    '--log-facility=/dev/null', // It would tell of every file it reads; what keeps it from starting goes to standard error all the same.
    `--user=${to.user}`,
    '--port=0',
    `--interface=${bridgePrefix(mark)}*`,
    '--except-interface=lo',
    '--bind-dynamic',
    '--no-ping',
    '--no-resolv',
    '--no-hosts',
    '--dhcp-authoritative',
    '--leasefile-ro',
    `--dhcp-lease-max=${Math.min(sizeOf(range), 1_000_000)}`,
    // One range for all slices, for it cannot be told of another while it runs. Neither mask nor broadcast address of it is that of a slice.
    `--dhcp-range=set:${dhcpName(mark)},${network},static,${ipv4Text(maskOf(range.prefixLength))},255.255.255.255,infinite`,
    ...sliceLengths.map((length) => `--dhcp-option=tag:${tagOf(length)},option:netmask,${ipv4Text(maskOf(length))}`),
    ...(to.resolvers.length > 0 ? [`--dhcp-option=option:dns-server,${to.resolvers.join()}`] : []),
    `--dhcp-hostsdir=${to.hostsDir}`,
  ]
}

/** Names the process on the machine. */
export const dhcpName = (mark: string): string => `tt-${mark}-dhcp`

/** A name for the file of a slice: the address and its length. */
export const hostsFile = (slice: string): string => slice.replace('/', '-')

/** Who gets which address on a slice. */
export function hostsText(slice: string, links: readonly Pick<Link, 'mac' | 'ip'>[]): string {
  const tag = tagOf((cidrOf(slice) as Cidr).prefixLength)
  return links
    .toSorted((one, other) => (ipv4Of(one.ip) ?? 0) - (ipv4Of(other.ip) ?? 0))
    .map(({ mac, ip }) => `${mac},${ip},set:${tag}\n`)
    .join('')
}

/** Servers of names that a guest can ask as this machine does: those of `resolv.conf` that are not this machine itself; three at most, as many as a guest reads. */
export function resolversIn(text: string): string[] {
  const found = [...text.matchAll(/^nameserver\s+(\S+)/gm)].map(([, address = '']) => address)
  return found.filter((address) => ipv4Of(address) !== undefined && !address.startsWith('127.') && address !== '0.0.0.0').slice(0, 3)
}

const sliceLengths = [22, 23, 24, 25, 26, 27, 28, 29, 30]
const tagOf = (length: number) => `slice${length}`
const maskOf = (length: number) => 2 ** 32 - 2 ** (32 - length)
