import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { inNamespace, serverGround } from './ground.ts'

const ip = (...args: string[]) => execFileSync('ip', args)

await inNamespace(import.meta.url, () => {
  test('[E02] a server whose subnet this machine has another use for does not start, and says which', { timeout: 60_000 }, async () => {
    ip('link', 'add', 'name', 'office', 'type', 'bridge')
    ip('address', 'add', '10.77.3.1/24', 'dev', 'office')
    ip('link', 'set', 'dev', 'office', 'up')
    await using server = serverGround(['--subnet', '10.77.0.0/16'])
    const env = { ...process.env, TT_DATA_DIR: join(server.dir, 'data') }
    const said = spawnSync(fileURLToPath(new URL('../../ttserver', import.meta.url)), ['--serv-port', String(server.port), '--log-path', join(server.dir, 'server.log'), '--subnet', '10.77.0.0/16'], { encoding: 'utf8', env })
    assert.notEqual(said.status, 0)
    assert.match(said.stderr, /the subnet 10\.77\.0\.0\/16 overlaps the route 10\.77\.3\.0\/24 dev office.*--subnet/s)
    ip('link', 'delete', 'dev', 'office')
    await server.start()
    assert.match(server.log(), /"subnet":"10\.77\.0\.0\/16"/)
    assert.match(server.log(), /"network":"nftables"/)
  })

  test('[E02] a server that was told no subnet takes one this machine has no use for, and keeps it over a restart', { timeout: 60_000 }, async () => {
    const used = Array.from({ length: 128 }, (_, at) => 64 + at).filter((second) => second !== 133)
    for (const second of used) ip('route', 'add', 'blackhole', `10.${second}.${second}.0/24`)
    await using server = serverGround()
    await server.start()
    assert.match(server.log(), /"subnet":"10\.133\.0\.0\/16"/)
    for (const second of used) ip('route', 'delete', 'blackhole', `10.${second}.${second}.0/24`)
    await server.stop()
    await server.start()
    assert.deepEqual(new Set(server.log().match(/"subnet":"[^"]+"/g)), new Set(['"subnet":"10.133.0.0/16"']))
  })
})
