/** Pixels as ImageData has them; width: of a line of them, at least as many as bins across. */
export interface Pixels {
  readonly pixels: Uint32Array;
  readonly width: number;
}
