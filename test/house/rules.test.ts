import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { test } from 'node:test'
import { plantedTree, project, toolOutput } from './tree.ts'

/** One import: the file it stands in, and a file of the tree, a package or a builtin. */
type Import = [from: string, to: string, how?: 'import' | 'type' | 'lazy' | 'builtin']
interface Violation {
  from: string
  to: string
  rule: string
}

/** A tree in which every room does what it may: none of these may fire. */
const allowed: Import[] = [
  ['src/base/world.ts', 'node:timers/promises'],
  ['src/base/run.ts', 'node:child_process'],
  ['src/base/run.ts', 'src/base/world.ts'],
  ['src/base/run.test.ts', 'node:test'],
  ['src/base/run.test.ts', 'fast-check'],
  ['src/model/env.ts', 'valibot'],
  ['src/model/env.ts', 'src/model/names.ts', 'type'],
  ['src/model/names.ts', 'src/model/env.ts', 'type'],
  ['src/model/cloud.contract.ts', 'node:test'],
  ['src/model/cloud.contract.ts', 'node:assert/strict'],
  ['src/model/cloud.contract.ts', 'fast-check'],
  ['src/store/store.contract.ts', 'node:test'],
  ['src/store/sqlite.ts', 'node:sqlite'],
  ['src/store/sqlite.ts', 'src/base/world.ts'],
  ['src/store/etcd.ts', 'etcd3'],
  ['src/store/memory.test.ts', 'src/store/store.contract.ts'],
  ['src/store/memory.test.ts', 'src/store/memory.ts'],
  ['src/store/memory.test.ts', 'node:fs'],
  ['src/drivers/engine/engine.ts', 'src/drivers/channel/channel.ts', 'type'],
  ['src/drivers/engine/engine.contract.ts', 'node:fs'],
  ['src/drivers/engine/qemu/qemu.ts', 'src/drivers/engine/engine.ts'],
  ['src/drivers/engine/qemu/qemu.ts', 'src/drivers/engine/machine.ts'],
  ['src/drivers/engine/qemu/qemu.ts', 'src/drivers/engine/qemu/argv.ts'],
  ['src/drivers/engine/qemu/qemu.ts', 'node:net'],
  ['src/drivers/engine/qemu/qemu.ts', 'node:child_process', 'type'],
  ['src/drivers/engine/qemu/qemu.test.ts', 'src/drivers/engine/engine.contract.ts'],
  ['src/drivers/engine/qemu/qemu.test.ts', 'src/drivers/volume/fake.ts'],
  ['src/drivers/engine/firecracker/firecracker.ts', 'src/drivers/engine/engine.ts'],
  ['src/drivers/engine/index.ts', 'src/drivers/engine/qemu/qemu.ts', 'lazy'],
  ['src/drivers/blob/http.ts', 'node:http', 'builtin'],
  ['src/host/vms.ts', 'src/store/store.ts', 'type'],
  ['src/host/vms.ts', 'src/drivers/engine/engine.ts'],
  ['src/host/vms.ts', 'src/model/plan.ts'],
  ['src/host/vms.ts', 'node:path'],
  ['src/host/ring.ts', 'src/host/cycle.ts', 'lazy'],
  ['src/host/vms.test.ts', 'src/drivers/engine/fake.ts'],
  ['src/host/vms.test.ts', 'src/store/memory.ts'],
  ['src/cloud/cluster.ts', 'src/store/store.ts'],
  ['src/cloud/cluster.ts', 'src/model/env.ts'],
  ['src/cloud/access.ts', 'node:crypto'],
  ['src/cloud/cluster.test.ts', 'src/store/memory.ts'],
  ['src/cloud/cluster.test.ts', 'src/model/cloud.contract.ts'],
  ['src/api/server.ts', 'ws'],
  ['src/api/server.ts', 'node:http', 'builtin'],
  ['src/api/server.ts', 'node:http', 'type'],
  ['src/api/openapi.ts', '@valibot/to-json-schema'],
  ['src/api/client.ts', 'src/base/world.ts', 'type'],
  ['src/api/client.ts', 'src/model/env.ts'],
  ['src/api/routes.ts', 'src/model/env.ts'],
  ['src/cli/main.ts', 'src/cli/commands/env.ts', 'lazy'],
  ['src/cli/commands/env.ts', 'src/model/env.ts'],
  ['src/cli/commands/env.ts', 'src/base/world.ts'],
  ['src/web/page.ts', 'src/api/client.ts'],
  ['src/web/page.ts', 'src/model/env.ts'],
  ['src/bin/tt.ts', 'src/cli/main.ts'],
  ['src/bin/tt.ts', 'src/api/client.ts'],
  ['src/bin/tt.ts', 'ws'],
  ['src/bin/ttproxy.ts', 'src/cloud/federation.ts'],
  ['src/bin/ttproxy.ts', 'src/api/server.ts'],
  ['src/bin/ttserver.ts', 'src/drivers/engine/index.ts'],
  ['src/bin/ttserver.ts', 'src/store/sqlite.ts', 'lazy'],
  ['src/bin/ttserver.ts', 'src/host/vms.ts'],
  ['src/bin/ttserver.ts', 'src/cloud/cluster.ts'],
  ['src/bin/ttserver.test.ts', 'src/bin/ttserver.ts'],
  ['src/bin/ttserver.test.ts', 'node:child_process'],
  ['test/whole.test.ts', 'src/bin/ttserver.ts'],
  ['test/whole.test.ts', 'src/model/cloud.contract.ts'],
  ['test/whole.test.ts', 'test/support.ts'],
  ['test/whole.test.ts', 'node:http'],
  ['bench/start.ts', 'src/drivers/engine/index.ts'],
]

