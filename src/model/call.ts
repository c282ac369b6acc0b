/** The last parameter of everything that waits. */
export interface Call {
  /** Aborting it ends the wait; what was already done stays done. */
  signal?: AbortSignal
}
