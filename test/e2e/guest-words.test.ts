import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createHash, type Hash } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { diceOf } from '../dice.ts'
import { inNamespace, serverGround, type ServerGround } from './ground.ts'

const program = join(import.meta.dirname, '../../tt')
const soak = process.env['TT_SOAK'] === '1'

await inNamespace(import.meta.url, () => {
  describe('words to a real guest', { timeout: 600_000 }, () => {
    let server: ServerGround
    let env: Record<string, string | undefined>
    let dir: string
    before(async () => {
      dir = mkdtempSync(join(tmpdir(), 'tt-words-'))
      server = serverGround()
      await server.start()
      env = { ...process.env, TT_SERVER: `127.0.0.1:${server.port}`, TT_DATA_DIR: join(server.dir, 'data'), TT_CONFIG: join(server.dir, 'config.json'), NO_COLOR: '1', TERM: 'vt100' }
      const added = await server.tt('env', 'add', 'm', '-s', 'micro')
      assert.equal(added.code, 0, added.stderr)
    })
    after(async () => {
      await server[Symbol.asyncDispose]()
      rmSync(dir, { recursive: true })
    })

    it('[F08] two streams of many megabytes at the same time arrive whole and in order, each for itself', async () => {
      const seed = Number(process.env['TT_SEED'] ?? 4)
      const rounds = soak ? 500 : 50
      const dice = diceOf(seed)
      const blocks = [0, 1].map(() => Buffer.from(Uint32Array.from({ length: 262_144 }, () => dice(2 ** 32)).buffer))
      for (const [at, block] of blocks.entries()) await run(['-c', `cat >/tmp/block${at}`, '--stdin'], block)
      // A number before each block: one that is lost, or comes twice, or changes places with another is another digest.
      const writes = (at: number, to: string) => `{ i=0; while [ $i -lt ${rounds} ]; do echo $i; cat /tmp/block${at}; i=$((i+1)); done; } ${to}`
      const { out, err, code } = await run(['-c', `${writes(0, '')} & ${writes(1, '>&2')}; wait; exit 7`])
      const expected = blocks.map((block) => {
        const hash = createHash('sha256')
        for (let round = 0; round < rounds; round++) hash.update(`${round}\n`).update(block)
        return hash.digest('hex')
      })
      assert.deepEqual([out, err, code], [...expected, 7], `seed ${seed}`)
    })

    it('[F04 F05] a script with its arguments, and what is quoted, of many lines or not ASCII, come through unchanged', async () => {
      const script = join(dir, 'script')
      writeFileSync(script, '#!/bin/sh\nprintf "%s|" "$#" "$@"\nexit 4\n')
      const ran = await server.tt('env', 'run', 'm.0', '--script', script, '--', 'a  b', "it's", '$HOME `x` "q"', 'ü\n😀', '')
      assert.deepEqual(ran, { code: 4, stdout: '5|a  b|it\'s|$HOME `x` "q"|ü\n😀||', stderr: '' })
      const quoted = await server.tt('env', 'run', 'm.0', '--cmd', "printf '%s\\n' 'ü  \"x\"' \\\n  \"it's\"; printf '\\377\\000' >&2")
      assert.equal(quoted.stdout, 'ü  "x"\nit\'s\n')
    })

    it('[F06] a shell has a terminal of the right size that follows, and gives its status', async () => {
      await using terminal = atTerminal(`${program} env shell m.0; echo "status $?"`, env)
      await terminal.sees(/~ # /)
      terminal.type('stty size; tty; echo "$TERM"\r')
      await terminal.sees(/\r\n20 90\r\n\/dev\/pts\/\d+\r\nvt100\r\n/)
      terminal.type('sleep 1000\r')
      await terminal.sees(/sleep 1000\r\n/)
      await new Promise((resolve) => setTimeout(resolve, 500)) // The shell takes its hands off the terminal a moment later.
      terminal.type('\x03')
      await terminal.sees(/\^C\r\n/)
      terminal.type('vi /tmp/hello\r')
      await terminal.sees(/\/tmp\/hello/)
      // An escape that is followed by a key at once is another key.
      for (const keys of ['ihello ', '\x1b', ':wq\r']) {
        terminal.type(keys)
        await new Promise((resolve) => setTimeout(resolve, 500))
      }
      await terminal.sees(/~ # /)
      terminal.type('exec sh -c "cat /tmp/hello; exit 3"\r')
      await terminal.sees(/hello \r\nstatus 3\r\n/)
    })

    it('[F18] a megabyte of the serial line is there after the server was killed, for several viewers, who then see what comes', async () => {
      const last = 200_000
      const said = await server.tt('env', 'run', 'm.0', '-c', `seq 1 ${last} >/dev/console`)
      assert.equal(said.code, 0, said.stderr)
      await server.stop('SIGKILL')
      await server.start()
      const { stdout } = await server.tt('env', 'logs', 'm.0')
      assert.ok(stdout.length >= 1_000_000, `${stdout.length} bytes are left`)
      const numbers = stdout.split('\r\n').slice(1, -1).map(Number)
      assert.equal(numbers.at(-1), last)
      // What comes while the log is cut is lost, and joins two lines.
      const odd = numbers.filter((number, at) => at > 0 && number !== (numbers[at - 1] ?? 0) + 1)
      assert.ok(odd.length <= 4, `there are gaps before ${odd.join(', ')}`)

      const viewers = ['1m', '0', '1m'].map((scrollback) => atTerminal(`${program} env console m.0 --scrollback ${scrollback}; echo "status $?"`, env))
      for (const viewer of viewers) await viewer.sees(/Ctrl-\] leaves\./)
      await new Promise((resolve) => setTimeout(resolve, 500))
      await server.tt('env', 'run', 'm.0', '-c', 'echo news for all >/dev/console')
      for (const viewer of viewers) await viewer.sees(/news for all/)
      assert.deepEqual(viewers.map(({ all }) => all().length > 1_000_000), [true, false, true])
      for (const viewer of viewers) {
        viewer.type('\x1d')
        await viewer.sees(/status 0/)
        await viewer[Symbol.asyncDispose]()
      }
    })

    /** The digests of what it wrote. */
    function run(args: string[], input = Buffer.alloc(0)): Promise<{ out: string; err: string; code: number | null }> {
      const child = spawn(program, ['env', 'run', 'm.0', ...args], { env, stdio: 'pipe' })
      const digests: Hash[] = []
      for (const stream of [child.stdout, child.stderr]) {
        const hash = createHash('sha256')
        digests.push(hash)
        stream.on('data', (bytes: Buffer) => hash.update(bytes))
      }
      child.stdin.end(input)
      return new Promise((resolve) => child.once('close', (code) => resolve({ out: digests[0]?.digest('hex') ?? '', err: digests[1]?.digest('hex') ?? '', code })))
    }
  })
})

/** A line of sh at a terminal of its own, by script(1), with what that has shown. */
function atTerminal(line: string, env: Record<string, string | undefined>) {
  const child = spawn('script', ['-qfec', `stty cols 90 rows 20; ${line}`, '/dev/null'], { env: { ...env, SHELL: '/bin/sh' } })
  let all = ''
  let at = 0
  child.stdout.on('data', (bytes: Buffer) => (all += bytes.toString('latin1')))
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  return {
    all: () => all,
    type: (text: string) => child.stdin.write(text),
    async sees(pattern: RegExp): Promise<void> {
      for (const end = Date.now() + 30_000; ; await new Promise((resolve) => setTimeout(resolve, 10))) {
        const found = pattern.exec(all.slice(at))
        if (found) {
          at += found.index + found[0].length
          return
        }
        assert.ok(Date.now() < end, `${String(pattern)} does not come: ${JSON.stringify(all.slice(at).slice(-2000))}`)
      }
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await ended
    },
  }
}
