/** A meter and its samples, as Prometheus reads them: https://prometheus.io/docs/instrumenting/exposition_formats/ */
export interface Meter {
  /** With its unit; a counter's ends with `_total`. */
  name: string
  type: 'counter' | 'gauge'
  help: string
  samples: readonly Sample[]
}

export interface Sample {
  labels?: Readonly<Record<string, string>>
  value: number
}

/** A meter with one sample and no labels. */
export const single = (name: string, type: Meter['type'], help: string, value: number): Meter => ({ name, type, help, samples: [{ value }] })

/** A meter with a sample for each value of one label. */
export const byLabel = (about: Omit<Meter, 'samples'>, label: string, values: Iterable<readonly [string, number]>): Meter => ({ ...about, samples: [...values].map(([name, value]) => ({ labels: { [label]: name }, value })) })

/** The lines of meters, each with its end. */
export const meterText = (meters: Iterable<Meter>): string => [...meters].map(linesOf).join('')

function linesOf({ name, type, help, samples }: Meter): string {
  const lines = samples.map(({ labels = {}, value }) => {
    const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escaped(text).replaceAll('"', '\\"')}"`)
    return `${name}${pairs.length === 0 ? '' : `{${pairs.join(',')}}`} ${numberText(value)}\n`
  })
  return `# HELP ${name} ${escaped(help)}\n# TYPE ${name} ${type}\n${lines.join('')}`
}

const escaped = (text: string) => text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')

const numberText = (value: number) => (Number.isFinite(value) ? String(value) : Number.isNaN(value) ? 'NaN' : value > 0 ? '+Inf' : '-Inf')
