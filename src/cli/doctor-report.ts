import type { Finding, Leak } from '../model/session.ts'
import type { Screen } from './terminal.ts'
import { type Colour, counted, painted, visible } from './text.ts'

/** What a doctor said, host by host. */
export interface Diagnosis {
  findings: (Finding & { host: string })[]
  leaks: (Leak & { host: string; fixed?: boolean })[]
}

/** The exit status of a doctor who found something that is bad and is not mended. */
export const foundStatus = 3

/** What is bad and stays so. */
export const badIn = ({ findings, leaks }: Diagnosis): number => findings.filter(({ state, fixed }) => state === 'bad' && !fixed).length + leaks.filter(({ fixed }) => !fixed).length

const colours: Record<string, Colour> = { good: 'green', poor: 'yellow', bad: 'red', left: 'red', fixed: 'green' }

/** The diagnosis for people: a line for each thing, and under it what can be done. */
export function diagnosisText({ findings, leaks }: Diagnosis, screen?: Screen): string {
  const lines = [
    ...findings.map(({ host, check, state, message, remedy, fixed }) => ({ host, word: fixed ? 'fixed' : state, about: check, text: message, remedy: fixed || state === 'good' ? undefined : remedy })),
    ...leaks.map(({ host, kind, subject, why, fixed }) => ({ host, word: fixed ? 'fixed' : 'left', about: kind, text: `${subject}: ${why}`, remedy: undefined })),
  ]
  const width = Math.max(0, ...lines.map(({ about }) => visible(about).length))
  const lineOf = ({ word, about, text, remedy }: (typeof lines)[number]) => {
    const line = `  ${painted(word.padEnd(5), colours[word], screen)}  ${visible(about).padEnd(width)}  ${visible(text)}`
    return remedy === undefined ? line : `${line}\n${' '.repeat(11 + width)}${painted(visible(remedy), 'dim', screen)}`
  }
  return [...Map.groupBy(lines, ({ host }) => host)].map(([host, own]) => [painted(visible(host), 'bold', screen), ...own.map(lineOf)].join('\n')).join('\n\n')
}

/** One line: how it stands as a whole. */
export function verdictText(diagnosis: Diagnosis): string {
  const { findings, leaks } = diagnosis
  const left = leaks.filter(({ fixed }) => !fixed).length
  const bad = badIn(diagnosis) - left
  const poor = findings.filter(({ state, fixed }) => state === 'poor' && !fixed).length
  const fixed = [...findings, ...leaks].filter((one) => one.fixed).length
  const parts = [bad > 0 ? `${counted(bad, 'thing')} bad` : '', left > 0 ? `${counted(left, 'thing')} left behind` : '', poor > 0 ? `${poor} could be better` : '', fixed > 0 ? `${fixed} mended` : ''].filter((part) => part !== '')
  return parts.length === 0 ? 'all is well' : parts.join(', ')
}
