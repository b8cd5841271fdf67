/** In CSS pixels of the stage. */
export interface Box {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** above: bars of the total per column. beside: bars of the total per key range. left, below: room for the axes. */
export interface Layout {
  readonly plot: Box;
  readonly above: Box;
  readonly beside: Box;
  /** Left of the upper bars: the whole picture small; null where there is no room. */
  readonly corner: Box | null;
}

const NARROW = 560;
const TIME_AXIS = 26;
const GAP = 4;

export function layoutOf(width: number, height: number): Layout {
  const narrow = width < NARROW;
  const left = narrow ? 88 : 168;
  const aboveHeight = narrow ? 26 : 50;
  const besideWidth = narrow ? 28 : 64;
  const top = aboveHeight + GAP;
  const plot = {
    left,
    top,
    width: Math.max(40, Math.floor(width - left - GAP - besideWidth)),
    height: Math.max(40, Math.floor(height - top - TIME_AXIS)),
  };
  return {
    plot,
    above: { left, top: 0, width: plot.width, height: aboveHeight },
    beside: { left: left + plot.width + GAP, top, width: besideWidth, height: plot.height },
    corner: narrow ? null : { left: 0, top: 0, width: left - 10, height: aboveHeight - 16 },
  };
}

/** A canvas over a box has these, one pixel of its own for each of the device's. */
export const pixelsOf = (box: Box, ratio: number): { readonly width: number; readonly height: number } => ({
  width: Math.max(1, Math.round(box.width * ratio)),
  height: Math.max(1, Math.round(box.height * ratio)),
});

/** Puts a canvas over a box; gives its context, cleared. */
export function fitted(canvas: HTMLCanvasElement, box: Box, ratio: number): CanvasRenderingContext2D {
  const { width, height } = pixelsOf(box, ratio);
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  const { style } = canvas;
  style.left = `${box.left}px`;
  style.top = `${box.top}px`;
  style.width = `${box.width}px`;
  style.height = `${box.height}px`;
  const context = canvas.getContext("2d");
  if (context === null) throw new Error("this browser has no canvas");
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}
