import { mkdtempSync } from 'node:fs'
import { join } from 'node:path'
import { plainEffects } from '../src/base/effects.ts'
import { silentLog } from '../src/base/log.ts'
import { runOk } from '../src/base/run.ts'
import { realWorld } from '../src/base/world.ts'
import type { Link } from '../src/drivers/network/network.ts'
import { bridgeOf, tableOf } from '../src/drivers/network/nftables/names.ts'
import { nftables } from '../src/drivers/network/nftables/nftables.ts'
import { type Bench, roundsOf } from './bench.ts'
import { ratioFinding } from './finding.ts'
import { inPairs, msOf } from './measure.ts'

const mark = 'bench'
const subnet = '10.202.0.0/16'

/** A VM joins and leaves a network others are on: one tap, its rules; by our driver, and by the programs a script would call. */
export const oneLink: Bench = {
  name: 'one-link',
  about: 'a card joins and leaves a network, against ip and nft as programs',
  async run(ground) {
    const home = { dir: mkdtempSync(join(ground.dir, 'network-')), mark, world: realWorld, effects: plainEffects(), log: silentLog }
    await using driver = await nftables(home, { subnet, bind: '127.0.0.1' })
    await driver.change({ put: [link(0)], remove: [] })
    const removal = { ours: [] as number[], peer: [] as number[] }
    const addition = await inPairs(
      ground,
      {
        async ours(round) {
          const put = link(10 + round)
          const ms = await msOf(() => driver.change({ put: [put], remove: [] }))
          removal.ours.push(await msOf(() => driver.change({ put: [], remove: [put.id] })))
          return ms
        },
        async peer(round) {
          const ms = await msOf(() => addByPrograms(round))
          removal.peer.push(await msOf(() => removeByPrograms(round)))
          return ms
        },
      },
      { rounds: roundsOf(ground, 60) },
    )
    await driver.clear()
    const side = (what: string, samples: number[]) => ({ what, unit: 'ms' as const, samples })
    return [
      ratioFinding({ name: 'a card joins a network' }, side('tap, bridge port, nft elements, up', addition.ours), side('the same by ip, ip, nft and ip', addition.peer)),
      ratioFinding({ name: 'a card leaves a network' }, side('nft elements, tap', removal.ours.slice(1)), side('the same by nft and ip', removal.peer.slice(1))),
    ]
  },
}

const link = (number: number): Link => ({
  id: `bench.${number}`,
  slice: '10.202.0.0/24',
  ip: `10.202.0.${number + 2}`,
  mac: `52:54:00:ca:00:${(number + 2).toString(16).padStart(2, '0')}`,
  ports: { 22: 42_000 + number },
  denyOutgoing: false,
  deny: [],
  peers: [],
})

/** Joins the bridge and the sets of the driver, whose names say what they are: this is what it would do, done by hand. */
async function addByPrograms(number: number): Promise<void> {
  const { tap, bridge, table, elements } = byHand(number)
  await runOk(['ip', 'tuntap', 'add', 'dev', tap, 'mode', 'tap'])
  await runOk(['ip', 'link', 'set', 'dev', tap, 'master', bridge])
  await runOk(['nft', `add element ${table} ${elements.join(` ; add element ${table} `)}`])
  await runOk(['ip', 'link', 'set', 'dev', tap, 'up'])
}

async function removeByPrograms(number: number): Promise<void> {
  const { tap, table, elements } = byHand(number)
  await runOk(['nft', `delete element ${table} ${elements.join(` ; delete element ${table} `)}`])
  await runOk(['ip', 'link', 'delete', 'dev', tap])
}

function byHand(number: number) {
  const outer = 43_000 + number
  const ip = `10.202.0.${number + 130}`
  return { tap: `byhand${number + 1}`, bridge: bridgeOf(mark, '10.202.0.0/24'), table: `ip ${tableOf(mark)}`, elements: [`public { ${outer} : ${ip} . 22 }`, `open { ${outer} . ${ip} }`] }
}
