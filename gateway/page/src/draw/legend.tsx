import { useEffect, useRef } from "preact/hooks";
import type { Matrix } from "../data/matrix";
import type { Scale } from "../data/view";
import { amount, perSecond } from "../scale/amounts";
import { PALETTE, valueAt } from "../scale/colour";
import { change, matrix, unit, view } from "../state";

const STOPS = [0, 0.25, 0.5, 0.75, 1];

/** The palette with numbers in the unit of the series, how it is spread, and what the other marks mean. */
export function Legend() {
  const { scale, brightness, unit: as } = view.value;
  const shown = matrix.value;
  if (shown === null || shown.columns === 0 || shown.rows.length === 0) return <div id="legend" data-testid="legend" />;
  return (
    <div id="legend" data-testid="legend">
      <button
        type="button"
        class="plain"
        data-testid="unit"
        title="A second, or a window (c)"
        onClick={() => change({ unit: as === "rate" ? "count" : "rate" })}
      >
        {as === "rate" ? `${unit.value}/s` : `${unit.value} a window`}
      </button>
      {shown.top > 0 && <Ramp shown={shown} />}
      <label class="field">
        <span>Scale</span>
        <select
          data-testid="scale"
          value={scale}
          onChange={(event) => change({ scale: event.currentTarget.value as Scale })}
        >
          <option value="log">logarithmic</option>
          <option value="linear">linear</option>
        </select>
      </label>
      <label class="field">
        <span>Brightness</span>
        <input
          type="range"
          data-testid="brightness"
          min={-1}
          max={1}
          step={0.1}
          value={Math.log(brightness) / Math.log(5)}
          onInput={(event) => change({ brightness: Number((5 ** Number(event.currentTarget.value)).toFixed(2)) }, "replace")}
        />
      </label>
      <ul class="marks">
        <li class="key-unknown">no data</li>
        <li class="key-conflict">nodes disagree</li>
        <li class="key-soft">estimate</li>
      </ul>
    </div>
  );
}

function Ramp({ shown }: { readonly shown: Matrix }) {
  const ramp = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const context = ramp.current?.getContext("2d");
    if (context == null) return;
    PALETTE.forEach(([red, green, blue], shade) => {
      context.fillStyle = `rgb(${red} ${green} ${blue})`;
      context.fillRect(shade, 0, 1, 1);
    });
  }, []);
  const { scale, brightness, unit: as } = view.value;
  const number = (part: number) => {
    const count = part === 0 ? 0 : valueAt(part, { scale, brightness, top: shown.top });
    return amount(as === "rate" ? perSecond(count, shown.stepMs) : count);
  };
  return (
    <div class="legend-ramp">
      <canvas ref={ramp} width={PALETTE.length} height={1} aria-hidden="true" />
      <div class="legend-numbers" data-testid="legend-numbers">
        {STOPS.map((part) => (
          <span key={part}>{number(part)}</span>
        ))}
      </div>
    </div>
  );
}
