/** What the sections of the detail have in common: the cell that is pinned, and their frame. */
import type { ComponentChildren } from "preact";
import type { Matrix, RowHead } from "../data/matrix";

export interface Pinned {
  readonly picture: Matrix;
  readonly head: RowHead;
  readonly row: number;
  readonly column: number;
  readonly columnMs: number;
}

export function Section({ title, children, name }: { readonly title: string; readonly name: string; readonly children: ComponentChildren }) {
  return (
    <section data-testid={`detail-${name}`}>
      <h3>{title}</h3>
      {children}
    </section>
  );
}
