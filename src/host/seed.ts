import type { Nic } from '../model/plan.ts'
import type { VmSpec } from '../model/vm.ts'
import { hostnameOf } from './guest-identity.ts'

/** What a seed is made of. */
export interface SeedParts {
  vm: Pick<VmSpec, 'id' | 'env' | 'index' | 'userData'>
  nic: Nic
  /** All that may enter. */
  sshKeys: readonly string[]
  /** The network tells guests that ask their address and their resolvers. */
  dhcp: boolean
  /** Where names are asked for, for guests that are told their address here. */
  resolvers: readonly string[]
}

/**
 * The files of a NoCloud seed, from which cloud-init learns in a guest's first boot who it is. Pure. Values are JSON, which is YAML, so that nothing a user writes can be read as anything but a text.
 * The user's own data stay as they are: our keys are in the meta-data and what they need is in the vendor-data, both of which hold beside them.
 * https://docs.cloud-init.io/en/latest/reference/datasources/nocloud.html
 */
export function seedOf({ vm, nic, sshKeys, dhcp, resolvers }: SeedParts): Record<string, string> {
  const metaData = { 'instance-id': vm.id, 'local-hostname': hostnameOf(vm), ...(sshKeys.length > 0 ? { 'public-keys': sshKeys } : {}) }
  // Root is let in by key, which cloud-init forbids unless it is told: https://docs.cloud-init.io/en/latest/reference/modules.html#ssh
  const vendorData = { disable_root: false, ssh_pwauth: false }
  return {
    'meta-data': `${JSON.stringify(metaData, null, 2)}\n`,
    'user-data': vm.userData ?? '#cloud-config\n{}\n',
    'vendor-data': `#cloud-config\n${JSON.stringify(vendorData, null, 2)}\n`,
    'network-config': `${JSON.stringify(networkConfig(nic, dhcp, resolvers), null, 2)}\n`,
  }
}

/** Version 2: https://docs.cloud-init.io/en/latest/reference/network-config-format-v2.html */
function networkConfig(nic: Nic, dhcp: boolean, resolvers: readonly string[]): object {
  const card = {
    match: { macaddress: nic.mac },
    ...(dhcp
      ? { dhcp4: true }
      : {
          dhcp4: false,
          addresses: [`${nic.ip}/${nic.prefixLength}`],
          // Written as a prefix: `default` is not understood by the cloud-init of Debian 12 for every kind of network set-up.
          routes: [{ to: '0.0.0.0/0', via: nic.gateway }],
          ...(resolvers.length > 0 ? { nameservers: { addresses: resolvers } } : {}),
        }),
    ...(nic.mtu === undefined ? {} : { mtu: nic.mtu }),
  }
  return { version: 2, ethernets: { nic0: card } }
}

/** The resolvers that a `resolv.conf` names and that a guest can reach: those of the host's own loopback are not among them. */
export const resolversIn = (text: string): string[] => [...text.matchAll(/^nameserver[ \t]+(\d+\.\d+\.\d+\.\d+)\b/gm)].flatMap(([, address = '']) => (address.startsWith('127.') ? [] : [address]))
