import type { Given } from '../base/arguments.ts'
import { fail } from '../model/errors.ts'
import type { Way } from '../model/image.ts'
import { shown } from '../model/names.ts'

/** The way that is asked for. */
export async function viaOf(given: Given): Promise<Way | undefined> {
  const text = given.one('via')
  if (given.has('use-ssh')) return text === undefined || text === 'ssh' ? 'ssh' : fail('invalid', `either --use-ssh or --via=${text.slice(0, 20)}`)
  if (text === undefined) return undefined
  const { ways } = await import('../model/image.ts')
  return ways.find((way) => way === text) ?? fail('invalid', `--via is ${shown(text)}, allowed is ${ways.join(', ')}`)
}
