import type { Flag } from '../../base/arguments.ts'
import { asTtError, fail, problemOf, TtError } from '../../model/errors.ts'
import { shown } from '../../model/names.ts'
import type { SessionRequest } from '../../model/session.ts'
import { numberOf, spanMs } from '../flag-values.ts'
import type { Action, Invocation } from '../invocation.ts'
import { pushProgress } from '../push-progress.ts'
import { answers, tellPush } from '../push-story.ts'
import { sourceAt } from '../push-source.ts'
import { board } from '../transfer-board.ts'
import { tally } from '../transfer-tally.ts'
import { viaOf } from '../via-asked.ts'
import { framesOf } from '../vm-frames.ts'
import { vmNames } from '../vm-names.ts'
import { selectionFlags, selectionOf, viaFlags } from '../vm-selection.ts'

/** Flags that both directions have. */
export const transferFlags: readonly Flag[] = [
  ...selectionFlags,
  { long: 'time-out', short: 't', also: ['timeout'], value: 'SECONDS', about: 'A VM that gets on by nothing for so long is given up; the others go on', default: '10' },
  { long: 'parallel', value: 'NUMBER', about: 'So many VMs of a host at the same time; of a push, so many look at what they have', default: '64, of a get 32' },
  ...viaFlags,
]

/** `tt env push NAME…`. */
export const push: Action = {
  operands: [{ name: 'NAME', many: true, of: 'env' }],
  flags: [
    { long: 'file', short: 'f', also: ['file-path'], value: 'PATH', of: 'file', required: true, about: 'The file or directory to send' },
    { long: 'to', value: 'PATH', about: 'Where it is to be in the guests; with a / at its end, the directory to put it in', default: '/tmp/ and its name' },
    { long: 'overwrite', about: 'Take the place of what is there; without it a VM that has something else there refuses' },
    ...transferFlags,
  ],
  details: [
    'The bytes are sent once and go to all VMs at the same time; a slow VM holds the others to its pace. A file has its name in the guest only when it is whole and its sha256 is right; its mode is kept, its owner is whoever runs the commands there. What a VM has already is not sent again, and a transfer that broke off goes on from where it was when the same command is run again. Of a directory, files that are there and not in yours stay; links stay links.',
    'The exit status is the highest of all VMs, as with `tt env run`. With --json: {"results":[{"vm","image","address","path","files","bytes","movedBytes","seconds","code" or "problem"}]}.',
  ],
  examples: [
    { line: 'tt env push demo -f app.tar', about: 'to /tmp/app.tar in every VM of demo' },
    { line: 'tt env push demo -m 0 -f site --to /srv/www', about: 'a directory, as /srv/www in demo.0' },
    { line: 'tt env push one two -f hosts --to /etc/ --overwrite', about: 'in place of /etc/hosts, in all VMs of two ENVs' },
  ],
  async run(invocation) {
    const { given, terminal, call, note } = invocation
    const vms = selectionOf(given)
    const options = await optionsOf(invocation)
    const files = await terminal.files()
    const from = given.one('file') ?? ''
    const path = destinationOf(given.one('to'), files.nameOf(from))
    const source = await sourceAt(files, from, call)
    for (const left of source.left) await note(`tt: ${shown(left)} is neither file nor directory nor link, and is left out`)
    const cloud = await invocation.cloud()
    const expected = await vmNames(cloud, vms, call)
    const session = await cloud.open({ type: 'push', vms, path, ...(given.has('overwrite') ? { overwrite: true } : {}), ...options }, call)
    const told = tally(invocation, () => path)
    const progress = pushProgress(told, source.items.flatMap(({ entry }) => (entry.type === 'file' ? [entry.sizeBytes ?? 0] : [])))
    const heard = answers(expected, terminal)
    let fault: unknown
    {
      await using picture = board(invocation, told)
      const sending = tellPush(session, source, { files, heard, call }).catch(async (thrown: unknown) => {
        fault = thrown
        await session[Symbol.asyncDispose]()
      })
      try {
        for await (const frame of framesOf(session, terminal.signal)) {
          heard.heard(frame)
          told.heard(frame)
          progress(frame)
          if (frame.type === 'problem' && frame.vm === undefined) await invocation.report(new TtError(frame.problem))
          picture.touch()
        }
      } catch (thrown) {
        fault ??= thrown
      }
      heard.end()
      await sending
    }
    if (fault !== undefined) throw resumable(fault, terminal.signal, 'what came so far is kept in the guests')
    await told.report()
  },
}

/** What broke off, with what can be done about it. */
export function resumable(fault: unknown, signal: AbortSignal, kept: string): TtError {
  const error = asTtError(fault)
  const remedy = `${kept}: the same command goes on from there`
  if (signal.aborted) return new TtError({ code: 'cancelled', message: 'interrupted', remedy })
  return error.code === 'unavailable' ? new TtError({ ...problemOf(error), remedy }, fault) : error
}

/** What the flags say about how it goes. */
export async function optionsOf({ given }: Invocation): Promise<Pick<Extract<SessionRequest, { type: 'push' }>, 'timeoutMs' | 'via' | 'atOnce'>> {
  const timeout = given.one('time-out')
  const atOnce = numberOf(given, 'parallel')
  if (atOnce !== undefined && (atOnce < 1 || atOnce > 10_000)) fail('invalid', `--parallel is ${atOnce}, allowed is 1 to 10000`)
  const via = await viaOf(given)
  return { ...(timeout === undefined ? {} : { timeoutMs: spanMs('--time-out', timeout) }), ...(via === undefined ? {} : { via }), ...(atOnce === undefined ? {} : { atOnce }) }
}

function destinationOf(to: string | undefined, name: string): string {
  const path = to ?? '/tmp/'
  if (!path.startsWith('/')) fail('invalid', `--to is ${shown(path)}, allowed is an absolute path in the guest`)
  if (!path.endsWith('/')) return path
  return name === '' ? fail('invalid', 'what is sent has no name of its own', { remedy: 'say by --to what it is to be called' }) : path + name
}
