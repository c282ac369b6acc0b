import type { LineFiles } from '../base/line-files.ts'
import type { AuditEntry } from '../model/session.ts'
import type { AuditTrail } from './audit.ts'

/** A trail of one entry a line, as JSON. A line that is none, as a crash may leave one, is passed over. */
export function auditTrail(files: LineFiles): AuditTrail {
  return {
    write: (entry) => files.write(JSON.stringify(entry)),
    async tail(last, listener) {
      const { lines, stop } = await files.tail(last, listener && ((line) => entryOf(line).forEach(listener)))
      return { entries: lines.flatMap(entryOf), stop }
    },
  }
}

/** What stands in the trail where entries were lost because the disk took nothing. */
export const lostEntries = (count: number, nowMs: number): string =>
  JSON.stringify({ time: new Date(nowMs).toISOString(), user: 'ttserver', action: 'lose entries', subject: `audit/${count}`, result: 'exhausted' } satisfies AuditEntry)

function entryOf(line: string): AuditEntry[] {
  try {
    const entry = JSON.parse(line) as Partial<AuditEntry> | null
    const words = [entry?.time, entry?.user, entry?.action, entry?.subject, entry?.result]
    return words.every((word) => typeof word === 'string') ? [entry as AuditEntry] : []
  } catch {
    return []
  }
}
