import { deadline, randomHex } from '../../base/world.ts'
import type { Call } from '../../model/call.ts'
import type { Cloud } from '../../model/cloud.ts'
import type { EnvAsked } from '../../model/env.ts'
import { asTtError, errorOf, fail, TtError } from '../../model/errors.ts'
import type { HostStatus } from '../../model/host.ts'
import type { Resource } from '../../model/kinds.ts'
import type { Terminal } from '../terminal.ts'
import { framesOf } from '../vm-frames.ts'

/** One thing a cloud can do, seen at work. */
export interface Feature {
  name: string
  /** For people: `commands run in guests`. */
  about: string
  /** Throws the reason if it does not work, and `Skip` if it cannot be seen here. */
  run(stage: Stage): Promise<void>
}

/** Thrown by a feature that cannot be seen here, with the reason. */
export class Skip extends Error {}

export const skip = (why: string): never => {
  throw new Skip(why)
}

/** What the features of a self-test stand on: ENVs that are made when the first of them needs one, and taken away at the end. */
export interface Stage {
  cloud: Cloud
  terminal: Terminal
  call: Call
  /** Connects to the same server as another user. */
  connect(token: string): Promise<Cloud>
  image: Resource<'image'>
  /** In the name of all that it makes. */
  name: string
  /** Two VMs with a public port, whose sizes are none of the image's own. */
  main(): Promise<Resource<'env'>>
  /** One VM of another ENV, with a public port. */
  other(): Promise<Resource<'env'>>
  /** One VM that may not begin to talk to anything outside. */
  denied(): Promise<Resource<'env'>>
  vms(env: Resource<'env'>): Promise<Resource<'vm'>[]>
  /** The output of a command in a VM; refuses unless its status is 0. */
  sh(vm: string, command: string): Promise<string>
  /** Changes the ENV's spec and waits until the change is in force. */
  change(name: string, more: Partial<EnvAsked>): Promise<Resource<'env'>>
  /** Waits until it holds. */
  until(holds: () => Promise<boolean>, what: string): Promise<void>
  /** The host of a VM, as it describes itself. */
  hostOf(vm: Resource<'vm'>): Promise<HostStatus>
  /** Everything that was made, by kind and name: for whoever clears up. */
  readonly made: { kind: 'env' | 'user'; name: string }[]
}

export const innerPort = 8080
/** Not the image's own: so that it is seen that what is asked for is given. */
export const moreMemoryMb = 48
export const moreDiskMb = 64
const lifetimeSeconds = 1800
const patienceMs = 180_000
const lookMs = 150

