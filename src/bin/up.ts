import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { readTextNow } from '../base/files.ts'
import { spawnDetached } from '../base/processes.ts'
import { deadline, realWorld as world } from '../base/world.ts'
import { asTtError, fail } from '../model/errors.ts'
import { makeDataDir } from './home.ts'
import { ownCloud, runningServer } from './running.ts'
import type { ServerSettings } from './server-settings.ts'

/** A first start tries every driver, and a slow machine takes its time. */
const startLimitMs = 60_000

/** Starts the server in the background unless it answers already; with `demo` goes on to show what it is good for. `args` are the flags it was called with. */
export async function up(settings: ServerSettings, { demo, args }: { demo: boolean; args: string[] }): Promise<number> {
  const place = `${settings.publicAddress}:${settings.port}`
  if (await answers(settings)) process.stdout.write(`ttserver answers at ${place} already\n`)
  else {
    const begun = world.ticks()
    process.stdout.write(`starting ttserver at ${place} …\n`)
    await start(settings, args)
    process.stdout.write(`ttserver answers at ${place} after ${((world.ticks() - begun) / 1000).toFixed(1)} s; it logs to ${logPath(settings)}\n`)
  }
  const fingerprint = runningServer(settings.dataDir)?.fingerprint
  if (fingerprint !== undefined) process.stdout.write(`the fingerprint of its key is ${fingerprint}\n`)
  return demo ? (await import('./demo.ts')).demo(settings) : 0
}

const logPath = (settings: ServerSettings) => settings.logPath ?? join(settings.dataDir, 'server.log')

async function start(settings: ServerSettings, args: string[]): Promise<void> {
  makeDataDir(settings.dataDir)
  const log = logPath(settings)
  const from = (readTextNow(log) ?? '').length
  const outputFd = openSync(log, 'a', 0o600)
  const program = fileURLToPath(import.meta.url).replace(/up\.(ts|js)$/, 'ttserver.$1')
  const server = spawnDetached([process.execPath, '--disable-warning=ExperimentalWarning', program, ...args, ...(settings.logPath === undefined ? ['--log-path', log] : [])], { env: process.env, outputFd, ownSession: true })
  closeSync(outputFd)
  let end: string | undefined
  const following = server.ended.then((how) => (end = how))
  const limit = world.ticks() + startLimitMs
  while (!(await answers(settings))) {
    const said = () => lastWords((readTextNow(log) ?? '').slice(from))
    if (end !== undefined) fail('failed', `ttserver did not start, ${end}: ${said()}`, { subject: 'server', remedy: `its log is ${log}` })
    if (world.ticks() > limit) fail('timeout', `ttserver does not answer after ${startLimitMs / 1000} s: ${said()}`, { subject: 'server', remedy: `its log is ${log}` })
    await Promise.race([following, world.sleep(50)])
  }
}

/** Whether our server answers there. Another program or another's server in its place is an error. */
async function answers(settings: ServerSettings): Promise<boolean> {
  using own = ownCloud(settings)
  if (!own) return false
  try {
    using limit = deadline(world, 5000)
    await own.cloud.about({ signal: limit.signal })
    return true
  } catch (thrown) {
    const error = asTtError(thrown)
    if (error.code === 'unavailable' && !runningServer(settings.dataDir)) return false
    if (error.code === 'unavailable' || error.code === 'timeout') return false
    fail(error.code, `what answers at ${settings.address}:${settings.port} is not the server of ${settings.dataDir}: ${error.message}`, { subject: 'server', remedy: 'give another --serv-port, or stop the other' })
  }
}

/** The last thing a log says that is worth a person's time. */
function lastWords(text: string): string {
  const lines = text.trim().split('\n').filter((line) => line !== '')
  const plain = lines.filter((line) => !line.startsWith('{')).slice(-2).join('; ')
  return plain === '' ? (lines.at(-1) ?? 'it said nothing') : plain
}
