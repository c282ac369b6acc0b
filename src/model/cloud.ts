import type { Call } from './call.ts'
import type { Problem } from './errors.ts'
import type { Asked, Kind, Resource } from './kinds.ts'
import type { Session, SessionRequest } from './session.ts'
import type { Role } from './user.ts'

/**
 * A cloud: everything a user can do, and nothing else. Command line, dashboard, proxy and server hold "a Cloud" and do
 * not know which: the truth in a store (`cluster`), one over HTTP (`httpCloud`), several as one (`federation`), or
 * any of these seen by one user (`guard`). `cloud.contract.ts` holds for all of them, also stacked.
 *
 * Rules for an implementer
 * - Every refusal is a TtError of `errors.ts`; its `subject` names what the caller called (`env/demo`, `vm/demo.3`).
 * - Every verb may be repeated. `put` with the uid of the resource that is there is a repeat, not a conflict; `remove`
 *   of something that is already being removed is one too. `remove` of a name that never was is `not_found`.
 * - A caller reads its own writes: after `put` resolved, `get`, `list` and `watch` of the same Cloud show it.
 * - An aborted call rejects with code `cancelled` (or the signal's own TtError); what was committed stays.
 * - Nothing here waits for VMs. `put` answers when the wish is kept; `watch` tells the rest.
 */
export interface Cloud {
  /** Who answers: for `status`, `/version` and logs. */
  about(call?: Call): Promise<About>
  collection<K extends Kind>(kind: K): Collection<K>
  /** Streams and fan-out. Rejects before anything runs if the selection names an unknown ENV, or matches no VM (`not_found`). */
  open(request: SessionRequest, call?: Call): Promise<Session>
}

export interface About {
  /** `cluster`, or `federation`. */
  cloud: string
  version: string
  /** Its caller, as it understood it. */
  user: string
  role: Role
}

export interface PutOptions<K extends Kind> {
  spec: Asked<K>
  /** Chosen by the caller to make a creation repeatable; otherwise the cloud chooses. 4 to 32 of a-z and 0-9. */
  uid?: string
  /** `absent`: create only (`exists` if it is there). A revision: change only what was seen (`conflict` otherwise). */
  expect?: 'absent' | (string & {})
  /** Whose it is to be. Only an admin may name another than the caller; `guard` fills it in. */
  owner?: string
  /** Chosen by the caller to make any change repeatable: a change with the id of a task that is there is its repeat. 4 to 32 of a-z and 0-9. */
  task?: string
}

export interface RemoveOptions {
  /** As in `PutOptions`. */
  task?: string
  /** Of an ENV: the disks of its VMs stay, as images of its owner. */
  keepDisks?: boolean
  /** Of an ENV: only the one with this uid; another that has the name by now is `not_found`. */
  uid?: string
}

export interface ListOptions {
  /** Only what belongs to this. */
  under?: string
  /** Also what is others', as far as the caller may see it: of that, only as much as is allowed. */
  all?: boolean
}

/** What `watch` tells: first every resource there is and `synced`, then changes of spec or status, the latest state of each. */
export type Change<K extends Kind> = { type: 'is'; resource: Resource<K> } | { type: 'gone'; name: string } | { type: 'synced' }

/**
 * The resources of one kind. `under` narrows to what belongs to another resource: the VMs of the ENV `demo`.
 *
 * - `env`: written by users. `put` admits it (`exhausted` names resource, total, used and wanted), `remove` marks it.
 * - `vm`: derived from ENVs; named `demo.3`; read-only: what is different for one VM is said in its ENV.
 * - `host`, `image`: what the hosts report; read-only, but that `remove` takes away an image that was kept from a disk.
 * - `user`: accounts, for admins; everybody may read their own. `remove` is `conflict` while they have ENVs or disks that were kept.
 * - `token`: named `USER/NAME`; a user writes and removes their own. Removed or expired it is worth nothing from that moment.
 * - `task`: every change that takes time, kept for an hour after its end; `remove` cancels it (`unsupported` for what cannot be taken back,
 *   and nothing if it is over). Read-only otherwise.
 */
export interface Collection<K extends Kind> {
  get(name: string, call?: Call): Promise<Resource<K>>
  /** In order of name; VMs in order of ENV and index. `missing` names members that did not answer. */
  list(options?: ListOptions, call?: Call): Promise<Listing<K>>
  put(name: string, options: PutOptions<K>, call?: Call): Promise<Resource<K>>
  remove(name: string, options?: RemoveOptions, call?: Call): Promise<void>
  /** Ends when the signal aborts. A slow reader loses steps between, never the latest state. */
  watch(options?: ListOptions, call?: Call): AsyncIterable<Change<K>>
}

export interface Listing<K extends Kind> {
  items: Resource<K>[]
  missing: Problem[]
}
