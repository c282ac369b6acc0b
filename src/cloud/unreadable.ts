import { fail, type Problem } from '../model/errors.ts'
import { keys, lastPart } from '../model/records.ts'
import type { Truth } from './truth.ts'

const remedy = (name: string) => `see \`tt doctor\`; \`tt env del ${name}\` gives it up, with its VMs`

/** ENVs whose records nobody can read: named where ENVs are listed. Their VMs are left as they are. */
export const unreadableEnvs = (truth: Truth): Problem[] =>
  [...truth.leftOut].flatMap(([key, why]) => (key.startsWith(keys.envs) ? [{ code: 'failed' as const, message: `the record of ENV ${lastPart(key)} is damaged: ${why}`, subject: `env/${lastPart(key)}`, remedy: remedy(lastPart(key)) }] : []))

/** Refuses what would take an ENV that cannot be read for one that is not there. */
export function checkReadable(truth: Truth, name: string): void {
  const why = truth.leftOut.get(keys.env(name))
  if (why !== undefined) fail('failed', `the record of ENV ${name} is damaged: ${why}`, { subject: `env/${name}`, remedy: remedy(name) })
}
