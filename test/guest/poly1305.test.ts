import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createCipheriv } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'

const sources = join(import.meta.dirname, '../../guest/agent')

/** Reads `key, u32 size, bytes` again and again, and writes the tag of each. */
const program = `
#include <stdio.h>
#include <stdlib.h>
#include "poly1305.c"
int main(void) {
  uint8_t key[32], at[4], tag[16];
  while (fread(key, 1, 32, stdin) == 32 && fread(at, 1, 4, stdin) == 4) {
    size_t size = get_u32(at);
    uint8_t *bytes = malloc(size ? size : 1);
    if (!bytes || fread(bytes, 1, size, stdin) != size) return 1;
    poly1305_tag(key, bytes, size, tag);
    fwrite(tag, 1, 16, stdout);
    free(bytes);
  }
}
`

interface Case {
  key: Buffer
  bytes: Buffer
}

describe('tags of the agent', () => {
  const dir = mkdtempSync(join(tmpdir(), 'tt-poly1305-'))
  after(() => rmSync(dir, { recursive: true, force: true }))
  const binary = join(dir, 'tags')
  const tags = (cases: Case[]): string[] => {
    const input = Buffer.concat(cases.flatMap(({ key, bytes }) => [key, u32(bytes.length), bytes]))
    const out = execFileSync(binary, { input, maxBuffer: 1 << 24 })
    return cases.map((_, n) => out.toString('hex', n * 16, n * 16 + 16))
  }
  before(() => {
    writeFileSync(`${binary}.c`, program)
    execFileSync('gcc', ['-Wall', '-Wextra', '-Werror', '-O2', '-fsanitize=address,undefined', '-fno-sanitize-recover=all', '-I', sources, '-o', binary, `${binary}.c`], { stdio: ['ignore', 'inherit', 'inherit'] })
  })

  it('agree with another implementation on every length', () => {
    const given = [...Array(700).keys(), 4095, 65_536, 524_288].map((size) => ({ secret: noise(32, size), bytes: noise(size, size + 1) }))
    const ours = tags(given.map(({ secret, bytes }) => ({ key: oneTimeKey(secret), bytes })))
    given.forEach(({ secret, bytes }, n) => assert.equal(ours[n], tagOf(secret, bytes), `${bytes.length} bytes`))
  })
  it('are right at the edges of the arithmetic', () => {
    // Digits that are all ones carry through all of the number; sums come to lie at the modulus and right below and above it.
    const edges = [0x00, 0x01, 0x04, 0x05, 0xfa, 0xfb, 0xfc, 0xff]
    const cases: Case[] = []
    for (const r of edges) for (const s of edges) for (const low of edges) for (const fill of edges) cases.push({ key: Buffer.concat([Buffer.alloc(16, r), Buffer.alloc(16, s)]), bytes: Buffer.concat([Buffer.of(low), Buffer.alloc(79, fill)]) })
    for (let r = 0; r < 64; r++) for (let low = 240; low < 256; low++) cases.push({ key: Buffer.concat([Buffer.of(r), Buffer.alloc(15), Buffer.alloc(16, 0xff)]), bytes: Buffer.concat([Buffer.of(low), Buffer.alloc(15, 0xff)]) })
    const ours = tags(cases)
    cases.forEach((one, n) => assert.equal(ours[n], slowly(one), `${one.key.toString('hex')} ${one.bytes.toString('hex')}`))
  })
})

/** RFC 8439, 2.5 and 2.8, as it is written there. */
function slowly({ key, bytes }: Case): string {
  const number = (from: Uint8Array) => BigInt(`0x${Buffer.from(from).reverse().toString('hex')}`)
  const r = number(key.subarray(0, 16)) & 0x0ffffffc0ffffffc0ffffffc0fffffffn
  const sizes = Buffer.alloc(16)
  sizes.writeUInt32LE(bytes.length)
  const all = Buffer.concat([bytes, Buffer.alloc((16 - (bytes.length % 16)) % 16), sizes])
  let sum = 0n
  for (let at = 0; at < all.length; at += 16) sum = ((sum + number(all.subarray(at, at + 16)) + (1n << 128n)) * r) % ((1n << 130n) - 5n)
  const tag = (sum + number(key.subarray(16))) & ((1n << 128n) - 1n)
  return Buffer.from(tag.toString(16).padStart(32, '0'), 'hex').reverse().toString('hex')
}

function tagOf(secret: Buffer, bytes: Buffer): string {
  const cipher = createCipheriv('chacha20-poly1305', secret, Buffer.alloc(12), { authTagLength: 16 })
  cipher.setAAD(bytes, { plaintextLength: 0 })
  cipher.final()
  return cipher.getAuthTag().toString('hex')
}

const oneTimeKey = (secret: Buffer): Buffer => createCipheriv('chacha20', secret, Buffer.alloc(16)).update(Buffer.alloc(32))

const u32 = (value: number): Buffer => {
  const bytes = Buffer.allocUnsafe(4)
  bytes.writeUInt32LE(value)
  return bytes
}
const noise = (size: number, seed: number): Buffer => Buffer.from(Array.from({ length: size }, (_, at) => (Math.imul(at + seed, 2654435761) >>> 13) & 255))
