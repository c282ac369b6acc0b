import { type Endpoint, endpointText, parseEndpoint, placeText } from '../base/endpoint.ts'
import type { Form } from '../base/settings.ts'
import { fail } from '../model/errors.ts'
import type { Terminal } from './terminal.ts'

/** A token under a name this client gave it: who its bearer is, and the one server it is sent to. */
export interface Profile {
  server: Endpoint
  token: string
  /** Whom the server knew by it when it was saved. */
  user?: string
}

/** A name that is a file's too. */
export const profileForm: Form<string> = {
  expects: 'a name of at most 64 letters, digits, dots, underscores and dashes that begins with a letter or digit',
  fromText: (value) => (/^[A-Za-z0-9][\w.-]{0,63}$/.test(value) ? value : undefined),
  fromJson: (value) => (typeof value === 'string' ? profileForm.fromText(value) : undefined),
  toText: (value) => value,
}

/** The token in a text, its first line; undefined if that is none. */
export function tokenIn(text: string): string | undefined {
  const token = text.split('\n')[0]?.trim() ?? ''
  return /^[\x21-\x7e]{1,1000}$/.test(token) ? token : undefined
}

/** The profile of this name; refuses with the names there are. */
export function profileOf({ profiles }: Terminal, name: string): Profile {
  const text = readProfile(profiles, name)
  if (text === undefined) {
    const names = profiles.names()
    fail('not_found', `there is no token under the name ${name} here; ${names.length === 0 ? 'there is none at all' : `there are ${names.join(', ')}`}`, { subject: `profile/${name}`, remedy: `save one by \`tt config --client-id ${name} --token-file FILE\`` })
  }
  return parsedProfile(text) ?? fail('invalid', `${profiles.pathOf(name)} holds no token`, { subject: `profile/${name}`, remedy: `save it again by \`tt config --client-id ${name} --token-file FILE\`` })
}

/** The profile of this name, or undefined if there is none or none that can be used. */
export function profileIfAny({ profiles }: Terminal, name: string): Profile | undefined {
  const text = readProfile(profiles, name)
  return text === undefined ? undefined : parsedProfile(text)
}

export const profileText = ({ server, token, user }: Profile): string => `${JSON.stringify({ server: endpointText(server), token, user })}\n`

/** Whether both are one server, however its TLS was asked for. */
export const isSameServer = (one: Endpoint, other: Endpoint): boolean => placeText(one) === placeText(other)

function readProfile(profiles: Terminal['profiles'], name: string): string | undefined {
  try {
    return profiles.read(name)
  } catch (fault) {
    fail('invalid', `the token in ${profiles.pathOf(name)} cannot be read: ${fault instanceof Error ? fault.message : String(fault)}`, { subject: `profile/${name}` })
  }
}

function parsedProfile(text: string): Profile | undefined {
  try {
    const { server, token, user } = JSON.parse(text) as { server?: unknown; token?: unknown; user?: unknown }
    const endpoint = typeof server === 'string' ? parseEndpoint(server, 0) : undefined
    if (!endpoint || typeof token !== 'string' || tokenIn(token) !== token) return undefined
    return { server: endpoint, token, ...(typeof user === 'string' ? { user } : {}) }
  } catch {
    return undefined
  }
}
