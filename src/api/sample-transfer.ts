import { type Queue, queue } from '../base/queue.ts'
import { sha256 } from '../base/sha256.ts'
import { fail, type Problem } from '../model/errors.ts'
import type { FileEntry, SessionFrame, SessionInput, SessionRequest } from '../model/session.ts'

/** What lies in the guests of the sample cloud, by VM and path. */
export type SampleFiles = Map<string, Map<string, { entry: FileEntry; bytes: Uint8Array }>>
type Push = Extract<SessionRequest, { type: 'push' }>
type Get = Extract<SessionRequest, { type: 'get' }>

const placed = (base: string, path: string) => (path === '' ? base : `${base}/${path}`)
const inSample = (path: string) => path === '/tmp' || path.startsWith('/tmp/')

/** Takes what is pushed to one VM. */
async function* taken(request: Push, files: SampleFiles, { vm, input }: { vm: string; input: Queue<SessionInput> }): AsyncGenerator<SessionFrame> {
  const own = files.get(vm) ?? new Map<string, { entry: FileEntry; bytes: Uint8Array }>()
  files.set(vm, own)
  const inputs = input[Symbol.asyncIterator]()
  for (let step = await inputs.next(); !step.done && step.value.type !== 'eof'; step = await inputs.next()) {
    if (step.value.type !== 'entry') continue
    const { entry } = step.value
    if (entry.path.split('/').includes('..') || entry.path.startsWith('/')) return yield refused(vm, { code: 'invalid', message: 'a path that leads out' })
    const place = placed(request.path, entry.path)
    if (!inSample(place)) return yield refused(vm, { code: 'not_found', message: `there is no directory for ${place}` })
    if (entry.type !== 'file') {
      own.set(place, { entry, bytes: new Uint8Array() })
      continue
    }
    const there = own.get(place)
    const isThere = there?.entry.sha256 === entry.sha256
    if (there && !isThere && !request.overwrite) return yield refused(vm, { code: 'exists', message: `${place} is there` })
    const part = own.get(`${place}\0part`)?.bytes ?? new Uint8Array()
    const { sizeBytes = 0 } = entry
    const offset = isThere ? sizeBytes : part.length
    yield { type: 'wants', vm, offset }
    const kept = Buffer.concat([part.subarray(0, offset)])
    const bytes = await received(inputs, { sizeBytes, offset, kept, keep: (some) => own.set(`${place}\0part`, { entry, bytes: some }) })
    if (isThere) continue
    own.delete(`${place}\0part`)
    if (sha256(bytes) !== entry.sha256) return yield refused(vm, { code: 'failed', message: 'the bytes are others' })
    own.set(place, { entry, bytes })
  }
  yield { type: 'exit', vm, code: 0 }
}

async function received(inputs: AsyncIterator<SessionInput>, { sizeBytes, offset, kept, keep }: { sizeBytes: number; offset: number; kept: Buffer; keep: (bytes: Buffer) => void }): Promise<Buffer> {
  let [all, at] = [kept, 0]
  const { value: from } = (await inputs.next()) as { value?: SessionInput }
  if (from?.type === 'from') at = from.offset
  while (at < sizeBytes) {
    const { value, done } = await inputs.next()
    if (done || value.type !== 'stdin') return fail('failed', 'cut short')
    all = Buffer.concat([all, value.data.subarray(Math.max(0, offset - at))])
    at += value.data.length
    keep(all)
  }
  return all
}

/** Gives what lies in one VM. */
export async function* given(request: Get, files: SampleFiles, vm: string): AsyncGenerator<SessionFrame> {
  const own = [...(files.get(vm) ?? [])].filter(([path]) => !path.endsWith('\0part') && (path === request.path || path.startsWith(`${request.path}/`)))
  if (own.length === 0) return yield refused(vm, { code: 'not_found', message: `there is no ${request.path}` })
  for (const [path, { entry, bytes }] of own) {
    const { sha256: whole, ...plain } = { ...entry, path: path.slice(request.path.length + 1) }
    const have = plain.path === '' ? request.have?.[vm] : undefined
    const offset = have && sha256(bytes.subarray(0, have.bytes)) === have.sha256 ? have.bytes : 0
    yield { type: 'entry', vm, entry: plain, ...(plain.type === 'file' ? { offset } : {}) }
    if (plain.type !== 'file') continue
    if (offset < bytes.length) yield { type: 'stdout', vm, data: bytes.subarray(offset) }
    yield { type: 'entry-end', vm, sha256: whole ?? '' }
  }
  yield { type: 'exit', vm, code: 0 }
}

const refused = (vm: string, problem: Problem): SessionFrame => ({ type: 'problem', vm, problem: { ...problem, subject: `vm/${vm}` } })

/** A push takes place in all VMs at the same time: nobody's bytes are sent twice. */
export async function* takenByAll(request: Push, files: SampleFiles, inputs: ReadonlyMap<string, Queue<SessionInput>>): AsyncGenerator<SessionFrame> {
  const frames = queue<SessionFrame>()
  const lane = async ([vm, input]: [string, Queue<SessionInput>]) => {
    frames.push({ type: 'begin', vm, image: 'sample:micro', address: '127.0.0.1' })
    try {
      for await (const frame of taken(request, files, { vm, input })) frames.push(frame)
    } catch {
      return // The caller is gone.
    }
  }
  const all = Promise.all([...inputs].map(lane)).finally(() => frames.end())
  yield* frames
  await all
}
