import { lastPart } from '../model/records.ts'
import { follow } from '../store/follow.ts'
import { envUidOf, type Truth } from './truth.ts'

/** Tells the name of an ENV whenever its record, its phase or a VM of it changes. */
export function listen(truth: Truth, touch: (name: string) => void): () => void {
  const byUid = new Map<string, string>()
  const touchEnvOf = (key: string) => {
    const name = byUid.get(envUidOf(key))
    if (name !== undefined) touch(name)
  }
  const stops = [
    follow(truth.envs, (key, now, before) => {
      if (before && before.uid !== now?.uid) byUid.delete(before.uid)
      if (now) byUid.set(now.uid, now.name)
      touch(lastPart(key))
    }),
    truth.phases.onChange(({ key }) => touch(lastPart(key))),
    truth.claims.onChange(({ key }) => touchEnvOf(key)),
    truth.vms.onChange(({ key }) => touchEnvOf(key)),
  ]
  return () => stops.forEach((stop) => stop())
}
