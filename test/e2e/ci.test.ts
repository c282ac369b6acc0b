import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { inNamespace, type ServerGround, serverGround } from './ground.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const page = readFileSync(join(root, 'docs/how-to/ci.md'), 'utf8')

/** The files the page describes, by name: blocks whose first line says ```sh NAME. */
const files = Object.fromEntries([...page.matchAll(/```sh (ci\/\S+)\n([^]*?)```/g)].map(([, name = '', text = '']) => [name, text]))

/** A repository with them, and a token of an account made as the page says. */
async function repository(server: ServerGround, check: string): Promise<{ dir: string; env: NodeJS.ProcessEnv }> {
  const dir = join(server.dir, 'repository')
  mkdirSync(join(dir, 'src'), { recursive: true })
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(dir, name)), { recursive: true })
    writeFileSync(join(dir, name), text)
  }
  writeFileSync(join(dir, 'src/check.sh'), check)
  const [, added = ''] = /^tt (user add ci .*?)( --memo.*)?$/m.exec(page) ?? []
  const [, token = ''] = /^tt (token add ci\/runner .*)$/m.exec(page) ?? []
  const made = await server.tt(...added.split(' '))
  assert.equal(made.code, 0, made.stderr)
  const { stdout, code, stderr } = await server.tt(...token.split(' '))
  assert.equal(code, 0, stderr)
  const env: NodeJS.ProcessEnv = { ...process.env, PATH: `${root}:${process.env['PATH']}`, TT_SERVER: `127.0.0.1:${server.port}`, TT_TOKEN: stdout.trim(), TT_CONFIG: join(server.dir, 'none.json'), TT_DATA_DIR: join(server.dir, 'none'), CI_RUN: '17', CI_COMMIT: 'c0ffee', IMAGES: 'micro' }
  return { dir, env }
}

const job = (script: string, { dir, env }: { dir: string; env: NodeJS.ProcessEnv }) => {
  const child = spawn('sh', [script], { cwd: dir, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => (said += text))
  return { child, said: () => said, ended: new Promise<number | null>((resolve) => child.once('exit', resolve)) }
}

await inNamespace(import.meta.url, () => {
  test('what docs/how-to/ci.md tells a pipeline to run works as it stands, and leaves nothing', { timeout: 120_000 }, async () => {
    await using server = serverGround()
    await server.start()
    const place = await repository(server, 'echo checking; test -s ./check.sh\n')
    const good = job('ci/on-vms.sh', place)
    assert.equal(await good.ended, 0, good.said())
    assert.match(good.said(), /commit c0ffee on x86_64/)
    const results = readdirSync(join(place.dir, 'results'))
    assert.equal(results.length, 1)
    assert.equal(readFileSync(join(place.dir, 'results', results[0] ?? ''), 'utf8'), 'passed on x86_64\n')
    assert.deepEqual(((await server.json('env', 'listall')) as { envs: unknown[] }).envs, [])

    writeFileSync(join(place.dir, 'src/check.sh'), 'exit 3\n')
    const bad = job('ci/on-vms.sh', place)
    assert.equal(await bad.ended, 3, bad.said())
    assert.deepEqual(((await server.json('env', 'listall')) as { envs: unknown[] }).envs, [])
  })

  test('[B16] a pipeline that dies in the middle leaves an ENV that ends by itself', { timeout: 120_000, skip: process.env['TT_SOAK'] === '1' ? false : 'it waits out the shortest life there is, 30 s: TT_SOAK=1' }, async () => {
    await using server = serverGround()
    await server.start()
    const place = await repository(server, 'echo began; sleep 600\n')
    writeFileSync(join(place.dir, 'ci/on-vms.sh'), (files['ci/on-vms.sh'] ?? '').replace('30m', '30s'))
    const { child, said, ended } = job('ci/on-vms.sh', place)
    for (let tries = 0; !said().includes('began'); tries++) {
      assert.ok(tries < 300, said())
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
    process.kill(-(child.pid ?? assert.fail()), 'SIGKILL')
    await ended
    const envs = async () => ((await server.json('env', 'listall')) as { envs: { name: string }[] }).envs.map(({ name }) => name)
    assert.deepEqual(await envs(), ['ci-17'])
    for (let tries = 0; (await envs()).length > 0; tries++) {
      assert.ok(tries < 100, 'it is still there')
      await new Promise((resolve) => setTimeout(resolve, 500))
    }
  })
})
