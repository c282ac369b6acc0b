/** Whole numbers below `sides`. */
export type Dice = (sides: number) => number

/** The same numbers for the same seed: xorshift32. */
export function diceOf(seed: number): Dice {
  let state = Math.imul(seed + 1, 0x9e3779b1) | 1
  return (sides) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % sides
  }
}
