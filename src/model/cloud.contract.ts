import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type CloudUnderTest, type Ground, groundOf, refuses, seen, watching } from './cloud-under-test.ts'
import type { EnvAsked } from './env.ts'
import { TtError } from './errors.ts'
import type { SessionRequest } from './session.ts'

/** All that `cloud.ts` promises, asked of one Cloud. */
export function cloudContract({ name, make }: { name: string; make: () => Promise<CloudUnderTest> }): void {
  const cases = { make: () => groundOf(make) }
  describe(`the Cloud ${name}`, { timeout: 180_000 }, () => {
    envCases(cases)
    watchCases(cases)
    refusalCases(cases)
    vmCases(cases)
    reportCases(cases)
  })
}

interface Cases {
  make(): Promise<Ground>
}

function envCases({ make }: Cases): void {
  describe('ENVs', () => {
    it('keeps what was put, filled in', async () => {
      await using ground = await make()
      const { cloud, image, asked } = ground
      const envs = cloud.collection('env')
      const { user } = await cloud.about()
      const kept = await envs.put('demo', { spec: asked(2, { lifetimeSeconds: 7200, denyOutgoing: true }) })
      assert.equal(kept.kind, 'env')
      assert.equal(kept.name, 'demo')
      assert.match(kept.uid, /^[a-z0-9]{4,32}$/)
      assert.ok(kept.revision.length > 0)
      assert.equal(kept.owner, user)
      assert.ok(Math.abs(Date.parse(kept.created) - Date.now()) < 365 * 86_400_000, kept.created)
      assert.equal(kept.removing, undefined)
      const [group] = kept.spec.groups
      assert.deepEqual({ image: group?.image, first: group?.first, count: group?.count, cpu: group?.cpu }, { image, first: 0, count: 2, cpu: 1 })
      assert.ok(group?.digest && group.engine && group.ports, 'a group as kept has everything')
      assert.equal(kept.spec.lifetimeSeconds, 7200)
      assert.equal(kept.spec.denyOutgoing, true)
      assert.deepEqual(kept.spec.kicked, [])
      assert.ok(kept.status && ['creating', 'ready'].includes(kept.status.phase))
      assert.equal(kept.status?.vms, 2)
      const got = await envs.get('demo')
      assert.deepEqual({ ...got, status: undefined }, { ...kept, status: undefined })
    })

    it('lists in order of name', async () => {
      await using ground = await make()
      const envs = ground.cloud.collection('env')
      for (const name of ['b', 'a10', 'a', 'C', 'a2']) await envs.put(name, { spec: ground.asked() })
      const { items, missing } = await envs.list()
      assert.deepEqual(items.map(({ name }) => name), ['C', 'a', 'a10', 'a2', 'b'])
      assert.deepEqual(missing, [])
    })

    it('creates once where absence is expected', async () => {
      await using ground = await make()
      const envs = ground.cloud.collection('env')
      const first = await envs.put('demo', { spec: ground.asked(), expect: 'absent' })
      await refuses(envs.put('demo', { spec: ground.asked(), expect: 'absent' }), 'exists', 'env/demo')
      assert.equal((await envs.get('demo')).uid, first.uid)
    })

    it('takes a put with its own uid for a repeat', async () => {
      await using ground = await make()
      const envs = ground.cloud.collection('env')
      const options = { spec: ground.asked(), uid: 'again1234', expect: 'absent' } as const
      const first = await envs.put('demo', options)
      assert.equal(first.uid, 'again1234')
      const again = await envs.put('demo', options)
      assert.deepEqual([again.uid, again.revision], [first.uid, first.revision])
      await refuses(envs.put('demo', { ...options, uid: 'other1234' }), 'exists', 'env/demo')
      await refuses(envs.put('new', { spec: ground.asked(), uid: 'NOT A UID' }), 'invalid')
      await refuses(envs.get('new'), 'not_found', 'env/new')
    })

    it('changes the revision with the spec, and only then', async () => {
      await using ground = await make()
      const envs = ground.cloud.collection('env')
      const ready = await ground.ready('demo')
      const put = await envs.put('demo', { spec: ground.asked() })
      assert.equal(put.revision, ready.revision, 'an equal spec is no change, nor is becoming ready')
      const changed = await envs.put('demo', { spec: ground.asked(1, { lifetimeSeconds: 7200 }) })
      assert.notEqual(changed.revision, ready.revision)
      assert.equal(changed.uid, ready.uid)
      assert.equal(changed.spec.lifetimeSeconds, 7200)
    })

    it('changes only what was seen, where a revision is expected', async () => {
      await using ground = await make()
      const envs = ground.cloud.collection('env')
      const first = await envs.put('demo', { spec: ground.asked() })
      const second = await envs.put('demo', { spec: ground.asked(1, { lifetimeSeconds: 7200 }), expect: first.revision })
      await refuses(envs.put('demo', { spec: ground.asked(1, { lifetimeSeconds: 60 }), expect: first.revision }), 'conflict', 'env/demo')
      assert.equal((await envs.get('demo')).spec.lifetimeSeconds, 7200)
      await refuses(envs.put('new', { spec: ground.asked(), expect: second.revision }), 'not_found', 'env/new')
      await refuses(envs.get('new'), 'not_found', 'env/new')
    })

    it('removes, as often as it is asked, and then the name is free', async () => {
      await using ground = await make()
      const { cloud } = ground
      const envs = cloud.collection('env')
      const first = await ground.ready('demo')
      await using watch = watching(cloud, 'env')
      await watch.until((change) => change.type === 'synced' || undefined)
      await envs.remove('demo')
      const left = await envs.get('demo').catch((thrown: TtError) => thrown.code)
      assert.ok(left === 'not_found' || (typeof left === 'object' && left.removing !== undefined), 'a reader of its own writes sees it going')
      const again = await envs.remove('demo').catch((thrown: TtError) => thrown.code)
      assert.ok(again === undefined || again === 'not_found')
      await watch.until((change) => (change.type === 'gone' && change.name === 'demo') || undefined)
      await refuses(envs.get('demo'), 'not_found', 'env/demo')
      await refuses(envs.remove('demo'), 'not_found', 'env/demo')
      assert.deepEqual((await envs.list()).items, [])
      const second = await envs.put('demo', { spec: ground.asked(), expect: 'absent' })
      assert.notEqual(second.uid, first.uid)
    })

    it('removes only the one with the uid that is named', async () => {
      await using ground = await make()
      const envs = ground.cloud.collection('env')
      const { uid } = await ground.ready('demo')
      await refuses(envs.remove('demo', { uid: 'another1' }), 'not_found', 'env/demo')
      assert.equal((await envs.get('demo')).removing, undefined)
      await envs.remove('demo', { uid })
      const left = await envs.get('demo').catch(() => undefined)
      assert.ok(left === undefined || left.removing !== undefined)
    })

    it('reads its own writes', async () => {
      await using ground = await make()
      const { cloud } = ground
      const envs = cloud.collection('env')
      for (let at = 0; at < 10; at++) {
        const { uid } = await envs.put(`demo${at}`, { spec: ground.asked() })
        const [got, { items }, watched] = await Promise.all([envs.get(`demo${at}`), envs.list(), seen(cloud, 'env', (change) => (change.type === 'is' && change.resource.name === `demo${at}` ? change.resource : undefined))])
        assert.deepEqual([got.uid, items.find(({ name }) => name === `demo${at}`)?.uid, watched.uid], [uid, uid, uid])
      }
    })

    it("hides and guards one user's ENVs from another", async (t) => {
      await using ground = await make()
      const { cloud, other } = ground
      if (!other) return t.skip('users are not told apart here')
      await ground.ready('demo')
      assert.deepEqual((await other.collection('env').list()).items, [])
      assert.deepEqual((await other.collection('vm').list()).items, [])
      await refuses(other.collection('env').get('demo'), 'not_found', 'env/demo')
      await refuses(other.collection('vm').get('demo.0'), 'not_found', 'vm/demo.0')
      await refuses(other.collection('env').remove('demo'), 'not_found', 'env/demo')
      await refuses(other.collection('env').put('demo', { spec: ground.asked() }), 'exists', 'env/demo')
      await refuses(other.open({ type: 'exec', vms: { envs: ['demo'] }, command: ground.commands.echo('x') }), 'not_found', 'env/demo')
      assert.equal((await cloud.collection('env').get('demo')).removing, undefined)
    })
  })
}

