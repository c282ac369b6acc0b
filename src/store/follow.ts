import type { View } from './view.ts'

/** Calls `listener` for every key there is, at once, and then for every change; `now` is undefined for a deleted key. The returned function ends it. */
export function follow<T>(view: View<T>, listener: (key: string, now: T | undefined, before: T | undefined) => void): () => void {
  const stop = view.onChange(({ key, value }, previous) => listener(key, value, previous))
  for (const { key, value } of view.entries()) listener(key, value, undefined)
  return stop
}
