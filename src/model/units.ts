/** `1536` MB as `1.5 GB`: sizes as people read them; 1 GB is 1,024 MB here as everywhere in `tt`. */
export function megabytes(mb: number): string {
  if (mb < 1024) return `${mb} MB`
  const gb = mb / 1024
  if (gb < 1024) return `${trim(gb)} GB`
  return `${trim(gb / 1024)} TB`
}

/** `3725` seconds as `1 h 2 min`: at most two units, rounded down. */
export function duration(seconds: number): string {
  if (seconds < 60) return `${Math.floor(seconds)} s`
  if (seconds < 3600) return pair(seconds, 60, 'min', 1, 's')
  if (seconds < 86_400) return pair(seconds, 3600, 'h', 60, 'min')
  return pair(seconds, 86_400, 'd', 3600, 'h')
}

/** `3 VMs`, `1 VM`. */
export const counted = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`

const pair = (seconds: number, big: number, bigName: string, small: number, smallName: string) => {
  const rest = Math.floor((seconds % big) / small)
  return `${Math.floor(seconds / big)} ${bigName}${rest > 0 ? ` ${rest} ${smallName}` : ''}`
}

const trim = (value: number) => value.toFixed(1).replace(/\.0$/, '')
