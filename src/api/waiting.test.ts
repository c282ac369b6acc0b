import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { manualWorld } from '../base/manual-world.ts'
import { realWorld } from '../base/world.ts'
import type { Change, Cloud } from '../model/cloud.ts'
import { TtError } from '../model/errors.ts'
import type { Resource } from '../model/kinds.ts'
import { sampleCloud } from './sample-cloud.ts'
import { settledEnv } from './waiting.ts'

const spec = { groups: [{ image: 'sample:micro' }] }

/** A Cloud whose ENV `demo` is as given, and whose watch tells just this and then nothing more. */
async function telling(script: (env: Resource<'env'>) => Change<'env'>[]): Promise<Cloud> {
  const cloud = sampleCloud({ patient: true })
  const env = await cloud.collection('env').put('demo', { spec })
  const watch = async function* (_options: unknown, call?: { signal?: AbortSignal }) {
    yield* script(env)
    await new Promise<void>((resolve) => call?.signal?.addEventListener('abort', () => resolve()))
  }
  return { ...cloud, collection: (kind) => ({ ...cloud.collection(kind), watch: watch as never }) }
}

const is = (resource: Resource<'env'>): Change<'env'> => ({ type: 'is', resource })

describe('waiting for an ENV', () => {
  const wait = { seconds: 3600, world: realWorld, call: {} }

  it('ends when another has its name', async () => {
    const cloud = await telling((env) => [is(env), { type: 'synced' }, is({ ...env, uid: 'another1' })])
    assert.equal(await settledEnv(cloud, 'demo', wait), undefined)
    assert.equal(await settledEnv(cloud, 'demo', { ...wait, uid: 'earlier1' }), undefined)
  })

  it('ends when it went away unseen', async () => {
    const cloud = await telling((env) => [is({ ...env, name: 'other' }), { type: 'synced' }])
    assert.equal(await settledEnv(cloud, 'demo', wait), undefined)
  })

  it('ends when it is gone, and not when another is', async () => {
    const cloud = await telling((env) => [is(env), { type: 'synced' }, { type: 'gone', name: 'other' }, { type: 'gone', name: 'demo' }])
    assert.equal(await settledEnv(cloud, 'demo', wait), undefined)
  })

  it('ends with what it became', async () => {
    const ready = (env: Resource<'env'>): Resource<'env'> => ({ ...env, status: { phase: 'failed', vms: 1, ready: 0, since: env.created } })
    const cloud = await telling((env) => [is(env), { type: 'synced' }, is(ready({ ...env, name: 'other' })), is(ready(env))])
    assert.equal((await settledEnv(cloud, 'demo', wait))?.status?.phase, 'failed')
  })

  it('ends with the time, and with the call', async () => {
    const cloud = await telling((env) => [is(env), { type: 'synced' }])
    const world = manualWorld()
    const late = settledEnv(cloud, 'demo', { seconds: 60, world, call: {} })
    await world.advance(60_000)
    assert.equal((await late)?.status?.phase, 'creating')
    const stop = new AbortController()
    const stopped = settledEnv(cloud, 'demo', { ...wait, call: { signal: stop.signal } })
    setTimeout(() => stop.abort(new TtError({ code: 'unavailable', message: 'the server is stopping' })), 5)
    await assert.rejects(stopped, { code: 'unavailable' })
  })
})
