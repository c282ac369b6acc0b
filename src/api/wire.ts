/** A WebSocket as browsers and `ws` both have it; `binaryType` is `arraybuffer`, or with `ws` what spares it a copy. */
export interface Wire {
  send(data: string | Uint8Array<ArrayBuffer>): void
  close(code?: number): void
  addEventListener(type: 'message', listener: (event: { data: unknown }) => void): void
  addEventListener(type: 'close', listener: (event: { code: number }) => void): void
  addEventListener(type: 'error', listener: () => void): void
}

/** The binary messages of a wire; anything else is undefined. */
export const bytesOf = (data: unknown): Uint8Array | undefined => (data instanceof Uint8Array ? data : data instanceof ArrayBuffer ? new Uint8Array(data) : undefined)
