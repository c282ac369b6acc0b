import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { plainEffects } from '../src/base/effects.ts'
import { silentLog } from '../src/base/log.ts'
import { realWorld } from '../src/base/world.ts'
import { fake } from '../src/drivers/engine/fake.ts'
import type { Engine } from '../src/drivers/engine/engine.ts'
import type { Arch } from '../src/model/image.ts'
import { catalogue } from '../src/host/images.ts'
import { memoryStore } from '../src/store/memory.ts'
import { fakeCloud, temporaryDir } from './fake-cloud.ts'

const about = (name: string, arch: Arch = 'amd64') => JSON.stringify({ format: 1, name, arch, engines: ['fake'], boot: 'kernel' })

/** A recipe that writes what it was told to build, in the place of images/build. */
const build = `set -eu
mkdir -p "$2/$1"
echo kernel >"$2/$1/kernel"
case $1 in *-s390x) arch=s390x ;; *) arch=amd64 ;; esac
printf '{"format":1,"name":"%s","arch":"%s","engines":["fake"],"boot":"kernel","kernel":{"file":"kernel","sha256":"%064d"}}' "$1" $arch 0 >"$2/$1/image.json"
`

async function inCatalogue(runnable: readonly Arch[], then: (images: Awaited<ReturnType<typeof catalogue>>, cacheDir: string) => Promise<void>): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'tt-image-archs-'))
  const [recipesDir, cacheDir] = [join(dir, 'recipes'), join(dir, 'cache')]
  for (const name of ['small', 'station']) mkdirSync(join(recipesDir, name), { recursive: true })
  mkdirSync(cacheDir)
  writeFileSync(join(recipesDir, 'build'), build)
  writeFileSync(join(recipesDir, 'small', 'about.json'), about('small'))
  writeFileSync(join(recipesDir, 'small', 'archs'), '# name  compiler\narm64  aarch64-linux-gnu\ns390x  s390x-linux-gnu\n')
  writeFileSync(join(recipesDir, 'station', 'about.json'), about('station', 'sparc'))
  const home = { dir, mark: 'abcde', world: realWorld, effects: plainEffects(), log: silentLog }
  const made = await fake(home, {})
  const engine: Engine = { ...made, features: { ...made.features, archs: runnable } }
  const ending = new AbortController()
  try {
    await using images = await catalogue({ ...home, dirs: () => [], cacheDir, wholeDirs: [cacheDir], ownUsers: false, recipesDir, engines: new Map([['fake', engine]]), signal: ending.signal, onChange: () => undefined })
    await then(images, cacheDir)
  } finally {
    ending.abort()
    await made[Symbol.asyncDispose]()
    rmSync(dir, { recursive: true, force: true })
  }
}

const recipesIn = (images: { specs(): Record<string, { buildable?: boolean; arch: string }> }) => Object.entries(images.specs()).flatMap(([name, { arch, buildable }]) => (buildable === undefined ? [] : [`${name} ${arch} ${buildable ? 'to build' : 'built'}`]))

test('images for other processors show themselves once they are built: who asks for all that begins with a name gets no builds they never asked for', () =>
  inCatalogue(['amd64', 's390x'], async (images) => {
    assert.deepEqual(recipesIn(images), ['small amd64 to build'])
    await images.build('small-s390x')
    assert.deepEqual(recipesIn(images), ['small amd64 to build', 'small-s390x s390x built'])
    await assert.rejects(images.build('small-vax'), { code: 'not_found', remedy: 'there are small-arm64, small-s390x' })
    await assert.rejects(images.build('other-s390x'), { code: 'not_found', remedy: 'see `tt image recipes`' })
  }))

test('a recipe for a processor that does not run here is not offered, and what is built of it is still shown', () =>
  inCatalogue(['amd64'], async (images) => {
    assert.deepEqual(recipesIn(images), ['small amd64 to build'])
    await images.build('small-s390x')
    assert.deepEqual(recipesIn(images), ['small amd64 to build', 'small-s390x s390x built'])
  }))

test('it is offered where it runs', () => inCatalogue(['amd64', 'sparc'], async (images) => assert.deepEqual(recipesIn(images), ['small amd64 to build', 'station sparc to build'])))

test('[H06] a host takes VMs only for processors that its engine runs', { timeout: 60_000 }, async () => {
  using place = temporaryDir('archs')
  const images = join(place.dir, 'images')
  mkdirSync(join(images, 'foreign'), { recursive: true })
  writeFileSync(join(images, 'foreign', 'kernel'), 'kernel')
  writeFileSync(join(images, 'foreign', 'image.json'), JSON.stringify({ ...JSON.parse(about('foreign', 'arm64')), kernel: { file: 'kernel', sha256: '0'.repeat(64) } }))
  utimesSync(join(images, 'foreign', 'kernel'), 1, 1)
  utimesSync(join(images, 'foreign', 'image.json'), 1, 1)
  await using store = memoryStore({ world: realWorld })
  const host = (name: string, archs: readonly Arch[]) =>
    fakeCloud({ dir: join(place.dir, name), store, imageDirs: [images], host: { name }, around: { engine: (engine) => ({ ...engine, features: { ...engine.features, archs } }) } })
  await using poor = await host('poor', ['amd64'])
  await assert.rejects(poor.cloud.collection('env').put('alone', { spec: { groups: [{ image: 'foreign' }] } }), { code: 'unsupported', message: /no host fits, because none runs guests for arm64/ })
  await using _rich = await host('rich', ['amd64', 'arm64'])
  await poor.cloud.collection('env').put('spread', { spec: { groups: [{ image: 'foreign', count: 5 }] } })
  for (let tries = 0; ; tries++) {
    const { items } = await poor.cloud.collection('vm').list({ under: 'spread' })
    if (items.every(({ status }) => status?.state === 'ready')) {
      assert.deepEqual(items.map(({ status }) => status?.host), Array.from({ length: 5 }, () => 'rich'))
      break
    }
    assert.ok(tries < 300, JSON.stringify(items.map(({ status }) => status)))
    await realWorld.sleep(50)
  }
})
