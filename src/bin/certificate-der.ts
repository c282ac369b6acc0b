import { createPublicKey, type KeyObject, sign } from 'node:crypto'
import { isIP } from 'node:net'

export interface CertificateWords {
  /** A P-256 key; it signs for itself. */
  key: KeyObject
  /** Whom it is for: host names, IPv4 and IPv6 addresses. The first is its subject. */
  names: readonly string[]
  /** Milliseconds since 1970. */
  from: number
  to: number
  /** At most 20 bytes, the first of them not 0 and below 128. */
  serial: Uint8Array
}

/** A self-signed X.509 certificate for a TLS server, as PEM: RFC 5280, written by hand because Node reads certificates and makes none. */
export function selfSigned({ key, names, from, to, serial }: CertificateWords): string {
  const signing = sequence(oid(ecdsaWithSha256))
  const name = sequence(tagged(0x31, sequence(oid(commonName), text(names[0]?.slice(0, 64) ?? 'tt'))))
  const words = sequence(
    tagged(0xa0, integer(Uint8Array.of(2))), // version 3
    integer(serial),
    signing,
    name,
    sequence(time(from), time(to)),
    name,
    createPublicKey(key).export({ type: 'spki', format: 'der' }),
    tagged(0xa3, sequence(...extensions(names))),
  )
  const signature = tagged(0x03, Buffer.of(0), sign('sha256', words, key))
  const lines = sequence(words, signing, signature).toString('base64').match(/.{1,64}/g) ?? []
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`
}

const ecdsaWithSha256 = [1, 2, 840, 10_045, 4, 3, 2]
const commonName = [2, 5, 4, 3]

/** It is no authority, may sign handshakes only, is a server's, and is for these names: what browsers ask for. */
function extensions(names: readonly string[]): Buffer[] {
  const extension = (id: number[], value: Buffer, critical = false) => sequence(oid(id), ...(critical ? [Buffer.of(0x01, 1, 0xff)] : []), tagged(0x04, value))
  return [
    extension([2, 5, 29, 19], sequence(), true),
    extension([2, 5, 29, 15], Buffer.of(0x03, 2, 7, 0x80), true),
    extension([2, 5, 29, 37], sequence(oid([1, 3, 6, 1, 5, 5, 7, 3, 1]))),
    extension([2, 5, 29, 17], sequence(...names.map((name) => (isIP(name) === 0 ? tagged(0x82, Buffer.from(name)) : tagged(0x87, addressBytes(name)))))),
  ]
}

/** Tag, length, contents: the distinguished encoding of ASN.1 (X.690). */
function tagged(tag: number, ...contents: Uint8Array[]): Buffer {
  const body = Buffer.concat(contents)
  const { length } = body
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.of(tag, ...size), body])
}

const sequence = (...contents: Uint8Array[]) => tagged(0x30, ...contents)
const integer = (bytes: Uint8Array) => tagged(0x02, bytes)
const text = (value: string) => tagged(0x0c, Buffer.from(value))

/** The first two numbers share a byte; each after them is written in base 128, its high bits first. */
function oid([first = 0, second = 0, ...others]: readonly number[]): Buffer {
  const digits = (value: number): number[] => (value < 0x80 ? [value] : [...digits(value >> 7).map((digit) => digit | 0x80), value & 0x7f])
  return tagged(0x06, Buffer.from([first * 40 + second, ...others.flatMap(digits)]))
}

/** Years up to 2049 have two digits, later ones four, each under a tag of its own. */
function time(ms: number): Buffer {
  const digits = new Date(ms).toISOString().replaceAll(/[-:T]|\.\d+/g, '')
  return Number(digits.slice(0, 4)) < 2050 ? tagged(0x17, Buffer.from(digits.slice(2))) : tagged(0x18, Buffer.from(digits))
}

function addressBytes(address: string): Buffer {
  if (isIP(address) === 4) return Buffer.from(address.split('.').map(Number))
  // The URL standard writes every IPv6 address in its shortest form, in hexadecimal only.
  const [head = '', tail] = new URL(`http://[${address.replace(/%.*$/, '')}]`).hostname.slice(1, -1).split('::')
  const groups = (part: string | undefined) => (part ? part.split(':') : [])
  const [before, after] = [groups(head), groups(tail)]
  const zeros = Array.from({ length: 8 - before.length - after.length }, () => '0')
  return Buffer.from([...before, ...zeros, ...after].map((group) => group.padStart(4, '0')).join(''), 'hex')
}
