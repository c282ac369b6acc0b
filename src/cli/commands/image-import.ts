import type { Given } from '../../base/arguments.ts'
import { errorOf, fail, TtError } from '../../model/errors.ts'
import { archs, ways } from '../../model/image.ts'
import { shown } from '../../model/names.ts'
import type { ImageOrder, Session, SessionFrame, SessionInput } from '../../model/session.ts'
import { numberOf, partsOf, wholeNumber } from '../flag-values.ts'
import type { Action, Invocation } from '../invocation.ts'
import { absent, type LocalFiles } from '../local-files.ts'
import { progress, type Progress } from '../progress.ts'
import { digestOf } from '../push-source.ts'
import { visible } from '../text.ts'
import { bytesText } from '../transfer-tally.ts'
import { framesOf } from '../vm-frames.ts'
import { resumable } from './env-push.ts'

const formats = ['qcow2', 'raw', 'vmdk', 'vdi'] as const

/** `tt image import FILE|URL`. */
export const importImage: Action = {
  operands: [{ name: 'FILE|URL', of: 'file' }],
  flags: [
    { long: 'name', value: 'NAME', required: true, about: 'What the image is called; parts may be joined by "/"' },
    { long: 'sha256', value: 'HEX', about: 'What the bytes are to be; others are refused' },
    { long: 'format', value: formats.join('|'), about: 'What the file is; without it, it says so itself. A raw disk without a boot sector needs it' },
    { long: 'arch', value: archs.join('|'), about: 'What its guests run on', default: 'amd64' },
    { long: 'agent', value: [...ways, 'none'].join('|'), list: 'commas', about: 'Ways into its guests, the preferred first', default: 'qga,ssh' },
    { long: 'feature', value: 'FEATURE', list: 'commas', about: 'What else is known of it', default: 'cloud-init' },
    { long: 'no-cloud-init', about: 'It has no cloud-init that would tell its guests who they are' },
    { long: 'memo', value: 'TEXT', about: 'A line about it, for lists' },
    { long: 'cpu-num', short: 'C', also: ['cpu'], value: 'N', about: 'Cpus of a VM that asks for nothing else' },
    { long: 'mem-size', short: 'M', also: ['mem'], value: 'MB', about: 'Memory of such a VM' },
    { long: 'disk-size', short: 'D', also: ['disk'], value: 'MB', about: 'Disk of such a VM; never smaller than the image' },
    { long: 'port', short: 'p', value: 'PORT', list: 'commas', about: 'Ports that are open in its guests', default: '22' },
    { long: 'replace', about: 'Take the place of an imported image of that name; VMs made of it keep what they have' },
    { long: 'host', value: 'HOST', list: 'commas', of: 'host', about: 'Only for these hosts', default: 'all that answer' },
  ],
  details: [
    'Takes a disk in the format qcow2, raw, vmdk or vdi, as one file that is not packed. A FILE is sent from here; a URL is fetched by the servers themselves, through the proxies in their environment. The disk is checked, as a stranger\'s, and written anew as qcow2. What broke off goes on from where it was when the same command is run again within a day.',
    'For admins. The image is deleted by `tt image del`.',
  ],
  examples: [
    { line: 'tt image import debian-12-genericcloud-amd64.qcow2 --name debian', about: 'a stock cloud image that lies here' },
    { line: 'tt image import https://cloud.example.org/debian-12.qcow2 --name debian --sha256 9f86d0…', about: 'the servers fetch it, and take nothing else' },
    { line: 'tt image import old-box.vmdk --name old-box --agent none --no-cloud-init', about: 'a disk of another system, used by its console and its ports' },
  ],
  async run(invocation) {
    const { given, call, json, quiet, terminal } = invocation
    const [from = ''] = given.operands
    const order = orderOf(given)
    const hosts = partsOf(given, 'host', 'the name of a host')
    const isUrl = /^[a-z][a-z0-9+.-]*:\/\//i.test(from)
    await using bar = progress(invocation)
    const file = isUrl ? undefined : await announced(invocation, { path: from, order, bar })
    if (isUrl && /^http:/i.test(from) && order.sha256 === undefined) await invocation.note('tt: anybody on the way can change what comes by http://; with --sha256 that is noticed')
    const cloud = await invocation.cloud()
    const image = { ...order, ...(isUrl ? { url: urlOf(from) } : { sha256: file?.sha256, sizeBytes: file?.sizeBytes }) }
    const session = await cloud.open({ type: 'import', image, ...(hosts.length > 0 ? { hosts } : {}) }, call)
    const built: { host: string; image: string }[] = []
    let problems = 0
    const wanted = Promise.withResolvers<number | undefined>()
    let fault: unknown
    const sending = file && sent(session, file, wanted.promise).catch(async (thrown: unknown) => {
      fault = thrown
      await session[Symbol.asyncDispose]()
    })
    try {
      for await (const frame of framesOf(session, terminal.signal)) {
        if (frame.type === 'wants') wanted.resolve(frame.offset)
        const text = stepOf(frame)
        if (text !== undefined) bar.show(`${order.name}: ${text}`)
        if (frame.type === 'built') built.push({ host: frame.host, image: frame.image })
        if (frame.type === 'problem') {
          problems++
          await invocation.report(errorOf(frame.problem))
        }
      }
    } catch (thrown) {
      fault ??= thrown
    }
    wanted.resolve(undefined)
    await sending
    if (fault !== undefined) throw resumable(fault, terminal.signal, 'what came so far is kept by the servers for a day')
    await bar[Symbol.asyncDispose]()
    if (built.length === 0 && problems === 0) fail('unavailable', 'the connection ended before the import did', { subject: `image/${order.name}`, remedy: 'the same command goes on from where it was' })
    if (json) return invocation.printJson({ built })
    if (!quiet) for (const one of built) await invocation.print(`${visible(one.image)}: imported by ${visible(one.host)}`)
  },
}

