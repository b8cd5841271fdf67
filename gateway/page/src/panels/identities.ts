/** Who led a range, window by window, gathered into stretches. */
export interface Stretch {
  readonly group: number;
  readonly term: number;
  /** Beginning of its first window and end of its last one, unix ms. */
  readonly fromMs: number;
  readonly toMs: number;
  /** Windows with traffic in it. */
  readonly windows: number;
}

interface Identities {
  readonly stepMs: number;
  readonly stamps: readonly number[];
  readonly values: readonly number[];
  readonly raftGroupIds: readonly number[];
  readonly leaderTerms: readonly number[];
}

/** Oldest first. Windows without traffic say nothing of their leader and end no stretch; group 0 = not known. */
export function stretches(row: Identities): readonly Stretch[] {
  const found: Stretch[] = [];
  row.stamps.forEach((stamp, at) => {
    if ((row.values[at] ?? 0) === 0) return;
    const [group, term] = [row.raftGroupIds[at] ?? 0, row.leaderTerms[at] ?? 0];
    const last = found[found.length - 1];
    if (last !== undefined && last.group === group && last.term === term) {
      found[found.length - 1] = { ...last, toMs: stamp, windows: last.windows + 1 };
    } else {
      found.push({ group, term, fromMs: stamp - row.stepMs, toMs: stamp, windows: 1 });
    }
  });
  return found;
}
