import assert from 'node:assert/strict'
import { type ChildProcessWithoutNullStreams, execFileSync, spawn } from 'node:child_process'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { type ServerGround, serverGround } from './e2e/ground.ts'

const program = join(import.meta.dirname, '../tt')

/** A line of sh at a terminal of its own, by script(1), with what that has shown. */
function atTerminal(line: string, env: Record<string, string>) {
  const child: ChildProcessWithoutNullStreams = spawn('script', ['-qfec', `echo "[$(tty)]"; stty cols 90 rows 20; ${line}`, '/dev/null'], { env: { ...process.env, ...env, TERM: 'vt100', NO_COLOR: '1', SHELL: '/bin/sh' } })
  let all = ''
  let at = 0
  child.stdout.on('data', (bytes: Buffer) => (all += bytes.toString()))
  const ended = new Promise<number>((resolve) => child.once('exit', (code) => resolve(code ?? -1)))
  const terminal = {
    ended,
    all: () => all,
    type: (text: string) => child.stdin.write(text),
    /** What stands before the pattern, of what has not been looked at. */
    async sees(pattern: RegExp): Promise<RegExpExecArray> {
      for (const end = Date.now() + 20_000; ; await new Promise((resolve) => setTimeout(resolve, 10))) {
        const found = pattern.exec(all.slice(at))
        if (found) {
          at += found.index + found[0].length
          return found
        }
        assert.ok(Date.now() < end, `${String(pattern)} does not come: ${JSON.stringify(all.slice(at))}`)
      }
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await ended
    },
  }
  return terminal
}

describe('tt at a terminal, with a server and guests that are not there', () => {
  let server: ServerGround
  let env: Record<string, string>
  before(async () => {
    server = serverGround(['--engine', 'fake'])
    await server.start()
    env = { TT_SERVER: `127.0.0.1:${server.port}`, TT_DATA_DIR: join(server.dir, 'data'), TT_CONFIG: join(server.dir, 'config.json') }
    const added = await server.tt('env', 'add', 'e', '--os-prefix=micro', '--dup-each=1')
    assert.equal(added.code, 0, added.stderr)
  })
  after(() => server[Symbol.asyncDispose]())

  /** The settings that a shell expects are on again. */
  const sane = async (terminal: ReturnType<typeof atTerminal>) => {
    const [, settings = ''] = await terminal.sees(/settings ([^\n]*)\r\n/)
    for (const one of ['icanon', 'echo', 'isig', 'opost', 'onlcr', 'icrnl']) assert.match(settings, new RegExp(`(^| )${one}( |;|$)`), settings)
  }
  const thenSettings = 'echo "status $?"; echo "settings $(stty -a | tr "\\n" " ")"'

  it('a shell has the size of the terminal and follows it, takes Ctrl-C, and gives its status; the terminal is as before', async () => {
    await using terminal = atTerminal(`${program} env shell e.0; ${thenSettings}`, env)
    const [, device = ''] = await terminal.sees(/\[(\/dev\/[^\]]+)\]/)
    await terminal.sees(/~\. at the beginning of a line leaves\.\s+# /)
    const during = execFileSync('stty', ['-a', '-F', device], { encoding: 'utf8' })
    for (const one of ['-icanon', '-echo', '-isig', '-opost']) assert.match(during, new RegExp(`(^| )${one}\\b`, 'm'))
    terminal.type('echo $TERM; stty size\r')
    await terminal.sees(/vt100\r\n20 90\r\n# /)
    execFileSync('stty', ['-F', device, 'cols', '132', 'rows', '50'])
    await new Promise((resolve) => setTimeout(resolve, 500))
    terminal.type('stty size\r')
    await terminal.sees(/50 132\r\n# /)
    terminal.type('sleep 1000\r')
    await terminal.sees(/sleep 1000\r\n/)
    terminal.type('\x03')
    await terminal.sees(/\^C\r\n# /)
    terminal.type('exit 3\r')
    await terminal.sees(/status 3\r\n/)
    await sane(terminal)
  })

  it('~. leaves it', async () => {
    await using terminal = atTerminal(`${program} env shell e.1; ${thenSettings}`, env)
    await terminal.sees(/# /)
    terminal.type('sleep 1000\r')
    await terminal.sees(/sleep 1000\r\n/)
    terminal.type('~.')
    await terminal.sees(/status 0\r\n/)
    await sane(terminal)
  })

  it('killed by SIGTERM, or with the server gone, it gives the terminal back', async () => {
    await using terminal = atTerminal(`sh -c 'echo "{$$}"; exec ${program} env shell e.0'; ${thenSettings}`, env)
    const [, pid = ''] = await terminal.sees(/\{(\d+)\}/)
    await terminal.sees(/# /)
    process.kill(Number(pid), 'SIGTERM')
    await terminal.sees(/status (?!0)\d+\r\n/)
    await sane(terminal)

    await using other = atTerminal(`${program} env shell e.0; ${thenSettings}`, env)
    await other.sees(/# /)
    await server.stop('SIGKILL')
    await other.sees(/tt: [^\n]*\(unavailable\)/)
    await other.sees(/status 14\r\n/)
    await sane(other)
    await server.start()
  })

  it('F06: --interactive takes one VM after the other', async () => {
    await using terminal = atTerminal(`${program} env run e --interactive; ${thenSettings}`, env)
    await terminal.sees(/== e\.0 \(fake:micro\)\r\n# /)
    terminal.type('hostname; exit 2\r')
    await terminal.sees(/e-0\r\n/)
    await terminal.sees(/== e\.1 \(fake:micro\)\r\n# /)
    terminal.type('hostname\r\x04')
    await terminal.sees(/e-1\r\n/)
    await terminal.sees(/status 2\r\n/)
    await sane(terminal)
  })

  it('a console goes on where its guest was, and Ctrl-] leaves', async () => {
    await using terminal = atTerminal(`${program} env console e.0; ${thenSettings}`, env)
    await terminal.sees(/fake-guest e-0: begins/)
    terminal.type('echo $none hello\r')
    await terminal.sees(/\r\nhello\r\n/)
    terminal.type('\x1d')
    await terminal.sees(/status 0\r\n/)
    await sane(terminal)
  })
})
