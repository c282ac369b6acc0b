import { ipv4Of } from './ipv4.ts'

/** Where a server listens. */
export interface Endpoint {
  host: string
  port: number
}

/** Reads `host`, `host:port`, `[::1]:port` or a bare IPv6 address; undefined if it is none of them. */
export function parseEndpoint(text: string, defaultPort: number): Endpoint | undefined {
  const bracketed = /^\[([^\]]*)\](?::(\d{1,5}))?$/.exec(text)
  const plain = bracketed ?? (isIpv6(text) ? [text, text, undefined] : /^([^:]*)(?::(\d{1,5}))?$/.exec(text))
  const host = plain?.[1] ?? ''
  const port = plain?.[2] === undefined ? defaultPort : Number(plain[2])
  if (port < 1 || port > 65_535) return undefined
  return (bracketed ? isIpv6(host) : isHost(host)) ? { host, port } : undefined
}

/** `host:port`, with brackets around an IPv6 address. */
export const endpointText = ({ host, port }: Endpoint): string => `${host.includes(':') ? `[${host}]` : host}:${port}`

/** A host name, an IPv4 address or an IPv6 address without brackets. */
export function isHost(text: string): boolean {
  if (/^[\d.]+$/.test(text)) return ipv4Of(text) !== undefined
  return isIpv6(text) || (text.length <= 253 && text.split('.').every((label) => /^(?!-)[A-Za-z0-9_-]{1,63}(?<!-)$/.test(label)))
}

function isIpv6(text: string): boolean {
  if (!/^[0-9A-Fa-f:.]{2,45}$/.test(text) || !text.includes(':')) return false
  return URL.canParse(`http://[${text}]/`)
}