/** Per rule, imports each of which breaks it and no other. */
const forbidden: Record<string, Import[]> = {
  'base-rooms': [
    ['src/base/a.ts', 'src/model/env.ts'],
    ['src/base/a.ts', 'src/store/store.ts', 'type'],
    ['src/base/a.ts', 'src/bin/ttserver.ts'],
    ['src/base/a.ts', 'test/support.ts'],
  ],
  'base-tests': [['src/base/a.test.ts', 'src/model/env.ts']],
  'base-packages': [['src/base/a.ts', 'valibot']],
  'model-rooms': [
    ['src/model/a.ts', 'src/base/world.ts', 'type'],
    ['src/model/a.contract.ts', 'src/store/memory.ts'],
  ],
  'model-tests': [['src/model/a.test.ts', 'src/base/world.ts']],
  'model-packages': [['src/model/a.ts', 'ws', 'type']],
  'model-node': [
    ['src/model/a.ts', 'node:stream', 'type'],
    ['src/model/a.ts', 'node:crypto', 'builtin'],
    ['src/model/a.ts', 'node:assert/strict'],
    ['src/model/a.ts', 'node:timers'],
  ],
  'store-rooms': [
    ['src/store/a.ts', 'src/drivers/engine/engine.ts', 'type'],
    ['src/store/a.ts', 'src/cloud/cluster.ts'],
    ['src/store/a.ts', 'src/host/vms.ts', 'lazy'],
  ],
  'store-tests': [['src/store/a.test.ts', 'src/cloud/cluster.ts']],
  'store-packages': [
    ['src/store/a.ts', 'valibot'],
    ['src/store/a.ts', 'etcd3'],
  ],
  'store-node': [
    ['src/store/a.ts', 'node:net'],
    ['src/store/a.ts', 'node:child_process'],
  ],
  'ssh-client': [['src/drivers/engine/qemu/a.ts', 'ssh2']],
  'etcd-client': [['src/store/etcd.ts', 'ws']],
  'drivers-rooms': [
    ['src/drivers/volume/a.ts', 'src/store/store.ts', 'type'],
    ['src/drivers/volume/a.ts', 'src/host/vms.ts'],
    ['src/drivers/volume/a.ts', 'src/api/client.ts'],
  ],
  'drivers-tests': [['src/drivers/volume/a.test.ts', 'src/host/vms.ts']],
  'drivers-packages': [
    ['src/drivers/volume/a.ts', 'ws'],
    ['src/drivers/volume/a.ts', 'etcd3'],
  ],
  'driver-kinds-apart': [
    ['src/drivers/volume/a.ts', 'src/drivers/engine/qemu/qemu.ts', 'type'],
    ['src/drivers/volume/a.ts', 'src/drivers/engine/fake.ts'],
    ['src/drivers/volume/a.ts', 'src/drivers/engine/machine.ts'],
  ],
  'driver-tests-on-fakes': [['src/drivers/volume/a.test.ts', 'src/drivers/engine/qemu/qemu.ts']],
  'drivers-apart': [
    ['src/drivers/engine/unikernel/a.ts', 'src/drivers/engine/qemu/qemu.ts'],
    ['src/drivers/engine/unikernel/a.test.ts', 'src/drivers/engine/qemu/qemu.ts'],
  ],
  'driver-index': [['src/drivers/engine/unikernel/a.ts', 'src/drivers/engine/index.ts']],
  'host-rooms': [
    ['src/host/a.ts', 'src/cloud/cluster.ts', 'type'],
    ['src/host/a.ts', 'src/store/memory.ts'],
    ['src/host/a.ts', 'src/store/sqlite.ts', 'type'],
    ['src/host/a.ts', 'src/drivers/engine/qemu/qemu.ts'],
    ['src/host/a.ts', 'src/drivers/engine/index.ts', 'lazy'],
    ['src/host/a.ts', 'src/drivers/engine/fake.ts'],
    ['src/host/a.ts', 'src/drivers/engine/machine.ts'],
    ['src/host/a.ts', 'src/api/server.ts'],
    ['src/host/a.ts', 'bench/support.ts'],
  ],
  'host-tests': [
    ['src/host/a.test.ts', 'src/cloud/cluster.ts'],
    ['src/host/a.test.ts', 'src/drivers/engine/qemu/qemu.ts'],
    ['src/host/a.test.ts', 'src/store/sqlite.ts'],
  ],
  'host-packages': [['src/host/a.ts', 'valibot']],
  'cloud-rooms': [
    ['src/cloud/a.ts', 'src/host/vms.ts', 'type'],
    ['src/cloud/a.ts', 'src/store/memory.ts'],
    ['src/cloud/a.ts', 'src/drivers/engine/engine.ts', 'type'],
    ['src/cloud/a.ts', 'src/api/client.ts'],
  ],
  'cloud-tests': [
    ['src/cloud/a.test.ts', 'src/host/vms.ts'],
    ['src/cloud/a.test.ts', 'src/store/sqlite.ts'],
    ['src/cloud/a.test.ts', 'src/drivers/engine/qemu/qemu.ts'],
  ],
  'cloud-packages': [['src/cloud/a.ts', 'valibot']],
  'cloud-node': [['src/cloud/a.ts', 'node:fs']],
  'api-rooms': [
    ['src/api/a.ts', 'src/store/store.ts', 'type'],
    ['src/api/a.ts', 'src/cloud/guard.ts'],
    ['src/api/a.ts', 'src/web/page.ts'],
    ['src/api/a.ts', 'src/bin/tt.ts'],
  ],
  'api-tests': [['src/api/a.test.ts', 'src/cloud/cluster.ts']],
  'api-packages': [['src/api/a.ts', 'commander']],
  'api-node': [
    ['src/api/a.ts', 'node:child_process'],
    ['src/api/a.ts', 'node:fs', 'builtin'],
  ],
  'cli-rooms': [
    ['src/cli/commands/a.ts', 'src/api/client.ts'],
    ['src/cli/commands/a.ts', 'src/cloud/guard.ts', 'type'],
  ],
  'cli-tests': [['src/cli/a.test.ts', 'src/api/client.ts']],
  'cli-packages': [['src/cli/commands/a.ts', 'ws']],
  'cli-node': [
    ['src/cli/commands/a.ts', 'node:fs'],
    ['src/cli/commands/a.ts', 'node:process'],
  ],
  'web-rooms': [
    ['src/web/a.ts', 'src/base/world.ts', 'type'],
    ['src/web/a.ts', 'src/cloud/guard.ts'],
  ],
  'web-tests': [['src/web/a.test.ts', 'src/cloud/guard.ts']],
  'web-packages': [['src/web/a.ts', 'ws']],
  'web-node': [['src/web/a.ts', 'node:path']],
  'web-api-client': [['src/web/a.ts', 'src/api/server.ts', 'type']],
  'bin-rooms': [['src/bin/ttserver.ts', 'test/support.ts']],
  'bin-packages': [
    ['src/bin/ttserver.ts', 'fast-check'],
    ['src/bin/ttserver.ts', 'etcd3'],
  ],
  'tt-imports': [
    ['src/bin/tt.ts', 'src/store/store.ts', 'type'],
    ['src/bin/tt.ts', 'src/drivers/engine/engine.ts', 'type'],
    ['src/bin/tt.ts', 'src/host/vms.ts', 'lazy'],
    ['src/bin/tt.ts', 'src/cloud/guard.ts'],
  ],
  'ttproxy-imports': [
    ['src/bin/ttproxy.ts', 'src/store/memory.ts'],
    ['src/bin/ttproxy.ts', 'src/drivers/blob/http.ts'],
    ['src/bin/ttproxy.ts', 'src/host/vms.ts', 'type'],
  ],
  'http-lazily': [
    ['src/base/a.ts', 'node:http'],
    ['src/api/a.ts', 'node:https'],
    ['src/drivers/blob/a.ts', 'http', 'lazy'],
    ['src/bin/ttserver.ts', 'node:http'],
  ],
  'processes-in-base': [
    ['src/drivers/engine/qemu/a.ts', 'node:child_process'],
    ['src/host/a.ts', 'node:child_process', 'builtin'],
    ['src/bin/ttserver.ts', 'node:cluster'],
  ],
  'clocks-in-world': [
    ['src/base/a.ts', 'node:timers/promises'],
    ['src/host/a.ts', 'node:perf_hooks'],
    ['src/bin/ttserver.ts', 'timers'],
  ],
  'process-is-global': [['src/host/a.ts', 'node:process']],
  'tests-seen-by-tests': [
    ['src/host/a.ts', 'src/host/vms.test.ts'],
    ['bench/a.ts', 'test/whole.test.ts'],
  ],
  'suites-seen-by-tests': [
    ['src/store/a.ts', 'src/store/store.contract.ts'],
    ['src/model/a.ts', 'src/model/cloud.contract.ts'],
    ['bench/a.ts', 'src/store/store.contract.ts'],
  ],
  'grounds-seen-by-tests': [['src/drivers/engine/qemu/a.ts', 'src/drivers/engine/ground.ts']],
  'runner-seen-by-tests': [
    ['src/base/a.ts', 'node:assert'],
    ['src/bin/ttserver.ts', 'node:test'],
  ],
  'suite-node': [['src/model/a.contract.ts', 'node:fs']],
  'proof-packages': [
    ['test/a.test.ts', 'etcd3'],
    ['src/model/a.contract.ts', 'etcd3'],
  ],
  resolves: [
    ['src/host/a.ts', './nowhere.ts'],
    ['src/host/a.ts', 'left-pad'],
  ],
  'no-cycles': [['src/host/cycle.ts', 'src/host/ring.ts']],
}

