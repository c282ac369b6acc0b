import { realWorld as world } from '../src/base/world.ts'
import { localFiles } from '../src/bin/local-files.ts'
import { main } from '../src/cli/main.ts'
import type { Terminal } from '../src/cli/terminal.ts'
import type { Cloud } from '../src/model/cloud.ts'

export interface Called {
  status: number
  out: string
  err: string
}

/** A call of the command line in this process and in real time, with a Cloud that is there already. `connect` is asked for others' tokens. */
export async function calledOn(cloud: Cloud, { args, signal = new AbortController().signal, connect = () => cloud }: { args: string[]; signal?: AbortSignal; connect?: (token: string) => Cloud }): Promise<Called> {
  const text = { out: '', err: '' }
  const output = (to: 'out' | 'err'): Terminal['out'] => ({ write: async (data) => void (text[to] += typeof data === 'string' ? data : Buffer.from(data).toString()), screen: () => undefined })
  const nothing = () => {
    throw new Error('there is no such file')
  }
  const status = await main({
    args,
    out: output('out'),
    err: output('err'),
    sameSink: () => false,
    input: async function* () {},
    keyboard: async () => undefined,
    doors: nothing,
    variables: {},
    config: { path: '/nowhere', read: () => undefined, write: nothing },
    readFile: nothing,
    fetchText: async () => undefined,
    files: async () => localFiles,
    profiles: { names: () => [], read: () => undefined, write: nothing, remove: nothing, pathOf: (name) => `/nowhere/${name}` },
    ownToken: () => ({ token: 'own', path: '/nowhere/token' }),
    connect: async (_server, { token }) => ({ cloud: token === 'own' ? cloud : connect(token) }),
    shown: nothing,
    world,
    signal,
    version: async () => '0',
  })
  return { status, ...text }
}

export const calledWith = (cloud: Cloud, ...args: string[]): Promise<Called> => calledOn(cloud, { args })
