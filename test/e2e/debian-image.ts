import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

const build = join(import.meta.dirname, '../../images/build')

/** The image `debian-12`: its disk, or why there is none. Built if need be, which takes a minute or two, and once for all that ask at the same time. */
export function debianImage(): { disk: string } | { why: string } {
  const built = spawnSync('sh', [build, 'debian-12'], { encoding: 'utf8' })
  const dir = built.stdout.trim()
  if (built.status !== 0) return { why: `the image debian-12 cannot be built here: ${built.stderr.trim().split('\n').slice(-3).join(' ')}` }
  const { disk } = JSON.parse(readFileSync(join(dir, 'image.json'), 'utf8')) as { disk: { file: string } }
  return { disk: join(dir, disk.file) }
}
