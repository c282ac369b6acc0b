import { keys } from '../model/records.ts'
import { counted } from '../model/units.ts'
import type { Check, CheckGround } from './check.ts'

/** What each engine says of itself: whether it works, by which means, and whether its limits hold. */
export const engines: Check = async ({ engines, owned }) => {
  if (engines.size === 0) return [{ check: 'engine', state: 'bad', message: 'no engine works here, so no VM can run', remedy: 'see which drivers cannot be used, and why; `script/setup` installs what is missing' }]
  const all = await Promise.all(
    [...engines].map(async ([name, engine]) => {
      const ids = new Set(await engine.list())
      return (await engine.findings?.(new Set([...owned()].filter((id) => ids.has(id))))) ?? [{ check: 'engine', state: 'good' as const, message: `${name} works` }]
    }),
  )
  return all.flat()
}

/** Drivers that were tried when the server started and do not work. */
export const drivers: Check = async ({ unusable }) =>
  unusable.length === 0
    ? [{ check: 'drivers', state: 'good', message: 'every driver that was tried works' }]
    : unusable.map(({ kind, name, why }) => ({ check: 'drivers', state: 'poor', message: `${kind} ${name} cannot be used: ${why}`, remedy: 'nothing is lost while another does its work; to have it, put that right and start the server again' }))

const shownLinks = 5

/** Whether the network of the machine holds what it was given, and is what the driver needs. */
export const network: Check = async (ground) => {
  const { network, mendNetwork } = ground
  const probe = await network.probe()
  if (!probe.usable) return [{ check: 'network', state: 'bad', message: `the network driver does not work any more: ${probe.why}`, remedy: 'put that right; `tt doctor --fix` then makes the network anew' }]
  const wanted = settled(ground)
  const held = new Set(await network.inspect())
  const still = new Set(settled(ground))
  const lost = wanted.filter((id) => !held.has(id) && still.has(id))
  const poor = ((await network.findings?.()) ?? []).map((finding) => ({ check: 'network', state: 'poor' as const, ...finding }))
  if (lost.length === 0) return [{ check: 'network', state: 'good', message: `the machine holds the links of ${wanted.length === 1 ? 'the one VM' : `all ${wanted.length} VMs`} (driver version ${probe.version})` }, ...poor]
  return [
    ...poor,
    {
      check: 'network',
      state: 'bad',
      message: `${lost.length} of ${counted(wanted.length, 'VM')} ${lost.length === 1 ? 'has lost its' : 'have lost their'} place on the network: ${lost.slice(0, shownLinks).join(', ')}${lost.length > shownLinks ? ', …' : ''}`,
      remedy: '`tt doctor --fix` makes it anew; a guest whose card is gone must be stopped and started after it',
      mend: mendNetwork,
    },
  ]
}

/** VMs whose links were made: those that are being made have none yet. */
const settled = ({ links, views }: CheckGround): string[] =>
  links()
    .map(({ id }) => id)
    .filter((id) => ['booting', 'ready', 'stopped'].includes(views.vms.get(keys.vm(id))?.state ?? ''))
