import { type Demand, nothing } from '../model/expand.ts'
import { keys } from '../model/records.ts'
import type { Finding } from '../model/session.ts'
import { counted } from '../model/units.ts'
import { auditLedger, wantedSum } from './ledger-audit.ts'
import type { EnvParts } from './parts.ts'
import type { Truth } from './truth.ts'

/** Whether the ledger is the sum of what the ENVs ask for; with `fix` it is made that. */
export async function ledgerFinding(parts: EnvParts, { fix }: { fix: boolean }): Promise<Finding> {
  const { truth } = parts
  await oneMoment(truth)
  const [is, sum] = [truth.ledger.get(keys.ledger) ?? nothing, wantedSum(truth)]
  if (fields.every((field) => is[field] === sum[field])) return { check: 'ledger', state: 'good', message: `it is the sum of what all ENVs (${truth.envs.size}) ask for` }
  if (fix) await auditLedger(parts)
  return {
    check: 'ledger',
    state: 'bad',
    message: `the ledger says ${words(is)}, the ENVs ask for ${words(sum)}`,
    ...(fix ? { fixed: true } : { remedy: '`tt doctor --fix` sets it right; so does a restart of the server' }),
  }
}

const fields = ['cpu', 'memMb', 'diskMb', 'vms'] as const
const words = (demand: Demand) => `${counted(demand.vms, 'VM')}, ${counted(demand.cpu, 'cpu')}, ${demand.memMb} MB of memory, ${demand.diskMb} MB of disk`

const looksMost = 100

/** Waits until what is compared is of one revision: each view follows by itself, and while ENVs come and go one is a step ahead. */
async function oneMoment(truth: Truth): Promise<void> {
  for (let looks = 0; looks < looksMost; looks++) {
    const revisions = [truth.envs, truth.phases, truth.ledger].map(({ revision }) => revision)
    if (new Set(revisions).size === 1) return
    await truth.reached(Math.max(...revisions))
  }
}
