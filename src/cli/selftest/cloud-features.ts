import { randomHex } from '../../base/world.ts'
import { asTtError, type ErrorCode, fail } from '../../model/errors.ts'
import { framesOf } from '../vm-frames.ts'
import { type Feature, skip, type Stage } from './stage.ts'

/** What is the cloud's own: nothing here looks into a guest. */
export const cloudFeatures: readonly Feature[] = [
  {
    name: 'api',
    about: 'it answers, and refuses with a reason',
    async run({ cloud, call, name }) {
      const { version } = await cloud.about(call)
      if (version === '') fail('failed', 'the server does not say its version')
      await refused(cloud.collection('env').get(`${name}-none`, call), 'not_found')
    },
  },
  {
    name: 'images',
    about: 'a VM can be made from the image',
    async run({ cloud, call, image }) {
      const { items } = await cloud.collection('image').list({}, call)
      if (!items.some(({ name }) => name === image.name)) fail('failed', `${image.name} is not in the list of images`)
      if ((image.status?.hosts ?? []).length === 0) fail('failed', `no host has ${image.name}`)
    },
  },
  {
    name: 'create',
    about: 'an ENV of two VMs is made and answers',
    async run({ main, vms }) {
      const found = await vms(await main())
      if (found.length !== 2) fail('failed', `there are ${found.length} VMs`)
      const [one, two] = found
      if (one?.status?.mac === two?.status?.mac) fail('failed', `both VMs have the MAC ${one?.status?.mac}`)
    },
  },
  {
    name: 'users',
    about: "accounts, tokens, and that what is another's is hidden",
    async run({ cloud, call, name, made, connect, terminal, main }) {
      const { role, user } = await cloud.about(call)
      if (role !== 'admin') skip(`you are ${user}, and only an admin makes users`)
      const secret = randomHex(terminal.world, 32)
      const token = `${name}/key`
      made.push({ kind: 'user', name })
      await cloud.collection('user').put(name, { spec: { role: 'user' }, expect: 'absent' }, call)
      await cloud.collection('token').put(token, { spec: { sha256: await sha256(secret) }, expect: 'absent' }, call)
      const theirs = await connect(secret)
      const about = await theirs.about(call)
      if (about.user !== name) fail('failed', `the token of ${name} is taken for ${about.user}'s`)
      await refused(theirs.collection('env').get((await main()).name, call), 'not_found')
      await refused(theirs.open({ type: 'doctor' }, call), 'denied')
      await cloud.collection('token').remove(token, {}, call)
      await refused(theirs.about(call), 'unauthenticated')
    },
  },
  {
    name: 'events',
    about: 'what happened is told',
    async run({ cloud, call, main, terminal }) {
      const { name } = await main()
      const told = new Set<string>()
      for await (const frame of framesOf(await cloud.open({ type: 'events', envs: [name] }, call), terminal.signal)) if (frame.type === 'event') told.add(frame.event.event)
      for (const event of ['created', 'ready']) if (!told.has(event)) fail('failed', `that ENV ${name} was ${event} is not told`)
    },
  },
  {
    name: 'ping',
    about: 'every guest is asked whether it lives',
    async run(stage) {
      agentOf(stage)
      const { cloud, call, main, terminal } = stage
      const { name } = await main()
      let alive = 0
      for await (const frame of framesOf(await cloud.open({ type: 'ping', vms: { envs: [name] }, timeoutMs: 5000 }, call), terminal.signal)) {
        if (frame.type === 'problem') fail(frame.problem.code, `${frame.vm}: ${frame.problem.message}`)
        if (frame.type === 'exit') alive++
      }
      if (alive !== 2) fail('failed', `${alive} of 2 guests answered`)
    },
  },
]

/** Deleting is the last of all. */
export const deletion: Feature = {
  name: 'delete',
  about: 'an ENV that is deleted is gone, and nothing of it is left',
  async run({ cloud, call, main, until, terminal }) {
    const { name } = await main()
    await cloud.collection('env').remove(name, {}, call)
    await until(async () => !(await cloud.collection('env').list({ all: true }, call)).items.some((env) => env.name === name), `the end of ENV ${name}`)
    if ((await cloud.about(call)).role !== 'admin') return
    for await (const frame of framesOf(await cloud.open({ type: 'doctor' }, call), terminal.signal)) {
      if (frame.type === 'leak') fail('failed', `on ${frame.host}, ${frame.leak.kind} ${frame.leak.subject} was left behind: ${frame.leak.why}`)
    }
  },
}

/** Skips where no command can be run. */
export function agentOf({ image }: Pick<Stage, 'image'>): void {
  if (image.spec.ways.length === 0) skip(`${image.name} has no agent that runs commands`)
}

async function refused(promise: Promise<unknown>, code: ErrorCode): Promise<void> {
  const thrown = await promise.then(
    () => undefined,
    (fault: unknown) => asTtError(fault),
  )
  if (!thrown) fail('failed', `what should be refused as ${code} was answered`)
  if (thrown.code !== code) throw thrown
}

async function sha256(text: string): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text))
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('')
}
