import type { Matrix, RowDetail } from "./matrix";
import type { Refused } from "./wire";

/** From the page to its worker. path: of the gateway, from the root on. */
export type Asked =
  | { readonly kind: "matrix"; readonly id: number; readonly path: string; readonly node: string }
  | { readonly kind: "row"; readonly id: number; readonly path: string; readonly bucketId: string }
  | { readonly kind: "forget"; readonly id: number };

export type Reply =
  | { readonly kind: "matrix"; readonly matrix: Matrix }
  | { readonly kind: "row"; readonly detail: RowDetail | null }
  | Refused;

/** From the worker to the page, once for each question that is not forgotten. */
export interface Replied {
  readonly id: number;
  /** What the worker took to parse the answer and to turn it into arrays. */
  readonly tookMs: number;
  readonly reply: Reply;
}
