import type { Resource } from '../model/kinds.ts'
import { megabytes } from '../model/units.ts'
import type { VmState } from '../model/vm.ts'
import { ago, until } from './moments.ts'
import type { Column } from './table.ts'
import type { Colour } from './text.ts'

type Env = Resource<'env'>
type Vm = Resource<'vm'>

/** An ENV's phase in a word for people: a stopped one says so. */
export function stateOf({ removing, spec, status }: Env): string {
  if (removing !== undefined) return 'removing'
  const phase = status?.phase ?? 'creating'
  return spec.stopped && phase === 'ready' ? 'stopped' : phase
}

const envColours: Record<string, Colour> = { ready: 'green', failed: 'red', creating: 'yellow', removing: 'yellow', stopped: 'dim' }
const vmColours: Partial<Record<VmState, Colour>> = { ready: 'green', failed: 'red', lost: 'red', stopped: 'dim' }

/** An ENV that ends within this is marked. */
const soonMs = 5 * 60_000

export function envColumns(nowMs: number, options: { owner: boolean }): Column<Env>[] {
  return [
    { title: 'NAME', text: ({ name }) => name },
    ...(options.owner ? [{ title: 'OWNER', text: ({ owner }: Env) => owner }] : []),
    { title: 'STATE', text: stateOf, colour: (env) => envColours[stateOf(env)] },
    { title: 'VMS', align: 'right', text: ({ status }) => String(status?.vms ?? 0) },
    { title: 'READY', align: 'right', text: ({ status }) => String(status?.ready ?? 0) },
    { title: 'CREATED', text: ({ created }) => ago(created, nowMs) },
    {
      title: 'ENDS',
      text: ({ status }) => until(status?.expires, nowMs),
      colour: ({ status }) => (status?.expires !== undefined && Date.parse(status.expires) - nowMs < soonMs ? 'yellow' : undefined),
    },
  ]
}

/** The columns for these VMs; the host is one of them where it differs. */
export const vmColumns = (vms: readonly Vm[]): Column<Vm>[] => (new Set(vms.map(({ status }) => status?.host)).size > 1 ? [...columns, hostColumn] : columns)

const hostColumn: Column<Vm> = { title: 'HOST', text: ({ status }) => status?.host ?? '' }

const columns: Column<Vm>[] = [
  { title: 'VM', text: ({ name }) => name },
  { title: 'IMAGE', cut: true, text: ({ spec }) => spec.image },
  { title: 'STATE', text: ({ status }) => status?.state ?? 'pending', colour: ({ status }) => vmColours[status?.state ?? 'pending'] ?? 'yellow' },
  { title: 'CPU', align: 'right', text: ({ spec }) => String(spec.cpu) },
  { title: 'MEMORY', align: 'right', text: ({ spec }) => megabytes(spec.memMb) },
  { title: 'DISK', align: 'right', text: ({ spec }) => megabytes(spec.diskMb) },
  { title: 'IP', text: ({ status }) => status?.ip ?? '' },
  { title: 'PORTS', text: portsText },
]

/** `10.0.0.5 40001->22 40002->80`: where to reach it, and which of its ports that is. */
function portsText({ status }: Vm): string {
  const pairs = Object.entries(status?.ports ?? {}).sort(([one], [two]) => Number(one) - Number(two))
  return pairs.length === 0 ? '' : [status?.address ?? '', ...pairs.map(([inner, outer]) => `${outer}->${inner}`)].join(' ').trim()
}
