import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { type Effects, journaledEffects, plainEffects } from '../base/effects.ts'
import { silentLog } from '../base/log.ts'
import { realWorld as world } from '../base/world.ts'
import { badIn, type Diagnosis, diagnosisText, foundStatus, verdictText } from '../cli/doctor-report.ts'
import { defaultLimits } from '../cloud/admission.ts'
import { ledger } from '../cloud/ledger.ts'
import { ledgerFinding } from '../cloud/ledger-check.ts'
import { truth } from '../cloud/truth.ts'
import { addressBook } from '../host/addresses.ts'
import { aside, asideFile } from '../host/checks-data.ts'
import { doctor as doctorOf } from '../host/doctor.ts'
import { catalogue } from '../host/images.ts'
import { hostLinks } from '../host/links.ts'
import { hostViews } from '../host/views.ts'
import { fail } from '../model/errors.ts'
import { whyNotRecord } from '../model/record-checks.ts'
import { keys, lastPart } from '../model/records.ts'
import type { SessionFrame } from '../model/session.ts'
import { stores } from '../store/index.ts'
import { soundStore } from '../store/sound.ts'
import { salvage } from '../store/sqlite-salvage.ts'
import { ownNames, tryDrivers } from './drivers.ts'
import { markOf, placeOf, uidOf } from './home.ts'
import { cacheDir, driverOptions, recipesDir } from './paths.ts'
import { runningServer } from './running.ts'
import type { ServerSettings } from './server-settings.ts'
import { shownCertificate } from './shown-certificate.ts'

/** What a running server says of itself, asked while it is stopped: the same checks, over the same records. */
export async function doctor(settings: ServerSettings, { json, fix, leaks: onlyLeaks }: { json: boolean; fix: boolean; leaks: boolean }): Promise<number> {
  const { dataDir } = settings
  const running = runningServer(dataDir)
  if (running) fail('conflict', `ttserver runs (process ${running.pid})`, { subject: 'server', remedy: 'ask it with `tt doctor`' })
  if (!existsSync(join(dataDir, 'place.json'))) fail('not_found', `${dataDir} is no data directory of a ttserver`, { subject: 'server', remedy: 'give --data-dir, or --serv-addr and --serv-port' })
  const found: Diagnosis = { findings: [], leaks: [] }
  for await (const frame of examined(settings, fix)) {
    if (frame.type === 'finding' && !onlyLeaks) found.findings.push({ host: frame.host, ...frame.finding })
    if (frame.type === 'leak') found.leaks.push({ host: frame.host, ...frame.leak, ...(frame.fixed ? { fixed: true } : {}) })
  }
  const screen = process.stdout.isTTY ? { columns: process.stdout.columns, colour: true } : undefined
  const text = diagnosisText(found, screen)
  if (json) process.stdout.write(`${JSON.stringify(onlyLeaks ? { leaks: found.leaks } : found)}\n`)
  else process.stdout.write(text === '' ? 'nothing is left behind\n' : `${text}\n`)
  if (!json && text !== '') process.stderr.write(`ttserver: ${verdictText(found)}\n`)
  return badIn(found) > 0 ? foundStatus : 0
}

