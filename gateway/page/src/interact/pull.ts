/** One direction of a gesture: in pixels of the plot, a place p goes to k * p + shift. */
export interface Pull {
  readonly k: number;
  readonly shift: number;
  readonly pixels: number;
  readonly least: number;
  readonly most: number;
}

/** What is in view after a gesture that began with `from` to `to` in view. */
export function pulled(from: number, to: number, { k, shift, pixels, least, most }: Pull): readonly [number, number] {
  const before = to - from;
  const size = Math.min(most, Math.max(Math.min(least, most), before / k));
  if (k === 1 || size === before / k) {
    const first = from - (shift / k / pixels) * before;
    return [first, first + size];
  }
  // At the limit the place under the fingers stays, however far the gesture goes on.
  const fixed = Math.min(1, Math.max(0, shift / (1 - k) / pixels));
  const first = from + fixed * before - fixed * size;
  return [first, first + size];
}
