/** The sha256 of a text or of bytes, in hexadecimal. Fetched when it is wanted: loading crypto costs each start of the client some milliseconds. */
export const sha256 = (whole: string | Uint8Array): string => process.getBuiltinModule('node:crypto').hash('sha256', whole)

/** A sha256 of bytes that come in pieces. */
export interface Hasher {
  update(bytes: Uint8Array): void
  /** In hexadecimal; nothing can be added after it. */
  hex(): string
}

export function hasher(): Hasher {
  const hash = process.getBuiltinModule('node:crypto').createHash('sha256')
  return { update: (bytes) => void hash.update(bytes), hex: () => hash.digest('hex') }
}
