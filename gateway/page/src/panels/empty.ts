/** Why there is no picture, and what to do about it. */
import type { Fanout } from "./wire";
import { missingOf, reasonsOf, stateOf } from "./nodes";
import { span } from "./units";

export interface Emptiness {
  readonly code: string;
  readonly title: string;
  readonly todo: string;
}

/** What came of the latest request that has no picture: an answer without cells, or a refusal. */
export type Nothing =
  | { readonly kind: "loading" }
  | {
      readonly kind: "empty";
      readonly columns: number;
      readonly rows: number;
      /** The largest cell. */
      readonly top: number;
      readonly stepMs: number;
      readonly fanout?: Fanout | undefined;
    }
  | { readonly kind: "refused"; readonly code: string; readonly message: string; readonly fanout?: Fanout | undefined }
  | { readonly kind: "unreachable"; readonly message: string };

export interface AskedFor {
  /** Whether it was a part of time. */
  readonly ranged: boolean;
  /** The one node whose view it is, "" = all of them. */
  readonly node: string;
  /** What the choice of all time is called. */
  readonly everything: string;
}

export function emptiness(nothing: Nothing, asked: AskedFor): Emptiness {
  if (nothing.kind === "loading") return { code: "loading", title: "", todo: "Asking the nodes…" };
  if (nothing.kind === "unreachable") {
    const todo = `${nothing.message}. The page goes on trying; if this stays, look whether the gateway runs.`;
    return { code: "unreachable", title: "The gateway does not answer", todo };
  }
  if (nothing.kind === "refused") return refusal(nothing.code, nothing.message, nothing.fanout, asked.node);
  return withoutTheNode(nothing.fanout, asked.node) ?? empty(nothing, asked);
}

/** Of a node that does not answer, or may not exist, nobody knows what it holds. */
function withoutTheNode(fanout: Fanout | undefined, node: string): Emptiness | undefined {
  const missing = missingOf(fanout);
  if (fanout === undefined || node === "" || missing.length === 0) return undefined;
  const [own] = fanout.nodes.filter((one) => one.node_id === node).sort((left, right) => Number(right.ok) - Number(left.ok));
  if (own?.ok === true) return undefined;
  if (own === undefined) {
    const who = reasonsOf(missing, MOST).join("\n");
    return {
      code: "node_unknown",
      title: `No node that answers is called ${node}`,
      todo: `Either there is none of that name, or it is one of those that do not answer. Choose all nodes to see the others.\n${who}`,
    };
  }
  const { reason, said } = stateOf(own);
  const todo = "What it counted is unknown, not zero. Choose all nodes to see what the others counted.";
  return { code: "node_missing", title: `Node ${node} ${reason}`, todo: said === "" ? todo : `${todo}\n${own.node}: ${said}` };
}

function empty(nothing: Extract<Nothing, { kind: "empty" }>, asked: AskedFor): Emptiness {
  const partly = asked.node === "" && missingOf(nothing.fanout).length > 0;
  const unknown = partly ? " What the missing ones hold is unknown." : "";
  if (nothing.columns > 0 && nothing.rows > 0 && nothing.top === 0) {
    const look = "Look at another series or a longer range.";
    return partly
      ? { code: "idle", title: "No traffic at the nodes that answered", todo: `They counted every window, and nothing came.${unknown} ${look}` }
      : { code: "idle", title: "No traffic in these windows", todo: `Every window was counted and nothing came: zero, not unknown. ${look}` };
  }
  const answered = partly ? " that answered" : "";
  if (nothing.columns > 0 && nothing.rows === 0) {
    const todo = `No route is registered with a sampler${answered}. Stores register them with register_routes.${unknown}`;
    return { code: "no_routes", title: "No key range is known yet", todo };
  }
  if (asked.ranged) {
    const todo = `No node${answered} holds a window of it.${unknown} Choose “${asked.everything}” to see what there is, or a later range.`;
    return { code: "nothing_in_range", title: "Nothing in this range of time", todo };
  }
  const whose = asked.node === "" ? (partly ? " at the nodes that answered" : "") : ` at node ${asked.node}`;
  const soon = nothing.stepMs > 0 ? `within ${span(nothing.stepMs)}` : "after one step, by default a minute";
  const todo = `The first column appears ${soon}, when the first window closes.`;
  return { code: "no_traffic", title: `No closed window yet${whose}`, todo: `${todo}${partly ? unknown : " Nothing needs to be done."}` };
}

function refusal(code: string, message: string, fanout: Fanout | undefined, node: string): Emptiness {
  switch (code) {
    case "keyviz_disabled":
      return { code, title: "The sampler is off on every node", todo: "Nothing is counted. Turn the sampler on in the stores, then this page shows traffic after one step." };
    case "no_peers":
      return { code, title: "No node can be reached", todo: everyReason(fanout) ?? message };
    case "unauthenticated":
      return { code, title: "Not signed in", todo: "Sign in to look at the cluster." };
    case "forbidden":
      return { code, title: "Not allowed", todo: `${message}. Ask whoever keeps the users file for a role.` };
    case "overloaded":
    case "rate_limited":
      return { code, title: "The gateway is busy", todo: "The page asks again by itself, less often." };
    case "invalid_query":
      return node !== "" && message.startsWith("node=")
        ? { code, title: `There is no node ${node}`, todo: `${message}. Choose all nodes.` }
        : { code, title: "The gateway refuses this question", todo: message };
    default:
      return { code, title: "The gateway cannot answer", todo: `${code}: ${message}` };
  }
}

const MOST = 6;

function everyReason(fanout: Fanout | undefined): string | undefined {
  const missing = missingOf(fanout);
  return missing.length === 0 ? undefined : reasonsOf(missing, MOST).join("\n");
}

/** The line about age: what is shown keeps being shown, and says since when it is old. */
export function ageText(shown: { readonly generatedMs: number; readonly nowMs: number; readonly trouble: string }): string {
  const age = span(shown.nowMs - shown.generatedMs);
  if (shown.trouble === "") return `${age} old`;
  return `stale since ${clock(shown.generatedMs)} (${age}): ${shown.trouble}`;
}

function clock(ms: number): string {
  return new Date(ms).toLocaleTimeString("en-GB");
}