/** Files in no room: they break `known-room` by being there. */
const homeless = ['src/a.ts', 'src/service/a.ts', 'src/drivers/a.ts', 'src/drivers/printer/a.ts']

/** Per rule of what is reached: imports that together open a way, and the file from which it is then open. */
const reached: { rule: string; from: string; by: Import[] }[] = [
  { rule: 'browser-safe', from: 'src/model/a.ts', by: [['src/model/a.ts', 'src/base/run.ts']] },
  { rule: 'browser-safe', from: 'src/web/a.ts', by: [['src/web/a.ts', 'src/base/run.ts', 'lazy']] },
  { rule: 'browser-safe', from: 'src/api/client.ts', by: [['src/api/client.ts', 'src/api/frames.ts'], ['src/api/frames.ts', 'ws']] },
  { rule: 'browser-safe', from: 'src/api/routes.ts', by: [['src/api/routes.ts', 'src/api/server.ts']] },
  { rule: 'tt-reach', from: 'src/bin/tt.ts', by: [['src/cli/commands/env.ts', 'src/cloud/guard.ts', 'lazy']] },
  { rule: 'ttproxy-reach', from: 'src/bin/ttproxy.ts', by: [['src/cloud/federation.ts', 'src/store/store.ts']] },
]

test('what the room table allows, no rule forbids', () => {
  assert.deepEqual(violations('.dependency-cruiser.mjs', allowed), [])
  assert.deepEqual(violations('.dependency-cruiser-reach.mjs', allowed), [])
})

