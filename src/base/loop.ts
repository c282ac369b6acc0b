import { inspectable } from './inspect.ts'
import { type Gate, gate } from './queue.ts'
import type { World } from './world.ts'

export interface LoopOptions {
  world: World
  /** What it is called where its state is shown. */
  name?: string
  /** How many keys may be worked on at once; 1 key never runs twice at once. */
  width?: number
  /** A shared limit instead of an own one. */
  gate?: Gate
  /** Waits between tries of a key that fails: the first, doubled each time up to the last. */
  backoffMs?: { first: number; last: number }
  onFault?: (key: string, fault: unknown, tries: number) => void
}

/** What a loop shows of itself. */
export interface LoopState {
  /** Keys that are waiting, running or to be tried again, and those of them in work or at the gate. */
  busy: number
  running: number
  /** Times any key was worked on, and times that failed, since its start. */
  turns: number
  faults: number
  /** The first keys, with the tries that failed in a row and, for one that waits, when it is looked at again. */
  keys: { key: string; tries: number; againMs?: number }[]
}

const shownKeys = 100
/** Timers of more than 24 days overflow, and clocks are set: whoever waits for longer is looked at meanwhile, which harms nobody. */
const longestWaitMs = 6 * 3600 * 1000

interface KeyState {
  again: boolean
  tries: number
  /** By the ticks of the world, while it waits to be looked at again. */
  due?: number
  stopWaiting?: () => void
}

/**
 * Makes what is follow what is wanted, key by key. Level-triggered: a `touch` says only "look again", never what happened; touches of a key
 * that is waiting are one, a touch of a key that is being worked on makes it run once more. What throws is tried again with growing waits.
 * Nothing is remembered that a restart would lose: the owner touches every key when it starts.
 */
export class Loop implements AsyncDisposable {
  readonly #work: (key: string, signal: AbortSignal) => Promise<number | void>
  readonly #options: LoopOptions
  readonly #gate: Gate
  readonly #controller = new AbortController()
  readonly #states = new Map<string, KeyState>()
  readonly #running = new Set<Promise<void>>()
  readonly #shown: Disposable
  #turns = 0
  #faults = 0

  /** `work` looks at one key and acts; a number it returns is "look again in so many ms", or sooner. */
  constructor(work: (key: string, signal: AbortSignal) => Promise<number | void>, options: LoopOptions) {
    this.#work = work
    this.#options = options
    this.#gate = options.gate ?? gate(options.width ?? 1)
    this.#shown = inspectable({ kind: 'loop', name: options.name ?? 'unnamed', state: () => this.#state() })
  }

  /** Looks at the key soon. */
  touch(key: string): void {
    if (this.#controller.signal.aborted) return
    const state = this.#states.get(key)
    if (!state) return this.#start(key, 0)
    if (state.stopWaiting) {
      state.stopWaiting()
      return this.#start(key, state.tries)
    }
    state.again = true
  }

  /** Keys that are waiting, running or to be tried again. */
  get busy(): number {
    return this.#states.size
  }

  #state(): LoopState {
    const now = this.#options.world.ticks()
    const keys = [...this.#states].slice(0, shownKeys).map(([key, { tries, due }]) => ({ key, tries, ...(due === undefined ? {} : { againMs: Math.max(0, Math.round(due - now)) }) }))
    return { busy: this.busy, running: this.#running.size, turns: this.#turns, faults: this.#faults, keys }
  }

  #start(key: string, tries: number): void {
    this.#states.set(key, { again: false, tries })
    const promise: Promise<void> = this.#turn(key).finally(() => this.#running.delete(promise))
    this.#running.add(promise)
  }

  async #turn(key: string): Promise<void> {
    const state = this.#states.get(key)
    if (!state) return
    const { signal } = this.#controller
    try {
      const wait = await this.#gate.pass(() => {
        state.again = false
        this.#turns++
        return this.#work(key, signal)
      }, signal)
      state.tries = 0
      this.#next(key, state, wait ?? undefined)
    } catch (fault) {
      if (signal.aborted) return
      state.tries++
      this.#faults++
      this.#options.onFault?.(key, fault, state.tries)
      const { first, last } = this.#options.backoffMs ?? { first: 100, last: 10_000 }
      this.#next(key, state, Math.min(last, first * 2 ** (state.tries - 1)))
    }
  }

  #next(key: string, state: KeyState, waitMs?: number): void {
    if (this.#controller.signal.aborted) return
    if (state.again && state.tries === 0) return this.#start(key, 0)
    if (waitMs === undefined) {
      this.#states.delete(key)
      return
    }
    const ms = Math.min(waitMs, longestWaitMs)
    state.due = this.#options.world.ticks() + ms
    state.stopWaiting = this.#options.world.after(ms, () => this.#start(key, state.tries))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#shown[Symbol.dispose]()
    this.#controller.abort(new Error('the loop was stopped'))
    for (const state of this.#states.values()) state.stopWaiting?.()
    while (this.#running.size > 0) await Promise.allSettled(this.#running)
    this.#states.clear()
  }
}
