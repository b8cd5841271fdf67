import { useState } from "preact/hooks";
import { clock } from "../scale/time";
import { nowMs, view } from "../state";
import { bucketOf } from "./buckets";
import { fluxRound } from "./flux";
import { Section, type Pinned } from "./section";
import {
  caveats,
  freshness,
  hotKeyRows,
  hotKeysPath,
  incomplete,
  noKeys,
  ofNode,
  whoLacks,
  type HotKeyRow,
  type RowTotal,
  type WireHotKeys,
  type WireNoHotKeys,
} from "./hotkeys";
import { KeyView } from "./keyview";
import { askSmall, useTold, type Told } from "./loading";
import { missingOf } from "./nodes";
import { cellTotal, heldTotal } from "./rowtotal";
import { named } from "./told";
import { exactly } from "./units";

const TOP = 20;
const AGAIN_MS = 15_000;

type Answer = WireHotKeys | WireNoHotKeys;

/** The keys behind the row: of the pinned window where its keys are still held, or the latest that are. */
export function HotKeys({ pinned: { head, picture, row, column, columnMs } }: { readonly pinned: Pinned }) {
  const [latest, choose] = useState(false);
  const { series, node } = view.value;
  const asks = { bucketId: head.bucketId, series, columnMs: latest ? 0 : columnMs, stepMs: picture.stepMs, top: TOP, node };
  const path = hotKeysPath(asks) ?? "";
  const last = picture.stamps[picture.columns - 1] ?? 0;
  const round = latest ? Math.floor(last / AGAIN_MS) : fluxRound(picture, columnMs);
  const told = useTold<Told<Answer>>(path, round, (signal) => askSmall<Answer>(path, signal));
  const seen = { ...picture, fanout: named(picture.fanout) ?? null };
  const totalOf = (answer: WireHotKeys) => (latest ? heldTotal(head.bucketId, answer) : cellTotal(seen, row, column, answer));
  const title = series.startsWith("read") ? "Keys read most" : "Keys written most";
  return (
    <Section title={title} name="hotkeys">
      {path === "" ? (
        <p data-testid="no-keys">{noKeys(bucketOf(head.bucketId).kind === "virtual" ? "aggregate" : "no_route", "")}</p>
      ) : (
        <>
          <label class="inline">
            Of
            <select value={latest ? "latest" : "window"} onChange={(event) => choose(event.currentTarget.value === "latest")}>
              <option value="window">the pinned window</option>
              <option value="latest">all windows held</option>
            </select>
          </label>
          <Body told={told} totalOf={totalOf} stepMs={picture.stepMs} />
        </>
      )}
    </Section>
  );
}

interface Saying {
  readonly told: Told<Answer> | undefined;
  readonly totalOf: (answer: WireHotKeys) => RowTotal;
  readonly stepMs: number;
}

function Body({ told, totalOf, stepMs }: Saying) {
  if (told === undefined) return <p class="quiet">Asking the nodes…</p>;
  if (told.kind === "refused") return <p data-testid="no-keys">{noKeys(told.code, told.message)}</p>;
  const fanout = ofNode(named(told.body.fanout), view.value.node);
  if ("absent" in told.body) {
    return (
      <>
        <p data-testid="no-keys">{noKeys(told.body.absent.error, told.body.absent.message)}</p>
        <Lacking said={whoLacks(fanout && { ...fanout, nodes: missingOf(fanout) })} />
      </>
    );
  }
  const body = { ...told.body, fanout };
  const total = totalOf(body);
  const rows = hotKeyRows(body, total);
  const { utc } = view.value;
  const shares = "unknown" in total && rows.length > 0 ? `No shares: ${total.unknown}.` : "";
  return (
    <>
      {rows.length === 0 ? (
        <p data-testid="no-keys">{noKeys("empty", "")}</p>
      ) : (
        <ol class="hot-keys" data-testid="hot-keys">
          {rows.map((key) => (
            <HotKey key={key.forms.base64} row={key} />
          ))}
        </ol>
      )}
      <Lacking said={incomplete(body)} />
      <ul class="quiet caveats">
        {[freshness(body, nowMs.value, stepMs, (ms) => clock(ms, utc)), shares, ...caveats(body)]
          .filter((line) => line !== "")
          .map((line) => (
            <li key={line}>{line}</li>
          ))}
      </ul>
    </>
  );
}

function Lacking({ said }: { readonly said: string }) {
  if (said === "") return null;
  return (
    <p class="without" data-testid="keys-incomplete">
      {said}
    </p>
  );
}

function HotKey({ row }: { readonly row: HotKeyRow }) {
  const { from, at, to } = row.whisker;
  const percent = (part: number) => `${(100 * part).toFixed(2)}%`;
  const bounds = row.lower === row.upper ? "exact" : `between ${exactly(row.lower)} and ${exactly(row.upper)}`;
  return (
    <li>
      <KeyView forms={row.forms} what="key" />
      <span class="measure" title={bounds}>
        <span class="whisker" role="img" aria-label={`${exactly(row.count)}, ${bounds}`}>
          <span class="whisker-bar" style={{ width: percent(at) }} />
          <span class="whisker-line" style={{ left: percent(from), width: percent(Math.max(0, to - from)) }} />
        </span>
        <span class="number">
          {exactly(row.count)}
          {row.share !== undefined && ` · ${row.share}`}
        </span>
      </span>
    </li>
  );
}
