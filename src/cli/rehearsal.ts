import { type ManualWorld, manualWorld } from '../base/manual-world.ts'
import { type Endpoint, endpointText } from '../base/endpoint.ts'
import type { TerminalSize } from '../model/session.ts'
import { main } from './main.ts'
import { rehearsedFiles } from './rehearsed-files.ts'
import { type Script, type ScriptedCloud, scriptedCloud } from './scripted-cloud.ts'
import type { Keyboard, Screen, Shown, Terminal } from './terminal.ts'

export interface Stage extends Script {
  variables?: Record<string, string>
  /** The text of the file of settings, or an Error that reading it throws. */
  config?: string | Error
  files?: Record<string, string>
  /** What is at an address. */
  web?: Record<string, string>
  screen?: Screen
  /** Tokens of servers on this machine, by their address. */
  tokens?: Record<string, string>
  /** Fingerprints of the servers on this machine that have a token here, and what servers show by TLS, by their address. */
  fingerprints?: Record<string, string>
  shown?: Record<string, Shown>
  /** The files of profiles by their name. */
  profiles?: Record<string, string>
  stdin?: string[]
  /** What is typed at a keyboard; without it there is none. */
  keys?: string[]
  /** Sizes that the screen takes on as soon as somebody looks. */
  resizes?: TerminalSize[]
  /** Ctrl-C after so many milliseconds. */
  interruptMs?: number
  sameSink?: boolean
}

export interface Played {
  status: number
  out: string
  err: string
  /** All of it as it came, and after how many milliseconds. */
  pieces: { to: 'out' | 'err'; text: string; ms: number }[]
  /** The file of settings afterwards. */
  config?: string
  profiles: Record<string, string>
  /** The files afterwards. */
  files: Record<string, string>
  /** Where it connected to, with which token, and which fingerprint it wants to see. */
  connected: { server: string; token: string; fingerprint?: string }[]
  cloud: ScriptedCloud
}

/** Nothing that is rehearsed waits longer. */
const longestMs = 300_000

/** A whole call of the command line, with a Terminal in memory and a Cloud that plays a script. Time passes by itself, at once. */
export async function rehearse(args: string | readonly string[], stage: Stage = {}): Promise<Played> {
  const world: ManualWorld = manualWorld()
  const cloud = scriptedCloud(stage, world)
  const files = rehearsedFiles(stage.files ?? {})
  const pieces: Played['pieces'] = []
  const controller = new AbortController()
  const played = { connected: [] as Played['connected'], config: stage.config instanceof Error ? undefined : stage.config, profiles: { ...stage.profiles } }
  const output = (to: 'out' | 'err'): Terminal['out'] => {
    const decoder = new TextDecoder()
    return {
      write: async (data) => void pieces.push({ to, ms: world.ticks(), text: typeof data === 'string' ? data : decoder.decode(data, { stream: true }) }),
      screen: () => stage.screen,
    }
  }
  const terminal: Terminal = {
    args: typeof args === 'string' ? args.split(' ').filter((word) => word !== '') : args,
    out: output('out'),
    err: output('err'),
    sameSink: () => stage.sameSink ?? stage.screen !== undefined,
    input: () => ReadableStream.from((stage.stdin ?? []).map((text) => new TextEncoder().encode(text))),
    keyboard: async () => stage.keys && keyboardOf(stage.keys, { resizes: stage.resizes ?? [], onGivenBack: () => void pieces.push({ to: 'err', ms: world.ticks(), text: '(keyboard given back)' }) }),
    doors: async () => absent('a door'),
    variables: stage.variables ?? {},
    config: {
      path: '/home/ann/.config/tt/config.json',
      read() {
        if (stage.config instanceof Error) throw stage.config
        return played.config
      },
      write: (text) => void (played.config = text),
    },
    readFile: (path) => stage.files?.[path] ?? absent(path),
    files: async () => files,
    fetchText: async (url) => stage.web?.[url],
    ownToken(server: Endpoint) {
      const token = stage.tokens?.[endpointText(server)]
      const fingerprint = stage.fingerprints?.[endpointText(server)]
      return token === undefined ? undefined : { token, path: `/var/lib/tt/${server.host}-${server.port}/token`, ...(fingerprint === undefined ? {} : { fingerprint }) }
    },
    profiles: {
      names: () => Object.keys(played.profiles),
      read: (name) => played.profiles[name],
      write: (name, text) => void (played.profiles[name] = text),
      remove: (name) => void delete played.profiles[name],
      pathOf: (name) => `/home/ann/.config/tt/tokens/${name}`,
    },
    async connect(server, { token, fingerprint }) {
      played.connected.push({ server: endpointText(server), token, ...(fingerprint === undefined ? {} : { fingerprint }) })
      return { cloud }
    },
    shown: async (server) => stage.shown?.[endpointText(server)] ?? absent(endpointText(server)),
    world,
    signal: controller.signal,
    version: async () => '0.1.0',
  }
  if (stage.interruptMs !== undefined) world.after(stage.interruptMs, () => controller.abort())
  let over = false
  const running = main(terminal).finally(() => (over = true))
  while (!over) {
    if (world.ticks() > longestMs) throw new Error(`tt ${terminal.args.join(' ')} does not end`)
    await world.advance(50)
  }
  const textOf = (to: 'out' | 'err') => pieces.flatMap((piece) => (piece.to === to ? [piece.text] : [])).join('')
  return { ...played, files: files.texts(), status: await running, out: textOf('out'), err: textOf('err'), pieces, cloud }
}

function keyboardOf(keys: readonly string[], { resizes, onGivenBack }: { resizes: TerminalSize[]; onGivenBack: () => void }): Keyboard {
  let held = true
  return {
    keys: typed(keys),
    size: () => ({ columns: 100, rows: 30 }),
    resized(tell) {
      for (const size of resizes) tell(size)
      return () => undefined
    },
    [Symbol.dispose]() {
      if (held) onGivenBack()
      held = false
    },
  }
}

async function* typed(keys: readonly string[]): AsyncGenerator<Uint8Array> {
  for (const text of keys) yield new TextEncoder().encode(text)
  await new Promise(() => undefined) // A keyboard has no end.
}

const absent = (path: string): never => {
  throw new Error(`ENOENT: no such file or directory, open '${path}'`)
}
