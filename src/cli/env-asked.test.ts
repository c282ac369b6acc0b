import assert from 'node:assert/strict'
import { test } from 'node:test'
import { check } from '../model/check.ts'
import { EnvSpec } from '../model/env.ts'
import { rehearse } from './rehearsal.ts'
import type { ScriptedCloud } from './scripted-cloud.ts'

/** Lines that are refused before anybody is asked: one clear line, status 2, nothing connected. */
const refused: Record<string, RegExp> = {
  'add a/b -s x': /^tt: "a\/b" is not an ENV name: it contains "\/" \(invalid\)$/,
  'add .. -s x': /^tt: "\.\." is not an ENV name: it does not begin with a letter or digit/,
  'add demo.3 -s x': /^tt: "demo.3" is not an ENV name: it contains "\."/,
  [`add ${'a'.repeat(200)} -s x`]: /^tt: "a{40}…" is not an ENV name: it has 200 characters, 63 are allowed/,
  'add $(id) -s x': /^tt: "\$\(id\)" is not an ENV name/,
  'add a;reboot -s x': /^tt: "a;reboot" is not an ENV name: it contains ";"/,
  'add \x1b[2J -s x': /^tt: "\\u001b\[2J" is not an ENV name/,
  'add a -s x -C 0': /^tt: --cpu-num is "?0"?, allowed is at least 1 cpu \(invalid\)$/,
  'add a -s x -C 1000000000': /^tt: --cpu-num is "1000000000", allowed is at most 65536 cpus/,
  'add a -s x -C two': /^tt: --cpu-num is "two", allowed is a whole number/,
  'add a -s x -C 1.5': /^tt: --cpu-num is "1.5", allowed is a whole number/,
  'add a -s x -C 1e3': /^tt: --cpu-num is "1e3"/,
  'add a -s x -C 0x10': /^tt: --cpu-num is "0x10"/,
  'add a -s x -C -1': /^tt: --cpu-num is "-1", allowed is a whole number/,
  'add a -s x -M 0': /^tt: --mem-size is "0", allowed is at least 1 MB/,
  'add a -s x -D 99999999999999999999': /^tt: --disk-size is "9{20}", allowed is a whole number/,
  'add a -s x -d -1': /^tt: --dup-each is "-1", allowed is a whole number/,
  'add a -s x -d 1000000000': /^tt: 1 \+ --dup-each is "1000000001", allowed is at most 1000000 VMs/,
  'add a -s x -p 70000': /^tt: --vm-port is "70000", allowed is at most 65535/,
  'add a -s x -p 80,0': /^tt: --vm-port is "0", allowed is at least 1/,
  'add a -s x -p 80,': /^tt: --vm-port is "", allowed is a whole number/,
  'add a -s x -l 5': /^tt: --life-time is "5", allowed is at least 30 s \(invalid\)$/,
  'add a -s x -l soon': /^tt: --life-time is "soon", allowed is a number of seconds, such as 3600, or 90m, 12h, 7d, never/,
  'add a --os-prefix=': /^tt: --os-prefix is "", allowed is a prefix that is not empty/,
  'add a -s x,': /^tt: --os-prefix is "", allowed is a prefix that is not empty/,
  'add a': /^tt: --os-prefix is missing/,
  'add -s x': /^tt: NAME is missing/,
  'add a b -s x': /^tt: "b" is one word too many/,
  'add a -s x -C': /^tt: -C needs a value, N/,
  'add a -s -C 2': /^tt: -s needs a value, PREFIX/,
  'add a -s x --deadline 0': /^tt: --deadline is "0", allowed is at least 1 s/,
  'run a': /^tt: no command is given/,
  'run a -c=': /^tt: the command is empty/,
  'run a -c x -- y': /^tt: either --cmd TEXT or -- PROGRAM ARGUMENT…, not both/,
  'run a --': /^tt: no program follows --/,
  'run a -c x -m one': /^tt: --vm-id is "one", allowed is an index/,
  'run a -c x -s=': /^tt: --os-prefix is "", allowed is a prefix that is not empty/,
  'run a -c x -t 0': /^tt: --time-out is "0", allowed is a number of seconds/,
  'run a -c x --env 1': /^tt: --env is "1", allowed is NAME=VALUE/,
  'run ../x -c x': /^tt: "\.\.\/x" is not an ENV name/,
  'del a /etc': /^tt: "\/etc" is not an ENV name/,
  'show a b/c': /^tt: "b\/c" is not an ENV name/,
  'update a': /^tt: nothing to change/,
  'update a -l +never': /^tt: --life-time is "\+never"/,
}

for (const [line, expected] of Object.entries(refused))
  test(`refused: env ${line.slice(0, 60)}`, async () => {
    const { status, out, err, connected } = await rehearse(`env ${line}`)
    assert.match(err.split('\n')[0] ?? '', expected)
    assert.deepEqual([status, out, connected], [2, '', []])
  })

test('a bound that is checked here is told in the words of the server', async () => {
  const { wrong = '' } = check(EnvSpec, { groups: [{ prefix: 'x' }], lifetimeSeconds: 5 })
  const { err } = await rehearse('env add a -s x -l 5')
  assert.equal(err.split('\n')[0], `tt: ${wrong.replace('lifetimeSeconds', '--life-time')} (invalid)`)
})

const specPut = ({ puts }: ScriptedCloud) => (puts[0]!.options as { spec: Record<string, unknown> }).spec

test('every flag of env add becomes what it says', async () => {
  const { cloud } = await rehearse('env add web -s Ubuntu,fire:cent -s ubuntu -s Ubuntu -d 2 -C 4 -M 2048 -D 100 -p 443,80 -p 80 -l 12h -n --host h1 --deadline 60 --no-wait')
  const sizes = { count: 3, cpu: 4, memMb: 2048, diskMb: 100, ports: [443, 80] }
  const { name, options } = cloud.puts[0] as { name: string; options: { spec: unknown; uid: string; expect: string } }
  assert.deepEqual(
    [name, options.expect, options.spec],
    [
      'web',
      'absent',
      {
        groups: ['Ubuntu', 'fire:cent', 'ubuntu'].map((prefix) => ({ prefix, ...sizes })),
        lifetimeSeconds: 43_200,
        denyOutgoing: true,
        deadlineSeconds: 60,
        host: 'h1',
      },
    ],
  )
  assert.match(options.uid, /^[a-z0-9]{4,32}$/)
})

for (const [text, seconds] of [['never', null], ['0', null], ['30', 30], ['90m', 5400], ['7d', 604_800]] as const)
  test(`a life time of ${text}`, async () => {
    const { cloud } = await rehearse(`env add web -s x -l ${text} --no-wait`)
    assert.equal(specPut(cloud).lifetimeSeconds, seconds)
  })

test('what is not said is left to the server', async () => {
  const { cloud } = await rehearse('env add web -s x --no-wait')
  assert.deepEqual(specPut(cloud), { groups: [{ prefix: 'x', count: 1, cpu: undefined, memMb: undefined, diskMb: undefined }] })
})
