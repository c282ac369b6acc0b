import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'

const images = join(import.meta.dirname, '../images')

/** A checkout with the programs that build and one recipe, and a cache of its own. */
function checkout(files: Record<string, string>) {
  const dir = mkdtempSync(join(tmpdir(), 'tt-recipe-'))
  mkdirSync(join(dir, 'images/toy'), { recursive: true })
  for (const name of ['build', 'fetch', 'fetch-system']) copyFileSync(join(images, name), join(dir, 'images', name))
  writeFileSync(join(dir, 'images/toy/about.json'), '{\n  "format": 1,\n  "name": "toy"\n}\n')
  for (const [name, text] of Object.entries({ recipe: 'cp "$TT_PACKAGES/sources.list" "$TT_OUT/kernel"\necho \'"kernel": {}\' >"$TT_OUT/files.json"\n', ...files })) writeFileSync(join(dir, 'images/toy', name), text)
  return {
    cache: join(dir, 'cache'),
    write: (name: string, text: string) => writeFileSync(join(dir, 'images/toy', name), text),
    build: (env: Record<string, string> = {}, ...verbs: string[]) => spawnSync('sh', [join(dir, 'images/build'), ...verbs, 'toy'], { encoding: 'utf8', env: { ...process.env, TT_IMAGE_CACHE: join(dir, 'cache'), ...env } }),
    [Symbol.dispose]: () => rmSync(dir, { recursive: true, force: true }),
  }
}

test('a recipe whose programs are missing says which packages bring them, before it does anything', () => {
  using at = checkout({ tools: '# what it runs\nsh  dash\nno-such-program-1  one-package\nno-such-program-2  other-package\n' })
  const { status, stderr } = at.build()
  assert.equal(status, 1)
  assert.match(stderr, /the recipe 'toy' needs packages that are not installed on this machine: one-package other-package\n.*apt-get install -y --no-install-recommends one-package other-package/)
  assert.ok(!existsSync(join(at.cache, '.packages/toy')) && !existsSync(join(at.cache, 'toy')), 'nothing was made')
})

test('a recipe for a whole system needs a place to get that release from, and takes the one it is told', () => {
  using at = checkout({ system: 'release no-such-release\nhello  says hello\n', packages: '' })
  const none = at.build()
  assert.equal(none.status, 1)
  assert.match(none.stderr, /knows no place to get Debian no-such-release from: set TT_DEBIAN_SOURCES/)
  const sources = join(at.cache, 'sources')
  writeFileSync(sources, 'deb [trusted=yes] file:/no/such/mirror no-such-release main\n')
  const wrong = at.build({ TT_DEBIAN_SOURCES: sources })
  assert.equal(wrong.status, 1)
  assert.match(wrong.stderr, /\/no\/such\/mirror/)
  assert.ok(!existsSync(join(at.cache, '.packages/toy')) && !existsSync(join(at.cache, '.packages/toy.new')), 'what was not fetched whole is not there')
})

/** A mirror with two packages of which one depends on the other, and one that nobody asked for. */
function mirror(dir: string): string | undefined {
  mkdirSync(join(dir, 'dists/toys/main/binary-amd64'), { recursive: true })
  let index = ''
  for (const [name, more] of [['base', 'Essential: yes\n'], ['apt', ''], ['hello', 'Depends: greeting\n'], ['greeting', ''], ['loader', 'Depends: nowhere-to-be-found\n'], ['unasked', '']] as const) {
    const tree = join(dir, 'trees', name)
    mkdirSync(join(tree, 'DEBIAN'), { recursive: true })
    writeFileSync(join(tree, 'DEBIAN/control'), `Package: ${name}\nVersion: 1\nArchitecture: amd64\nMaintainer: x <x@example.org>\n${more}Description: toy\n`)
    const deb = join(dir, `${name}_1_amd64.deb`)
    const made = spawnSync('dpkg-deb', ['--root-owner-group', '-b', tree, deb], { encoding: 'utf8' })
    if (made.status !== 0) return made.error?.message ?? made.stderr
    const [bytes] = [readFileSync(deb)]
    index += `${readFileSync(join(tree, 'DEBIAN/control'), 'utf8')}Filename: ${name}_1_amd64.deb\nSize: ${bytes.length}\nSHA256: ${sha256(bytes)}\n\n`
  }
  writeFileSync(join(dir, 'dists/toys/main/binary-amd64/Packages'), index)
  writeFileSync(join(dir, 'dists/toys/Release'), `Suite: toys\nCodename: toys\nArchitectures: amd64\nComponents: main\nSHA256:\n ${sha256(Buffer.from(index))} ${index.length} main/binary-amd64/Packages\n`)
  return undefined
}

const sha256 = (bytes: Uint8Array) => spawnSync('sha256sum', [], { input: bytes, encoding: 'utf8' }).stdout.slice(0, 64)

test('[L10] a whole system is fetched with all it depends on and nothing more, once, and built again without a network until what is asked for is other', (t) => {
  using at = checkout({ system: '# a comment\nrelease toys\nhello  says hello\n', packages: 'loader  taken apart, not installed\n' })
  const dir = join(at.cache, 'mirror')
  const why = mirror(dir)
  if (why !== undefined) return t.skip(`no packages can be made here: ${why}`)
  const sources = join(at.cache, 'sources')
  writeFileSync(sources, `deb [trusted=yes] copy:${dir} toys main\n`)
  const env = { TT_DEBIAN_SOURCES: sources }
  const first = at.build(env)
  assert.equal(first.status, 0, first.stderr)
  const packages = join(at.cache, '.packages/toy')
  const sums = readFileSync(join(packages, 'SHA256SUMS'), 'utf8')
  assert.deepEqual([...sums.matchAll(/ {2}(\S+)$/gm)].map(([, name]) => name), ['apt_1_amd64.deb', 'base_1_amd64.deb', 'greeting_1_amd64.deb', 'hello_1_amd64.deb', 'loader_1_amd64.deb', 'sources.list'])
  assert.equal(readFileSync(join(at.cache, 'toy/kernel'), 'utf8'), readFileSync(sources, 'utf8'), 'the recipe is told where they came from')

  rmSync(dir, { recursive: true })
  assert.equal(at.build(env, '--check').status, 0)
  rmSync(join(at.cache, 'toy'), { recursive: true })
  const again = at.build(env)
  assert.equal(again.status, 0, again.stderr)
  assert.doesNotMatch(again.stderr, /fetch:/)
  assert.notEqual(at.build(env, '--refresh').status, 0, 'which asks the mirror')
  assert.equal(readFileSync(join(packages, 'SHA256SUMS'), 'utf8'), sums, 'and leaves what there was')
  at.write('system', 'release toys\nhello  says hello\nunasked  is asked for now\n')
  assert.match(at.build(env).stderr, /fetch: reading the package lists of Debian toys/)
})
