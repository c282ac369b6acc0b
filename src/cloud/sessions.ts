import type { Call } from '../model/call.ts'
import type { Peer, Session, SessionRequest } from '../model/session.ts'
import { type Events, events } from './events.ts'
import { fanOut } from './fan-out.ts'
import { ledgerFinding } from './ledger-check.ts'
import type { EnvParts } from './parts.ts'

/** What a cluster is opened for: what it answers itself, and what its hosts do. Its memory of events is filled from here on. */
export function cloudSessions(parts: EnvParts, peer: (host: string) => Peer | undefined): { open(request: SessionRequest, call?: Call): Promise<Session> } & Disposable {
  const { truth, world } = parts
  const told: Events = events(truth, { world })
  return {
    async open(request, call) {
      if (request.type === 'events') return told.open(request, call)
      // Before the hosts are asked: what they find may follow from it.
      if (request.type === 'doctor') return fanOut({ truth, peer, first: [{ type: 'finding', host: 'cloud', finding: await ledgerFinding(parts, { fix: request.fix ?? false }) }] }, request, call)
      return fanOut({ truth, peer }, request, call)
    },
    [Symbol.dispose]: () => told[Symbol.dispose](),
  }
}
