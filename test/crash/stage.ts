import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type ManualWorld, manualWorld } from '../../src/base/manual-world.ts'
import { type FakeCloud, fakeCloud, type FakeCloudOptions } from '../fake-cloud.ts'
import { audit } from './audit.ts'
import { fileStore } from './file-store.ts'
import { life } from './life.ts'
import { type Machine, machineOf } from './machine.ts'
import type { Ground } from './play.ts'

/** A machine whose servers live and die in this process, in a time of its own: its files stay, everything else goes with each life. */
export interface Stage extends Ground {
  world: ManualWorld
  /** Ends the server in order. */
  stop(): Promise<void>
  /** What lies on the machine now, on the disk; or a look at it that costs less, with what the store has in memory. */
  machine(how?: 'glance'): Machine
}

export type StageOptions = Omit<FakeCloudOptions, 'dir' | 'store' | 'world' | 'effects'> & { seed?: number }

const tickMs = 20

export function stage(dir: string, { seed = 1, ...options }: StageOptions): Stage {
  const world = manualWorld(seed)
  const files = { guests: join(dir, 'engine/guests'), links: join(dir, 'network/links'), volumes: join(dir, 'volume/volumes'), store: join(dir, 'store/store.sqlite') }
  mkdirSync(join(dir, 'store'), { recursive: true })
  let present = life(world)
  let opened: ReturnType<typeof fileStore> | undefined
  let serving: FakeCloud | undefined

  const machine = (how?: 'glance') => machineOf(files, how && opened ? new Map(opened.rows().map(({ key, value }) => [key, value])) : undefined)
  const drop = async () => {
    if (!present.dead) present.kill()
    opened?.leave()
    opened = undefined
    serving = undefined
  }
  const ground: Stage = {
    world,
    wish: new Map(),
    machine,
    drop,
    get dead() {
      return present.dead
    },
    async death() {
      const { kind, verb, subject } = await present.died
      return `${verb} ${kind} ${subject}`
    },
    effects: () => present.effects.count,
    now: () => world.now(),
    ticks: () => world.ticks(),
    wait: (ms) => world.advance(ms),
    async begin(fate) {
      await drop()
      const mine = (present = life(world, fate))
      const { store } = (opened = fileStore(files.store, mine.world))
      // It reads files in real time, so the time of the stage stands still until it is there.
      serving = await Promise.race([fakeCloud({ ...options, dir, store: mine.over(store), world: mine.world, effects: mine.effects }), mine.died.then(() => undefined)])
      return !mine.dead
    },
    cloud: () => serving?.cloud ?? assert.fail('no server lives'),
    async stop() {
      let over = serving === undefined
      const ending = Promise.resolve(serving?.[Symbol.asyncDispose]()).then(() => (over = true))
      // It waits for files it is reading, which takes real time, and hardly for anything else.
      for (let waits = 0; !over; waits++) {
        if (waits > 500) throw new Error('the server does not end')
        await Promise.race([ending, sleep(20)])
        if (!over && waits > 10) await world.advance(100)
      }
      await drop()
    },
    async drive<T>(work: Promise<T>) {
      const heard: { answer?: T; fault?: unknown; over?: true } = {}
      work.then(
        (answer) => Object.assign(heard, { answer, over: true }),
        (fault: unknown) => Object.assign(heard, { fault, over: true }),
      )
      for (let passedMs = 0; !heard.over && !present.dead; passedMs += tickMs) {
        if (passedMs > 60_000) throw new Error('it was not answered within a minute')
        await world.advance(passedMs === 0 ? 0 : tickMs)
      }
      if ('answer' in heard) return { answer: heard.answer as T }
      if (present.dead) return undefined
      throw heard.fault
    },
    async until(wishes, limitMs) {
      const endMs = world.ticks() + limitMs
      for (;;) {
        const { count } = present.effects
        await world.advance(tickMs)
        if (present.dead) return undefined
        const late = world.ticks() >= endMs
        if (present.effects.count !== count && !late) continue // Nothing is final yet, and looking takes longer than doing.
        const judged = (seen: Machine) => wishes.map((wish) => audit(seen, wish, world.now()))
        let faults = judged(machine('glance'))
        if (faults.some((one) => one.length === 0)) faults = judged(machine()) // What counts is what lies on the disk.
        const at = faults.findIndex((one) => one.length === 0)
        if (at >= 0) return wishes[at]
        if (late) throw new Error(`not so after ${limitMs} ms: ${faults.map((one) => one.slice(0, 8).join('; ')).join(' | or: ')}`)
      }
    },
  }
  return ground
}
