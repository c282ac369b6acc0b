import * as v from 'valibot'
import { cidrOf } from '../../base/ipv4.ts'

/** `NetworkOptions`, as a part of the schema of every network driver's options. */
export const networkEntries = {
  subnet: v.pipe(
    v.string(),
    v.check((text) => (cidrOf(text)?.prefixLength ?? 33) <= 30, 'it is a range of IPv4 addresses like 10.77.0.0/16'),
  ),
  bind: v.pipe(v.string(), v.ip('it is an IP address')),
}
