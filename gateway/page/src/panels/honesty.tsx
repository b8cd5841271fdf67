/** How far the picture can be believed: the banner, the counter, the age, and why there is nothing. */
import { signal } from "@preact/signals";
import { several } from "../scale/amounts";
import { nameOfAll } from "../interact/ranges";
import { matrix, nowMs, refused, session, staleSinceMs, view, dialog } from "../state";
import { ageText, emptiness, type Emptiness, type Nothing } from "./empty";
import { missingBanner, notices, type Notice } from "./nodes";
import { named, nodes } from "./told";

/** Who is missing and what that means; then a notice for each kind of warning. */
export function Banner() {
  const missing = missingBanner(nodes.value, view.value.series, view.value.node);
  return (
    <>
      <div id="banner" data-testid="banner" role="alert" hidden={missing === undefined}>
        {missing !== undefined && (
          <>
            <strong>{missing.title}.</strong>
            <ul>
              {missing.lines.map((line) => (
                <li key={line}>{line}</li>
              ))}
            </ul>
            <button type="button" class="small" onClick={() => (dialog.value = "nodes")}>
              All nodes
            </button>
          </>
        )}
      </div>
      <Notices />
    </>
  );
}

const hushed = signal<ReadonlySet<string>>(new Set());

function Notices() {
  const told = notices(nodes.value).filter((notice) => !hushed.value.has(identity(notice)));
  if (told.length === 0) return null;
  return (
    <div id="notices" data-testid="notices" role="status">
      {told.map((notice) => (
        <NoticeLine key={notice.code} notice={notice} />
      ))}
    </div>
  );
}

// A notice that was put away comes back when it is about other nodes.
const identity = (notice: Notice) => `${notice.code} ${notice.nodes.join(" ")}`;

function NoticeLine({ notice }: { readonly notice: Notice }) {
  const more = notice.count - notice.details.length;
  return (
    <details data-code={notice.code}>
      <summary>
        <strong>{notice.title}</strong>
        <span>{notice.nodes.slice(0, 3).join(", ") + (notice.nodes.length > 3 ? ` and ${notice.nodes.length - 3} more` : "")}</span>
      </summary>
      <p>{notice.advice}</p>
      <ul>
        {notice.details.map((detail) => (
          <li key={detail}>{detail}</li>
        ))}
        {more > 0 && <li>and {more} more</li>}
      </ul>
      <button type="button" class="small" onClick={() => (hushed.value = new Set([...hushed.value, identity(notice)]))}>
        Put away
      </button>
    </details>
  );
}

/** Opens the list of nodes. */
export function Counter() {
  const told = nodes.value;
  if (told === undefined) return <span id="counter" data-testid="counter" />;
  const degraded = told.responded < told.expected;
  return (
    <button
      type="button"
      id="counter"
      data-testid="counter"
      class={degraded ? "degraded" : ""}
      aria-haspopup="dialog"
      title="Nodes that responded, of those expected: opens the list"
      onClick={() => (dialog.value = "nodes")}
    >
      {told.responded}/{several(told.expected, "node")}
    </button>
  );
}

/** How old the picture is; since when no new one came, when none does. */
export function Age() {
  const [shown, stale] = [matrix.value, staleSinceMs.value];
  if (shown === null) return <span id="age" data-testid="age" />;
  const trouble = stale === null ? "" : (refused.value?.message ?? "") || "no answer";
  const text = ageText({ generatedMs: Date.parse(shown.generatedAt) || nowMs.value, nowMs: nowMs.value, trouble });
  return (
    <span id="age" data-testid="age" class={stale === null ? "" : "stale"} title={text}>
      {text}
    </span>
  );
}

/** Over the picture: why it is empty. A refusal leaves the last picture where there is one, and speaks in the age. */
export function WhyEmpty() {
  const told = whyEmpty();
  if (told === undefined) return null;
  return (
    <div id="empty" data-testid="empty" data-code={told.code} role="status" class={told.code === "idle" ? "idle" : ""}>
      {told.title !== "" && <strong>{told.title}</strong>}
      <p>{told.todo}</p>
    </div>
  );
}

function whyEmpty(): Emptiness | undefined {
  const { range, node } = view.value;
  const nothing = whatCame();
  return nothing === undefined ? undefined : emptiness(nothing, { ranged: range.kind !== "all", node, everything: nameOfAll() });
}

function whatCame(): Nothing | undefined {
  const [shown, no, who] = [matrix.value, refused.value, session.value.kind];
  // Whoever is asked to sign in reads it in the dialog, and whoever has just done so waits.
  if (shown === null && who === "needed") return undefined;
  if (shown === null && (no === null || (no.status === 401 && who === "signed-in"))) return { kind: "loading" };
  if (no !== null && (shown === null || no.code === "invalid_query")) {
    if (no.code === "unreachable") return { kind: "unreachable", message: no.message || "No answer" };
    return { ...no, fanout: named(no.fanout) };
  }
  if (shown === null || (shown.columns > 0 && shown.rows.length > 0 && shown.top > 0)) return undefined;
  return { kind: "empty", columns: shown.columns, rows: shown.rows.length, top: shown.top, stepMs: shown.stepMs, fanout: named(shown.fanout) };
}
