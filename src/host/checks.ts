import { reasonOf } from '../model/errors.ts'
import type { Finding } from '../model/session.ts'
import type { Check, CheckGround, Found } from './check.ts'
import { certificate, clock } from './checks-clock.ts'
import { data } from './checks-data.ts'
import { images } from './checks-images.ts'
import { drivers, engines, network } from './checks-machine.ts'
import { ports, space } from './checks-space.ts'

const checks: readonly (readonly [string, Check])[] = [
  ['engines', engines],
  ['drivers', drivers],
  ['network', network],
  ['space', space],
  ['ports', ports],
  ['clock', clock],
  ['certificate', certificate],
  ['images', images],
  ['data', data],
]

/** Looks at everything, one thing after the other. With `fix` what can be mended is, and looked at again: `fixed` is what is not found any more. */
export async function* examined(ground: CheckGround, { fix }: { fix: boolean }): AsyncGenerator<Finding> {
  for (const [name, check] of checks) {
    const found = await looked(ground, { name, check })
    const mendable = fix ? found.filter(({ mend }) => mend) : []
    if (mendable.length === 0) {
      for (const one of found) yield plain(one)
      continue
    }
    const faults = new Map<string, string>()
    for (const one of mendable) await one.mend?.().catch((fault: unknown) => faults.set(one.message, reasonOf(fault)))
    const left = await looked(ground, { name, check })
    for (const one of mendable) if (!left.some(({ message }) => message === one.message)) yield { ...plain(one), fixed: true }
    for (const one of left) yield { ...plain(one), ...(faults.has(one.message) ? { message: `${one.message}; it could not be mended: ${faults.get(one.message)}` } : {}) }
  }
}

/** A check that itself fails is a finding. */
async function looked(ground: CheckGround, { name, check }: { name: string; check: Check }): Promise<Found[]> {
  try {
    return await check(ground)
  } catch (thrown) {
    return [{ check: name, state: 'bad', message: `it could not be looked at: ${reasonOf(thrown)}`, remedy: 'put that right and ask again' }]
  }
}

function plain({ mend: _mend, ...finding }: Found): Finding {
  return finding
}
