import type { Given } from '../../base/arguments.ts'
import { fail } from '../../model/errors.ts'
import { shown } from '../../model/names.ts'
import type { Command, Session } from '../../model/session.ts'
import type { Action, Invocation } from '../invocation.ts'
import { type FramePrinter, heard } from '../vm-frames.ts'
import { isOneAtMost, oneOrMore, selectionFlags, selectionOf, viaFlags } from '../vm-selection.ts'

/** `tt env run NAME…`: the one command whose every millisecond counts, so it loads only the printer it needs. */
export const run: Action = {
  operands: [{ name: 'NAME[.INDEX]', many: true, of: 'vm' }],
  rest: 'PROGRAM ARGUMENT',
  flags: [
    { long: 'cmd', short: 'c', value: 'TEXT', about: 'Text for the shell of the guests, as it is' },
    { long: 'script', value: 'FILE', of: 'file', about: 'A local script, sent along and run with the arguments after --; - reads it from standard input; it wins over --cmd' },
    ...selectionFlags,
    { long: 'time-out', short: 't', also: ['timeout'], value: 'SECONDS', about: 'For each VM, from when it begins there; a command that is not over by then is killed', default: 'none' },
    { long: 'parallel', value: 'NUMBER', about: 'So many VMs of a host at the same time', default: '1000, or all with --stdin' },
    { long: 'env', value: 'NAME=VALUE', list: 'repeat', about: 'A variable of the environment of the command' },
    { long: 'cwd', value: 'DIR', about: 'The directory it starts in' },
    { long: 'stdin', about: 'Give standard input to every VM; otherwise their input is empty' },
    { long: 'stream', also: ['prefix'], about: 'Every line as soon as it comes, behind the name of its VM' },
    { long: 'interactive', short: 'i', about: 'At a terminal of its own in each VM, one after the other; without a command, a shell' },
    ...viaFlags,
  ],
  details: [
    'It runs in all VMs at the same time, and in none if one of the ENVs does not exist. If that is one VM, its output is passed on byte by byte as it comes, so that it can stand in a pipe. If there are several, the output of each is shown whole under a headline once it has ended, standard output and standard error apart; --stream shows lines as they come instead. With --json there is one document at the end: {"results":[{"vm","image","address","code" or "signal" or "problem","stdout","stderr"}]}, and output that is not UTF-8 stands under stdoutBase64 and stderrBase64.',
    'Standard input is passed on only with --stdin, to every VM at the same time, the slowest setting the pace: so a loop that reads lines does not lose them to a command in it. There is no limit of time unless --time-out sets one; a VM that is over it is named, and the others are shown. A guest that falls silent meanwhile, as one that hangs or is paused, is named on standard error, and so is its return; its command is waited for all the same, as long as --time-out lets it.',
    'The exit status is the highest of all: that of the command in a guest, 128 and the number of the signal that killed it, or, for a VM that could not run it, that of the error, such as 10 where the VM has no agent. So it is 0 only if the command ran in every VM and every one said 0.',
  ],
  examples: [
    { line: "tt env run demo --cmd 'uname -a'", about: 'in all VMs of demo' },
    { line: 'tt env run demo -m 0 -- ls -l /etc', about: 'a program with its arguments, in demo.0, no shell between' },
    { line: 'tt env run demo --script setup.sh -- --fast', about: 'a local script with an argument' },
    { line: 'tt env run demo -i -- vi /etc/hosts', about: 'in one VM after the other, at this terminal' },
    { line: 'tar c dir | tt env run demo -m 0 --stdin -c "tar x"', about: 'bytes through a pipe' },
  ],
  async run(invocation) {
    const { given, call } = invocation
    const interactive = given.has('interactive')
    const command = interactive ? await interactiveCommand(invocation) : await commandOf(invocation)
    const vms = selectionOf(given)
    const stdin = given.has('stdin')
    const request = { type: 'exec', vms, command, ...(await contextOf(given)), ...(stdin || interactive ? { stdin: true } : {}) } as const
    if (interactive) return (await import('../vm-terminal.ts')).eachAtTerminal(invocation, request)
    const cloud = await invocation.cloud()
    const session = await cloud.open(request, call)
    const printer = await printerOf(invocation, { one: isOneAtMost(vms), count: () => oneOrMore(cloud, vms, call) })
    const feeding = stdin ? feed(session, invocation.terminal.input(), invocation.report) : undefined
    const { status } = await heard(session, printer, invocation)
    feeding?.stop()
    invocation.raise(status)
  },
}

