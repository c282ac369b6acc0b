/** A size of VMs that has a name. */
export interface Flavor {
  /** What OpenStack calls its number. */
  id: string
  name: string
  cpu: number
  memMb: number
  /** 0: as large as the image is. */
  diskMb: number
}

const flavor = (id: string, name: string, memMb: number, diskGb: number, cpu: number): Flavor => ({ id, name, cpu, memMb, diskMb: diskGb * 1024 })

/** The sizes of OpenStack's installations, by the numbers and names people know: https://docs.openstack.org/nova/latest/user/flavors.html and devstack's lib/nova_plugins. */
export const flavors: readonly Flavor[] = [
  flavor('1', 'm1.tiny', 512, 1, 1),
  flavor('2', 'm1.small', 2048, 20, 1),
  flavor('3', 'm1.medium', 4096, 40, 2),
  flavor('4', 'm1.large', 8192, 80, 4),
  flavor('5', 'm1.xlarge', 16_384, 160, 8),
  flavor('42', 'm1.nano', 64, 0, 1),
  flavor('84', 'm1.micro', 128, 0, 1),
  flavor('c1', 'cirros256', 256, 0, 1),
  flavor('d1', 'ds512M', 512, 5, 1),
  flavor('d2', 'ds1G', 1024, 10, 1),
  flavor('d3', 'ds2G', 2048, 10, 2),
  flavor('d4', 'ds4G', 4096, 20, 4),
]

/** The flavor with this name or number, in upper or lower case. */
export const flavorOf = (text: string): Flavor | undefined => flavors.find(({ id, name }) => id === text.toLowerCase() || name.toLowerCase() === text.toLowerCase())
