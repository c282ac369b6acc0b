import { randomHex, type World } from '../../../base/world.ts'
import type { Call } from '../../../model/call.ts'
import { asTtError, fail, TtError } from '../../../model/errors.ts'
import type { Command, Exit } from '../../../model/session.ts'
import type { ExecOptions } from '../channel.ts'
import { interpreterOf } from '../../../model/script.ts'
import { posix, reading, shellTextOf } from '../shell-text.ts'
import { AgentRefusal, type Conversation } from './conversation.ts'

/** The agent keeps so much of each stream of a command, and drops the rest: GUEST_EXEC_MAX_OUTPUT in qga/commands.c. */
export const outputLimitBytes = 16 << 20
/** The agent does not say that a command has ended, so it is asked: soon, and then ever more rarely. */
const pauseMs = { first: 2, last: 250 }
/** What is written into a file of the guest at once. */
const writeBytes = 1 << 20
const names = ['', 'HUP', 'INT', 'QUIT', 'ILL', 'TRAP', 'ABRT', 'BUS', 'FPE', 'KILL', 'USR1', 'SEGV', 'USR2', 'PIPE', 'ALRM', 'TERM', 'STKFLT', 'CHLD', 'CONT', 'STOP', 'TSTP', 'TTIN', 'TTOU', 'URG', 'XCPU', 'XFSZ', 'VTALRM', 'PROF', 'WINCH', 'POLL', 'PWR', 'SYS']

interface Status {
  exited: boolean
  exitcode?: number
  signal?: number
  'out-data'?: string
  'err-data'?: string
  'out-truncated'?: boolean
  'err-truncated'?: boolean
}

/** One command, from its start to its whole output. */
export async function execute(command: Command, options: ExecOptions, { agent, world, closed, call }: { agent: Conversation; world: World; closed: AbortSignal; call?: Call }): Promise<Exit> {
  const { env, cwd, output } = options
  const mark = `tt-${randomHex(world, 12)}`
  const asked = shellTextOf(command, { env, cwd, mark, headerTo: 'stderr' })
  const text = asked.carried === undefined ? asked.text : reading(await carried(agent, asked.carried, world), asked.text)
  if (call?.signal?.aborted) throw asTtError(call.signal.reason)
  const pid = await started(agent, text)
  const fate = call?.signal ? AbortSignal.any([call.signal, closed]) : closed
  try {
    const status = await ended(agent, pid, world, fate)
    const said = { out: Buffer.from(status['out-data'] ?? '', 'base64'), err: Buffer.from(status['err-data'] ?? '', 'base64') }
    const at = said.err.indexOf(mark)
    const end = said.err.indexOf('\n', at)
    const header = at < 0 ? '' : said.err.toString('latin1', at + mark.length + 1, end)
    if (header === 'cwd') fail('failed', `the guest cannot enter the directory '${cwd?.slice(0, 200)}'`)
    if (header === 'none') fail('not_found', `the guest has no program '${(command.argv?.[0] ?? interpreterOf(command.script ?? '')?.program ?? '/bin/sh').slice(0, 200)}'`)
    const stderr = at < 0 ? said.err : said.err.subarray(end + 1)
    if (said.out.length > 0) await output('stdout', said.out)
    if (stderr.length > 0) await output('stderr', stderr)
    const cut = status['out-truncated'] ? 'stdout' : status['err-truncated'] ? 'stderr' : undefined
    if (cut) fail('too_large', `the command wrote more to ${cut} than the guest agent keeps (${outputLimitBytes} bytes); the rest is lost`, { remedy: 'write it to a file and fetch that: `tt env get`' })
    return status.signal === undefined ? { code: status.exitcode ?? 0 } : { signal: `SIG${names[status.signal] ?? status.signal}` }
  } catch (thrown) {
    if (thrown instanceof TtError && thrown.code === 'unavailable' && agent.over) throw new TtError({ code: 'unavailable', message: 'the connection to the guest broke while the command ran: whether it had an effect is not known' }, thrown)
    if (fate.aborted && !agent.over) await started(agent, posix(`kill -KILL -${pid} 2>/dev/null || kill -KILL ${pid}`)).catch(() => undefined)
    throw thrown
  }
}

async function started(agent: Conversation, text: string): Promise<number> {
  try {
    const { pid } = (await agent.ask('guest-exec', { path: '/bin/sh', arg: ['-c', text], 'capture-output': true })) as { pid: number }
    if (!Number.isInteger(pid)) fail('failed', 'the guest agent does not say which process it has started')
    return pid
  } catch (fault) {
    if (!(fault instanceof AgentRefusal)) throw fault
    return fail(/disabled|not been found|not found/i.test(fault.message) ? 'unsupported' : 'failed', `the guest agent does not run commands: ${fault.message}`, { remedy: 'allow guest-exec in the configuration of qemu-ga', cause: fault })
  }
}

async function ended(agent: Conversation, pid: number, world: World, signal: AbortSignal): Promise<Status> {
  for (let pause = pauseMs.first; ; pause = Math.min(pause * 1.5, pauseMs.last)) {
    if (signal.aborted) throw asTtError(signal.reason)
    const status = (await agent.ask('guest-exec-status', { pid }).catch((fault: unknown) => fail(fault instanceof AgentRefusal ? 'failed' : 'unavailable', `the guest agent knows nothing of the command any more: ${(fault as Error).message}`, { cause: fault }))) as Status
    if (status?.exited) return status
    await world.sleep(pause, signal).catch(() => undefined)
  }
}

/** Puts a text into a file of the guest; gives its path. */
async function carried(agent: Conversation, text: string, world: World): Promise<string> {
  const path = `/tmp/.tt-${randomHex(world, 16)}`
  try {
    // The agent runs as root and its umask is its own business: others may read nothing of it.
    const pid = await started(agent, posix(`umask 077; : >${path}`))
    await ended(agent, pid, world, new AbortController().signal)
    const handle = await agent.ask('guest-file-open', { path, mode: 'w' })
    const bytes = Buffer.from(text)
    for (let at = 0; at < bytes.length; ) {
      const { count } = (await agent.ask('guest-file-write', { handle, 'buf-b64': bytes.subarray(at, at + writeBytes).toString('base64') })) as { count: number }
      if (!(count > 0)) fail('failed', 'the guest has no room for a long command in /tmp')
      at += count
    }
    await agent.ask('guest-file-close', { handle })
  } catch (fault) {
    if (!(fault instanceof AgentRefusal)) throw fault
    fail('failed', `the guest agent does not take a long command: ${fault.message}`, { cause: fault })
  }
  return path
}
