import type { Collection, RemoveOptions } from '../model/cloud.ts'
import { fail } from '../model/errors.ts'
import { checkEnvName } from '../model/names.ts'
import { type EnvRecord, keys } from '../model/records.ts'
import { checkedSpec } from './admission.ts'
import { changes } from './changes.ts'
import { listen } from './env-listening.ts'
import { putPlan, removal } from './env-put.ts'
import type { LedgerPlan, LedgerState } from './ledger.ts'
import type { EnvParts } from './parts.ts'
import { isRepeat } from './task-records.ts'
import { envResource, type Truth } from './truth.ts'
import { checkReadable, unreadableEnvs } from './unreadable.ts'

/** ENVs: the only kind its users write. Every change is one commit of the record, its phase, its task and the ledger. */
export function envCollection(parts: EnvParts): Collection<'env'> {
  const { truth } = parts
  const resource = (name: string) => {
    const seen = truth.envs.entry(keys.env(name))
    return seen && envResource(truth, seen)
  }
  return {
    async get(name) {
      checkReadable(truth, name)
      return resource(name) ?? missing(name)
    },
    async list() {
      return { items: truth.envs.entries().map((seen) => envResource(truth, seen)), missing: unreadableEnvs(truth) }
    },
    async put(name, options, call) {
      checkEnvName(name)
      const checked = checkedSpec(options.spec, `env/${name}`)
      await parts.ledger.change((state) => putPlan(parts, { ...options, name, checked }, state), call)
      return resource(name) ?? missing(name)
    },
    async remove(name, options = {}, call) {
      await parts.ledger.change((state) => removePlan(parts, { ...options, name }, state), call)
    },
    watch: (_options, call) =>
      changes(
        {
          names: () => truth.envs.values().map((env) => env.name),
          get: resource,
          listen: (touch) => listen(truth, touch),
        },
        call,
      ),
  }
}

const missing = (name: string): never => fail('not_found', `there is no ENV ${JSON.stringify(name.slice(0, 80))}`, { subject: `env/${name}`, remedy: 'see `tt env list`' })

/** Whether somebody is told how the removal goes; one that took longer than its task had is asked for again. */
const isBeingRemoved = (truth: Truth, { uid }: EnvRecord) => [...truth.openTasks.of(uid)].some((id) => truth.tasks.get(keys.task(id))?.verb === 'remove')

/** An ENV that is being removed holds what it held until its hosts hold nothing: the ledger stays. */
function removePlan(parts: EnvParts, { name, ...options }: RemoveOptions & { name: string }, state: LedgerState): LedgerPlan | undefined {
  const { truth, limits } = parts
  if (isRepeat(truth, options.task, name)) return undefined
  // Nobody can say what it was: its hosts destroy what its claims name.
  if (truth.leftOut.has(keys.env(name))) return { ...state, writes: [{ key: keys.env(name), value: null }, { key: keys.phase(name), value: null }], touches: [`env/${name}`] }
  const seen = truth.envs.entry(keys.env(name))
  if (!seen || (options.uid !== undefined && options.uid !== seen.value.uid)) return missing(name)
  if (seen.value.removing !== undefined && isBeingRemoved(truth, seen.value) && (options.keepDisks ?? seen.value.keepDisks) === seen.value.keepDisks) return undefined
  return { ...state, writes: removal(parts, seen, { ...options, limitSeconds: limits.changeSeconds }), touches: [`env/${name}`, ...(options.task === undefined ? [] : [`task/${options.task}`])] }
}
