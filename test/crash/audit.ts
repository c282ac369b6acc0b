import type { Machine } from './machine.ts'
import { type Sum, sumOf, type Wish, type WishedEnv } from './wish.ts'

interface EnvRow {
  uid: string
  owner: string
  created: string
  removing?: string
  spec: { stopped: boolean; lifetimeSeconds: number | null }
}
interface PhaseRow {
  uid: string
  phase: string
  released?: boolean
}
interface VmRow {
  state: string
  slice: string
  ip: string
  mac: string
  ports: Record<string, number>
}

/**
 * Whether the machine and the store hold exactly what is wished, everything in its final state: one line for each thing that is not so. An ENV whose
 * life is over must be gone, or halted.
 */
export function audit(machine: Machine, wish: Wish, nowMs: number): string[] {
  const found: string[] = []
  const below = <T>(prefix: string) => new Map([...machine.store].flatMap(([key, value]) => (key.startsWith(prefix) ? [[key.slice(prefix.length), value as T] as const] : [])))
  const envs = below<EnvRow>('desired/env/')
  const phases = below<PhaseRow>('desired/phase/')
  const claims = below<{ host: string }>('claim/vm/')
  const vms = below<VmRow>('actual/vm/')
  const wanted = new Map<string, { name: string; made: boolean }>()
  const uids = new Set<string>()
  const sum: Sum = { cpu: 0, memMb: 0, diskMb: 0, vms: 0 }

  for (const [name, asked] of wish) {
    const row = envs.get(name)
    const endMs = asked.lifetimeSeconds === null ? Infinity : (row ? Date.parse(row.created) : asked.bornMs) + asked.lifetimeSeconds * 1000
    const isOver = endMs <= nowMs
    const env = isOver && asked.staysAtEnd ? { ...asked, stopped: true } : asked
    if (isOver && !asked.staysAtEnd) {
      if (row) found.push(`ENV ${name} is over and still there`)
      continue
    }
    if (!row) {
      found.push(`ENV ${name} is lost`)
      continue
    }
    uids.add(row.uid)
    found.push(...envFaults(name, env, { row, phase: phases.get(name) }))
    if (env.fails) continue
    for (const field of ['cpu', 'memMb', 'diskMb', 'vms'] as const) sum[field] += sumOf(env)[field]
    for (const [index, vm] of env.vms) {
      const id = `${row.uid}.${index}`
      // What was stopped before it was ever started may have nothing yet.
      wanted.set(id, { name: `${name}.${index}`, made: !env.stopped || vm.starts !== undefined })
      found.push(...vmFaults(`${name}.${index}`, { machine, id, nowMs, row: vms.get(id), stopped: env.stopped, wished: vm }))
    }
  }

  for (const name of envs.keys()) if (!wish.has(name)) found.push(`ENV ${name} is there and nobody wants it`)
  for (const [name, { uid }] of phases) if (!uids.has(uid)) found.push(`a phase of ENV ${name} is left`)
  for (const [what, ids] of [['claim', claims], ['record', vms], ['guest', machine.guests], ['link', machine.links], ['volume', machine.volumes]] as const) {
    for (const id of ids.keys()) if (!wanted.has(id)) found.push(`a ${what} is left: ${id}`)
    for (const [id, { name, made }] of wanted) if (!ids.has(id) && (made || what === 'claim')) found.push(`${name} has no ${what}`)
  }
  const ledger = (machine.store.get('desired/ledger') as Sum | undefined) ?? { cpu: 0, memMb: 0, diskMb: 0, vms: 0 }
  for (const field of ['cpu', 'memMb', 'diskMb', 'vms'] as const) if (ledger[field] !== sum[field]) found.push(`the ledger has ${ledger[field]} ${field}, the ENVs have ${sum[field]}`)
  found.push(...placeFaults(machine))
  return found
}

function envFaults(name: string, env: WishedEnv, { row, phase }: { row: EnvRow; phase?: PhaseRow }): string[] {
  const found: string[] = []
  const say = (what: string) => found.push(`ENV ${name} ${what}`)
  const wanted = env.fails ? 'failed' : 'ready'
  if (row.removing !== undefined) say('is still being removed')
  if (row.owner !== env.owner) say(`belongs to ${row.owner}, not ${env.owner}`)
  if (row.spec.stopped !== env.stopped) say(env.stopped ? 'is not stopped' : 'is stopped')
  if (row.spec.lifetimeSeconds !== env.lifetimeSeconds) say(`lives ${row.spec.lifetimeSeconds} s, not ${env.lifetimeSeconds}`)
  if (phase?.uid !== row.uid || phase.phase !== wanted) say(`is ${phase?.phase ?? 'in no phase'}, not ${wanted}`)
  if (env.fails && phase?.released !== true) say('has failed and has not given back what it had')
  return found
}

