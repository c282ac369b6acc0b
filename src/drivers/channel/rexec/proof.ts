import { createHmac, timingSafeEqual } from 'node:crypto'
import { ask, nonceBytes, trailerBytes } from './protocol.ts'

/** What a host says to the challenge of a guest, and what holds between the two from then on. */
export interface Proof {
  /** The frame that answers the challenge. */
  type: number
  payload: Uint8Array
  /** Ends the frames of the host after that one, and those of the guest after its facts. */
  ours: Uint8Array
  theirs: Uint8Array
  /** Whether this line of the facts shows that the guest knows the key. */
  proves(line: string | undefined): boolean
}

/** The answer to a challenge (u8 whether the guest has a key, then its nonce); undefined if it is none. A guest without a key is given ours. */
export function proofFor(challenge: Buffer, nonce: Uint8Array, secret: Uint8Array): Proof | undefined {
  const known = challenge[0]
  if (challenge.length !== 1 + nonceBytes || (known !== 0 && known !== 1)) return undefined
  const mac = (word: string) => createHmac('sha256', secret).update(`tt-rexec ${word}\0`).update(nonce).update(challenge.subarray(1)).digest()
  const trailer = (word: string) => Uint8Array.from(mac(word).subarray(0, trailerBytes), (byte) => byte || 0xa5)
  const guest = mac('guest')
  return {
    type: known === 1 ? ask.proof : ask.key,
    payload: known === 1 ? mac('host') : secret,
    ours: trailer('to guest'),
    theirs: trailer('to host'),
    proves: (line) => line !== undefined && /^[0-9a-f]{64}$/.test(line) && timingSafeEqual(Buffer.from(line, 'hex'), guest),
  }
}
