import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { test } from 'node:test'
import { plainEffects } from '../../../base/effects.ts'
import { silentLog } from '../../../base/log.ts'
import { realWorld } from '../../../base/world.ts'
import { linkBook } from '../book.ts'
import { type Ground, ground, linkOn, subnet } from '../ground.ts'
import { inNamespace } from '../network.contract.ts'
import { readMachine } from './machine.ts'
import { bridgeOf, tapOf } from './names.ts'
import { nftables } from './nftables.ts'
import { shapeOf, wholeOf } from './shape.ts'

const sh = (command: string, ...args: string[]) => execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
const indexOf = (name: string) => (JSON.parse(sh('ip', '-j', 'link', 'show', 'dev', name)) as { ifindex: number }[])[0]?.ifindex

const it = (what: string, run: (on: Ground) => Promise<void>): unknown =>
  test(`network nftables: ${what}`, { timeout: 60_000 }, async () => {
    const on = ground(nftables)
    try {
      await run(on)
      await (await on.driver()).clear()
    } finally {
      await on.clear()
    }
  })

/** Waits until it is so, some seconds at most. */
async function until(is: () => boolean | Promise<boolean>, what = String(is)): Promise<void> {
  for (let tries = 0; !(await is()); tries++) {
    assert.ok(tries < 100, what)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

const [a, b, c] = [linkOn(0, 0, { owner: 4242 }), linkOn(0, 1), linkOn(1, 0, { denyOutgoing: true })]

await inNamespace(import.meta.url, async () => {
  sh('ip', 'link', 'set', 'dev', 'lo', 'up')
  const trial = ground(nftables)
  const probe = await (await trial.driver()).probe()
  await trial.clear()
  if (!probe.usable) return void test('network nftables: upkeep', { skip: `not usable here: ${probe.why}` }, () => undefined)

  it('what others take away comes back within seconds, with nobody asking for it', async (on) => {
    const warned: object[] = []
    const log = { ...silentLog, warn: (_: string, fields?: object) => void warned.push(fields ?? {}) }
    await using driver = await nftables({ dir: on.dir, mark: on.mark, world: realWorld, effects: plainEffects(), log }, { subnet, bind: '0.0.0.0' })
    const links = [a, { ...b, deny: ['192.0.2.0/24'] }, c]
    await driver.reconcile(links)
    const kept = indexOf(tapOf(on.mark, a.ip))
    const monitors = () => sh('ps', '-o', 'args=', '--ppid', String(process.pid)).split('\n').filter((line) => / monitor /.test(line))
    await until(() => monitors().length === 2)
    await new Promise((resolve) => setTimeout(resolve, 300))
    const whole = shapeOf({ mark: on.mark, subnet }, wholeOf(linkBook(subnet, links)))
    const isWhole = async () => {
      const { elements, disordered, taps } = await readMachine(on.mark)
      return !disordered && [...elements.values()].sort().join() === [...whole.elements.values()].sort().join() && [...taps.values()].every(({ up, bridge }) => up && bridge !== '') && taps.size === 3
    }
    const taken: string[][] = [
      ['nft', 'delete', 'table', 'ip', `tt_${on.mark}`],
      ['nft', 'delete', 'table', 'bridge', `tt_${on.mark}`],
      ['nft', 'flush', 'ruleset'],
      ['nft', 'flush', 'chain', 'ip', `tt_${on.mark}`, 'through'],
      ['ip', 'link', 'delete', 'dev', tapOf(on.mark, b.ip)],
      ['ip', 'link', 'delete', 'dev', bridgeOf(on.mark, c.slice)],
    ]
    for (const [command = '', ...args] of taken) {
      warned.length = 0
      sh(command, ...args)
      await until(async () => warned.length > 0 && (await isWhole()), args.join(' '))
    }
    assert.equal(indexOf(tapOf(on.mark, a.ip)), kept, 'the tap of a running guest was made anew')
    warned.length = 0
    sh('ip', 'tuntap', 'add', 'dev', 'theirs', 'mode', 'tap')
    sh('ip', 'link', 'delete', 'dev', 'theirs')
    await driver.change({ put: [], remove: [b.id] })
    await driver.change({ put: [b], remove: [] })
    await new Promise((resolve) => setTimeout(resolve, 500))
    assert.deepEqual(warned, [], 'what we do ourselves, and what is not ours, is nothing to mend')
    await driver[Symbol.asyncDispose]()
    assert.deepEqual(monitors(), [])
  })

  it('the programs that watch die with a server that is killed, and are started again when they end', async (on) => {
    const program = `const { nftables } = await import(${JSON.stringify(import.meta.resolve('./nftables.ts'))})
      const { plainEffects } = await import(${JSON.stringify(import.meta.resolve('../../../base/effects.ts'))})
      const { realWorld, wakefulness } = await import(${JSON.stringify(import.meta.resolve('../../../base/world.ts'))})
      const { silentLog } = await import(${JSON.stringify(import.meta.resolve('../../../base/log.ts'))})
      const driver = await nftables({ dir: ${JSON.stringify(on.dir)}, mark: ${JSON.stringify(on.mark)}, world: realWorld, effects: plainEffects(), log: silentLog }, { subnet: '10.77.0.0/16', bind: '0.0.0.0' })
      await driver.reconcile([])
      wakefulness()
      console.log('ready')`
    const server = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: ['ignore', 'pipe', 'inherit'] })
    await once(server.stdout, 'data')
    const watching = () => sh('ps', '-eo', 'pid=,ppid=,args=').split('\n').map((line) => line.trim().split(/\s+/)).filter(([, ppid, , word]) => word === 'monitor' || (ppid === String(server.pid) && word === '-o')).filter(([, ppid]) => ppid === String(server.pid))
    await until(() => watching().length === 2)
    const pids = watching().map(([pid]) => pid)
    process.kill(Number(pids[0]), 'SIGKILL')
    await until(() => watching().length === 2 && watching().some(([pid]) => !pids.includes(pid)))
    const last = watching().map(([pid]) => Number(pid))
    server.kill('SIGKILL')
    await until(() => last.every((pid) => !existsSync(`/proc/${pid}`)))
  })
})
