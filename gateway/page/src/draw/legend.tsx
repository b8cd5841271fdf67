import { useEffect, useRef } from "preact/hooks";
import { matrix, unit, view } from "../state";
import { amount, perSecond } from "../scale/amounts";
import { PALETTE, valueAt } from "../scale/colour";

const STOPS = [0, 0.25, 0.5, 0.75, 1];

/** The palette with numbers in the unit of the series, and what the other marks mean. */
export function Legend() {
  const ramp = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const context = ramp.current?.getContext("2d");
    PALETTE.forEach(([red, green, blue], shade) => {
      if (context == null) return;
      context.fillStyle = `rgb(${red} ${green} ${blue})`;
      context.fillRect(shade, 0, 1, 1);
    });
  }, []);
  const shown = matrix.value;
  const { scale, brightness, unit: as } = view.value;
  const shading = { scale, brightness, top: shown?.top ?? 0 };
  const number = (part: number) => {
    const count = part === 0 ? 0 : valueAt(part, shading);
    return amount(as === "rate" ? perSecond(count, shown?.stepMs ?? 0) : count);
  };
  return (
    <div id="legend" data-testid="legend">
      <span class="legend-unit">{as === "rate" ? `${unit.value}/s` : `${unit.value} a window`}</span>
      <div class="legend-ramp">
        <canvas ref={ramp} width={PALETTE.length} height={1} aria-hidden="true" />
        <div class="legend-numbers">
          {STOPS.map((part) => (
            <span key={part}>{number(part)}</span>
          ))}
        </div>
      </div>
      <span class="key-unknown">no data</span>
      <span class="key-conflict">nodes disagree</span>
      <span class="key-soft">estimate</span>
    </div>
  );
}
