/** A command of a script: its words, where its streams go, and after which end of the one before it runs. */
export interface ScriptCommand {
  words: Word[]
  /** In order: `from` goes where `to` goes by then, or nowhere. */
  redirects: { from: Stream; to: Stream | 'nowhere' }[]
  after: 'any' | 'success' | 'failure'
}

export type Stream = 'stdout' | 'stderr'

/** Pieces of text and variables. What is quoted is not split at blanks, and is a word even when it is empty. */
export type Word = ({ text: string; quoted: boolean } | { variable: string; quoted: boolean })[]

export class SyntaxFault extends Error {}

/**
 * The commands of a script in a small part of the POSIX shell. Known are quotes, backslashes, `$NAME`, `;` and line ends, `&&`, `||`, comments,
 * and the redirections `>&2`, `2>&1`, `>/dev/null` and their kin; everything else is a fault, so that nothing runs as if it meant another thing.
 */
export function commandsOf(script: string): ScriptCommand[] {
  const commands: ScriptCommand[] = []
  let command: ScriptCommand = { words: [], redirects: [], after: 'any' }
  let word: Word | undefined
  const endWord = () => {
    if (word) command.words.push(word)
    word = undefined
  }
  const endCommand = (operator: string) => {
    endWord()
    const joins = operator === '&&' || operator === '||'
    if (command.words.length > 0) commands.push(command)
    else if (joins || command.after !== 'any' || command.redirects.length > 0) throw new SyntaxFault('a command is missing')
    command = { words: [], redirects: [], after: operator === '&&' ? 'success' : operator === '||' ? 'failure' : 'any' }
  }

  for (let at = 0; at < script.length; ) {
    const begin: RegExp = word ? inWord : betweenWords
    begin.lastIndex = at
    const found = begin.exec(script)
    if (!found?.groups) throw unknownAt(script, at)
    at = begin.lastIndex
    const { blank, comment, operator, redirect } = found.groups
    if (comment !== undefined) continue
    if (blank !== undefined) endWord()
    else if (operator !== undefined) endCommand(operator)
    else if (redirect !== undefined) {
      endWord()
      command.redirects.push(redirectOf(redirect))
    } else {
      word ??= []
      for (const one of piecesOf(found.groups)) word.push(one)
    }
  }
  endCommand('')
  for (const { words } of commands) checkFirst(words[0])
  return commands
}

const name = '[A-Za-z_][A-Za-z0-9_]*|[?$#0-9]'
const variable = `\\$(?:(?<named>${name})|\\{(?<braced>${name})\\}|(?<dollar>(?![({])))`
const piece = `'(?<single>[^']*)'|"(?<double>(?:[^"\\\\]|\\\\[\\s\\S])*)"|(?<joined>\\\\\\n)|\\\\(?<escaped>[\\s\\S]?)|${variable}|(?<plain>[^\\s;&|<>()'"\\\\$\`]+)`
const between = '(?<blank>[ \\t\\r]+)|(?<operator>;|\\n|&&|\\|\\|)|(?<redirect>[12]?>(?:&[12]|[ \\t]*/dev/null))(?=[\\s;&|]|$)'
const inWord = new RegExp(`${between.replace('[12]?>', '>')}|${piece}`, 'y')
const betweenWords = new RegExp(`(?<comment>#[^\\n]*)|${between}|${piece}`, 'y')
const inDouble = new RegExp(`(?<joined>\\\\\\n)|\\\\(?<escaped>["\\\\$\`])|${variable}|(?<plain>[^\\\\$\`]+|\\\\)`, 'y')

function piecesOf(groups: Record<string, string | undefined>): Word {
  const { single, double, joined, escaped, named, braced, dollar, plain } = groups
  if (double !== undefined) return [{ text: '', quoted: true }, ...doubleQuoted(double)]
  const quoted = single !== undefined || escaped !== undefined
  if (named !== undefined || braced !== undefined) return [{ variable: named ?? braced ?? '', quoted: false }]
  if (joined !== undefined) return []
  return [{ text: single ?? escaped ?? (dollar === undefined ? (plain ?? '') : '$'), quoted }]
}

function doubleQuoted(text: string): Word {
  const word: Word = []
  for (let at = 0; at < text.length; at = inDouble.lastIndex) {
    inDouble.lastIndex = at
    const found = inDouble.exec(text)
    if (!found?.groups) throw unknownAt(text, at)
    for (const one of piecesOf(found.groups)) word.push({ ...one, quoted: true })
  }
  return word
}

function redirectOf(text: string): ScriptCommand['redirects'][number] {
  const to = text.endsWith('null') ? 'nowhere' : text.endsWith('2') ? 'stderr' : 'stdout'
  return { from: text.startsWith('2') ? 'stderr' : 'stdout', to }
}

const reserved = new Set(['if', 'for', 'while', 'until', 'case', 'function', '{', '!'])

function checkFirst(word: Word | undefined): void {
  const [first] = word ?? []
  if (word?.length === 1 && first && 'text' in first && !first.quoted && reserved.has(first.text)) throw new SyntaxFault(`«${first.text}» is not known to a fake guest`)
}

function unknownAt(text: string, at: number): SyntaxFault {
  const what = text[at] as string
  if (what === "'" || what === '"') return new SyntaxFault(`a ${what} is not closed`)
  return new SyntaxFault(`«${text.slice(at, at + 10).split('\n')[0]}» is not known to a fake guest`)
}
