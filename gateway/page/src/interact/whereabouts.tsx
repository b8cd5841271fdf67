import { momentAt } from "../data/viewport";
import { several } from "../scale/amounts";
import { clock } from "../scale/time";
import { matrix, view, viewport } from "../state";
import { back, lookAtAll } from "./moves";
import { selecting } from "./tool";

/** Where one is: what is in view in words, and the ways back. */
export function Whereabouts() {
  const [shown, port] = [matrix.value, viewport.value];
  const { zoom, utc } = view.value;
  if (shown === null || port === null || shown.columns === 0) return <div class="whereabouts" />;
  const rows = { first: Math.floor(port.y0) + 1, last: Math.min(shown.rows.length, Math.ceil(port.y1)) };
  const ends = [momentAt(shown, port.x0), momentAt(shown, port.x1)].map((ms) => rounded(ms, shown.stepMs));
  const times = ends.map((ms) => clock(ms, utc)).join(" – ");
  return (
    <nav class="whereabouts" aria-label="Where you are" data-testid="whereabouts">
      <button
        type="button"
        data-testid="select-tool"
        aria-pressed={selecting.value}
        title="Draw a rectangle to look at (b, or drag with shift)"
        onClick={() => (selecting.value = !selecting.value)}
      >
        Select
      </button>
      <button type="button" data-testid="whole" disabled={zoom === null} title="All of the picture (0)" onClick={lookAtAll}>
        Everything
      </button>
      <button type="button" data-testid="back" disabled={zoom === null} title="The view before (Backspace)" onClick={back}>
        Back
      </button>
      <span data-testid="in-view">
        <span>{times}</span>
        <span>{zoom === null ? several(shown.rows.length, "row") : `rows ${rows.first}–${rows.last} of ${shown.rows.length}`}</span>
      </span>
    </nav>
  );
}

function rounded(unixMs: number, stepMs: number): number {
  const to = stepMs >= 1000 ? 1000 : 1;
  return Math.round(unixMs / to) * to;
}
