import { background } from '../base/background.ts'
import { paced } from '../base/paced.ts'
import { asTtError, fail, problemOf } from '../model/errors.ts'
import type { Call } from '../model/call.ts'
import { expand } from '../model/expand.ts'
import { matchesPrefix, vmName } from '../model/names.ts'
import { type EnvRecord, keys, lastPart } from '../model/records.ts'
import { frameSize, type Peer, type Session, type SessionFrame, type SessionInput, type SessionRequest, type Target, unreadLimitBytes, type VmSelection } from '../model/session.ts'
import type { VmSpec } from '../model/vm.ts'
import type { Truth } from './truth.ts'

/** Opens a session on every host that has a part in it and makes one stream of them. */
export async function fanOut(truth: Truth, peer: (host: string) => Peer | undefined, request: SessionRequest, call?: Call): Promise<Session> {
  if (!('vms' in request)) {
    const hosts = hostNames(truth)
    if (hosts.length === 0) fail('unavailable', 'no host is online', { subject: request.type, remedy: 'start a `ttserver`, or see `tt status --server`' })
    return merged(await Promise.all(hosts.map((host) => part(peer, host, { request, targets: [] }, call))), [])
  }
  const vms = selected(truth, request.vms)
  if (request.type === 'console' && vms.length !== 1) fail('invalid', `a console is one VM's, the selection matches ${vms.length}`, { subject: 'console', remedy: 'name one with its index' })
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
  const sessions = await Promise.all([...byHost].map(([host, targets]) => part(peer, host, { request, targets }, call)))
  return merged(sessions, early)
}

const hostNames = (truth: Truth) => truth.presences.entries().map(({ key }) => lastPart(key))

/** The VMs a caller means; `not_found` for an unknown ENV and for a selection that matches nothing, `not_ready` for a stopped ENV. */
function selected(truth: Truth, selection: VmSelection): { env: EnvRecord; vm: VmSpec }[] {
  if (selection.envs.length === 0) fail('invalid', 'no ENV is named')
  const found: { env: EnvRecord; vm: VmSpec }[] = []
  for (const name of new Set(selection.envs)) {
    const env = truth.envs.get(keys.env(name)) ?? fail('not_found', `there is no ENV ${JSON.stringify(name.slice(0, 80))}`, { subject: `env/${name}`, remedy: 'see `tt env list`' })
    if (env.spec.stopped) fail('not_ready', `ENV ${name} is stopped`, { subject: `env/${name}`, remedy: `start it first: \`tt env start ${name}\`` })
    for (const vm of expand(env)) if (matches(vm, selection)) found.push({ env, vm })
  }
  if (found.length === 0) fail('not_found', 'no VM matches the selection', { subject: `env/${selection.envs[0]}`, remedy: 'see `tt env show`' })
  return found
}

function matches(vm: VmSpec, { prefixes, indices }: VmSelection): boolean {
  if (!prefixes?.length && !indices?.length) return true
  return Boolean(prefixes?.some((prefix) => matchesPrefix(vm.image, prefix)) || indices?.includes(vm.index))
}

/** One host's share. A host that cannot be reached answers for its VMs with a problem each: the others go on. */
async function part(peer: (host: string) => Peer | undefined, host: string, { request, targets }: { request: SessionRequest; targets: Target[] }, call?: Call): Promise<Session> {
  try {
    const reached = peer(host) ?? fail('unavailable', `host ${host} is not reachable from here`, { subject: `host/${host}` })
    return await reached.open(request, targets, call)
  } catch (thrown) {
    const problem = problemOf(asTtError(thrown))
    const frames: SessionFrame[] = targets.length === 0 ? [{ type: 'problem', problem }] : targets.flatMap(({ vm, image }) => [{ type: 'begin', vm, image }, { type: 'problem', vm, problem }] satisfies SessionFrame[])
    return { output: ReadableStream.from(frames), input: new WritableStream<SessionInput>(), [Symbol.asyncDispose]: async () => undefined }
  }
}

/** Several sessions as one. A single one is passed through as it is: the usual case, and the fast one. */
function merged(sessions: Session[], early: SessionFrame[]): Session {
  const [only] = sessions
  if (only && sessions.length === 1 && early.length === 0) return only
  const writers = sessions.map(({ input }) => input.getWriter())
  const dispose = async () => {
    await Promise.allSettled(sessions.map((session) => session[Symbol.asyncDispose]()))
  }
  const out = paced<SessionFrame>({ sizeOf: frameSize, limitBytes: unreadLimitBytes, onCancel: () => work.run('closing', dispose) })
  const work = background(() => undefined)
  early.forEach((frame) => out.tell(frame))
  work.run('merging', async () => {
    const pump = async ({ output }: Session) => {
      for await (const frame of output) await out.send(frame)
    }
    await Promise.allSettled(sessions.map(pump))
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
