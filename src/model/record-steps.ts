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
      const added = { longLife: false, atEnd: 'delete', keepDisks: false, deny: [], sshKeys: [], peers: [], exceptions: {}, starts: 0 }
      return { ...value, spec: { ...added, ...value['spec'] } }
    },
  },
  {
    about: 'images and VMs name all ways into their guests, and ENVs the keys that may enter them',
    change(key, value) {
      if (!isObject(value)) return value
      if (key.startsWith('desired/env/') && isObject(value['spec'])) return { ...value, spec: { sshKeys: [], ...value['spec'] } }
      if (key.startsWith('actual/vm/')) return withWays(value)
      if (key.startsWith('actual/host/') && isObject(value['images'])) {
        const images = Object.entries(value['images']).map(([name, image]) => [name, isObject(image) ? { arch: 'amd64', ...withWays(image) } : image])
        return { ...value, images: Object.fromEntries(images) }
      }
      return value
    },
  },
]

function withWays({ agent, ...rest }: Record<string, unknown>): Record<string, unknown> {
  return agent === undefined ? rest : { ...rest, ways: agent === 'none' ? [] : [agent] }
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value)
