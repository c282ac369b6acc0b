import { endpointText } from '../base/endpoint.ts'
import { realWorld as world } from '../base/world.ts'
import { main } from '../cli/main.ts'
import type { Cloud } from '../model/cloud.ts'
import { asTtError, errorOf, fail } from '../model/errors.ts'
import type { EnvStatus } from '../model/env.ts'
import { clientFiles } from './client-files.ts'
import { clientStreams } from './client-streams.ts'
import { fetchText } from './fetching.ts'
import { connect, shown } from './reaching.ts'
import { ownCloud } from './running.ts'
import type { ServerSettings } from './server-settings.ts'

const name = 'demo'

/** Makes the ENV `demo` unless it is there, and shows what it is good for. */
export async function demo(settings: ServerSettings): Promise<number> {
  using own = ownCloud(settings) ?? fail('internal', 'the server has no token')
  const begun = world.ticks()
  const made = await make(own.cloud)
  const { ready, vms } = await awaited(own.cloud)
  say(made ? `ENV ${name} is ready: ${vms} VMs in ${((world.ticks() - begun) / 1000).toFixed(1)} s\n` : `ENV ${name} is there: ${ready} of ${vms} VMs ready\n`)
  const tt = (...args: string[]) => runClient(settings, args)
  say('\n$ ./tt env run demo --os-prefix=micro --cmd="uname -a"\n')
  const status = await tt('env', 'run', name, '--os-prefix=micro', '--cmd=uname -a')
  if (status !== 0) return status
  say('\n$ ./tt env show demo\n')
  await tt('env', 'show', name)
  say(`
Try next:
  ./tt env run demo --cmd 'echo hello from $(hostname)'   a command in all of them
  ./tt env logs demo --vm-id 2                            what demo-os prints
  ./tt env add mine --os-prefix=micro --life-time=600     an ENV of your own, for ten minutes
  ./tt --help                                             everything else
  ./tt down                                               stops the server, VMs stay; --destroy takes all away
`)
  return 0
}

/** Two micro and one demo-os, without an end; false if it was there. */
async function make(cloud: Cloud): Promise<boolean> {
  const spec = { groups: [{ image: 'micro', count: 2 }, { image: 'demo-os', count: 1 }], lifetimeSeconds: null }
  try {
    await cloud.collection('env').put(name, { spec, expect: 'absent' })
    return true
  } catch (thrown) {
    if (asTtError(thrown).code === 'exists') return false
    throw thrown
  }
}

/** Follows the ENV until its VMs answer. */
async function awaited(cloud: Cloud): Promise<EnvStatus> {
  const stop = new AbortController()
  const { isTTY } = process.stdout
  let told = ''
  for await (const change of cloud.collection('env').watch({}, { signal: stop.signal })) {
    if (change.type !== 'is' || change.resource.name !== name || !change.resource.status) continue
    const { status } = change.resource
    if (status.phase === 'failed') {
      const [first] = status.problems ?? []
      throw errorOf({ ...first?.problem, message: `ENV ${name} failed: ${first?.problem.message ?? 'no reason is known'}` })
    }
    if (status.phase === 'ready') {
      if (isTTY && told !== '') say('\r\u001b[K')
      stop.abort()
      return status
    }
    const line = `making ENV ${name}: ${status.ready} of ${status.vms} VMs ready`
    if (line !== told) say(isTTY ? `\r\u001b[K${line}` : `${line}\n`)
    told = line
  }
  fail('unavailable', 'the server stopped while ENV demo was made', { subject: 'env/demo', remedy: 'look into its log' })
}

function runClient(settings: ServerSettings, args: string[]): Promise<number> {
  const host = ['0.0.0.0', '::'].includes(settings.address) ? '127.0.0.1' : settings.address
  return main({
    args: ['--server', endpointText({ host, port: settings.port }), ...args],
    ...clientStreams(process.env),
    ...clientFiles(process.env),
    doors: async () => (await import('./local-doors.ts')).localDoors,
    fetchText,
    files: async () => (await import('./local-files.ts')).localFiles,
    ownToken: () => {
      const own = clientFiles({ ...process.env, TT_DATA_DIR: settings.dataDir }).ownToken
      return own({ host, port: settings.port })
    },
    variables: process.env,
    world,
    signal: new AbortController().signal,
    version: async () => (await import('./version.ts')).version,
    connect,
    shown,
  })
}

const say = (text: string) => process.stdout.write(text)
