const compact = new Intl.NumberFormat("en", { maximumSignificantDigits: 3, notation: "compact" });
const plain = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

/** "1.23M": three digits, for axes and legends. */
export const amount = (value: number): string => compact.format(value);
/** "1,234,567". */
export const exact = (value: number): string => plain.format(value);

/** What a count in one window is a second. */
export const perSecond = (count: number, stepMs: number): number => (stepMs > 0 ? (count * 1000) / stepMs : 0);
