import assert from 'node:assert/strict'
import { test } from 'node:test'
import { macOf } from '../../model/names.ts'
import { fake } from './fake.ts'
import { ground, linkOn } from './ground.ts'
import { networkContract, refusesOptions } from './network.contract.ts'
import type { Link } from './network.ts'

await networkContract({ name: 'fake', factory: fake })

test('network fake: 10,000 links in one change or one by one, found again', async () => {
  const on = ground(fake)
  try {
    const links: Link[] = Array.from({ length: 10_000 }, (_, at) => {
      const slice = Math.floor(at / 1000) * 4
      const rest = (at % 1000) + 2
      const ip = `10.77.${slice + (rest >> 8)}.${rest & 255}`
      return { id: `thousands.${at}`, slice: `10.77.${slice}.0/22`, ip, mac: macOf(ip), ports: { 22: 1 + at, 22_000: 20_001 + at }, denyOutgoing: false, deny: [], sshKeys: [], peers: [] }
    })
    const driver = await on.driver()
    let began = performance.now()
    await driver.change({ put: links, remove: [] })
    const together = performance.now() - began
    await driver.clear()
    began = performance.now()
    await Promise.all(links.map((link) => driver.change({ put: [link], remove: [] })))
    const alone = performance.now() - began
    await driver[Symbol.asyncDispose]()
    assert.equal((await (await on.driver()).inspect()).length, 10_000)
    // Goal: 500 ms on a quiet machine; the limit leaves room for a busy one.
    assert.ok(together < 2500, `together ${together} ms`)
    assert.ok(alone < 2500, `one by one ${alone} ms`)
  } finally {
    await on.clear()
  }
})

test('network fake: it fails and waits as it is told', async () => {
  const options = { delayMs: 30, failFor: '^network0\\.1$' }
  const on = ground(fake, options as object)
  try {
    const driver = await on.driver()
    const began = performance.now()
    await driver.change({ put: [linkOn(0, 0)], remove: [] })
    assert.ok(performance.now() - began >= 29)
    await assert.rejects(driver.change({ put: [linkOn(0, 2), linkOn(0, 1)], remove: [] }), /told to fail for this link/)
    assert.deepEqual(await driver.inspect(), ['network0.0'])
    await assert.rejects(driver.change({ put: [linkOn(0, 3)], remove: [] }, { signal: AbortSignal.timeout(5) }), { name: 'TimeoutError' })
    assert.deepEqual(await driver.inspect(), ['network0.0'])
  } finally {
    await on.clear()
  }
  const always = ground(fake, { failRate: 1 } as object)
  try {
    await assert.rejects((await always.driver()).change({ put: [linkOn(0, 0)], remove: [] }), /told to fail/)
  } finally {
    await always.clear()
  }
  await refusesOptions(fake, { failRate: 2 }, /failRate/)
  await refusesOptions(fake, { failrate: 1 }, /failrate/)
})
