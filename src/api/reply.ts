import type { Change, Listing } from '../model/cloud.ts'
import type { Kind, Resource } from '../model/kinds.ts'
import type { Session } from '../model/session.ts'

/** What an endpoint answers, before it is bytes. */
export type Reply =
  | { type: 'json'; value: unknown; status?: number }
  | { type: 'resource'; resource: Resource<Kind>; status?: number }
  | { type: 'nothing' }
  | { type: 'text'; contentType: string; text: string }
  | { type: 'list'; listing: Listing<Kind> }
  | { type: 'changes'; changes: AsyncIterable<Change<Kind>> }
  | { type: 'frames'; session: Session; stdin?: Uint8Array }
  | { type: 'bytes'; pieces: AsyncIterable<Uint8Array> }
  | { type: 'file'; /** 0: not known. */ sizeBytes: number; pieces: AsyncIterable<Uint8Array> }

/** How each of them is called on the wire. */
export const mediaTypes = {
  json: 'application/json',
  events: 'text/event-stream',
  frames: 'application/x-ndjson',
  bytes: 'text/plain; charset=utf-8',
  file: 'application/octet-stream',
} as const
