/** The last parameter of everything that waits. */
export interface Call {
  /** Aborting it ends the wait; what was already done stays done. */
  signal?: AbortSignal
}

/** An exclusive two-way stream of bytes, by web streams so that a browser can hold it too. */
export interface ByteStream extends AsyncDisposable {
  readonly readable: ReadableStream<Uint8Array>
  readonly writable: WritableStream<Uint8Array>
}
