import type { Cloud } from '../../src/model/cloud.ts'
import type { EnvAsked } from '../../src/model/env.ts'
import type { Day, Op } from './day.ts'
import { type DayEnv, demand, images, indices, lifeLimitSeconds, type Range, scaled, total, users, zero } from './model.ts'

/** What may come of an operation: `ok`, or the code of a refusal. Reasons that may or may not hold by now allow both. */
export interface Expected {
  reasons: string[]
  maybe: string[]
}

/** A thing a user does: what may come of it is said before it is done, and what it changes once it was not refused. */
export interface Deed {
  what: string
  expected: Expected
  act(cloud: Cloud): Promise<unknown>
  done(answer: unknown): void
}

/** Something that happens to the server, or time that passes: it ends when it is over, and is refused by nobody. */
export interface Event {
  what: string
  happen(): Promise<void>
}

/** One entry for each thing that can happen, with how often it does among the others. Undefined: there is nothing to do it to. */
export const operations: Record<string, { weight: number; of(day: Day, op: Op): Deed | Event | undefined }> = {
  add: { weight: 34, of: (day, op) => adding(day, op, { name: op.a % 9 === 0 ? nameOf(day, op) : day.freshName(), asked: askedOf(op) }) },
  'add what is too much': { weight: 3, of: (day, op) => adding(day, op, { name: day.freshName(), asked: { ...askedOf(op), groups: [{ image: 'web', count: total.vms - (op.a % 3) }] } }) },
  'add with a wrong name': { weight: 2, of: (day, op) => refused(day, ['', 'a b', '../x', 'x'.repeat(64), 'a.1', '-x', 'a/b', 'ä'][op.a % 8] ?? '', askedOf(op), 'invalid') },
  'add with a wrong wish': { weight: 4, of: wrongWish },
  del: { weight: 12, of: (day, op) => chosen(day, op, removing, { failing: true }) },
  stop: { weight: 6, of: (day, op) => chosen(day, op, (env) => power(day, env, true)) },
  start: { weight: 8, of: (day, op) => chosen(day, op, (env) => power(day, env, false), { prefer: ({ stopped }) => stopped }) },
  'extend life': { weight: 6, of: (day, op) => chosen(day, op, (env) => life(day, env, op), { prefer: ({ halted }) => halted }) },
  ports: { weight: 4, of: (day, op) => chosen(day, op, (env) => ports(day, env, op)) },
  'deny outgoing': { weight: 3, of: (day, op) => chosen(day, op, (env) => change(env, 'deny outgoing', { denyOutgoing: op.a % 2 === 0 }, () => (env.denyOutgoing = op.a % 2 === 0))) },
  'deny list': { weight: 3, of: (day, op) => chosen(day, op, (env) => change(env, 'deny', { deny: denyOf(op.a) }, () => (env.deny = denyOf(op.a)))) },
  'one VM otherwise': { weight: 4, of: (day, op) => chosen(day, op, (env) => exception(env, op)) },
  scale: { weight: 6, of: (day, op) => chosen(day, op, (env) => scale(day, env, op)) },
  kick: { weight: 5, of: (day, op) => chosen(day, op, (env) => kick(day, env, op)) },
  resize: { weight: 6, of: (day, op) => chosen(day, op, (env) => resize(day, env, op), { prefer: ({ stopped }) => stopped }) },
  "touch another's": { weight: 4, of: another },
  'three at once': { weight: 2, of: (day, op) => race(day, op) },
  'wait some minutes': { weight: 5, of: (day, op) => ({ what: `${op.a % 20} min pass`, happen: () => day.pass((op.a % 20) * 60_000) }) },
  'come to rest': { weight: 4, of: (day) => ({ what: 'everything comes to rest', happen: () => day.rest() }) },
  restart: { weight: 2, of: (day, op) => ({ what: `the server is stopped for ${op.a % 90} s`, happen: () => day.restart('in order', (op.a % 90) * 1000) }) },
  crash: { weight: 2, of: (day, op) => ({ what: `the server is killed and stays away for ${op.a % 90} s`, happen: () => day.restart('by a kill', (op.a % 90) * 1000) }) },
}

const ok = (): Expected => ({ reasons: [], maybe: [] })

const lives = [30, 45, 120, 600, 1800, 3600, 7200, lifeLimitSeconds]
const portSets = [[], [8080], [80, 9000], [22, 5432, 6379]]
const denyOf = (pick: number) => [[], ['10.1.2.3'], ['192.168.0.0/16', '172.16.4.4']][pick % 3] ?? []
const names = Object.keys(images)

/** A name that is in use, of whomsoever. */
const nameOf = (day: Day, op: Op) => [...day.envs.keys()][op.pick % Math.max(1, day.envs.size)] ?? day.freshName()

