import { errorOf, type Problem } from '../model/errors.ts'
import type { SessionFrame } from '../model/session.ts'
import type { Invocation } from './invocation.ts'
import { table } from './table.ts'
import { type End, statusOf, type Told } from './vm-frames.ts'

/** One VM's part in a transfer. */
export interface Transfer extends Told {
  /** Where it is in the end: in the guest, or here. */
  path: string
  files: number
  /** Of what is there now, and of what went over the wire. */
  bytes: number
  movedBytes: number
  /** Of what is to come, where that is known. */
  totalBytes?: number
  began: number
  ended?: number
  end?: End
}

/** What is known of a transfer, VM by VM, in the order in which they began. */
export interface Tally {
  readonly vms: ReadonlyMap<string, Transfer>
  /** Those that go on. */
  open(): Transfer[]
  /** Takes note of frames about beginnings and ends; undefined for others, and for VMs that nobody knows. */
  heard(frame: SessionFrame): Transfer | undefined
  finish(vm: string, end: End): void
  /** Shows how all ended, and raises the status. */
  report(): Promise<void>
}

export function tally({ terminal, json, printJson, print, report, raise }: Invocation, pathOf: (vm: string) => string): Tally {
  const { world, out } = terminal
  const vms = new Map<string, Transfer>()
  const finish = (vm: string, end: End) => {
    const own = vms.get(vm)
    if (!own || own.end) return
    own.end = end
    own.ended = world.ticks()
    raise(statusOf(end))
  }
  return {
    vms,
    open: () => [...vms.values()].filter(({ end }) => !end),
    heard(frame) {
      if (frame.type === 'begin') {
        const { vm, image, address } = frame
        vms.set(vm, { vm, image, ...(address === undefined ? {} : { address }), path: pathOf(vm), files: 0, bytes: 0, movedBytes: 0, began: world.ticks() })
      } else if (frame.type === 'exit') finish(frame.vm, frame.signal === undefined ? { code: frame.code } : { signal: frame.signal })
      else if (frame.type === 'problem' && frame.vm !== undefined) finish(frame.vm, { problem: frame.problem })
      else return undefined
      return vms.get(frame.vm ?? '')
    },
    finish,
    async report() {
      for (const { vm } of [...vms.values()].filter(({ end }) => !end)) finish(vm, { problem: { code: 'unavailable', message: 'the connection to it ended before the transfer did', subject: `vm/${vm}`, remedy: 'the same command goes on from where it was' } })
      const all = [...vms.values()].sort((one, two) => byName(one.vm, two.vm))
      if (json) return printJson({ results: all.map(resultOf) })
      const done = all.filter(({ end }) => end && 'code' in end)
      if (done.length > 0)
        await print(
          table(
            done,
            [
              { title: 'VM', text: ({ vm }) => vm },
              { title: 'FILES', text: ({ files }) => String(files), align: 'right' },
              { title: 'SIZE', text: ({ bytes }) => bytesText(bytes), align: 'right' },
              { title: 'MOVED', text: ({ movedBytes }) => bytesText(movedBytes), align: 'right' },
              { title: 'SECONDS', text: (one) => secondsOf(one).toFixed(1), align: 'right' },
              { title: 'PATH', text: ({ path }) => path },
            ],
            out.screen(),
          ),
        )
      for (const { vm, end } of all) if (end && 'problem' in end) await report(errorOf({ subject: `vm/${vm}`, ...end.problem }))
    },
  }
}

function resultOf(one: Transfer): Record<string, unknown> {
  const { vm, image, address, path, files, bytes, movedBytes, end } = one
  return { vm, image, ...(address === undefined ? {} : { address }), path, files, bytes, movedBytes, seconds: Number(secondsOf(one).toFixed(3)), ...(end as { code?: number; problem?: Problem }) }
}

const secondsOf = ({ began, ended }: Transfer) => ((ended ?? began) - began) / 1000

/** `demo.2` before `demo.10`. */
function byName(one: string, two: string): number {
  const [envOne = '', indexOne] = one.split('.')
  const [envTwo = '', indexTwo] = two.split('.')
  if (envOne !== envTwo) return envOne < envTwo ? -1 : 1
  return Number(indexOne) - Number(indexTwo)
}

const units = ['KB', 'MB', 'GB', 'TB']

/** `1536` as `1.5 KB`; 1 KB is 1,024 bytes here as everywhere in `tt`. */
export function bytesText(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`
  let [value, at] = [bytes / 1024, 0]
  while (value >= 1024 && at < units.length - 1) [value, at] = [value / 1024, at + 1]
  return `${value.toFixed(1).replace(/\.0$/, '')} ${units[at]}`
}
