import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
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
