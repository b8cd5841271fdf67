/** From what somebody types to rows: bucket ids, labels, and keys as text or hexadecimal. */
import type { Matrix, RowHead } from "../data/matrix";
import { range } from "../scale/keys";
import { rangeIn } from "../scale/slices";

export interface Found {
  readonly row: number;
  readonly bucketId: string;
  readonly range: string;
}

/**
 * Best first: the bucket of that name or number, its label, keys that begin so, the rows that hold that key, the rest.
 * Some row holds nearly any key, so what can only mean a route ("route:7", "route 7") finds that route, the row that
 * it was folded into, or nothing.
 */
export function find(matrix: Matrix, text: string, most = 8): readonly Found[] {
  const wanted = text.trim();
  if (wanted === "") return [];
  const low = wanted.toLowerCase();
  const route = ROUTE.exec(low)?.[1];
  const tests = route === undefined ? anything(wanted, low) : thatRoute(route);
  // Bytes as Latin-1 characters compare as the bytes do.
  const keys = matrix.rows.map((head) => [atob(head.start), atob(head.end)] as const);
  const rows = tests.flatMap((test) =>
    matrix.rows.flatMap((head, row) => (test(head, keys[row]?.[0] ?? "", keys[row]?.[1] ?? "") ? [row] : [])),
  );
  return [...new Set(rows)].slice(0, most).map((row) => foundOf(matrix, row));
}

const ROUTE = /^route\s*[:\s]\s*(\d+(?::[a-z0-9_-]*)?(?:#\d*)?)$/;

type Test = (head: RowHead, start: string, end: string) => boolean;

/** A route's own rows, or the row that it was folded into. */
const thatRoute = (route: string): readonly Test[] => [
  (head) => isRoute(head.bucketId.toLowerCase(), `route:${route}`),
  (head) => head.aggregate && head.routeIds.some((id) => String(id) === route),
];

function anything(wanted: string, low: string): readonly Test[] {
  const key = bytesOfTyped(wanted);
  const byName: readonly Test[] = [
    (head) => names(head.bucketId.toLowerCase(), low),
    (head) => head.label.toLowerCase() === low,
  ];
  const byKey: readonly Test[] = [
    (_, start) => start.startsWith(key),
    (_, start, end) => start <= key && (end === "" || key < end),
  ];
  // Bytes that are wrongly or not yet wholly typed are no key; some row would hold their characters.
  const noKey = low.startsWith("0x") && !HEX.test(wanted);
  return [...byName, ...(noKey ? [] : byKey), (head) => written(head).includes(low)];
}

const written = (head: RowHead) => `${head.bucketId} ${head.label} ${range(head.start, head.end)}`.toLowerCase();

/** "7" names route:7, route:7:label and route:7#0. */
const names = (bucketId: string, low: string): boolean => [low, `route:${low}`].some((name) => isRoute(bucketId, name));

const isRoute = (bucketId: string, name: string): boolean =>
  bucketId === name || bucketId.startsWith(`${name}:`) || bucketId.startsWith(`${name}#`);

function foundOf(matrix: Matrix, row: number): Found {
  const head = matrix.rows[row];
  return { row, bucketId: head?.bucketId ?? "", range: head === undefined ? "" : rangeIn(matrix, head) };
}

const HEX = /^0x((?:[0-9a-f]{2})+)$/i;

/** A key as typed, in Latin-1 characters, one a byte: "0x00ff" is two bytes, anything else its UTF-8. */
export function bytesOfTyped(text: string): string {
  const hex = HEX.exec(text)?.[1];
  const bytes =
    hex === undefined
      ? new TextEncoder().encode(text)
      : Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
  return Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
}
