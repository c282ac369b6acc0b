import { runOk } from './run.ts'

/** A network interface of this machine, or of the network namespace this process is in. */
export interface NetDevice {
  name: string
  up: boolean
  /** The bridge it is a port of. */
  master?: string
  /** Interfaces of one number can be removed together; 0 unless somebody set it. */
  group: number
  mac?: string
  /** IPv4 addresses with the length of their prefix. */
  addresses: string[]
}

/** All that there are now. */
export async function readNetDevices(): Promise<NetDevice[]> {
  return parseNetDevices(await runOk(['ip', '-N', '-j', 'address', 'show']))
}

interface IpAddress {
  ifname?: string
  flags?: string[]
  master?: string
  group?: string
  address?: string
  addr_info?: { family?: string; local?: string; prefixlen?: number }[]
}

/** The answer of `ip -N -j address`: with `-N`, groups are numbers whatever /etc/iproute2/group calls them. */
export function parseNetDevices(json: string): NetDevice[] {
  const entries = JSON.parse(json) as IpAddress[]
  return entries.flatMap((entry) => {
    if (entry.ifname === undefined) return []
    const found: NetDevice = {
      name: entry.ifname,
      up: entry.flags?.includes('UP') ?? false,
      group: Number(entry.group ?? 0),
      addresses: (entry.addr_info ?? []).flatMap(({ family, local, prefixlen }) => (family === 'inet' && local ? [`${local}/${prefixlen}`] : [])),
    }
    if (entry.master !== undefined) found.master = entry.master
    if (entry.address !== undefined) found.mac = entry.address
    return [found]
  })
}
