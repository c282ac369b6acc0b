import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

/** The checkout these tests belong to. */
export const project = join(import.meta.dirname, '../..')

/** A small project of its own, by path and text, gone at the end of the scope: what is planted there breaks nobody's checkout. */
export function plantedTree(files: Record<string, string>): { path: string; [Symbol.dispose](): void } {
  const path = mkdtempSync(join(tmpdir(), 'tt-house-'))
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(path, name)), { recursive: true })
    writeFileSync(join(path, name), text)
  }
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) }
}

/** What a checking tool of `node_modules` says on stdout when run in `cwd`. They exit non-zero when they found something; a tool that broke throws. */
export function toolOutput(tool: { bin: string; args: string[]; cwd: string }): string {
  const run = spawnSync(process.execPath, [join(project, 'node_modules/.bin', tool.bin), ...tool.args], { cwd: tool.cwd, encoding: 'utf8', maxBuffer: 64 << 20 })
  if (run.stdout === '' || run.error) throw new Error(`${tool.bin} said nothing; status ${run.status}: ${run.stderr}`, { cause: run.error })
  return run.stdout
}

/** Files of the checkout under `folders`, as paths from its root. */
export function projectFiles(folders: string[], root = project): string[] {
  return folders.flatMap((folder) => {
    try {
      return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
        .filter((path) => !/(^|\/)results\//.test(path)) // What runs leave behind, and git does not know.
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
      throw error
    }
  })
}