function askedOf(op: Op): EnvAsked & { lifetimeSeconds: number | null } {
  const first = names[op.b % 13 === 0 ? 4 : op.b % 4] ?? ''
  const second = names[op.c % 4] ?? ''
  const sizes = op.c % 3 === 0 ? { cpu: 1 + (op.c % 4), memMb: 100 + (op.a % 700), diskMb: 100 + (op.b % 3000) } : {}
  const more = portSets[op.a % portSets.length] ?? []
  const group = (image: string, count: number) => ({ image, count, ...sizes, ...(more.length > 0 ? { ports: more } : {}) })
  const count = 1 + (op.a % 5) + (op.a % 17 === 0 ? 12 : 0)
  return {
    groups: [group(first, count), ...(second !== first && op.c % 4 === 1 ? [group(second, 1 + (op.c % 3))] : [])],
    lifetimeSeconds: op.b % 29 === 0 ? null : (lives[op.b % lives.length] ?? 3600),
    ...(op.c % 5 === 0 ? { denyOutgoing: true } : {}),
    ...(op.c % 7 === 0 ? { deny: denyOf(op.a) } : {}),
    ...(op.b % 6 === 0 ? { atEnd: 'stop' as const } : {}),
  }
}

/** What is asked as it will be kept. */
function rangesOf({ groups }: EnvAsked): Range[] {
  let first = 0
  return groups.map((group) => {
    const image = images[group.image ?? ''] as (typeof images)[string]
    const count = group.count ?? 1
    const ports = [...new Set([...image.ports, ...(group.ports ?? [])])].sort((a, b) => a - b)
    first += count
    return { image: group.image ?? '', first: first - count, count, cpu: group.cpu ?? image.cpu, memMb: group.memMb ?? image.memMb, diskMb: group.diskMb ?? image.diskMb, ports }
  })
}

function adding(day: Day, op: Op, { name, asked }: { name: string; asked: EnvAsked & { lifetimeSeconds: number | null } }): Deed {
  const user = users[op.user] as (typeof users)[number]
  const expected = ok()
  const ranges = rangesOf(asked)
  const there = day.envs.get(name)
  if (there?.state === 'live') expected.reasons.push('exists', 'conflict')
  else if (there) expected.maybe.push('exists', 'conflict')
  if (asked.lifetimeSeconds === null && !user.rights.some((right) => right === 'longLife')) expected.reasons.push('denied')
  day.room(demand({ ranges, kicked: new Set(), stopped: false }), { owner: user.name, expected })
  return {
    what: `add ${name}: ${JSON.stringify(asked)}`,
    expected,
    act: (cloud) => cloud.collection('env').put(name, { spec: asked, expect: 'absent' }),
    done(answer) {
      day.envs.set(name, {
        name,
        owner: user.name,
        createdMs: Date.parse((answer as { created: string }).created),
        lifetimeSeconds: asked.lifetimeSeconds,
        atEnd: asked.atEnd ?? 'delete',
        stopped: false,
        halted: false,
        denyOutgoing: asked.denyOutgoing ?? false,
        deny: asked.deny ?? [],
        ranges,
        kicked: new Set(),
        exceptions: new Map(),
        state: ranges.some(({ image }) => image === 'bad') ? 'failing' : 'live',
      })
      day.made++
    },
  }
}

function refused(day: Day, name: string, asked: EnvAsked, ...codes: string[]): Deed {
  return {
    what: `add ${JSON.stringify(name)}: ${JSON.stringify(asked)}`,
    expected: { reasons: [...codes, 'denied'], maybe: ['exhausted'] },
    act: (cloud) => cloud.collection('env').put(name, { spec: asked, expect: 'absent' }),
    done: () => day.wrong('it was not refused'),
  }
}

function wrongWish(day: Day, op: Op): Deed {
  const asked = askedOf(op)
  const [group] = asked.groups
  const cases: [EnvAsked, string][] = [
    [{ ...asked, groups: [{ ...group, image: 'windows' }] }, 'not_found'],
    [{ ...asked, lifetimeSeconds: 5 }, 'invalid'],
    [{ ...asked, lifetimeSeconds: lifeLimitSeconds + 1 }, 'invalid'],
    [{ ...asked, groups: [{ ...group, cpu: 13 }] }, 'invalid'],
    [{ ...asked, groups: [{ ...group, memMb: 1 }] }, 'invalid'],
    [{ ...asked, groups: [{ ...group, count: 0 }] }, 'invalid'],
    [{ ...asked, groups: [{ ...group, ports: [70_000] }] }, 'invalid'],
    [{ ...asked, groups: [] }, 'invalid'],
    [{ ...asked, deny: ['10.1.2.300'] }, 'invalid'],
    [{ ...asked, host: 'nowhere' }, 'not_found'],
  ]
  const [wish, code] = cases[op.a % cases.length] as [EnvAsked, string]
  return refused(day, day.freshName(), wish, code)
}

