import type { Cloud } from '../../model/cloud.ts'
import { asTtError, fail } from '../../model/errors.ts'
import { patienceOf, waitFlags } from '../flag-values.ts'
import type { Action, Invocation } from '../invocation.ts'
import { changeEach, envNames } from '../several.ts'

/** `tt env del NAME…`: goes on after one that fails. */
export const del: Action = {
  operands: [{ name: 'NAME', many: true, of: 'env' }],
  flags: [{ long: 'keep-disks', also: ['keep-image'], about: 'Keep the disks of its VMs, as images of its owner' }, { long: 'no-keep-disks', about: 'Keep none, though its ENV was to; also of one whose disks cannot be kept' }, ...waitFlags('nothing of it is left')],
  details: ['When it ends, VMs, disks, ports and rules are gone. A name that fails does not keep the others; the status is then that of its error.'],
  examples: [
    { line: 'tt env del demo', about: 'delete it and wait until nothing of it is left' },
    { line: 'tt env del a b c --no-wait', about: 'let the servers do it' },
    { line: 'tt env del demo --keep-disks', about: 'what its VMs have on their disks becomes images: see tt image list' },
  ],
  async run(invocation) {
    const names = envNames(invocation)
    const patience = patienceOf(invocation.given)
    if (invocation.given.has('keep-disks') && invocation.given.has('no-keep-disks')) fail('invalid', 'either --keep-disks or --no-keep-disks')
    const keepDisks = invocation.given.has('keep-disks') ? true : invocation.given.has('no-keep-disks') ? false : undefined
    const cloud = await invocation.cloud()
    const done = keepDisks ? 'deleted, its disks are kept' : 'deleted'
    await changeEach(invocation, names, {
      cloud,
      patience,
      async ask(name, task) {
        await cloud.collection('env').remove(name, { task, ...(keepDisks === undefined ? {} : { keepDisks }) }, invocation.call)
        const doing = await removalOf(invocation, cloud, name)
        return { ...(doing === undefined ? {} : { task: doing }), going: 'being deleted', done, more: { state: 'deleted' } }
      },
    })
  },
}

/** The task that removes it: ours, or that of whoever asked before; undefined if it is gone already. */
async function removalOf({ call }: Invocation, cloud: Cloud, name: string): Promise<string | undefined> {
  try {
    const { removing, status } = await cloud.collection('env').get(name, call)
    return removing === undefined ? undefined : status?.task
  } catch (thrown) {
    if (asTtError(thrown).code === 'not_found') return undefined
    throw thrown
  }
}
