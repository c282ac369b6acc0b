import { mkdirSync, writeFileSync } from 'node:fs'
import { availableParallelism, loadavg, release, totalmem } from 'node:os'
import { dirname, relative } from 'node:path'
import { inspect } from 'node:util'
import type { TestEvent } from 'node:test/reporters'

/** What a test reported, whether it passed or not. Node's types do not know `entryFile`, the file Node was asked to run. */
type Completed = Extract<TestEvent, { type: 'test:complete' }>['data'] & { entryFile?: string }
type Failure = Error & { failureType?: string; exitCode?: number | null; signal?: string | null }

interface Result {
  name: string
  file: string
  ms: number
  result: 'passed' | 'failed' | 'skipped'
  why?: string
}

/** One test file: its tests by the numbers Node gives them, those that run now, and the end of what it printed. */
interface File {
  names: Map<number, { name: string; parent: number | undefined }>
  running: Set<number>
  results: Result[]
  printed: string
  notes: string[]
}

const printedLimit = 32_768

/**
 * Prints a line per test file, failures in full at once, and in the end every skipped test with its reason and a line
 * `N passed, N failed, N skipped`. A run without tests, a file without tests and a run that exceeds TT_TEST_SECONDS fail.
 * With TT_TEST_RESULTS all results are also written to that file as JSON.
 */
// oxlint-disable-next-line import/no-default-export -- Node takes a reporter only so
export default async function* reporter(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const files = new Map<string, File>()
  const began = performance.now()
  const limitSeconds = Number(process.env.TT_TEST_SECONDS ?? 0)
  const partial = process.execArgv.some((argument) => argument.startsWith('--test-name-pattern'))
  let interrupted = false

  for await (const event of bounded(source, limitSeconds)) {
    if (event === 'limit' || event.type === 'test:interrupted') {
      if (interrupted) continue
      interrupted = true
      const why = event === 'limit' ? `still running when the ${limitSeconds} s of a whole run were over` : 'still running when the run was interrupted'
      for (const [path, file] of files) for (const id of innermost(file)) yield failed(file, { name: fullName(file, id), file: path, ms: 0, result: 'failed', why }, '')
      yield closing(files, began)
      keep(files, began)
      // Node ends its test processes when it is told to end itself.
      if (event === 'limit') process.kill(process.pid, 'SIGTERM')
      continue
    }
    if (interrupted || event.type === 'test:summary' || event.data === undefined || !('file' in event.data)) continue

    const path = relative(process.cwd(), (event.data as { entryFile?: string }).entryFile ?? event.data.file ?? '')
    const isFile = !('entryFile' in event.data)
    let file = files.get(path)
    if (file === undefined) files.set(path, (file = { names: new Map(), running: new Set(), results: [], printed: '', notes: [] }))

    if (event.type === 'test:stdout' || event.type === 'test:stderr') file.printed = (file.printed + event.data.message).slice(-printedLimit)
    else if (event.type === 'test:diagnostic') file.notes.push(event.data.message)
    else if (event.type === 'test:dequeue' && !isFile) {
      file.names.set(event.data.testId, { name: event.data.name, parent: event.data.parentId })
      file.running.add(event.data.testId)
    } else if (event.type === 'test:complete' && isFile) yield fileEnded(path, file, event.data, partial)
    else if (event.type === 'test:complete') {
      file.running.delete(event.data.testId)
      const result = resultOf(path, file, event.data)
      if (result?.result === 'failed') yield failed(file, result, errorText(event.data.details.error))
      else if (result !== undefined) file.results.push(result)
    }
  }

  if (interrupted) return
  yield closing(files, began)
  keep(files, began)
  // Node itself fails when a test does; that nothing ran at all is for it no failure.
  const all = results(files)
  if (all.some((one) => one.result === 'failed') || !all.some((one) => one.result === 'passed')) process.exitCode = 1
}

/** The events, with `limit` among them when the time is over. */
async function* bounded(source: AsyncIterable<TestEvent>, seconds: number): AsyncGenerator<TestEvent | 'limit'> {
  const events = source[Symbol.asyncIterator]()
  const { promise: limit, resolve } = Promise.withResolvers<'limit'>()
  const timer = seconds > 0 ? setTimeout(() => resolve('limit'), seconds * 1000) : undefined
  let next = events.next()
  for (let over = false; ; ) {
    const first = over ? await next : await Promise.race([next, limit])
    if (first === 'limit') {
      over = true
      yield first
    } else if (first.done) break
    else {
      next = events.next()
      yield first.value
    }
  }
  clearTimeout(timer)
}

/** What a completed test means; nothing for a group, whose tests speak for it, unless it failed or was skipped by itself. */
function resultOf(path: string, file: File, test: Completed): Result | undefined {
  const { error, duration_ms: ms, type } = test.details
  const base = { name: fullName(file, test.testId), file: path, ms: Math.round(ms) }
  if (test.todo !== undefined && test.todo !== false) return { ...base, result: 'skipped', why: reason('to do', test.todo) }
  if (test.skip !== undefined && test.skip !== false) return { ...base, result: 'skipped', why: reason('no reason given', test.skip) }
  if (error !== undefined) return (error as Failure).failureType === 'subtestsFailed' ? undefined : { ...base, result: 'failed' }
  return type === 'suite' ? undefined : { ...base, result: 'passed' }
}

