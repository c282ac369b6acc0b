import type { Endpoint } from '../base/endpoint.ts'

/** Lets programs of this machine in. `bin` does it; the command line knows no sockets. */
export interface LocalDoors {
  /** Listens at an address, or on a unix socket that only this user may open. Refuses with `conflict` what is taken, with `invalid` or `denied` what cannot be. */
  open(at: Endpoint | { path: string }): Promise<Door>
  /** Runs a program of this machine to its end. Refuses with `not_found` one that is not there. */
  run(program: string, args: readonly string[], signal: AbortSignal): Promise<{ code: number }>
}

export interface Door extends AsyncDisposable {
  /** Who comes in, until the door is closed. */
  readonly visitors: AsyncIterable<Visitor>
}

/** A connection that was made from outside. */
export interface Visitor {
  /** What it says, until it hangs up. */
  readonly said: AsyncIterable<Uint8Array>
  /** Resolves when there is room for more. */
  tell(bytes: Uint8Array): Promise<void>
  hangUp(): void
}
