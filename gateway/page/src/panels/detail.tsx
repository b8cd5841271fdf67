/** Beside the picture: everything about the pinned cell and its row. */
import { placeOfCell } from "../interact/pointing";
import type { RowHead } from "../data/matrix";
import { several } from "../scale/amounts";
import { clock, moment, zone } from "../scale/time";
import { change, matrix, unit, view } from "../state";
import { bucketOf, siblings } from "./buckets";
import { Contributions } from "./contributions";
import { HotKeys } from "./hotkeyspanel";
import { EndView } from "./keyview";
import { RowHistory } from "./rowhistory";
import { Section, type Pinned } from "./section";
import { withoutThem } from "./nodes";
import { counted, countOf, named } from "./told";
import { compactly, exactly, shareOf } from "./units";

export function Detail() {
  const [picture, cell] = [matrix.value, view.value.cell];
  if (picture === null || cell === null) return null;
  const place = placeOfCell(picture, cell);
  const head = place === undefined ? undefined : picture.rows[place.row];
  return (
    <aside id="detail" data-testid="detail" aria-label={`Details of ${cell.bucket}`}>
      <div class="detail-head">
        <h2>
          <bdi>{cell.bucket}</bdi>
        </h2>
        <button type="button" class="small" aria-label="Close details" onClick={() => change({ cell: null })}>
          ✕
        </button>
      </div>
      {place === undefined || head === undefined ? (
        <Gone bucket={cell.bucket} />
      ) : (
        <Parts pinned={{ picture, head, row: place.row, column: place.column, columnMs: cell.columnMs }} />
      )}
    </aside>
  );
}

function Gone({ bucket }: { readonly bucket: string }) {
  return (
    <p class="quiet">
      This cell is not in what is shown now: <bdi>{bucket}</bdi> was folded into a neighbour, split or merged, or its window is outside of the
      range. It comes back when the picture has it again.
    </p>
  );
}

function Parts({ pinned }: { readonly pinned: Pinned }) {
  return (
    <>
      <Pills pinned={pinned} />
      <Numbers pinned={pinned} />
      <RangeEnds head={pinned.head} />
      {pinned.head.aggregate && <Aggregate pinned={pinned} />}
      <Contributions pinned={pinned} />
      <RowHistory pinned={pinned} />
      <HotKeys pinned={pinned} />
      <Slices pinned={pinned} />
    </>
  );
}

function Pills({ pinned: { picture, head, row, column } }: { readonly pinned: Pinned }) {
  const at = row * picture.columns + column;
  const inCell = picture.conflicts?.[at] === 1;
  const holders = picture.columnNodes[column] ?? 0;
  const responded = picture.fanout?.responded ?? 0;
  return (
    <p class="pills">
      {inCell && <span class="pill bad" data-testid="conflict-pill">nodes disagree in this window</span>}
      {!inCell && head.conflict && <span class="pill bad">nodes disagree in other windows of this row</span>}
      {picture.soft?.[at] === 1 && <span class="pill">estimate</span>}
      {head.label !== "" && <span class="pill">label {head.label}</span>}
      {picture.node === "" && holders > 0 && holders < responded && (
        <span class="pill bad">
          only {holders} of {responded} nodes hold this window
        </span>
      )}
    </p>
  );
}

function Numbers({ pinned: { picture, row, column, columnMs } }: { readonly pinned: Pinned }) {
  const { utc } = view.value;
  const known = picture.known[column] === 1;
  const value = picture.values[row * picture.columns + column] ?? 0;
  // One node's own view lacks nobody.
  const without = picture.node === "" ? withoutThem(named(picture.fanout), picture.series) : "";
  return (
    <dl data-testid="detail-numbers">
      <dt>Window</dt>
      <dd>
        {moment(columnMs - picture.stepMs, utc)} – {clock(columnMs, utc)} <span class="quiet">{zone(utc)}</span>
      </dd>
      <dt>Value</dt>
      <dd>
        {known ? (
          <>
            <strong>
              {compactly((value * 1000) / picture.stepMs)} {unit.value}/s
            </strong>{" "}
            · {countOf(value)}
          </>
        ) : (
          "no data: unknown, not zero"
        )}
        {known && without !== "" && (
          <div class="without" data-testid="without">
            {without}
          </div>
        )}
      </dd>
      <dt>Share</dt>
      <dd>
        {shareOf(value, picture.columnTotals[column] ?? 0)} of all {counted.value}{without === "" ? "" : " counted"} in this window
      </dd>
    </dl>
  );
}

function RangeEnds({ head }: { readonly head: RowHead }) {
  return (
    <dl data-testid="detail-range">
      <dt>From</dt>
      <dd>
        <EndView base64={head.start} what="first key" unbounded="the first key there is" />
      </dd>
      <dt>Up to</dt>
      <dd>
        <EndView base64={head.end} what="end of the range" unbounded="the last key there is" />
      </dd>
      <dt>{head.aggregate ? "Routes" : "Route"}</dt>
      <dd>{routesOf(head)}</dd>
    </dl>
  );
}

const MOST_IDS = 24;

function routesOf(head: RowHead): string {
  if (!head.aggregate) return bucketOf(head.bucketId).routeId || "not told";
  const ids = head.routeIds.slice(0, MOST_IDS).join(", ");
  const more = head.routeCount - Math.min(head.routeIds.length, MOST_IDS);
  return more > 0 && ids !== "" ? `${ids} and ${exactly(more)} more` : ids || exactly(head.routeCount);
}

/** An aggregate is opened by asking for its keys alone: the row budget is then for its routes. */
function Aggregate({ pinned: { picture, head } }: { readonly pinned: Pinned }) {
  const { keys, rows } = view.value;
  const asked = keys !== null && keys.start === head.start && keys.end === head.end;
  const alone = asked && picture.rows.length === 1;
  return (
    <Section title="Several ranges in one row" name="aggregate">
      <p>
        Holds {several(head.routeCount, "route")}, colder than what is shown singly. The row budget is {exactly(rows)}.
      </p>
      {alone ? (
        <p class="quiet">The nodes count these routes together, so nobody can tell them apart.</p>
      ) : (
        <button type="button" onClick={() => change({ keys: { start: head.start, end: head.end }, rows: 1024, zoom: null, cell: null })}>
          Open these ranges
        </button>
      )}
    </Section>
  );
}

function Slices({ pinned: { picture, head, row } }: { readonly pinned: Pinned }) {
  const own = bucketOf(head.bucketId);
  if (own.slice === undefined) return null;
  const rows = siblings(picture.rows.map((one) => one.bucketId), row);
  const most = rows.reduce((top, one) => Math.max(top, picture.rowTotals[one] ?? 0), 0);
  const total = rows.reduce((sum, one) => sum + (picture.rowTotals[one] ?? 0), 0);
  const cell = view.value.cell;
  return (
    <Section title={`Slices of ${own.parent}`} name="slices">
      <ul class="slices">
        {rows.map((one) => {
          const id = picture.rows[one]?.bucketId ?? "";
          const part = picture.rowTotals[one] ?? 0;
          return (
            <li key={id}>
              <button type="button" aria-current={one === row} onClick={() => cell !== null && change({ cell: { ...cell, bucket: id } })}>
                <span>#{bucketOf(id).slice}</span>
                <span class="bar" aria-hidden="true">
                  <span style={{ width: `${most > 0 ? (100 * part) / most : 0}%` }} />
                </span>
                <span class="number">{shareOf(part, total)}</span>
              </button>
            </li>
          );
        })}
      </ul>
    </Section>
  );
}
