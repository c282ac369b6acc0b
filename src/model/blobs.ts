import type { Call } from './call.ts'

/**
 * Bytes by content. A Cloud moves words, Blobs move bytes; a peer is another server's Blobs. A digest is the sha256 of the
 * bytes in hexadecimal. Reading an unknown digest is `not_found`; writing bytes that do not have the digest is `invalid` and leaves nothing.
 */
export interface Blobs {
  has(digest: string, call?: Call): Promise<boolean>
  read(digest: string, range?: { offset: number; length: number }, call?: Call): Promise<ReadableStream<Uint8Array>>
  write(digest: string, bytes: ReadableStream<Uint8Array>, call?: Call): Promise<void>
}
