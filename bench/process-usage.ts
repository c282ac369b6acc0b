import { readdirSync, readFileSync } from 'node:fs'

/** Memory of a process: resident, and its share of what it has together with others. */
export interface Memory {
  rssMb: number
  pssMb: number
}

export function memoryOf(pid: number): Memory {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')
  const field = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? 0) / 1024
  return { rssMb: field('Rss'), pssMb: field('Pss') }
}

/** Processes started by this one, and by those, and so on. */
export function offspringOf(pid: number): number[] {
  const parents = new Map<number, number>()
  for (const name of readdirSync('/proc')) {
    const fields = /^\d+$/.test(name) ? fieldsOf(Number(name)) : undefined
    if (fields) parents.set(Number(name), Number(fields[1]))
  }
  const childrenOf = (parent: number): number[] => [...parents].flatMap(([child, its]) => (its === parent ? [child, ...childrenOf(child)] : []))
  return childrenOf(pid)
}

/** Processor time it has used so far, in milliseconds, in user and kernel mode. */
export function cpuMsOf(pid: number): number {
  const fields = fieldsOf(pid)
  // Fields 14 and 15 of proc(5) in ticks of 10 ms: USER_HZ is 100 on every architecture Node runs on.
  return fields ? (Number(fields[11]) + Number(fields[12])) * 10 : 0
}

/** Of `/proc/PID/stat`, from the state on. */
function fieldsOf(pid: number): string[] | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  } catch {
    return undefined
  }
}
