import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { rowsOf, withProofs } from './rows/page.ts'
import { idsIn, proofsIn } from './rows/proofs.ts'

/** A test as the last run kept it. */
interface Result {
  name: string
  file: string
  result: 'passed' | 'failed' | 'skipped'
  why?: string
}

type State = 'proven' | 'failed' | 'skipped' | 'not run' | 'not yet'

const usage = `npm run rows [-- OPTION]: what tt can do, row by row of docs/capabilities.md, and how the tests of the last run ended.
  --all     every row, not only those that are not proven
  --check   look whether the page names the proofs there are; nothing is run
  --write   write the proofs into the page
`
const page = 'docs/capabilities.md'
const lastRun = process.env['TT_TEST_RESULTS'] ?? 'test/results/last.json'

process.exitCode = main()

function main(): number {
  const { values } = parseArgs({ options: { all: { type: 'boolean' }, check: { type: 'boolean' }, write: { type: 'boolean' }, help: { type: 'boolean' } } })
  if (values.help) return say(usage, 0)
  const text = readFileSync(page, 'utf8')
  const proofs = proofsIn('.')
  const fresh = withProofs(text, proofs)
  if (values.write) {
    writeFileSync(page, fresh)
    return say(`${page}: ${rowsOf(fresh).filter(({ proof }) => !proof.startsWith('not yet')).length} of ${rowsOf(fresh).length} rows have a test\n`, 0)
  }
  if (values.check) return fresh === text ? 0 : say(`${page} does not name the tests there are: ${stale(text, fresh)}; run npm run rows -- --write, and see that no row lost its proof\n`, 1)
  return report(text, proofs, values.all ?? false)
}

function stale(text: string, fresh: string): string {
  const now = new Map(rowsOf(fresh).map(({ id, proof }) => [id, proof]))
  const lost = rowsOf(text).filter(({ id, proof }) => !proof.startsWith('not yet') && now.get(id)?.startsWith('not yet'))
  const others = rowsOf(text).filter(({ id, proof }) => now.get(id) !== proof)
  return lost.length > 0 ? `${lost.map(({ id }) => id).join(', ')} lost the last one` : others.map(({ id }) => id).join(', ')
}

function report(text: string, proofs: ReadonlyMap<string, readonly unknown[]>, all: boolean): number {
  const results = new Map<string, Result[]>()
  for (const result of existsSync(lastRun) ? (JSON.parse(readFileSync(lastRun, 'utf8')) as { tests: Result[] }).tests : []) {
    for (const id of new Set(result.name.split(' > ').flatMap(idsIn))) results.set(id, [...(results.get(id) ?? []), result])
  }
  if (!existsSync(lastRun)) say('There is no run to look at: `npm test` keeps one.\n', 0)
  const rows = rowsOf(text).map((row) => ({ ...row, ...stateOf(results.get(row.id) ?? [], proofs.has(row.id), row.proof) }))
  for (const { id, text: what, state, why } of rows) if (all || state !== 'proven') say(`${id.padEnd(8)} ${state.padEnd(8)} ${what}${why === '' ? '' : ` (${why})`}\n`, 0)
  const count = (state: State) => rows.filter((row) => row.state === state).length
  say(`${rows.length} rows: ${count('proven')} proven, ${count('failed')} failed, ${count('skipped')} skipped, ${count('not run')} not run, ${count('not yet')} not yet\n`, 0)
  return count('failed') > 0 ? 1 : 0
}

/** One failed test fails the row; one that passed on some driver proves it. */
function stateOf(results: readonly Result[], hasProof: boolean, proof: string): { state: State; why: string } {
  const failed = results.find(({ result }) => result === 'failed')
  if (failed) return { state: 'failed', why: `${failed.file}: ${failed.name}` }
  if (results.some(({ result }) => result === 'passed')) return { state: 'proven', why: '' }
  if (results.length > 0) return { state: 'skipped', why: results[0]?.why ?? 'no reason given' }
  return hasProof ? { state: 'not run', why: proof } : { state: 'not yet', why: proof.replace(/^not yet:? ?/, '') }
}

function say(text: string, status: number): number {
  process.stdout.write(text)
  return status
}
