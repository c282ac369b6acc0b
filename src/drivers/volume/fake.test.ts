import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { plainEffects } from '../../base/effects.ts'
import { silentLog } from '../../base/log.ts'
import { realWorld } from '../../base/world.ts'
import { fake } from './fake.ts'
import type { VolumeSubject } from './ground.ts'
import { growthContract } from './growth.contract.ts'
import { keepingContract } from './keeping.contract.ts'
import { volumeContract } from './volume.contract.ts'

const subject: VolumeSubject = { name: 'fake', factory: fake, base: async (dir) => ({ path: join(dir, 'base.raw'), format: 'raw', sizeBytes: 1 << 20 }) }
await volumeContract(subject)
await growthContract(subject)
await keepingContract(subject)

test('10,000 volumes are made in half a second, and found again', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'tt-volume-'))
  try {
    const home = { dir, mark: 'tests', world: realWorld, effects: plainEffects(), log: silentLog }
    const ids = Array.from({ length: 10_000 }, (_, index) => `env.${index}`)
    const volumes = await fake(home, {})
    const start = process.cpuUsage()
    await Promise.all(ids.map((id) => volumes.create(id, { sizeBytes: 1 << 30 })))
    const { user, system } = process.cpuUsage(start)
    assert(user + system < 500_000, `${user + system} us of processor time`)
    await volumes[Symbol.asyncDispose]()
    const again = await fake(home, {})
    assert.deepEqual(await again.list(), ids)
    await again[Symbol.asyncDispose]()
  } finally {
    rmSync(dir, { recursive: true })
  }
})
