import { deadline, realWorld as world } from '../base/world.ts'
import type { Terminal } from '../cli/terminal.ts'
import { fail, TtError } from '../model/errors.ts'

const answerMs = 10_000

/** A small public text by HTTPS: whoever answers must show a certificate this machine trusts. Follows no redirection. */
export const fetchText: Terminal['fetchText'] = async (url, { limitBytes, signal }) => {
  if (!url.startsWith('https://')) fail('invalid', `${url} is not fetched: it does not begin with https://`)
  using limit = deadline(world, answerMs, signal, new TtError({ code: 'timeout', message: `${url} did not answer within ${answerMs / 1000} s` }))
  const { promise, resolve, reject } = Promise.withResolvers<string | undefined>()
  const https = process.getBuiltinModule('node:https')
  const request = https.get(url, { signal: limit.signal, headers: { 'user-agent': 'tt', accept: 'text/plain' }, minVersion: 'TLSv1.2' }, (response) => {
    if (response.statusCode === 404) {
      response.destroy()
      return resolve(undefined)
    }
    if (response.statusCode !== 200) {
      response.destroy()
      return reject(new TtError({ code: 'unavailable', message: `${url} answered with status ${response.statusCode}` }))
    }
    const pieces: Buffer[] = []
    let size = 0
    response.on('data', (piece: Buffer) => {
      size += piece.length
      if (size > limitBytes) response.destroy(new TtError({ code: 'too_large', message: `${url} has more than ${limitBytes} bytes` }))
      else pieces.push(piece)
    })
    response.on('end', () => resolve(Buffer.concat(pieces).toString()))
    response.on('error', reject)
  })
  request.on('error', reject)
  try {
    return await promise
  } catch (fault) {
    if (limit.signal.aborted) throw limit.signal.reason
    if (fault instanceof TtError) throw fault
    return fail('unavailable', `${url} cannot be fetched: ${(fault as Error).message}`, { cause: fault })
  }
}
