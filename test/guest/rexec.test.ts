import { channelContract } from '../../src/drivers/channel/channel.contract.ts'
import { calledAgent } from './local-agent.ts'

channelContract({ name: 'rexec to the real agent', make: () => calledAgent('sanitized') })
