import type { Cloud } from '../../model/cloud.ts'
import { deadline } from '../../base/world.ts'
import { fail } from '../../model/errors.ts'
import type { Action, Invocation } from '../invocation.ts'
import { eachOf, tellOutcomes } from '../several.ts'

/** Files of some GB are gone in a moment; a host that is away may keep an image for longer. */
const goneWithinMs = 30_000

/** `tt image del NAME…`: images that were imported, or kept from disks. */
export const del: Action = {
  operands: [{ name: 'NAME', many: true, of: 'image' }],
  flags: [{ long: 'no-wait', about: 'Do not wait until it is gone' }],
  details: ['Images that are kept disks of your ENVs can be deleted, and by admins those that were imported, while no VM is made from them. What lies in an image path is the operator\'s: take its files away.'],
  examples: [{ line: 'tt image del kept/demo/0-1a2b3c4d', about: 'delete the kept disk of demo.0' }, { line: 'tt image del debian', about: 'delete an image that was imported' }],
  async run(invocation) {
    const cloud = await invocation.cloud()
    const outcomes = await eachOf(invocation, [...new Set(invocation.given.operands)], async (name) => {
      await cloud.collection('image').remove(name, {}, invocation.call)
      if (!invocation.given.has('no-wait')) await gone(invocation, cloud, name)
      return { done: invocation.given.has('no-wait') ? 'being deleted' : 'deleted', more: { state: 'deleted' } }
    })
    await tellOutcomes(invocation, outcomes)
  },
}

async function gone({ terminal, call }: Invocation, cloud: Cloud, name: string): Promise<void> {
  using limit = deadline(terminal.world, goneWithinMs, call.signal)
  let there = false
  for await (const change of cloud.collection('image').watch({}, { signal: limit.signal })) {
    if (change.type === 'is' && change.resource.name === name) there = true
    if (change.type === 'gone' && change.name === name) return
    if (change.type === 'synced' && !there) return
  }
  call.signal?.throwIfAborted()
  fail('timeout', `${name} is still there after ${goneWithinMs / 1000} s`, { subject: `image/${name}`, remedy: 'it goes as soon as its host answers' })
}
