import { background } from '../base/background.ts'
import { paced } from '../base/paced.ts'
import { asTtError, fail, type Problem, problemOf } from '../model/errors.ts'
import type { Call } from '../model/call.ts'
import { expand } from '../model/expand.ts'
import { matchesPrefix, vmName } from '../model/names.ts'
import { type EnvRecord, keys, lastPart } from '../model/records.ts'
import { frameSize, type Peer, type Session, type SessionFrame, type SessionInput, type SessionRequest, type Target, unreadLimitBytes, type VmSelection } from '../model/session.ts'
import type { VmSpec } from '../model/vm.ts'
import { namedHosts, oneWants } from './import-hosts.ts'
import type { Truth } from './truth.ts'

export interface Ways {
  truth: Truth
  peer: (host: string) => Peer | undefined
  /** What a session without VMs says before its hosts do. */
  first?: SessionFrame[]
}

/** Opens a session on every host that has a part in it and makes one stream of them. */
export async function fanOut({ truth, peer, first = [] }: Ways, request: SessionRequest, call?: Call): Promise<Session> {
  if (!('vms' in request)) {
    const named = request.type === 'import' && request.hosts ? namedHosts(truth, request.hosts) : undefined
    const hosts = hostNames(truth).filter((host) => named?.includes(host) ?? true)
    if (hosts.length === 0) fail('unavailable', 'no host is online', { subject: request.type, remedy: 'start a `ttserver`, or see `tt status --server`' })
    return merged(await Promise.all(hosts.map((host) => part(peer, { host, request, targets: [] }, call))), [...first, ...silentHosts(truth, named)], request.type === 'import' && hosts.length > 1 ? oneWants(hosts.length) : undefined)
  }
  const vms = selected(truth, request.vms, { stoppedToo: request.type === 'logs' || request.type === 'console' })
  if ((request.type === 'console' || request.type === 'screen') && vms.length !== 1) fail('invalid', `a ${request.type} is one VM's, the selection matches ${vms.length}`, { subject: request.type, remedy: 'name one with its index' })
  const byHost = new Map<string, Target[]>()
  const early: SessionFrame[] = []
  for (const { env, vm } of vms) {
    const name = vmName(env.name, vm.index)
    const record = truth.vms.get(keys.vm(vm.id))
    const host = record?.host
    const target = { id: vm.id, vm: name, image: vm.image, engine: vm.engine }
    if (host === undefined || !truth.presences.get(keys.presence(host))) {
      const problem = host === undefined ? { code: 'not_ready' as const, message: 'no host runs it yet', remedy: `see \`tt env show ${env.name}\`` } : { code: 'unavailable' as const, message: `its host ${host} does not answer` }
      early.push({ type: 'begin', vm: name, image: vm.image }, { type: 'problem', vm: name, problem: { ...problem, subject: `vm/${name}` } })
      continue
    }
    const address = truth.hosts.get(keys.host(host))?.address.replace(/:\d+$/, '')
    const targets = byHost.get(host) ?? []
    if (targets.push({ ...target, ...(address === undefined ? {} : { address }) }) === 1) byHost.set(host, targets)
  }
  return merged(await Promise.all([...byHost].map(([host, targets]) => part(peer, { host, request, targets }, call))), early)
}

const hostNames = (truth: Truth) => truth.presences.entries().map(({ key }) => lastPart(key))

/** Hosts that are known and do not answer: whoever asks all of them is told which were not. */
const silentHosts = (truth: Truth, named?: string[]): SessionFrame[] =>
  truth.hosts
    .entries()
    .map(({ key }) => lastPart(key))
    .filter((host) => !truth.presences.get(keys.presence(host)) && (named?.includes(host) ?? true))
    .map((host) => ({ type: 'problem', problem: { code: 'unavailable', message: `host ${host} does not answer`, subject: `host/${host}`, remedy: 'see that its `ttserver` runs' } }))

/** The VMs a caller means; `not_found` for an unknown ENV and for a selection that matches nothing, `not_ready` for a stopped ENV unless it is about what they said before. */
function selected(truth: Truth, selection: VmSelection, { stoppedToo }: { stoppedToo: boolean }): { env: EnvRecord; vm: VmSpec }[] {
  if (selection.envs.length === 0) fail('invalid', 'no ENV is named')
  const found: { env: EnvRecord; vm: VmSpec }[] = []
  for (const name of new Set(selection.envs)) {
    const env = truth.envs.get(keys.env(name)) ?? fail('not_found', `there is no ENV ${JSON.stringify(name.slice(0, 80))}`, { subject: `env/${name}`, remedy: 'see `tt env list`' })
    if (env.spec.stopped && !stoppedToo) fail('not_ready', `ENV ${name} is stopped`, { subject: `env/${name}`, remedy: `start it first: \`tt env start ${name}\`` })
    for (const vm of expand(env)) if (matches(vm, selection)) found.push({ env, vm })
  }
  if (found.length === 0) fail('not_found', 'no VM matches the selection', { subject: `env/${selection.envs[0]}`, remedy: 'see `tt env show`' })
  return found
}

