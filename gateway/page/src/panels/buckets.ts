/** What a row's id says: `route:<id>`, `route:<id>:<label>`, a slice `…#<n>` of either, or `virtual:<number>`. */
export interface Bucket {
  readonly kind: "route" | "virtual" | "other";
  /** In decimal, as it came: an id may be larger than a number holds exactly. */
  readonly routeId: string;
  readonly label: string;
  readonly slice: number | undefined;
  /** The id of the whole route, label included: what slices are grouped under. */
  readonly parent: string;
}

const ROUTE = /^route:(\d{1,20})(?::([A-Za-z0-9_-]+))?(?:#(\d{1,9}))?$/;

export function bucketOf(id: string): Bucket {
  const found = ROUTE.exec(id);
  if (found === null) {
    return { kind: id.startsWith("virtual:") ? "virtual" : "other", routeId: "", label: "", slice: undefined, parent: id };
  }
  const [, routeId = "", label = "", slice] = found;
  const parent = id.split("#", 1)[0] ?? id;
  return { kind: "route", routeId, label, slice: slice === undefined ? undefined : Number(slice), parent };
}

/** The numbers of all rows that are slices of the same route as this row, in the order of their slices. */
export function siblings(ids: readonly string[], row: number): readonly number[] {
  const own = bucketOf(ids[row] ?? "");
  if (own.slice === undefined) return [];
  const prefix = `${own.parent}#`;
  const found: { readonly row: number; readonly slice: number }[] = [];
  ids.forEach((id, number) => {
    if (id.startsWith(prefix)) found.push({ row: number, slice: bucketOf(id).slice ?? 0 });
  });
  return found.sort((left, right) => left.slice - right.slice).map((one) => one.row);
}
