import { Loop } from '../base/loop.ts'
import type { Collection } from '../model/cloud.ts'
import { fail } from '../model/errors.ts'
import { fullGroups } from '../model/expand.ts'
import { shown } from '../model/names.ts'
import { keys, type UnwantedRecord } from '../model/records.ts'
import { follow } from '../store/follow.ts'
import type { EnvParts } from './parts.ts'
import { phaseOf } from './truth.ts'

/** Images are the hosts' to report; those kept from disks are their owner's to delete, those that were imported an admin's. The hosts do it when they see the wish. */
export function withRemoval(inner: Collection<'image'>, { truth, world, ledger }: EnvParts): Collection<'image'> {
  return {
    ...inner,
    async remove(name, _options, call) {
      const subject = `image/${name}`
      if (truth.unwanted.get(keys.unwanted(name))) return
      const { spec } = await inner.get(name, call)
      if (spec.owner === undefined && !spec.removable) fail('unsupported', `${shown(name)} was neither imported nor kept from a disk`, { subject, remedy: 'take its files out of the image path of the host' })
      // With the ledger, so that no ENV is made of it in the same moment, here or by another server.
      await ledger.change((state) => {
        if (truth.unwanted.get(keys.unwanted(name))) return undefined
        const user = truth.envs.values().find((env) => !phaseOf(truth, env)?.released && fullGroups(env.spec).some(({ image }) => image === name))
        if (user) fail('conflict', `VMs of ENV ${user.name} were made from ${name}`, { subject, remedy: 'delete the ENV first' })
        const record: UnwantedRecord = { image: name, since: new Date(world.now()).toISOString() }
        return { ...state, writes: [{ key: keys.unwanted(name), value: record, expect: 'absent' }], touches: [subject] }
      }, call)
    },
  }
}

/** Forgets the wish once no host has the image any more. */
export function runImageRemoval({ store, truth, world, log }: EnvParts): AsyncDisposable {
  const loop = new Loop(
    async (image) => {
      const seen = truth.unwanted.entry(keys.unwanted(image))
      if (seen && !truth.hosts.values().some(({ images }) => image in images)) await store.commit([{ key: seen.key, value: null, expect: seen.revision }])
    },
    { name: 'image removal', world, onFault: (image, fault) => log.warn('the end of an image could not be written', { image, fault: String(fault) }) },
  )
  const touchAll = () => {
    for (const { image } of truth.unwanted.values()) loop.touch(image)
  }
  const stops = [follow(truth.unwanted, (_key, now) => now && loop.touch(now.image)), truth.hosts.onChange(touchAll)]
  return {
    async [Symbol.asyncDispose]() {
      stops.forEach((stop) => stop())
      await loop[Symbol.asyncDispose]()
    },
  }
}
