import { fail } from '../../model/errors.ts'
import type { Action } from '../invocation.ts'

/** `tt completion SHELL`. */
export const completion: Action = {
  operands: [{ name: 'bash|zsh|fish' }],
  flags: [],
  details: ['It completes commands, flags, and, from the server, the names of ENVs and images; where a file of yours is meant, files.'],
  examples: [
    { line: 'source <(tt completion bash)', about: 'in ~/.bashrc' },
    { line: 'source <(tt completion zsh)', about: 'in ~/.zshrc, after compinit' },
    { line: 'tt completion fish | source', about: 'in ~/.config/fish/config.fish' },
  ],
  async run({ given, print }) {
    const [shell = ''] = given.operands
    const script = Object.hasOwn(scripts, shell) ? scripts[shell as keyof typeof scripts] : undefined
    await print(script ?? fail('invalid', `there is no completion for ${JSON.stringify(shell.slice(0, 40))}`, { remedy: `there is one for ${Object.keys(scripts).join(', ')}` }))
  },
}

/** The program that is asked is the one that stands on the line: ./tt completes by itself. */
export const scripts = {
  // Bash splits words at ":" and "=" and replaces only what follows: the line goes over whole, and tt answers with such endings.
  bash: `_tt_complete() {
  COMPREPLY=()
  local candidate
  while IFS= read -r candidate; do
    COMPREPLY+=("$candidate")
  done < <("$1" __complete bash -- "\${COMP_LINE:0:COMP_POINT}" 2>/dev/null)
  if [ "\${#COMPREPLY[@]}" -eq 1 ] && [[ \${COMPREPLY[0]} == *[=/] ]]; then
    compopt -o nospace
  fi
}
complete -o bashdefault -F _tt_complete tt ./tt
`,
  zsh: `#compdef tt
_tt_complete() {
  local -a candidates
  candidates=("\${(@f)$("\${words[1]}" __complete zsh -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  candidates=("\${(@)candidates:#}")
  if (( \${#candidates} )); then
    compadd -- "\${(@)candidates}"
  else
    _files
  fi
}
compdef _tt_complete tt
`,
  fish: `function __tt_complete
  set -l words (commandline -opc) (commandline -ct)
  $words[1] __complete fish -- $words[2..-1] 2>/dev/null
end
complete -c tt -f -a '(__tt_complete)'
`,
} as const
