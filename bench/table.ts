import type { Finding, Measured } from './finding.ts'

/** What was found, for people: one line for a number, ours and its peer side by side, then what it is judged by. */
export function findingTable(findings: readonly Finding[]): string {
  const heads = ['number', 'is', '95 %', 'step', 'goal', 'verdict', 'ours: median (p10 to p90)', 'peer: median (p10 to p90)', 'n']
  const rows = findings.map((finding) => [
    finding.name,
    text(finding.value, finding.unit),
    `${text(finding.low, finding.unit)} to ${text(finding.high, finding.unit)}`,
    bound(finding, finding.step),
    bound(finding, finding.goal),
    finding.verdict,
    side(finding.ours),
    finding.peer ? side(finding.peer) : 'none',
    String(finding.ours.n),
  ])
  const widths = heads.map((_, column) => Math.max(...[heads, ...rows].map((row) => row[column]?.length ?? 0)))
  return [heads, ...rows].map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ').trimEnd()).join('\n')
}

/** What each of them is, which has no room in the table. */
export const legend = (findings: readonly Finding[]): string =>
  findings.map(({ name, ours, peer }) => `${name}: ${described(ours)}${peer ? `; peer: ${described(peer)}` : ''}`).join('\n')

const described = ({ what, parts, unit }: Measured) => (parts ? `${what} (${Object.entries(parts).map(([part, value]) => `${part} ${text(value, unit)}`).join(', ')})` : what)

const side = ({ median, p10, p90, unit }: Measured) => `${text(median, unit)} (${digits(p10)} to ${digits(p90)})`

const bound = ({ better, unit }: Finding, value: number | undefined) => (value === undefined ? '' : `${better === 'less' ? '<=' : '>='} ${text(value, unit)}`)

const text = (value: number, unit: Finding['unit']) => `${digits(value)}${unit === 'x' || unit === '%' ? unit : ` ${unit}`}`

/** Three digits that mean something. */
const digits = (value: number) => (value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2)).replace(/\.0+$/, '')
