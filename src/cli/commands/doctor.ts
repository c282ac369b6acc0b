import { errorOf } from '../../model/errors.ts'
import { badIn, type Diagnosis, diagnosisText, foundStatus, verdictText } from '../doctor-report.ts'
import type { Action } from '../invocation.ts'
import { framesOf } from '../vm-frames.ts'

/** `tt doctor`. */
export const doctor: Action = {
  operands: [],
  flags: [
    { long: 'fix', about: 'Mend what can be mended without harm, and look again' },
    { long: 'leaks', about: 'Show only what was left behind' },
  ],
  details: [
    'Every host looks at itself: engines and whether KVM really works, limits of VMs, drivers, the network, space, public ports, the clock, the certificate, images, the records of the store; and for things that belong to a server of tt and to none of its VMs: processes, tap devices, bridges, nft elements, cgroups, files, mounts. What is poor works less well than it could, what is bad does not work; each comes with what can be done.',
    '--fix takes away what was left behind, makes the network hold what it should, sets the ledger right, removes what interrupted builds and writes left, and takes records that nobody can read out of the store, into set-aside.ndjson in the data directory. It touches no VM, no disk and no file that somebody else put there. Only an admin may ask.',
    'The exit status is 0 if nothing is bad, 3 if something is and was not mended, and that of the error if a host could not be asked. While the server is stopped, `ttserver doctor` does the same.',
  ],
  examples: [
    { line: 'tt doctor', about: 'is all well?' },
    { line: 'tt doctor --fix', about: 'and if not, mend it' },
    { line: 'tt doctor --leaks --json', about: 'what was left behind, for a program' },
  ],
  async run(invocation) {
    const { given, call, json, terminal, quiet } = invocation
    const onlyLeaks = given.has('leaks')
    const cloud = await invocation.cloud()
    const found: Diagnosis = { findings: [], leaks: [] }
    for await (const frame of framesOf(await cloud.open({ type: 'doctor', fix: given.has('fix') }, call), terminal.signal)) {
      if (frame.type === 'finding' && !onlyLeaks) found.findings.push({ host: frame.host, ...frame.finding })
      if (frame.type === 'leak') found.leaks.push({ host: frame.host, ...frame.leak, ...(frame.fixed ? { fixed: true } : {}) })
      if (frame.type === 'note') await invocation.note(frame.text)
      if (frame.type === 'problem') await invocation.report(errorOf(frame.problem))
    }
    if (badIn(found) > 0) invocation.raise(foundStatus)
    if (json) return invocation.printJson(onlyLeaks ? { leaks: found.leaks } : found)
    const text = diagnosisText(found, terminal.out.screen())
    if (text !== '') await invocation.print(text)
    else if (!quiet && invocation.status() === 0) await invocation.print('Nothing was left behind.')
    if (text !== '') await invocation.note(`tt: ${verdictText(found)}`)
  },
}
