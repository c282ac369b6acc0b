/**
 * A JSON merge patch (RFC 7396) applied to a value: objects are merged, null takes a member out, everything else replaces.
 * Members are made by `Object.fromEntries`, so `__proto__` is a name like any other. The patch must not be nested deeply.
 */
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return patch
  const merged = new Map(isObject(target) ? Object.entries(target) : [])
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) merged.delete(name)
    else merged.set(name, mergePatch(merged.get(name), value))
  }
  return Object.fromEntries(merged)
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value)
