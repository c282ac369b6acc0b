import { httpCloud } from '../api/client.ts'
import { late, unreachable } from '../api/client/faults.ts'
import { nodeTransport } from '../api/node-transport.ts'
import { endpointUrl, placeText } from '../base/endpoint.ts'
import { deadline, realWorld as world } from '../base/world.ts'
import type { Terminal } from '../cli/terminal.ts'
import { TtError } from '../model/errors.ts'

const answerMs = 8000

/** How the client reaches a server. */
export const connect: Terminal['connect'] = async (server, { token, fingerprint }) => ({ cloud: httpCloud(endpointUrl(server), { token, world, ...nodeTransport({ fingerprint }) }) })

/** What a server shows of itself by TLS, in time or not at all. */
export const shown: Terminal['shown'] = async (server, call) => {
  const { shownBy } = await import('../api/secure-dial.ts')
  using limit = deadline(world, answerMs, call.signal, late(placeText(server), answerMs))
  try {
    return await shownBy(server, limit.signal)
  } catch (fault) {
    throw fault instanceof TtError ? fault : unreachable(fault, placeText(server))
  }
}
