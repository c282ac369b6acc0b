import assert from 'node:assert/strict'
import type { Duplex } from 'node:stream'
import { eventually, type Ground, refused } from './ground.ts'

/** Part of the suite every engine passes that has `features.dial`. */
export function dials(it: (what: string, run: (on: Ground) => Promise<void>) => void) {
  it('a port is one caller’s at a time, free after it, and gone with the guest', async (on) => {
    const engine = await on.engine()
    const plan = on.plan('port.0')
    const port = plan.ports[0] ?? assert.fail('the plan of an engine with features.dial has to name a port')
    const dial = (name: string) => engine.dial?.('port.0', name) ?? assert.fail('features.dial without dial')
    await engine.start(plan)
    const stream = await dial(port)
    await refused(dial(port), 'conflict')
    await refused(dial('no-such-port'), 'not_found', 'invalid')
    stream.destroy()
    let again: Duplex | undefined
    await eventually(async () => (again = await dial(port)))
    const ended = new Promise((resolve) => again?.on('close', resolve).on('error', () => undefined).resume())
    await engine.stop('port.0', 20)
    await ended
    await refused(dial(port), 'not_ready')
    await engine.destroy('port.0')
  })
}
