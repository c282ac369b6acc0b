import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type CloudUnderTest, groundOf, refuses } from './cloud-under-test.ts'
import type { FileEntry } from './session.ts'
import { directoryOf, fetched, fileOf, linkOf, patternOf, push, sha256, wanted } from './transfer.ts'

/** What `session.ts` promises of `push` and `get`, asked of the sessions of one Cloud. */
export function transferContract({ name, make: makeCloud }: { name: string; make: () => Promise<CloudUnderTest> }): void {
  const make = () => groundOf(makeCloud)
  describe(`transfers of the Cloud ${name}`, { timeout: 180_000 }, () => {
    it('[F11 F12] put a file into every VM, and fetch from each what was put', async () => {
      await using ground = await make()
      await ground.ready('demo', 3)
      const bytes = patternOf(200_000)
      const frames = await push(ground.cloud, { envs: ['demo'], path: '/tmp/one' }, [await fileOf('', bytes, 0o640)])
      for (const vm of ['demo.0', 'demo.1', 'demo.2']) {
        const own = frames.filter((frame) => 'vm' in frame && frame.vm === vm && frame.type !== 'progress')
        assert.deepEqual(own.map(({ type }) => type), ['begin', 'wants', 'exit'])
        assert.deepEqual(own[1], { type: 'wants', vm, offset: 0 })
        assert.deepEqual(own[2], { type: 'exit', vm, code: 0 })
      }
      const got = await fetched(ground.cloud, { envs: ['demo'], path: '/tmp/one' })
      assert.deepEqual([...got.keys()].sort(), ['demo.0', 'demo.1', 'demo.2'])
      for (const [vm, { files, end }] of got) {
        assert.deepEqual(end, { type: 'exit', vm, code: 0 })
        const [file] = files
        assert.ok(file && files.length === 1)
        assert.deepEqual(file.entry, { path: '', type: 'file', mode: 0o640, sizeBytes: bytes.length })
        assert.ok(file.bytes.equals(bytes), `${vm} has other bytes`)
        assert.equal(file.sha256, await sha256(bytes))
      }
    })

    it('carry a directory with what is in it: empty files, links, modes', async () => {
      await using ground = await make()
      await ground.ready('demo')
      const tree = [directoryOf('', 0o755), directoryOf('sub', 0o700), await fileOf('sub/empty', Buffer.alloc(0), 0o644), await fileOf('sub/big', patternOf(100_000), 0o755), await fileOf('ä b', patternOf(10), 0o600), linkOf('link', 'sub/big')]
      const frames = await push(ground.cloud, { envs: ['demo'], path: '/tmp/tree' }, tree)
      assert.deepEqual(frames.at(-1), { type: 'exit', vm: 'demo.0', code: 0 })
      const { files, end } = (await fetched(ground.cloud, { envs: ['demo'], path: '/tmp/tree' })).get('demo.0') ?? assert.fail('no VM')
      assert.deepEqual(end, { type: 'exit', vm: 'demo.0', code: 0 })
      const inOrder = (one: { entry: FileEntry }, two: { entry: FileEntry }) => (one.entry.path < two.entry.path ? -1 : 1)
      const plain = ({ entry, bytes }: { entry: FileEntry; bytes?: Buffer }) => ({ ...entry, ...(entry.type === 'link' ? { mode: 0 } : {}), sha256: undefined, bytes: entry.type === 'file' ? bytes?.toString('latin1') : '' })
      assert.deepEqual(files.toSorted(inOrder).map(plain), tree.toSorted(inOrder).map(plain))
      for (const [at, { entry }] of files.entries()) {
        const parent = entry.path.split('/').slice(0, -1).join('/')
        assert.ok(entry.path === '' || files.slice(0, at).some((one) => one.entry.path === parent && one.entry.type === 'directory'), `${entry.path} comes before its directory`)
      }
    })

    it('pass over what is there, and refuse to take the place of anything else unless told to', async () => {
      await using ground = await make()
      await ground.ready('demo', 2)
      const where = { envs: ['demo'], path: '/tmp/one' }
      await push(ground.cloud, { ...where, indices: [0] }, [await fileOf('', patternOf(100_000))])
      const again = await push(ground.cloud, where, [await fileOf('', patternOf(100_000))])
      assert.deepEqual(wanted(again), { 'demo.0': [100_000], 'demo.1': [0] })
      const other = await push(ground.cloud, where, [await fileOf('', patternOf(90_000, 7))])
      for (const vm of ['demo.0', 'demo.1']) {
        const end = other.findLast((frame) => 'vm' in frame && frame.vm === vm)
        assert.ok(end?.type === 'problem' && end.problem.code === 'exists' && end.problem.subject === `vm/${vm}`, JSON.stringify(end))
      }
      const over = await push(ground.cloud, { ...where, overwrite: true }, [await fileOf('', patternOf(90_000, 7))])
      assert.deepEqual(over.filter(({ type }) => type === 'exit').length, 2)
      for (const { files } of (await fetched(ground.cloud, where)).values()) assert.ok(files[0]?.bytes.equals(patternOf(90_000, 7)))
    })

    it('[F13] go on from where they were', async () => {
      await using ground = await make()
      await ground.ready('demo')
      const bytes = patternOf(3_000_000)
      const where = { envs: ['demo'], path: '/tmp/one' }
      const file = await fileOf('', bytes)
      await using broken = await ground.cloud.open({ type: 'push', vms: { envs: ['demo'] }, path: '/tmp/one' })
      const reading = (async () => {
        for await (const _ of broken.output);
      })().catch(() => undefined)
      const writer = broken.input.getWriter()
      await writer.write({ type: 'entry', entry: file.entry })
      await writer.write({ type: 'from', offset: 0 })
      for (let at = 0; at < 2_000_000; at += 50_000) await writer.write({ type: 'stdin', data: bytes.subarray(at, at + 50_000) })
      await new Promise((resolve) => setTimeout(resolve, 300))
      await broken[Symbol.asyncDispose]()
      await reading
      assert.deepEqual((await fetched(ground.cloud, where)).get('demo.0')?.end, 'not_found', 'a part has no name')
      const frames = await push(ground.cloud, where, [file])
      assert.deepEqual(frames.at(-1), { type: 'exit', vm: 'demo.0', code: 0 })
      const offset = wanted(frames)['demo.0']?.[0] ?? 0
      assert.ok(offset > 0 && offset <= 2_000_000, `it goes on from ${offset}`)
      const have = { 'demo.0': { bytes: 1_234_567, sha256: await sha256(bytes.subarray(0, 1_234_567)) } }
      const rest = (await fetched(ground.cloud, { ...where, have })).get('demo.0')
      assert.equal(rest?.files[0]?.offset, 1_234_567)
      assert.ok(rest.files[0].bytes.equals(bytes.subarray(1_234_567)))
      assert.equal(rest.files[0].sha256, await sha256(bytes), 'it is the sha256 of the whole')
      const wrong = (await fetched(ground.cloud, { ...where, have: { 'demo.0': { bytes: 5, sha256: await sha256(Buffer.from('other')) } } })).get('demo.0')
      assert.equal(wrong?.files[0]?.offset ?? 0, 0)
      assert.ok(wrong?.files[0]?.bytes.equals(bytes))
    })

    it('refuse bytes that are not those that were announced, and leave nothing of them', async () => {
      await using ground = await make()
      await ground.ready('demo')
      const { entry, bytes } = await fileOf('', patternOf(70_000))
      const frames = await push(ground.cloud, { envs: ['demo'], path: '/tmp/one' }, [{ entry: { ...entry, sha256: await sha256(Buffer.from('other')) }, bytes }])
      const end = frames.at(-1)
      assert.ok(end?.type === 'problem' && end.problem.code === 'failed', JSON.stringify(end))
      assert.equal((await fetched(ground.cloud, { envs: ['demo'], path: '/tmp/one' })).get('demo.0')?.end, 'not_found')
      const again = await push(ground.cloud, { envs: ['demo'], path: '/tmp/one' }, [await fileOf('', patternOf(70_000))])
      assert.deepEqual(wanted(again), { 'demo.0': [0] })
    })

    it('say of each VM why it could not, and refuse what leads out of its place', async () => {
      await using ground = await make()
      await ground.ready('demo', 2)
      await push(ground.cloud, { envs: ['demo'], indices: [1], path: '/tmp/one' }, [await fileOf('', patternOf(5))])
      const got = await fetched(ground.cloud, { envs: ['demo'], path: '/tmp/one' })
      assert.deepEqual([got.get('demo.0')?.end, got.get('demo.1')?.end], ['not_found', { type: 'exit', vm: 'demo.1', code: 0 }])
      const nowhere = await push(ground.cloud, { envs: ['demo'], path: '/no/such/place' }, [await fileOf('', patternOf(5))])
      assert.deepEqual(nowhere.flatMap((frame) => (frame.type === 'problem' ? [frame.problem.code] : [])), ['not_found', 'not_found'])
      for (const path of ['../out', 'a/../../out', '/etc/passwd']) {
        const ends = await push(ground.cloud, { envs: ['demo'], path: '/tmp/dir' }, [await fileOf(path, patternOf(5))]).catch((fault: unknown) => fault as Error & { code?: string })
        if (ends instanceof Error) assert.equal(ends.code, 'invalid')
        else assert.ok(ends.some((frame) => frame.type === 'problem' && frame.problem.code === 'invalid') && !ends.some(({ type }) => type === 'exit'), `${path}: ${JSON.stringify(ends)}`)
      }
      assert.equal((await fetched(ground.cloud, { envs: ['demo'], path: '/tmp/out' })).get('demo.0')?.end, 'not_found')
      await refuses(ground.cloud.open({ type: 'get', vms: { envs: ['nope'] }, path: '/x' }), 'not_found', 'env/nope')
      await refuses(ground.cloud.open({ type: 'push', vms: { envs: ['nope'] }, path: '/x' }), 'not_found', 'env/nope')
    })
  })
}
