import { X509Certificate } from 'node:crypto'
import { existsSync } from 'node:fs'
import { run } from '../base/run.ts'
import { reasonOf } from '../model/errors.ts'
import type { Finding } from '../model/session.ts'
import { duration } from '../model/units.ts'
import type { Check, CheckGround } from './check.ts'

/** Ends of ENVs, leases of tokens and certificates go by the clock: a little wrong is no matter, this much is. */
const aheadMs = 60_000
const jumpMs = 5000
const dayMs = 86_400_000

/** Whether the clock is kept right, agrees with what was written before, and did not jump. */
export const clock: Check = async (ground) => [...(await kept()), ...jumped(ground), ...behind(ground)]

async function kept(): Promise<Finding[]> {
  const synchronised: Finding = { check: 'clock', state: 'good', message: 'it is kept by NTP' }
  if (existsSync('/run/systemd/timesync/synchronized')) return [synchronised]
  const asked = await run(['timedatectl', 'show', '--property=NTPSynchronized', '--value'], { timeoutMs: 3000 }).catch(() => undefined)
  const said = asked?.code === 0 ? asked.stdout.trim() : ''
  if (said === 'yes') return [synchronised]
  return [
    {
      check: 'clock',
      state: 'poor',
      message: said === 'no' ? 'it is not kept by NTP' : 'nothing here tells whether it is kept by NTP',
      remedy: 'run systemd-timesyncd or chrony; inside a container or VM, see to the machine below',
    },
  ]
}

function jumped({ world, clockBegan }: CheckGround): Finding[] {
  const jump = clockBegan === undefined ? 0 : world.now() - world.ticks() - clockBegan
  if (Math.abs(jump) < jumpMs) return []
  return [{ check: 'clock', state: 'poor', message: `it was set ${duration(Math.abs(jump) / 1000)} ${jump > 0 ? 'forward' : 'back'} while the server ran`, remedy: 'ENVs end by the clock: look at their ends, and extend those that would end too soon' }]
}

/** The newest moment on record lies in the future: the clock was ahead when it was written, or is behind now. */
function behind({ views, world }: CheckGround): Finding[] {
  const stamps = [...views.envs.values().map(({ created }) => created), ...views.phases.values().map(({ since }) => since), ...views.vms.values().map(({ since }) => since), ...views.hosts.values().map(({ started }) => started)]
  const newest = stamps.reduce((most, one) => Math.max(most, Date.parse(one) || 0), 0)
  const ms = newest - world.now()
  if (ms < aheadMs) return [{ check: 'clock', state: 'good', message: 'it agrees with what is on record' }]
  return [{ check: 'clock', state: 'bad', message: `it is ${duration(ms / 1000)} behind what is on record: ENVs will live so much longer`, remedy: 'set it right; if it was wrong before, extend or delete the ENVs of that time' }]
}

/** Whether the certificate of the API holds for some time. */
export const certificate: Check = async ({ certificate, world }) => {
  const pem = certificate?.()
  if (pem === undefined) return []
  let ends: number
  try {
    ends = Date.parse(new X509Certificate(pem).validTo)
  } catch (fault) {
    return [{ check: 'certificate', state: 'bad', message: `it cannot be read: ${reasonOf(fault)}`, remedy: 'give the server another by --tls-cert and --tls-key' }]
  }
  const left = ends - world.now()
  const remedy = 'put a new one in its place; the server reads it within hours, or at once on SIGHUP'
  if (left <= 0) return [{ check: 'certificate', state: 'bad', message: `it ended ${duration(-left / 1000)} ago: clients that check it are refused`, remedy }]
  const message = `it holds for ${duration(left / 1000)}`
  if (left < 3 * dayMs) return [{ check: 'certificate', state: 'bad', message, remedy }]
  return [left < 30 * dayMs ? { check: 'certificate', state: 'poor', message, remedy } : { check: 'certificate', state: 'good', message }]
}
