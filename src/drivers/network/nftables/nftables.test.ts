import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { type Effects, plainEffects } from '../../../base/effects.ts'
import { silentLog } from '../../../base/log.ts'
import { realWorld } from '../../../base/world.ts'
import { macOf } from '../../../model/names.ts'
import { type Ground, ground, linkOn, subnet } from '../ground.ts'
import { inNamespace, networkContract } from '../network.contract.ts'
import { linkBook } from '../book.ts'
import type { Link } from '../network.ts'
import { readMachine } from './machine.ts'
import { tapOf } from './names.ts'
import { nft } from './nft.ts'
import { nftables } from './nftables.ts'
import { shapeOf, wholeOf } from './shape.ts'

const sh = (command: string, ...args: string[]) => execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
const links = () => sh('ip', '-br', 'link')
const rules = () => sh('nft', 'list', 'ruleset')
const indexOf = (name: string) => (JSON.parse(sh('ip', '-j', 'link', 'show', 'dev', name)) as { ifindex: number }[])[0]?.ifindex
const forwardFile = '/proc/sys/net/ipv4/ip_forward'
const traces = (mark: string) => [...links().split('\n'), ...sh('nft', 'list', 'tables').split('\n')].filter((line) => line.includes(mark))

/** A case on a ground of its own. */
const it = (what: string, run: (on: Ground) => Promise<void>): unknown =>
  test(`network nftables: ${what}`, { timeout: 60_000 }, async () => {
    const on = ground(nftables)
    try {
      await run(on)
      await (await on.driver()).clear()
      assert.deepEqual(traces(on.mark), [])
    } finally {
      await on.clear()
    }
  })

const [a, b, c] = [linkOn(0, 0, { owner: 4242 }), linkOn(0, 1), linkOn(1, 0, { denyOutgoing: true })]

