import { apiRates } from './api-rates.ts'
import type { Bench } from './bench.ts'
import { clientStart } from './client-start.ts'
import { coldStart } from './cold-start.ts'
import { guestDisk } from './guest-disk.ts'
import { guestNetwork } from './guest-network.ts'
import { idleServer } from './idle-server.ts'
import { manyGuests } from './many-guests.ts'
import { mixedOutput } from './mixed-output.ts'
import { oneLink } from './one-link.ts'
import { restart } from './restart.ts'
import { roundTrip } from './round-trip.ts'
import { setUp } from './set-up.ts'
import { tenThousand } from './ten-thousand.ts'
import { tenThousandPorts } from './ten-thousand-ports.ts'
import { transfers } from './transfers.ts'

/** In the order they are run and shown. */
export const benches: readonly Bench[] = [coldStart, roundTrip, transfers, manyGuests, mixedOutput, clientStart, tenThousand, apiRates, restart, idleServer, oneLink, tenThousandPorts, guestDisk, guestNetwork, setUp]
