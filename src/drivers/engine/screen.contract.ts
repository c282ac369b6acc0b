import assert from 'node:assert/strict'
import type { Plan } from '../../model/plan.ts'
import { eventually, type Ground, refused } from './ground.ts'
import { rfbOpened } from './rfb.ts'

/** Part of the suite every engine passes that has `features.screen`: `shows` plans a guest that has one. */
export function screens(shows: ((id: string, dir: string) => Plan) | undefined, it: (what: string, run: (on: Ground) => Promise<void>) => void) {
  it('a screen speaks RFB to several viewers at once, and again after a restart of the server', async (on) => {
    const plan = shows?.('shows.0', on.disks) ?? assert.fail('features.screen without a guest that shows')
    let engine = await on.engine()
    await engine.start(plan)
    const open = async () => (await engine.screen?.('shows.0')) ?? assert.fail('features.screen without screen')
    const [one, other] = [await open(), await open()]
    for (const viewer of [one, other]) {
      const { width, height } = await rfbOpened(viewer)
      assert.ok(width > 0 && height > 0)
    }
    other.destroy()
    await engine[Symbol.asyncDispose]()
    await eventually(() => assert.ok(one.destroyed || one.readableEnded, 'the server that is gone holds nothing'))
    engine = await on.engine()
    await eventually(async () => assert.equal((await engine.inspect('shows.0')).state, 'running'))
    await rfbOpened(await open())
    await engine.stop('shows.0', 10)
    await refused(engine.screen?.('shows.0'), 'not_ready')
    await engine.destroy('shows.0')
  })

  it('a guest without a screen says so', async (on) => {
    const engine = await on.engine()
    await engine.start(on.plan('blind.0'))
    await refused(engine.screen?.('blind.0'), 'unsupported')
    await engine.destroy('blind.0')
    await refused(engine.screen?.('blind.0'), 'not_ready', 'not_found')
  })
}
