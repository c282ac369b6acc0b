import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { commandsOf, SyntaxFault } from './script.ts'

/** Commands in short: quoted text in «», variables with their `$`. */
const shape = (script: string) =>
  commandsOf(script).map(({ words, redirects, after }) => {
    const shown = words.map((word) => word.map((piece) => ('variable' in piece ? `$${piece.variable}${piece.quoted ? '«»' : ''}` : piece.quoted ? `«${piece.text}»` : piece.text)).join(''))
    return [...shown, ...redirects.map(({ from, to }) => `[${from} to ${to}]`), ...(after === 'any' ? [] : [`[after ${after}]`])].join(' ')
  })

test('words, quotes, variables and what joins them', () => {
  const cases: [string, string[]][] = [
    ['', []],
    [' ; \n ;', []],
    ['echo a  b', ['echo a b']],
    [`echo 'a  b' "c  d"`, ['echo «a  b» «»«c  d»']],
    [`echo 'it''s' a'b'c`, ['echo «it»«s» a«b»c']],
    [`echo "" ''`, ['echo «» «»']],
    ['echo \\a \\" \\\\ \\$X', ['echo «a» «"» «\\» «$»X']],
    ['echo "\\a \\" \\\\ \\$X"', ['echo «»«\\»«a »«"»« »«\\»« »«$»«X»']],
    ['echo $A ${B}c "$D e" $? $$ $', ['echo $A $Bc «»$D«»« e» $? $$ $']],
    ['echo 5$ a$b$c', ['echo 5$ a$b$c']],
    ['echo a # b; c\necho d#e', ['echo a', 'echo d#e']],
    ['a&&b||c;d', ['a', 'b [after success]', 'c [after failure]', 'd']],
    ['echo a\\\nb', ['echo ab']],
    ['echo a >&2', ['echo a [stdout to stderr]']],
    ['>&2 echo a', ['echo a [stdout to stderr]']],
    ['echo a 1>&2 2>&1', ['echo a [stdout to stderr] [stderr to stdout]']],
    ['echo a>/dev/null 2> /dev/null', ['echo a [stdout to nowhere] [stderr to nowhere]']],
    ['echo a2>&1', ['echo a2 [stdout to stdout]']],
    ['echo * ? [x] {a,b} ~', ['echo * ? [x] {a,b} ~']],
  ]
  for (const [script, expected] of cases) assert.deepEqual(shape(script), expected, script)
})

test('what a larger shell would do otherwise is a fault', () => {
  for (const script of ['a | b', 'a &', 'a > file', 'a < file', 'a 2>x', 'echo $(b)', 'echo `b`', 'echo "$(b)"', 'echo "`b`"', 'echo ${A:-b}', '(a)', 'if a', 'while true', '{ a; }', '! a', '&& a', 'a && ; b', 'a &&', 'a ||', '>&2', `echo "a`, `echo 'a`, 'a > /dev/nullx'])
    assert.throws(() => commandsOf(script), SyntaxFault, script)
  assert.throws(() => commandsOf('echo "a'), /a " is not closed/)
  assert.throws(() => commandsOf('ls | wc'), /«\| wc»/)
})

test('any text is commands or a fault, in a time that grows with it', () => {
  const pieces = fc.constantFrom('echo', ' ', 'a', '"', "'", '\\', '$', 'X', '{', '}', ';', '&&', '||', '>', '&2', '/dev/null', '#', '\n', '|', '`', '(')
  const script = fc.oneof(fc.array(pieces, { maxLength: 40 }).map((parts) => parts.join('')), fc.string())
  fc.assert(
    fc.property(script, (text) => {
      try {
        commandsOf(text)
      } catch (fault) {
        assert(fault instanceof SyntaxFault, `${text}: ${String(fault)}`)
      }
    }),
    { numRuns: 5000 },
  )
  const long = 'x\\"$A '.repeat(150_000)
  const start = performance.now()
  assert.equal(commandsOf(`echo "${long}" ${'b '.repeat(200_000)}`)[0]?.words.length, 200_002)
  assert.throws(() => commandsOf(`echo "${long}`), SyntaxFault)
  assert(performance.now() - start < 5000)
})
