import { tcpAnswer, udpSend } from '../../base/reach.ts'
import { deadline } from '../../base/world.ts'
import { asTtError, fail, reasonOf } from '../../model/errors.ts'
import type { Resource } from '../../model/kinds.ts'
import { realVm } from './guest-features.ts'
import { type Feature, innerPort, skip, type Stage } from './stage.ts'

/** How long an answer may take where there should be one, and how long is waited where there should be none. */
const answerMs = 15_000
const silenceSeconds = 2

/** What goes over the network: from here to guests, among guests, and from guests outwards. */
export const networkFeatures: readonly Feature[] = [
  {
    name: 'ports',
    about: 'a public port is reached from here',
    async run(stage) {
      await realVm(stage)
      for (const vm of await listening(stage, await stage.main())) {
        const place = publicPlace(vm)
        const text = await answered(stage, place)
        if (!text.includes(pageOf(stage, vm))) fail('failed', `${place.host}:${place.port} should lead to ${vm.name} and answers ${JSON.stringify(text.slice(0, 80))}`)
      }
    },
  },
  {
    name: 'udp',
    about: 'a public port takes datagrams too',
    async run(stage) {
      const vm = await featured(stage, 'udp')
      const [first] = await stage.vms(await stage.main())
      if (!first) return
      // Nobody listens there: the guest counts what came for nobody.
      const counted = async () => Number(await stage.sh(vm, "awk '/^Udp:/ && $3 ~ /^[0-9]+$/ { print $3 }' /proc/net/snmp"))
      const before = await counted()
      const place = publicPlace(first)
      await stage.until(async () => {
        await udpSend(place, 'tt').catch((fault: unknown) => fail('failed', `nothing can be sent to ${place.host}:${place.port}: ${reasonOf(fault)}`))
        return (await counted()) > before
      }, `a datagram to ${place.host}:${place.port}`)
    },
  },
  {
    name: 'neighbours',
    about: 'VMs of one ENV reach each other',
    async run(stage) {
      const from = await featured(stage, 'addresses')
      const [, second] = await listening(stage, await stage.main())
      if (!(await reaches(stage, from, directPlace(second)))) fail('failed', `${from} does not reach ${second?.name}`)
    },
  },
  {
    name: 'isolation',
    about: 'VMs of different ENVs do not reach each other',
    async run(stage) {
      await featured(stage, 'isolation')
      const from = await featured(stage, 'addresses')
      const [target] = await listening(stage, await stage.other())
      if (await reaches(stage, from, directPlace(target))) fail('failed', `${from} reaches ${target?.name} of another ENV`)
      await stillThere(stage, target)
    },
  },
  {
    name: 'peers',
    about: 'ENVs that are to talk do, and do not any more afterwards',
    async run(stage) {
      const from = await featured(stage, 'peers')
      const [main, other] = [await stage.main(), await stage.other()]
      const [target] = await listening(stage, other)
      try {
        await Promise.all([stage.change(main.name, { peers: [other.name] }), stage.change(other.name, { peers: [main.name] })])
        if (!(await reaches(stage, from, directPlace(target)))) fail('failed', `${from} does not reach ${target?.name} although their ENVs are peers`)
      } finally {
        await Promise.all([stage.change(main.name, { peers: [] }), stage.change(other.name, { peers: [] })])
      }
      if (await reaches(stage, from, directPlace(target))) fail('failed', `${from} reaches ${target?.name} although their ENVs are no peers any more`)
    },
  },
  {
    name: 'deny-outgoing',
    about: 'a VM that may not begin to talk to the outside cannot',
    async run(stage) {
      const from = await featured(stage, 'denyOutgoing')
      const [target] = await listening(stage, await stage.other())
      const [denied] = await stage.vms(await stage.denied())
      const outside = async (vm: string) => ({ ip: await gatewayOf(stage, vm), port: publicPlace(target).port })
      if (!(await reaches(stage, from, await outside(from)))) fail('failed', `${from} does not reach the public port of ${target?.name}, so nothing can be denied`)
      if (await reaches(stage, denied?.name ?? '', await outside(denied?.name ?? ''))) fail('failed', `${denied?.name} reaches the public port of ${target?.name} although outgoing connections are denied`)
    },
  },
  {
    name: 'deny-list',
    about: 'what is on the list of an ENV cannot be reached, all else can, changed while it runs',
    async run(stage) {
      const from = await featured(stage, 'denyLists')
      const main = await stage.main()
      const [, second] = await listening(stage, main)
      const [target] = await listening(stage, await stage.other())
      const neighbour = directPlace(second)
      const elsewhere = { ip: await gatewayOf(stage, from), port: publicPlace(target).port }
      try {
        await stage.change(main.name, { deny: [neighbour.ip] })
        if (await reaches(stage, from, neighbour)) fail('failed', `${from} reaches ${neighbour.ip}, which is on its list`)
        if (!(await reaches(stage, from, elsewhere))) fail('failed', `${from} does not reach ${elsewhere.ip}, which is not on its list`)
      } finally {
        await stage.change(main.name, { deny: [] })
      }
      if (!(await reaches(stage, from, neighbour))) fail('failed', `${from} does not reach ${neighbour.ip}, which is on its list no more`)
    },
  },
]

