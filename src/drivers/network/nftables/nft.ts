import { closeSync, openSync, unlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { coprocess } from '../../../base/coprocess.ts'
import { run } from '../../../base/run.ts'
import type { World } from '../../../base/world.ts'

/** Changes the packet filter. All statements of a call take effect together or none does. */
export interface Nft extends AsyncDisposable {
  transact(statements: readonly string[]): Promise<void>
}

/** Beyond this, a process of its own is faster than the long-lived one, which reads its input byte by byte (30 against 190 ms for 10,000 elements). */
const lineLimitBytes = 32 << 10

/** One long-lived `nft -i`, in which a line is a transaction; and a process of its own for what is long, which lies in `dir` for a moment. */
export function nft(world: World, dir = tmpdir()): Nft {
  const interactive = coprocess({
    argv: ['nft', '-i'],
    // It keeps a history and would write it into the home of whoever it runs as.
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', HOME: '/nonexistent' },
    world,
    complaint: (marker) => new RegExp(`^Error: .*\\n${marker}\\n *\\^+\\n`, 'm'),
    explain: explainNft,
  })
  return {
    async transact(statements) {
      const size = statements.reduce((sum, statement) => sum + statement.length, 0)
      if (size < lineLimitBytes) return interactive.send(statements.length === 0 ? [] : [statements.join(' ; ')])
      // From a file, so that it need not wait for us to write while we do other things; one that has lost its name is left by nobody.
      const path = join(dir, `nft-${process.pid}`)
      const fd = openSync(path, 'w+', 0o600)
      try {
        unlinkSync(path)
        writeFileSync(fd, `${statements.join('\n')}\n`)
        const { code, signal, stderr } = await run(['nft', '-f', '/proc/self/fd/3'], { fds: [fd] })
        if (code !== 0) throw new Error(stderr === '' ? `nft ended with ${code ?? signal}` : explainNft(stderr))
      } finally {
        closeSync(fd)
      }
    },
    [Symbol.asyncDispose]: () => interactive[Symbol.asyncDispose](),
  }
}

/** The first complaint of `nft` in one line: what is wrong, and the words it points at. */
export function explainNft(words: string): string {
  const [, why, line = '', indent = '', marks = ''] = /^(?:\S+: )?Error: (.*)\n(.*)\n(\s*)([\^~]+)/m.exec(words) ?? []
  if (why === undefined) return `nft: ${words.trim().slice(0, 500)}`
  const at = line.slice(indent.length, indent.length + marks.length).slice(0, 100)
  const before = line.slice(0, indent.length).split(' ; ').at(-1) ?? ''
  const statement = before.length > 100 ? `${before.slice(0, 40)}…${before.slice(-60)}` : before
  return `nft: ${why} at "${at}"${statement === '' ? '' : ` in "${statement}…"`}`
}
