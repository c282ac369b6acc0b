import { chmodSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Effects, plainEffects } from '../../base/effects.ts'
import { silentLog } from '../../base/log.ts'
import { randomHex, realWorld } from '../../base/world.ts'
import { macOf } from '../../model/names.ts'
import type { DriverHome } from '../engine/engine.ts'
import type { Link, NetworkDriver, NetworkFactory, NetworkOptions } from './network.ts'

export const subnet = '10.77.0.0/16'

/** Where one case of the suite runs: a directory and a mark of its own, and the drivers made on them. */
export interface Ground {
  dir: string
  mark: string
  /** One more driver on the same directory, as after a restart of the server. */
  driver(effects?: Effects): Promise<NetworkDriver>
  /** Files in the driver's directory. */
  files(): string[]
  clear(): Promise<void>
}

export function ground(factory: NetworkFactory, options: Partial<NetworkOptions> = {}): Ground {
  const dir = mkdtempSync(join(tmpdir(), 'tt-network-'))
  chmodSync(dir, 0o711) // As a driver's directory is: programs that gave up their rights pass through it.
  const mark = randomHex(realWorld, 3).slice(0, 5)
  const drivers: NetworkDriver[] = []
  return {
    dir,
    mark,
    async driver(effects = plainEffects()) {
      for (const last of drivers.splice(0)) await last[Symbol.asyncDispose]() // A server has one at a time.
      const home: DriverHome = { dir, mark, world: realWorld, effects, log: silentLog }
      const driver = await factory(home, { subnet, bind: '127.0.0.1', ...options })
      drivers.push(driver)
      return driver
    },
    files: () => readdirSync(dir),
    async clear() {
      for (const driver of drivers) await driver[Symbol.asyncDispose]()
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

/** Below the ports the machine gives away by itself, and others for each run. */
const firstPort = 20_000 + (process.pid % 100) * 100

/** A link number `index` of 100 on the slice number `at` of 64, with one public port. */
export function linkOn(at: number, index: number, more: Partial<Link> = {}): Link {
  const ip = `10.77.${at * 4}.${index + 2}`
  return {
    id: `network${at}.${index}`,
    slice: `10.77.${at * 4}.0/22`,
    ip,
    mac: macOf(ip),
    ports: { 22: firstPort + at * 10 + index },
    denyOutgoing: false,
    deny: [],
    peers: [],
    ...more,
  }
}

/** Effects of a server that dies after its effect number `at`: from then on nothing it does reaches the machine. */
export function mortal(at: number) {
  const fate = { dead: false, count: 0 }
  const die = (): never => {
    fate.dead = true
    throw new Error('the server is dead')
  }
  const effects: Effects = {
    get count() {
      return fate.count
    },
    act(_effect, run) {
      if (fate.dead) return die()
      const done = run()
      if (++fate.count !== at) return done
      return done instanceof Promise ? (done.finally(die) as typeof done) : die()
    },
  }
  return { fate, effects }
}