export function stageOf(parts: Pick<Stage, 'cloud' | 'terminal' | 'call' | 'connect' | 'image'>): Stage {
  const { cloud, terminal, call, image } = parts
  const { world } = terminal
  const name = `selftest-${randomHex(world, 3)}`
  const made: Stage['made'] = []
  const until: Stage['until'] = async (holds, what) => {
    using limit = deadline(world, patienceMs, call.signal, new TtError({ code: 'timeout', message: `${what} did not come within ${patienceMs / 1000} s` }))
    while (!(await holds())) await world.sleep(lookMs, limit.signal)
  }
  const settled = async (env: string): Promise<Resource<'env'>> => {
    await until(async () => (await cloud.collection('env').get(env, call)).status?.phase !== 'creating', `ENV ${env}`)
    const resource = await cloud.collection('env').get(env, call)
    const [first] = resource.status?.problems ?? []
    if (resource.status?.phase === 'failed') fail('failed', `ENV ${env} failed: ${first?.problem.message ?? 'no reason is known'}`, { subject: `env/${env}` })
    return resource
  }
  const making = (suffix: string, spec: Omit<EnvAsked, 'groups'> & { count: number; ports: number[]; more?: object }) => {
    let env: Promise<Resource<'env'>> | undefined
    const make = async () => {
      const own = `${name}-${suffix}`
      const { count, ports, more, ...rest } = spec
      made.push({ kind: 'env', name: own })
      await cloud.collection('env').put(own, { spec: { groups: [{ image: image.name, count, ports, ...more }], lifetimeSeconds, ...rest }, uid: randomHex(world, 8), expect: 'absent' }, call)
      return settled(own)
    }
    return () => (env ??= make())
  }
  return {
    ...parts,
    name,
    made,
    until,
    main: making('a', { count: 2, ports: [innerPort], more: { cpu: 2, memMb: image.spec.memMb + moreMemoryMb, diskMb: image.spec.diskMb === 0 ? 0 : image.spec.diskMb + moreDiskMb } }),
    other: making('b', { count: 1, ports: [innerPort] }),
    denied: making('c', { count: 1, ports: [], denyOutgoing: true }),
    vms: async (env) => (await cloud.collection('vm').list({ under: env.name }, call)).items,
    async sh(vm, command) {
      const { code, out, err } = await ran(parts, vm, command)
      if (code !== 0) fail('failed', `in ${vm}, \`${command.slice(0, 60)}\` ended with ${code}: ${(err || out).trim().slice(0, 200)}`)
      return out
    },
    async change(env, more) {
      const seen = await cloud.collection('env').get(env, call)
      const { status } = await cloud.collection('env').put(env, { spec: { ...seen.spec, ...more } as EnvAsked, expect: seen.revision }, call)
      const task = status?.task
      if (task !== undefined && task !== seen.status?.task) await until(async () => isDone(await cloud.collection('task').get(task, call)), `the change of ENV ${env}`)
      return cloud.collection('env').get(env, call)
    },
    async hostOf(vm) {
      const host = vm.status?.host ?? fail('not_ready', `${vm.name} has no host`)
      return (await cloud.collection('host').get(host, call)).status ?? fail('not_ready', `host ${host} says nothing of itself`)
    },
  }
}

function isDone({ status }: Resource<'task'>): boolean {
  if (status?.state === 'failed' || status?.state === 'cancelled') throw errorOf(status.problem ?? { code: 'failed', message: `the change was ${status.state}` })
  return status?.state === 'done'
}

/** A command in one VM, and what became of it. */
export async function ran({ cloud, terminal, call }: Pick<Stage, 'cloud' | 'terminal' | 'call'>, vm: string, command: string): Promise<{ code: number; out: string; err: string }> {
  const [env = '', index = ''] = vm.split('.')
  const decoders = { stdout: new TextDecoder(), stderr: new TextDecoder() }
  const said = { stdout: '', stderr: '' }
  let code: number | undefined
  const session = await cloud.open({ type: 'exec', vms: { envs: [env], indices: [Number(index)] }, command: { shell: command }, timeoutMs: 60_000 }, call)
  for await (const frame of framesOf(session, terminal.signal)) {
    if (frame.type === 'stdout' || frame.type === 'stderr') said[frame.type] += decoders[frame.type].decode(frame.data, { stream: true })
    if (frame.type === 'problem') throw errorOf(frame.problem)
    if (frame.type === 'exit') code = frame.code ?? 255
  }
  return { code: code ?? fail('unavailable', `the command in ${vm} has no end`), out: said.stdout, err: said.stderr }
}

const clearingMs = 90_000
const inFlightMs = 500

/** Takes everything away that the stage made, whether or not the caller was interrupted; gives the names of what is left. */
export async function cleared({ cloud, terminal, made }: Stage): Promise<string[]> {
  const { world } = terminal
  using limit = deadline(world, clearingMs)
  const call = { signal: limit.signal }
  const isGone = async ({ kind, name }: Stage['made'][number]) => {
    try {
      await cloud.collection(kind).get(name, call)
      return false
    } catch (thrown) {
      if (asTtError(thrown).code === 'not_found') return true
      throw thrown
    }
  }
  const clear = async (one: Stage['made'][number]) => {
    // What was asked for right before an interruption may still be on its way.
    if (terminal.signal.aborted) await world.sleep(inFlightMs, limit.signal)
    while (!(await isGone(one))) {
      await cloud.collection(one.kind).remove(one.name, {}, call)
      await world.sleep(lookMs, limit.signal)
    }
  }
  const outcomes = await Promise.allSettled(made.map(clear))
  return made.filter((_, at) => outcomes[at]?.status === 'rejected').map(({ kind, name }) => `${kind}/${name}`)
}
