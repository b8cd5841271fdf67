/** Measures text in the font of the axes. */
export const AXIS_FONT = `11px system-ui, "DejaVu Sans", sans-serif`;

const context = document.createElement("canvas").getContext("2d");
const known = new Map<string, number>();

export function widthOf(text: string): number {
  const before = known.get(text);
  if (before !== undefined) return before;
  if (context === null) return text.length * 7;
  context.font = AXIS_FONT;
  const width = context.measureText(text).width;
  if (known.size > 5000) known.clear();
  known.set(text, width);
  return width;
}
