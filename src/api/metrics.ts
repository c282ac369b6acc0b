import { meterText, single } from '../base/meters.ts'

/** What the server counts about itself, as Prometheus text. */
export interface Metrics {
  /** One answered request: its route (never a path, so that names cannot grow the table), status and time. */
  answered(route: string, status: number, ms: number): void
  text(): Promise<string>
}

/** `more` adds lines of others, such as `base/meters`. */
export function metrics(connections: () => number, more: () => string | Promise<string> = () => ''): Metrics {
  const counts = new Map<string, { labels: { route: string; status: string }; count: number; ms: number }>()
  return {
    answered(route, status, ms) {
      const key = `${route} ${status}`
      const entry = counts.get(key) ?? { labels: { route, status: String(status) }, count: 0, ms: 0 }
      counts.set(key, entry)
      entry.count++
      entry.ms += ms
    },
    async text() {
      const { user, system } = process.cpuUsage()
      const sorted = [...counts].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, entry]) => entry)
      const own = meterText([
        { name: 'tt_http_requests_total', type: 'counter', help: 'Requests answered', samples: sorted.map(({ labels, count }) => ({ labels, value: count })) },
        { name: 'tt_http_request_seconds_total', type: 'counter', help: 'Time from the head of a request to the end of its answer', samples: sorted.map(({ labels, ms }) => ({ labels, value: ms / 1000 })) },
        single('tt_http_connections', 'gauge', 'Open connections', connections()),
        single('process_resident_memory_bytes', 'gauge', 'Resident memory', process.memoryUsage.rss()),
        single('process_cpu_seconds_total', 'counter', 'User and system time', (user + system) / 1e6),
      ])
      const others = await more()
      return others === '' || others.endsWith('\n') ? own + others : `${own}${others}\n`
    },
  }
}
