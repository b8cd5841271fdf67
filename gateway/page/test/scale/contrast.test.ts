import { rgb } from "d3-color";
import { describe, expect, test } from "vitest";
// @ts-expect-error the page itself needs no types of Node
import { readFileSync } from "node:fs";

const SHEETS = ["style.css", "panels/panels.css"].map((name) => String(readFileSync(new URL(`../../src/${name}`, import.meta.url))));

/** The variables of all blocks with this selector, later ones first, as the cascade has it. */
function variables(selector: string): Record<string, string> {
  const blocks = SHEETS.flatMap((sheet) => sheet.split("}").filter((block) => headOf(block) === selector));
  const pairs = blocks.flatMap((block) => [...block.matchAll(/--([a-z-]+):\s*(#[0-9a-f]{3,6})\s*;/g)]);
  return Object.fromEntries(pairs.map(([, name = "", colour = ""]) => [name, colour]));
}

const headOf = (block: string) => (block.split("{")[0] ?? "").replaceAll(/\/\*.*?\*\/|@import[^;]*;/gs, "").trim();

const linear = (channel: number) => (channel <= 0.04045 ? channel / 12.92 : ((channel + 0.055) / 1.055) ** 2.4);

/** Relative luminance as WCAG 2 defines it. */
function luminance(colour: string): number {
  const { r, g, b } = rgb(colour);
  return 0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
}

function contrast(one: string, other: string): number {
  const [dark = 0, light = 0] = [luminance(one), luminance(other)].sort((left, right) => left - right);
  return (light + 0.05) / (dark + 0.05);
}

const dark = variables(":root");
const themes = { dark, light: { ...dark, ...variables(':root[data-theme="light"]') } };

test("contrast is what it is known to be", () => {
  expect(contrast("#000", "#fff")).toBeCloseTo(21);
  expect(contrast("#777", "#fff")).toBeCloseTo(4.48, 2);
});

describe.each(Object.entries(themes))("%s", (_, theme: Record<string, string>) => {
  const between = (one: string, other: string) => contrast(theme[one] ?? "", theme[other] ?? "");
  test.each([
    ...["ink", "quiet", "warn"].flatMap((text) => ["ground", "panel", "raised"].map((ground) => [text, ground])),
    ["alarm-ink", "alarm"],
    ["accent-ink", "accent"],
  ])("%s can be read on %s, in axes, legend and saved pictures too", (text = "", ground = "") => {
    expect(between(text, ground)).toBeGreaterThanOrEqual(4.5);
  });
  test.each([
    ["accent", "ground"],
    ["accent", "panel"],
    ["bar", "ground"],
    ["bar", "panel"],
    ["frame", "frame-halo"],
  ])("%s, which is no text, stands out from %s", (shape = "", ground = "") => {
    expect(between(shape, ground)).toBeGreaterThanOrEqual(3);
  });
});
