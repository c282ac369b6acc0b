import type { Change, Cloud } from './cloud.ts'
import type { EnvAsked } from './env.ts'
import { type ErrorCode, TtError } from './errors.ts'
import type { Kind, Resource } from './kinds.ts'
import type { Command } from './session.ts'

/**
 * A Cloud on hosts that make VMs at once, fresh for every case and empty of ENVs. Its hosts have the image `image` and room for 10,010 VMs of
 * 1 cpu, 100 MB of memory and 100 MB of disk, all in one group of one ENV; none of them has 1,000,000,000 MB of memory.
 */
export interface CloudUnderTest extends AsyncDisposable {
  cloud: Cloud
  /** The same cloud as another, ordinary user has it; left out where users are not told apart. */
  other?: Cloud
  /** As an admin has it, with accounts for the two users before; left out where there are no accounts. It may be `cloud` itself. */
  admin?: Cloud
  /** As a viewer has it. */
  viewer?: Cloud
  image: string
  /** What guests understand; `echo` prints its arguments and a line end, by default with that name. */
  commands?: Partial<Commands>
}

interface Commands {
  echo(text: string): Command
  exit(code: number): Command
  /** Copies its input to its output until the input ends. */
  copy: Command
  /** Does not end by itself. */
  hang: Command
}

const plainCommands: Commands = {
  echo: (text) => ({ argv: ['echo', text] }),
  exit: (code) => ({ shell: `exit ${code}` }),
  copy: { argv: ['cat'] },
  hang: { shell: 'sleep 1000' },
}

/** What a case of the suites stands on. */
export interface Ground extends Omit<CloudUnderTest, 'commands'> {
  commands: Commands
  /** A spec of so many VMs. */
  asked(count?: number, more?: Partial<EnvAsked>): EnvAsked
  /** Creates an ENV and waits until its VMs are ready. */
  ready(name: string, count?: number): Promise<Resource<'env'>>
}

export async function groundOf(make: () => Promise<CloudUnderTest>): Promise<Ground> {
  const under = await make()
  const { cloud, image } = under
  const asked = (count = 1, more: Partial<EnvAsked> = {}): EnvAsked => ({ groups: [{ image, count, cpu: 1, memMb: 100, diskMb: 100 }], lifetimeSeconds: 21_600, ...more })
  return {
    cloud,
    other: under.other,
    admin: under.admin,
    viewer: under.viewer,
    image,
    commands: { ...plainCommands, ...under.commands },
    asked,
    async ready(name, count) {
      await cloud.collection('env').put(name, { spec: asked(count) })
      return seen(cloud, 'env', (change) => (change.type === 'is' && change.resource.name === name && change.resource.status?.phase === 'ready' ? change.resource : undefined))
    },
    [Symbol.asyncDispose]: () => under[Symbol.asyncDispose](),
  }
}


/** Throws unless the promise is refused with one of these codes, in one line, about this subject. */
export async function refuses(promise: Promise<unknown>, codes: ErrorCode | ErrorCode[], subject?: string): Promise<void> {
  const outcome = await promise.then(
    (value) => ({ value }),
    (thrown: unknown) => ({ thrown }),
  )
  if ('value' in outcome) throw new Error(`not refused with ${String(codes)}: ${JSON.stringify(outcome.value)?.slice(0, 300)}`)
  const { thrown } = outcome
  if (!(thrown instanceof TtError)) throw new Error('refused with what is no TtError', { cause: thrown })
  const { code, message } = thrown
  if (![codes].flat().includes(code)) throw new Error(`refused with ${code} instead of ${String(codes)}: ${message}`, { cause: thrown })
  if (subject !== undefined && thrown.subject !== subject) throw new Error(`refused about ${thrown.subject} instead of ${subject}: ${message}`)
  if (message === '' || message.includes('\n')) throw new Error(`refused with other than one line: ${JSON.stringify(message)}`)
}

/** The first thing a watch tells that `pick` wants. */
export async function seen<K extends Kind, T>(cloud: Cloud, kind: K, pick: (change: Change<K>) => T | undefined): Promise<T> {
  await using watch = watching(cloud, kind)
  return await watch.until(pick)
}

/** A watch that is read step by step. */
export function watching<K extends Kind>(cloud: Cloud, kind: K, under?: string) {
  const controller = new AbortController()
  const steps = cloud.collection(kind).watch({ under }, { signal: controller.signal })[Symbol.asyncIterator]()
  return {
    /** Reads on until `pick` wants what it is told. */
    async until<T>(pick: (change: Change<K>) => T | undefined): Promise<T> {
      for (let step = await steps.next(); !step.done; step = await steps.next()) {
        const picked = pick(step.value)
        if (picked !== undefined) return picked
      }
      throw new Error('the watch has ended')
    },
    async [Symbol.asyncDispose]() {
      controller.abort()
      await steps.return?.()
    },
  }
}
