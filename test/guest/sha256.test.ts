import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createHash, createHmac } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'

const sources = join(import.meta.dirname, '../../guest/agent')

/** Reads `u32 size of the key, key, u32 size of the text, u32 size of pieces, text` again and again, and writes the two digests of each. */
const program = `
#include <stdio.h>
#include <stdlib.h>
static size_t number(void) {
  uint8_t at[4];
  if (fread(at, 1, 4, stdin) != 4) exit(0);
  return at[0] | at[1] << 8 | at[2] << 16 | (size_t)at[3] << 24;
}
static uint8_t *bytes(size_t size) {
  uint8_t *at = malloc(size ? size : 1);
  if (!at || fread(at, 1, size, stdin) != size) exit(1);
  return at;
}
int main(void) {
  for (;;) {
    uint8_t digest[32];
    struct sha256 hash;
    size_t key_size = number();
    uint8_t *key = bytes(key_size);
    size_t size = number(), piece = number();
    uint8_t *text = bytes(size);
    sha256_begin(&hash);
    for (size_t at = 0; at < size; at += piece) sha256_add(&hash, text + at, size - at < piece ? size - at : piece);
    sha256_end(&hash, digest);
    fwrite(digest, 1, 32, stdout);
    hmac_sha256(key, key_size, text, size, digest);
    fwrite(digest, 1, 32, stdout);
    free(key);
    free(text);
  }
}
`

/** The ways in which it is compiled for processors: these run on this one, whatever it is. */
const variants = {
  'as it is': '',
  'for 32-bit processors': '#include <stdint.h>\n#undef UINTPTR_MAX\n#define UINTPTR_MAX UINT32_MAX\n',
  'for processors without wide registers': '#define __builtin_cpu_supports(name) 0\n',
}

interface Case {
  key: Buffer
  text: Buffer
  /** How it is cut. */
  piece: number
}

describe('sha256 of the agent', () => {
  const dir = mkdtempSync(join(tmpdir(), 'tt-sha256-'))
  after(() => rmSync(dir, { recursive: true, force: true }))
  for (const [name, prelude] of Object.entries(variants)) {
    describe(name, () => {
      const binary = join(dir, name.replaceAll(' ', '-'))
      const digests = (cases: Case[]): { hash: string; mac: string }[] => {
        const input = Buffer.concat(cases.flatMap(({ key, text, piece }) => [u32(key.length), key, u32(text.length), u32(piece), text]))
        const out = execFileSync(binary, { input, maxBuffer: 1 << 24 })
        return cases.map((_, n) => ({ hash: out.toString('hex', n * 64, n * 64 + 32), mac: out.toString('hex', n * 64 + 32, n * 64 + 64) }))
      }
      it('compiles', () => {
        writeFileSync(`${binary}.c`, `${prelude}#include "sha256.c"\n${program}`)
        const flags = ['-Wall', '-Wextra', '-Werror', '-O2', '-fsanitize=address,undefined', '-fno-sanitize-recover=all']
        execFileSync('gcc', [...flags, '-I', sources, '-o', binary, `${binary}.c`], { stdio: ['ignore', 'inherit', 'inherit'] })
      })
      it('knows what was published', () => {
        const text = (said: string, key = '') => ({ key: Buffer.from(key), text: Buffer.from(said), piece: 1000 })
        const given = digests([text(''), text('abc'), text('abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq'), text('what do ya want for nothing?', 'Jefe')])
        // FIPS 180-4 (examples of NIST) and RFC 4231, test case 2.
        assert.deepEqual(given.slice(0, 3).map(({ hash }) => hash), [
          'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
          'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
          '248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1',
        ])
        assert.equal(given[3]?.mac, '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843')
      })
      it('agrees with another implementation on every length, however it is cut', () => {
        const cases: Case[] = []
        for (let size = 0; size <= 1200; size++) cases.push({ key: noise(size % 150), text: noise(size), piece: 1 + ((size * 7) % 700) })
        for (const size of [4095, 65_536, 65_537, 300_001]) for (const piece of [1, 63, 64, 511, 512, 513, 70_000]) cases.push({ key: noise(32), text: noise(size), piece })
        digests(cases).forEach(({ hash, mac }, n) => {
          const { key, text, piece } = cases[n] as Case
          assert.equal(hash, createHash('sha256').update(text).digest('hex'), `${text.length} bytes in pieces of ${piece}`)
          assert.equal(mac, createHmac('sha256', key).update(text).digest('hex'), `${text.length} bytes with a key of ${key.length}`)
        })
      })
    })
  }
})

const u32 = (value: number): Buffer => {
  const bytes = Buffer.allocUnsafe(4)
  bytes.writeUInt32LE(value)
  return bytes
}
const noise = (size: number): Buffer => Buffer.from(Array.from({ length: size }, (_, at) => (Math.imul(at + size, 2654435761) >>> 13) & 255))
