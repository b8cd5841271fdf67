/** Numbers for people. One formatter each: building an Intl formatter costs more than using it a thousand times. */
const compact = new Intl.NumberFormat("en", { maximumSignificantDigits: 4, notation: "compact" });
const plain = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const percent = new Intl.NumberFormat("en", { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 });

export const compactly = (value: number): string => compact.format(value);
export const exactly = (value: number): string => plain.format(value);

const LEAST_SHARE = 0.001;

/** With one decimal, so that parts of one whole stand below each other; nothing and everything are exactly that. */
export function shareOf(part: number, whole: number): string {
  if (whole <= 0) return "–";
  if (part <= 0 || part >= whole) return part <= 0 ? "0%" : "100%";
  const share = part / whole;
  if (share < LEAST_SHARE) return `<${percent.format(LEAST_SHARE)}`;
  return share > 1 - LEAST_SHARE ? `>${percent.format(1 - LEAST_SHARE)}` : percent.format(share);
}

const STEPS: readonly (readonly [number, string])[] = [
  [86_400, "d"],
  [3_600, "h"],
  [60, "min"],
  [1, "s"],
];

/** The two largest parts of a length of time: "2 h 5 min", "41 s". */
export function span(ms: number): string {
  let rest = Math.max(0, Math.round(ms / 1000));
  const parts: string[] = [];
  for (const [seconds, unit] of STEPS) {
    const count = Math.floor(rest / seconds);
    rest -= count * seconds;
    if (count > 0) parts.push(`${count} ${unit}`);
    if (parts.length === 2 || (parts.length === 1 && count === 0)) break;
  }
  return parts.length === 0 ? "0 s" : parts.join(" ");
}
