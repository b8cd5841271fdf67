/** How long what is said of one window may still change. */
import type { Matrix } from "../data/matrix";

/** Nodes close a window moments apart, and answers may be late by as much as the slowest refresh. */
const LATE_MS = 15_000;
const LATE_STEPS = 2;

/**
 * A round of questions about the window that ends at columnMs, for useTold: another with every answer about the picture
 * while the window may still change, by the gateway's clock or by newer windows, then one for good.
 */
export function fluxRound(picture: Matrix, columnMs: number): string {
  const newest = picture.stamps[picture.columns - 1] ?? 0;
  const now = Math.max(newest, Date.parse(picture.generatedAt) || 0);
  return now - columnMs > Math.max(LATE_MS, LATE_STEPS * picture.stepMs) ? "settled" : picture.generatedAt;
}
