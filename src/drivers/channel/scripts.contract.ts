import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { TtError } from '../../model/errors.ts'
import type { Command, Exit } from '../../model/session.ts'
import type { Channel } from './channel.ts'

/** Part of the suite for every Channel: programs that are sent along. Beyond the rest it uses `$1`, `$2` and `/bin/sh`. */
export function scriptsContract(channelOf: () => Channel): void {
  const run = async (command: Command): Promise<[said: string, exit: Exit]> => {
    let said = ''
    const exit = await channelOf().exec(command, { output: (stream, bytes) => void (said += `${stream === 'stderr' ? '!' : ''}${Buffer.from(bytes).toString()}`) }, { signal: AbortSignal.timeout(60_000) })
    return [said, exit]
  }
  const isInvalid = (message: RegExp) => (error: unknown) => error instanceof TtError && error.code === 'invalid' && message.test(error.message)

  describe('a script [F04]', () => {
    it('is run by the shell, with its arguments as they are', async () => {
      assert.deepEqual(await run({ script: 'echo "<$1>" "<$2>"\nexit 3\n', args: ['a  b', "it's $HOME"] }), ["<a  b> <it's $HOME>\n", { code: 3 }])
    })
    it('is run by what its first line names', async () => {
      assert.deepEqual(await run({ script: '#!/bin/sh\necho "<$1>"\necho end', args: ['ü'] }), ['<ü>\nend\n', { code: 0 }])
    })
    it('may be long', async () => {
      const text = 'x'.repeat(300_000)
      assert.deepEqual(await run({ script: `#!/bin/sh\n# ${text}\necho "$1"\n: ${text}\nexit 4`, args: ['ran'] }), ['ran\n', { code: 4 }])
    })
    it('may be empty', async () => assert.deepEqual(await run({ script: '' }), ['', { code: 0 }]))
    it('whose first line ends as on Windows is refused, and why', () => assert.rejects(run({ script: '#!/bin/sh\r\necho x\r\n' }), isInvalid(/carriage return/)))
    it('that names nothing to run it is refused', () => assert.rejects(run({ script: '#! \necho x\n' }), isInvalid(/names nothing/)))
    it('that names what is not there is not_found', () =>
      assert.rejects(run({ script: '#!/no/such-interpreter -x\n' }), (error) => error instanceof TtError && error.code === 'not_found' && /such-interpreter/.test(error.message)))
    it('that no program can be given is invalid', async () => {
      await assert.rejects(run({ script: 'echo\0' }), isInvalid(/zero byte/))
      await assert.rejects(run({ script: 'echo', args: ['\0'] }), isInvalid(/zero byte/))
    })
  })
}