function watchCases({ make }: Cases): void {
  describe('watches', () => {
    it('tells what there is, that this was all, and then every change', async () => {
      await using ground = await make()
      const { cloud } = ground
      const envs = cloud.collection('env')
      await ground.ready('one')
      await using watch = watching(cloud, 'env')
      assert.equal((await watch.until((change) => (change.type === 'is' ? change.resource : undefined))).name, 'one')
      assert.ok(await watch.until((change) => change.type === 'synced' || undefined))
      await envs.put('two', { spec: ground.asked() })
      await watch.until((change) => (change.type === 'is' && change.resource.name === 'two' && change.resource.status?.phase === 'ready') || undefined)
      await envs.put('one', { spec: ground.asked(1, { lifetimeSeconds: 7200 }) })
      await watch.until((change) => (change.type === 'is' && change.resource.name === 'one' && change.resource.spec.lifetimeSeconds === 7200) || undefined)
      await envs.remove('one')
      await watch.until((change) => (change.type === 'gone' && change.name === 'one') || undefined)
    })

    it('says synced at once where there is nothing', async () => {
      await using ground = await make()
      for (const kind of ['env', 'vm'] as const) {
        await using watch = watching(ground.cloud, kind)
        assert.equal(await watch.until((change) => change.type), 'synced')
      }
    })

    it('ends when its signal aborts, also before it began', async () => {
      await using ground = await make()
      const envs = ground.cloud.collection('env')
      const controller = new AbortController()
      const types: string[] = []
      for await (const change of envs.watch({}, { signal: controller.signal })) {
        types.push(change.type)
        controller.abort()
      }
      assert.deepEqual(types, ['synced'])
      for await (const change of envs.watch({}, { signal: AbortSignal.abort() })) assert.fail(`told ${change.type}`)
    })

    it('may be left early, and does not hinder others', async () => {
      await using ground = await make()
      const envs = ground.cloud.collection('env')
      for await (const _ of envs.watch()) break
      await using watch = watching(ground.cloud, 'env')
      for await (const _ of envs.watch()) break
      await envs.put('demo', { spec: ground.asked() })
      await watch.until((change) => (change.type === 'is' && change.resource.name === 'demo') || undefined)
    })

    it('gives a slow reader the latest state', async () => {
      await using ground = await make()
      const envs = ground.cloud.collection('env')
      await using watch = watching(ground.cloud, 'env')
      await watch.until((change) => change.type === 'synced' || undefined)
      for (let at = 1; at <= 20; at++) await envs.put('demo', { spec: ground.asked(1, { lifetimeSeconds: 1000 + at }) })
      await watch.until((change) => (change.type === 'is' && change.resource.spec.lifetimeSeconds === 1020) || undefined)
    })
  })
}

