/** What of the keys goes to the guest, and which of them leave it. */
export interface Escape {
  /** For people, before they need it. */
  hint: string
  /** What to send of these keys; with `leaves`, nothing after it. */
  pass(keys: Uint8Array): { data: Uint8Array; leaves: boolean }
}

/** Ctrl-], as telnet has it: at any time. For serial lines, where no key means anything before a guest says so. */
export const bracketEscape = (): Escape => ({
  hint: 'Ctrl-] leaves.',
  pass(keys) {
    const at = keys.indexOf(0x1d)
    return at < 0 ? { data: keys, leaves: false } : { data: keys.subarray(0, at), leaves: true }
  },
})

const tilde = 0x7e
const dot = 0x2e

/** `~.` at the beginning of a line, as ssh has it, so that every single key still goes to the guest; `~~` there is one `~`. */
export function tildeEscape(): Escape {
  let atLineStart = true
  let held = false
  return {
    hint: '~. at the beginning of a line leaves.',
    pass(keys) {
      const data: number[] = []
      for (const key of keys) {
        if (held) {
          held = false
          atLineStart = false
          if (key === dot) return { data: Uint8Array.from(data), leaves: true }
          data.push(tilde)
          if (key === tilde) continue
        } else if (atLineStart && key === tilde) {
          held = true
          continue
        }
        data.push(key)
        atLineStart = key === 13 || key === 10
      }
      return { data: Uint8Array.from(data), leaves: false }
    },
  }
}
