/** What the server counts about itself, as Prometheus text. */
export interface Metrics {
  /** One answered request: its route (never a path, so that names cannot grow the table), status and time. */
  answered(route: string, status: number, ms: number): void
  text(): string
}

/** `more` adds lines of others, such as `base/meters`. */
export function metrics(connections: () => number, more: () => string = () => ''): Metrics {
  const counts = new Map<string, { count: number; ms: number }>()
  return {
    answered(route, status, ms) {
      const labels = `route="${route}",status="${status}"`
      const entry = counts.get(labels) ?? { count: 0, ms: 0 }
      counts.set(labels, entry)
      entry.count++
      entry.ms += ms
    },
    text() {
      const { user, system } = process.cpuUsage()
      const sorted = [...counts].sort(([a], [b]) => (a < b ? -1 : 1))
      return [
        ...family('tt_http_requests_total', 'counter', 'Requests answered', sorted.map(([labels, { count }]) => `{${labels}} ${count}`)),
        ...family('tt_http_request_seconds_total', 'counter', 'Time from the head of a request to the end of its answer', sorted.map(([labels, { ms }]) => `{${labels}} ${(ms / 1000).toFixed(6)}`)),
        ...family('tt_http_connections', 'gauge', 'Open connections', [` ${connections()}`]),
        ...family('process_resident_memory_bytes', 'gauge', 'Resident memory', [` ${process.memoryUsage.rss()}`]),
        ...family('process_cpu_seconds_total', 'counter', 'User and system time', [` ${((user + system) / 1e6).toFixed(3)}`]),
        more(),
      ].join('\n')
    },
  }
}

const family = (name: string, type: 'counter' | 'gauge', help: string, samples: string[]) => [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...samples.map((sample) => `${name}${sample}`)]
