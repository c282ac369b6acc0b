import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Command, parseCommand } from '../base/arguments.ts'
import { entries, globalFlags, groups } from './commands.ts'
import { rehearse } from './rehearsal.ts'

test('A11: every command explains itself, however it is asked, and asks nobody', async () => {
  for (const { words, summary } of entries) {
    const asked = [`${words} --help`, `${words} -h`, `help ${words}`, `--help ${words}`, `${words} --help --json`]
    const played = await Promise.all(asked.map((line) => rehearse(line)))
    for (const [at, { status, out, err, connected }] of played.entries()) {
      assert.deepEqual([status, err, connected], [0, '', []], asked[at])
      assert.ok(out.includes(`tt ${words}`) && out.includes('--json'), asked[at])
      assert.equal(out, played[0]?.out, asked[at])
    }
    assert.ok((played[0]?.out ?? '').includes(summary), words)
  }
  for (const group of ['', ...Object.keys(groups)]) {
    const { status, out } = await rehearse(`${group} --help`)
    assert.equal(status, 0)
    for (const { words, summary } of entries) if (group !== '' && words.startsWith(`${group} `)) assert.ok(out.replaceAll(/\s+/g, ' ').includes(summary), `${group}: ${words}`)
  }
})

test('A11: every command says its version, and refuses an unknown flag with how it is called', async () => {
  for (const { words } of entries) {
    const { status, out } = await rehearse(`${words} --version`)
    assert.deepEqual([status, out], [0, 'tt 0.1.0\n'], words)
    const unknown = await rehearse(`${words} --no-such-flag`)
    assert.deepEqual([unknown.status, unknown.out, unknown.connected], [2, '', []], words)
    assert.match(unknown.err, /unknown flag --no-such-flag/, words)
    assert.ok(unknown.err.includes(`tt ${words}`), unknown.err)
  }
})

test('A12: every flag that is a list takes commas and repetition alike, by its short name too', async () => {
  let seen = 0
  for (const entry of entries) {
    const command: Command = { ...entry, ...(await entry.load()) }
    for (const flag of command.flags.filter(({ list }) => list === 'commas')) {
      const { given } = parseCommand({ ...command, flags: command.flags.map((one) => ({ ...one, required: undefined })), operands: [] }, [`--${flag.long}=80,443`], globalFlags)
      assert.deepEqual(given?.all(flag.long), ['80', '443'], `${entry.words} --${flag.long}`)
      const spellings = [[`--${flag.long}`, '80', `--${flag.long}`, '443'], [`--${flag.long}=80`, `--${flag.long}=443`], ...(flag.short === undefined ? [] : [[`-${flag.short}`, '80,443'], [`-${flag.short}80`, `-${flag.short}`, '443']])]
      for (const args of spellings) {
        const again = parseCommand({ ...command, flags: command.flags.map((one) => ({ ...one, required: undefined })), operands: [] }, args, globalFlags)
        assert.deepEqual(again.given?.all(flag.long), ['80', '443'], `${entry.words} ${args.join(' ')}`)
      }
      seen++
    }
  }
  assert.ok(seen >= 10, `only ${seen} lists`)
  const [commas, repeated] = await Promise.all(['-s a,b -p 80,443', '-s a -p 80 -s b -p 443'].map(async (flags) => (await rehearse(`env add x --no-wait ${flags}`)).cloud.puts.map(({ name, options }) => [name, (options as { spec: unknown }).spec])))
  assert.deepEqual(commas, repeated)
  assert.match(JSON.stringify(commas), /"ports":\[80,443\]/)
})
