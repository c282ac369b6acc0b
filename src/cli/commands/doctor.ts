import { errorOf } from '../../model/errors.ts'
import type { Leak } from '../../model/session.ts'
import type { Action, Invocation } from '../invocation.ts'
import { type Column, table } from '../table.ts'
import { counted } from '../text.ts'
import { framesOf } from '../vm-frames.ts'

/** Free among the statuses of errors: something was found. */
const foundStatus = 3

/** `tt doctor`. */
export const doctor: Action = {
  operands: [],
  flags: [{ long: 'leaks', about: 'Only look for what was left behind' }],
  details: [
    'It asks every host for things that belong to a server of tt and to none of its VMs: processes, tap devices, bridges, nft elements, cgroups, files, mounts. Without --leaks it also names drivers that a host cannot use and hosts that do not answer.',
    'The exit status is 0 if nothing was found and every host answered, 3 if something was left behind, and that of the error if a host could not be asked. Drivers that cannot be used do not count.',
  ],
  examples: [
    { line: 'tt doctor', about: 'is all well?' },
    { line: 'tt doctor --leaks --json', about: 'what was left behind, for a program' },
  ],
  async run(invocation) {
    const { given, call, json, terminal, quiet } = invocation
    const cloud = await invocation.cloud()
    const findings = given.has('leaks') ? [] : await unusable(invocation)
    const leaks: (Leak & { host: string })[] = []
    for await (const frame of framesOf(await cloud.open({ type: 'doctor' }, call), terminal.signal)) {
      if (frame.type === 'leak') leaks.push({ host: frame.host, ...frame.leak })
      if (frame.type === 'note') await invocation.note(frame.text)
      if (frame.type === 'problem') await invocation.report(errorOf(frame.problem))
    }
    if (leaks.length > 0) invocation.raise(foundStatus)
    if (json) return invocation.printJson({ leaks, ...(given.has('leaks') ? {} : { findings }) })
    const screen = terminal.out.screen()
    if (findings.length > 0) await invocation.print(`${table(findings, findingColumns, screen)}\n`)
    if (leaks.length > 0) await invocation.print(table(leaks, leakColumns, screen))
    else if (!quiet && invocation.status() === 0) await invocation.print('Nothing was left behind.')
    if (leaks.length > 0) await invocation.note(`tt: ${counted(leaks.length, 'thing')} left behind`)
  },
}

interface Finding {
  host: string
  subject: string
  why: string
}

/** What the hosts cannot use, and hosts that are silent. */
async function unusable(invocation: Invocation): Promise<Finding[]> {
  const cloud = await invocation.cloud()
  const { items, missing } = await cloud.collection('host').list({}, invocation.call)
  for (const problem of missing) await invocation.report(errorOf(problem))
  const findings: Finding[] = []
  for (const { name, status } of items) {
    if (!status?.online) await invocation.report(errorOf({ code: 'unavailable', message: `host ${name} does not answer`, subject: `host/${name}` }))
    for (const one of status?.unusable ?? []) findings.push({ host: name, subject: `${one.kind} ${one.name}`, why: one.why })
  }
  return findings
}

const findingColumns: Column<Finding>[] = [
  { title: 'HOST', text: ({ host }) => host },
  { title: 'CANNOT USE', text: ({ subject }) => subject },
  { title: 'BECAUSE', cut: true, text: ({ why }) => why },
]

const leakColumns: Column<Leak & { host: string }>[] = [
  { title: 'HOST', text: ({ host }) => host },
  { title: 'LEFT', text: ({ kind }) => kind, colour: () => 'red' },
  { title: 'WHAT', text: ({ subject }) => subject },
  { title: 'WHY IT IS ONE', cut: true, text: ({ why }) => why },
]
