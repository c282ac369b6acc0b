import assert from 'node:assert/strict'
import { test } from 'node:test'
import { explainNft } from './nft.ts'

test('what nft complains about, in one line', () => {
  const joined = 'add element ip t s { 1.2.3.4 } ; add element ip t nosuch { 1.2.3.5 } ; add element ip t s { 1.2.3.6 }'
  const at = joined.indexOf('nosuch')
  assert.equal(
    explainNft(`Error: No such file or directory; did you mean set 's' in table ip 't'?\n${joined}\n${' '.repeat(at)}^^^^^^\n`),
    `nft: No such file or directory; did you mean set 's' in table ip 't'? at "nosuch" in "add element ip t …"`,
  )
  assert.equal(explainNft('/dev/stdin:3:1-3: Error: syntax error, unexpected newline\nfoo\n^^^\nmore'), 'nft: syntax error, unexpected newline at "foo"')
  assert.equal(explainNft('netlink: Error: something else\n'), 'nft: netlink: Error: something else')
})
