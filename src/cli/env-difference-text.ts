import { type Difference, differenceText } from './env-difference.ts'
import type { Screen } from './terminal.ts'
import { type Colour, painted, visible } from './text.ts'

const colours: Record<Difference['mark'], Colour> = { '+': 'green', '-': 'red', '~': 'yellow' }

/** A line for each difference, in its colour where there are any. */
export const differenceLines = (found: readonly Difference[], screen?: Screen): string[] => found.map((one) => painted(`  ${one.mark} ${visible(differenceText(one))}`, colours[one.mark], screen))
