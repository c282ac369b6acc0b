import { chmodSync, mkdtempSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { plainEffects } from '../src/base/effects.ts'
import { silentLog } from '../src/base/log.ts'
import { runOk } from '../src/base/run.ts'
import { realWorld } from '../src/base/world.ts'
import { linkBook } from '../src/drivers/network/book.ts'
import type { Link } from '../src/drivers/network/network.ts'
import { tableOf } from '../src/drivers/network/nftables/names.ts'
import { nftables } from '../src/drivers/network/nftables/nftables.ts'
import { baseRuleset, elementStatements, noRuleset } from '../src/drivers/network/nftables/ruleset.ts'
import { shapeOf, wholeOf } from '../src/drivers/network/nftables/shape.ts'
import { macOf } from '../src/model/names.ts'
import { type Bench, roundsOf } from './bench.ts'
import { amountFinding, ratioFinding } from './finding.ts'
import { inPairs, inTurn, msOf } from './measure.ts'

const realm = { mark: 'ports', subnet: '10.203.0.0/16' }
const vms = 40
const portsEach = 250

/** What a change costs where very many ports are mapped already, and what it costs to map them all. */
export const tenThousandPorts: Bench = {
  name: 'ten-thousand-ports',
  about: `${vms * portsEach} mapped ports: all from nothing, against a bare nft -f of the same rules and elements; and one more`,
  async run(ground) {
    const dir = mkdtempSync(join(ground.dir, 'ports-'))
    chmodSync(dir, 0o711)
    const home = { dir, mark: realm.mark, world: realWorld, effects: plainEffects(), log: silentLog }
    await using driver = await nftables(home, { subnet: realm.subnet, bind: '127.0.0.1' })
    const links = Array.from({ length: vms }, (_, at) => link(at))
    const file = join(dir, 'bare.nft')
    const { elements } = shapeOf(realm, wholeOf(linkBook(realm.subnet, links)))
    writeFileSync(file, `${[...baseRuleset(realm), ...elementStatements(realm.mark, { removed: [], added: elements })].join('\n')}\n`)
    const empty = join(dir, 'empty.nft')
    writeFileSync(empty, `${noRuleset(realm.mark).join('\n')}\n`)
    const bare = async () => {
      const ms = await msOf(() => runOk(['nft', '-f', file]))
      await runOk(['nft', '-f', empty])
      return ms
    }
    ground.say('all from nothing')
    const rounds = roundsOf(ground, 16)
    const ours = async () => {
      const ms = await msOf(() => driver.reconcile(links))
      await driver.clear()
      return ms
    }
    const whole = await inPairs(ground, { ours, peer: bare }, { rounds })
    ground.say('one change')
    await driver.reconcile(links)
    let next = 0
    const port = await inTurn(ground, roundsOf(ground, 200), () => msOf(() => driver.change({ put: [{ ...link(next % vms), ports: { ...link(next % vms).ports, 1000: 40_000 + next++ } }], remove: [] })))
    const denied = await inTurn(ground, roundsOf(ground, 200), () => msOf(() => driver.change({ put: [{ ...link(next % vms), denyOutgoing: next++ % (2 * vms) < vms }], remove: [] })))
    const bareChange = await inTurn(ground, roundsOf(ground, 60), async () => {
      const outer = 60_000 + (next++ % 5000)
      return msOf(() => runOk(['nft', `add element ip ${tableOf(realm.mark)} public { ${outer} : 10.203.0.2 . 9 } ; add element ip ${tableOf(realm.mark)} open { ${outer} . 10.203.0.2 }`]))
    })
    await driver.clear()
    const side = (what: string, samples: number[]) => ({ what, unit: 'ms' as const, samples })
    const peer = side('two elements added by nft as a program', bareChange)
    return [
      ratioFinding({ name: 'reconcile 10,000 ports from nothing', step: 1.3 }, side(`${vms} cards, bridge, rules, ${elements.size} elements`, whole.ours), side('nft -f of the rules and elements, no cards', whole.peer)),
      amountFinding({ name: 'one port changed among 10,000', step: 2, goal: 1 }, side('one out, one in: four elements', port), { peer }),
      amountFinding({ name: 'one guest denied among 10,000 ports', step: 2, goal: 1 }, side('and allowed again', denied), { peer }),
    ]
  },
}

function link(at: number): Link {
  const ip = `10.203.0.${at + 2}`
  const ports = Object.fromEntries(Array.from({ length: portsEach }, (_, port) => [1000 + port, 20_000 + at * portsEach + port]))
  return { id: `ports.${at}`, slice: '10.203.0.0/24', ip, mac: macOf(ip), ports, denyOutgoing: false, deny: [], peers: [] }
}
