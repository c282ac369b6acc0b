/**
 * The token on a WebSocket. A browser cannot set headers there, only offer protocols: the token goes as one of them, in base64url, beside the
 * one the server picks. As Kubernetes does: https://github.com/kubernetes/kubernetes/pull/47740
 */
export const protocolName = 'tt.v1'
const tokenPrefix = 'tt.token.'

/** The protocols to offer. */
export const tokenProtocolOf = (token: string): string[] => [protocolName, tokenPrefix + btoa(token).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')]

/** The token among the protocols that were offered, as they came in the header. */
export function offeredToken(protocols: string | undefined): string | undefined {
  const offer = protocols?.split(',').find((one) => one.trim().startsWith(tokenPrefix))
  const encoded = offer?.trim().slice(tokenPrefix.length)
  if (encoded === undefined || !/^[\w-]{1,1000}$/.test(encoded)) return undefined
  try {
    return atob(encoded.replaceAll('-', '+').replaceAll('_', '/'))
  } catch {
    return undefined
  }
}
