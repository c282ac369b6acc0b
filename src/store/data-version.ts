import type { Log } from '../base/log.ts'
import { fail } from '../model/errors.ts'
import { keys } from '../model/records.ts'
import { type RecordStep, recordSteps } from '../model/record-steps.ts'
import type { Store, Write } from './store.ts'

/** `meta/version`: which version the records are of, beside the schema of whatever holds them. */
interface VersionRecord {
  version: number
}

/**
 * Brings the records to the version of this program, all of them or none, before anybody reads them. Refuses records of a newer one: to
 * guess what they mean would be to lose what they say. A store without a version has none yet, or is of the first.
 */
export async function bringUp(store: Store, log: Pick<Log, 'info'>, steps: readonly RecordStep[] = recordSteps): Promise<void> {
  const seen = await store.get(keys.version)
  if (seen && versionIn(seen.value) === steps.length) return
  const { items } = await store.list('')
  const version = seen ? versionIn(seen.value) : items.length === 0 ? steps.length : 0
  if (version > steps.length) {
    fail('unsupported', `the records are of a newer tt: they have version ${version}, this one knows ${steps.length}`, { subject: 'server', remedy: 'start the version that wrote them, or a newer one' })
  }
  const missed = steps.slice(version)
  const writes = items.flatMap(({ key, value, revision }): Write[] => {
    if (key === keys.version) return []
    const changed = missed.reduce((now, step) => (now === null ? null : step.change(key, now)), value)
    return changed === value ? [] : [{ key, value: changed, expect: revision }]
  })
  const next: VersionRecord = { version: steps.length }
  await store.commit([...writes, { key: keys.version, value: next, expect: seen?.revision ?? 'absent' }])
  if (items.length > 0) log.info('the records were brought to the version of this program', { from: version, to: steps.length, changed: writes.length, why: missed.map(({ about }) => about) })
}

function versionIn(value: unknown): number {
  const version: unknown = (value as Partial<VersionRecord> | null)?.version
  if (typeof version === 'number' && Number.isInteger(version) && version >= 0) return version
  return fail('failed', `the record ${keys.version} says no version`, { subject: 'server', remedy: 'put a backup of the store in its place' })
}
