const compact = new Intl.NumberFormat("en", { maximumSignificantDigits: 3, notation: "compact" });
const plain = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

/** "1.23M": three digits, for axes and legends. */
export const amount = (value: number): string => compact.format(value);
/** "1,234,567". */
export const exact = (value: number): string => plain.format(value);
/** "1 row", "1,234 rows". */
export const several = (count: number, one: string, many = `${one}s`): string => `${exact(count)} ${count === 1 ? one : many}`;

/** What a count in one window is a second. */
export const perSecond = (count: number, stepMs: number): number => (stepMs > 0 ? (count * 1000) / stepMs : 0);
