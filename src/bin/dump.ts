import { existsSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { getHeapStatistics } from 'node:v8'
import { writeWhole } from '../base/files.ts'
import { inspected } from '../base/inspect.ts'
import { settingRows } from '../base/settings.ts'
import type { World } from '../base/world.ts'
import { serverSchema, type ServerSettings } from './server-settings.ts'
import { version } from './version.ts'

/** Everything that says what this process is doing, for whoever looks into a server that does not do what it should. No secrets: settings that are some are shown as set, the environment not at all. */
export function stateDump(settings: ServerSettings, world: World): object {
  return {
    at: new Date(world.now()).toISOString(),
    version,
    node: process.version,
    pid: process.pid,
    uptimeSeconds: Math.round(world.ticks() / 1000),
    settings: Object.fromEntries(settingRows(serverSchema, settings.settled).map(({ key, value, origin }) => [key, { value, origin }])),
    state: byKind(),
    handles: counted(process.getActiveResourcesInfo()),
    memory: process.memoryUsage(),
    heap: getHeapStatistics(),
    ...fromReport(),
  }
}

/** Writes the state to `dump.json` in the data directory, the one before it to `dump.json.1`; gives the path. */
export function writeDump(settings: ServerSettings, world: World): string {
  const path = join(settings.dataDir, 'dump.json')
  if (existsSync(path)) renameSync(path, `${path}.1`)
  writeWhole(path, `${JSON.stringify(stateDump(settings, world), null, 1)}\n`)
  return path
}

/** `loop: [{name, state}, …]`, and so on for gates, views and whatever else is registered. */
function byKind(): Record<string, object[]> {
  const kinds: Record<string, object[]> = {}
  for (const { kind, name, state } of inspected()) (kinds[kind] ??= []).push({ name, ...state })
  return kinds
}

const counted = (names: string[]) => Object.fromEntries([...new Set(names)].sort().map((name) => [name, names.filter((other) => other === name).length]))

/** Of Node's own report (https://nodejs.org/api/report.html) what is not secret: the stack, the handles with their addresses, and the threads. */
function fromReport(): object {
  const report: NodeJS.ProcessReport & { excludeNetwork?: boolean } = process.report
  report.excludeNetwork = true // Otherwise it asks a name server for each connection, and waits for it.
  const { javascriptStack, libuv, resourceUsage, workers } = report.getReport() as unknown as Record<string, unknown>
  const threads = (Array.isArray(workers) ? (workers as Record<string, unknown>[]) : []).map((worker) => ({ javascriptStack: worker['javascriptStack'], resourceUsage: worker['resourceUsage'] }))
  return { stack: javascriptStack, openHandles: libuv, resourceUsage, threads }
}