/** What the flags say of the image. */
function orderOf(given: Given): ImageOrder {
  const agents = partsOf(given, 'agent', `${ways.join(', ')} or none`)
  for (const agent of agents) if (agent !== 'none' && !isOneOf(ways, agent)) wrong('--agent', agent, [...ways, 'none'])
  if (agents.includes('none') && agents.length > 1) fail('invalid', '--agent is none or names ways, not both')
  const sha256 = given.one('sha256')?.toLowerCase()
  if (sha256 !== undefined && !/^[0-9a-f]{64}$/.test(sha256)) fail('invalid', `--sha256 is ${shown(sha256)}, allowed are 64 digits of 0-9 and a-f`)
  const format = given.one('format')
  const arch = given.one('arch')
  if (given.has('no-cloud-init') && given.all('feature').includes('cloud-init')) fail('invalid', 'either --feature cloud-init or --no-cloud-init')
  const features = given.has('feature') || given.has('no-cloud-init') ? partsOf(given, 'feature', 'a word') : undefined
  return defined({
    name: given.one('name') ?? '',
    sha256,
    format: format === undefined || isOneOf(formats, format) ? format : wrong('--format', format, formats),
    arch: arch === undefined || isOneOf(archs, arch) ? arch : wrong('--arch', arch, archs),
    ways: agents.length === 0 ? undefined : agents.filter((agent) => isOneOf(ways, agent)),
    features,
    memo: given.one('memo'),
    cpu: numberOf(given, 'cpu-num'),
    memMb: numberOf(given, 'mem-size'),
    diskMb: numberOf(given, 'disk-size'),
    ports: given.has('port') ? partsOf(given, 'port', 'a port').map((port) => wholeNumber('--port', port)) : undefined,
    replace: given.has('replace') || undefined,
  })
}

