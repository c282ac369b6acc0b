import { background } from '../../../base/background.ts'
import { lineProgram } from '../../../base/line-program.ts'
import type { DriverHome } from '../../engine/engine.ts'
import { tableOf } from './names.ts'

/** What upkeep calls. It is called for what we do ourselves, too: who is called looks whether something is really missing. */
export interface Suspicions {
  /** Rules of ours were removed. */
  rules(): void
  /** An interface is gone, whosever it was. */
  device(name: string): void
  /** A little time has passed. */
  moment(): Promise<void>
}

const momentMs = 2000
const backoffMs = { first: 1000, last: 60_000 }
/** They read nothing, so they would not notice the end of a server that was killed: the kernel kills them with it. */
const withUs = ['setpriv', '--pdeathsig', 'KILL'] as const

/** Learns what others remove on the machine from the kernel itself, by two programs that say so; nothing is polled. */
export function runUpkeep({ mark, world, log }: DriverHome, suspect: Suspicions): AsyncDisposable {
  const works = background((name, fault) => log.error('upkeep of the network ended', { name, fault: String(fault) }))
  const follow = (name: string, argv: readonly string[], onLine: (line: string) => void) =>
    works.run(name, async (signal) => {
      for (let waitMs = backoffMs.first; !signal.aborted; waitMs = Math.min(waitMs * 2, backoffMs.last)) {
        const begun = world.ticks()
        const why = await lineProgram([...withUs, ...argv], { onLine, signal })
        if (signal.aborted) return
        if (world.ticks() - begun > backoffMs.last) waitMs = backoffMs.first
        log.warn('what others change of the network is not seen for a while', { program: argv.join(' '), why, againInMs: waitMs })
        await world.sleep(waitMs, signal)
        suspect.rules() // Something may have happened meanwhile.
      }
    })

  // Whatever takes away a table or a chain takes away its rules; elements come and go all the time.
  follow('rules', ['nft', 'monitor', 'destroy', 'rules'], (line) => {
    if (line.includes(` ${tableOf(mark)} `)) suspect.rules()
  })
  follow('interfaces', ['ip', '-o', 'monitor', 'link'], (line) => {
    const [, name] = /^Deleted \d+: ([^:@]+)/.exec(line) ?? []
    if (name !== undefined) suspect.device(name)
  })
  works.run('moments', async (signal) => {
    for (;;) {
      await world.sleep(momentMs, signal)
      await suspect.moment()
    }
  })
  return works
}
