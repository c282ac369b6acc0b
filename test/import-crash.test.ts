import assert from 'node:assert/strict'
import { mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { type Effects, plainEffects } from '../src/base/effects.ts'
import { silentLog } from '../src/base/log.ts'
import { realWorld } from '../src/base/world.ts'
import { fake } from '../src/drivers/engine/fake.ts'
import { mortal } from '../src/drivers/volume/ground.ts'
import { sightings } from '../src/host/image-files.ts'
import { importedImages } from '../src/host/imported-images.ts'
import { importer } from '../src/host/imports.ts'
import type { SessionFrame, SessionInput } from '../src/model/session.ts'
import { temporaryDir } from './fake-cloud.ts'
import { bootDisk, digestOf, guestBytes, MiB, needing } from './import-ground.ts'

const needs = needing('qemu-img')

/** A host's imports alone, as one life of its server. */
async function life(dir: string, effects: Effects, arm: () => void = () => undefined) {
  mkdirSync(join(dir, 'engine'), { recursive: true })
  const engine = await fake({ dir: join(dir, 'engine'), mark: 'tests', world: realWorld, effects: plainEffects(), log: silentLog }, {})
  const imported = await importedImages({ dir: join(dir, 'imported'), world: realWorld, effects })
  const run = await importer({ name: 'one', engines: new Map([['fake', engine]]), imported, taken: () => false, unwanted: () => false, onImage: async () => undefined, diskLimitBytes: () => 2 ** 40, variables: {}, world: realWorld, effects, log: silentLog })
  arm()
  return {
    imported,
    async import(bytes: Buffer, replace = false) {
      const told: SessionFrame[] = []
      await run({ order: { name: 'mine', replace }, inputs: story(bytes, told), tell: (frame) => void told.push(frame) })
      return told.flatMap((frame) => (frame.type === 'wants' ? [frame.offset] : []))[0]
    },
  }
}

async function* story(bytes: Buffer, told: SessionFrame[]): AsyncGenerator<SessionInput> {
  yield { type: 'entry', entry: { path: '', type: 'file', mode: 0o644, sizeBytes: bytes.length, sha256: digestOf(bytes) } }
  const offset = told.flatMap((frame) => (frame.type === 'wants' ? [frame.offset] : []))[0] ?? assert.fail('nothing is wanted')
  yield { type: 'from', offset }
  yield { type: 'stdin', data: bytes.subarray(offset) }
  yield { type: 'eof' }
}

async function found(dir: string) {
  const all = []
  for await (const sighting of sightings(join(dir, 'imported'), new Set(['fake']))) all.push(sighting)
  return all.map((one) => ('image' in one ? (one.image.base?.path ?? '') : assert.fail(one.why)))
}

test('[fault 39] a server that dies at any effect of an import leaves the image, or a part that is gone on with', needs, async () => {
  const one = bootDisk(2 * MiB, 'one')
  const two = bootDisk(2 * MiB, 'two')
  for (const verb of ['import', 'replace', 'drop'] as const) {
    const offsets = new Set<number>()
    for (let at = 1, over = false; !over; at++) {
      for (const side of ['before', 'after'] as const) {
        using home = temporaryDir('crash')
        if (verb !== 'import') await (await life(home.dir, plainEffects())).import(one)
        const fate = mortal(at, side)
        const doomed = await life(home.dir, fate.effects, () => (fate.armed = true))
        const done = verb === 'drop' ? doomed.imported.drop('mine') : doomed.import(verb === 'import' ? one : two, true)
        await done.catch((fault: unknown) => fate.dead || Promise.reject(fault))
        over = !fate.dead
        const where = `a death ${side} effect ${at} of ${verb}`
        for (const path of await found(home.dir)) assert.ok(verb === 'replace' || guestBytes(path).equals(one), `${where} leaves another image`)

        const next = await life(home.dir, plainEffects())
        const left = await found(home.dir)
        assert.ok(left.length <= 1 && (verb !== 'replace' || left.length === 1), `${where} leaves ${left.length} images of one name`)
        for (const path of left) assert.ok(guestBytes(path).equals(one) || guestBytes(path).equals(two), `${where} leaves bytes of neither`)
        assert.deepEqual(readdirSync(join(home.dir, 'imported')).filter((name) => name.endsWith('.new')), [], where)
        offsets.add((await next.import(verb === 'drop' ? one : two, true)) ?? -1)
        const [path = ''] = await found(home.dir)
        assert.ok(guestBytes(path).equals(verb === 'drop' ? one : two), `${where}: the next import makes another image`)
        await next.imported.drop('mine')
        assert.deepEqual(await found(home.dir), [])
      }
      assert.ok(!over || at > 2, `${verb} does not use its door to the machine`)
    }
    if (verb === 'replace') assert.ok(offsets.has(0) && offsets.has(two.length), `parts are not gone on with: ${[...offsets].join()}`)
  }
})

test('files that another image took the place of go when no VM was made of them any more', needs, async () => {
  using home = temporaryDir('crash')
  let now = Date.now()
  const world = { ...realWorld, now: () => now }
  const host = await life(home.dir, plainEffects())
  await host.import(bootDisk(2 * MiB, 'one'))
  const [before = ''] = await found(home.dir)
  await host.import(bootDisk(2 * MiB, 'two'), true)
  const images = await importedImages({ dir: join(home.dir, 'imported'), world, effects: plainEffects() })
  await images.retire(() => false)
  assert.ok(guestBytes(before), 'a VM may be on its way')
  now += 120_000
  await images.retire(() => true)
  assert.ok(guestBytes(before), 'a VM was made of it')
  await images.retire(() => false)
  assert.throws(() => guestBytes(before))
  assert.equal((await found(home.dir)).length, 1)
})
