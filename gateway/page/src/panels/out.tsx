/** Out of the page: files and a link. */
import { useEffect, useRef, useState } from "preact/hooks";
import { linkTo } from "../data/history";
import { amount, perSecond, several } from "../scale/amounts";
import { moment, zone } from "../scale/time";
import { matrix, unit, view } from "../state";
import { copyText } from "./copying";
import { fileName, toCsv, toJson } from "./exporting";
import { photograph, type Caption } from "./photo";
import type { Shown } from "./shown";
import { counted, nodes, shownNow } from "./told";

export function OutMenu() {
  const [said, say] = useState("");
  const holder = useRef<HTMLDetailsElement>(null);
  useEffect(() => {
    if (said === "") return undefined;
    const timer = window.setTimeout(() => say(""), 2500);
    return () => window.clearTimeout(timer);
  }, [said]);
  const act = (work: () => Promise<string>) => () => {
    holder.current?.removeAttribute("open");
    work().then(say, (error: unknown) => say(`Not done: ${error instanceof Error ? error.message : String(error)}`));
  };
  const close = (event: KeyboardEvent) => {
    if (event.key !== "Escape" || holder.current?.open !== true) return;
    event.stopPropagation();
    holder.current.open = false;
    holder.current.querySelector("summary")?.focus();
  };
  return (
    <span class="out">
      <details ref={holder} class="menu" data-testid="out" onKeyDown={close}>
        <summary>Share</summary>
        <div class="menu-items">
          <button type="button" onClick={act(copyLink)}>
            Copy link to this view
          </button>
          <button type="button" onClick={act(savePicture)}>
            Picture (PNG)
          </button>
          <button type="button" onClick={act(saveText("csv", "text/csv;charset=utf-8", toCsv))}>
            Numbers (CSV)
          </button>
          <button type="button" onClick={act(saveText("json", "application/json", toJson))}>
            Numbers (JSON)
          </button>
        </div>
      </details>
      <span role="status" data-testid="out-said" class={said === "" ? "unseen" : "said"}>
        {said}
      </span>
    </span>
  );
}

async function copyLink(): Promise<string> {
  await copyText(linkTo(view.peek()));
  return "Link copied";
}

function wanted(): Shown {
  const shown = shownNow();
  if (shown === undefined) throw new Error("there is no picture yet");
  return shown;
}

function saveText(suffix: string, type: string, write: (shown: Shown) => string): () => Promise<string> {
  return async () => {
    const shown = wanted();
    save(new Blob([write(shown)], { type }), fileName(shown, suffix));
    return `${suffix.toUpperCase()} saved`;
  };
}

async function savePicture(): Promise<string> {
  const [frame, picture, shown] = [document.getElementById("frame"), matrix.peek(), wanted()];
  if (frame === null || picture === null) throw new Error("there is no picture yet");
  save(await photograph(frame, captionOf(shown, picture.top, picture.stepMs)), fileName(shown, "png"));
  return "Picture saved";
}

function captionOf(shown: Shown, top: number, stepMs: number): Caption {
  const { scale, brightness, unit: as, utc, node } = view.peek();
  const [first, last] = [shown.stamps[0] ?? 0, shown.stamps[shown.stamps.length - 1] ?? 0];
  const told = nodes.peek();
  const whole = told === undefined ? "" : ` · ${told.responded} of ${several(told.expected, "node")} responded`;
  return {
    title: `Key visualizer: ${counted.peek()}`,
    lines: [
      `${moment(first - stepMs, utc)} – ${moment(last, utc)} ${zone(utc)} · ${several(shown.rows.length, "row")} · one column ${stepMs / 1000} s`,
      `${node === "" ? "all nodes, merged" : `only node ${node}`}${whole} · as of ${shown.generatedAt}`,
    ],
    shading: { scale, brightness, top },
    number: (count) => amount(as === "rate" ? perSecond(count, stepMs) : count),
    unit: as === "rate" ? `${unit.peek()}/s` : `${unit.peek()} a window`,
  };
}

function save(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  window.setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
