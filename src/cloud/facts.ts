import type { Collection } from '../model/cloud.ts'
import { fail } from '../model/errors.ts'
import { nothing, plus } from '../model/expand.ts'
import { type ImageSpec, keptMb } from '../model/image.ts'
import type { Kind, Resource } from '../model/kinds.ts'
import { type HostRecord, keys, lastPart } from '../model/records.ts'
import { changes } from './changes.ts'
import { demandOn } from './host-demand.ts'
import type { Truth } from './truth.ts'

/** Hosts whose presence holds; only that of a name, if one is given. */
export function onlineHosts(truth: Truth, only?: string): HostRecord[] {
  return truth.hosts.entries().filter(({ key }) => (only === undefined || lastPart(key) === only) && truth.presences.get(keys.presence(lastPart(key)))).map(({ value }) => value)
}

/** What a host has for ENVs: what it offers, without the disk that kept disks take. */
export const forEnvs = (host: HostRecord): HostRecord => ({ ...host, total: { ...host.total, diskMb: host.total.diskMb - keptMb(host.images) } })

/** Every image some online host has. */
export function usableImages(truth: Truth): Map<string, ImageSpec> {
  return new Map(onlineHosts(truth).flatMap(({ images }) => Object.entries(images)))
}

export function brokenImages(truth: Truth): Map<string, string> {
  return new Map(onlineHosts(truth).flatMap(({ broken }) => Object.entries(broken)))
}

/** What the hosts say of themselves. */
export const hostCollection = (truth: Truth): Collection<'host'> =>
  readOnly('host', {
    truth,
    names: () => truth.hosts.entries().map(({ key }) => lastPart(key)),
    get(name) {
      const seen = truth.hosts.get(keys.host(name))
      if (!seen) return undefined
      const { images: _images, broken: _broken, addresses: _addresses, ...facts } = seen
      const online = truth.presences.get(keys.presence(name)) !== undefined
      return { ...plain(name, seen.started), kind: 'host', spec: {}, status: { ...facts, online, used: plus(demandOn(truth, name), { ...nothing, diskMb: keptMb(seen.images) }) } }
    },
  })

/** Images by name, of all hosts that are online. */
export const imageCollection = (truth: Truth): Collection<'image'> =>
  readOnly('image', {
    truth,
    names: () => [...usableImages(truth).keys()].sort(),
    get(name) {
      const holders = truth.hosts.entries().filter(({ key, value }) => value.images[name] && truth.presences.get(keys.presence(lastPart(key))))
      const [first] = holders
      const spec = first?.value.images[name]
      if (!first || !spec) return undefined
      return { ...plain(name, first.value.started), kind: 'image', spec, status: { hosts: holders.map(({ key }) => lastPart(key)) } }
    },
  })

const plain = (name: string, created: string) => ({ name, uid: name, revision: '0', owner: 'admin', created })

function readOnly<K extends 'host' | 'image'>(kind: K, source: { truth: Truth; names(): string[]; get(name: string): Resource<K> | undefined }): Collection<K> {
  const { truth, names, get } = source
  const refuse = (name: string): never => fail('unsupported', `${kind}s are reported by hosts, not written`, { subject: `${kind}/${name}` })
  return {
    get: async (name) => get(name) ?? fail('not_found', `there is no ${kind} ${JSON.stringify(name.slice(0, 80))}`, { subject: `${kind}/${name}`, remedy: kind === 'image' ? 'see `tt image list`' : 'see `tt status --server`' }),
    list: async () => ({ items: names().flatMap((name) => get(name) ?? []), missing: [] }),
    put: async (name) => refuse(name),
    remove: async (name) => refuse(name),
    watch: (_options, call) =>
      changes<Kind & K>(
        {
          names,
          get,
          listen(touch) {
            const every = (key: string) => (kind === 'host' ? touch(lastPart(key)) : names().forEach(touch))
            const stops = [
              truth.hosts.onChange(({ key, value: now }, before) => (kind === 'host' ? touch(lastPart(key)) : [now, before].forEach((host) => Object.keys(host?.images ?? {}).forEach(touch)))),
              truth.presences.onChange(({ key }) => every(key)),
            ]
            return () => stops.forEach((stop) => stop())
          },
        },
        call,
      ),
  }
}
