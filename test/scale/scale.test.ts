import assert from 'node:assert/strict'
import { after, before, test, type TestContext } from 'node:test'
import { type Said, type ServerGround, serverGround } from '../e2e/ground.ts'

const flags = ['--engine', 'fake', '--cpu-total', '30000', '--mem-total', '3000000', '--disk-total', '30000000', '--vms-max', '20000', '--subnet', '10.77.0.0/16', '--port-range', '30000-49999']

interface Vm {
  name: string
  index: number
  state: string
  ip: string
  mac: string
  ports: Record<string, number>
}

let server: ServerGround
before(async () => {
  server = serverGround(flags)
  await server.start()
})
after(() => server[Symbol.asyncDispose]())

/** Its VMs as the client shows them; each one, with a place of its own. */
async function vmsOf(env: string, count: number, ports: number[]): Promise<Vm[]> {
  const { envs } = (await server.json('env', 'show', env)) as { envs: { vms: Vm[] }[] }
  const vms = envs[0]?.vms ?? []
  assert.equal(vms.length, count, 'every VM is in the answer')
  const distinct = (values: unknown[]) => new Set(values).size
  for (const field of ['name', 'index', 'ip', 'mac'] as const) assert.equal(distinct(vms.map((vm) => vm[field])), count, `no two VMs have the same ${field}`)
  assert.ok(vms.every((vm) => String(Object.keys(vm.ports)) === String(ports)), 'every VM has its ports')
  assert.equal(distinct(vms.flatMap((vm) => Object.values(vm.ports))), count * ports.length, 'no two have the same public port')
  return vms
}

const used = async () => ((await server.json('status', '--server')) as { hosts: { used: object }[] }).hosts[0]?.used
const done = (said: Said, what: string) => assert.equal(said.code, 0, `${what}: ${said.stderr.slice(0, 2000)}`)
/** Lines that name a VM of the ENV. */
const linesWith = ({ stdout }: Said, env: string) => stdout.split('\n').filter((line) => new RegExp(`\\b${env}\\.\\d+\\b`).test(line)).length

test('H18, fault 22, fault 31: 400 VMs with two ports each in one ENV, through the client', { timeout: 120_000 }, (context) => wholeLife(context, 400, [80, 443]))
test('N03, fault 31: 2,000 VMs in one ENV, through the client', { timeout: 120_000 }, (context) => wholeLife(context, 2000, [80]))
test('N03 [H18], fault 31: 10,000 VMs in one ENV, through the client', { timeout: 240_000 }, (context) => wholeLife(context, 10_000, []))

/** Made, listed, shown, run in, stopped, started, 100 taken out, deleted: every answer is complete, and everything is given back. */
async function wholeLife(context: TestContext, count: number, ports: number[]): Promise<void> {
  const times: string[] = []
  const timed = async <T>(what: string, work: Promise<T>): Promise<T> => {
    const began = performance.now()
    const result = await work
    times.push(`${what} ${((performance.now() - began) / 1000).toFixed(1)} s`)
    return result
  }
  const nothing = await used()
  const size = ['-C', '1', '-M', '128', '-D', '200']
  done(await timed('add', server.tt('env', 'add', 'big', '-s', 'micro', '-d', String(count - 1), ...size, ...(ports.length > 0 ? ['-p', ports.join(',')] : []))), 'add')
  assert.deepEqual(await used(), { cpu: count, memMb: count * 128, diskMb: count * 200, vms: count })

  const list = await timed('list', server.tt('env', 'list'))
  assert.match(list.stdout, new RegExp(`\\bbig\\b.*\\b${count}\\b`))
  const shown = await timed('show', server.tt('env', 'show', 'big'))
  assert.equal(linesWith(shown, 'big'), count, 'show has a line for each VM')
  const before = await timed('show --json', vmsOf('big', count, ports))
  assert.ok(before.every(({ state }) => state === 'ready'))

  if (count <= 2000) {
    const ran = await timed('run', server.tt('env', 'run', 'big', '--cmd', 'hostname', '--json'))
    done(ran, 'run')
    const { results } = JSON.parse(ran.stdout) as { results: { vm: string; code: number; stdout: string }[] }
    assert.equal(results.length, count)
    assert.equal(new Set(results.map(({ stdout }) => stdout)).size, count, 'every VM has answered for itself')
    assert.ok(results.every(({ code }) => code === 0))
  }

  done(await timed('stop', server.tt('env', 'stop', 'big')), 'stop')
  assert.deepEqual(await used(), { cpu: 0, memMb: 0, diskMb: count * 200, vms: count }, 'what is stopped keeps its disks')
  done(await timed('start', server.tt('env', 'start', 'big')), 'start')
  const places = (vms: Vm[]) => vms.map(({ index, ip, mac, ports: given }) => ({ index, ip, mac, given }))
  assert.deepEqual(places(await vmsOf('big', count, ports)), places(before), 'addresses and ports have stayed')

  const out = Array.from({ length: 100 }, (_, at) => at * Math.floor(count / 100))
  done(await timed('kick of 100', server.tt('env', 'update', 'big', '--kick-vm', out.join(','))), 'kick')
  assert.deepEqual(await used(), { cpu: count - 100, memMb: (count - 100) * 128, diskMb: (count - 100) * 200, vms: count - 100 })
  const left = await vmsOf('big', count - 100, ports)
  assert.ok(left.every(({ index, state }) => !out.includes(index) && state === 'ready'))
  assert.deepEqual(places(left), places(before.filter(({ index }) => !out.includes(index))), 'the others are where they were')

  done(await timed('del', server.tt('env', 'del', 'big')), 'del')
  assert.deepEqual(await used(), nothing)
  const { envs } = (await server.json('env', 'list')) as { envs: unknown[] }
  assert.deepEqual(envs, [])
  done(await server.tt('doctor', '--leaks'), 'leaks')
  context.diagnostic(times.join(', '))
}
