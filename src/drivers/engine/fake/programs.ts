import { constants } from 'node:os'
import { directories, type Outcome, ownPid, type Process } from './process.ts'

export type Program = (args: string[], self: Process) => Promise<Outcome>

/** Everything that can be run in a fake guest, but its shell. */
export const programs: Record<string, Program> = {
  true: async () => ok,
  ':': async () => ok,
  false: async () => ({ code: 1 }),
  exit: async ([code = '0']) => ({ code: Number.parseInt(code, 10) || 0, ends: 'script' }),
  echo: async (args, { say }) => {
    const plain = args[0] === '-n'
    await say('stdout', `${(plain ? args.slice(1) : args).join(' ')}${plain ? '' : '\n'}`)
    return ok
  },
  cat: async (args, self) => {
    const file = args.find((arg) => arg !== '-')
    if (file !== undefined) return complain(self, `cat: ${file}: No such file or directory`)
    return copy(self, Infinity)
  },
  head: async (args, self) => {
    const [flag, count, file] = args
    const limit = Number(count)
    if (flag !== '-c' || !Number.isSafeInteger(limit) || limit < 0) return complain(self, 'head: only «head -c N» and «head -c N /dev/zero» are known to a fake guest')
    if (file === '/dev/zero') return zeros(self, limit)
    return file === undefined ? copy(self, limit) : complain(self, `head: ${file}: No such file or directory`)
  },
  sleep: async ([seconds = ''], self) => {
    if (!/^[0-9]*\.?[0-9]+$/.test(seconds)) return complain(self, `sleep: invalid number '${seconds}'`)
    const end = self.world.ticks() + Number(seconds) * 1000
    // In steps: a timer cannot wait for more than 24 days.
    for (let left = end - self.world.ticks(); left > 0; left = end - self.world.ticks()) await self.world.sleep(Math.min(left, dayMs), self.signal)
    return ok
  },
  kill: async (args, self) => {
    const signal = signalOf(args.length > 1 ? (args[0] ?? '') : '-TERM')
    if (signal === undefined) return complain(self, `kill: ${args[0]}: unknown signal`)
    if (args.at(-1) !== String(ownPid)) return complain(self, `kill: ${args.at(-1) ?? ''}: No such process`)
    return isDeadly(signal) ? { signal } : ok
  },
  pwd: async (_, { say, env }) => (await say('stdout', `${env.get('PWD')}\n`), ok),
  cd: async ([to = '/root'], self) => {
    if (!directories.includes(to)) return complain(self, `cd: ${to}: No such file or directory`)
    self.env.set('PWD', to)
    return ok
  },
  hostname: async (_, { say, hostname }) => (await say('stdout', `${hostname}\n`), ok),
  uname: async ([flag = '-s'], self) => {
    const facts: Record<string, string> = { s: 'fake-guest', n: self.hostname, r: '1', v: 'nothing runs here', m: 'none' }
    const asked = flag === '-a' ? Object.keys(facts) : flag.slice(1).split('')
    if (!flag.startsWith('-') || asked.some((letter) => !(letter in facts))) return complain(self, `uname: ${flag} is not known to a fake guest`)
    await self.say('stdout', `${asked.map((letter) => facts[letter]).join(' ')}\n`)
    return ok
  },
  date: async ([format], self) => {
    const now = self.world.now()
    if (format !== undefined && format !== '+%s') return complain(self, `date: ${format} is not known to a fake guest`)
    await self.say('stdout', format === undefined ? `${new Date(now).toUTCString()}\n` : `${Math.floor(now / 1000)}\n`)
    return ok
  },
  test: async (args, { terminal }) => {
    const [first = '', second = '', third = ''] = args
    if (first === '-t') return { code: terminal ? 0 : 1 }
    if (first === '-n' || first === '-z') return { code: (second === '') === (first === '-z') ? 0 : 1 }
    if (first === '-d' || first === '-e') return { code: directories.includes(second) ? 0 : 1 }
    if (/^-[fsx]$/.test(first)) return { code: 1 }
    return { code: second === '=' && first === third ? 0 : 1 }
  },
  tty: async (_, self) => {
    await self.say('stdout', self.terminal ? '/dev/pts/0\n' : 'not a tty\n')
    return { code: self.terminal ? 0 : 1 }
  },
  stty: async ([what], self) => {
    if (!self.terminal) return complain(self, 'stty: standard input: Inappropriate ioctl for device')
    if (what !== 'size') return complain(self, 'stty: only «stty size» is known to a fake guest')
    const { rows, columns } = self.terminal.size()
    await self.say('stdout', `${rows} ${columns}\n`)
    return ok
  },
  env: async (_, { say, env }) => {
    for (const [name, value] of env) await say('stdout', `${name}=${value}\n`)
    return ok
  },
}

const ok: Outcome = { code: 0 }
const dayMs = 86_400_000
const pieceBytes = 32 << 10

/** Whether this signal ends a process that does nothing about it. */
export const isDeadly = (signal: string): boolean => !['SIGCHLD', 'SIGCONT', 'SIGURG', 'SIGWINCH', 'SIGSTOP', 'SIGTSTP', 'SIGTTIN', 'SIGTTOU'].includes(signal)

/** The full name of a signal written `-TERM`, `-15` or `-SIGTERM`. */
function signalOf(flag: string): string | undefined {
  const wanted = flag.replace(/^-(SIG)?/, '')
  return Object.entries(constants.signals).find(([name, number]) => name === `SIG${wanted}` || String(number) === wanted)?.[0]
}

export async function complain({ say }: Process, line: string): Promise<Outcome> {
  await say('stderr', `${line}\n`)
  return { code: 1 }
}

async function copy({ input, say }: Process, limit: number): Promise<Outcome> {
  for (let left = limit; left > 0; ) {
    const piece = await input.take(Math.min(left, pieceBytes))
    if (!piece) break
    await say('stdout', piece)
    left -= piece.length
  }
  return ok
}

async function zeros({ say }: Process, count: number): Promise<Outcome> {
  for (let left = count; left > 0; left -= pieceBytes) await say('stdout', new Uint8Array(Math.min(left, pieceBytes)))
  return ok
}
