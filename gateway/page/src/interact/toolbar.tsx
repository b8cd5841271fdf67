import { change, view } from "../state";
import type { Scale } from "../data/view";
import type { Series } from "../data/wire";

const NAMES: readonly (readonly [Series, string])[] = [
  ["writes", "writes"],
  ["reads", "reads"],
  ["write_bytes", "write bytes"],
  ["read_bytes", "read bytes"],
];

/** What is asked and how it is painted. */
export function Toolbar() {
  const { series, scale, paused } = view.value;
  return (
    <>
      <label>
        Series
        <select
          data-testid="series"
          value={series}
          onChange={(event) => change({ series: event.currentTarget.value as Series, cell: null })}
        >
          {NAMES.map(([value, name]) => (
            <option key={value} value={value}>
              {name}
            </option>
          ))}
        </select>
      </label>
      <label>
        Scale
        <select
          data-testid="scale"
          value={scale}
          onChange={(event) => change({ scale: event.currentTarget.value as Scale })}
        >
          <option value="log">logarithmic</option>
          <option value="linear">linear</option>
        </select>
      </label>
      <button type="button" data-testid="pause" aria-pressed={paused} onClick={() => change({ paused: !paused }, "replace")}>
        {paused ? "Resume" : "Pause"}
      </button>
    </>
  );
}
