import { background } from '../base/background.ts'
import { queue } from '../base/queue.ts'
import type { Cloud, ListOptions } from '../model/cloud.ts'
import { asTtError } from '../model/errors.ts'
import type { Kind, Resource } from '../model/kinds.ts'
import type { Invocation } from './invocation.ts'
import type { Screen } from './terminal.ts'
import { jsonText } from './text.ts'
import { steadyWatch } from './watching.ts'

/** What there is to see at one moment. */
export interface Sight {
  /** All of it, for a screen, and for the first lines elsewhere. */
  page(): string
  /** Its things by name: what says that one has changed, and the line that tells of it. */
  rows: ReadonlyMap<string, { shape: object; line(): string }>
}

/** Sights follow each other no faster than this, and are drawn again after a while: they say how long ago things were. */
const pauseMs = 250
const clockMs = 5000

/**
 * Shows each sight until Ctrl-C. A screen is drawn anew; elsewhere everything is printed once and then a line for each thing that has changed; with
 * --json a document a line.
 */
export async function live(invocation: Invocation, sights: AsyncIterable<Sight>): Promise<void> {
  const { terminal, json, print, printJson } = invocation
  const screen = json ? undefined : terminal.out.screen()
  const known = new Map<string, string>()
  let first = true
  let last: Sight | undefined
  const draw = async () => {
    const size = terminal.out.screen()
    if (last && size) await terminal.out.write(`\x1b[H${drawn(last.page(), size)}\x1b[J`)
  }
  await using work = background(() => undefined)
  if (screen) {
    await terminal.out.write('\x1b[2J')
    work.run('clock', async (signal) => {
      for (;;) {
        await terminal.world.sleep(clockMs, signal)
        await draw()
      }
    })
  }
  try {
    for await (const sight of sights) {
      last = sight
      if (screen) await draw()
      else if (first && !json) await print(sight.page())
      for (const [name, { shape, line }] of sight.rows) {
        const text = jsonText(shape)
        if (known.get(name) === text) continue
        known.set(name, text)
        if (json) await printJson(shape)
        else if (!screen && !first) await print(line())
      }
      for (const name of known.keys()) {
        if (sight.rows.has(name)) continue
        known.delete(name)
        if (json) await printJson({ gone: name })
        else if (!screen) await print(`${name}: gone`)
      }
      first = false
    }
  } catch (thrown) {
    if (asTtError(thrown).code !== 'cancelled' || !terminal.signal.aborted) throw thrown
    if (screen) await terminal.out.write('\n')
    invocation.raise(interrupted)
  }
}

/** The resources of a watch as they are, whenever they have changed: first when all are known, then at most once in a while. */
export async function* latest<K extends Kind>(cloud: Cloud, kind: K, { which, terminal, note }: Pick<Invocation, 'terminal' | 'note'> & { which: ListOptions }): AsyncGenerator<ReadonlyMap<string, Resource<K>>> {
  const { world, signal } = terminal
  let resources = new Map<string, Resource<K>>()
  let fault: Error | undefined
  await using work = background((_name, thrown) => {
    fault = asTtError(thrown)
  })
  const news = queue<void>(work.signal)
  const onLost = () => work.run('saying so', () => note('tt: the server does not answer, asking again'))
  work.run('watching', async (stop) => {
    let fresh: Map<string, Resource<K>> | undefined
    try {
      for await (const change of steadyWatch(cloud, kind, { ...which, world, signal: AbortSignal.any([signal, stop]), onLost })) {
        const into = fresh ?? resources
        if (change.type === 'began') fresh = new Map()
        else if (change.type === 'is') into.set(change.resource.name, change.resource)
        else if (change.type === 'gone') into.delete(change.name)
        else if (fresh) {
          resources = fresh
          fresh = undefined
        }
        if (!fresh && news.length === 0) news.push()
      }
    } finally {
      news.end()
    }
  })
  for await (const _ of news) {
    yield new Map([...resources].sort(([one], [other]) => (one < other ? -1 : 1)))
    await world.sleep(pauseMs, signal)
  }
  if (fault) throw fault
  signal.throwIfAborted()
}

/** What a program says that was ended by Ctrl-C: https://www.gnu.org/software/bash/manual/html_node/Exit-Status.html */
const interrupted = 130

/** As many lines as the screen has, each cleared to its end. */
function drawn(page: string, { rows }: Screen): string {
  const lines = page.split('\n')
  const room = rows === undefined ? lines.length : rows - 1
  const shown = lines.length <= room ? lines : [...lines.slice(0, room - 1), `… and ${lines.length - room + 1} lines more`]
  return shown.map((line) => `${line}\x1b[K`).join('\n')
}