function refusalCases({ make }: Cases): void {
  describe('refusals', () => {
    it('refuses names that are none, and keeps nothing of them', async () => {
      await using ground = await make()
      const envs = ground.cloud.collection('env')
      const names = ['', '.', '..', '../demo', 'a/b', 'a b', 'a.b', '-a', 'a;reboot', 'ä', 'a\n', '%2e', 'a?wait=1', 'a#b', 'x'.repeat(64), 'x'.repeat(200)]
      for (const name of names) {
        await refuses(envs.put(name, { spec: ground.asked() }), 'invalid')
        await refuses(envs.get(name), 'not_found', `env/${name}`)
        await refuses(envs.remove(name), 'not_found', `env/${name}`)
      }
      assert.deepEqual((await envs.list()).items, [])
    })

    it('refuses specs that are none, naming the ENV', async () => {
      await using ground = await make()
      const { cloud, image } = ground
      const envs = cloud.collection('env')
      const group = { image, count: 1, cpu: 1, memMb: 100, diskMb: 100 }
      const bad: unknown[] = [
        {},
        { groups: [] },
        { groups: 'x' },
        { groups: [group], color: 'red' },
        { groups: [{ ...group, cpu: 0 }] },
        { groups: [{ ...group, cpu: 1e9 }] },
        { groups: [{ ...group, cpu: 1.5 }] },
        { groups: [{ ...group, ports: [70_000] }] },
        { groups: [{ ...group, image: undefined, prefix: '' }] },
        { groups: [{ count: 1 }] },
        { groups: [group], lifetimeSeconds: 5 },
        { groups: [group], lifetimeSeconds: '60' },
      ]
      for (const spec of bad) await refuses(envs.put('demo', { spec: spec as EnvAsked }), 'invalid', 'env/demo')
      await refuses(envs.put('demo', { spec: { groups: [{ ...group, image: 'no-such-image' }] } }), 'not_found', 'env/demo')
      await refuses(envs.put('demo', { spec: { groups: [{ ...group, memMb: 1_000_000_000 }] } }), 'exhausted', 'env/demo')
      assert.deepEqual((await envs.list()).items, [])
    })

    it('refuses what was aborted', async () => {
      await using ground = await make()
      const { cloud, commands } = ground
      const envs = cloud.collection('env')
      await ground.ready('demo')
      const request: SessionRequest = { type: 'exec', vms: { envs: ['demo'] }, command: commands.echo('x') }
      const own = new TtError({ code: 'timeout', message: 'too late' })
      for (const [reason, code] of [[undefined, 'cancelled'], [new Error('enough'), 'cancelled'], [own, 'timeout']] as const) {
        const call = { signal: AbortSignal.abort(reason) }
        await refuses(envs.get('demo', call), code)
        await refuses(envs.list({}, call), code)
        await refuses(envs.put('new', { spec: ground.asked() }, call), code)
        await refuses(envs.remove('demo', {}, call), code)
        await refuses(cloud.open(request, call), code)
      }
      assert.deepEqual((await envs.list()).items.map(({ name, removing }) => [name, removing]), [['demo', undefined]])
    })
  })
}

