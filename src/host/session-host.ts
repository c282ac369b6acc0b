import { fail } from '../model/errors.ts'
import type { SessionRequest } from '../model/session.ts'
import type { Doctor } from './doctor.ts'
import type { Catalogue } from './images.ts'
import type { Importer } from './imports.ts'
import type { Scene } from './session-scene.ts'

export interface HostParts {
  name: string
  images: Catalogue
  importing: Importer
  examine: Doctor
  reload?: () => Promise<{ changed: string[]; needRestart: string[] }>
}

type OfHost = Extract<SessionRequest, { type: 'doctor' | 'reload' | 'build' }>

/** What is asked of a host itself: what the doctor finds, settings that change, images that are built. */
export async function serveHost({ name, images, examine, reload }: HostParts, request: OfHost, { out, signal }: Scene): Promise<void> {
  if (request.type === 'doctor') {
    for await (const frame of examine({ fix: request.fix ?? false })) {
      if (signal.aborted) return
      await out.send(frame)
    }
  }
  if (request.type === 'reload') {
    const asked = (await reload?.()) ?? fail('unsupported', 'this server has no settings to read again', { subject: `host/${name}` })
    out.tell({ type: 'reloaded', host: name, ...asked })
  }
  if (request.type === 'build') {
    await images.build(request.image, (text) => out.tell({ type: 'note', host: name, text }))
    out.tell({ type: 'built', host: name, image: request.image })
  }
}

/** Who goes away ends it, and what came by then is kept for the next try. */
export async function serveImport({ importing }: HostParts, { image }: Extract<SessionRequest, { type: 'import' }>, { out, said, signal }: Scene): Promise<void> {
  const inputs = said[Symbol.asyncIterator]()
  try {
    await importing({ order: image, inputs, tell: out.tell }, { signal })
  } finally {
    await inputs.return?.()
    said.end()
    for await (const _ of said); // Whoever speaks to several hosts is not to wait for this one.
  }
}
