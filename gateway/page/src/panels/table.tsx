import { useState } from "preact/hooks";
import type { Matrix } from "../data/matrix";
import { rangeIn } from "../scale/slices";
import { clock } from "../scale/time";
import { change, settled, unit, view } from "../state";
import { hottestRows, rangeText, summary } from "./hottest";
import type { ShownRow } from "./shown";
import { counted, hottestShown } from "./told";
import { compactly } from "./units";

const MOST = 20;

/** Slices read as they do beside the picture. */
const rangesIn = (picture: Matrix) => (row: ShownRow) => {
  const head = picture.rows.find((one) => one.bucketId === row.bucketId);
  return head === undefined ? rangeText(row) : rangeIn(picture, head);
};

/** The hottest ranges of what is shown, as a table: for those who do not see the picture, and to quote from. */
export function HottestTable() {
  const [open, toggle] = useState(false);
  return (
    <details id="hottest" data-testid="hottest" onToggle={(event) => toggle(event.currentTarget.open)}>
      <summary>Hottest ranges as a table</summary>
      {open && <Table />}
    </details>
  );
}

/** For screen readers alone: what the heatmap shows, in a sentence. Not announced anew with every refresh. */
export function HeatmapSummary() {
  const now = settled.value;
  if (now === null) return null;
  const { matrix: picture, port } = now;
  const { utc } = view.value;
  const { shown, everything } = hottestShown(picture, port, 2);
  return (
    <p id="heatmap-summary" class="unseen">
      {summary(hottestRows(shown, 2, { everything, rangeOf: rangesIn(picture) }), counted.value, (ms) => clock(ms, utc))}
    </p>
  );
}

function Table() {
  const now = settled.value;
  if (now === null) return <p class="quiet">No picture yet.</p>;
  const { matrix: picture, port } = now;
  const { utc } = view.value;
  const { shown, everything } = hottestShown(picture, port, MOST);
  const rows = hottestRows(shown, MOST, { everything, rangeOf: rangesIn(picture) });
  const per = `${unit.value}/s`;
  return (
    <>
      <p data-testid="summary">{summary(rows, counted.value, (ms) => clock(ms, utc))}</p>
      <div class="scrolls" tabIndex={0} role="region" aria-label="Hottest ranges">
        <table>
          <thead>
            <tr>
              <th scope="col">Row</th>
              <th scope="col">Keys</th>
              <th scope="col" class="number">
                Share
              </th>
              <th scope="col" class="number">
                Mean {per}
              </th>
              <th scope="col" class="number">
                Peak {per}
              </th>
              <th scope="col">Peak in the window until</th>
              <th scope="col" class="number">
                Conflicts
              </th>
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <tr key={row.bucketId}>
                <th scope="row">
                  <button type="button" class="link" onClick={() => change({ cell: { bucket: row.bucketId, columnMs: row.peakMs } })}>
                    <bdi>{row.bucketId}</bdi>
                  </button>
                </th>
                <td>
                  <bdi>{row.range}</bdi>
                </td>
                <td class="number">{row.share}</td>
                <td class="number">{compactly(row.perSecond)}</td>
                <td class="number">{compactly(row.peakPerSecond)}</td>
                <td>{clock(row.peakMs, utc)}</td>
                <td class="number">{row.conflicts}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}
