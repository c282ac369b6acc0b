import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { type CoprocessOptions, coprocess } from './coprocess.ts'
import { realWorld } from './world.ts'

/** A program that says nothing of good lines, complains of bad ones, and can be told to misbehave. */
const program = `
  let number = 0
  const write = (text) => { for (let done = 0; done < text.length; ) done += require('node:fs').writeSync(2, text.slice(done)) }
  const pause = () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2)
  require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => {
    number++
    const [word, ...rest] = line.split(' ')
    if (word === 'good') return
    if (word === 'say') return write(rest.join(' ') + '\\n')
    if (word === 'long') return write('x'.repeat(Number(rest[0])) + '\\n')
    if (word === 'die') { write('oh no\\n'); process.exit(3) }
    if (word === 'hang') for (;;);
    if (word === 'pid') return write(process.pid + '\\n')
    write('unknown '); pause(); write(line + '\\n  at ' + number); pause(); write('\\n')
  })`
const options: CoprocessOptions = {
  argv: [process.execPath, '-e', program],
  world: realWorld,
  complaint: (marker) => new RegExp(`^unknown ${marker}\\n  at \\d+\\n`, 'm'),
}
const pidOf = async (co: { send(lines: string[]): Promise<void> }) => {
  const answer = await co.send(['pid']).then(String, (fault: Error) => fault.message)
  return Number(answer)
}

test('lines without a complaint resolve, and lines with one reject with it and nothing else', async () => {
  await using co = coprocess(options)
  await co.send(['good', 'good'])
  await assert.rejects(co.send(['good', 'say too bad', 'good']), { message: 'too bad\n' })
  await co.send(['good'])
  await assert.rejects(co.send(['nonsense']), { message: 'unknown nonsense\n  at 10\n' })
  await co.send([])
})

test('calls made at once are answered each for itself', async () => {
  await using co = coprocess(options)
  const answers = await Promise.allSettled(Array.from({ length: 50 }, (_, at) => co.send(at % 5 === 0 ? [`say fault ${at}`] : ['good'])))
  answers.forEach((answer, at) => {
    assert.equal(answer.status, at % 5 === 0 ? 'rejected' : 'fulfilled')
    if (answer.status === 'rejected') assert.equal((answer.reason as Error).message, `fault ${at}\n`)
  })
})

test('the line of a number is told to what explains the words', async () => {
  await using co = coprocess({ ...options, explain: (words, line) => `${line(Number(/at (\d+)/.exec(words)?.[1]))} is wrong` })
  await co.send(['good', 'good'])
  await assert.rejects(co.send(['good', 'odd', 'good']), { message: 'odd is wrong' })
})

test('of endless words the beginning is kept', async () => {
  await using co = coprocess(options)
  await assert.rejects(co.send(['long 3000000', 'say end']), (fault: Error) => /^x+$/.test(fault.message) && fault.message.length === 16_384)
  await co.send(['good'])
})

test('a program that dies rejects with its last words, and the next call starts it anew', async () => {
  await using co = coprocess(options)
  const first = await pidOf(co)
  await assert.rejects(co.send(['good', 'die', 'good']), /ended with 3: oh no/)
  const second = await pidOf(co)
  assert.ok(first > 0 && second > 0 && first !== second)
  process.kill(second, 'SIGKILL')
  await realWorld.sleep(50)
  await co.send(['good'])
})

test('a program that does not answer is killed', async () => {
  await using co = coprocess({ ...options, timeoutMs: 300 })
  await assert.rejects(co.send(['hang']), /did not answer within 300 ms/)
  await co.send(['good'])
})

test('a program that is not there is an error, not an end', async () => {
  await using co = coprocess({ ...options, argv: ['/nonexistent/program'] })
  await assert.rejects(co.send(['good']), /ENOENT/)
  await assert.rejects(co.send(['good']), /ENOENT/)
})

test('a command with the end of a line in it is refused', async () => {
  await using co = coprocess(options)
  await assert.rejects(co.send(['good\nsay smuggled']), /contains the end of a line/)
})

test('it is started anew after so many bytes', async () => {
  await using co = coprocess({ ...options, recycleBytes: 1000 })
  const first = await pidOf(co)
  assert.equal(await pidOf(co), first)
  await co.send([`good ${'x'.repeat(1000)}`])
  assert.notEqual(await pidOf(co), first)
})

test('disposing ends the program, after the calls that came before', async () => {
  const co = coprocess(options)
  const pid = await pidOf(co)
  const last = co.send(['say last'])
  const disposed = co[Symbol.asyncDispose]()
  await assert.rejects(last, { message: 'last\n' })
  await disposed
  assert.throws(() => readFileSync(`/proc/${pid}/status`), /ENOENT|ESRCH/)
  await assert.rejects(co.send(['good']), /was stopped/)
})
