import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { plantedTree, project, toolOutput } from './tree.ts'

const dependencies = { used: '1.0.0', idle: '1.0.0' }
const devDependencies = { 'used-by-tests': '1.0.0', 'idle-too': '1.0.0' }

const files = {
  'package.json': JSON.stringify({ name: 'planted', type: 'module', dependencies, devDependencies }),
  'knip.json': readFileSync(join(project, 'knip.json'), 'utf8'),
  'src/bin/tt.ts': "import { used } from '../model/env.ts'\nexport const main = async () => [used, (await import('../model/lazy.ts')).lazy]\n",
  'src/model/env.ts': [
    "import { x } from 'used'",
    'export const used = x',
    'export const usedByTest = 1',
    'export const idleExport = 2',
    'export interface WordOfTheFile { word: string }',
    'export const word = (): WordOfTheFile => ({ word: String(idleExport) })',
    'export type IdleType = string',
  ].join('\n'),
  'src/model/env.test.ts': "import { y } from 'used-by-tests'\nimport { usedByTest, word } from './env.ts'\nimport { suite } from './env.contract.ts'\nsuite([y, usedByTest, word])\n",
  'src/model/env.contract.ts': 'export const suite = (x: unknown) => x\n',
  'src/model/idle.contract.ts': 'export const suite = (x: unknown) => x\n',
  'src/model/lazy.ts': 'export const lazy = 1\n',
  'src/model/idle.ts': 'export const nobody = 1\n',
  'test/support.ts': 'export const nobody = 1\n',
  'bench/start.ts': "import { unlisted } from 'unlisted'\nunlisted()\n",
  '.dependency-cruiser-reach.mjs': '',
}

test('knip finds what nothing uses: files, suites, exports, types, packages; a use by a test is a use', () => {
  using tree = plantedTree(files)
  const { issues } = JSON.parse(toolOutput({ bin: 'knip', args: ['--reporter', 'json'], cwd: tree.path })) as {
    issues: ({ file: string } & Record<string, { name: string }[]>)[]
  }
  const found = issues.flatMap(({ file, ...kinds }) =>
    Object.entries(kinds).flatMap(([kind, list]) => (Array.isArray(list) ? list.map(({ name }) => `${kind}: ${file}: ${name}`) : [])),
  )
  assert.deepEqual(found.sort(), [
    'dependencies: package.json: idle',
    'devDependencies: package.json: idle-too',
    'exports: src/model/env.ts: idleExport',
    'files: src/model/idle.contract.ts: src/model/idle.contract.ts',
    'files: src/model/idle.ts: src/model/idle.ts',
    'files: test/support.ts: test/support.ts',
    'types: src/model/env.ts: IdleType',
    'unlisted: bench/start.ts: unlisted',
  ])
})
