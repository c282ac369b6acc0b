import { ipv4Of } from './ipv4.ts'

/** Where a server listens. */
export interface Endpoint {
  host: string
  port: number
  /** Whether it speaks TLS, where that was said: by `https://` or `http://` before it. */
  tls?: boolean
}

/** Reads `host`, `host:port`, `[::1]:port` or a bare IPv6 address, with `https://` or `http://` before it or without; undefined if it is none of them. */
export function parseEndpoint(text: string, defaultPort: number): Endpoint | undefined {
  const [, secure, rest = ''] = /^http(s?):\/\/(.*?)\/?$/.exec(text) ?? []
  if (secure !== undefined) {
    const found = bareEndpoint(rest, defaultPort)
    return found && { ...found, tls: secure === 's' }
  }
  return bareEndpoint(text, defaultPort)
}

function bareEndpoint(text: string, defaultPort: number): Endpoint | undefined {
  const bracketed = /^\[([^\]]*)\](?::(\d{1,5}))?$/.exec(text)
  const plain = bracketed ?? (isIpv6(text) ? [text, text, undefined] : /^([^:]*)(?::(\d{1,5}))?$/.exec(text))
  const host = plain?.[1] ?? ''
  const port = plain?.[2] === undefined ? defaultPort : Number(plain[2])
  if (port < 1 || port > 65_535) return undefined
  return (bracketed ? isIpv6(host) : isHost(host)) ? { host, port } : undefined
}

/** As it is read again: `host:port`, with brackets around an IPv6 address, and with what was said of TLS before it. */
export const endpointText = (endpoint: Endpoint): string => (endpoint.tls === undefined ? placeText(endpoint) : endpointUrl(endpoint))

/** `host:port` alone. */
export const placeText = ({ host, port }: Endpoint): string => `${host.includes(':') ? `[${host}]` : host}:${port}`

/** Its address as a URL; without TLS unless that was said. */
export const endpointUrl = (endpoint: Endpoint): string => `http${endpoint.tls ? 's' : ''}://${placeText(endpoint)}`

/** A host name, an IPv4 address or an IPv6 address without brackets. */
export function isHost(text: string): boolean {
  if (/^[\d.]+$/.test(text)) return ipv4Of(text) !== undefined
  return isIpv6(text) || (text.length <= 253 && text.split('.').every((label) => /^(?!-)[A-Za-z0-9_-]{1,63}(?<!-)$/.test(label)))
}

function isIpv6(text: string): boolean {
  if (!/^[0-9A-Fa-f:.]{2,45}$/.test(text) || !text.includes(':')) return false
  return URL.canParse(`http://[${text}]/`)
}
