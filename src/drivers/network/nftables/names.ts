import { type Cidr, cidrOf, cidrText, ipv4Of, ipv4Text } from '../../../base/ipv4.ts'
import { macOf } from '../../../model/names.ts'

/**
 * Every name on the machine follows from the server's mark and an address, so that none is ever remembered: `tt12345t2vosx9` is the
 * tap of one guest. An address in base 36 has at most 7 characters, which makes 15, all that Linux allows an interface.
 */
export const tableOf = (mark: string): string => `tt_${mark}`
export const tapOf = (mark: string, ip: string): string => `${tapPrefix(mark)}${(ipv4Of(ip) ?? 0).toString(36)}`
export const bridgeOf = (mark: string, slice: string): string => `${bridgePrefix(mark)}${(cidrOf(slice)?.network ?? 0).toString(36)}`

export const tapPrefix = (mark: string): string => `tt${mark}t`
export const bridgePrefix = (mark: string): string => `tt${mark}b`
/** What the name of every interface of this server begins with. */
export const interfacePrefix = (mark: string): string => `tt${mark}`

/** The guest's address a tap is named after. */
export function ipOfTap(mark: string, name: string): string | undefined {
  const address = name.startsWith(tapPrefix(mark)) ? parseInt(name.slice(tapPrefix(mark).length), 36) : NaN
  const ip = address >= 0 && address < 2 ** 32 ? ipv4Text(address) : ''
  return tapOf(mark, ip) === name ? ip : undefined
}

/** A number for the group of interfaces that are being removed: one that no administrator has a use for. */
export const doomedGroup = (mark: string): number => 0x7000_0000 + parseInt(mark, 36)

/** What the host is on a slice: its first address, as the gateway of the guests. */
export interface Gateway {
  ip: string
  prefixLength: number
  /** Fixed, for a bridge without a MAC of its own takes over that of any new port, and guests lose their gateway for a while. */
  mac: string
}

export function gatewayOf(slice: string): Gateway {
  const { network, prefixLength } = cidrOf(slice) as Cidr
  const ip = ipv4Text(network + 1)
  return { ip, prefixLength, mac: macOf(ip) }
}

/** The slice whose gateway has this address: `10.77.0.1/22` gives `10.77.0.0/22`. */
export function sliceOfGateway(address: string): string | undefined {
  const [ip = '', length = ''] = address.split('/')
  const network = (ipv4Of(ip) ?? 0) - 1
  const slice = network >= 0 ? cidrOf(`${ipv4Text(network)}/${length}`) : undefined
  return slice && cidrText(slice)
}
