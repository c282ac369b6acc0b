import { cloudContract } from '../model/cloud.contract.ts'
import { sessionContract } from '../model/session.contract.ts'
import { sampleCloud } from './sample-cloud.ts'

const sample = { name: 'sample', make: async () => ({ cloud: sampleCloud(), image: 'sample:micro', [Symbol.asyncDispose]: async () => undefined }) }

cloudContract(sample)
sessionContract(sample)