async function* examined(settings: ServerSettings, fix: boolean): AsyncGenerator<SessionFrame> {
  const { dataDir } = settings
  await using stack = new AsyncDisposableStack()
  const effects = fix ? stack.use(journaledEffects(join(dataDir, 'journal.ndjson'), world.now)) : plainEffects()
  const mark = markOf(settings.address, settings.port, dataDir)
  const place = placeOf(dataDir, mark, settings)
  const ruined: SessionFrame[] = []
  if (settings.store === 'sqlite' && existsSync(join(dataDir, 'store', 'store.sqlite'))) await unreadable({ dataDir, effects, host: place.name, fix }, (frame) => ruined.push(frame))
  yield* ruined
  // These first: all else would name them once more.
  if (!fix && ruined.length > 0) return
  if (ruined.some((frame) => frame.type === 'finding' && !frame.finding.fixed)) return

  const whole = stack.use(await stores[settings.store]({ dir: join(dataDir, 'store'), world, log: silentLog }))
  const store = await soundStore(whole, whyNotRecord, silentLog)
  const seen = stack.use(await truth(store, { world, log: silentLog }))
  yield { type: 'finding', host: 'cloud', finding: await ledgerFinding({ store, truth: seen, ledger: ledger({ store, truth: seen, world }), world, log: silentLog, limits: defaultLimits }, { fix }) }
  const home = { dataDir, mark, world, effects, log: silentLog }
  const drivers = stack.use(await tryDrivers({ ...settings, options: driverOptions(settings.driverOptions), network: { subnet: place.subnet, bind: settings.address } }, home))
  const views = stack.use(await hostViews(store, { world, log: silentLog }))
  const engines = new Map([...drivers.engines].map(([name, { engine }]) => [name, engine]))
  const { driver: network } = drivers.network
  const addresses = addressBook(place)
  const links = stack.use(hostLinks({ name: place.name, views, network, addresses, uidOf }))
  for (const link of links.owned()) addresses.adopt(link.id, link.id.split('.')[0] ?? '', link)
  const watching = new AbortController()
  stack.defer(() => watching.abort())
  const cache = cacheDir(process.env)
  const images = stack.use(
    await catalogue({ dirs: () => settings.imagePaths, wholeDirs: [cache], cacheDir: cache, recipesDir: recipesDir(), ownUsers: uidOf(place.subnet.split('/')[0] ?? '') !== undefined, engines, world, effects, log: silentLog, signal: watching.signal, onChange: () => undefined }),
  )
  const examine = doctorOf({
    ...place,
    views,
    store: store.leftOut.whole,
    world,
    effects,
    engines,
    volume: drivers.volume.driver,
    network,
    links: { ...links, mend: links.begin },
    unusable: drivers.unusable,
    images,
    imageDirs: () => settings.imagePaths,
    cacheDir: cache,
    dataDir,
    expected: ownNames,
    uidOf,
    certificate: () => shownCertificate(settings),
  })
  yield* examine({ fix })
}

/** Records whose text is no JSON: with `fix` they are put aside, but for ENVs that still have VMs, whose loss would be the loss of these. */
async function unreadable({ dataDir, effects, host, fix }: { dataDir: string; effects: Effects; host: string; fix: boolean }, tell: (frame: SessionFrame) => void): Promise<void> {
  const taken: { key: string; text: string; why: string }[] = []
  const act = (keep: boolean) =>
    salvage(join(dataDir, 'store'), (records, hasUnder) => {
      const free = records.filter(({ key }) => !hangsOn(key, hasUnder))
      if (keep) return free.map(({ key }) => key)
      taken.push(...free.map((record) => ({ ...record, why: 'it is not JSON' })))
      for (const { key } of records) {
        const isFree = free.some((one) => one.key === key)
        const remedy = isFree ? `\`ttserver doctor --fix\` takes it out and keeps it in ${join(dataDir, asideFile)}` : `VMs hang on it: put a backup of the store in its place${key.startsWith(keys.envs) ? `, or start the server and give them up with \`tt env del ${lastPart(key)}\`` : ''}`
        tell({ type: 'finding', host, finding: { check: 'data', state: 'bad', message: `the record ${key} is damaged: it is not JSON`, ...(fix && isFree ? { fixed: true } : { remedy }) } })
      }
      return []
    })
  act(false)
  if (!fix || taken.length === 0) return
  await aside({ dataDir, effects, world }, taken) // On the disk before it goes from there.
  act(true)
}

/** Whether VMs would be lost with the record: those of an ENV, or the one it speaks of. */
function hangsOn(key: string, hasUnder: (prefix: string, containing: string) => boolean): boolean {
  if (key.startsWith(keys.envs)) return hasUnder(keys.claims, `"env":${JSON.stringify(lastPart(key))}`)
  return key.startsWith(keys.claims) || key.startsWith(keys.vms)
}
