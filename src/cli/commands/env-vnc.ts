import { background } from '../../base/background.ts'
import { type Endpoint, parseEndpoint, placeText } from '../../base/endpoint.ts'
import { asTtError, errorOf, fail } from '../../model/errors.ts'
import { shown } from '../../model/names.ts'
import type { Session, SessionFrame } from '../../model/session.ts'
import type { Action, Invocation } from '../invocation.ts'
import type { Door, LocalDoors, Visitor } from '../local-doors.ts'
import { visible } from '../text.ts'
import { selectionFlags, selectionOf } from '../vm-selection.ts'

const firstPort = 5900
/** Ports that are tried where none is named. */
const portsTried = 100
const viewersAtOnce = 32

/** `tt env vnc NAME`. */
export const vnc: Action = {
  operands: [{ name: 'NAME[.INDEX]', of: 'vm' }],
  flags: [
    ...selectionFlags,
    { long: 'listen', value: 'ADDRESS|PATH', about: 'Where viewers connect: an address, or the path of a unix socket to be made', default: '127.0.0.1 and the first free port from 5900' },
    { long: 'viewer', value: 'PROGRAM', about: 'Start this viewer, and end with it' },
  ],
  details: [
    'The guest of a disk image has a screen, keyboard and mouse that a VNC viewer can use. This command listens on this machine and leads every viewer that connects there through the API: so nobody reaches the screen but by it, and the host opens no port. It goes on until Ctrl-C, or until the viewer it started has ended; several viewers share one screen.',
    'A port of 127.0.0.1 is open to every user of this machine while the command runs. A unix socket is yours alone. Any other address lets others in too, without a password.',
    'A viewer is called with one argument: HOST::PORT, or the path of the socket.',
  ],
  examples: [
    { line: 'tt env vnc box.0 --viewer vncviewer', about: 'the screen of box.0 in a window' },
    { line: 'tt env vnc box.0 --listen ./box.sock', about: 'on a socket that only you may open' },
  ],
  async run(invocation) {
    const { given, json, terminal } = invocation
    if (json) fail('invalid', 'a screen is for viewers: it has no --json')
    const vms = selectionOf(given)
    const asked = placeOf(given.one('listen'))
    const viewer = given.one('viewer')
    if (viewer === '') fail('invalid', '--viewer is "", allowed is a program')
    const cloud = await invocation.cloud()
    const open = () => cloud.open({ type: 'screen', vms }, invocation.call)
    await tried(await open())
    const doors = await terminal.doors()
    const { door, place } = await opened(doors, asked)
    await invocation.note(aboutPlace(place))
    await letIn(invocation, { door, open, until: viewer === undefined ? undefined : () => doors.run(viewer, ['path' in place ? place.path : `${place.host}::${place.port}`], terminal.signal) })
  },
}

type Place = Endpoint | { path: string }

/** Whoever connects is led to a session of its own, until Ctrl-C or until `until` is over. */
async function letIn(invocation: Invocation, { door, open, until }: { door: Door; open: () => Promise<Session>; until?: () => Promise<{ code: number }> }): Promise<void> {
  const { terminal, report } = invocation
  const { signal } = terminal
  const over = Promise.withResolvers<void>()
  signal.addEventListener('abort', () => over.resolve(), { once: true })
  if (signal.aborted) over.resolve()
  await using work = background((_name, fault) => over.reject(asTtError(fault)))
  await using _ = door // Closed before the work on its visitors is waited for.
  let inside = 0
  work.run('viewers', async (stop) => {
    for await (const visitor of door.visitors) {
      if (inside >= viewersAtOnce) {
        visitor.hangUp()
        continue
      }
      inside++
      work.run('viewer', async () => {
        try {
          await led(visitor, await open(), stop)
        } catch (thrown) {
          if (!signal.aborted) await report(thrown)
        } finally {
          visitor.hangUp()
          inside--
        }
      })
    }
  })
  if (until)
    work.run('the viewer that was started', async () => {
      const { code } = await until()
      if (!signal.aborted) invocation.raise(code)
      over.resolve()
    })
  await over.promise
}

/** Passes bytes both ways until either side ends it. */
async function led(visitor: Visitor, session: Session, stop: AbortSignal): Promise<void> {
  await using _ = session
  const writer = session.input.getWriter()
  const reader = session.output.getReader()
  const end = () => void reader.cancel().catch(() => undefined)
  stop.addEventListener('abort', end, { once: true })
  const typed = async () => {
    for await (const data of visitor.said) await writer.write({ type: 'stdin', data })
    end()
  }
  typed().catch(end)
  try {
    for (let step = await reader.read(); !step.done; step = await reader.read()) {
      const frame: SessionFrame = step.value
      if (frame.type === 'stdout') await visitor.tell(frame.data)
      if (frame.type === 'problem') throw errorOf(frame.problem)
    }
  } finally {
    stop.removeEventListener('abort', end)
  }
}

/** Whether there is a screen is known by the first word of it, or by why there is none. */
async function tried(session: Session): Promise<void> {
  await using _ = session
  for await (const frame of session.output) {
    if (frame.type === 'problem') throw errorOf(frame.problem)
    if (frame.type === 'stdout') return
  }
}

async function opened(doors: LocalDoors, asked: Place | undefined): Promise<{ door: Door; place: Place }> {
  if (asked) return { door: await doors.open(asked), place: asked }
  for (let port = firstPort; ; port++) {
    const place = { host: '127.0.0.1', port }
    try {
      return { door: await doors.open(place), place }
    } catch (thrown) {
      if (asTtError(thrown).code !== 'conflict' || port === firstPort + portsTried) throw thrown
    }
  }
}

function placeOf(text: string | undefined): Place | undefined {
  if (text === undefined) return undefined
  if (text.includes('/')) return { path: text }
  const place = parseEndpoint(text, firstPort)
  return place && place.tls === undefined ? place : fail('invalid', `--listen is ${shown(text)}, allowed is an address such as 127.0.0.1:5900, or a path with a /`)
}

function aboutPlace(place: Place): string {
  if ('path' in place) return `Viewers connect to ${visible(place.path)}, which only you may open. Ctrl-C ends it.`
  const isLocal = /^127\.|^localhost$|^::1$/.test(place.host)
  const who = isLocal ? 'Every user of this machine may connect there' : 'Everybody who can reach this address may connect there, without a password'
  return `Viewers connect to ${placeText(place)}. ${who} as long as this runs. Ctrl-C ends it.`
}
