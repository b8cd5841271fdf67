export interface Scaling {
  readonly factor: number;
  readonly least: number;
  readonly most: number;
  /** What stays where it is: 0 the beginning, 1 the end. */
  readonly about: number;
}

/** A part of the picture made smaller or larger about one of its places. */
export function scaled(from: number, to: number, { factor, least, most, about }: Scaling): readonly [number, number] {
  const size = Math.min(most, Math.max(Math.min(least, most), (to - from) / factor));
  const first = from + about * (to - from) - about * size;
  return [first, first + size];
}
