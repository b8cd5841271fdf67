/**
 * A cell as 16 bits: 0 = unknown, 1 = no traffic, above that the logarithm of 1 + value, 1023 steps a doubling.
 * Larger is hotter, so folding by maximum works on codes, and every colour scale is one table over them: a change of
 * scale costs 65 536 look-ups instead of a logarithm a cell.
 */
export const UNKNOWN = 0;
export const ZERO = 1;
export const CODES = 65_536;
const STEPS = 1023;

export function codeOf(value: number): number {
  return value <= 0 ? ZERO : Math.min(CODES - 1, 2 + Math.round(Math.log2(1 + value) * STEPS));
}

/** The natural logarithm of 1 + value. */
export const logOf = (code: number): number => (code <= ZERO ? 0 : ((code - 2) / STEPS) * Math.LN2);

/** The value in the middle of what a code stands for. */
export function valueOf(code: number): number {
  return code <= ZERO ? 0 : 2 ** ((code - 2) / STEPS) - 1;
}