/** Does it to an ENV of the user's that is not about to end. */
function chosen(day: Day, op: Op, deed: (env: DayEnv) => Deed | undefined, { failing = false, prefer = () => true }: { failing?: boolean; prefer?: (env: DayEnv) => boolean } = {}): Deed | undefined {
  const owner = users[op.user]?.name
  const mine = [...day.envs.values()].filter((env) => env.owner === owner && (env.state === 'live' || (failing && env.state === 'failing')) && !day.isEnding(env))
  const preferred = mine.filter(prefer)
  const among = preferred.length > 0 ? preferred : mine
  const env = among[op.pick % Math.max(1, among.length)]
  return env && deed(env)
}

function removing(env: DayEnv): Deed {
  return {
    what: `del ${env.name}`,
    expected: env.state === 'failing' ? { reasons: [], maybe: ['not_found'] } : ok(),
    act: (cloud) => cloud.collection('env').remove(env.name),
    done: () => (env.state = 'leaving'),
  }
}

function change(env: DayEnv, what: string, spec: Partial<EnvAsked> | ((seen: EnvAsked) => Partial<EnvAsked>), done: () => unknown, expected = ok()): Deed {
  return {
    what: `${what} of ${env.name}: ${JSON.stringify(typeof spec === 'function' ? spec({ groups: env.ranges }) : spec)}`,
    expected,
    async act(cloud) {
      const seen = await cloud.collection('env').get(env.name)
      await cloud.collection('env').put(env.name, { spec: { ...seen.spec, ...(typeof spec === 'function' ? spec(seen.spec) : spec) }, expect: seen.revision })
    },
    done() {
      done()
      always22(env)
    },
  }
}

/** Where a range offers 22, no VM of it goes without. */
function always22({ exceptions, ranges }: DayEnv): void {
  for (const [index, { ports, ...rest }] of exceptions) {
    const range = ranges.find(({ first, count }) => index >= first && index < first + count)
    if (ports && range?.ports.includes(22)) exceptions.set(index, { ...rest, ports: [...new Set([22, ...ports])] })
  }
}

function power(day: Day, env: DayEnv, stopped: boolean): Deed {
  const expected = ok()
  if (!stopped && env.stopped && env.halted) expected.reasons.push('conflict')
  if (!stopped && env.stopped) day.room(demand({ ...env, stopped }), { owner: env.owner, expected, before: demand(env) })
  return change(env, stopped ? 'stop' : 'start', { stopped }, () => {
    day.gaveBack(stopped && !env.stopped ? demand(env) : zero)
    if (stopped !== env.stopped) env.stoppedMs = day.now()
    env.stopped = stopped
  }, expected)
}

function life(day: Day, env: DayEnv, op: Op): Deed {
  const age = Math.ceil((day.now() - env.createdMs) / 1000)
  const lifetimeSeconds = age + (lives[op.a % lives.length] ?? 30)
  const expected = ok()
  if (lifetimeSeconds > lifeLimitSeconds && lifetimeSeconds !== env.lifetimeSeconds) expected.reasons.push('invalid')
  return change(env, 'life', { lifetimeSeconds }, () => Object.assign(env, { lifetimeSeconds, halted: false }), expected)
}

function ports(_day: Day, env: DayEnv, op: Op): Deed {
  const at = op.a % env.ranges.length
  const wanted = portSets[op.b % portSets.length] ?? []
  const range = env.ranges[at] as Range
  const kept = [...new Set([...(images[range.image]?.ports ?? []), ...wanted])].sort((a, b) => a - b)
  return change(env, 'ports', ({ groups }) => ({ groups: groups.map((group) => (group.first === range.first ? { ...group, ports: wanted } : group)) }), () => (env.ranges = env.ranges.with(at, { ...range, ports: kept })))
}

function exception(env: DayEnv, op: Op): Deed | undefined {
  const all = [...indices(env)]
  const one = all[op.a % Math.max(1, all.length)]
  if (!one) return undefined
  const { index } = one
  const wanted: { denyOutgoing?: boolean; ports?: number[] } = [{ denyOutgoing: true }, { ports: [7000, 7001] }, {}][op.b % 3] ?? {}
  return change(env, `${index}`, (seen) => ({ exceptions: { ...seen.exceptions, [index]: wanted } }), () => (Object.keys(wanted).length > 0 ? env.exceptions.set(index, wanted) : env.exceptions.delete(index)))
}

