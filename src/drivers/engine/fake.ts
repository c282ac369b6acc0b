import { readdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { appendMap } from '../../base/append-map.ts'
import { removeAll } from '../../base/files.ts'
import { fail } from '../../model/errors.ts'
import { archs, type ImageManifest } from '../../model/image.ts'
import type { Plan } from '../../model/plan.ts'
import type { EngineFactory } from './engine.ts'
import { changes } from './fake/changes.ts'
import { dice } from './fake/dice.ts'
import { fakeChannel } from './fake/fake-channel.ts'
import { fakeDisks } from './fake/fake-disks.ts'
import { fakeConsole } from './fake/fake-console.ts'
import { ended, type Guest, printed, runOf, started } from './fake/guest.ts'
import { engineOptions, planOptions } from './fake/options.ts'
import type { Room } from './fake/room.ts'

const logLimitBytes = 65_536
const guestsFile = 'guests'

/** The one image it brings: as small as VMs come, and without a public port, so that a host can hold ten thousand. */
const micro: ImageManifest = {
  format: 1,
  name: 'micro',
  memo: 'A guest that is not there and answers like one',
  engines: ['fake'],
  boot: 'kernel',
  arch: 'amd64',
  agent: [],
  features: [],
  defaults: { cpu: 1, memMb: 128, diskMb: 1024, ports: [] },
  options: {},
}

/**
 * Runs nothing and behaves like an engine: its guests are lines in one file, and what they do follows from those and the clock. They outlive the
 * server, take commands in a shell of our own, and can be told to be slow or to fail. For trying out a cloud of thousands without a machine for them.
 */
export const fake: EngineFactory = async (home, options) => {
  const { seed: givenSeed, ...defaults } = engineOptions(options)
  const { world } = home
  const { fails, delayMs, forget } = dice(givenSeed ?? Buffer.from(world.random(4)).readUInt32LE())
  const dir = resolve(home.dir)
  const file = join(dir, guestsFile)
  const guests = appendMap<Guest>(file, (write) => home.effects.act({ kind: 'file', verb: 'change', subject: file }, write))
  const disks = fakeDisks(dir, home)
  const told = changes(world)
  const silent = new Map<string, boolean>()
  const alarms = new Map<string, () => void>()
  let disposed = false

  const behaviourOf = (guest?: Pick<Guest, 'options'>) => ({ ...defaults, ...guest?.options })
  const pass = async (ms: number, signal?: AbortSignal) => {
    if (ms > 0) await world.sleep(ms, signal)
  }
  const keep = async (id: string, guest: Guest | undefined) => {
    await (guest ? guests.put(id, guest) : guests.delete(id))
    alarms.get(id)?.()
    alarms.delete(id)
    const until = guest && runOf(guest, world.now())?.until
    if (until !== undefined) ring(id, until)
    told.tell(id)
  }
  /** Tells of the end of a guest that ends by itself. */
  const ring = (id: string, at: number) => alarms.set(id, world.after(Math.max(0, at - world.now()), () => (alarms.delete(id), told.tell(id))))
  const end = async (id: string, exit: string) => {
    const guest = guests.get(id)
    if (guest && runOf(guest, world.now())) await keep(id, ended(guest, world.now(), exit))
  }
  const strangers = () => readdirSync(dir).filter((name) => name !== guestsFile && !disks.knows(name))
  const room: Room = {
    world,
    changes: told,
    disks,
    guest: (id) => guests.get(id),
    async beforeExec(id, guest, signal) {
      const { execMs, failExec } = behaviourOf(guest)
      await pass(delayMs(execMs, 'execMs', id), signal)
      if (fails(failExec, 'failExec', id)) fail('failed', 'the fake guest was told not to run this command')
    },
    isSilent(id, guest) {
      const known = silent.get(id) ?? fails(behaviourOf(guest).silent, 'silent', id)
      silent.set(id, known)
      return known
    },
    halt: (id) => end(id, 'halted when it was asked to'),
    get disposed() {
      return disposed
    },
  }
  for (const id of guests.keys()) {
    const until = runOf(guests.get(id), world.now())?.until
    if (until !== undefined) ring(id, until)
  }

  return {
    features: { accel: 'none', limits: 'none: its guests use nothing', simulated: true, archs, boots: ['kernel', 'disk'], nics: ['tap', 'user', 'none'], dial: false, window: false, console: true, logs: true, screen: false, channel: true, pause: false, save: false, replaceDisk: false },
    images: [micro],
    probe: async () => ({ usable: true, version: '1' }),
    async start(plan, call) {
      call?.signal?.throwIfAborted()
      const planned = guestOf(plan)
      if (runOf(guests.get(plan.id), world.now())) return
      const { startMs, bootMs, exitAfterMs, failStart } = behaviourOf(planned)
      await pass(delayMs(startMs, 'startMs', plan.id), call?.signal)
      if (fails(failStart, 'failStart', plan.id)) fail('failed', `the fake guest ${plan.id} was told not to start`)
      const from = world.now()
      const until = exitAfterMs === undefined ? {} : { until: from + delayMs(exitAfterMs, 'exitAfterMs', plan.id) }
      const runs = guests.get(plan.id)?.runs ?? []
      await keep(plan.id, started({ ...planned, runs }, { from, ready: from + delayMs(bootMs, 'bootMs', plan.id), ...until }))
    },
    async stop(id, graceMs, call) {
      const guest = guests.get(id)
      if (!guest || !runOf(guest, world.now())) return
      const wanted = delayMs(behaviourOf(guest).stopMs, 'stopMs', id)
      await pass(Math.min(wanted, graceMs), call?.signal)
      await end(id, wanted <= graceMs ? 'halted when it was asked to' : `did not halt within ${graceMs} ms and was ended`)
    },
    async destroy(id) {
      forget(id)
      silent.delete(id)
      await disks.drop(id)
      if (guests.get(id)) await keep(id, undefined)
    },
    async inspect(id) {
      const guest = guests.get(id)
      if (!guest) return { state: 'absent' }
      const run = runOf(guest, world.now())
      return run ? { state: 'running', since: new Date(run.from).toISOString() } : { state: 'stopped', exit: guest.runs.at(-1)?.exit ?? 'ended by itself' }
    },
    list: async () => guests.keys(),
    watch: ({ signal }) => told.watch(signal),
    async console(id) {
      const run = runOf(guests.get(id), world.now()) ?? fail('not_ready', `the guest ${id} does not run`, { subject: `vm/${id}` })
      return fakeConsole(id, room, run)
    },
    async logs(id, { limitBytes = logLimitBytes } = {}) {
      const guest = guests.get(id) ?? fail('not_found', `there is no guest ${id}`, { subject: `vm/${id}` })
      return Buffer.from(printed(guest, world.now(), Math.min(limitBytes, logLimitBytes)))
    },
    channel: (id) => fakeChannel(id, room),
    async leaks(owned) {
      return [
        ...strangers().map((name) => ({ kind: 'file' as const, subject: join(dir, name), why: 'it lies among the fake guests and is none of theirs' })),
        ...guests.keys().flatMap((id) => (owned.has(id) ? [] : [{ kind: 'file' as const, subject: `${id} in ${file}`, why: 'it is a fake guest that nothing owns' }])),
      ]
    },
    async clean(owned) {
      for (const name of strangers()) home.effects.act({ kind: 'file', verb: 'remove', subject: join(dir, name) }, () => removeAll(join(dir, name)))
      for (const id of guests.keys()) if (!owned.has(id)) await Promise.all([disks.drop(id), keep(id, undefined)])
    },
    findings: async () => [{ check: 'engine', state: 'good', message: 'fake runs nothing, and that always works' }],
    async [Symbol.asyncDispose]() {
      disposed = true
      for (const stop of alarms.values()) stop()
      told.tellAll()
      guests[Symbol.dispose]()
      disks[Symbol.dispose]()
    },
  }
}

/** The plan as a guest that has not run yet; refused if no engine could run it. */
function guestOf({ id, hostname, cpu, memMb, ports, from, options }: Plan): Guest {
  const subject = `vm/${id}`
  if (!/^[A-Za-z0-9._-]{1,128}$/.test(id)) fail('invalid', `${JSON.stringify(id.slice(0, 40))} cannot name a guest`)
  if (!Number.isInteger(cpu) || cpu < 1) fail('invalid', `a guest has at least 1 cpu, ${cpu} were asked for`, { subject })
  if (!Number.isInteger(memMb) || memMb < 1) fail('invalid', `a guest has at least 1 MB of memory, ${memMb} were asked for`, { subject })
  if (ports.length > 0) fail('unsupported', 'a fake guest has no ports to dial, and needs no agent', { subject })
  if (from) fail('unsupported', 'a fake guest cannot start from a saved state', { subject })
  const own = planOptions(options)
  return { hostname, cpu, memMb, runs: [], ...(Object.keys(own).length > 0 ? { options: own } : {}) }
}
