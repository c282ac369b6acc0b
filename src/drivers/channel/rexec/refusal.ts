import { TtError } from '../../../model/errors.ts'
import type { Command } from '../../../model/session.ts'
import { interpreterOf } from '../../../model/script.ts'

const meanings: Record<string, string> = {
  EACCES: 'it may not be executed',
  ENOENT: 'there is none',
  ENOTDIR: 'it is not a directory',
  ENOEXEC: 'it is neither a program for this machine nor a script with #!',
  E2BIG: 'its arguments and environment are larger than the kernel of the guest takes',
  ENOMEM: 'the guest has no memory left',
  EAGAIN: 'the guest can start no more processes',
  EMFILE: 'the guest can open no more files',
  EEXIST: 'its number is taken',
  EOPNOTSUPP: 'it cannot',
}

/** What an ERROR says (`ENOENT exec`: the errno and the step that failed) for people; undefined if it says nothing that can be read. */
export function refusalOf(payload: Buffer, command: Command | undefined, cwd?: string): TtError | undefined {
  const [, errno = '', step] = /^(E[A-Z0-9]{1,20}) (request|start|cwd|exec|halt)$/.exec(payload.toString('latin1', 0, 64)) ?? []
  if (step === undefined) return undefined
  const program = (command?.argv?.[0] ?? (command?.script === undefined ? undefined : interpreterOf(command.script)?.program) ?? '/bin/sh').slice(0, 200)
  if (step === 'exec' && errno === 'ENOENT') return new TtError({ code: 'not_found', message: `the guest has no program '${program}', or not what runs it (${errno})` })
  const why = `${meanings[errno] ?? 'the guest says no more'} (${errno})`
  if (step === 'cwd') return new TtError({ code: 'failed', message: `the guest cannot enter the directory '${cwd}': ${why}` })
  if (step === 'halt') return new TtError({ code: 'unsupported', message: `the guest cannot be halted by its agent: ${why}` })
  return new TtError({ code: 'failed', message: `the guest cannot run '${program}': ${why}` })
}
