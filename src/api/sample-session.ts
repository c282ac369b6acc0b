import { type Queue, queue } from '../base/queue.ts'
import { fail } from '../model/errors.ts'
import { given, type SampleFiles, takenByAll } from './sample-transfer.ts'
import type { Exit, Session, SessionFrame, SessionInput, SessionRequest } from '../model/session.ts'

/** A session of the sample cloud: its VMs answer one after another, each only as fast as it is read. */
export function sampleSession(request: SessionRequest, vms: string[], { files, closed }: { files: SampleFiles; closed: () => void }): Session {
  const stop = new AbortController()
  const inputs = new Map(vms.map((vm) => [vm, queue<SessionInput>(stop.signal)]))
  const end = () => {
    stop.abort()
    closed()
  }
  return {
    output: ReadableStream.from(request.type === 'push' ? takenByAll(request, files, inputs) : frames(request, inputs, { files, signal: stop.signal })),
    input: new WritableStream({
      write(input) {
        if (stop.signal.aborted) fail('unavailable', 'the session is over')
        for (const [vm, own] of inputs) if (!('vm' in input) || input.vm === undefined || input.vm === vm) own.push(input)
      },
    }),
    async [Symbol.asyncDispose]() {
      end()
    },
  }
}

async function* frames(request: SessionRequest, inputs: Map<string, Queue<SessionInput>>, { files, signal }: { files: SampleFiles; signal: AbortSignal }): AsyncGenerator<SessionFrame> {
  if (request.type === 'doctor') yield* [
    { type: 'leak', host: 'here', leak: { kind: 'file', subject: '/tmp/left', why: 'nobody owns it' } },
    { type: 'finding', host: 'here', finding: { check: 'clock', state: 'good', message: 'it is right' } },
  ] satisfies SessionFrame[]
  if (request.type === 'reload') yield { type: 'reloaded', host: 'here', changed: [], needRestart: [] }
  if (request.type === 'build') yield { type: 'built', host: 'here', image: request.image }
  for (const [vm, input] of inputs) {
    yield { type: 'begin', vm, image: 'sample:micro', address: '127.0.0.1' }
    if (request.type === 'get') {
      yield* given(request, files, vm)
      continue
    }
    const guest = answer(request, { vm, input, signal })
    let step = await guest.next()
    for (; !step.done; step = await guest.next()) yield { type: 'stdout', vm, data: step.value }
    if (signal.aborted) return
    yield { type: 'exit', vm, ...step.value }
  }
}

interface Guest {
  vm: string
  input: AsyncIterable<SessionInput>
  signal: AbortSignal
}

const bytes = (text: string) => new TextEncoder().encode(text)
const done: Exit = { code: 0 }

async function* answer(request: SessionRequest, guest: Guest): AsyncGenerator<Uint8Array, Exit> {
  if (request.type === 'logs') {
    yield bytes(`${guest.vm} says hello\n`)
    return request.follow ? yield* heard(guest, { echo: false }) : done
  }
  if (request.type === 'console') return yield* heard(guest, { echo: true })
  if (request.type !== 'exec') return done
  const { command, env, cwd } = request
  const [word = '', ...rest] = command.argv ?? (command.shell ?? '').split(' ')
  const run = Object.hasOwn(words, word) ? words[word] : undefined
  return run ? yield* run(rest, { ...guest, env: { ...env, cwd: cwd ?? '/' } }) : { code: 127 }
}

type Run = (rest: string[], guest: Guest & { env: Record<string, string> }) => AsyncGenerator<Uint8Array, Exit>

/** What guests understand. */
const words: Record<string, Run> = {
  echo: (rest) => said(`${rest.join(' ')}\n`),
  exit: ([code]) => said('', { code: Number(code) }),
  env: ([name = ''], { env }) => said(`${env[name]}\n`),
  cat: (_rest, guest) => heard(guest, { echo: true }),
  /** Until a signal comes. */
  sleep: (_rest, guest) => heard(guest, { echo: false }),
  /** Without end. */
  async *flood(_rest, { signal }) {
    const piece = new Uint8Array(64 * 1024).fill(120)
    while (!signal.aborted) yield piece
    return done
  },
  /** The session itself breaks. */
  fault: () => fail('failed', 'the session broke', { subject: 'session', remedy: 'try again' }),
}

async function* said(text: string, exit: Exit = done): AsyncGenerator<Uint8Array, Exit> {
  if (text !== '') yield bytes(text)
  return exit
}

async function* heard({ input }: Guest, { echo }: { echo: boolean }): AsyncGenerator<Uint8Array, Exit> {
  for await (const one of input) {
    if (one.type === 'signal') return { signal: one.signal }
    if (one.type === 'eof' && echo) break
    if (one.type === 'stdin' && echo) yield one.data
    if (one.type === 'size' && echo) yield bytes(`${one.columns}x${one.rows}\n`)
  }
  return done
}