function vmCases({ make }: Cases): void {
  describe('VMs', () => {
    it('are derived from their ENVs, in order of ENV and index', async () => {
      await using ground = await make()
      const { cloud, image } = ground
      const vms = cloud.collection('vm')
      const { uid, owner } = await ground.ready('two', 12)
      await ground.ready('one', 1)
      const { items, missing } = await vms.list()
      const numbers = Array.from({ length: 12 }, (_, index) => index)
      assert.deepEqual(items.map(({ name }) => name), ['one.0', ...numbers.map((index) => `two.${index}`)])
      assert.deepEqual(missing, [])
      const under = await vms.list({ under: 'two' })
      assert.deepEqual(under.items.map(({ spec }) => [spec.env, spec.index, spec.id]), numbers.map((index) => ['two', index, `${uid}.${index}`]))
      const vm = await vms.get('two.11')
      assert.deepEqual({ kind: vm.kind, name: vm.name, uid: vm.uid, owner: vm.owner }, { kind: 'vm', name: 'two.11', uid: `${uid}.11`, owner })
      assert.deepEqual([vm.spec.image, vm.spec.cpu, vm.spec.memMb, vm.spec.diskMb], [image, 1, 100, 100])
      assert.equal(vm.status?.state, 'ready')
      assert.ok(vm.status?.host)
    })

    it('are not found by other names', async () => {
      await using ground = await make()
      const vms = ground.cloud.collection('vm')
      await ground.ready('demo')
      for (const name of ['demo.1', 'demo.00', 'demo.-1', 'demo', 'nope.0', 'demo.0.0', 'demo/0', '', '..', 'demo.99999999999999999999']) await refuses(vms.get(name), 'not_found', `vm/${name}`)
      await refuses(vms.list({ under: 'nope' }), 'not_found', 'env/nope')
      await refuses(watching(ground.cloud, 'vm', 'nope').until(() => true), 'not_found', 'env/nope')
    })

    it('are not written', async () => {
      await using ground = await make()
      const vms = ground.cloud.collection('vm')
      await ground.ready('demo')
      const { spec } = await vms.get('demo.0')
      await refuses(vms.put('demo.0', { spec }), ['unsupported', 'denied'], 'vm/demo.0')
      await refuses(vms.remove('demo.0'), ['unsupported', 'denied'], 'vm/demo.0')
      assert.equal((await vms.list()).items.length, 1)
    })

    it('are watched, of one ENV too', async () => {
      await using ground = await make()
      const { cloud } = ground
      await ground.ready('one', 2)
      await ground.ready('two', 1)
      await using watch = watching(cloud, 'vm', 'one')
      const names: string[] = []
      await watch.until((change) => {
        if (change.type === 'is') names.push(change.resource.name)
        return change.type === 'synced' || undefined
      })
      assert.deepEqual(names, ['one.0', 'one.1'])
      await cloud.collection('env').remove('two')
      await cloud.collection('env').remove('one')
      const gone = new Set<string>()
      await watch.until((change) => {
        if (change.type !== 'synced') assert.match(change.type === 'is' ? change.resource.name : change.name, /^one\./)
        if (change.type === 'gone') gone.add(change.name)
        return gone.size === 2 || undefined
      })
    })

    it('may be ten thousand', async () => {
      await using ground = await make()
      const { cloud } = ground
      await cloud.collection('env').put('big', { spec: ground.asked(10_000) })
      const began = performance.now()
      const { items } = await cloud.collection('vm').list({ under: 'big' })
      const tookMs = performance.now() - began
      assert.equal(items.length, 10_000)
      assert.ok(items.every(({ spec }, index) => spec.index === index))
      assert.ok(tookMs < 30_000, `the list took ${Math.round(tookMs)} ms`)
      assert.equal((await cloud.collection('vm').get('big.9999')).spec.index, 9999)
    })
  })
}

