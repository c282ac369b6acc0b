import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** A test whose title names a row or a fault: `B09: …`, `[E06 E08] …`, `fault 7: …`. */
export interface Proof {
  file: string
  title: string
}

const folders = ['src', 'test', 'launch', 'script']
const title = /\b(?:test|it|describe)(?:\.\w+)?\(\s*(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"|`((?:[^`\\]|\\.)*)`)/g
const rowId = /\b([A-P]\d{2})\b/g
const fault = /\bfaults? (\d{1,2}(?:(?:, | and )\d{1,2})*)/g

/** Every id that a title speaks of: rows as `A01`, faults as `fault 7`. An id counts before a colon, or within brackets. */
export function idsIn(text: string): string[] {
  const marked = [...text.matchAll(/\[([^\]]*)\]/g)].map(([, inside = '']) => inside)
  const colon = text.indexOf(':')
  if (colon > 0) marked.push(text.slice(0, colon))
  return marked.flatMap((part) => [...[...part.matchAll(rowId)].map(([, id = '']) => id), ...[...part.matchAll(fault)].flatMap(([, numbers = '']) => (numbers.match(/\d+/g) ?? []).map((number) => `fault ${number}`))])
}

/** Proofs by id, in the order of files and lines. */
export function proofsIn(root: string): Map<string, Proof[]> {
  const proofs = new Map<string, Proof[]>()
  for (const file of testFiles(root)) {
    for (const [, single, double, template] of readFileSync(join(root, file), 'utf8').matchAll(title)) {
      const text = (single ?? double ?? template ?? '').replaceAll(/\\(.)/g, '$1')
      for (const id of new Set(idsIn(text))) proofs.set(id, [...(proofs.get(id) ?? []), { file, title: text }])
    }
  }
  return proofs
}

const testFiles = (root: string): string[] =>
  folders.flatMap((folder) => names(join(root, folder)).filter((name) => /\.(test|contract)\.ts$/.test(name)).map((name) => join(folder, name))).sort((a, b) => (a < b ? -1 : 1))

function names(dir: string): string[] {
  try {
    return readdirSync(dir, { recursive: true, encoding: 'utf8' })
  } catch {
    return []
  }
}
