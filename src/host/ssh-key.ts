import { createPrivateKey, createPublicKey } from 'node:crypto'
import type { World } from '../base/world.ts'
import type { SshKey } from '../drivers/channel/channel.ts'

/** What PKCS #8 puts before the 32 bytes of an ed25519 key: https://www.rfc-editor.org/rfc/rfc8410#section-7 */
const pkcs8Lead = Buffer.from('302e020100300506032b657004220420', 'hex')
const kind = 'ssh-ed25519'

/** A new ed25519 key as OpenSSH keeps it: https://github.com/openssh/openssh-portable/blob/master/PROTOCOL.key */
export function newSshKey(comment: string, world: World): SshKey {
  const seed = Buffer.from(world.random(32))
  const pair = createPublicKey(createPrivateKey({ key: Buffer.concat([pkcs8Lead, seed]), format: 'der', type: 'pkcs8' })).export({ format: 'jwk' })
  const point = Buffer.from(pair.x ?? '', 'base64url')
  const publicBlob = Buffer.concat([field(kind), field(point)])
  const checkNumber = Buffer.from(world.random(4))
  const secret = Buffer.concat([checkNumber, checkNumber, publicBlob, field(Buffer.concat([seed, point])), field(comment)])
  const padding = Buffer.from(Array.from({ length: (8 - (secret.length % 8)) % 8 }, (_, at) => at + 1))
  const count = Buffer.from([0, 0, 0, 1])
  const whole = Buffer.concat([Buffer.from('openssh-key-v1\0'), field('none'), field('none'), field(''), count, field(publicBlob), field(Buffer.concat([secret, padding]))])
  const lines = whole.toString('base64').match(/.{1,70}/g) ?? []
  return {
    privateKey: ['-----BEGIN OPENSSH PRIVATE KEY-----', ...lines, '-----END OPENSSH PRIVATE KEY-----', ''].join('\n'),
    publicKey: `${kind} ${publicBlob.toString('base64')} ${comment}`,
  }
}

/** Bytes with their length before them, as the protocol of ssh writes them. */
function field(bytes: string | Uint8Array): Buffer {
  const all = Buffer.from(bytes)
  const length = Buffer.alloc(4)
  length.writeUInt32BE(all.length)
  return Buffer.concat([length, all])
}
