/**
 * The fingerprint of a public key, as curl's `--pinnedpubkey` takes it: `sha256//` and the SHA-256 of its DER form (SubjectPublicKeyInfo) in
 * base64. It is that of the key and not of the certificate, so it holds when the certificate is renewed.
 */
export const fingerprintOf = (publicKeyDer: Uint8Array): string => `sha256//${process.getBuiltinModule('node:crypto').createHash('sha256').update(publicKeyDer).digest('base64')}`

/** A fingerprint in the form above from what people write: base64 or hexadecimal, with or without `sha256//`, `sha256:` and colons; undefined if it is none. */
export function parseFingerprint(text: string): string | undefined {
  const digest = text.trim().replace(/^sha256(\/\/|:)/i, '')
  const hex = digest.replaceAll(':', '')
  if (/^[0-9a-f]{64}$/i.test(hex)) return `sha256//${Buffer.from(hex, 'hex').toString('base64')}`
  const bytes = /^[A-Za-z0-9+/]{43}=?$/.test(digest) ? Buffer.from(digest, 'base64') : undefined
  return bytes?.length === 32 ? `sha256//${bytes.toString('base64')}` : undefined
}
