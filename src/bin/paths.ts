import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { DriverOptions } from './drivers.ts'

/** The checkout or installed package this program belongs to. */
export const root = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '')

/** What set-up built. */
export const builtPath = (...parts: string[]): string => join(root, 'build', ...parts)

/** Where built images lie, for every server of the machine. */
export function cacheDir(env: NodeJS.ProcessEnv): string {
  const given = env['TT_IMAGE_CACHE']
  if (given !== undefined && given !== '') return given
  if (process.getuid?.() === 0) return '/var/cache/tt/images'
  return join(env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'tt', 'images')
}

/** The project's recipes, where they come with it. */
export function recipesDir(): string | undefined {
  const dir = join(root, 'images')
  return existsSync(join(dir, 'build')) ? dir : undefined
}

/** What drivers must be told of this installation, under what the settings say. */
export const driverOptions = (given: DriverOptions): DriverOptions => ({
  ...given,
  engine: { ...given.engine, qemu: { launcher: builtPath('native', 'launcher'), demoOs: builtPath('guest', 'demo-os'), ...given.engine?.['qemu'] } },
})
