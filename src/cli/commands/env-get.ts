import { asTtError, fail, problemOf, TtError } from '../../model/errors.ts'
import { shown } from '../../model/names.ts'
import type { Part, SessionFrame } from '../../model/session.ts'
import { type Landing, landing, partsOf } from '../get-landing.ts'
import type { Action } from '../invocation.ts'
import { checkNamed, type LocalFiles } from '../local-files.ts'
import { board } from '../transfer-board.ts'
import { type Tally, tally } from '../transfer-tally.ts'
import { framesOf } from '../vm-frames.ts'
import { vmNames } from '../vm-names.ts'
import { selectionOf } from '../vm-selection.ts'
import { optionsOf, resumable, transferFlags } from './env-push.ts'

/** `tt env get NAME…`. */
export const get: Action = {
  operands: [{ name: 'NAME', many: true, of: 'env' }],
  flags: [
    { long: 'file', short: 'f', also: ['file-path'], value: 'PATH', required: true, about: 'The file or directory to fetch, an absolute path in the guests' },
    { long: 'to', value: 'PATH', of: 'file', about: 'Where to put it: a directory, or for a single VM also the name it is to have', default: 'the current directory' },
    { long: 'overwrite', about: 'Take the place of files that are there; without it nothing is fetched if one of them is' },
    ...transferFlags,
  ],
  details: [
    'From a single VM a thing keeps its name, /var/log/syslog becomes ./syslog. From several each has that of its VM before it: demo.0-syslog, demo.1-syslog. A file has its name only when it is whole and its sha256 is right; its mode is kept, but for the bits that make it run as another user. What broke off lies beside it, as .tt-part-NAME, and goes on from where it was when the same command is run again. If the path is a link, what it leads to is fetched; in a directory links stay links.',
    'The exit status is the highest of all VMs, as with `tt env run`. With --json: {"results":[{"vm","image","address","path","files","bytes","movedBytes","seconds","code" or "problem"}]}.',
  ],
  examples: [
    { line: 'tt env get demo -m 0 -f /etc/hostname', about: 'as ./hostname' },
    { line: 'tt env get demo -f /var/log --to logs', about: 'a directory from every VM: logs/demo.0-log, logs/demo.1-log' },
  ],
  async run(invocation) {
    const { given, terminal, call } = invocation
    const vms = selectionOf(given)
    const options = await optionsOf(invocation)
    const path = given.one('file') ?? ''
    if (!path.startsWith('/')) fail('invalid', `--file is ${shown(path)}, allowed is an absolute path in the guest`)
    const overwrite = given.has('overwrite')
    const files = await terminal.files()
    const cloud = await invocation.cloud()
    const names = await vmNames(cloud, vms, call)
    const targets = await targetsOf(files, names, { to: given.one('to'), path })
    if (!overwrite) await checkFree(files, targets)
    const have: Record<string, Part> = {}
    for (const [vm, target] of targets) Object.assign(have, await partsOf(files, { vm, target, signal: terminal.signal }))
    const session = await cloud.open({ type: 'get', vms, path, ...(Object.keys(have).length > 0 ? { have } : {}), ...options }, call)
    const told = tally(invocation, (vm) => targets.get(vm) ?? vm)
    const landings = new Map([...targets].map(([vm, target]) => [vm, landing(files, { target, overwrite })]))
    let fault: unknown
    {
      await using picture = board(invocation, told)
      try {
        for await (const frame of framesOf(session, terminal.signal)) {
          if (frame.type === 'problem' && frame.vm === undefined) await invocation.report(new TtError(frame.problem))
          const vm = 'vm' in frame ? frame.vm : undefined
          const own = vm === undefined ? undefined : landings.get(vm)
          if (vm !== undefined && own) await landed(told, { vm, frame, own, forget: () => landings.delete(vm) })
          picture.touch()
        }
      } catch (thrown) {
        fault = thrown
      }
      for (const own of landings.values()) await own.leave()
    }
    if (fault !== undefined) throw resumable(fault, terminal.signal, 'what came so far is kept in .tt-part files')
    await told.report()
  },
}

/** Puts a VM's frame where it belongs. What cannot be put there ends the VM's part; the others go on. */
async function landed(told: Tally, { vm, frame, own, forget }: { vm: string; frame: SessionFrame; own: Landing; forget: () => void }): Promise<void> {
  try {
    if (frame.type === 'exit') await own.done()
    const transfer = told.heard(frame) ?? told.vms.get(vm)
    if (!transfer) return
    if (frame.type === 'problem') await own.leave()
    else if (frame.type === 'entry') {
      const { entry, offset = 0 } = frame
      await own.entry(entry, offset)
      transfer.bytes += offset
      if (entry.type === 'file') transfer.files++
      if (entry.type === 'file' && entry.path === '') transfer.totalBytes = entry.sizeBytes
    } else if (frame.type === 'stdout') {
      await own.bytes(frame.data)
      transfer.bytes += frame.data.length
      transfer.movedBytes += frame.data.length
    } else if (frame.type === 'entry-end') await own.entryEnd(frame.sha256)
    if (frame.type === 'exit' || frame.type === 'problem') forget()
  } catch (thrown) {
    forget()
    told.finish(vm, { problem: { ...problemOf(asTtError(thrown)), subject: `vm/${vm}` } })
    await own.leave()
  }
}

/** Where what comes from each VM is to be; no two are the same. */
async function targetsOf(files: LocalFiles, names: readonly string[], { to, path }: { to: string | undefined; path: string }): Promise<Map<string, string>> {
  const [only] = names
  const base = path.replace(/\/+$/, '').split('/').at(-1) || 'root'
  if (base === '.' || base === '..') fail('invalid', `--file is ${shown(path)}, whose last name is none`)
  const there = to === undefined ? undefined : await files.stat(to, { follow: true })
  if (to !== undefined && !there) checkNamed(to)
  if (to !== undefined && only !== undefined && names.length === 1 && there?.type !== 'directory' && !to.endsWith('/')) return new Map([[only, to]])
  if (there && there.type !== 'directory') fail('invalid', `--to is ${shown(to ?? '')}, which is no directory, and there is more than one VM`)
  if (to !== undefined && !there) await files.makeDirectory(to)
  return new Map(names.map((vm) => [vm, files.join(to ?? '.', names.length === 1 ? base : `${vm}-${base}`)]))
}

async function checkFree(files: LocalFiles, targets: ReadonlyMap<string, string>): Promise<void> {
  const taken: string[] = []
  for (const target of targets.values()) if (await files.stat(target)) taken.push(target)
  const [first] = taken
  if (first !== undefined) fail('exists', `${first} is there already${taken.length > 1 ? `, and ${taken.length - 1} more` : ''}: nothing was fetched`, { remedy: 'fetch it to another place by --to, or say --overwrite: a file replaces a file, and a directory fills up a directory' })
}