test('[H08] each import rule fires on what it forbids, and no other does', () => {
  const planted = Object.values(forbidden).flat()
  const expected = Object.entries(forbidden).flatMap(([rule, imports]) => imports.map(([from, to]) => ({ from, to: bare(to), rule })))
  for (const file of homeless) expected.push({ from: file, to: file, rule: 'known-room' })
  assert.deepEqual(sorted(violations('.dependency-cruiser.mjs', [...allowed, ...planted], homeless)), sorted(expected))
})

for (const { rule, from, by } of reached)
  test(`${rule} fires when ${from} reaches by ${by.map(([via]) => via).join(', ')}`, () => {
    const found = violations('.dependency-cruiser-reach.mjs', [...allowed, ...by])
    assert.ok(found.some((one) => one.rule === rule && one.from === from), JSON.stringify(found))
    assert.deepEqual([...new Set(found.map((one) => one.rule))], [rule])
  })

test('no rule is without a plant', async () => {
  const named = async (file: string) => {
    const { default: config } = await import(join(project, file))
    return [...config.forbidden, ...(config.required ?? [])].map((rule: { name: string }) => rule.name).sort()
  }
  assert.deepEqual(await named('.dependency-cruiser.mjs'), [...Object.keys(forbidden), 'known-room'].sort())
  assert.deepEqual(await named('.dependency-cruiser-reach.mjs'), [...new Set(reached.map(({ rule }) => rule))].sort())
})