function reportCases({ make }: Cases): void {
  describe('hosts and images', () => {
    it('are reported, and not written', async () => {
      await using ground = await make()
      const { cloud, image } = ground
      for (const kind of ['host', 'image'] as const) {
        const { items } = await cloud.collection(kind).list()
        assert.ok(items.length > 0)
        const [first] = items
        assert.ok(first)
        assert.equal(first.kind, kind)
        assert.deepEqual((await cloud.collection(kind).get(first.name)).spec, first.spec)
        for (const name of ['nope', 'no/pe:x', '..', '']) await refuses(cloud.collection(kind).get(name), 'not_found', `${kind}/${name}`)
        await refuses(cloud.collection(kind).remove(first.name), ['unsupported', 'denied'], `${kind}/${first.name}`)
        await refuses(cloud.collection(kind).put(first.name, { spec: first.spec as never }), ['unsupported', 'denied'], `${kind}/${first.name}`)
        assert.equal((await seen(cloud, kind, (change) => (change.type === 'is' ? change.resource : undefined))).name, first.name)
      }
      const { spec, status } = await cloud.collection('image').get(image)
      assert.ok(spec.engines.length > 0 && (status?.hosts.length ?? 0) > 0)
      const { name = '' } = (await cloud.collection('host').list()).items[0] ?? {}
      assert.equal((await cloud.collection('host').get(name)).status?.online, true)
    })

    it('says who answers, and whom', async () => {
      await using ground = await make()
      const about = await ground.cloud.about()
      assert.ok(about.cloud && about.version && about.user)
      assert.ok(['admin', 'user', 'viewer'].includes(about.role))
    })
  })
}
