import assert from 'node:assert/strict'
import { test } from 'node:test'
import { lineProgram } from './line-program.ts'

test('lines come as they are said, and the end says how it came', async () => {
  const lines: string[] = []
  const why = await lineProgram(['sh', '-c', 'echo one; echo two; echo because >&2; exit 3'], { onLine: (line) => lines.push(line), signal: new AbortController().signal })
  assert.deepEqual([lines, why], [['one', 'two'], '3: because'])
})

test('the signal ends it, and a program that is not there says so', async () => {
  const stop = new AbortController()
  const ended = lineProgram(['sh', '-c', 'echo here; exec sleep 60'], { onLine: () => stop.abort(), signal: stop.signal })
  assert.equal(await ended, 'SIGKILL')
  assert.match(await lineProgram(['no-such-program'], { onLine: () => undefined, signal: new AbortController().signal }), /ENOENT/)
})
