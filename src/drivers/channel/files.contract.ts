import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { hasher, sha256 } from '../../base/sha256.ts'
import type { NewFile } from './channel.ts'
import { entries } from './files-entries.contract.ts'
import { fetched, type FilesGround, type FilesUnderTest, iterate, newFile, noise, pieces, put } from './files-ground.ts'
import { interruptions } from './files-interrupted.contract.ts'
import { offers } from './files-offered.contract.ts'
import { refusals } from './files-refused.contract.ts'

/** The suite for the files of every Channel that has them. The guest needs nothing but `echo` for commands in between. */
export function filesContract({ name, make }: { name: string; make: () => Promise<FilesUnderTest> }): void {
  describe(`files of channel ${name}`, { timeout: 600_000 }, () => {
    let under: FilesUnderTest
    let made = 0
    before(async () => {
      under = await make()
      await under.channel.ready({ signal: AbortSignal.timeout(60_000) })
    })
    after(() => under[Symbol.asyncDispose]())
    const ground: FilesGround = {
      get under() {
        return under
      },
      get files() {
        assert.ok(under.channel.files, 'the channel has no files')
        return under.channel.files
      },
      async fresh() {
        const dir = `${under.dir}/case-${++made}`
        await ground.files.makeDirectory(dir, 0o755)
        return dir
      },
    }

    it('says so in its features', () => assert.equal(under.channel.features.files, true))
    contents(ground)
    entries(ground)
    offers(ground)
    refusals(ground)
    interruptions(ground)
  })
}

/** Sizes around what channels cut their bytes into. */
const sizes = [0, 1, 63, 64, 3999, 4000, 4001, 32_000, 65_536, 262_143, 262_144, 262_145, 1_048_576, 3_000_001]

function contents(ground: FilesGround): void {
  describe('[F11 F12 F13] bytes of files', () => {
    it('come back as they were, in any number', async () => {
      const dir = await ground.fresh()
      for (const size of sizes) {
        const bytes = noise(size)
        await put(ground.files, `${dir}/${size}`, bytes)
        assert.deepEqual(await ground.files.stat(`${dir}/${size}`), { path: '', type: 'file', mode: 0o644, sizeBytes: size })
        const got = await fetched(ground.files, `${dir}/${size}`)
        assert.ok(got.bytes.equals(bytes), `${size} bytes`)
        assert.equal(got.sha256, sha256(bytes))
        assert.equal(await ground.files.digest(`${dir}/${size}`), sha256(bytes))
      }
    })
    it('come in pieces of any size', async () => {
      const path = `${await ground.fresh()}/pieces`
      const bytes = noise(1_000_000)
      const cut = [0, 1, 2, 5000, 5000, 300_000, 999_999, 1_000_000]
      const pieces = cut.map((at, n) => bytes.subarray(n === 0 ? 0 : cut[n - 1], at))
      await ground.files.write(path, { ...newFile(bytes), offset: 0 }, iterate(pieces))
      assert.ok((await fetched(ground.files, path)).bytes.equals(bytes))
    })
    it('are read from an offset on, with the sha256 of the whole', async () => {
      const path = `${await ground.fresh()}/offset`
      const bytes = noise(700_001)
      await put(ground.files, path, bytes)
      for (const offset of [1, 64, 300_000, 700_000, 700_001]) {
        const got = await fetched(ground.files, path, offset)
        assert.ok(got.bytes.equals(bytes.subarray(offset)), `from ${offset}`)
        assert.equal(got.sha256, sha256(bytes))
      }
    })
    it('have a digest, of the first so many', async () => {
      const path = `${await ground.fresh()}/digest`
      const bytes = noise(200_000)
      await put(ground.files, path, bytes)
      for (const count of [0, 1, 64, 199_999, 200_000]) assert.equal(await ground.files.digest(path, { bytes: count }), sha256(bytes.subarray(0, count)))
      assert.equal(await ground.files.digest(path, { bytes: 200_001 }), undefined)
    })
    it('[F13] are as many as there are: a large file goes and comes', async () => {
      const path = `${await ground.fresh()}/large`
      const size = ground.under.longBytes ?? 50_000_000
      const all = hasher()
      for (const piece of pieces(size)) all.update(piece)
      const file: NewFile = { sizeBytes: size, sha256: all.hex(), mode: 0o600 }
      assert.equal(await ground.files.offer(path, file), 0)
      await ground.files.write(path, { ...file, offset: 0 }, iterate(pieces(size)))
      const heard = hasher()
      const { sha256: told } = await ground.files.read(path, { output: heard.update })
      assert.deepEqual([heard.hex(), told], [file.sha256, file.sha256])
    })
    it('go and come at the same time, with commands between', async () => {
      const dir = await ground.fresh()
      const all = Array.from({ length: 6 }, (_, n) => noise(400_000 + n))
      const around = async (bytes: Buffer, n: number) => {
        await put(ground.files, `${dir}/${n}`, bytes)
        assert.ok((await fetched(ground.files, `${dir}/${n}`)).bytes.equals(bytes), `file ${n}`)
      }
      const talk = async () => {
        for (let n = 0; n < 6; n++) {
          await ground.under.channel.ping()
          let said = ''
          const exit = await ground.under.channel.exec({ argv: ['echo', `n${n}`] }, { output: (_, bytes) => void (said += Buffer.from(bytes).toString()) })
          assert.deepEqual([said, exit], [`n${n}\n`, { code: 0 }])
        }
      }
      await Promise.all([...all.map(around), talk()])
    })
    it('a reader that waits holds up nobody else, and is never called twice at once', async () => {
      const path = `${await ground.fresh()}/slow`
      const bytes = noise(2_000_000)
      await put(ground.files, path, bytes)
      const go = Promise.withResolvers<void>()
      const heard: Buffer[] = []
      let inside = 0
      const slow = ground.files.read(path, {
        output: async (piece) => {
          assert.equal(++inside, 1)
          heard.push(Buffer.from(piece))
          await go.promise
          inside--
        },
      })
      assert.ok((await fetched(ground.files, path)).bytes.equals(bytes))
      await ground.under.channel.ping()
      go.resolve()
      assert.equal((await slow).sha256, sha256(bytes))
      assert.ok(Buffer.concat(heard).equals(bytes))
    })
  })
}
