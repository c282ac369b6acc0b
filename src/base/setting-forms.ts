import { type Endpoint, endpointText, parseEndpoint } from './endpoint.ts'
import type { Form } from './settings.ts'

/** Any text of at most `max` characters, not empty. */
export function text(expects: string, max = 4096): Form<string> {
  const fromText = (value: string) => (value !== '' && value.length <= max && !value.includes('\0') ? value : undefined)
  return { expects, fromText, fromJson: (value) => (typeof value === 'string' ? fromText(value) : undefined), toText: (value) => value }
}

/** A whole number within bounds; its text is digits and nothing else. */
export function whole(from: number, to: number, unit = ''): Form<number> {
  const within = (value: unknown) => (typeof value === 'number' && Number.isInteger(value) && value >= from && value <= to ? value : undefined)
  return {
    expects: `a whole number from ${from} to ${to}${unit === '' ? '' : ` ${unit}`}`,
    fromText: (value) => (/^(0|-?[1-9]\d*)$/.test(value) ? within(Number(value)) : undefined),
    fromJson: within,
    toText: String,
  }
}

/** One of some words. */
export function oneOf<T extends string>(...words: readonly [T, ...T[]]): Form<T> {
  const among = (value: unknown) => words.find((word) => word === value)
  return { expects: words.length === 1 ? words[0] : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`, fromText: among, fromJson: among, toText: (value) => value }
}

/** Yes or no: `yes`, `no`, `true`, `false`, `1`, `0`; a switch that is given means yes. */
export function yesNo(): Form<boolean> {
  const words: Record<string, boolean> = { '': true, yes: true, true: true, 1: true, no: false, false: false, 0: false }
  return {
    expects: 'yes or no',
    fromText: (value) => (Object.hasOwn(words, value) ? words[value] : undefined),
    fromJson: (value) => (typeof value === 'boolean' ? value : undefined),
    toText: (value) => (value ? 'yes' : 'no'),
    optional: true,
  }
}

/** Several of one form, as an array in JSON and joined by commas in text. */
export function listOf<T>(one: Form<T>): Form<T[]> {
  const all = <V>(values: V[], read: (value: V) => T | undefined) => {
    const found = values.map(read)
    return found.includes(undefined) ? undefined : (found as T[])
  }
  return {
    expects: `a list, each ${one.expects}`,
    fromText: (value) => all(value.split(','), (part) => one.fromText(part)),
    fromJson: (value) => (Array.isArray(value) ? all(value, (part) => one.fromJson(part)) : undefined),
    toText: (values) => values.map((value) => one.toText(value)).join(','),
  }
}

/** `HOST:PORT`, with a port that may be left out. */
export function endpoint(defaultPort: number): Form<Endpoint> {
  const fromText = (value: string) => parseEndpoint(value, defaultPort)
  return { expects: 'HOST or HOST:PORT, an IPv6 address in brackets, with https:// before it for TLS', fromText, fromJson: (value) => (typeof value === 'string' ? fromText(value) : undefined), toText: endpointText }
}
