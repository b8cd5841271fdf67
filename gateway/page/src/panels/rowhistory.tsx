import { askRow } from "../data/asking";
import type { Matrix, RowDetail } from "../data/matrix";
import { SERIES, type Refused, type Series } from "../data/wire";
import { clock } from "../scale/time";
import { matrix, view } from "../state";
import { Section, type Pinned } from "./section";
import { stretches } from "./identities";
import { useTold } from "./loading";
import { onGrid, sparkOf } from "./sparkline";
import { compactly, exactly } from "./units";

const NAMES: Readonly<Record<Series, readonly [string, string]>> = {
  writes: ["writes", "ops/s"],
  reads: ["reads", "ops/s"],
  write_bytes: ["bytes written", "bytes/s"],
  read_bytes: ["bytes read", "bytes/s"],
};
const WIDTH = 220;
const HEIGHT = 28;
const MOST_STRETCHES = 8;
const AGAIN_MS = 10_000;

type Rows = Readonly<Record<Series, RowDetail | null | Refused>>;

/** All four series of the row over what is shown, and who led it when. */
export function RowHistory({ pinned: { head, picture } }: { readonly pinned: Pinned }) {
  const { range, node, rows, series } = view.value;
  const key = JSON.stringify([head.bucketId, head.aggregate && [rows, series], range, node]);
  const told = useTold<Rows>(key, roundOf(picture), (signal) => everySeries(head.bucketId, head.aggregate, signal));
  return (
    <>
      <Section title="All four series" name="series">
        {told === undefined ? (
          <p class="quiet">Asking…</p>
        ) : (
          <div class="sparks">
            {SERIES.map((one) => (
              <Spark key={one} series={one} row={told[one]} from={picture} />
            ))}
          </div>
        )}
      </Section>
      <Section title="Who led it" name="leaders">
        <Leaders row={told?.writes} />
      </Section>
    </>
  );
}

// New windows come in every step; four more questions every time would be too many.
function roundOf(picture: Matrix): number {
  const last = picture.stamps[picture.columns - 1] ?? 0;
  return Math.floor(last / Math.max(AGAIN_MS, picture.stepMs));
}

async function everySeries(bucketId: string, aggregate: boolean, signal: AbortSignal): Promise<Rows> {
  const asked = view.peek();
  // A route is found by its keys alone, which is cheap; an aggregate exists only in an answer folded like the picture.
  const head = matrix.peek()?.rows.find((one) => one.bucketId === bucketId);
  const narrow = aggregate || head === undefined ? asked : { ...asked, keys: { start: head.start, end: head.end } };
  const answers = await Promise.all(SERIES.map((series) => askRow(narrow, bucketId, series, signal)));
  const rows = answers.map((answer) => (answer.kind === "row" ? answer.detail : answer));
  return Object.fromEntries(SERIES.map((series, at) => [series, rows[at] ?? null])) as Rows;
}

function Spark({ series, row, from }: { readonly series: Series; readonly row: RowDetail | null | Refused; readonly from: Matrix }) {
  const [name, unit] = NAMES[series];
  if (row === null || "kind" in row) {
    const why = row === null ? "this row is not in that series' picture" : row.message || row.code;
    return (
      <p class="spark quiet" data-series={series}>
        {name}: {why}
      </p>
    );
  }
  const spark = sparkOf(onGrid(row.stamps, row.values, row.stepMs), WIDTH, HEIGHT);
  const rate = (count: number) => compactly((count * 1000) / (row.stepMs || from.stepMs));
  const now = spark.latest === undefined ? "no data" : rate(spark.latest);
  return (
    <div class="spark" data-series={series}>
      <span class="spark-name">{name}</span>
      <svg preserveAspectRatio="none" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={`${name} over time, peak ${rate(spark.peak)} ${unit}`}>
        <path d={spark.path} />
      </svg>
      <span class="number">
        now {now}, peak {rate(spark.peak)} {unit}
      </span>
    </div>
  );
}

function Leaders({ row }: { readonly row: RowDetail | null | Refused | undefined }) {
  if (row === undefined) return <p class="quiet">Asking…</p>;
  if (row === null || "kind" in row) return <p class="quiet">Not known.</p>;
  const { utc } = view.value;
  const found = [...stretches(row)].reverse();
  if (found.length === 0) return <p class="quiet">No writes in what is shown, so nobody is known to have led.</p>;
  return (
    <div class="scrolls" tabIndex={0} role="region" aria-label="Leaders">
      <table>
        <thead>
          <tr>
            <th scope="col">Group</th>
            <th scope="col">Term</th>
            <th scope="col">From – to</th>
            <th scope="col" class="number">
              Windows
            </th>
          </tr>
        </thead>
        <tbody>
          {found.slice(0, MOST_STRETCHES).map((stretch) => (
            <tr key={stretch.fromMs}>
              <td class="short">{stretch.group === 0 ? "not known" : stretch.group}</td>
              <td class="short">{stretch.term === 0 ? "–" : stretch.term}</td>
              <td>
                <span class="short">{clock(stretch.fromMs, utc)} –</span> <span class="short">{clock(stretch.toMs, utc)}</span>
              </td>
              <td class="number">{exactly(stretch.windows)}</td>
            </tr>
          ))}
          {found.length > MOST_STRETCHES && (
            <tr>
              <td colSpan={4}>and {exactly(found.length - MOST_STRETCHES)} earlier</td>
            </tr>
          )}
        </tbody>
      </table>
    </div>
  );
}
