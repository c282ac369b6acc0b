import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { parse } from 'yaml'
import type { Nic } from '../model/plan.ts'
import { resolversIn, type SeedParts, seedOf } from './seed.ts'

const key = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ ann@laptop'
const nic: Nic = { id: 'abcd.3', kind: 'tap', tap: 'tt0', mac: '52:54:00:4d:00:05', ip: '10.77.0.5', prefixLength: 24, gateway: '10.77.0.1', ports: {} }
const parts: SeedParts = { vm: { id: 'abcd.3', env: 'my_demo', index: 3 }, nic, sshKeys: [key], dhcp: true, resolvers: [] }

/** All files one after another, compared byte by byte; TT_GOLDEN=write writes them anew. */
function golden(name: string, seed: Record<string, string>): void {
  const file = new URL(`golden/seed-${name}.txt`, import.meta.url)
  const text = Object.entries(seed).map(([path, content]) => `--- ${path}\n${content}`).join('')
  if (process.env['TT_GOLDEN'] === 'write') writeFileSync(file, text)
  assert.equal(text, readFileSync(file, 'utf8'))
}

test('a guest asks for its address, and lets in whoever has a key of its ENV', () => golden('dhcp', seedOf(parts)))

test('a guest whose network answers no DHCP is told its address, its gateway and its resolvers', () =>
  golden('static', seedOf({ ...parts, dhcp: false, resolvers: ['192.0.2.53'], sshKeys: [], nic: { ...nic, mtu: 1450 } })))

test('A05: what a user writes for cloud-init stays as it is, and our keys hold beside it', () => {
  const userData = '#!/bin/sh\necho "--- meta-data"\n'
  const seed = seedOf({ ...parts, vm: { ...parts.vm, userData } })
  assert.equal(seed['user-data'], userData)
  assert.deepEqual((parse(seed['meta-data'] ?? '') as Record<string, unknown>)['public-keys'], [key])
  assert.equal((parse(seed['vendor-data'] ?? '') as Record<string, unknown>)['disable_root'], false)
})

test('every value is a text for YAML, whatever it holds', () => {
  const odd = 'ssh-ed25519 AAAA \'"{}[]: #&*!|>%@`\\ yes'
  const seed = seedOf({ ...parts, sshKeys: [odd] })
  assert.deepEqual(parse(seed['meta-data'] ?? ''), { 'instance-id': 'abcd.3', 'local-hostname': 'my-demo-3', 'public-keys': [odd] })
})

test('resolvers of the host itself are none for its guests', () => assert.deepEqual(resolversIn('# x\nnameserver 127.0.0.53\nnameserver 192.0.2.1\nnameserver fe80::1\nsearch a\nnameserver\t10.0.0.2\n'), ['192.0.2.1', '10.0.0.2']))
