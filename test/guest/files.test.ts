import { filesContract } from '../../src/drivers/channel/files.contract.ts'
import { calledAgent } from './local-agent.ts'

filesContract({
  name: 'rexec to the real agent',
  make: async () => {
    const called = await calledAgent('sanitized')
    return { ...called, dir: called.agent.dir, longBytes: 50_000_000 }
  },
})
