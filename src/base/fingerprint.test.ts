import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fingerprintOf, parseFingerprint } from './fingerprint.ts'

const one = fingerprintOf(Buffer.from('a key'))

test('a fingerprint is the SHA-256 in base64, as curl writes it', () => {
  assert.equal(fingerprintOf(new Uint8Array()), 'sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=')
})

test('it is read however people write it', () => {
  const digest = one.slice('sha256//'.length)
  const hex = Buffer.from(digest, 'base64').toString('hex')
  for (const text of [one, digest, ` ${digest}\n`, `SHA256:${digest.replace('=', '')}`, hex, hex.toUpperCase(), `sha256:${hex}`, hex.replace(/..(?=.)/g, '$&:')]) assert.equal(parseFingerprint(text), one, text)
})

test('what is none is none', () => {
  for (const text of ['', 'sha256//', 'abc', one.slice(0, -3), `${one}=`, `sha1//${one.slice(8)}`, 'g'.repeat(64), 'a'.repeat(63), `sha256//sha256//${one.slice(8)}`]) assert.equal(parseFingerprint(text), undefined, text)
})
