import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Ground } from './bench.ts'
import type { Finding } from './finding.ts'
import { benches } from './list.ts'
import { hardware, loadNow, noisyLoad, root, versions } from './machine.ts'
import { imageSettled } from './micro-image.ts'
import { inNamespace } from './namespace.ts'
import { findingTable, legend } from './table.ts'

const usage = `npm run bench [-- OPTION...]: the numbers the project claims, each beside its peer from the same run.
JSON goes to standard output, what people read to standard error; all of it, samples included, is kept in bench/results/.
  --only NAME   this one; may be given again: ${benches.map(({ name }) => name).join(', ')}
  --quick       a quarter of the rounds: for looking whether it works, not for numbers to quote
`

process.exitCode = await main()

async function main(): Promise<number> {
  const { values, fault } = options()
  if (fault !== undefined || values.help) {
    process.stderr.write(fault === undefined ? usage : `bench: ${fault}\n\n${usage}`)
    return fault === undefined ? 0 : 2
  }
  return inNamespace(() => measure(values.only ?? [], values.quick ?? false))
}

function options() {
  const known = { only: { type: 'string', multiple: true }, quick: { type: 'boolean' }, help: { type: 'boolean' } } as const
  try {
    const { values } = parseArgs({ options: known })
    const strange = values.only?.find((name) => !benches.some((bench) => bench.name === name))
    return { values, fault: strange === undefined ? undefined : `there is no bench ${JSON.stringify(strange)}` }
  } catch (fault) {
    return { values: {}, fault: String((fault as Error).message) }
  }
}

async function measure(only: string[], quick: boolean): Promise<number> {
  const interrupted = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => interrupted.abort(new Error('the run was interrupted')))
  const dir = mkdtempSync(join(tmpdir(), 'tt-bench-'))
  chmodSync(dir, 0o755) // Guests run as users of their own and pass through it.
  const at = new Date().toISOString()
  const before = loadNow()
  tell(`load average ${before.toFixed(2)} before the run${before > noisyLoad ? ': NOISY, others work on this machine; do not quote these numbers' : ''}`)
  const found: (Finding & { bench: string; load: number })[] = []
  const failures: { bench: string; why: string }[] = []
  try {
    await imageSettled()
    for (const bench of benches.filter(({ name }) => only.length === 0 || only.includes(name))) {
      if (interrupted.signal.aborted) break
      tell(`${bench.name}: ${bench.about}`)
      const ground: Ground = { dir, quick, signal: interrupted.signal, say: (text) => tell(`  ${text}`) }
      try {
        const findings = await bench.run(ground)
        const load = loadNow()
        found.push(...findings.map((finding) => ({ bench: bench.name, ...finding, load })))
      } catch (fault) {
        failures.push({ bench: bench.name, why: fault instanceof Error ? fault.message : String(fault) })
        tell(`  failed: ${fault instanceof Error ? fault.stack : String(fault)}`)
      }
    }
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
  const after = loadNow()
  const noisy = Math.max(before, after) > noisyLoad
  const report = { format: 1, at, quick, load: { before, after, noisy }, machine: hardware(), versions: versions(), findings: found, failures }
  const kept = keep(report, at)
  process.stdout.write(`${JSON.stringify(report, (key, value: unknown) => (key === 'samples' ? undefined : value), 2)}\n`)
  if (found.length > 0) tell(`\n${findingTable(found)}\n\n${legend(found)}`)
  tell(`\nload average ${before.toFixed(2)} before, ${after.toFixed(2)} after${noisy ? ': NOISY, others worked on this machine; do not quote these numbers' : ''}\nkept in ${kept}`)
  for (const { bench, why } of failures) tell(`${bench} FAILED: ${why}`)
  return failures.length > 0 || interrupted.signal.aborted ? 1 : 0
}

function keep(report: object, at: string): string {
  const results = join(root, 'bench/results')
  mkdirSync(results, { recursive: true })
  const file = join(results, `${at.replaceAll(/[:.]/g, '-')}.json`)
  writeFileSync(file, `${JSON.stringify(report)}\n`)
  return file
}

function tell(text: string): void {
  process.stderr.write(`${text}\n`)
}
