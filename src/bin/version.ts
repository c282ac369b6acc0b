import { readFileSync } from 'node:fs'

/** Of the package this program belongs to: two folders up, from the source as from the built. */
export const version: string = (JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }).version