function reason(otherwise: string, given: string | boolean): string {
  return typeof given === 'string' && given !== '' ? given : otherwise
}

/** Of the tests that run now, those that wait for no test inside them. */
function innermost(file: File): number[] {
  const parents = new Set([...file.running].map((id) => file.names.get(id)?.parent))
  return [...file.running].filter((id) => !parents.has(id))
}

function fullName(file: File, id: number): string {
  const entry = file.names.get(id)
  if (entry === undefined) return ''
  const parent = entry.parent === undefined ? '' : fullName(file, entry.parent)
  return parent === '' ? entry.name : `${parent} > ${entry.name}`
}

function fileEnded(path: string, file: File, test: Completed, partial: boolean): string {
  const error = test.details.error as Failure | undefined
  const ms = Math.round(test.details.duration_ms)
  let text = ''
  if (error !== undefined && error.failureType !== 'subtestsFailed') {
    const end = error.signal ? `was ended by ${error.signal}` : `ended with exit status ${error.exitCode}`
    const during = innermost(file)
      .map((id) => fullName(file, id))
      .join(', ')
    const why = `the file ${end}${during === '' ? '' : ` during: ${during}`}`
    text += failed(file, { name: '', file: path, ms, result: 'failed', why }, '')
  } else if (file.results.length === 0 && !partial) {
    text += failed(file, { name: '', file: path, ms, result: 'failed', why: 'the file has no tests' }, '')
  }
  file.running.clear()

  const count = (result: Result['result']): number => file.results.filter((one) => one.result === result).length
  const parts = [`${count('passed')} passed`]
  if (count('failed') > 0) parts.push(`${count('failed')} FAILED`)
  if (count('skipped') > 0) parts.push(`${count('skipped')} skipped`)
  text += `${count('failed') > 0 ? 'FAIL' : 'ok  '} ${path.padEnd(52)} ${(ms / 1000).toFixed(1).padStart(6)} s  ${parts.join(', ')}\n`
  for (const note of file.notes) text += `       ${note}\n`
  return text
}

/** Keeps the failure, and says all that is known of it. */
function failed(file: File, result: Result, error: string): string {
  file.results.push({ ...result, why: result.why ?? error.split('\n', 1)[0] ?? '' })
  let text = `\nFAIL ${result.file}${result.name === '' ? '' : `: ${result.name}`}\n`
  if (result.why !== undefined) text += indent(result.why)
  if (error !== '') text += indent(error)
  if (file.printed.trim() !== '') text += `  the file printed${file.printed.length === printedLimit ? ', at its end' : ''}:\n${indent(file.printed.trimEnd())}`
  file.printed = ''
  return `${text}\n`
}

function errorText(error: Error | undefined): string {
  return inspect(error?.cause ?? error, { depth: 6 })
}

function indent(text: string): string {
  return `${text.replace(/^/gm, '    ')}\n`
}

function results(files: Map<string, File>): Result[] {
  return [...files.values()].flatMap((file) => file.results)
}

function tally(files: Map<string, File>): Record<Result['result'], number> {
  const counts = { passed: 0, failed: 0, skipped: 0 }
  for (const { result } of results(files)) counts[result]++
  return counts
}

function closing(files: Map<string, File>, began: number): string {
  const { passed, failed, skipped } = tally(files)
  const of = (wanted: Result['result']) =>
    results(files)
      .filter(({ result }) => result === wanted)
      .map(({ name, file, why }) => `  ${file}${name === '' ? '' : `: ${name}`}\n      ${why?.replaceAll('\n', '\n      ')}\n`)
      .join('')
  let text = `\n${files.size} files, ${((performance.now() - began) / 1000).toFixed(1)} s\n`
  if (skipped > 0) text += `\nSkipped, and why:\n${of('skipped')}`
  if (failed > 0) text += `\nFailed (in full above):\n${of('failed')}`
  if (passed + failed === 0) text += '\nNo test ran, which is a failure.\n'
  return `${text}\n${passed} passed, ${failed} failed, ${skipped} skipped\n`
}

/** Writes the results where a soak run keeps them, with what is needed to compare them with another machine's. */
function keep(files: Map<string, File>, began: number): void {
  const path = process.env.TT_TEST_RESULTS
  if (path === undefined || path === '') return
  const machine = { cpus: availableParallelism(), memoryBytes: totalmem(), kernel: release(), node: process.version, load: loadavg() }
  const seconds = Math.round((performance.now() - began) / 100) / 10
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, `${JSON.stringify({ at: new Date().toISOString(), seconds, machine, ...tally(files), tests: results(files) }, null, 1)}\n`)
}
