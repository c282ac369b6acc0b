import { leaseContract } from './leases.contract.ts'
import { memoryStore } from './memory.ts'
import { storeContract } from './store.contract.ts'
import { storeUnderTest } from './under-test.ts'

const memory = storeUnderTest({
  name: 'memory',
  durable: false,
  place: async () => ({ open: async (world) => memoryStore({ world }), [Symbol.asyncDispose]: async () => undefined }),
})

storeContract(memory)
leaseContract(memory)
