import type { Screen } from './terminal.ts'

/**
 * Text from guests and servers as one harmless line: control and formatting characters, which could move the cursor, recolour the
 * screen or hide what is there, are shown by their numbers.
 */
export const visible = (text: string): string =>
  text.toWellFormed().replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, (character) => {
    const code = character.codePointAt(0) ?? 0
    if (character === '\n') return '\\n'
    if (character === '\t') return '\\t'
    return code < 256 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`
  })

/** JSON on one line that is harmless on a screen too: the controls that JSON leaves as they are become escapes. */
export const jsonText = (value: unknown): string => JSON.stringify(value).replace(/[\x7f-\x9f]/g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)

export type Colour = 'red' | 'green' | 'yellow' | 'dim' | 'bold'

const codes: Record<Colour, number> = { red: 31, green: 32, yellow: 33, dim: 2, bold: 1 }

/** The text in a colour, where there is a screen that has them. */
export const painted = (text: string, colour: Colour | undefined, screen: Screen | undefined): string =>
  colour !== undefined && screen?.colour ? `\x1b[${codes[colour]}m${text}\x1b[0m` : text

/** The text in at most `width` characters. */
export const cut = (text: string, width: number): string => (text.length <= width ? text : `${text.slice(0, Math.max(0, width - 1))}…`)

export { counted } from '../model/units.ts'
