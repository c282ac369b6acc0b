import { errorOf, fail } from '../../model/errors.ts'
import type { AuditEntry } from '../../model/session.ts'
import { wholeNumber } from '../flag-values.ts'
import type { Action, Invocation } from '../invocation.ts'
import { painted, visible } from '../text.ts'
import { framesOf } from '../vm-frames.ts'

const most = 100_000

/** `tt audit`. */
export const audit: Action = {
  operands: [],
  flags: [
    { long: 'last', short: 'n', value: 'N', about: 'So many of the last', default: '100' },
    { long: 'follow', short: 'f', about: 'Go on with what is done' },
  ],
  details: [
    'Every change and every session that was asked of this server, by whom and how it ended; what was refused too. Reads are not written down, nor what commands said. For admins.',
    'With --json there is one document, {"entries":[…]}; with --follow as well, one entry on each line as it comes.',
  ],
  examples: [
    { line: 'tt audit -n 20', about: 'what was done lately' },
    { line: 'tt audit --follow', about: 'and what is being done' },
  ],
  async run(invocation) {
    const { given, call, json, terminal } = invocation
    const text = given.one('last')
    const last = text === undefined ? undefined : wholeNumber('--last', text)
    if (last !== undefined && last > most) fail('invalid', `--last is ${last}, allowed is at most ${most}`)
    const follow = given.has('follow')
    const cloud = await invocation.cloud()
    const all: AuditEntry[] = []
    for await (const frame of framesOf(await cloud.open({ type: 'audit', follow, ...(last === undefined ? {} : { last }) }, call), terminal.signal)) {
      if (frame.type === 'audit' && json && !follow) all.push(frame.entry)
      else if (frame.type === 'audit') await (json ? invocation.printJson(frame.entry) : invocation.print(lineOf(frame.entry, invocation)))
      if (frame.type === 'problem') await invocation.report(errorOf(frame.problem))
    }
    if (json && !follow) await invocation.printJson({ entries: all })
  },
}

/** Columns that are as wide as most of what stands in them: lines come one by one. */
function lineOf({ time, user, token, action, subject, result }: AuditEntry, { terminal }: Invocation): string {
  const screen = terminal.out.screen()
  const who = token?.startsWith(`${user}/`) ? token : user
  const cells = [painted(visible(time), 'dim', screen), visible(who).padEnd(16), visible(action).padEnd(14), visible(subject).padEnd(20), painted(visible(result), result === 'ok' ? undefined : 'red', screen)]
  return cells.join('  ').trimEnd()
}
