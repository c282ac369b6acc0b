import assert from 'node:assert/strict'
import { after, before, describe, it, test } from 'node:test'
import { type EnvGround, envGround, firstLine } from './env-ground.ts'

const small = ['--engine', 'fake', '--cpu-total', '100', '--mem-total', '20000', '--disk-total', '200000']

describe('changes of an ENV, by the command line', () => {
  let ground: EnvGround
  before(async () => {
    ground = await envGround(small)
    await ground.does('env', 'add', 'web', '-s', 'micro', '-d', '2', '-p', '80,443')
  })
  after(() => ground[Symbol.asyncDispose]())
  const update = (...flags: string[]) => ground.does('env', 'update', 'web', ...flags)
  const refused = async (...flags: string[]) => {
    const before = [await ground.env('web'), await ground.used()]
    const said = await ground.tt('env', 'update', 'web', ...flags)
    assert.deepEqual([await ground.env('web'), await ground.used()], before, 'what is refused changes nothing')
    return `${said.code} ${firstLine(said)}`
  }
  const vms = async () => (await ground.env('web')).vms
  const inner = async () => (await vms()).map(({ ports }) => Object.keys(ports).join(' '))

  it('E06: --vm-port replaces the whole set while the ENV runs, and holds when the command ends', async () => {
    const before = await vms()
    const { stdout } = await update('-p', '443,8080')
    assert.match(stdout, /^web: changed, ends in .*\n {2}~ fake:micro ports 80, 443 -> 443, 8080\n$/)
    assert.deepEqual(await inner(), ['443 8080', '443 8080', '443 8080'])
    assert.deepEqual((await vms()).map(({ id, state }) => [id, state]), before.map(({ id }) => [id, 'ready']))
    await update('-m', '1', '-p', '22,9000')
    assert.deepEqual(await inner(), ['443 8080', '22 9000', '443 8080'])
    await update('--no-vm-port')
    assert.deepEqual(await inner(), ['', '', ''])
  })

  it('E08: fault 4: -n and -y switch outgoing connections, each alone, for all and for single VMs; both are an error', async () => {
    const denied = async () => (await vms()).map(({ denyOutgoing }) => denyOutgoing)
    await update('-n')
    assert.deepEqual(await denied(), [true, true, true])
    await update('-y', '-m', '2')
    assert.deepEqual(await denied(), [true, true, false])
    await update('-y')
    assert.deepEqual(await denied(), [false, false, false])
    assert.match(await refused('-n', '-y'), /^2 tt: either --deny-outgoing or --allow-outgoing/)
  })

  it('a VM that is added while outgoing connections are denied comes with that', async () => {
    await update('-n', '--count', '4')
    assert.deepEqual((await vms()).map(({ denyOutgoing, state }) => [denyOutgoing, state]), Array(4).fill([true, 'ready']))
    await update('-y', '--count', '3')
  })

  it('deny lists grow and shrink, for all and for single VMs', async () => {
    await update('--deny', '10.0.0.0/8')
    await update('--deny', '192.0.2.1', '-m', '0')
    assert.deepEqual((await vms()).map(({ deny }) => deny), [['10.0.0.0/8', '192.0.2.1'], ['10.0.0.0/8'], ['10.0.0.0/8']])
    assert.match((await ground.does('env', 'show', 'web')).stdout, /may not reach 10\.0\.0\.0\/8\n {2}web\.0: may not reach 10\.0\.0\.0\/8 192\.0\.2\.1\n/)
    assert.match(await refused('--no-deny', '172.16.0.0/12'), /^6 tt: .*172\.16\.0\.0\/12, which is not in its list/)
    await update('--no-deny', 'all')
    assert.deepEqual((await vms()).map(({ deny }) => deny), [[], [], []])
  })

  it('D04: fault 3: each size changes alone, when the ENV is stopped, and is there at the next start', async () => {
    for (const flag of ['-C', '-M', '-D']) assert.match(await refused(flag, '2000'), flag === '-C' ? /^(2|13) / : /^13 tt: .* while its VMs run/)
    const advice = await ground.tt('env', 'update', 'web', '-M', '256')
    assert.match(advice.stderr, /stop it first: `tt env stop web`/)
    await ground.does('env', 'stop', 'web')
    for (const [flag, value] of [['-C', '2'], ['-M', '256'], ['-D', '2048']] as const) await update(flag, value)
    await ground.does('env', 'start', 'web')
    assert.deepEqual((await vms()).map(({ cpu, memMb, diskMb, state }) => [cpu, memMb, diskMb, state]), Array(3).fill([2, 256, 2048, 'ready']))
    assert.deepEqual(await ground.used(), { cpu: 6, memMb: 768, diskMb: 6144, vms: 3 })
  })

  it('D05: a size that does not fit, or a smaller disk, is refused and changes nothing', async () => {
    await ground.does('env', 'stop', 'web')
    assert.match(await refused('-M', '20001'), /^11 tt: .*one VM of fake:micro wants 19\.5 GB of memory, the largest host has 19\.5 GB/)
    assert.match(await refused('-D', '1024'), /^2 tt: .*a disk cannot shrink from 2 GB to 1 GB/)
    assert.match(await refused('--flavor', 'm1.xlarge', '--count', '9'), /^11 /)
    await ground.does('env', 'start', 'web')
  })

  it('[G03 G04] --kick-vm takes out just those, and their resources come back at once', async () => {
    assert.equal((await update('--kick-vm', '1')).stdout.split('\n')[1], '  - VM 1 taken out')
    assert.deepEqual((await vms()).map(({ name }) => name), ['web.0', 'web.2'])
    assert.deepEqual(await ground.used(), { cpu: 4, memMb: 512, diskMb: 4096, vms: 2 })
  })

  it('G05: fault 1: an unknown VM or image is an error that names it, and nobody is taken out', async () => {
    assert.match(await refused('--kick-vm', '0,7'), /^6 tt: there is no VM web\.7; none was taken out of web/)
    assert.match(await refused('--kick-vm', '1'), /^6 tt: there is no VM web\.1/)
    assert.match(await refused('--kick-os', 'windows'), /^6 tt: no VM of ENV web has an image that begins with "windows"/)
  })

  it('[G02 B23] --kick-os takes out all VMs of the image; an ENV without any stays until it ends', async () => {
    await update('--kick-os', 'MIC')
    assert.match((await ground.does('env', 'show', 'web')).stdout, /^web: ready, 0 of 0 VMs ready.*\n\nIt has no VMs\.\n$/)
    assert.deepEqual(await ground.used(), { cpu: 0, memMb: 0, diskMb: 0, vms: 0 })
    await update('--count', '2')
    assert.deepEqual((await vms()).map(({ name, state }) => [name, state]), [['web.3', 'ready'], ['web.4', 'ready']])
  })

  it('several changes of one call are one: if one of them cannot be made, none is', async () => {
    assert.match(await refused('-l', '+1h', '-p', '80', '--kick-vm', '99'), /^6 /)
    assert.match(await refused('-p', '80', '-M', '256', '-C', '1'), /^13 /)
    const { stdout } = await update('-l', '+2h', '-p', '80', '--kick-vm', '3', '-n')
    assert.match(stdout, /^web: changed, ends in (2 h|1 h 59 min); 1 VM taken out\n {2}~ life .*\n {2}~ outgoing connections allowed -> denied\n {2}~ fake:micro ports none -> 80\n {2}- VM 3 taken out\n$/)
  })
})