function matches(vm: VmSpec, { prefixes, indices }: VmSelection): boolean {
  if (!prefixes?.length && !indices?.length) return true
  return Boolean(prefixes?.some((prefix) => matchesPrefix(vm.image, prefix)) || indices?.includes(vm.index))
}

/** One host's share of a session. */
interface Part {
  host: string
  targets: Target[]
  session: Session
}

/** A host that cannot be reached answers for its VMs with a problem each: the others go on. */
async function part(peer: (host: string) => Peer | undefined, { host, request, targets }: { host: string; request: SessionRequest; targets: Target[] }, call?: Call): Promise<Part> {
  try {
    const reached = peer(host) ?? fail('unavailable', `host ${host} is not reachable from here`, { subject: `host/${host}` })
    return { host, targets, session: await reached.open(request, targets, call) }
  } catch (thrown) {
    const problem = problemOf(asTtError(thrown))
    const frames: SessionFrame[] = targets.length === 0 ? [{ type: 'problem', problem }] : targets.flatMap(({ vm, image }) => [{ type: 'begin', vm, image }, { type: 'problem', vm, problem }] satisfies SessionFrame[])
    return { host, targets, session: { output: ReadableStream.from(frames), input: new WritableStream<SessionInput>(), [Symbol.asyncDispose]: async () => undefined } }
  }
}

/** The frames of a part to their end. If they break off, every VM of it that has not ended is told of: nobody waits for an end that does not come. */
async function* whole({ host, targets, session }: Part): AsyncGenerator<SessionFrame> {
  const begun = new Set<string>()
  const open = new Map(targets.map((target) => [target.vm, target]))
  try {
    for await (const frame of session.output) {
      if (frame.type === 'begin') begun.add(frame.vm)
      if ((frame.type === 'exit' || frame.type === 'problem') && frame.vm !== undefined) open.delete(frame.vm)
      yield frame
    }
  } catch (thrown) {
    const problem: Problem = { code: 'unavailable', message: `the session on host ${host} broke off, and what became of it there is not known`, subject: `host/${host}`, cause: asTtError(thrown).message }
    if (targets.length === 0) yield { type: 'problem', problem }
    for (const { vm, image } of open.values()) {
      if (!begun.has(vm)) yield { type: 'begin', vm, image }
      yield { type: 'problem', vm, problem: { ...problem, subject: `vm/${vm}` } }
    }
  }
}

/** Several parts as one session, each `through` something if that is given. A single one needs no second buffer: the usual case, and the fast one. */
function merged(parts: Part[], early: SessionFrame[], through = (frames: AsyncGenerator<SessionFrame>) => frames): Session {
  const [only] = parts
  if (only && parts.length === 1 && early.length === 0) return { ...only.session, output: asRead(whole(only), () => only.session[Symbol.asyncDispose]()) }
  const sessions = parts.map(({ session }) => session)
  const writers = sessions.map(({ input }) => input.getWriter())
  const dispose = async () => {
    await Promise.allSettled(sessions.map((session) => session[Symbol.asyncDispose]()))
  }
  const out = paced<SessionFrame>({ sizeOf: frameSize, limitBytes: unreadLimitBytes, onCancel: () => work.run('closing', dispose) })
  const work = background(() => undefined)
  early.forEach((frame) => out.tell(frame))
  work.run('merging', async () => {
    const pump = async (one: Part) => {
      for await (const frame of through(whole(one))) await out.send(frame)
    }
    await Promise.all(parts.map(pump))
    out.end()
  })
  return {
    output: out.output,
    input: new WritableStream<SessionInput>({
      async write(frame) {
        await Promise.allSettled(writers.map((writer) => writer.write(frame)))
      },
      async close() {
        await Promise.allSettled(writers.map((writer) => writer.close()))
      },
    }),
    [Symbol.asyncDispose]: dispose,
  }
}

/** Frames as a stream that is only as fast as it is read; `onCancel` must end them. */
const asRead = (frames: AsyncGenerator<SessionFrame>, onCancel: () => PromiseLike<void>): ReadableStream<SessionFrame> =>
  new ReadableStream<SessionFrame>(
    {
      async pull(controller) {
        const step = await frames.next()
        if (step.done) controller.close()
        else controller.enqueue(step.value)
      },
      cancel: onCancel,
    },
    { highWaterMark: 0 },
  )
