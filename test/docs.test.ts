import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const shellBlocks = (page: string) => [...readFileSync(join(root, page), 'utf8').matchAll(/```sh\n([\s\S]*?)```/g)].map(([, text]) => text ?? '')

test('what docs/architecture.md tells to type works as it stands', { timeout: 60_000 }, async () => {
  const dir = mkdtempSync(join(tmpdir(), 'tt-docs-'))
  const env = { ...process.env, TT_DATA_DIR: join(dir, 'data'), TT_CONFIG: join(dir, 'config.json') }
  const port = String(19_000 + (process.pid % 900))
  const script = shellBlocks('docs/architecture.md').join('\n').replaceAll('9600', port)
  try {
    assert.match(script, /env run/)
    const { stdout, code } = await new Promise<{ stdout: string; code: number }>((resolve) => {
      execFile('sh', ['-eu', '-c', script], { cwd: root, env, timeout: 50_000 }, (fault, out, err) => resolve({ stdout: `${out}\n${err}`, code: fault ? Number(fault.code ?? 255) : 0 }))
    })
    assert.equal(code, 0, stdout)
    assert.match(stdout, /sketch is ready: 10 VMs/)
    assert.match(stdout, /the guest said 3/)
    assert.ok(!existsSync(join(dir, 'data')), 'down --destroy took everything away')
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
})

test('what docs/how-to/guests.md tells to type works as it stands', { timeout: 60_000 }, async () => {
  const dir = mkdtempSync(join(tmpdir(), 'tt-docs-'))
  const env = { ...process.env, TT_DATA_DIR: join(dir, 'data'), TT_CONFIG: join(dir, 'config.json') }
  const script = shellBlocks('docs/how-to/guests.md').join('\n').replaceAll('9600', String(21_000 + (process.pid % 900))).replaceAll('./tt', `${root}tt`)
  try {
    const { out, err, code } = await new Promise<{ out: string; err: string; code: number }>((resolve) => {
      execFile('sh', ['-eu', '-c', script], { cwd: dir, env, timeout: 50_000 }, (fault, stdout, stderr) => resolve({ out: stdout, err: stderr, code: fault ? Number(fault.code ?? 255) : 0 }))
    })
    assert.equal(code, 0, `${out}\n${err}`)
    assert.match(out, /^== shop\.3 \(fake:micro, 127\.0\.0\.1\): exit 0\nshop-3\nfake-guest$/m)
    assert.match(out, /^as {2}it is: \$HOME$/m)
    assert.deepEqual(out.match(/^shop\.\d: one of 2$/gm)?.sort(), ['shop.0: one of 2', 'shop.2: one of 2'])
    assert.equal(out.match(/^to all of them$/gm)?.length, 4)
    assert.match(out, /^the highest status is 3$/m)
    assert.match(out, /fake-guest shop-1: ready/)
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
})

test('what docs/how-to/operate.md tells to type works as it stands, and the metrics it names are there', { timeout: 120_000 }, async () => {
  const dir = mkdtempSync(join(tmpdir(), 'tt-docs-'))
  const env: NodeJS.ProcessEnv = { ...process.env, PATH: `${root}:${process.env['PATH']}`, TT_CONFIG: join(dir, 'config.json') }
  for (const name of ['TT_DATA_DIR', 'TT_SERVER', 'TT_TOKEN']) delete env[name]
  const script = shellBlocks('docs/how-to/operate.md').join('\n').replaceAll('9600', String(20_000 + (process.pid % 900))).replace('/metrics |', '/metrics | tee metrics |')
  const metrics = [...readFileSync(join(root, 'docs/how-to/operate.md'), 'utf8').matchAll(/tt_\w+/g)].map(([name]) => name)
  try {
    const { out, code } = await new Promise<{ out: string; code: number }>((resolve) => {
      execFile('sh', ['-eu', '-c', script], { cwd: dir, env, timeout: 110_000 }, (fault, stdout, stderr) => resolve({ out: `${stdout}\n${stderr}`, code: fault ? Number(fault.code ?? 255) : 0 }))
    })
    assert.equal(code, 0, out)
    assert.match(out, /^lifetimeMax +43200 +etc\/ttserver\.json$/m)
    assert.match(out, / +lifetimeMax +-$/m, 'the reload took it over, and nothing needs a restart')
    assert.match(out, /^tt_vms\{state="ready"\} 1$/m)
    assert.match(out, / passed, 0 failed, /)
    assert.match(out, /1 VM destroyed[^]*\nbox: started\nbox-0\n/, 'what was copied came back')
    assert.ok(metrics.length > 10)
    const text = readFileSync(join(dir, 'metrics'), 'utf8')
    for (const name of metrics) assert.match(text, name.endsWith('_') ? new RegExp(`^${name}`, 'm') : new RegExp(`^${name}[{ ]`, 'm'))
    assert.deepEqual(readdirSync(dir).filter((name) => name.startsWith('team-')), [], 'and is gone at the end')
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
})

test('README.zh-CN.md is in step with README.md: headings, code blocks and links', () => {
  const shape = (page: string, other: string) => {
    const text = readFileSync(join(root, page), 'utf8')
    assert.equal(text.split('\n').slice(0, 3).filter((line) => line.includes(`](${other})`)).length, 1, `${page} leads to ${other} at its head`)
    const blocks = text.match(/^```[^]*?^```$/gm) ?? []
    const prose = blocks.reduce((rest, block) => rest.replace(block, () => ''), text)
    const links = [...prose.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target]) => target).filter((target) => target !== other)
    return { blocks, headings: prose.match(/^#+(?= )/gm), links, points: prose.match(/^- /gm)?.length }
  }
  const english = shape('README.md', 'README.zh-CN.md')
  assert.ok(english.blocks.length > 5 && english.links.length > 10)
  assert.deepEqual(shape('README.zh-CN.md', 'README.md'), english)
})

test('links between pages lead somewhere', () => {
  const pages = ['README.md', 'README.zh-CN.md', ...readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.md')).map((name) => join('docs', name))]
  for (const page of pages) {
    for (const [, target = ''] of readFileSync(join(root, page), 'utf8').matchAll(/\]\(([^)#\s]+)[^)]*\)/g)) {
      if (/^[a-z]+:/.test(target)) continue
      assert.ok(existsSync(join(root, page, '..', target)), `${page} leads to ${target}, which is not there`)
    }
  }
})

test('the example of docs/how-to/queue.md runs as it stands', { timeout: 30_000 }, async () => {
  const [, example = ''] = /```ts\n([\s\S]*?)```/.exec(readFileSync(join(root, 'docs/how-to/queue.md'), 'utf8')) ?? []
  const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { exports: Record<string, { default: string }> }
  const source = (name: string) => join(root, exports[name]?.default.replace('./dist/', 'src/').replace(/\.js$/, '.ts') ?? '')
  const dir = mkdtempSync(join(tmpdir(), 'tt-docs-'))
  try {
    const file = join(dir, 'example.ts')
    writeFileSync(file, example.replaceAll(/'tt-cloud\/(\w+)'/g, (_all, name: string) => JSON.stringify(source(`./${name}`))))
    const out = await new Promise<string>((resolve) => execFile(process.execPath, ['--disable-warning=ExperimentalWarning', file], { timeout: 20_000 }, (_fault, stdout, stderr) => resolve(`${stdout}${stderr}`)))
    assert.equal(out, 'alpine, fetched; debian, fetched; alpine, fetched\n')
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
})