await inNamespace(import.meta.url, async () => {
  sh('ip', 'link', 'set', 'dev', 'lo', 'up')
  if (!(await networkContract({ name: 'nftables', factory: nftables, traces }))) return

  test('nft: of a transaction with one wrong statement nothing holds, be it short or long', async () => {
    await using filter = nft(realWorld)
    await filter.transact(['add table ip words', 'add set ip words s { type ipv4_addr; }'])
    const element = (at: number) => `add element ip words s { 10.0.${at >> 8}.${at & 255} }`
    for (const count of [3, 2000]) {
      const statements = Array.from({ length: count }, (_, at) => (at === count >> 1 ? 'add element ip words nothing { 10.0.0.1 }' : element(at)))
      await assert.rejects(filter.transact(statements), /^Error: nft: No such file or directory.* at "nothing" in "add element ip words …"/)
      await assert.rejects(filter.transact([element(0), 'make table ip words', element(1)]), /nft: syntax error.* in "make …"/)
      assert.ok(!rules().includes('elements'))
      await filter.transact(statements.filter((statement) => !statement.includes('nothing')))
      assert.equal(rules().match(/10\.0\.\d+\.\d+/g)?.length, count - 1)
      await filter.transact(['flush set ip words s'])
    }
    await filter.transact(['delete table ip words'])
    await filter.transact([])
  })

  test('nft: no history is written into a home', async () => {
    const history = join(homedir(), '.nft.history')
    const before = existsSync(history) ? statSync(history).mtimeMs : undefined
    const filter = nft(realWorld)
    await filter.transact(['add table ip words', 'delete table ip words'])
    await filter[Symbol.asyncDispose]()
    assert.equal(existsSync(history) ? statSync(history).mtimeMs : undefined, before)
  })

  it('[E12] 1 VM or 1,000 with ports, lists of what is denied and peers: the number of rules is the same; and a tap belongs to its user', async (on) => {
    const driver = await on.driver()
    await driver.change({ put: [a], remove: [] })
    const count = () => sh('nft', '-j', 'list', 'ruleset').match(/"rule":/g)?.length
    const few = count()
    const lists = [['10.0.0.0/8'], ['10.0.0.0/8'], ['192.0.2.0/24', '198.51.100.7'], []]
    const many = Array.from({ length: 1000 }, (_, at): Link => {
      const ip = `10.77.${4 * (at % 10) + 40}.${2 + Math.floor(at / 10)}`
      const slice = `10.77.${4 * (at % 10) + 40}.0/22`
      return { id: `many.${at}`, slice, ip, mac: macOf(ip), ports: { 22: 30_000 + at, 80: 31_000 + at }, denyOutgoing: at % 3 === 0, deny: lists[at % 4] ?? [], peers: slice === '10.77.40.0/22' ? ['10.77.44.0/22'] : [] }
    })
    await driver.change({ put: many, remove: [] })
    assert.equal(count(), few)
    assert.equal((await driver.inspect()).length, 1001)
    assert.match(sh('ip', '-d', 'link', 'show', 'dev', tapOf(on.mark, a.ip)), /tun type tap .*persist on user 4242/)
  })

  it('[E10] after any changes, one by one, the machine holds what the links ask for, no element more and none less', async (on) => {
    const calm = plainEffects()
    let transactions = 0
    const effects: Effects = {
      get count() {
        return calm.count
      },
      act(effect, run) {
        if (effect.kind === 'nft') transactions++
        return calm.act(effect, run)
      },
    }
    const driver = await on.driver(effects)
    const lists = [[], [], ['10.0.0.0/8'], ['10.0.0.0/8'], ['192.0.2.0/24', '10.77.0.3'], ['0.0.0.0/0', '10.77.4.0/22']]
    let state = 7
    const dice = (sides: number) => (state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0) % 4093 % sides
    const links = new Map<string, Link>()
    for (let round = 0; round < 80; round++) {
      const put = Array.from({ length: 1 + dice(3) }, () => {
        const at = dice(3)
        const peers = [0, 1, 2].filter((other) => other !== at && dice(2) === 0).map((other) => `10.77.${other * 4}.0/22`)
        return linkOn(at, dice(5), { deny: lists[dice(lists.length)] ?? [], denyOutgoing: dice(3) === 0, peers })
      }).filter(({ id }, at, all) => all.findIndex((one) => one.id === id) === at)
      const remove = [...links.keys()].filter((id) => dice(6) === 0 && put.every((link) => link.id !== id))
      transactions = 0
      await driver.change({ put, remove })
      assert.ok(transactions < 2, 'the way from one state to the next was refused, and the machine made to agree as a whole')
      remove.forEach((id) => links.delete(id))
      for (const link of put) {
        links.set(link.id, link)
        for (const one of links.values()) if (one.slice === link.slice) one.peers = link.peers
      }
      const { elements } = await readMachine(on.mark)
      const wanted = shapeOf({ mark: on.mark, subnet }, wholeOf(linkBook(subnet, [...links.values()])))
      assert.deepEqual([...elements.keys()].sort(), [...wanted.elements.keys()].sort(), `round ${round}`)
      for (const [key, text] of wanted.elements) assert.equal(elements.get(key), text)
    }
  })

  it('rules that somebody flushed, a tap that somebody removed and what somebody put in our way: all is set right', async (on) => {
    const driver = await on.driver()
    await driver.reconcile([a, b, c])
    const kept = indexOf(tapOf(on.mark, a.ip))
    sh('nft', 'flush', 'ruleset')
    await driver.change({ put: [linkOn(0, 5)], remove: [] })
    assert.deepEqual(await driver.leaks?.([a, b, c, linkOn(0, 5)]), [])
    assert.equal((await driver.inspect()).length, 4)

    sh('ip', 'link', 'delete', 'dev', tapOf(on.mark, b.ip))
    await driver.change({ put: [b], remove: [] })
    assert.ok(indexOf(tapOf(on.mark, b.ip)))

    const port = linkOn(0, 6).ports[22]!
    sh('nft', 'add', 'element', 'ip', `tt_${on.mark}`, 'public', `{ ${port} : 10.77.0.99 . 1 }`)
    await driver.change({ put: [linkOn(0, 6)], remove: [] })
    assert.match(rules(), new RegExp(`${port} : 10.77.0.8 . 22`))

    sh('nft', 'add', 'chain', 'ip', `tt_${on.mark}`, 'intruder')
    await driver.reconcile([a, b, c])
    assert.ok(!rules().includes('intruder'))
    assert.equal(indexOf(tapOf(on.mark, a.ip)), kept, 'the tap of a running guest was made anew')
    await driver[Symbol.asyncDispose]()

    sh('nft', 'flush', 'ruleset')
    await (await on.driver()).reconcile([a, b, c])
    assert.equal(indexOf(tapOf(on.mark, a.ip)), kept, 'after a flush, the tap of a running guest was made anew')
    assert.equal((await driver.inspect()).length, 3)
  })

  it('each kind of leak is found when one is planted, and removed by reconcile', async (on) => {
    const driver = await on.driver()
    await driver.reconcile([a])
    const table = `tt_${on.mark}`
    const planted: [string, string[], RegExp][] = [
      ['tap', ['ip', 'tuntap', 'add', 'dev', tapOf(on.mark, '10.77.9.9'), 'mode', 'tap'], /no VM has the address 10\.77\.9\.9/],
      ['bridge', ['ip', 'link', 'add', 'name', `tt${on.mark}bzzz`, 'type', 'bridge'], /no VM is behind/],
      ['tap', ['ip', 'link', 'add', 'name', `tt${on.mark}x`, 'type', 'veth'], /neither a tap nor a bridge/],
      ['nft', ['nft', 'add', 'element', 'ip', table, 'deny_out', '{ 10.77.0.77 }'], /no VM explains the element 10\.77\.0\.77/],
      ['nft', ['nft', 'add', 'element', 'ip', table, 'public', '{ 33 : 10.77.0.77 . 5 }'], /no VM explains the element 33 : 10\.77\.0\.77 \. 5/],
      ['nft', ['nft', 'add', 'element', 'bridge', table, 'cards', '{ "x" . 52:54:00:00:00:01 . 10.0.0.1 }'], /no VM explains/],
      ['nft', ['nft', 'add', 'table', 'inet', table], /no table of ours/],
      ['nft', ['nft', 'add', 'set', 'ip', table, 'more', '{ type mark; }'], /not ours/],
    ]
    for (const [kind, [command = '', ...args], why] of planted) {
      assert.deepEqual(await driver.leaks?.([a]), [])
      sh(command, ...args)
      const found = await driver.leaks?.([a])
      assert.deepEqual(found?.map((leak) => leak.kind), [kind], args.join(' '))
      assert.match(found?.[0]?.why ?? '', why)
      assert.match(found?.[0]?.subject ?? '', /\w/)
      await driver.reconcile([a])
    }
    assert.deepEqual(await driver.leaks?.([a]), [])
    const [, ...others] = (await driver.leaks?.([])) ?? []
    assert.deepEqual([...new Set(others.map(({ kind }) => kind))].sort(), driver.features.dhcp ? ['bridge', 'nft', 'process'] : ['bridge', 'nft'])
  })

  it('a change that the machine refuses is told, and taken back', async (on) => {
    let failures = 0
    const calm = plainEffects()
    const effects: Effects = {
      get count() {
        return calm.count
      },
      act(effect, run) {
        if (effect.kind === 'nft' && failures > 0 && failures-- > 0) throw new Error('nft: No buffer space available')
        return calm.act(effect, run)
      },
    }
    const driver = await on.driver(effects)
    await driver.reconcile([a])
    const before = links()
    failures = 2
    await assert.rejects(driver.change({ put: [b, c], remove: [a.id] }), { code: 'failed', message: /network of this machine: nft: No buffer space/ })
    assert.equal(links().replaceAll(/ +/g, ' '), before.replaceAll(/ +/g, ' '))
    assert.deepEqual(await driver.leaks?.([a]), [])
    failures = 1
    await driver.change({ put: [b, c], remove: [a.id] })
    assert.deepEqual((await driver.inspect()).sort(), [b.id, c.id].sort())
    failures = 3
    await assert.rejects(driver.change({ put: [a], remove: [b.id] }), { code: 'failed' })
    await driver.change({ put: [c], remove: [] })
    assert.deepEqual(await driver.leaks?.([b, c]), [])
  })

  it("fault 7: [E11] one element that nft refuses takes the whole change back, names its VM, and leaves other programs' tables as they are", async (on) => {
    const theirs = ['add table ip theirs; add map ip theirs public { type inet_service : ipv4_addr . inet_service; }; add element ip theirs public { 40000 : 10.77.0.2 . 22 }; add chain ip theirs c { type filter hook forward priority 10; }; add rule ip theirs c counter', 'add table inet tt_other; add set inet tt_other s { type ipv4_addr; flags interval; }; add element inet tt_other s { 10.77.0.0/16 }']
    for (const table of theirs) sh('nft', table)
    const foreign = () => sh('nft', 'list', 'table', 'ip', 'theirs') + sh('nft', 'list', 'table', 'inet', 'tt_other')
    const untouched = foreign()
    let broken = 0
    const refused = async () => {
      await using filter = nft(realWorld)
      const element = ({ ip, ports }: Link, inner: number) => `${ports[22]} : ${ip} . ${inner}`
      await filter.transact([`add element ip tt_${on.mark} public { ${element(c, 22)}, ${element(b, 22)}, ${element(b, 99_999)} }`])
    }
    const calm = plainEffects()
    const effects: Effects = {
      get count() {
        return calm.count
      },
      act(effect, run) {
        // What nft would say, said by nft: an element of b is refused.
        if (effect.kind === 'nft' && broken > 0 && broken-- > 0) return refused() as ReturnType<typeof run>
        return calm.act(effect, run)
      },
    }
    const driver = await on.driver(effects)
    await driver.reconcile([a])
    const before = rules()
    broken = 2
    await assert.rejects(driver.change({ put: [b, c], remove: [a.id] }), { code: 'failed', subject: `vm/${b.id}`, message: /nft: .* at ".*" in "add element/ })
    assert.equal(rules(), before)
    assert.deepEqual(await driver.leaks?.([a]), [])
    broken = 2
    await assert.rejects(driver.change({ put: [c], remove: [] }), { code: 'failed', subject: `vm/${c.id}` })
    await driver.change({ put: [b, c], remove: [a.id] })
    await driver.change({ put: [{ ...b, deny: ['10.0.0.0/8'], peers: [c.slice] }], remove: [c.id] })
    await driver.reconcile([c])
    await driver.clear()
    assert.equal(foreign(), untouched)
    for (const table of ['ip theirs', 'inet tt_other']) sh('nft', `delete table ${table}`)
  })

  it('forwarding is turned on with the first link, and given back by the last of our kind', async (on) => {
    writeFileSync(forwardFile, '0')
    const forwarding = () => readFileSync(forwardFile, 'utf8').trim()
    const driver = await on.driver()
    await driver.probe()
    assert.equal(forwarding(), '0')
    await driver.change({ put: [a], remove: [] })
    assert.equal(forwarding(), '1')
    await driver.clear()
    assert.equal(forwarding(), '0')

    await driver.change({ put: [a], remove: [] })
    const other = ground(nftables, { subnet: '10.78.0.0/16' })
    const neighbour = await other.driver()
    const theirs = { ...c, slice: '10.78.4.0/22', ip: '10.78.4.2' }
    await neighbour.change({ put: [theirs], remove: [] })
    await driver.clear()
    assert.equal(forwarding(), '1')
    assert.deepEqual(await neighbour.leaks?.([theirs]), [])
    assert.deepEqual(await neighbour.inspect(), [theirs.id])
    await neighbour.clear()
    await other.clear()
    assert.equal(forwarding(), '1', 'it was on before the last one came')
    assert.deepEqual(on.files(), [])
  })

  it('[E02] the probe tells what is in the way', async (on) => {
    const why = async (options = {}) => {
      const other = ground(nftables, options)
      const probe = await (await other.driver()).probe()
      await other.clear()
      return probe.usable ? '' : probe.why
    }
    sh('ip', 'link', 'add', 'name', 'office', 'type', 'bridge')
    sh('ip', 'address', 'add', '10.77.128.1/20', 'dev', 'office')
    sh('ip', 'link', 'set', 'dev', 'office', 'up')
    assert.match(await why(), new RegExp(`the subnet ${subnet} overlaps the route 10.77.128.0/20 dev office and 2 more of this machine$`))
    assert.equal(await why({ subnet: '10.78.0.0/16' }), '')
    sh('ip', 'link', 'delete', 'dev', 'office')
    const driver = await on.driver()
    await driver.change({ put: [a], remove: [] })
    assert.deepEqual((await driver.probe()).usable, true, 'our own bridges are no clash')
    assert.match(await why(), /overlaps the route 10\.77\.0\.0\/22 dev tt/)
  })

  it('the probe warns of a machine that forwards nothing, and refuses one that may change nothing', async (on) => {
    sh('nft', 'add', 'table', 'ip', 'strict')
    sh('nft', 'add', 'chain', 'ip', 'strict', 'every', '{ type filter hook forward priority 0; policy drop; }')
    const warned: unknown[] = []
    const log = { ...silentLog, warn: (message: string, fields?: object) => void warned.push(message, fields) }
    const driver = await nftables({ dir: on.dir, mark: on.mark, world: realWorld, effects: plainEffects(), log }, { subnet, bind: '0.0.0.0' })
    assert.ok((await driver.probe()).usable)
    assert.match(JSON.stringify(warned), /another chain drops.*ip strict every/)
    sh('nft', 'delete', 'table', 'ip', 'strict')
    warned.length = 0
    await driver.probe()
    assert.deepEqual(warned, [])
    await driver[Symbol.asyncDispose]()

    const probe = `const { probeMachine } = await import(${JSON.stringify(import.meta.resolve('./probe.ts'))})
      console.log(JSON.stringify(await probeMachine({ mark: 'aaaaa' }, { subnet: '10.77.0.0/16' })))`
    const answer = sh('setpriv', '--bounding-set=-net_admin', '--inh-caps=-net_admin', process.execPath, '--input-type=module', '-e', probe)
    assert.match(answer, /"usable":false,"why":"the right to change the network is missing: run as root/)
  })
})
