/** How keys read in a picture: alone, or in one manner with the other slices of their route. */
import type { Matrix, RowHead } from "../data/matrix";
import { bytesOf, hexOf, range, readable, shortened, textOf } from "./keys";

type Reader = (base64: string) => string;

const SLICE = /^(.+)#\d+$/;
const readers = new WeakMap<Matrix, ReadonlyMap<string, Reader>>();

/** A key of a row, as its first or its last. */
export function keyIn(matrix: Matrix, head: RowHead, base64: string): string {
  const route = SLICE.exec(head.bucketId)?.[1];
  return (route === undefined ? undefined : readersOf(matrix).get(route))?.(base64) ?? readable(bytesOf(base64));
}

export const rangeIn = (matrix: Matrix, head: RowHead): string => range(head.start, head.end, (base64) => keyIn(matrix, head, base64));

function readersOf(matrix: Matrix): ReadonlyMap<string, Reader> {
  const before = readers.get(matrix);
  if (before !== undefined) return before;
  const starts = new Map<string, Uint8Array[]>();
  for (const { bucketId, start } of matrix.rows) {
    const route = SLICE.exec(bucketId)?.[1];
    if (route !== undefined) starts.set(route, [...(starts.get(route) ?? []), bytesOf(start)]);
  }
  const made = new Map<string, Reader>();
  for (const [route, keys] of starts) {
    // Where every key is text there is nothing to make alike.
    if (keys.some((key) => textOf(key) === undefined)) made.set(route, readerAfter(commonText(keys)));
  }
  readers.set(matrix, made);
  return made;
}

/** The common text of a route's slices and what follows in hexadecimal; keys of other routes as they are. */
function readerAfter({ text, bytes }: { readonly text: string; readonly bytes: Uint8Array }): Reader {
  return (base64) => {
    const key = bytesOf(base64);
    if (key.length < bytes.length || bytes.some((byte, at) => key[at] !== byte)) return readable(key);
    if (key.length === bytes.length) return shortened(text);
    return shortened(`${text}${text === "" ? "" : " + "}0x${hexOf(key.subarray(bytes.length))}`);
  };
}

function commonText(keys: readonly Uint8Array[]): { readonly text: string; readonly bytes: Uint8Array } {
  const [first = new Uint8Array(0), ...others] = keys;
  let length = others.reduce((same, key) => {
    let at = 0;
    while (at < same && at < key.length && key[at] === first[at]) at += 1;
    return at;
  }, first.length);
  while (length > 0 && textOf(first.subarray(0, length)) === undefined) length -= 1;
  const bytes = first.subarray(0, length);
  return { text: textOf(bytes) ?? "", bytes };
}
