import assert from 'node:assert/strict'
import { test } from 'node:test'
import { nearest } from './nearest.ts'

const flags = ['os-prefix', 'cpu-num', 'mem-size', 'disk-size', 'json', 'server']

for (const [word, meant] of [
  ['os-prefx', 'os-prefix'],
  ['os_prefix', 'os-prefix'],
  ['OS-PREFIX', 'os-prefix'],
  ['sever', 'server'],
  ['sevrer', 'server'],
  ['jsno', 'json'],
  ['mem', 'mem-size'],
  ['disk-sizes', 'disk-size'],
] as const)
  test(`${word} most likely means ${meant}`, () => assert.equal(nearest(word, flags), meant))

for (const word of ['x', 'colour', 'verbose', '', 'q'.repeat(10_000)]) test(`${word.slice(0, 20)} means none of them`, () => assert.equal(nearest(word, flags), undefined))

test('of two that are near the nearer one is meant', () => assert.equal(nearest('lists', ['lost', 'list']), 'list'))
