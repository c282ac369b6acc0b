import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import type { DriverHome } from '../../engine/engine.ts'
import { bridgeCommands, iproute, raiseCommand, removeCommands, tapCommands } from './iproute.ts'
import { doomedGroup, tableOf } from './names.ts'
import { nft } from './nft.ts'
import { elementStatements } from './ruleset.ts'
import type { Steps } from './shape.ts'

/** Changes the machine. Each thing it does is an effect, and may fail half way: what then holds is to be read from the machine. */
export interface Hands extends AsyncDisposable {
  /** Takes the steps; `before` are statements for the same transaction as the elements. */
  take(steps: Steps, before?: readonly string[]): Promise<void>
  transact(statements: readonly string[]): Promise<void>
  remove(interfaces: readonly string[]): Promise<void>
  /** After others may have changed interfaces: `ip` keeps the numbers of those it met by name, and would go on with one that is gone. */
  forget(): Promise<void>
}

export function hands({ dir, mark, world, effects }: DriverHome): Hands {
  let ip = iproute(world)
  const filter = nft(world, dir)
  const ipv6 = existsSync('/proc/sys/net/ipv6')

  /** In parts, so that each has its own time to answer and nothing more is done after one that failed. */
  const tell = async (commands: readonly string[]) => {
    for (let at = 0; at < commands.length; at += 500) await ip.send(commands.slice(at, at + 500))
  }
  const transact = async (statements: readonly string[]) => {
    if (statements.length === 0) return
    await effects.act({ kind: 'nft', verb: 'change', subject: tableOf(mark) }, () => filter.transact(statements))
  }
  const remove = async (names: readonly string[]) => {
    if (names.length === 0) return
    await effects.act({ kind: 'tap', verb: 'remove', subject: subjectOf(names) }, async () => {
      for (const part of removeCommands(names, doomedGroup(mark))) await ip.send(part)
    })
  }
  /**
   * Lets answers to 127.0.0.1 in; the rules keep guests from misusing it. And answers for whatever the machine has a way to: guests prepared for the original system
   * take all of 10.0.0.0/8 for their wire and 10.0.0.1 for their gateway, and reach what others reach.
   */
  const openBridge = (bridge: string) => {
    for (const name of ['route_localnet', 'proxy_arp']) {
      const file = `/proc/sys/net/ipv4/conf/${bridge}/${name}`
      if (readFileSync(file, 'utf8').trim() === '1') continue
      effects.act({ kind: 'sysctl', verb: 'change', subject: file }, () => writeFileSync(file, '1'))
    }
  }

  const interfaces = async ({ bridges, taps }: Steps) => {
    if (bridges.length > 0) {
      const names = bridges.map(({ name }) => name)
      await effects.act({ kind: 'bridge', verb: 'make', subject: subjectOf(names) }, () => tell(bridges.flatMap((one) => bridgeCommands(one, ipv6))))
      names.forEach(openBridge)
    }
    if (taps.length === 0) return
    const names = taps.map(({ name }) => name)
    await effects.act({ kind: 'tap', verb: 'make', subject: subjectOf(names) }, () => tell(taps.flatMap((one) => tapCommands(one, ipv6))))
  }

  return {
    transact,
    remove,
    async forget() {
      await ip[Symbol.asyncDispose]()
      ip = iproute(world)
    },
    async take(steps, before = []) {
      const { taps } = steps
      await remove(steps.replace)
      // Rules know interfaces by name and do not mind whether they are there yet.
      await both(transact([...before, ...elementStatements(mark, steps)]), interfaces(steps))
      // Last, so that no guest says a word before the rules about it hold.
      const names = taps.map(({ name }) => name)
      if (taps.length > 0)
        await effects.act({ kind: 'tap', verb: 'change', subject: subjectOf(names) }, () => tell(names.map(raiseCommand)))
      await remove(steps.remove)
    },
    async [Symbol.asyncDispose]() {
      await ip[Symbol.asyncDispose]()
      await filter[Symbol.asyncDispose]()
    },
  }
}

/** Waits for the end of both, whatever becomes of them, and then says what went wrong with the first that did. */
export async function both(...works: Promise<void>[]): Promise<void> {
  await Promise.allSettled(works)
  await Promise.all(works)
}

/** For the journal: the names themselves while they are few, for all of them follow from the mark. */
const subjectOf = (names: readonly string[]) => (names.length <= 4 ? names.join(' ') : `${names.slice(0, 3).join(' ')} and ${names.length - 3} more`)
