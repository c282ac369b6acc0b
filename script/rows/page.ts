import type { Proof } from './proofs.ts'

/** A line of a table of docs/capabilities.md: an id, what `tt` does, and what proves it. */
export interface Row {
  id: string
  text: string
  proof: string
}

const line = /^\| (?<id>[A-P]\d{2}|fault \d{1,2}) \| (?<text>.*?) \| (?<proof>.*?) \|$/

const rowOf = (text: string): Row | undefined => line.exec(text)?.groups as Row | undefined

/** The rows of the page, in its order. */
export const rowsOf = (page: string): Row[] => page.split('\n').flatMap((text) => rowOf(text) ?? [])

/** The page with each row's proof as the tests say; a row without one keeps its reason, which begins with "not yet". */
export const withProofs = (page: string, proofs: ReadonlyMap<string, readonly Proof[]>): string =>
  page
    .split('\n')
    .map((text) => {
      const row = rowOf(text)
      return row ? `| ${row.id} | ${row.text} | ${proofText(proofs.get(row.id) ?? [], row.proof)} |` : text
    })
    .join('\n')

/** Proofs of a row that the page names; more are counted. */
const named = 3

function proofText(proofs: readonly Proof[], before: string): string {
  if (proofs.length === 0) return before.startsWith('not yet') ? before : 'not yet'
  const files = [...new Set(proofs.map(({ file }) => file))]
  const shown = files.slice(0, named).map((file) => `[${file.replace(/^.*\//, '')}](../${file})`)
  return `${shown.join(', ')}${files.length > named ? ` and ${files.length - named} more` : ''}`
}
