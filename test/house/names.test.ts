import assert from 'node:assert/strict'
import { basename } from 'node:path'
import { test } from 'node:test'
import { projectFiles } from './tree.ts'

/** A name that would fit anything says nothing; base class prefixes say what a file is made of, not what it is. */
const empty = /^(utils?|utilit(y|ies)|helpers?|common|misc|types?|interfaces?|constants?|managers?|services?|abstract|impl)$/
const kebab = /^[a-z0-9]+(-[a-z0-9]+)*$/

test('files and folders are kebab-case nouns that say something', () => {
  assert.deepEqual(projectFiles(['src', 'test', 'bench', 'script', 'images', 'guest', 'native']).flatMap(nameProblems), [])
})

test('a test or suite lies beside what it is about, and a folder of drivers has its contract', () => {
  assert.deepEqual(placeProblems(projectFiles(['src'])), [])
})

for (const path of ['src/model/utils.ts', 'src/host/vm-manager.ts', 'src/common/vms.ts', 'src/Host/vms.ts', 'src/host/vmPlan.ts', 'src/host/vm_plan.ts', 'src/model/types.test.ts'])
  test(`the law of names fires on ${path}`, () => assert.equal(nameProblems(path).length, 1))

for (const path of ['src/drivers/network/user-mode.ts', 'src/store/sqlite.test.ts', 'test/golden/Any_Name.json', 'guest/README.md', 'src/model/commonplace.ts'])
  test(`the law of names lets ${path} be`, () => assert.deepEqual(nameProblems(path), []))

test('the law of places fires on a lonely test, a lonely suite and a folder without contract', () => {
  assert.equal(placeProblems(['src/host/vms.test.ts']).length, 1)
  assert.equal(placeProblems(['src/store/store.contract.ts']).length, 1)
  assert.equal(placeProblems(['src/drivers/engine/fake.ts']).length, 1)
  assert.equal(placeProblems(['src/host/host.ts', 'src/host/parts.contract.ts']).length, 1)
  assert.deepEqual(placeProblems(['src/drivers/engine/engine.ts', 'src/drivers/engine/engine.contract.ts', 'src/drivers/engine/parts.contract.ts', 'src/drivers/engine/fake.ts']), [])
})

function nameProblems(path: string): string[] {
  if (path.includes('/golden/') || /^[A-Z]+(\.md)?$/.test(basename(path))) return []
  const names = path.split('/').map((part) => part.replace(/^\./, '').split('.')[0] ?? '')
  if (!names.every((name) => kebab.test(name))) return [`${path}: not kebab-case`]
  const bad = names.flatMap((name) => name.split('-')).find((word) => empty.test(word))
  return bad === undefined ? [] : [`${path}: «${bad}» says nothing; if it has no better name it has no home`]
}

/** A long suite comes in parts, beside the contract that gives their folder its name: `channel/files.contract.ts`. */
function isPartOfSuite(path: string, all: Set<string>): boolean {
  const [, folder, name] = /^(src\/drivers\/([^/]+))\/[^/]+\.contract\.ts$/.exec(path) ?? []
  return all.has(`${folder}/${name}.ts`)
}

function placeProblems(paths: string[]): string[] {
  const all = new Set(paths)
  const lonely = paths
    .filter((path) => /\.(test|contract)\.ts$/.test(path) && !all.has(path.replace(/\.(test|contract)\.ts$/, '.ts')) && !isPartOfSuite(path, all))
    .map((path) => `${path}: nothing of that name beside it; what spans files belongs in test/`)
  const kinds = new Set(paths.map((path) => /^src\/drivers\/([^/]+)\//.exec(path)?.[1]).filter((kind) => kind !== undefined))
  const bare = [...kinds].filter((kind) => !all.has(`src/drivers/${kind}/${kind}.ts`))
  return [...lonely, ...bare.map((kind) => `src/drivers/${kind}/: no contract file ${kind}.ts`)]
}
