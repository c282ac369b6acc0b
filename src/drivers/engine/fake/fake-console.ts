import { Duplex } from 'node:stream'
import { type Guest, nextPrint, printedBetween, type Run, runOf } from './guest.ts'
import { inputOf, sayer } from './process.ts'
import type { Room } from './room.ts'
import { runScript } from './shell.ts'

const lineLimitBytes = 4096

/** The serial line of a running guest: what it prints from now on, and a shell that answers each line with what it says. Who does not read misses it. */
export function fakeConsole(id: string, room: Room, run: Run): Duplex {
  const over = new AbortController()
  let told = room.world.now()
  let hasRoom = true
  const print = (text: string) => {
    if (text !== '' && hasRoom) hasRoom = stream.push(text.replaceAll(/\r?\n/g, '\r\n'))
  }
  const follow = async () => {
    for (;;) {
      const now = room.world.now()
      const guest = room.guest(id)
      const goesOn = runOf(guest, now)?.from === run.from && !room.disposed
      const same = guest?.runs.find(({ from }) => from === run.from)
      if (guest && same) print(printedBetween(guest, same, { from: told, to: now }))
      told = now
      if (!goesOn || over.signal.aborted) return void stream.push(null)
      await room.changes.next(id, { ms: nextPrint(run, now) - now, signals: [over.signal] })
    }
  }
  const shell = serialShell(id, room, { print, signal: over.signal })
  const stream = new Duplex({
    allowHalfOpen: false,
    read: () => void (hasRoom = true),
    write: (bytes: Buffer, _, done) => (shell(bytes), done()),
    destroy: (fault, done) => (over.abort(), done(fault)),
  })
  follow().catch((fault: Error) => stream.destroy(fault))
  return stream
}

/** Takes what is typed, echoes it, and runs each line when the one before it is done. */
function serialShell(id: string, room: Room, { print, signal }: { print(text: string): void; signal: AbortSignal }) {
  let line = ''
  let work = Promise.resolve()
  const runLine = async (text: string, guest: Guest) => {
    const say = sayer(room.world, signal, (_, bytes) => print(Buffer.from(bytes).toString('latin1')))
    const env = new Map([['PWD', '/']])
    await runScript(text, { world: room.world, hostname: guest.hostname, env, input: inputOf(), signal, say }).then(undefined, () => undefined)
  }
  return (bytes: Uint8Array) => {
    for (const character of Buffer.from(bytes).toString('latin1').replaceAll(/\r\n?/g, '\n')) {
      print(character)
      if (character !== '\n') {
        if (line.length < lineLimitBytes) line += character
        continue
      }
      const text = line
      line = ''
      const guest = room.guest(id)
      if (guest && text.trim() !== '') work = work.then(() => runLine(text, guest))
    }
  }
}
