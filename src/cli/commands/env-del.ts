import type { Cloud } from '../../model/cloud.ts'
import { asTtError, fail } from '../../model/errors.ts'
import type { Action, Invocation } from '../invocation.ts'
import { progress } from '../progress.ts'
import { eachOf, envNames, tellOutcomes } from '../several.ts'
import { counted } from '../text.ts'
import { gone } from '../watching.ts'

/** `tt env del NAME…`: goes on after one that fails. */
export const del: Action = {
  operands: [{ name: 'NAME', many: true, of: 'env' }],
  flags: [{ long: 'no-wait', about: 'Do not wait until everything is gone' }],
  details: ['When it ends, VMs, disks, ports and rules are gone. A name that fails does not keep the others; the status is then that of its error.'],
  examples: [
    { line: 'tt env del demo', about: 'delete it and wait until nothing of it is left' },
    { line: 'tt env del a b c --no-wait', about: 'let the servers do it' },
  ],
  async run(invocation) {
    const names = envNames(invocation)
    const cloud = await invocation.cloud()
    const wait = !invocation.given.has('no-wait')
    const outcomes = await eachOf(invocation, names, async (name) => {
      await cloud.collection('env').remove(name, invocation.call)
      return wait ? 'deleted' : 'being deleted'
    })
    const marked = outcomes.flatMap(({ name, error }) => (error ? [] : [name]))
    if (wait && marked.length > 0) await awaited(invocation, cloud, marked)
    await tellOutcomes(invocation, outcomes)
  },
}

async function awaited(invocation: Invocation, cloud: Cloud, names: readonly string[]): Promise<void> {
  await using bar = progress(invocation)
  try {
    await gone(names, { terminal: invocation.terminal, cloud, progress: bar })
  } catch (thrown) {
    if (asTtError(thrown).code !== 'cancelled') throw thrown
    fail('cancelled', `interrupted; ${names.length === 1 ? `ENV ${names[0]} is` : `${counted(names.length, 'ENV')} are`} still being deleted`, { remedy: 'see `tt env list`' })
  }
}
