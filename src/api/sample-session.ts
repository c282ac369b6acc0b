import { type Queue, queue } from '../base/queue.ts'
import { fail } from '../model/errors.ts'
import type { Exit, Session, SessionFrame, SessionInput, SessionRequest } from '../model/session.ts'

/** A session of the sample cloud: its VMs answer one after another, each only as fast as it is read. */
export function sampleSession(request: SessionRequest, vms: string[], closed: () => void): Session {
  const stop = new AbortController()
  const inputs = new Map(vms.map((vm) => [vm, queue<SessionInput>(stop.signal)]))
  const end = () => {
    stop.abort()
    closed()
  }
  return {
    output: ReadableStream.from(frames(request, inputs, stop.signal)),
    input: new WritableStream({
      write(input) {
        if (stop.signal.aborted) fail('unavailable', 'the session is over')
        for (const [vm, own] of inputs) if (input.vm === undefined || input.vm === vm) own.push(input)
      },
    }),
    async [Symbol.asyncDispose]() {
      end()
    },
  }
}

async function* frames(request: SessionRequest, inputs: Map<string, Queue<SessionInput>>, signal: AbortSignal): AsyncGenerator<SessionFrame> {
  if (request.type === 'doctor') yield { type: 'leak', host: 'here', leak: { kind: 'file', subject: '/tmp/left', why: 'nobody owns it' } }
  if (request.type === 'build') yield { type: 'built', host: 'here', image: request.image }
  for (const [vm, input] of inputs) {
    yield { type: 'begin', vm, image: 'sample:micro', address: '127.0.0.1' }
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
    if (request.follow) return yield* follow(guest)
  }
  if (request.type === 'console') return yield* copy(guest)
  if (request.type !== 'exec') return done
  const { command, env, cwd } = request
  const [word = '', ...rest] = command.argv ?? (command.shell ?? '').split(' ')
  const run = Object.hasOwn(words, word) ? words[word] : undefined
  return run ? yield* run(rest, { ...guest, env: { ...env, cwd: cwd ?? '/' } }) : { code: 127 }
}

/** What guests understand. */
const words: Record<string, (rest: string[], guest: Guest & { env: Record<string, string> }) => AsyncGenerator<Uint8Array, Exit>> = {
  async *echo(rest) {
    yield bytes(`${rest.join(' ')}\n`)
    return done
  },
  async *exit([code]) {
    return { code: Number(code) }
  },
  cat: (_rest, guest) => copy(guest),
  /** So many bytes of every value. */
  async *bytes([count]) {
    yield Uint8Array.from({ length: Number(count) }, (_, at) => at)
    return done
  },
  /** Without end. */
  async *flood(_rest, { signal }) {
    const piece = new Uint8Array(64 * 1024).fill(120)
    while (!signal.aborted) yield piece
    return done
  },
  /** Until a signal comes. */
  sleep: (_rest, guest) => follow(guest),
  async *env([name = ''], { env }) {
    yield bytes(`${env[name]}\n`)
    return done
  },
  /** The session itself breaks. */
  async *fault() {
    return fail('failed', 'the session broke', { subject: 'session', remedy: 'try again' })
  },
}

async function* copy({ input }: Guest): AsyncGenerator<Uint8Array, Exit> {
  for await (const said of input) {
    if (said.type === 'eof') break
    if (said.type === 'stdin') yield said.data
    if (said.type === 'signal') return { signal: said.signal }
    if (said.type === 'size') yield bytes(`${said.columns}x${said.rows}\n`)
  }
  return done
}
async function* follow({ input }: Guest): AsyncGenerator<Uint8Array, Exit> {
  for await (const said of input) if (said.type === 'signal') return { signal: said.signal }
  return done
}