async function printerOf(invocation: Invocation, { one, count }: { one: boolean; count: () => Promise<number> }): Promise<FramePrinter> {
  const { json, given, terminal, printJson, report } = invocation
  if (json) return (await import('../vm-results.ts')).resultPrinter((results) => printJson({ results }))
  const options = { terminal, report }
  if (given.has('stream')) return (await import('../vm-output.ts')).prefixedPrinter(options)
  if (one) return (await import('../raw-printer.ts')).rawPrinter(options)
  return (await import('../raw-or-grouped.ts')).rawOrGrouped({ ...options, count })
}

async function commandOf({ given, note, terminal }: Invocation): Promise<Command> {
  const shell = given.one('cmd')
  const argv = given.rest
  const script = given.one('script')
  if (script !== undefined) {
    if (shell !== undefined) await note('--script wins over --cmd, which is not run')
    return (await import('../script-asked.ts')).scriptOf(terminal, script, { args: argv, hasInput: given.has('stdin') })
  }
  if (shell !== undefined && argv !== undefined) fail('invalid', 'either --cmd TEXT or -- PROGRAM ARGUMENT…, not both')
  if (argv !== undefined) return argv.length > 0 && argv[0] !== '' ? { argv } : fail('invalid', 'no program follows --')
  if (shell === undefined) fail('invalid', 'no command is given', { remedy: "use --cmd 'TEXT', --script FILE, or -- PROGRAM ARGUMENT…" })
  return shell.trim() === '' ? fail('invalid', 'the command is empty') : { shell }
}

async function interactiveCommand(invocation: Invocation): Promise<Command> {
  const { given, json } = invocation
  const odd = json ? 'json' : ['stdin', 'stream', 'parallel'].find((flag) => given.has(flag))
  if (odd !== undefined) fail('invalid', `either --interactive or --${odd}`)
  const named = given.rest !== undefined || given.has('cmd') || given.has('script')
  return named ? commandOf(invocation) : (await import('../vm-terminal.ts')).loginShell
}

async function contextOf(given: Given) {
  const env = variablesOf(given)
  const cwd = given.one('cwd')
  const timeoutMs = timeoutOf(given)
  const atOnce = given.has('parallel') ? atOnceOf(given.one('parallel') ?? '') : undefined
  const via = given.has('via') || given.has('use-ssh') ? await (await import('../via-asked.ts')).viaOf(given) : undefined
  return { ...(env ? { env } : {}), ...(cwd === undefined ? {} : { cwd }), ...(timeoutMs === undefined ? {} : { timeoutMs }), ...(atOnce === undefined ? {} : { atOnce }), ...(via === undefined ? {} : { via }) }
}

const atOnceOf = (text: string): number => (/^[1-9]\d{0,3}$|^10000$/.test(text) ? Number(text) : fail('invalid', `--parallel is ${shown(text)}, allowed is a number from 1 to 10000`))

function variablesOf(given: Given): Record<string, string> | undefined {
  if (!given.has('env')) return undefined
  return Object.fromEntries(
    given.all('env').map((text) => {
      const end = text.indexOf('=')
      return end > 0 ? [text.slice(0, end), text.slice(end + 1)] : fail('invalid', `--env is ${shown(text)}, allowed is NAME=VALUE`)
    }),
  )
}

function timeoutOf(given: Given): number | undefined {
  const text = given.one('time-out')
  if (text === undefined) return undefined
  const seconds = /^\d{1,7}(\.\d{1,3})?$/.test(text) ? Number(text) : 0
  return seconds > 0 && seconds <= 2_147_483 ? Math.ceil(seconds * 1000) : fail('invalid', `--time-out is ${shown(text)}, allowed is a number of seconds from 0.001 to 2147483`)
}

/** Passes standard input on until it or the session ends: where nobody reads any more, what is left is nobody's. */
function feed(session: Session, input: AsyncIterable<Uint8Array>, report: Invocation['report']): { stop(): void } {
  const writer = session.input.getWriter()
  let stopped = false
  const pump = async () => {
    for await (const data of input) {
      if (stopped) return
      await writer.write({ type: 'stdin', data }).catch(() => (stopped = true))
    }
    if (!stopped) await writer.write({ type: 'eof' }).catch(() => undefined)
  }
  pump().catch(report)
  return { stop: () => (stopped = true) }
}
