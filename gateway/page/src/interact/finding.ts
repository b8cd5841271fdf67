/** From what somebody types to rows: bucket ids, labels, and keys as text or hexadecimal. */
import type { Matrix, RowHead } from "../data/matrix";
import { range } from "../scale/keys";
import { rangeIn } from "../scale/slices";

export interface Found {
  readonly row: number;
  readonly bucketId: string;
  readonly range: string;
}

/** Best first: the bucket of that name or number, its label, keys that begin so, the rows that hold that key, the rest. */
export function find(matrix: Matrix, text: string, most = 8): readonly Found[] {
  const wanted = text.trim();
  if (wanted === "") return [];
  const low = wanted.toLowerCase();
  const key = bytesOfTyped(wanted);
  const tests: readonly ((head: RowHead, start: string, end: string) => boolean)[] = [
    (head) => names(head.bucketId.toLowerCase(), low),
    (head) => head.label.toLowerCase() === low,
    (_, start) => start.startsWith(key),
    (_, start, end) => start <= key && (end === "" || key < end),
    (head) => `${head.bucketId} ${head.label} ${range(head.start, head.end)}`.toLowerCase().includes(low),
  ];
  // Bytes as Latin-1 characters compare as the bytes do.
  const keys = matrix.rows.map((head) => [atob(head.start), atob(head.end)] as const);
  const rows = tests.flatMap((test) =>
    matrix.rows.flatMap((head, row) => (test(head, keys[row]?.[0] ?? "", keys[row]?.[1] ?? "") ? [row] : [])),
  );
  return [...new Set(rows)].slice(0, most).map((row) => foundOf(matrix, row));
}

/** "7" and "route:7" name route:7, route:7:label and route:7#0. */
function names(bucketId: string, low: string): boolean {
  return [low, `route:${low}`].some((name) => bucketId === name || bucketId.startsWith(`${name}:`) || bucketId.startsWith(`${name}#`));
}

function foundOf(matrix: Matrix, row: number): Found {
  const head = matrix.rows[row];
  return { row, bucketId: head?.bucketId ?? "", range: head === undefined ? "" : rangeIn(matrix, head) };
}

/** A key as typed, in Latin-1 characters, one a byte: "0x00ff" is two bytes, anything else its UTF-8. */
export function bytesOfTyped(text: string): string {
  const hex = /^0x((?:[0-9a-f]{2})+)$/i.exec(text)?.[1];
  const bytes =
    hex === undefined
      ? new TextEncoder().encode(text)
      : Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
  return Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
}
