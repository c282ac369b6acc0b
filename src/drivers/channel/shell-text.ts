import { fail } from '../../model/errors.ts'
import type { Command } from '../../model/session.ts'
import { interpreterOf } from '../../model/script.ts'

/** A command as one text for a shell, for ways into guests that take no more than that. */
export interface ShellText {
  text: string
  /** Too long for one argument, or a program of its own: it is put into a file of the guest first, and the text then reads it from descriptor 9. */
  carried?: string
}

/** Dropbear refuses commands of more than 9,000 bytes (MAX_CMD_LEN in sysoptions.h); Linux takes arguments of up to 128 KiB. */
const argumentLimitBytes = 8000
const carriedLimitBytes = 16 << 20
/** Where a descriptor has a name, for programs that want one. */
const carriedPath = '/proc/self/fd/9'

/**
 * The command for a POSIX shell, whatever the login shell is. Before it begins it says on `headerTo` how that went, in one line: the mark and its
 * process id, or `cwd`, or `none` for a program that is not there.
 */
export function shellTextOf(command: Command, options: { env?: Record<string, string>; cwd?: string; mark: string; headerTo: 'stdout' | 'stderr' }): ShellText {
  const { env = {}, cwd, mark, headerTo } = options
  checkTexts(command, env, cwd)
  const say = (what: string) => `echo "${mark} ${what}"${headerTo === 'stderr' ? ' >&2' : ''}`
  const variables = Object.entries(env).map(([name, value]) => quoted(`${name}=${value}`))
  const begin = ['exec', ...(variables.length > 0 ? ['env', ...variables] : [])].join(' ')
  const enter = cwd === undefined ? [] : [`cd ${quoted(cwd)} 2>/dev/null || { ${say('cwd')}; exit 126; }`]
  const whole = (last: string[]) => [...enter, ...last].join('\n')
  const found = (program: string, args: string[]) => [`command -v ${quoted(program)} >/dev/null 2>&1 || { ${say('none')}; exit 127; }`, say('$$'), [begin, quoted(program), ...args.map(quoted)].join(' ')]
  if (command.script !== undefined) {
    const { program, argument } = interpreterOf(command.script) ?? { program: '/bin/sh' }
    return { text: grouped(whole(found(program, [...(argument === undefined ? [] : [argument]), carriedPath, ...(command.args ?? [])]))), carried: command.script }
  }
  if (command.argv) {
    const [program = '', ...args] = command.argv
    const script = whole(found(program, args))
    return short(grouped(script)) ?? { text: grouped(`. ${carriedPath}`), carried: bounded(script) }
  }
  const shell = (text: string) => grouped(whole([say('$$'), `${begin} /bin/sh -c ${quoted(text)}`]))
  // A text that is read is evaluated as it is: what `$( )` takes from its end is put behind a mark that is cut off again.
  return short(shell(command.shell)) ?? { text: shell('t=$(cat <&9; echo x); exec 9<&-; eval "${t%x}"'), carried: bounded(command.shell) }
}

/** For a POSIX shell: every byte as it is. */
const quoted = (text: string): string => (/^[A-Za-z0-9_./:=@%+,-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`)

/** The text run by a POSIX shell in place of the login shell, which may be another. */
export const posix = (text: string): string => `exec /bin/sh -c ${quoted(text)}`

/** As `posix`, and a group of its own with all it starts, so that it can be ended: Dropbear leaves commands in the group of their connection (common-session.c, 2022.83). */
const grouped = (text: string): string => `exec /bin/sh -c 'kill -0 -$$ 2>/dev/null || { command -v setsid >/dev/null 2>&1 && exec setsid /bin/sh -c "$0"; }; eval "$0"' ${quoted(text)}`

/** The same text with the file that was put there as its descriptor 9; the file is gone before anything else begins. */
export const reading = (path: string, text: string): string => posix(`exec 9<${quoted(path)} && rm -f ${quoted(path)} && ${text}`)

const short = (text: string): ShellText | undefined => (Buffer.byteLength(text) <= argumentLimitBytes ? { text } : undefined)

function bounded(text: string): string {
  const bytes = Buffer.byteLength(text)
  if (bytes > carriedLimitBytes) fail('too_large', `the command has ${bytes} bytes, and ${carriedLimitBytes} are the most`, { remedy: 'give long input by stdin' })
  return text
}

function checkTexts({ argv, shell, script, args = [] }: Command, env: Record<string, string>, cwd = ''): void {
  if (argv && (argv.length === 0 || argv[0] === '')) fail('invalid', 'the command names no program')
  for (const text of [...(argv ?? [shell ?? script]), ...args, ...Object.values(env), cwd]) if (text.includes('\0')) fail('invalid', 'the command holds a zero byte, which no program can be given')
  for (const name of Object.keys(env)) if (name === '' || /[=\0]/.test(name)) fail('invalid', `'${name}' cannot be the name of a variable`)
}
