import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { type EnvGround, envGround, firstLine } from './env-ground.ts'

describe('the life of an ENV, by the command line', () => {
  let ground: EnvGround
  before(async () => {
    ground = await envGround()
  })
  after(() => ground[Symbol.asyncDispose]())
  const tt = (...args: string[]) => ground.tt(...args)
  const does = (...args: string[]) => ground.does(...args)
  const names = async (...args: string[]) => ((await ground.json('env', 'list', ...args)) as { envs: { name: string }[] }).envs.map(({ name }) => name)

  it('B01: one VM for each image that begins with a prefix, and what was made is told', async () => {
    const { stdout } = await does('env', 'add', 'two', '--os-prefix=ubuntu2004,centos-7.1')
    assert.match(stdout, /^two is ready: 2 VMs in /)
    assert.match(stdout, /two\.0 +ubuntu2004 +ready/)
    assert.match(stdout, /two\.1 +centos-7\.1 +ready/)
  })

  it('B02: a name in use is refused, and the ENV there is untouched', async () => {
    const there = await ground.env('two')
    const again = await tt('env', 'add', 'two', '-s', 'micro')
    assert.deepEqual([again.code, firstLine(again)], [7, 'tt: there is an ENV two already (exists)'])
    assert.deepEqual(await ground.env('two'), there)
  })

  it('B03: a bad name is refused by its rule', async () => {
    const bad = await tt('env', 'add', 'a.b', '-s', 'micro')
    assert.deepEqual([bad.code, firstLine(bad)], [2, 'tt: "a.b" is not an ENV name: it contains "." (invalid)'])
  })

  it('[B05 B21] list tells name, age, end, VMs and whether it is stopped, and marks what ends soon', async () => {
    await does('env', 'add', 'brief', '-s', 'micro', '-l', '300')
    await does('env', 'stop', 'two')
    const { stdout } = await does('env', 'list')
    assert.match(stdout, /^NAME +STATE +VMS +READY +CREATED +ENDS\n/)
    assert.match(stdout, /\nbrief +ready +1 +1 +.*in 4 min 5\d s !\n/)
    assert.match(stdout, /\ntwo +stopped +2 +0 +.*in 59 min( \d+ s)?\n/)
    assert.doesNotMatch((await does('env', 'list', '--soon', '60')).stdout, /!/)
    assert.equal((await ground.env('brief')).endsSoon, true)
  })

  it('B07: show tells of each VM its image, sizes, address and ports; an unknown name is an error, and the others are shown', async () => {
    const { code, stdout, stderr } = await tt('env', 'show', 'brief', 'nobody', 'two')
    assert.equal(code, 6)
    assert.match(stderr, /there is no ENV "nobody"/)
    assert.match(stdout, /^brief: ready, 1 of 1 VM ready, owner admin, created .*, ends in/)
    assert.match(stdout, /\nbrief\.0 +fake:micro +ready +1 +128 MB +1 GB +\d+\.\d+\.\d+\.\d+ /)
    assert.match(stdout, /\ntwo: stopped, 0 of 2 VMs ready/)
  })

  it('[B10 B11] fault 15: stop gives cpu and memory back and keeps disks, start brings the same VMs back', async () => {
    await does('env', 'add', 'off', '-s', 'micro', '-d', '1', '-p', '80')
    const [running, before] = [await ground.used(), await ground.env('off')]
    await does('env', 'stop', 'off')
    const halted = await ground.used()
    assert.deepEqual([halted.cpu, halted.memMb, halted.diskMb], [running.cpu - 2, running.memMb - 256, running.diskMb])
    assert.ok((await ground.env('off')).vms.every(({ state }) => state === 'stopped'))
    await does('env', 'start', 'off')
    assert.deepEqual(await ground.used(), running)
    const same = ({ vms }: typeof before) => vms.map(({ id, ip, ports }) => [id, ip, ports])
    assert.deepEqual(same(await ground.env('off')), same(before))
  })

  it('B13: stop of a stopped and start of a running ENV are harmless', async () => {
    const used = await ground.used()
    assert.equal((await does('env', 'start', 'off')).stdout, 'off: started already\n')
    await does('env', 'stop', 'off')
    assert.equal((await does('env', 'stop', 'off')).stdout, 'off: stopped already\n')
    await does('env', 'start', 'off')
    assert.deepEqual(await ground.used(), used)
  })

  it('F16: fault 2: several ENVs are named at once, each is reported, and one that is unknown is an error and does not keep the others', async () => {
    const stopped = await tt('env', 'stop', 'off', 'nobody', 'brief')
    assert.deepEqual([stopped.code, stopped.stdout], [6, 'off: stopped\nbrief: stopped\n'])
    const started = await tt('env', 'start', 'nobody', 'off', 'brief')
    assert.deepEqual([started.code, started.stdout], [6, 'off: started\nbrief: started\n'])
    const updated = await tt('env', 'update', 'nobody', 'off', 'brief', '-l', '+3000')
    assert.equal(updated.code, 6)
    assert.match(updated.stdout, /^off: changed.*\n.*\nbrief: changed/)
    assert.match(updated.stderr, /there is no ENV "nobody"/)
  })

  it('B18: fault 13: an end that is over already is refused, and nothing dies of it', async () => {
    await new Promise((resolve) => setTimeout(resolve, 1000))
    const { expires } = await ground.env('off')
    const over = await tt('env', 'update', 'off', '--until', new Date(Date.now() - 60_000).toISOString())
    assert.deepEqual([over.code, (await ground.env('off')).expires], [2, expires])
    assert.match(over.stderr, /which is over already/)
  })

  it('[B17 B19 B22] the default life is an hour, less than 30 s is refused, and more than 6 h without the flag; with it any life is given, and the start never changes', async () => {
    await does('env', 'add', 'usual', '-s', 'micro')
    const { created, expires } = await ground.env('usual')
    assert.equal(Date.parse(expires ?? '') - Date.parse(created), 3_600_000)
    for (const [seconds, why] of [['29', /at least 30 s/], ['21601', /at most 21600 s.*\n.*--SSSS/]] as const) {
      const refused = await tt('env', 'update', 'usual', '-l', seconds)
      assert.equal(refused.code, 2)
      assert.match(refused.stderr, why)
    }
    assert.equal((await tt('env', 'add', 'long', '-s', 'micro', '-l', '7h')).code, 2)
    await does('env', 'add', 'long', '-s', 'micro', '-l', '7h', '--SSSS')
    await does('env', 'update', 'usual', '-l', '30d', '--long-life')
    const after = await ground.env('usual')
    assert.deepEqual([Date.parse(after.expires ?? '') - Date.parse(after.created), after.created], [30 * 86_400_000, created])
    await does('env', 'update', 'usual', '-l', 'never')
    assert.equal((await ground.env('usual')).expires, null)
  })

  it('B20: time can be given from now, until a moment, and beyond the end', async () => {
    const endOf = async () => Date.parse((await ground.env('brief')).expires ?? '')
    const near = (one: number, other: number) => assert.ok(Math.abs(one - other) < 5000, `${new Date(one).toISOString()} is not near ${new Date(other).toISOString()}`)
    await does('env', 'update', 'brief', '-l', '+20m')
    near(await endOf(), Date.now() + 1_200_000)
    const end = await endOf()
    await does('env', 'update', 'brief', '--extend', '10m')
    near(await endOf(), end + 600_000)
    const moment = Date.now() + 7_200_000
    await does('env', 'update', 'brief', '--until', new Date(moment).toISOString())
    near(await endOf(), moment)
  })

  it('B09: del of several ENVs goes on after one fails and reports each', async () => {
    const { code, stdout, stderr } = await tt('env', 'del', 'nobody', 'usual', 'long')
    assert.deepEqual([code, stdout], [6, 'usual: deleted\nlong: deleted\n'])
    assert.match(stderr, /there is no ENV "nobody"/)
    assert.deepEqual(await names(), ['brief', 'off', 'two'])
  })

  it('B08: del gives everything back, to the last megabyte', async () => {
    await does('env', 'del', 'brief', 'off', 'two')
    assert.deepEqual(await ground.used(), { cpu: 0, memMb: 0, diskMb: 0, vms: 0 })
    assert.deepEqual(await names(), [])
    assert.equal((await tt('doctor', '--leaks')).code, 0)
  })

  it('B06: listall tells the owners', async () => {
    await does('env', 'add', 'mine', '-s', 'micro')
    assert.match((await does('env', 'listall')).stdout, /^NAME +OWNER +STATE.*\nmine +admin +ready/)
    assert.deepEqual(((await ground.json('env', 'listall')) as { envs: { name: string; owner: string }[] }).envs.map(({ name, owner }) => [name, owner]), [['mine', 'admin']])
  })
})
