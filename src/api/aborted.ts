import { asTtError, TtError } from '../model/errors.ts'

/** Why a call ended before its time: the TtError it was aborted with, a timeout, or `cancelled` for any other reason. */
export function abortOf(signal: AbortSignal): TtError {
  const error = asTtError(signal.reason)
  return error.code === 'internal' && !(signal.reason instanceof TtError) ? new TtError({ code: 'cancelled', message: 'the call was cancelled' }, signal.reason) : error
}

/** Throws `abortOf` if the signal has aborted. */
export function checkAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw abortOf(signal)
}