test('[G01] fault 10: --kick-dead takes out exactly the silent VMs: who answers stays, and so does who is still booting', { timeout: 60_000 }, async () => {
  await using ground = await envGround([...small, '--drivers', JSON.stringify({ engine: { fake: { silent: ['*.1', '*.4'], bootMs: 1500 } } })])
  const kick = ['env', 'update', 'one', 'two', '--kick-dead', '--time-out', '0.5']
  await Promise.all(['one', 'two'].map((name) => ground.does('env', 'add', name, '-s', 'micro', '-d', name === 'one' ? '4' : '0')))
  await ground.does('env', 'update', 'one', '--count', '7', '--no-wait')
  const { stdout } = await ground.does(...kick)
  assert.match(stdout, /^one: changed, .*; 2 VMs taken out\n {2}- VM 1, 4 taken out\ntwo: unchanged, .*; no VM is dead\n$/)
  assert.deepEqual((await ground.env('one')).vms.map(({ name, state }) => [name, state]), ['one.0', 'one.2', 'one.3', 'one.5', 'one.6'].map((name) => [name, 'ready']))
  assert.match((await ground.does(...kick)).stdout, /^one: unchanged.*no VM is dead\n/)
})

test('B14: a stop right after a start is refused, with what remains to wait', { timeout: 60_000 }, async () => {
  await using ground = await envGround([...small, '--power-interval', '20'])
  await ground.does('env', 'add', 'web', '-s', 'micro')
  await ground.does('env', 'stop', 'web')
  const early = await ground.tt('env', 'start', 'web')
  assert.deepEqual([early.code, /ENV web was stopped or started a moment ago: wait \d+ s \(not_ready\)\n.*20 s/.test(early.stderr)], [13, true], early.stderr)
  assert.equal((await ground.does('env', 'stop', 'web')).stdout, 'web: stopped already\n', 'what changes nothing is no operation')
})
