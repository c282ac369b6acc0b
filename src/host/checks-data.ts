import { appendFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isRecordKey, whyNotRecord } from '../model/record-checks.ts'
import { type ClaimRecord, keys, lastPart, type VmRecord } from '../model/records.ts'
import type { Entry, Write } from '../store/store.ts'
import type { Check, CheckGround, Found } from './check.ts'

/** In the data directory: what was taken out of the store because nobody could read it, a line each. */
export const asideFile = 'set-aside.ndjson'

const inOneBreath = 200

/** The store: its file, and whether its records are what their keys say. */
export const data: Check = async (ground) => {
  const { store, world } = ground
  const found: Found[] = []
  const damaged = new Set<string>()
  for (const { key, why } of (await store.check?.()) ?? []) {
    if (key !== undefined) damaged.add(key)
    found.push({ check: 'data', state: 'bad', message: key === undefined ? `the file of the store is damaged: ${why}` : `the record ${key} is damaged on the disk: ${why}`, remedy: key?.startsWith(keys.envs) ? remedyFor(key) : 'stop the server, keep a copy of the data directory, then `ttserver doctor --fix`, or put a backup in its place' })
  }
  const { items } = await store.list('')
  for (const [at, entry] of items.entries()) {
    if (at % inOneBreath === 0) await world.breathe()
    if (damaged.has(entry.key)) continue
    const why = whyNotRecord(entry.key, entry.value)
    if (why !== undefined) found.push(strange(ground, entry, why))
    if (!isRecordKey(entry.key)) found.push({ check: 'data', state: 'poor', message: `nobody here knows records such as ${entry.key}`, remedy: 'a newer version may have written it: nothing is done to it' })
  }
  return found.length > 0 ? found : [{ check: 'data', state: 'good', message: items.length === 1 ? '1 record, and it is sound' : `${items.length} records, all of them sound` }]
}

/** A record this version cannot read. What it can be without is taken out, kept aside and named; what VMs hang on stays where it is. */
function strange(ground: CheckGround, entry: Entry, why: string): Found {
  const { key } = entry
  const message = `the record ${key} does not fit: ${why}`
  const repair = repaired(ground, entry)
  if (repair === undefined) return { check: 'data', state: 'bad', message, remedy: remedyFor(key) }
  const mend = async () => {
    await aside(ground, [{ key, text: JSON.stringify(entry.value), why }])
    await ground.store.commit([{ ...repair, key, expect: entry.revision }])
  }
  return { check: 'data', state: 'bad', message, remedy: `\`tt doctor --fix\` takes it out and keeps it in ${join(ground.dataDir, asideFile)}`, mend }
}

/** What to write instead, or that it may go; undefined if neither is without harm. */
function repaired({ views }: CheckGround, { key }: Entry): Pick<Write, 'value'> | undefined {
  if ([keys.phases, keys.users, keys.tokens, keys.tasks, keys.applieds].some((prefix) => key.startsWith(prefix))) return { value: null }
  if (key.startsWith(keys.envs)) return views.claims.values().some(({ env }) => env === lastPart(key)) ? undefined : { value: null }
  if (!key.startsWith(keys.claims)) return undefined
  const vm: Partial<VmRecord> | undefined = views.vms.get(keys.vm(lastPart(key)))
  return typeof vm?.host === 'string' && typeof vm.env === 'string' ? { value: { host: vm.host, env: vm.env } satisfies ClaimRecord } : { value: null }
}

function remedyFor(key: string): string {
  if (key.startsWith(keys.envs)) return `VMs of it run on: put a backup of the store in its place, or give them up with \`tt env del ${lastPart(key)}\``
  if (key.startsWith(keys.vms)) return 'kick the VM: `tt env update ENV --kick-vm INDEX`'
  return 'start the server of that host again: it writes it anew'
}

/** Keeps records where people find them, before they go; on the disk when it resolves. */
export async function aside({ dataDir, effects, world }: Pick<CheckGround, 'dataDir' | 'effects' | 'world'>, records: readonly { key: string; text: string; why: string }[]): Promise<void> {
  const file = join(dataDir, asideFile)
  const time = new Date(world.now()).toISOString()
  const lines = records.map((record) => `${JSON.stringify({ time, ...record })}\n`).join('')
  await effects.act({ kind: 'file', verb: 'change', subject: file }, () => appendFile(file, lines, { mode: 0o600, flush: true }))
}
