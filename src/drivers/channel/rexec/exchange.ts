import type { Call } from '../../../model/call.ts'
import type { TtError } from '../../../model/errors.ts'
import type { Frame } from './frame.ts'

/** Something that is asked of a guest under one number, from its first frame to its end. */
export interface Exchange<T> {
  /** Settles once nothing more is heard or said of it. */
  readonly end: Promise<T>
  /** Says the first frames. */
  start(): void
  /** What the guest says under this number. */
  frame(type: number, payload: Buffer): void
  /** The guest will say nothing more of it. */
  lose(why: TtError): void
}

/** How an exchange speaks to its guest. */
export interface ExchangeWire {
  /** Its number in every frame. */
  id: number
  /** Frames that are one write. Nothing is sent once the exchange has ended. */
  send(frames: Frame[]): void
  /** The guest broke the protocol. */
  distrust(fault: string): void
}

/** Begins an exchange as soon as the guest is there, and settles as it does. What the call's abort means is the exchange's to say, once it has begun. */
export type Converse = <T>(begin: (wire: ExchangeWire) => Exchange<T>, call?: Call) => Promise<T>
