/** A range of IPv4 addresses: the first as a number, and how many leading bits are fixed. */
export interface Cidr {
  network: number
  prefixLength: number
}

/** `10.77.0.1` as a number, or undefined if the text is no IPv4 address in its usual form. */
export function ipv4Of(text: string): number | undefined {
  const parts = /^(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})$/.exec(text)?.slice(1).map(Number)
  if (!parts || parts.some((part) => part > 255)) return undefined
  return parts.reduce((address, part) => address * 256 + part, 0)
}

export const ipv4Text = (address: number): string => [24, 16, 8, 0].map((bits) => (address >>> bits) & 255).join('.')

/** `10.77.0.0/16` as a range, or undefined if the text is none or has bits set beyond its prefix. An address alone is a range of one. */
export function cidrOf(text: string): Cidr | undefined {
  const [address = '', length = '32', ...rest] = text.split('/')
  const network = ipv4Of(address)
  const prefixLength = /^\d{1,2}$/.test(length) ? Number(length) : 33
  if (network === undefined || prefixLength > 32 || rest.length > 0) return undefined
  return network % sizeOf({ network, prefixLength }) === 0 ? { network, prefixLength } : undefined
}

export const cidrText = ({ network, prefixLength }: Cidr): string => `${ipv4Text(network)}/${prefixLength}`

/** How many addresses are in the range. */
export const sizeOf = ({ prefixLength }: Cidr): number => 2 ** (32 - prefixLength)

/** Whether the whole of `inner` is in `outer`. */
export const contains = (outer: Cidr, inner: Cidr): boolean => inner.prefixLength >= outer.prefixLength && holds(outer, inner.network)

/** Whether the address is in the range. */
export const holds = (range: Cidr, address: number): boolean => address >= range.network && address < range.network + sizeOf(range)

/** Whether the two have an address in common. */
export const overlap = (one: Cidr, other: Cidr): boolean => contains(one, other) || contains(other, one)