function violations(config: string, imports: Import[], alone: string[] = []): Violation[] {
  const texts: Record<string, string> = {}
  const packages = ['valibot', '@valibot/to-json-schema', 'commander', 'ws', 'ssh2', 'fast-check', 'etcd3']
  for (const file of alone) texts[file] = 'export const alone = true\n'
  for (const [from, to, how = 'import'] of imports) {
    if (/^(src|test|bench)\//.test(to)) texts[to] ??= ''
    texts[from] = (texts[from] ?? '') + statement(specifier(from, to), how)
  }
  for (const name of packages) {
    texts[`node_modules/${name}/package.json`] = JSON.stringify({ name, version: '1.0.0', exports: './index.js' })
    texts[`node_modules/${name}/index.js`] = ''
  }
  for (const file of ['.dependency-cruiser.mjs', '.dependency-cruiser-reach.mjs', 'tsconfig.json', 'package.json'])
    texts[file] = readFileSync(join(project, file), 'utf8')
  using tree = plantedTree(texts)
  const folders = ['src', 'test', 'bench'].filter((folder) => Object.keys(texts).some((file) => file.startsWith(`${folder}/`)))
  const args = ['--config', config, '--output-type', 'json', ...folders]
  const said = toolOutput({ bin: 'depcruise', args, cwd: tree.path })
  const { summary } = JSON.parse(said) as { summary: { violations: { from: string; to: string; rule: { name: string } }[] } }
  return summary.violations.map(({ from, to, rule }) => ({ from, to: bare(to), rule: rule.name }))
}

function statement(path: string, how: NonNullable<Import[2]>): string {
  if (how === 'type') return `import type {} from '${path}'\n`
  if (how === 'lazy') return `export const lazy = () => import('${path}')\n`
  if (how === 'builtin') return `process.getBuiltinModule('${path}')\n`
  return `import '${path}'\n`
}

function specifier(from: string, to: string): string {
  if (!/^(src|test|bench)\//.test(to)) return to
  const path = relative(dirname(from), to)
  return path.startsWith('.') ? path : `./${path}`
}

/** A package, builtin or file by one name, however dependency-cruiser spells where it was found. */
function bare(name: string): string {
  return name.replace(/^node:/, '').replace(/^node_modules\/((@[^/]+\/)?[^/]+)\/.*$/, '$1')
}

function sorted(list: Violation[]): string[] {
  return list.map(({ from, to, rule }) => `${from} -> ${to}: ${rule}`).sort()
}