const isOneOf = <T extends string>(all: readonly T[], text: string): text is T => (all as readonly string[]).includes(text)
const wrong = (flag: string, text: string, allowed: readonly string[]): never => fail('invalid', `${flag} is ${shown(text)}, allowed is ${allowed.join(', ')}`)

/** Without what says nothing. */
const defined = (order: { [K in keyof ImageOrder]: ImageOrder[K] | undefined } & { name: string }): ImageOrder => Object.fromEntries(Object.entries(order).filter(([, value]) => value !== undefined)) as unknown as ImageOrder

function urlOf(text: string): string {
  const protocol = URL.parse(text)?.protocol ?? fail('invalid', `${shown(text)} is no address`)
  return protocol === 'https:' || protocol === 'http:' ? text : fail('invalid', `an address begins with https:// or http://, not with ${protocol}`, { remedy: 'fetch it yourself, and import the file' })
}

interface Announced {
  files: LocalFiles
  path: string
  sizeBytes: number
  sha256: string
}

/** The file with its sha256, which is what the servers look for it by. */
async function announced({ terminal, call }: Invocation, { path, order, bar }: { path: string; order: ImageOrder; bar: Progress }): Promise<Announced> {
  const files = await terminal.files()
  const found = (await files.stat(path, { follow: true })) ?? absent(path, 'file')
  if (found.type !== 'file') fail('invalid', `${path} is no file`)
  const { sizeBytes } = found
  const seen: LocalFiles = { ...files, read: (file, from) => counted(files.read(file, from), (done) => bar.show(`${order.name}: reading ${share(done, sizeBytes)}`)) }
  const { sha256, sizeBytes: read } = await digestOf(seen, path, { signal: call.signal })
  if (read !== sizeBytes) changed(path)
  if (order.sha256 !== undefined && order.sha256 !== sha256) fail('invalid', `the sha256 of ${path} is ${sha256}, not ${order.sha256}`, { remedy: 'see that it is the right file, and whole' })
  return { files, path, sizeBytes, sha256 }
}

async function* counted(pieces: AsyncIterable<Uint8Array>, tell: (done: number) => void): AsyncGenerator<Uint8Array> {
  let done = 0
  for await (const piece of pieces) {
    tell((done += piece.length))
    yield piece
  }
}

/** Sends the file from where it is wanted. Ends quietly when nobody takes it any more: the frames say why. */
async function sent({ input }: Session, { files, path, sizeBytes, sha256 }: Announced, wanted: Promise<number | undefined>): Promise<void> {
  const writer = input.getWriter()
  let listens = true
  const say = async (frame: SessionInput) => {
    if (listens) await writer.write(frame).catch(() => (listens = false))
  }
  await say({ type: 'entry', entry: { path: '', type: 'file', mode: 0o644, sizeBytes, sha256 } })
  const from = await wanted
  if (from === undefined) return
  await say({ type: 'from', offset: from })
  let at = from
  for await (const data of from < sizeBytes ? files.read(path, from) : []) {
    at += data.length
    if (at > sizeBytes) changed(path)
    await say({ type: 'stdin', data })
    if (!listens) return
  }
  if (at < sizeBytes) changed(path)
  await say({ type: 'eof' })
}

const changed = (path: string): never => {
  throw new TtError({ code: 'failed', message: `${path} changes while it is read`, remedy: 'import it again when nobody writes it' })
}

/** A frame as a line for whoever waits. */
function stepOf(frame: SessionFrame): string | undefined {
  const at = (host?: string) => (host === undefined ? '' : `${host}: `)
  if (frame.type === 'note') return `${at(frame.host)}${frame.text}`
  return frame.type === 'progress' ? `${at(frame.host)}${frame.what} ${share(frame.doneBytes, frame.totalBytes)}` : undefined
}

const share = (done: number, total?: number): string => (total === undefined ? bytesText(done) : `${bytesText(done)} of ${bytesText(total)}${total > 0 ? ` (${Math.floor((done / total) * 100)}%)` : ''}`)
