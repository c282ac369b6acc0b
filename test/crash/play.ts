import type { Cloud } from '../../src/model/cloud.ts'
import { asTtError } from '../../src/model/errors.ts'
import type { Fate } from './life.ts'
import type { Step } from './scenario.ts'
import { type Wish, wishing } from './wish.ts'

/** A machine and the servers that live on it one after the other: in this process, or as processes of their own. */
export interface Ground {
  /** What there is already. */
  wish: Wish
  /** Starts a server; false if it died before it was there. */
  begin(fate?: Fate): Promise<boolean>
  /** What the living server serves. */
  cloud(): Cloud
  /** Whether the server that was begun last is dead, and what it was about to do or had done then. */
  readonly dead: boolean
  death(): Promise<string>
  /** Drops the server where it is, if it still lives. */
  drop(): Promise<void>
  /** Effects of the server that was begun last. */
  effects(): number
  /** The wall clock of its servers, and a time that only grows, in ms. */
  now(): number
  ticks(): number
  /** Lets so much time pass. */
  wait(ms: number): Promise<void>
  /** Lets time pass until the work is done and gives what came of it; undefined if the server died before. */
  drive<T>(work: Promise<T>): Promise<{ answer: T } | undefined>
  /** Lets time pass until one of the wishes holds, and gives it; undefined if the server died on the way, else throws what was not so in the end. */
  until(wishes: readonly Wish[], limitMs: number): Promise<Wish | undefined>
}

/** How a scenario went. */
export interface Played {
  /** Effects of the first life. */
  effects: number
  /** During which step it died, or the last. */
  step: string
  /** It came to its end before its fate. */
  lived: boolean
  deaths: string[]
  /** From the start of the last server until everything was as wanted. */
  recoveryMs: number
}

/** From the start of a server until everything is as it is to be. */
const limitMs = 10_000
/** For each step while nobody dies. */
const stepLimitMs = 30_000

/**
 * Plays the steps with a server for each fate that dies of it and a last one that does not; throws what is not as the user was told, and what is
 * left when everything was deleted.
 */
export async function play(ground: Ground, steps: readonly Step[], fates: readonly Fate[]): Promise<Played> {
  const { wishes, step } = await performed(ground, steps, fates[0])
  const effects = ground.effects()
  const deaths: string[] = []
  const lived = !ground.dead
  let kept = lived ? wishes[0] : undefined
  let recoveryMs = 0
  while (kept === undefined || deaths.length < fates.length) {
    await ground.drop() // One that put everything right before its time had come.
    deaths.push(await ground.death())
    const beganMs = ground.ticks()
    if (!(await ground.begin(fates[deaths.length]))) continue
    kept = await ground.until(wishes, limitMs)
    recoveryMs = ground.ticks() - beganMs
  }
  await cleaned(ground, kept)
  return { effects, step, lived, deaths, recoveryMs }
}

/** Does step after step until the server dies; then both what the last answer promised and what the step in question asks for is right. */
async function performed(ground: Ground, steps: readonly Step[], fate: Fate | undefined): Promise<{ wishes: Wish[]; step: string }> {
  let { wish } = ground
  if (!(await ground.begin(fate))) return { wishes: [wish], step: 'start of the server' }
  for (const step of steps) {
    const next = step.wish(wish, ground.now())
    if (!(await ground.drive(step.act(ground.cloud())))) return { wishes: [wish, next], step: step.name }
    wish = next
    if (step.waitMs !== undefined) await ground.wait(step.waitMs)
    if (ground.dead) return { wishes: [wish], step: step.name }
    if (!step.hurried && !(await ground.until([wish], stepLimitMs))) return { wishes: [wish], step: step.name }
  }
  const rested = await ground.until([wish], stepLimitMs)
  return { wishes: [wish], step: rested ? 'rest' : 'coming to rest' }
}

async function cleaned(ground: Ground, wish: Wish): Promise<void> {
  const envs = ground.cloud().collection('env')
  const gone = (fault: unknown) => (asTtError(fault).code === 'not_found' ? undefined : Promise.reject(fault)) // Its life was over.
  for (const name of wish.keys()) await ground.drive(envs.remove(name).catch(gone))
  await ground.until([[...wish.keys()].reduce((left, name) => wishing(left, name, undefined), wish)], stepLimitMs)
}
