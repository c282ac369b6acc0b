/** The sha256 of a text, in hexadecimal. Fetched when it is wanted: loading crypto costs each start of the client some milliseconds. */
export const sha256 = (text: string): string => process.getBuiltinModule('node:crypto').hash('sha256', text)
