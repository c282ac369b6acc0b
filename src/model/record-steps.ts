/**
 * How the records of one version become those of the next. Only ever appended to: a step says what was true when it was written, so it names keys and
 * fields itself and uses nothing that changes with the program.
 */
export interface RecordStep {
  /** For the log. */
  about: string
  /** The record as the next version has it, the same value if it stays; null takes it away. What it does not understand stays. Pure. */
  change(key: string, value: unknown): unknown
}

export const recordSteps: readonly RecordStep[] = [
  {
    about: 'ENVs say whom they may talk with, what becomes of them at their end, and what is different for single VMs',
    change(key, value) {
      if (!key.startsWith('desired/env/') || !isObject(value) || !isObject(value['spec'])) return value
      const added = { longLife: false, atEnd: 'delete', keepDisks: false, deny: [], peers: [], exceptions: {}, starts: 0 }
      return { ...value, spec: { ...added, ...value['spec'] } }
    },
  },
]

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value)
