import { duration } from '../model/units.ts'

/** `300 ms`, `5 min`: a limit that somebody chose. */
export const limitText = (ms: number): string => (ms < 1000 ? `${Math.ceil(ms)} ms` : duration(ms / 1000))

/** `5 min ago`. */
export function ago(iso: string, nowMs: number): string {
  const seconds = (nowMs - Date.parse(iso)) / 1000
  return seconds < 1 ? 'now' : `${duration(seconds)} ago`
}

/** `in 55 min`, `never`, or `now` for what is over. */
export function until(iso: string | undefined, nowMs: number): string {
  if (iso === undefined) return 'never'
  const seconds = (Date.parse(iso) - nowMs) / 1000
  return seconds < 1 ? 'now' : `in ${duration(seconds)}`
}
