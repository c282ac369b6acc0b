import type { Log } from '../base/log.ts'
import { randomHex, type World } from '../base/world.ts'
import type { Call } from '../model/call.ts'
import type { Collection, PutOptions } from '../model/cloud.ts'
import type { EnvSpec } from '../model/env.ts'
import { asTtError, fail } from '../model/errors.ts'
import { type Demand, demandOf, fullGroups, minus, nothing, plus } from '../model/expand.ts'
import { checkEnvName, shown } from '../model/names.ts'
import { type EnvRecord, keys, lastPart, type PhaseRecord } from '../model/records.ts'
import { follow } from '../store/follow.ts'
import type { Store, Write } from '../store/store.ts'
import { admit, checkedSpec, type Limits, resolved } from './admission.ts'
import { changes } from './changes.ts'
import { brokenImages, onlineHosts, usableImages } from './facts.ts'
import { envResource, envUidOf, phaseOf, type Truth } from './truth.ts'

export interface EnvParts {
  store: Store
  truth: Truth
  world: World
  log: Log
  limits: Limits
}

/** ENVs: the only kind its users write. Every change is one commit of the record, its phase and the ledger. */
export function envCollection(parts: EnvParts): Collection<'env'> {
  const { truth } = parts
  const resource = (name: string) => {
    const seen = truth.envs.entry(keys.env(name))
    return seen && envResource(truth, seen)
  }
  return {
    async get(name) {
      return resource(name) ?? missing(name)
    },
    async list() {
      return { items: truth.envs.entries().map((seen) => envResource(truth, seen)), missing: [] }
    },
    async put(name, options, call) {
      checkEnvName(name)
      const spec = checkedSpec(options.spec, `env/${name}`)
      await retried(parts.world, () => putOnce(parts, name, { ...options, checked: spec }, call), call)
      return resource(name) ?? missing(name)
    },
    async remove(name, call) {
      await retried(parts.world, () => removeOnce(parts, name, call), call)
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

/** Tells the name of an ENV whenever its record, its phase or a VM of it changes. */
export function listen(truth: Truth, touch: (name: string) => void): () => void {
  const byUid = new Map<string, string>()
  const touchEnvOf = (key: string) => {
    const name = byUid.get(envUidOf(key) ?? '')
    if (name !== undefined) touch(name)
  }
  const stops = [
    follow(truth.envs, (key, now, before) => {
      if (before && before.uid !== now?.uid) byUid.delete(before.uid)
      if (now) byUid.set(now.uid, now.name)
      touch(lastPart(key))
    }),
    truth.phases.onChange(({ key }) => touch(lastPart(key))),
    truth.claims.onChange(({ key }) => touchEnvOf(key)),
    truth.vms.onChange(({ key }) => touchEnvOf(key)),
  ]
  return () => stops.forEach((stop) => stop())
}

async function putOnce(parts: EnvParts, name: string, options: PutOptions<'env'> & { checked: EnvSpec }, call?: Call): Promise<void> {
  const { store, truth, world } = parts
  const subject = `env/${name}`
  const ledger = truth.ledger.entry(keys.ledger)
  await truth.reached(ledger?.revision ?? 0, call?.signal) // Every put writes the ledger: so all that were before this one are seen.
  const seen = truth.envs.entry(keys.env(name))
  if (seen && options.uid === seen.value.uid && options.expect === 'absent') return // Its own earlier try, whatever became of it.
  const old = seen && replaceable(truth, seen.value) ? undefined : seen
  checkExpected(name, old && { record: old.value, revision: String(old.revision) }, options)
  if (options.uid !== undefined && !/^[a-z0-9]{4,32}$/.test(options.uid)) fail('invalid', 'a uid is 4 to 32 of a-z and 0-9', { subject })
  if (options.uid !== undefined && options.uid !== old?.value.uid && truth.envs.values().some(({ uid }) => uid === options.uid)) {
    fail('conflict', `the uid ${options.uid} belongs to another ENV`, { subject, remedy: 'choose another, or none' })
  }
  const spec = resolved(options.checked, usableImages(truth), { limits: parts.limits, broken: brokenImages(truth), subject, ...(old ? { before: fullGroups(old.value.spec) } : {}) })
  if (spec.host !== undefined && !truth.hosts.get(keys.host(spec.host))) {
    fail('not_found', `there is no host ${shown(spec.host)}`, { subject, remedy: 'see `tt status --server`' })
  }
  if (old && JSON.stringify(spec) === JSON.stringify(old.value.spec)) return // Nothing to change, so nothing changes.
  if (old && spec.lifetimeSeconds !== null && Date.parse(old.value.created) + spec.lifetimeSeconds * 1000 <= world.now()) {
    fail('invalid', `the life time of ${spec.lifetimeSeconds} s, counted from its creation, is over already`, { subject, remedy: `\`tt env del ${name}\` deletes it` })
  }
  const before = old ? demandOf(old.value.spec) : nothing
  const used = ledger?.value ?? nothing
  const wanted = admit(spec, { before, used, hosts: onlineHosts(truth), subject })
  const now = new Date(world.now()).toISOString()
  const record: EnvRecord = old
    ? { ...old.value, spec }
    : { name, uid: options.uid ?? newUid(world), owner: options.owner ?? 'admin', created: now, spec }
  const phase: PhaseRecord = { uid: record.uid, phase: 'creating', since: now }
  const revision = await store.commit(
    [
      { key: keys.env(name), value: record, expect: seen?.revision ?? 'absent' },
      ...(old ? [] : [{ key: keys.phase(name), value: phase }]),
      ledgerWrite(ledger, plus(minus(used, before), wanted)),
    ],
    call,
  )
  await truth.reached(revision, call?.signal)
}

/** 60 bits: unguessable is not needed, unique is. */
const newUid = (world: World) => BigInt(`0x${randomHex(world, 8)}`).toString(36).slice(0, 12).padStart(4, '0')

/** A failed ENV whose hosts hold nothing of it any more: only an explanation, in nobody's way. */
const replaceable = (truth: Truth, record: EnvRecord) => record.removing === undefined && phaseOf(truth, record)?.released === true

function checkExpected(name: string, old: { record: EnvRecord; revision: string } | undefined, options: PutOptions<'env'>): void {
  const subject = `env/${name}`
  if (old?.record.removing !== undefined) fail('conflict', `ENV ${name} is being removed`, { subject, remedy: 'try again in a moment' })
  if (options.expect === 'absent' && old) fail('exists', `there is an ENV ${name} already`, { subject, remedy: `choose another name, or \`tt env del ${name}\` first` })
  if (options.expect === undefined || options.expect === 'absent') return
  if (!old) return missing(name)
  if (options.expect !== old.revision) fail('conflict', `ENV ${name} was changed meanwhile`, { subject, remedy: 'read it again and repeat the change' })
}

const retryLimitMs = 20_000

/** Compare-and-set of the ledger: whoever admits at the same time sees a conflict and counts again. */
export const ledgerWrite = (seen: { revision: number } | undefined, value: Demand): Write => ({ key: keys.ledger, value, expect: seen?.revision ?? 'absent' })

async function removeOnce({ store, truth, world }: EnvParts, name: string, call?: Call): Promise<void> {
  const seen = truth.envs.entry(keys.env(name))
  if (!seen) return missing(name)
  if (seen.value.removing !== undefined) return
  const record: EnvRecord = { ...seen.value, removing: new Date(world.now()).toISOString() }
  const revision = await store.commit([{ key: keys.env(name), value: record, expect: seen.revision }], call)
  await truth.reached(revision, call?.signal)
}

/** Repeats what lost a race of compare-and-set; what the caller itself expected is checked anew each time. Waits by chance: of many at once some get through. */
export async function retried(world: World, attempt: () => Promise<void>, call?: Call): Promise<void> {
  const end = world.ticks() + retryLimitMs
  for (let tries = 1; ; tries++) {
    try {
      return await attempt()
    } catch (thrown) {
      const error = asTtError(thrown)
      const lostRace = error.code === 'conflict' && (error.subject ?? '').startsWith('desired/')
      if (!lostRace) throw thrown
      if (world.ticks() > end) fail('conflict', 'too many changes at once', { remedy: 'try again in a moment', cause: thrown })
      await world.sleep(((world.random(1)[0] ?? 0) / 256) * Math.min(tries, 50), call?.signal)
    }
  }
}
