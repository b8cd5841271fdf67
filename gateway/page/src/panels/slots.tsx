/** The places that the page keeps for panels; each is empty where there is nothing to say. */
import { matrix, fanout, nowMs, refused, staleSinceMs, view } from "../state";
import { bannerText, emptyText, NodeNames } from "./status";

const names = new NodeNames();

/** Above the picture: how far it can be believed. */
export function TopBanner() {
  const text = bannerText(names.fill(fanout.value ?? undefined), view.value.series);
  return (
    <div id="banner" data-testid="banner" role="alert" hidden={text === ""}>
      {text}
    </div>
  );
}

/** The right end of the toolbar: nodes, age. */
export function ToolbarEnd() {
  const [told, shown, stale] = [fanout.value, matrix.value, staleSinceMs.value];
  const seconds = shown === null ? 0 : Math.max(0, Math.round((nowMs.value - Date.parse(shown.generatedAt)) / 1000));
  const because = refused.value?.message ?? "";
  const age = shown === null ? because : stale === null ? `${seconds} s old` : `stale since ${seconds} s: ${because}`;
  return (
    <>
      <span
        id="counter"
        data-testid="counter"
        role="status"
        class={told !== null && told.responded < told.expected ? "degraded" : ""}
        title="nodes that responded, of those expected"
      >
        {told === null ? "" : `${told.responded}/${told.expected} nodes`}
      </span>
      <span id="age" data-testid="age">
        {age}
      </span>
    </>
  );
}

/** Over the picture while there is none: why, and what to do. */
export function OverPicture() {
  const nothing = matrix.value === null || matrix.value.known.length === 0;
  if (!nothing || (matrix.value === null && refused.value === null)) return null;
  return (
    <div id="empty" data-testid="empty">
      {emptyText(refused.value)}
    </div>
  );
}

/** Beside the picture. */
export function SidePanel() {
  return null;
}

/** Below the picture. */
export function BelowPicture() {
  return null;
}

export function Dialogs() {
  return null;
}
