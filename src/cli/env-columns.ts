import type { Resource } from '../model/kinds.ts'
import { megabytes } from '../model/units.ts'
import type { VmState } from '../model/vm.ts'
import { ago, until } from './moments.ts'
import type { Column } from './table.ts'
import type { Colour } from './text.ts'

type Env = Resource<'env'>
type Vm = Resource<'vm'>

/** The clock, and how near an end is worth a mark. */
export interface Clock {
  nowMs: number
  soonMs: number
}

/** Marked if it ends within this, unless a flag says otherwise. */
export const defaultSoonMs = 10 * 60_000

/** An ENV's state in a word for people: a phase, or that it is halted, by somebody or by its end. */
export function stateOf({ removing, spec, status, reduced }: Env, nowMs: number): string {
  if (reduced) return ''
  if (removing !== undefined) return 'removing'
  const phase = status?.phase ?? 'creating'
  if (!spec.stopped || phase !== 'ready') return phase
  return isOver(status?.expires, nowMs) ? 'expired' : 'stopped'
}

/** Whether it runs and ends soon. */
export const endsSoon = ({ spec, status }: Env, { nowMs, soonMs }: Clock): boolean => status?.expires !== undefined && !(spec.stopped && isOver(status.expires, nowMs)) && Date.parse(status.expires) - nowMs <= soonMs

const isOver = (iso: string | undefined, nowMs: number) => iso !== undefined && Date.parse(iso) <= nowMs

/** When it ends, marked if that is soon: colours are not for every eye and every pipe. */
export function endText(env: Env, clock: Clock): string {
  const { status } = env
  if (stateOf(env, clock.nowMs) === 'expired') return ago(status?.expires ?? '', clock.nowMs)
  return `${until(status?.expires, clock.nowMs)}${endsSoon(env, clock) ? ' !' : ''}`
}

const envColours: Record<string, Colour> = { ready: 'green', failed: 'red', creating: 'yellow', removing: 'yellow', stopped: 'dim', expired: 'red' }
const vmColours: Partial<Record<VmState, Colour>> = { ready: 'green', failed: 'red', lost: 'red', stopped: 'dim' }

export function envColumns(clock: Clock, options: { owner: boolean }): Column<Env>[] {
  const state = (env: Env) => stateOf(env, clock.nowMs)
  return [
    { title: 'NAME', text: ({ name }) => name },
    ...(options.owner ? [{ title: 'OWNER', text: ({ owner }: Env) => owner }] : []),
    { title: 'STATE', text: state, colour: (env) => envColours[state(env)] },
    { title: 'VMS', align: 'right', text: ({ status }) => String(status?.vms ?? 0) },
    { title: 'READY', align: 'right', text: ({ status, reduced }) => (reduced ? '' : `${status?.ready ?? 0}${status?.lost ? ` (${status.lost} lost)` : ''}`), colour: ({ status }) => (status?.lost ? 'red' : undefined) },
    { title: 'CREATED', text: ({ created }) => ago(created, clock.nowMs) },
    { title: 'ENDS', text: (env) => endText(env, clock), colour: (env) => (state(env) === 'expired' ? 'red' : endsSoon(env, clock) ? 'yellow' : undefined) },
  ]
}

/** The columns for these VMs; the host is one of them where it differs, and the guest where something is known of one. */
export const vmColumns = (vms: readonly Vm[]): Column<Vm>[] => [
  ...columns,
  ...(vms.some(({ status }) => status?.guest) ? [guestColumn] : []),
  ...(new Set(vms.map(({ status }) => status?.host)).size > 1 ? [hostColumn] : []),
]

const guestColumn: Column<Vm> = { title: 'GUEST', text: guestText, colour: ({ status }) => (status?.guest?.state === 'lost' ? 'red' : undefined) }

/** `ready rexec 0.12 61 MB`: how it is, the way in, its load and the memory it uses. */
function guestText({ status }: Vm): string {
  const { guest } = status ?? {}
  if (!guest) return ''
  if (guest.state === 'none') return 'no agent'
  return [guest.state, guest.way ?? '', guest.load?.toFixed(2) ?? '', guest.memUsedMb === undefined ? '' : megabytes(guest.memUsedMb)].filter((word) => word !== '').join(' ')
}

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

/** `10.0.0.5:40001->22 10.0.0.5:40002->80`: each as it can be handed to a program, and which port of the VM it is. */
function portsText({ status }: Vm): string {
  const pairs = Object.entries(status?.ports ?? {}).sort(([one], [two]) => Number(one) - Number(two))
  const address = status?.address ?? ''
  const at = address.includes(':') ? `[${address}]` : address
  return pairs.map(([inner, outer]) => `${at}${at === '' ? '' : ':'}${outer}->${inner}`).join(' ')
}
