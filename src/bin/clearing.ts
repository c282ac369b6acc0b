import { gate } from '../base/queue.ts'
import type { World } from '../base/world.ts'
import { type EnvRecord, keys, type TaskRecord } from '../model/records.ts'
import type { Store, Write } from '../store/store.ts'
import type { Drivers } from './drivers.ts'

/** A killed VM may take a second to give its memory back, so several at once. */
const atOnce = 16

/** Takes away all there is of this server on the machine, by its drivers alone: VMs, network, disks. Gives how many VMs there were. */
export async function clearMachine({ engines, network, volume }: Pick<Drivers, 'engines' | 'network' | 'volume'>): Promise<number> {
  const few = gate(atOnce)
  let vms = 0
  for (const { engine } of engines.values()) {
    const ids = await engine.list()
    await Promise.all(ids.map((id) => few.pass(() => engine.destroy(id))))
    vms += ids.length
  }
  await network.driver.clear()
  const disks = await volume.driver.list()
  await Promise.all(disks.map((id) => few.pass(() => volume.driver.destroy(id))))
  return vms
}

const ofEnvs = [keys.envs, keys.phases, keys.ledger, keys.claims, keys.vms, keys.applieds]

/** Takes every ENV off the record, as one commit; users and settings stay, and tasks say what became of them. Gives the names. */
export async function forgetEnvs(store: Store, world: World): Promise<string[]> {
  const lists = await Promise.all(ofEnvs.map((prefix) => store.list(prefix)))
  const names = (lists[0]?.items ?? []).map(({ value }) => (value as EnvRecord).name)
  const tasks = (await store.list(keys.tasks)).items.flatMap(({ key, value }): Write[] => {
    const task = value as TaskRecord
    if (task.ended !== undefined) return []
    const problem = { code: 'cancelled' as const, message: 'the server ended, and its ENVs with it', subject: `env/${task.env}` }
    return [{ key, value: { ...task, state: 'cancelled', ended: new Date(world.now()).toISOString(), problem } satisfies TaskRecord }]
  })
  await store.commit([...lists.flatMap(({ items }) => items.map(({ key }) => ({ key, value: null }))), ...tasks])
  return names
}
