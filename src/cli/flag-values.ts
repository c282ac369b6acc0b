import type { Flag, Given } from '../base/arguments.ts'
import { fail } from '../model/errors.ts'
import { shown } from '../model/names.ts'

/** A number as written by people who mean one: digits and nothing else. */
export function wholeNumber(flag: string, text: string): number {
  return /^(0|[1-9]\d{0,14})$/.test(text) ? Number(text) : fail('invalid', `${flag} is ${shown(text)}, allowed is a whole number`)
}

/** The number of a flag, if it is given. */
export function numberOf(given: Given, flag: string): number | undefined {
  const text = given.one(flag)
  return text === undefined ? undefined : wholeNumber(`--${flag}`, text)
}

/** The parts of a list, each once; one that is empty is refused. */
export function partsOf(given: Given, flag: string, what: string): string[] {
  const parts = [...new Set(given.all(flag))]
  if (parts.includes('')) fail('invalid', `--${flag} is "", allowed is ${what}`)
  return parts
}

/** Seconds, or with a unit: `90`, `90m`, `12h`, `7d`; undefined for anything else. */
export function secondsOf(text: string): number | undefined {
  const [, digits, unit = 's'] = /^(\d{1,10})([smhd])?$/.exec(text) ?? []
  return digits === undefined ? undefined : Number(digits) * ({ s: 1, m: 60, h: 3600, d: 86_400 }[unit] ?? 1)
}

/** A span of time as a flag has it; some take parts of seconds. */
export function spanMs(flag: string, text: string): number {
  const seconds = /^\d{1,7}\.\d{1,3}$/.test(text) ? Number(text) : secondsOf(text)
  if (seconds === undefined || seconds <= 0 || seconds > 2_147_483) fail('invalid', `${flag} is ${shown(text)}, allowed is a number of seconds, such as 30, or 5m, 2h`)
  return Math.ceil(seconds * 1000)
}

/** Whether a command waits, and how long. */
export const waitFlags = (until: string): readonly Flag[] => [
  { long: 'wait', about: `Wait until ${until}; it does so anyway` },
  { long: 'no-wait', about: 'Do not wait' },
  { long: 'time-out', short: 't', also: ['timeout'], value: 'SECONDS', about: 'Wait no longer than this; what was asked for goes on', default: 'none' },
]

export interface Patience {
  wait: boolean
  /** Wait no longer. */
  limitMs?: number
}

/** What the flags say about waiting. */
export function patienceOf(given: Given): Patience {
  if (given.has('wait') && given.has('no-wait')) fail('invalid', 'either --wait or --no-wait')
  const text = given.one('time-out')
  return { wait: !given.has('no-wait'), ...(text === undefined ? {} : { limitMs: spanMs('--time-out', text) }) }
}
