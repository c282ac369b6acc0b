import assert from 'node:assert/strict'
import { test } from 'node:test'
import { layoutOf, recipe } from './cgroup-layout.ts'

const limits = { cpu: 2.5, weight: 2, memoryBytes: 300 << 20, pids: 80 }
const group = { parent: 'tt-abcde', name: 'demo.0', limits }

// Debian 9, where systemd mounts cpu and cpuacct together.
const v1 = `25 30 0:22 / /sys rw,nosuid,nodev,noexec,relatime shared:7 - sysfs sysfs rw
30 0 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro
34 25 0:28 / /sys/fs/cgroup/systemd rw,nosuid,nodev,noexec,relatime shared:11 - cgroup cgroup rw,xattr,name=systemd
38 33 0:32 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid,nodev,noexec,relatime shared:15 - cgroup cgroup rw,cpu,cpuacct
39 33 0:33 / /sys/fs/cgroup/net_cls,net_prio rw,nosuid,nodev,noexec,relatime shared:16 - cgroup cgroup rw,net_cls,net_prio
41 33 0:35 / /sys/fs/cgroup/memory rw,nosuid,nodev,noexec,relatime shared:18 - cgroup cgroup rw,memory
42 33 0:36 / /sys/fs/cgroup/pids rw,nosuid,nodev,noexec,relatime shared:19 - cgroup cgroup rw,pids
43 33 0:37 / /sys/fs/cgroup/freezer rw,nosuid,nodev,noexec,relatime shared:20 - cgroup cgroup rw,freezer
44 33 0:37 / /run/my\\040freezer rw,relatime shared:21 - cgroup cgroup rw,freezer
`
// Debian 12.
const v2 = `24 29 0:22 / /sys rw,nosuid,nodev,noexec,relatime shared:7 - sysfs sysfs rw
29 1 259:1 / / rw,relatime shared:1 - ext4 /dev/root rw,discard,errors=remount-ro
31 24 0:27 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot
`
// A machine with v1 controllers and a v2 that has one no VM needs.
const hybrid = `31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
33 31 0:30 / /sys/fs/cgroup/cpuacct rw,relatime - cgroup cgroup rw,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
`

test('v1: one directory for each hierarchy that counts, once', () => {
  const layout = layoutOf(v1, () => assert.fail('no v2 here'))
  assert.deepEqual(layout, {
    v1: [
      { dir: '/sys/fs/cgroup/cpu,cpuacct', controllers: ['cpu'] },
      { dir: '/sys/fs/cgroup/memory', controllers: ['memory'] },
      { dir: '/sys/fs/cgroup/pids', controllers: ['pids'] },
      { dir: '/sys/fs/cgroup/freezer', controllers: ['freezer'] },
    ],
  })
  const { dirs, joins, writes } = recipe(layout, group)
  assert.deepEqual(dirs, ['cpu,cpuacct', 'memory', 'pids', 'freezer'].map((name) => `/sys/fs/cgroup/${name}/tt-abcde/demo.0`))
  assert.deepEqual(joins, dirs)
  assert.deepEqual(writes, [
    { file: '/sys/fs/cgroup/cpu,cpuacct/tt-abcde/cpu.shares', text: '8192' },
    { file: '/sys/fs/cgroup/cpu,cpuacct/tt-abcde/demo.0/cpu.cfs_period_us', text: '100000' },
    { file: '/sys/fs/cgroup/cpu,cpuacct/tt-abcde/demo.0/cpu.cfs_quota_us', text: '250000' },
    { file: '/sys/fs/cgroup/cpu,cpuacct/tt-abcde/demo.0/cpu.shares', text: '2048' },
    { file: '/sys/fs/cgroup/memory/tt-abcde/demo.0/memory.limit_in_bytes', text: '314572800' },
    { file: '/sys/fs/cgroup/pids/tt-abcde/demo.0/pids.max', text: '80' },
  ])
})

test('v2: controllers are given on from the top down before limits are set', () => {
  const layout = layoutOf(v2, (dir) => {
    assert.equal(dir, '/sys/fs/cgroup')
    return 'cpuset cpu io memory hugetlb pids rdma misc\n'
  })
  assert.deepEqual(layout.v1, [])
  const { dirs, writes } = recipe(layout, group)
  assert.deepEqual(dirs, ['/sys/fs/cgroup/tt-abcde/demo.0'])
  assert.deepEqual(
    writes.map(({ file, text }) => `${text} > ${file}`),
    [
      '+cpu > /sys/fs/cgroup/cgroup.subtree_control',
      '+memory > /sys/fs/cgroup/cgroup.subtree_control',
      '+pids > /sys/fs/cgroup/cgroup.subtree_control',
      '+cpu > /sys/fs/cgroup/tt-abcde/cgroup.subtree_control',
      '+memory > /sys/fs/cgroup/tt-abcde/cgroup.subtree_control',
      '+pids > /sys/fs/cgroup/tt-abcde/cgroup.subtree_control',
      '800 > /sys/fs/cgroup/tt-abcde/cpu.weight',
      '250000 100000 > /sys/fs/cgroup/tt-abcde/demo.0/cpu.max',
      '200 > /sys/fs/cgroup/tt-abcde/demo.0/cpu.weight',
      '314572800 > /sys/fs/cgroup/tt-abcde/demo.0/memory.max',
      '80 > /sys/fs/cgroup/tt-abcde/demo.0/pids.max',
    ],
  )
})

test('hybrid: a v2 that adds nothing is left alone, one that adds a controller is joined too', () => {
  assert.equal(layoutOf(hybrid, () => 'hugetlb\n').v2, undefined)
  assert.equal(layoutOf(hybrid, () => 'cpu memory\n').v2, undefined)
  const layout = layoutOf(hybrid, () => 'hugetlb pids\n')
  const { joins, writes } = recipe(layout, group)
  assert.deepEqual(joins, ['cpu', 'memory', 'unified'].map((name) => `/sys/fs/cgroup/${name}/tt-abcde/demo.0`))
  assert.deepEqual(
    writes.map(({ file }) => file.replace('/sys/fs/cgroup/', '')),
    [
      'cpu/tt-abcde/cpu.shares',
      'cpu/tt-abcde/demo.0/cpu.cfs_period_us',
      'cpu/tt-abcde/demo.0/cpu.cfs_quota_us',
      'cpu/tt-abcde/demo.0/cpu.shares',
      'memory/tt-abcde/demo.0/memory.limit_in_bytes',
      'unified/cgroup.subtree_control',
      'unified/tt-abcde/cgroup.subtree_control',
      'unified/tt-abcde/demo.0/pids.max',
    ],
  )
})

test('a limit that is not given is not written, and a path with a blank is read', () => {
  const layout = layoutOf(v1.split('\n').toReversed().join('\n'), () => '')
  assert.deepEqual(layout.v1[0], { dir: '/run/my freezer', controllers: ['freezer'] })
  assert.deepEqual(recipe(layout, { ...group, limits: {} }).writes, [])
  assert.deepEqual(layoutOf('', () => ''), { v1: [] })
})
