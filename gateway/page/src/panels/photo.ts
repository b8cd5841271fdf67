/** The current view as one picture, with what it is written on it. */
import type { Shading } from "../scale/colour";
import { PALETTE, valueAt } from "../scale/colour";

export interface Caption {
  readonly title: string;
  /** Range of time, whose view it is, how complete. */
  readonly lines: readonly string[];
  readonly shading: Shading;
  /** From a count to what the legend writes. */
  readonly number: (count: number) => string;
  readonly unit: string;
}

const EDGE = 16;
const LINE = 18;
const FOOT = 44;
const RAMP = 260;
const FONT = `12px system-ui, "DejaVu Sans", sans-serif`;

/** frame: the element whose canvases and axes are the picture. */
export async function photograph(frame: HTMLElement, caption: Caption): Promise<Blob> {
  const ratio = window.devicePixelRatio || 1;
  const head = EDGE + LINE * (1 + caption.lines.length) + 6;
  const [width, height] = [frame.clientWidth + 2 * EDGE, frame.clientHeight + head + FOOT];
  const canvas = new OffscreenCanvas(Math.round(width * ratio), Math.round(height * ratio));
  const context = canvas.getContext("2d");
  if (context === null) throw new Error("this browser has no canvas");
  context.scale(ratio, ratio);
  const style = getComputedStyle(document.documentElement);
  const colours = { ground: style.getPropertyValue("--ground"), ink: style.getPropertyValue("--ink"), quiet: style.getPropertyValue("--quiet") };
  context.fillStyle = colours.ground;
  context.fillRect(0, 0, width, height);
  drawCaption(context, caption, colours);
  context.save();
  context.translate(EDGE, head);
  drawCanvases(context, frame, style.getPropertyValue("--unknown"));
  drawAxes(context, frame);
  context.restore();
  drawLegend(context, caption, height - FOOT + 14, colours.quiet);
  return canvas.convertToBlob({ type: "image/png" });
}

type Context = OffscreenCanvasRenderingContext2D;

function drawCaption(context: Context, caption: Caption, { ink, quiet }: { readonly ink: string; readonly quiet: string }): void {
  context.textBaseline = "top";
  context.fillStyle = ink;
  context.font = `600 ${FONT.replace("12px", "14px")}`;
  context.fillText(caption.title, EDGE, EDGE);
  context.font = FONT;
  context.fillStyle = quiet;
  caption.lines.forEach((line, at) => context.fillText(line, EDGE, EDGE + LINE * (at + 1) + 3));
}

function drawCanvases(context: Context, frame: HTMLElement, unknown: string): void {
  const origin = frame.getBoundingClientRect();
  for (const canvas of frame.querySelectorAll("canvas")) {
    const box = canvas.getBoundingClientRect();
    if (box.width === 0 || canvas.width === 0 || canvas.dataset["overlay"] !== undefined) continue;
    const [left, top] = [box.left - origin.left, box.top - origin.top];
    // The ground of unknown cells is a style of the element, which an image of its pixels does not have.
    if (canvas.id === "heatmap") stripe(context, { left, top, width: box.width, height: box.height }, unknown);
    context.drawImage(canvas, left, top, box.width, box.height);
  }
}

function stripe(context: Context, box: { left: number; top: number; width: number; height: number }, colour: string): void {
  context.save();
  context.beginPath();
  context.rect(box.left, box.top, box.width, box.height);
  context.clip();
  context.strokeStyle = colour;
  context.lineWidth = 4;
  context.beginPath();
  for (let at = -box.height; at < box.width; at += 11.3) {
    context.moveTo(box.left + at, box.top + box.height);
    context.lineTo(box.left + at + box.height, box.top);
  }
  context.stroke();
  context.restore();
}

/** Lines and words of the axes at the places where they are on the screen. */
function drawAxes(context: Context, frame: HTMLElement): void {
  const origin = frame.getBoundingClientRect();
  for (const text of frame.querySelectorAll<SVGTextElement>("svg text")) {
    const place = text.getScreenCTM();
    if (place === null || (text.textContent ?? "") === "") continue;
    const style = getComputedStyle(text);
    const box = text.getBoundingClientRect();
    context.font = `${style.fontSize} ${style.fontFamily}`;
    context.fillStyle = style.fill;
    context.textBaseline = "middle";
    context.textAlign = "left";
    context.fillText(text.textContent ?? "", box.left - origin.left, box.top - origin.top + box.height / 2);
  }
  for (const line of frame.querySelectorAll<SVGGraphicsElement>("svg line, svg path.domain")) {
    const box = line.getBoundingClientRect();
    context.fillStyle = getComputedStyle(line).stroke;
    const [wide, tall] = [Math.max(1, box.width), Math.max(1, box.height)];
    if (Math.min(wide, tall) <= 2) context.fillRect(box.left - origin.left, box.top - origin.top, wide, tall);
  }
}

function drawLegend(context: Context, caption: Caption, top: number, quiet: string): void {
  PALETTE.forEach(([red, green, blue], shade) => {
    context.fillStyle = `rgb(${red} ${green} ${blue})`;
    context.fillRect(EDGE + (shade * RAMP) / PALETTE.length, top, RAMP / PALETTE.length + 0.5, 8);
  });
  context.font = FONT;
  context.fillStyle = quiet;
  context.textBaseline = "top";
  for (const part of [0, 0.5, 1]) {
    context.textAlign = part === 0 ? "left" : part === 1 ? "right" : "center";
    const count = part === 0 ? 0 : valueAt(part, caption.shading);
    context.fillText(caption.number(count), EDGE + part * RAMP, top + 11);
  }
  context.textAlign = "left";
  context.fillText(caption.unit, EDGE + RAMP + 12, top - 2);
}
