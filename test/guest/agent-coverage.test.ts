import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { it } from 'node:test'
import { fieldsFrom } from '../../src/drivers/channel/rexec/fields.ts'
import { orderOf } from '../../src/drivers/channel/rexec/files-order.ts'
import { ask, execFlag, identifyField } from '../../src/drivers/channel/rexec/protocol.ts'
import { requestOf } from '../../src/drivers/channel/rexec/request.ts'

const soak = process.env['TT_SOAK'] === '1'
const framesWanted = soak ? 1_000_000 : 10_000
const runsAtOnce = soak ? 100_000 : 2000
const seed = Number(process.env['TT_SEED'] ?? (Date.now() % 1_000_000_000) + 1)
const sources = join(import.meta.dirname, '../../guest/agent')
/** What the fuzzer pretends, so that it starts nothing, ends nothing and changes nothing. */
const pretended = ['command_frame', 'launch', 'fork', 'kill', 'family_kill', 'name_set', 'keys_set', 'clock_settime']

const compiler = ['clang-14', 'clang'].find((name) => (process.env['PATH'] ?? '').split(delimiter).some((dir) => existsSync(join(dir, name))))

/** `u8 what, u8 id, u16 length, bytes`, as fuzzer.c reads them. */
const record = (what: number, id: number, bytes: Uint8Array | string = ''): Buffer => {
  const body = Buffer.from(bytes as string)
  return Buffer.concat([Buffer.of(what, id, body.length & 0xff, body.length >> 8), body])
}
const exec = (id: number, body: Buffer, flags = 0) => record(ask.exec, id, Buffer.concat([Buffer.of(flags), body]))
const act = { raw: 0x40, says: 0x41, ends: 0x42, turns: 0x43 }

/** From which the fuzzer starts: one of each thing that can be asked. */
function examples(): Buffer[] {
  const tty = { columns: 80, rows: 24 }
  const identity = fieldsFrom(0, [[identifyField.hostname, 'x'], [identifyField.clock, '1'], [identifyField.entropy, 'a5'], [identifyField.keys, ''], [identifyField.key, 'ssh-rsa A'], [identifyField.address, '10.0.0.2/24'], [identifyField.gateway, '10.0.0.1'], [identifyField.mtu, '1400']])
  const order = orderOf({ operation: 6, path: '/x', sizeBytes: 3, sha256: 'a5'.repeat(32), mode: 0o644 })
  return [
    Buffer.concat([exec(1, requestOf({ argv: ['cat', 'x'] }, { env: { A: 'b' }, cwd: '/' })), record(ask.stdin, 1, 'in'), record(act.says, 0, 'out'), record(ask.credit, 1, Buffer.of(0x82, 1, 0, 0, 0)), record(ask.eof, 1), record(act.ends, 0, Buffer.of(3))]),
    Buffer.concat([exec(2, requestOf({ shell: 'x' }, { tty })), record(ask.size, 2, Buffer.of(1, 0, 1, 0)), record(ask.stdin, 2, 'typed\r'), record(act.says, 0, 'out\n'), record(ask.signal, 2, 'SIGTERM'), record(ask.eof, 2), record(act.ends, 1, Buffer.of(9))]),
    Buffer.concat([exec(3, requestOf({ script: '#!/bin/cat -n\nx', args: ['a'] }, {}), execFlag.noStdin), record(ask.kill, 3), record(act.turns, 0)]),
    Buffer.concat([exec(4, Buffer.from('short'), execFlag.more), exec(4, Buffer.alloc(20)), record(ask.ping, 4, 'ping'), record(ask.halt, 4, Buffer.alloc(4)), record(ask.bye, 0)]),
    record(ask.identify, 5, Buffer.concat([Buffer.of(0), identity])),
    Buffer.concat([record(ask.file, 6, Buffer.concat([Buffer.of(0), order])), record(ask.stdin, 6, 'abc'), record(ask.eof, 6)]),
    Buffer.concat([record(act.raw, 0, Buffer.alloc(5000)), record(act.raw, 0, Buffer.from('\xff\xfftt-rexec hello0123456789abcdef\x02\x00\x00\x00', 'latin1')), record(ask.proof, 0, Buffer.alloc(32))]),
  ]
}

it(`the agent survives ${framesWanted} frames of a host that is led by what they reach (TT_SEED=${seed})`, { timeout: soak ? 7_200_000 : 240_000 }, async (t) => {
  if (compiler === undefined) {
    const why = 'clang is missing: apt-get install -y --no-install-recommends clang-14 libclang-rt-14-dev (script/packages-for-soak)'
    if (soak) process.stderr.write(`\n*** ${why}; THE AGENT IS NOT FUZZED BY COVERAGE ***\n\n`)
    return t.skip(`SKIPPED: ${why}`)
  }
  const dir = mkdtempSync(join(tmpdir(), 'tt-agent-coverage-'))
  try {
    chmodSync(dir, 0o755)
    const corpus = join(dir, 'corpus')
    mkdirSync(corpus)
    chmodSync(corpus, 0o777) // It is nobody who writes there.
    examples().forEach((bytes, n) => writeFileSync(join(corpus, `example-${n}`), bytes))
    const binary = join(dir, 'fuzzer')
    const files = readdirSync(sources).filter((name) => name.endsWith('.c') && name !== 'main.c').map((name) => join(sources, name))
    const flags = ['-std=gnu17', '-g', '-O1', '-Wall', '-Wextra', '-Werror', '-Wno-gnu-variable-sized-type-not-at-end', '-fsanitize=fuzzer,address,undefined', '-fno-sanitize-recover=all']
    execFileSync(compiler, [...flags, `-I${sources}`, '-o', binary, join(import.meta.dirname, 'fuzzer.c'), ...files, ...pretended.map((name) => `-Wl,--wrap=${name}`)], { stdio: ['ignore', 'inherit', 'inherit'] })
    let frames = 0
    let runs = 0
    const started = performance.now()
    for (let round = 0; frames < framesWanted; round++) {
      const said = await fuzz(binary, [`-seed=${seed + round}`, `-runs=${runsAtOnce}`, '-max_len=4096', '-timeout=20', '-rss_limit_mb=768', '-print_final_stats=1', '-verbosity=0', corpus], corpus)
      frames += Number(/^frames: (\d+)$/m.exec(said)?.[1] ?? 0)
      runs += Number(/number_of_executed_units: +(\d+)/.exec(said)?.[1] ?? 0)
      assert.ok(frames > 0, said)
    }
    t.diagnostic(`${runs} executions, ${frames} frames in ${((performance.now() - started) / 1000).toFixed()} s; ${readdirSync(corpus).length} inputs that reach something of their own`)
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
})

/** Runs it to its end; what it said. A fault is told with the input that leads to it. */
async function fuzz(binary: string, args: string[], cwd: string): Promise<string> {
  const child = spawn(binary, args, { cwd, stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, ASAN_OPTIONS: 'detect_leaks=0', UBSAN_OPTIONS: 'print_stacktrace=1' } })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-20_000)))
  const status = await new Promise<number | null>((resolve) => child.once('close', resolve))
  assert.equal(status, 0, said)
  return said
}
