import type { Cloud } from '../../src/model/cloud.ts'
import { placeFaults } from '../crash/audit.ts'
import type { Stage } from '../crash/stage.ts'
import type { Sum } from '../crash/wish.ts'
import { add, type DayEnv, demand, endOf, indices, type Range, total, users, zero } from './model.ts'

export interface Sight {
  ground: Stage
  envs: Map<string, DayEnv>
  /** When the server that lives was started. */
  upSinceMs: number
  /** One for each user. */
  clouds: Cloud[]
}

interface EnvRow {
  owner: string
  created: string
  removing?: string
  spec: { groups: Range[]; kicked: number[]; stopped: boolean }
}
interface PhaseRow {
  phase: string
  since: string
  released?: boolean
}

/** So long after its end an ENV may still be there. */
const lateMs = 15_000
const tombstoneMs = 3_600_000
const fields = ['cpu', 'memMb', 'diskMb', 'vms'] as const

/** Takes from the model what the machine shows to be over: ENVs that were to go and are gone, halted ones, explanations that have faded. */
export function leftOf({ ground, envs }: Pick<Sight, 'ground' | 'envs'>): void {
  const { store } = ground.machine('glance')
  const now = ground.world.now()
  for (const env of envs.values()) {
    const row = store.get(`desired/env/${env.name}`) as EnvRow | undefined
    const phase = store.get(`desired/phase/${env.name}`) as PhaseRow | undefined
    const over = endOf(env) <= now
    if (over && env.atEnd === 'stop' && env.state === 'live') {
      if (row?.spec.stopped && !env.halted) Object.assign(env, { stopped: true, halted: true, stoppedMs: now })
      continue
    }
    if (over) env.state = 'leaving'
    if (env.state === 'failing' && phase?.phase === 'failed') env.failedMs = Date.parse(phase.since)
    if (env.state === 'failing' && env.failedMs !== undefined && env.failedMs + tombstoneMs <= now) env.state = 'leaving'
    if (!row && env.state === 'leaving') envs.delete(env.name)
  }
}

/** Everything that must hold at any moment, whatever is still going on; one line for each thing that does not. */
export async function faultsOf({ ground, envs, upSinceMs, clouds }: Sight): Promise<string[]> {
  const machine = ground.machine('glance')
  const now = ground.world.now()
  const found = [...placeFaults(machine), ...ledgerFaults(machine.store)]
  for (const env of envs.values()) {
    const row = machine.store.get(`desired/env/${env.name}`) as EnvRow | undefined
    if (!row && env.state !== 'leaving') found.push(`ENV ${env.name} is lost`)
    if (row && env.state === 'leaving' && Math.max(endOf(env), upSinceMs) + lateMs < now) found.push(`ENV ${env.name} was over ${Math.round((now - endOf(env)) / 1000)} s ago and is still there`)
    if (env.state === 'live' && !env.halted && env.atEnd === 'stop' && Math.max(endOf(env), upSinceMs) + lateMs < now) found.push(`ENV ${env.name} was over ${Math.round((now - endOf(env)) / 1000)} s ago and is not halted`)
  }
  for (const [at, cloud] of clouds.entries()) found.push(...(await sightFaults(ground, envs, { cloud, owner: users[at]?.name ?? '' })))
  for (const { status } of (await ground.drive(ground.cloud().collection('host').list()))?.answer.items ?? []) {
    for (const field of fields) if (status && status.used[field] > total[field]) found.push(`the host holds ${status.used[field]} ${field} of ${total[field]}`)
  }
  return found
}

/** The ledger is the sum of what the records ask for, no more than there is and no less than nothing. */
function ledgerFaults(store: ReadonlyMap<string, unknown>): string[] {
  const ledger = (store.get('desired/ledger') as Sum | undefined) ?? zero
  let sum = zero
  for (const [key, value] of store) {
    if (!key.startsWith('desired/env/')) continue
    const { spec } = value as EnvRow
    const phase = store.get(key.replace('/env/', '/phase/')) as PhaseRow | undefined
    if (phase?.released !== true) sum = add(sum, demand({ ranges: spec.groups, kicked: new Set(spec.kicked), stopped: spec.stopped }))
  }
  return fields.flatMap((field) => [
    ...(ledger[field] !== sum[field] ? [`the ledger has ${ledger[field]} ${field}, the ENVs have ${sum[field]}`] : []),
    ...(ledger[field] < 0 || ledger[field] > total[field] ? [`the ledger has ${ledger[field]} ${field} of ${total[field]}`] : []),
  ])
}

/** What a user sees: their own ENVs, each once, with their VMs, and nobody else's. */
async function sightFaults(ground: Stage, envs: ReadonlyMap<string, DayEnv>, { cloud, owner }: { cloud: Cloud; owner: string }): Promise<string[]> {
  const found: string[] = []
  const listed = (await ground.drive(cloud.collection('env').list()))?.answer.items ?? []
  const names = listed.map(({ name }) => name)
  if (new Set(names).size < names.length) found.push(`${owner} sees a name twice: ${names.join(' ')}`)
  for (const name of names) if (envs.get(name)?.owner !== owner) found.push(`${owner} sees ENV ${name}, which ${envs.has(name) ? `is ${envs.get(name)?.owner}'s` : 'nobody has made'}`)
  const seen = new Map<string, string[]>()
  for (const { name } of (await ground.drive(cloud.collection('vm').list()))?.answer.items ?? []) {
    const env = name.slice(0, name.lastIndexOf('.'))
    seen.set(env, [...(seen.get(env) ?? []), name.slice(env.length + 1)])
  }
  for (const env of envs.values()) {
    if (env.owner !== owner || env.state === 'leaving') continue
    if (!names.includes(env.name)) found.push(`${owner} does not see ENV ${env.name}`)
    const wanted = [...indices(env)].map(({ index }) => String(index)).sort()
    const there = (seen.get(env.name) ?? []).sort()
    if (String(there) !== String(wanted)) found.push(`ENV ${env.name} has the VMs ${there.join(' ')}, not ${wanted.join(' ')}`)
  }
  return found
}
