import { randomBytes } from 'node:crypto'
import type { Cloud } from '../src/model/cloud.ts'
import type { EnvAsked } from '../src/model/env.ts'
import { errorOf } from '../src/model/errors.ts'
import type { Command } from '../src/model/session.ts'

export type Groups = EnvAsked['groups']

/** Makes an ENV and waits until it is ready, as `tt env add` does. */
export async function makeEnv(cloud: Cloud, name: string, groups: Groups): Promise<void> {
  await cloud.collection('env').put(name, { spec: { groups, lifetimeSeconds: null }, uid: randomBytes(8).toString('hex'), expect: 'absent' })
  const stop = new AbortController()
  for await (const change of cloud.collection('env').watch({}, { signal: stop.signal })) {
    if (change.type !== 'is' || change.resource.name !== name) continue
    const { phase, problems } = change.resource.status ?? {}
    if (phase === 'failed') throw errorOf(problems?.[0]?.problem ?? { message: `ENV ${name} failed` })
    if (phase === 'ready') stop.abort()
  }
}

/** Removes an ENV and waits until nothing of it is left, as `tt env del` does. */
export async function removeEnv(cloud: Cloud, name: string): Promise<void> {
  await cloud.collection('env').remove(name)
  const stop = new AbortController()
  let seen = false
  for await (const change of cloud.collection('env').watch({}, { signal: stop.signal })) {
    if (change.type === 'is' && change.resource.name === name) seen = true
    if ((change.type === 'gone' && change.name === name) || (change.type === 'synced' && !seen)) stop.abort()
  }
}

/** Runs a command in every VM of an ENV to the end of the session; each has to say 0. Gives how many there were. */
export async function runIn(cloud: Cloud, env: string, command: Command): Promise<number> {
  await using session = await cloud.open({ type: 'exec', vms: { envs: [env] }, command })
  let exits = 0
  for await (const frame of session.output) {
    if (frame.type === 'problem') throw errorOf(frame.problem)
    if (frame.type !== 'exit') continue
    if (frame.code !== 0) throw new Error(`${frame.vm} said ${frame.code ?? frame.signal}`)
    exits++
  }
  return exits
}
