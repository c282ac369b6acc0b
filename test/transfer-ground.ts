import { seen } from '../src/model/cloud-under-test.ts'
import type { Cloud } from '../src/model/cloud.ts'

/** Makes an ENV of so many fake VMs and waits until they are ready. */
export async function readyEnv(cloud: Cloud, name: string, count = 1): Promise<void> {
  await cloud.collection('env').put(name, { spec: { groups: [{ image: 'fake:micro', count, cpu: 1, memMb: 100, diskMb: 100 }], lifetimeSeconds: 3600 } })
  await seen(cloud, 'env', (change) => (change.type === 'is' && change.resource.name === name && change.resource.status?.phase === 'ready') || undefined)
}
