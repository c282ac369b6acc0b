import assert from 'node:assert/strict'
import { test } from 'node:test'
import { endpointText, endpointUrl, isHost, parseEndpoint } from './endpoint.ts'

const good: Record<string, { host: string; port: number; tls?: boolean }> = {
  '127.0.0.1': { host: '127.0.0.1', port: 9527 },
  '127.0.0.1:80': { host: '127.0.0.1', port: 80 },
  'cloud.example.org:1': { host: 'cloud.example.org', port: 1 },
  my_host: { host: 'my_host', port: 9527 },
  '::1': { host: '::1', port: 9527 },
  '[::1]': { host: '::1', port: 9527 },
  '[fd00::5]:65535': { host: 'fd00::5', port: 65_535 },
  'http://a': { host: 'a', port: 9527, tls: false },
  'https://10.0.0.5:1': { host: '10.0.0.5', port: 1, tls: true },
  'https://[::1]/': { host: '::1', port: 9527, tls: true },
}
for (const [text, endpoint] of Object.entries(good)) test(`${text} is an endpoint`, () => assert.deepEqual(parseEndpoint(text, 9527), endpoint))

for (const text of ['', ':', ':80', 'a:', 'a:b', 'a:0', 'a:65536', 'a:123456', 'a b', 'a/b', 'a@b', '-a', 'a-', 'a..b', '1.2.3', '1.2.3.256', '01.2.3.4', '[::1', '[a]', '[1.2.3.4]', ':::', '[::1]:0', 'x'.repeat(64), 'ftp://a', 'https://', 'https://a/b', 'https://u@a', 'https://https://a', 'HTTPS//a', '$(id)', 'a\n'])
  test(`${JSON.stringify(text)} is none`, () => assert.equal(parseEndpoint(text, 9527), undefined))

test('an endpoint is written so that it is read again', () => {
  for (const endpoint of Object.values(good)) assert.deepEqual(parseEndpoint(endpointText(endpoint), 1), endpoint)
  assert.equal(endpointText({ host: '::1', port: 80 }), '[::1]:80')
  assert.deepEqual([{ host: 'a', port: 1 }, { host: 'a', port: 1, tls: false }, { host: '::1', port: 1, tls: true }].map(endpointUrl), ['http://a:1', 'http://a:1', 'https://[::1]:1'])
})

test('brackets and ports are no part of a host', () => {
  assert.ok(isHost('::1'))
  assert.ok(!isHost('[::1]'))
  assert.ok(!isHost('a:80'))
})
