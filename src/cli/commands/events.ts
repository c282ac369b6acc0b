import { errorOf } from '../../model/errors.ts'
import { checkEnvName } from '../../model/names.ts'
import type { CloudEvent } from '../../model/session.ts'
import type { Action, Invocation } from '../invocation.ts'
import { type Colour, painted, visible } from '../text.ts'
import { framesOf } from '../vm-frames.ts'

/** `tt events [ENV…]`. */
export const events: Action = {
  operands: [{ name: 'ENV', many: true, optional: true, of: 'env' }],
  flags: [{ long: 'follow', short: 'f', about: 'Go on with what happens' }],
  details: [
    'A server remembers some thousand events since it was started: ENVs that are made, changed, ready, failed and gone, VMs that fail, end or recover by themselves, hosts that come and go, images, users. You see those of what is yours, an admin sees all. Without names it is everything, with names what is about these ENVs.',
    'With --json there is one document, {"events":[…]}; with --follow as well, one event on each line as it comes.',
  ],
  examples: [
    { line: 'tt events', about: 'what happened lately' },
    { line: 'tt events -f demo', about: 'watch the life of one ENV' },
    { line: 'tt events -f --json', about: 'for a program' },
  ],
  async run(invocation) {
    const { given, call, json, terminal } = invocation
    const envs = [...new Set(given.operands)]
    envs.forEach(checkEnvName)
    const follow = given.has('follow')
    const cloud = await invocation.cloud()
    const all: CloudEvent[] = []
    for await (const frame of framesOf(await cloud.open({ type: 'events', follow, ...(envs.length > 0 ? { envs } : {}) }, call), terminal.signal)) {
      if (frame.type === 'event' && json && !follow) all.push(frame.event)
      else if (frame.type === 'event') await (json ? invocation.printJson(frame.event) : invocation.print(lineOf(frame.event, invocation)))
      if (frame.type === 'note') await invocation.note(frame.text)
      if (frame.type === 'problem') await invocation.report(errorOf(frame.problem))
    }
    if (json && !follow) await invocation.printJson({ events: all })
  },
}

const colours: Record<string, Colour> = { failed: 'red', lost: 'red', offline: 'red', broken: 'red', stopped: 'yellow', expired: 'yellow', ready: 'green', online: 'green' }

/** Columns that are as wide as most of what stands in them: lines come one by one. */
const lineOf = ({ time, subject, event, message }: CloudEvent, { terminal }: Invocation): string =>
  `${painted(visible(time), 'dim', terminal.out.screen())}  ${visible(subject).padEnd(20)}  ${painted(visible(event).padEnd(9), colours[event], terminal.out.screen())}  ${visible(message)}`.trimEnd()
