import assert from 'node:assert/strict'
import { statSync } from 'node:fs'
import type { Ground } from './ground.ts'

const mb = 1 << 20

/** Part of the suite of engines with `features.window`: the file is there for guests that have one, for their user alone, and goes with them. */
export function windows(it: (what: string, run: (on: Ground) => Promise<void>) => void) {
  it('[F13] a guest that is to have a window has one, made anew at each start, and another has none', async (on) => {
    const engine = await on.engine()
    const plan = on.plan('open.0')
    await engine.start({ ...plan, window: true })
    const path = (await engine.window?.('open.0')) ?? assert.fail('there is no window')
    const about = statSync(path)
    assert.ok(about.isFile() && about.size >= 3 * mb, `${about.size} bytes`)
    assert.equal(about.mode & 0o777, 0o600)
    assert.equal((await engine.inspect('open.0')).state, 'running')
    await engine.stop('open.0', 20)
    await engine.start(plan)
    assert.equal(await engine.window?.('open.0'), undefined)
    await engine.destroy('open.0')
    assert.throws(() => statSync(path), { code: 'ENOENT' })
    assert.deepEqual(on.traces(), [])
  })
}
