import * as v from 'valibot'
import { check } from './check.ts'
import { EnvSpec } from './env.ts'
import { parseVmId } from './names.ts'
import { keys, lastPart } from './records.ts'
import { taskStates, taskVerbs } from './task.ts'
import { TokenSpec, UserSpec } from './user.ts'

const text = v.string()
const moment = v.pipe(v.string(), v.check((value) => !Number.isNaN(Date.parse(value)), 'a time'))
const number = v.number()
const uid = v.pipe(v.string(), v.regex(/^[a-z0-9]{4,32}$/, '4 to 32 of a-z and 0-9'))
const demand = v.looseObject({ cpu: number, memMb: number, diskMb: number, vms: number })
const fullGroup = v.looseObject({ image: text, digest: text, engine: text, first: number, count: number, cpu: number, memMb: number, diskMb: number, ports: v.array(number) })

/** What must be in a record for this version to read it; what is more in it may be of a later one. */
const shapes: Record<string, v.GenericSchema> = {
  [keys.envs]: v.looseObject({ name: text, uid, owner: text, created: moment, spec: v.looseObject({ groups: v.array(fullGroup) }) }),
  [keys.phases]: v.looseObject({ uid, phase: v.picklist(['creating', 'ready', 'failed']), since: moment }),
  [keys.ledger]: demand,
  [keys.users]: v.looseObject({ name: text, created: moment, spec: UserSpec }),
  [keys.tokens]: v.looseObject({ name: text, user: text, created: moment, spec: TokenSpec }),
  [keys.tasks]: v.looseObject({ id: text, verb: v.picklist(taskVerbs), env: text, envUid: uid, owner: text, created: moment, state: v.picklist(taskStates), limitSeconds: number }),
  [keys.claims]: v.looseObject({ host: text, env: text }),
  [keys.vms]: v.looseObject({ host: text, env: text, index: number, state: text, since: moment, ip: text, mac: text, slice: text, ports: v.record(text, number) }),
  [keys.applieds]: v.looseObject({ revision: number }),
  [keys.unwanteds]: v.looseObject({ image: text, since: moment }),
  [keys.growths]: v.looseObject({ since: text }),
  [keys.claimings]: v.looseObject({ since: text }),
  [keys.hosts]: v.looseObject({ address: text, version: text, started: moment, total: demand, engines: v.array(v.looseObject({ name: text })), images: v.record(text, v.looseObject({})), broken: v.record(text, text), network: text, volume: text }),
  [keys.version]: v.unknown(),
  [keys.presences]: v.looseObject({ since: text }),
}

const nameOf: Record<string, (value: never) => string> = {
  [keys.envs]: ({ name }: { name: string }) => name,
  [keys.users]: ({ name }: { name: string }) => name,
  [keys.tokens]: ({ name }: { name: string }) => name,
  [keys.tasks]: ({ id }: { id: string }) => id,
}

/** Whether this version keeps records under such a key; a later one may have written others. */
export const isRecordKey = (key: string): boolean => Object.keys(shapes).some((prefix) => key.startsWith(prefix))

/** Why a record of the store cannot be what its key says, in one line; undefined if it can. */
export function whyNotRecord(key: string, value: unknown): string | undefined {
  const prefix = Object.keys(shapes).find((one) => key.startsWith(one))
  if (prefix === undefined) return undefined
  const { wrong } = check(shapes[prefix] as v.GenericSchema, value)
  if (wrong !== undefined) return wrong
  if ((prefix === keys.claims || prefix === keys.vms) && !parseVmId(lastPart(key))) return 'its key is of no VM'
  const name = nameOf[prefix]?.(value as never)
  if (name !== undefined && key !== `${prefix}${name}`) return `it is of ${name}`
  if (prefix !== keys.envs) return undefined
  return check(v.looseObject(EnvSpec.entries), (value as { spec: unknown }).spec).wrong
}
