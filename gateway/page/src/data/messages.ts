import type { Look, Prepared } from "../draw/colouring";
import type { Matrix, RowDetail } from "./matrix";
import type { Refused } from "./wire";

/** From the page to its worker. path: of the gateway, from the root on. look: null while nothing can be shown. */
export type Asked =
  | { readonly kind: "matrix"; readonly id: number; readonly path: string; readonly node: string; readonly look: Look | null }
  | { readonly kind: "row"; readonly id: number; readonly path: string; readonly bucketId: string }
  | { readonly kind: "forget"; readonly id: number };

export type Reply =
  | { readonly kind: "matrix"; readonly matrix: Matrix; readonly prepared: Prepared | null }
  | { readonly kind: "row"; readonly detail: RowDetail | null }
  | Refused;

/** From the worker to the page, once for each question that is not forgotten. */
export interface Replied {
  readonly id: number;
  /** What the worker took to parse the answer, to turn it into arrays and to colour them. */
  readonly tookMs: number;
  readonly reply: Reply;
}
