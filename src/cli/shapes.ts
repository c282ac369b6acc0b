import type { Resource } from '../model/kinds.ts'

/** The shapes of --json. They are a promise to programs: fields are added, never changed or left out; what is not known is null. */

export const envShape = (env: Resource<'env'>) => ({
  name: env.name,
  uid: env.uid,
  owner: env.owner,
  created: env.created,
  expires: env.status?.expires ?? null,
  phase: env.removing === undefined ? (env.status?.phase ?? 'creating') : 'removing',
  stopped: env.spec.stopped,
  count: env.status?.vms ?? 0,
  ready: env.status?.ready ?? 0,
  denyOutgoing: env.spec.denyOutgoing,
  problems: env.status?.problems ?? [],
})

const vmShape = ({ name, uid, spec, status }: Resource<'vm'>) => ({
  id: uid,
  name,
  index: spec.index,
  image: spec.image,
  engine: spec.engine,
  state: status?.state ?? 'pending',
  ip: status?.ip ?? null,
  mac: status?.mac ?? null,
  host: status?.host ?? null,
  address: status?.address ?? null,
  ports: status?.ports ?? {},
  cpu: spec.cpu,
  memMb: spec.memMb,
  diskMb: spec.diskMb,
  pid: status?.pid ?? null,
  since: status?.since ?? null,
  problem: status?.problem ?? null,
})

export const envWithVms = (env: Resource<'env'>, vms: readonly Resource<'vm'>[]) => ({ ...envShape(env), vms: vms.map(vmShape) })

export const imageShape = ({ name, spec, status }: Resource<'image'>) => ({
  name,
  memo: spec.memo ?? null,
  engines: spec.engines,
  agent: spec.agent,
  features: spec.features,
  cpu: spec.cpu,
  memMb: spec.memMb,
  diskMb: spec.diskMb,
  ports: spec.ports,
  sizeBytes: spec.sizeBytes,
  digest: spec.digest,
  buildable: spec.buildable ?? null,
  hosts: status?.hosts ?? [],
})

export const hostShape = ({ name, status }: Resource<'host'>, images: readonly string[]) => ({
  name,
  online: status?.online ?? false,
  address: status?.address ?? null,
  version: status?.version ?? null,
  started: status?.started ?? null,
  total: status?.total ?? null,
  used: status?.used ?? null,
  engines: status?.engines ?? [],
  unusable: status?.unusable ?? [],
  network: status?.network ?? null,
  volume: status?.volume ?? null,
  images,
})

