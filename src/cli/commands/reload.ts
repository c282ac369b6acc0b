import { errorOf } from '../../model/errors.ts'
import type { Action } from '../invocation.ts'
import { type Column, table } from '../table.ts'
import { framesOf } from '../vm-frames.ts'

interface Reloaded {
  host: string
  changed: string[]
  needRestart: string[]
}

/** `tt reload`. */
export const reload: Action = {
  operands: [],
  flags: [],
  details: ['Every host reads its settings again, from the places it read them from when it was started, and takes over those that can change in life. No VM is touched. Those that differ and hold only after a restart are named. Only an admin may ask for it.'],
  examples: [{ line: 'tt reload', about: 'after its file of settings was changed' }],
  async run(invocation) {
    const { call, json, quiet, terminal } = invocation
    const cloud = await invocation.cloud()
    const hosts: Reloaded[] = []
    for await (const frame of framesOf(await cloud.open({ type: 'reload' }, call), terminal.signal)) {
      if (frame.type === 'reloaded') hosts.push({ host: frame.host, changed: frame.changed, needRestart: frame.needRestart })
      if (frame.type === 'problem') await invocation.report(errorOf(frame.problem))
    }
    if (json) return invocation.printJson({ hosts })
    if (hosts.length > 0 && !quiet) await invocation.print(table(hosts, columns, terminal.out.screen()))
  },
}

const columns: Column<Reloaded>[] = [
  { title: 'HOST', text: ({ host }) => host },
  { title: 'CHANGED', text: ({ changed }) => changed.join(', ') },
  { title: 'NEED A RESTART', text: ({ needRestart }) => needRestart.join(', '), colour: ({ needRestart }) => (needRestart.length > 0 ? 'yellow' : undefined) },
]
