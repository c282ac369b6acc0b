import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseCommand } from '../base/arguments.ts'
import { entries, globalFlags } from './commands.ts'
import { cliReference } from './reference.ts'

const commands = await Promise.all(entries.map(async (entry) => ({ ...entry, ...(await entry.load()) })))

test('the reference has every command that is shown, with every flag', async () => {
  const text = await cliReference()
  for (const { words, flags } of commands) {
    assert.ok(text.includes(`\n## tt ${words}\n`), words)
    for (const { long } of flags) assert.ok(text.includes(`--${long}`), `${words} --${long}`)
  }
  assert.match(text, /\| 11 \| `exhausted`, may go well later \|/)
  assert.match(text, /\| The server or proxy to talk to; https:\/\/ before it for TLS \| `TT_SERVER` \| `--server` \| `server` \| `127.0.0.1:9527` \|/)
})

for (const { words, examples, flags, ...command } of commands) {
  test(`tt ${words}: its examples are lines it understands`, () => {
    assert.ok(examples.length > 0)
    for (const { line } of examples) {
      const own = line.split(/ \| (?=tt)/).find((part) => part.startsWith(`tt ${words}`)) ?? line.replace(/^source <\((.*)\)$/, '$1')
      const args = [...own.split(' | ')[0]!.matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g)].map(([, single, double, plain]) => single ?? double ?? plain ?? '')
      assert.equal(args.slice(0, 1 + words.split(' ').length).join(' '), `tt ${words}`, line)
      assert.equal(parseCommand({ ...command, words, examples, flags }, args.slice(1 + words.split(' ').length), globalFlags).wrong, undefined, line)
    }
  })

  test(`tt ${words}: its flags have names of their own`, () => {
    const names = flags.flatMap(({ long, short, also }) => [long, ...(short === undefined ? [] : [`-${short}`]), ...(also ?? [])])
    assert.equal(new Set(names).size, names.length)
    assert.ok(flags.every(({ about }) => /^[A-Z+]/.test(about) && !about.endsWith('.')))
  })
}