function scale(day: Day, env: DayEnv, op: Op): Deed {
  const at = op.a % env.ranges.length
  const range = env.ranges[at] as Range
  const count = 1 + (op.b % 8)
  const after = scaled(env.ranges, at, count)
  const left = (index: number) => after.some(({ first, count: many }) => index >= first && index < first + many)
  const next = { ...env, ranges: after, kicked: new Set([...env.kicked].filter(left)) }
  const expected = ok()
  day.room(demand(next), { owner: env.owner, expected, before: demand(env) })
  return change(env, 'count', ({ groups }) => ({ groups: groups.map((group) => (group.first === range.first ? { ...group, count } : group)) }), () => {
    day.gaveBack(demand(env))
    env.ranges = after
    env.kicked = next.kicked
    for (const index of env.exceptions.keys()) if (!left(index)) env.exceptions.delete(index)
  }, expected)
}

function kick(day: Day, env: DayEnv, op: Op): Deed | undefined {
  const all = [...indices(env)]
  if (all.length < 2) return undefined
  const out = all.filter((_, at) => (op.b >> at % 8) % 2 === 1).slice(0, all.length - 1)
  const picked = (out.length > 0 ? out : all.slice(0, 1)).map(({ index }) => index)
  return change(env, 'kick', (seen) => ({ kicked: [...(seen.kicked ?? []), ...picked] }), () => {
    day.gaveBack(demand(env))
    for (const index of picked) env.kicked.add(index)
  })
}

function resize(day: Day, env: DayEnv, op: Op): Deed {
  const at = op.a % env.ranges.length
  const range = env.ranges[at] as Range
  const size = { cpu: 1 + (op.b % 4), memMb: 100 + (op.c % 900), diskMb: range.diskMb + (op.c % 3) * 100 - (op.c % 11 === 0 ? 50 : 0) }
  const expected = ok()
  const changes = size.cpu !== range.cpu || size.memMb !== range.memMb || size.diskMb !== range.diskMb
  if (changes && !env.stopped) expected.reasons.push('not_ready')
  else if (day.now() - Math.max(env.stoppedMs ?? 0, day.upSinceMs()) < 30_000) expected.maybe.push('not_ready') // They may still be halting.
  if (size.diskMb < range.diskMb) expected.reasons.push('invalid')
  const after = env.ranges.with(at, { ...range, ...size })
  day.room(demand({ ...env, ranges: after }), { owner: env.owner, expected, before: demand(env) })
  return change(env, 'size', ({ groups }) => ({ groups: groups.map((group) => (group.first === range.first ? { ...group, ...size } : group)) }), () => (env.ranges = after), expected)
}

/** What is another's is, to this user, not there. */
function another(day: Day, op: Op): Deed | undefined {
  const me = users[op.user]?.name
  const theirs = [...day.envs.values()].filter(({ owner, state }) => owner !== me && state === 'live')
  const env = theirs[op.pick % Math.max(1, theirs.length)]
  if (!env) return undefined
  const ways: [string, (cloud: Cloud) => Promise<unknown>, string[]][] = [
    ['get', (cloud) => cloud.collection('env').get(env.name), ['not_found']],
    ['del', (cloud) => cloud.collection('env').remove(env.name), ['not_found']],
    ['list the VMs', (cloud) => cloud.collection('vm').list({ under: env.name }), ['not_found']],
    ['get a VM', (cloud) => cloud.collection('vm').get(`${env.name}.${env.ranges[0]?.first}`), ['not_found']],
    ['change', (cloud) => cloud.collection('env').put(env.name, { spec: { groups: [{ image: 'fake:micro' }] } }), ['exists']],
    ['make', (cloud) => cloud.collection('env').put(env.name, { spec: { groups: [{ image: 'fake:micro' }] }, expect: 'absent' }), ['exists']],
    ['run in', (cloud) => cloud.open({ type: 'exec', vms: { envs: [env.name] }, command: { shell: 'true' } }), ['not_found']],
  ]
  const [what, act, reasons] = ways[op.a % ways.length] as (typeof ways)[number]
  return { what: `${me} tries to ${what} ${env.name} of ${env.owner}`, expected: { reasons, maybe: day.isEnding(env) ? ['not_found', 'conflict'] : [] }, act, done: () => day.wrong("another's was touched") }
}

/** All users want one name at the same time, and with it nearly all there is left: one gets it. */
function race(day: Day, op: Op): Event {
  const name = day.freshName()
  const asked = { groups: [{ image: 'fake:micro', count: 1 + (op.a % 3) }], lifetimeSeconds: 600 }
  return {
    what: `all want ${name} at once`,
    async happen() {
      const put = (at: number) => day.cloudOf(at).collection('env').put(name, { spec: asked, expect: 'absent' })
      const outcomes = await day.drive(Promise.allSettled(users.map((_, at) => put(at))))
      const won = outcomes.flatMap((one, at) => (one.status === 'fulfilled' ? [{ at, created: one.value.created }] : []))
      if (won.length > 1) day.wrong(`${won.length} users got the name ${name}`)
      const [winner] = won
      if (winner) adding(day, { ...op, user: winner.at }, { name, asked }).done({ created: winner.created })
    },
  }
}
