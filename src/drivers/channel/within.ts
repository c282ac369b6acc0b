import { asTtError } from '../../model/errors.ts'

/** The promise, unless a signal aborts first: then its reason. What is waited for goes on, and nobody hears of it. */
export function within<T>(promise: Promise<T>, ...signals: (AbortSignal | undefined)[]): Promise<T> {
  const { promise: cut, reject } = Promise.withResolvers<never>()
  const listening = signals.map((signal) => ({ signal, give: () => reject(asTtError(signal?.reason)) }))
  for (const { signal, give } of listening) {
    signal?.addEventListener('abort', give, { once: true })
    if (signal?.aborted) give()
  }
  return Promise.race([promise, cut]).finally(() => {
    for (const { signal, give } of listening) signal?.removeEventListener('abort', give)
  })
}
