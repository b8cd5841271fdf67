import type { Series } from "../data/wire";
import { change, view } from "../state";
import { Display } from "./display";
import { goLive } from "./moves";
import { TimeRange } from "./ranges";
import { Search } from "./search";

const NAMES: readonly (readonly [Series, string])[] = [
  ["writes", "writes"],
  ["reads", "reads"],
  ["write_bytes", "write bytes"],
  ["read_bytes", "read bytes"],
];

/** What is asked, and whether it moves on. */
export function Toolbar() {
  const { series, paused, live, zoom, range } = view.value;
  const following = live && !paused && range.kind !== "between";
  return (
    <>
      <label class="field">
        <span>Series</span>
        <select
          data-testid="series"
          value={series}
          onChange={(event) => change({ series: event.currentTarget.value as Series })}
        >
          {NAMES.map(([value, name]) => (
            <option key={value} value={value}>
              {name}
            </option>
          ))}
        </select>
      </label>
      <TimeRange />
      <Search />
      <div class="together" role="group" aria-label="Refresh">
        <button
          type="button"
          data-testid="live"
          class={following ? "live" : ""}
          aria-pressed={following}
          title="Follow the newest window (l)"
          onClick={() => (following && zoom !== null ? change({ live: false }) : goLive())}
        >
          Live
        </button>
        <button
          type="button"
          data-testid="pause"
          aria-pressed={paused}
          title="Stop or go on asking (p)"
          onClick={() => change({ paused: !paused }, "replace")}
        >
          {paused ? "Resume" : "Pause"}
        </button>
      </div>
      <Display />
    </>
  );
}
