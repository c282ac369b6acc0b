import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { run } from '../base/run.ts'
import { fail } from '../model/errors.ts'
import type { Check, CheckGround, Found } from './check.ts'
import { whyNotUsable } from './image-files.ts'

/** Image paths that cannot be read, things in them that are no images, and what interrupted builds left. */
export const images: Check = async (ground) => {
  const found: Found[] = []
  for (const dir of ground.imageDirs()) {
    const why = await whyNotUsable(dir, ground)
    if (why !== undefined) found.push({ check: 'images', state: 'bad', message: `an image path cannot be used: ${why}`, remedy: 'make it, let the server read it, or take it out of --image-path' })
  }
  const dirs = new Set(ground.imageDirs()) // The catalogue names those it cannot use, too.
  for (const [name, why] of Object.entries(ground.images.broken())) if (!dirs.has(name)) found.push({ check: 'images', state: 'bad', message: `${name} is not a usable image: ${why}`, remedy: 'put a whole copy in its place, or take it away' })
  found.push(...(await halfBuilt(ground)))
  return found.length > 0 ? found : [{ check: 'images', state: 'good', message: 'all that lie in the image paths can be used' }]
}

/** Where a build works, `.NAME.new`, and what it was about to replace, `.NAME.old`; its lock tells whether it still runs. */
async function halfBuilt({ cacheDir, effects }: CheckGround): Promise<Found[]> {
  const names: string[] = await readdir(cacheDir).catch(() => [])
  const found: Found[] = []
  for (const entry of names) {
    const [, name, kind] = /^\.([a-z0-9-]+)\.(new|old)$/.exec(entry) ?? []
    if (name === undefined || (kind === 'old' && !names.includes(name))) continue // The next build puts it back.
    const [path, lock] = [join(cacheDir, entry), join(cacheDir, `.${name}.lock`)]
    if (!(await underLock(lock, 'true'))) continue
    found.push({
      check: 'images',
      state: 'poor',
      message: `an interrupted build of ${name} left ${path}`,
      remedy: '`tt doctor --fix` takes it away; so does the next build',
      async mend() {
        if (!(await effects.act({ kind: 'file', verb: 'remove', subject: path }, () => underLock(lock, 'rm', '-rf', '--', path)))) fail('conflict', 'it is being built now')
      },
    })
  }
  return found
}

/** Runs a program while no build of the image runs; false if one does. */
const underLock = async (lock: string, ...argv: string[]): Promise<boolean> => (await run(['flock', '--nonblock', lock, ...argv])).code === 0
