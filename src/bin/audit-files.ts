import { join } from 'node:path'
import { type LineFiles, lineFiles } from '../base/line-files.ts'
import type { Log } from '../base/log.ts'
import type { World } from '../base/world.ts'
import { lostEntries } from '../cloud/audit-trail.ts'

const limitBytes = 8 << 20
const keep = 8

/** The files of the data directory in which a server keeps who did what: `audit/audit.ndjson`, and older ones beside it. */
export const auditFiles = (dataDir: string, { world, log }: { world: World; log: Log }): LineFiles =>
  lineFiles({
    path: join(dataDir, 'audit', 'audit.ndjson'),
    world,
    limitBytes,
    keep,
    onFault: (fault) => log.error('who did what cannot be written down; it is tried again', { fault: String(fault) }),
    lostLine: (count) => lostEntries(count, world.now()),
  })
