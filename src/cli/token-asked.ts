import { fail } from '../model/errors.ts'
import type { Invocation } from './invocation.ts'
import { tokenIn } from './profiles.ts'
import type { Terminal } from './terminal.ts'

/** The token of --token-file or --token -, never of a word on the command line; undefined if none is given. */
export async function tokenGiven({ given, terminal }: Invocation): Promise<string | undefined> {
  const path = given.one('token-file')
  const source = given.one('token')
  if (path !== undefined && source !== undefined) fail('invalid', 'either --token-file or --token -')
  if (source !== undefined && source !== '-') fail('invalid', '--token takes only "-", standard input: on a command line others could read it', { remedy: 'use --token-file FILE, --token -, or TT_TOKEN' })
  if (source === undefined && path === undefined) return undefined
  const text = path === undefined || path === '-' ? await firstLine(terminal) : readToken(terminal, path)
  return tokenIn(text) ?? fail('invalid', 'that is no token: it is one line of letters, digits and signs')
}

function readToken(terminal: Terminal, path: string): string {
  try {
    return terminal.readFile(path)
  } catch (fault) {
    fail('invalid', `the token cannot be read: ${fault instanceof Error ? fault.message : String(fault)}`)
  }
}

async function firstLine({ input, signal }: Terminal): Promise<string> {
  const interrupted = Promise.withResolvers<never>()
  signal.addEventListener('abort', () => interrupted.reject(signal.reason), { once: true })
  const read = async () => {
    const decoder = new TextDecoder()
    let text = ''
    for await (const piece of input()) {
      text += decoder.decode(piece, { stream: true })
      if (text.includes('\n') || text.length > 4096) break
    }
    return text
  }
  return Promise.race([read(), interrupted.promise])
}