const reasons: Record<string, string> = { addresses: 'gives guests no addresses of their own', udp: 'carries no datagrams', isolation: 'does not keep ENVs apart', peers: 'connects no ENVs', denyOutgoing: 'cannot deny outgoing connections', denyLists: 'has no deny lists' }

/** The first VM, where the network driver of its host has the feature. */
async function featured(stage: Stage, feature: string): Promise<string> {
  const vm = await realVm(stage)
  const [first] = await stage.vms(await stage.main())
  if (!first) return vm
  const { network, networkFeatures: has = {} } = await stage.hostOf(first)
  if (has[feature] !== true) skip(`the network driver ${network} of ${first.status?.host} ${reasons[feature] ?? `has no ${feature}`}`)
  return vm
}

const pageOf = ({ name }: Stage, vm: Pick<Resource<'vm'>, 'name'>) => `${name} in ${vm.name}`
const serving = new WeakMap<Stage, Map<string, Promise<unknown>>>()

/** The VMs of an ENV, each with a page on its inner port that says which it is. A guest that was started anew serves anew. */
async function listening(stage: Stage, env: Resource<'env'>): Promise<Resource<'vm'>[]> {
  const vms = await stage.vms(env)
  const known = serving.get(stage) ?? new Map<string, Promise<unknown>>()
  serving.set(stage, known)
  const serve = (vm: Resource<'vm'>) => stage.sh(vm.name, `mkdir -p /tmp/tt-selftest && echo '${pageOf(stage, vm)}' > /tmp/tt-selftest/index.html && httpd -p ${innerPort} -h /tmp/tt-selftest`)
  await Promise.all(
    vms.map((vm) => {
      const begun = known.get(vm.name) ?? serve(vm)
      known.set(vm.name, begun)
      return begun
    }),
  )
  return vms
}

function publicPlace(vm: Resource<'vm'> | undefined): { host: string; port: number } {
  const port = vm?.status?.ports[innerPort]
  if (!vm?.status?.address || port === undefined) fail('failed', `${vm?.name ?? 'the VM'} has no public port for ${innerPort}`)
  return { host: vm.status.address, port }
}

function directPlace(vm: Resource<'vm'> | undefined): { ip: string; port: number } {
  return { ip: vm?.status?.ip ?? fail('failed', `${vm?.name ?? 'the VM'} has no address`), port: innerPort }
}

/** Asks for the page, again and again while nobody answers. */
async function answered({ terminal, call }: Stage, { host, port }: { host: string; port: number }): Promise<string> {
  const { world } = terminal
  const end = world.ticks() + answerMs
  for (;;) {
    using limit = deadline(world, silenceSeconds * 1000, call.signal)
    try {
      const text = await tcpAnswer({ host, port }, 'GET / HTTP/1.0\r\n\r\n', limit.signal)
      if (text !== '') return text
    } catch (fault) {
      if (call.signal?.aborted) throw asTtError(call.signal.reason)
      if (world.ticks() > end) fail('unavailable', `${host}:${port} is not reached from here: ${reasonOf(fault)}`, { remedy: 'see that nothing between here and the host filters it, and that the server was told its --public-address' })
    }
    await world.sleep(200, call.signal)
  }
}

/** Whether a guest gets the page of another. */
async function reaches(stage: Stage, vm: string, { ip, port }: { ip: string; port: number }): Promise<boolean> {
  const out = await stage.sh(vm, `timeout ${silenceSeconds} wget -q -O - http://${ip}:${port}/ 2>/dev/null || true`)
  return out.includes(stage.name)
}

/** That nobody is reached is worth something only if there is somebody. */
async function stillThere(stage: Stage, vm: Resource<'vm'> | undefined): Promise<void> {
  if (!(await answered(stage, publicPlace(vm))).includes(stage.name)) fail('failed', `${vm?.name} does not serve its page`)
}

async function gatewayOf(stage: Stage, vm: string): Promise<string> {
  const ip = (await stage.sh(vm, "ip route | sed -n 's/^default via \\([0-9.]*\\).*/\\1/p' | head -n 1")).trim()
  return ip === '' ? fail('failed', `${vm} has no default route`) : ip
}