interface VmSight {
  machine: Machine
  id: string
  nowMs: number
  row?: VmRow
  stopped: boolean
  wished: WishedEnv['vms'] extends ReadonlyMap<number, infer V> ? V : never
}

function vmFaults(name: string, { machine, id, nowMs, row, stopped, wished }: VmSight): string[] {
  const found: string[] = []
  const say = (what: string) => found.push(`${name} ${what}`)
  const guest = machine.guests.get(id)
  const link = machine.links.get(id)
  const volume = machine.volumes.get(id)
  const last = guest?.runs.at(-1)
  const runs = last !== undefined && (last.until === undefined || last.until > nowMs)
  const ended = !runs && wished.mayEnd
  if (row && row.state !== (stopped || ended ? 'stopped' : 'ready')) say(`is ${row.state}`)
  if (guest && runs === stopped && !ended) say(stopped ? 'runs although it is stopped' : 'does not run')
  if (guest && typeof wished.starts === 'number' && guest.runs.length !== wished.starts) say(`was started ${guest.runs.length} times, not ${wished.starts}`)
  if (volume && !stopped && volume.sizeBytes !== wished.diskMb * 2 ** 20) say(`has a disk of ${volume.sizeBytes} bytes, not ${wished.diskMb} MB`)
  if (link && link.denyOutgoing !== wished.denyOutgoing) say(link.denyOutgoing ? 'may not go out' : 'may go out')
  if (link && wished.deny && listed(link.deny?.toSorted()) !== listed(wished.deny.toSorted())) say(`is kept from ${listed(link.deny)}, not from ${listed(wished.deny)}`)
  if (row && String(Object.keys(row.ports)) !== String([...wished.ports].sort((a, b) => a - b))) say(`offers the ports ${listed(Object.keys(row.ports))}, not ${listed(wished.ports)}`)
  if (row && link) for (const field of ['slice', 'ip', 'mac', 'ports'] as const) if (JSON.stringify(row[field]) !== JSON.stringify(link[field])) say(`has another ${field} on the network than on record`)
  return found
}

const listed = (values: readonly unknown[] | undefined) => values?.join(' ') ?? 'nothing'

/** Of what two VMs may not share, on the network and on record: addresses, MACs, public ports; and of what ENVs may not, slices. */
export function placeFaults({ links, store }: Pick<Machine, 'links' | 'store'>): string[] {
  const rows = [...store].flatMap(([key, value]) => (key.startsWith('actual/vm/') && (value as VmRow).ip !== '' ? [[key.slice('actual/vm/'.length), value as VmRow] as const] : []))
  return [...sharedPlaces('on the network', [...links]), ...sharedPlaces('on record', rows)]
}

function sharedPlaces(where: string, places: (readonly [string, Pick<VmRow, 'slice' | 'ip' | 'mac' | 'ports'>])[]): string[] {
  const found: string[] = []
  const owners = new Map<string, string>()
  const own = (thing: string, owner: string) => {
    const other = owners.get(thing)
    if (other !== undefined && other !== owner) found.push(`${other} and ${owner} have the same ${thing} ${where}`)
    owners.set(thing, owner)
  }
  for (const [id, { slice, ip, mac, ports }] of places) {
    own(`address ${ip}`, id)
    own(`MAC ${mac}`, id)
    for (const port of Object.values(ports)) own(`port ${port}`, id)
    own(`slice ${slice}`, id.split('.')[0] ?? '')
    const tail = ip.split('.').slice(1).map((byte) => Number(byte).toString(16).padStart(2, '0')).join(':')
    if (!mac.endsWith(tail)) found.push(`${id} has the address ${ip} and the MAC ${mac} ${where}`)
    if (!isIn(ip, slice)) found.push(`${id} has the address ${ip} outside its slice ${slice} ${where}`)
  }
  return found
}

function isIn(ip: string, slice: string): boolean {
  const [network = '', length] = slice.split('/')
  const number = (text: string) => text.split('.').reduce((sum, byte) => sum * 256 + Number(byte), 0)
  const offset = number(ip) - number(network)
  return offset >= 2 && offset < 2 ** (32 - Number(length)) - 1
}
