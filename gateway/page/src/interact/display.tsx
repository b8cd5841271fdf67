import { useRef } from "preact/hooks";
import { chooseTheme, chosenTheme, type Theme } from "../data/taste";
import { readSpan, writtenSpan } from "../data/url";
import { MOST_ROWS } from "../data/view";
import { zone } from "../scale/time";
import { change, dialog, view } from "../state";

const BUDGETS = [32, 64, 128, 256, 512, MOST_ROWS];
const INTERVALS = ["1s", "2s", "5s", "15s", "30s", "1m", "5m"];

/** Settings that are looked for seldom. */
export function Display() {
  const { rows, refreshMs, utc } = view.value;
  const refresh = refreshMs === 0 ? "" : writtenSpan(refreshMs);
  const button = useRef<HTMLButtonElement>(null);
  const menu = useRef<HTMLDivElement>(null);
  const place = () => {
    const at = button.current?.getBoundingClientRect();
    menu.current?.style.setProperty("--left", `${at?.left ?? 0}px`);
    menu.current?.style.setProperty("--top", `${at?.bottom ?? 0}px`);
  };
  return (
    <>
      <button ref={button} type="button" popovertarget="display" data-testid="display">
        Display
      </button>
      <div ref={menu} id="display" popover="auto" class="sheet menu" role="group" aria-label="Display" onBeforeToggle={place}>
        <label class="field">
          <span>Rows at most</span>
          <select data-testid="rows" value={String(rows)} onChange={(event) => change({ rows: Number(event.currentTarget.value) })}>
            {withOwn(BUDGETS, rows).map((budget) => (
              <option key={budget} value={String(budget)}>
                {budget}
              </option>
            ))}
          </select>
        </label>
        <label class="field">
          <span>Refresh</span>
          <select
            data-testid="refresh"
            value={refresh}
            onChange={(event) => change({ refreshMs: readSpan(event.currentTarget.value) ?? 0 }, "replace")}
          >
            <option value="">with each window</option>
            {withOwn(INTERVALS, refresh === "" ? "1s" : refresh).map((interval) => (
              <option key={interval} value={interval}>
                every {interval}
              </option>
            ))}
          </select>
        </label>
        <label class="field">
          <span>Clock</span>
          <select
            data-testid="clock"
            value={utc ? "utc" : "local"}
            onChange={(event) => change({ utc: event.currentTarget.value === "utc" }, "replace")}
          >
            <option value="local">{zone(false)}</option>
            <option value="utc">UTC</option>
          </select>
        </label>
        <label class="field">
          <span>Colours</span>
          <select
            data-testid="theme"
            value={chosenTheme.value}
            onChange={(event) => chooseTheme(event.currentTarget.value as Theme)}
          >
            <option value="system">as the system</option>
            <option value="dark">dark</option>
            <option value="light">light</option>
          </select>
        </label>
        <button type="button" data-testid="help-button" onClick={() => (dialog.value = "help")}>
          Keys and gestures <kbd>?</kbd>
        </button>
      </div>
    </>
  );
}

/** A link may say what the list does not have. */
function withOwn<Choice>(choices: readonly Choice[], own: Choice): readonly Choice[] {
  return choices.includes(own) ? choices : [...choices, own];
}
