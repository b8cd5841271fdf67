import { useSignal } from "@preact/signals";
import { useRef } from "preact/hooks";
import { readRange, writtenRange } from "../data/url";
import type { Range } from "../data/view";
import { fromField, stretch, toField } from "../scale/time";
import { change, matrix, view } from "../state";
import { narrow } from "./narrow";

/** value, name, name where there is little room. */
const CHOICES: readonly (readonly [string, string, string])[] = [
  ["5m", "last 5 minutes", "5 min"],
  ["15m", "last 15 minutes", "15 min"],
  ["1h", "last hour", "1 h"],
  ["6h", "last 6 hours", "6 h"],
  ["24h", "last 24 hours", "24 h"],
  ["all", "all there is", "all"],
];

/** What the choice of all time is called where it stands. */
export const nameOfAll = (): string => (narrow.value ? "all" : "all there is");

const CUSTOM = "custom";

const ask = (range: Range) => change({ range, zoom: null, live: true });

/** How much time is asked of the gateway. */
export function TimeRange() {
  const { range, utc } = view.value;
  const dialog = useRef<HTMLDialogElement>(null);
  const written = writtenRange(range);
  const known = CHOICES.some(([value]) => value === written);
  return (
    <>
      <label class="field">
        <span>Time</span>
        <select
          data-testid="range"
          title={nameOf(range, utc)}
          value={written}
          onChange={(event) => {
            const { value } = event.currentTarget;
            if (value !== CUSTOM) return ask(readRange(value));
            event.currentTarget.value = written;
            return dialog.current?.showModal();
          }}
        >
          {CHOICES.map(([value, name, short]) => (
            <option key={value} value={value}>
              {narrow.value ? short : name}
            </option>
          ))}
          {known ? null : <option value={written}>{nameOf(range, utc)}</option>}
          <option value={CUSTOM}>{narrow.value ? "from–to" : "from … to …"}</option>
        </select>
      </label>
      <dialog ref={dialog} class="sheet" aria-labelledby="custom-range" data-testid="custom-range">
        <CustomRange close={() => dialog.current?.close()} />
      </dialog>
    </>
  );
}

function nameOf(range: Range, utc: boolean): string {
  if (range.kind === "last") return `last ${writtenRange(range)}`;
  return range.kind === "between" ? stretch(range.fromMs, range.toMs, { utc, short: narrow.value, nowMs: Date.now() }) : "all there is";
}

function CustomRange({ close }: { readonly close: () => void }) {
  const { range, utc } = view.value;
  const shown = matrix.value;
  const first = range.kind === "between" ? range.fromMs : (shown?.stamps[0] ?? Date.now() - 3_600_000);
  const last = range.kind === "between" ? range.toMs : (shown?.stamps[shown.columns - 1] ?? Date.now()) + (shown?.stepMs ?? 0);
  const wrong = useSignal("");
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const given = new FormData(event.currentTarget as HTMLFormElement);
    const [fromMs, toMs] = [fromField(String(given.get("from")), utc), fromField(String(given.get("to")), utc)];
    if (Number.isNaN(fromMs) || Number.isNaN(toMs)) wrong.value = "Both ends are needed.";
    else if (fromMs >= toMs) wrong.value = "The beginning must be before the end.";
    else {
      wrong.value = "";
      ask({ kind: "between", fromMs, toMs });
      close();
    }
  };
  return (
    <form onSubmit={submit} noValidate>
      <h2 id="custom-range">Time range ({utc ? "UTC" : "local time"})</h2>
      <label class="field">
        <span>From</span>
        <input type="datetime-local" name="from" step="1" value={toField(first, utc)} />
      </label>
      <label class="field">
        <span>To</span>
        <input type="datetime-local" name="to" step="1" value={toField(last, utc)} />
      </label>
      <p role="alert" class="wrong">
        {wrong.value}
      </p>
      <div class="buttons">
        <button type="button" onClick={close}>
          Cancel
        </button>
        <button type="submit" class="main">
          Show
        </button>
      </div>
    </form>
  );
}
