/** Why there is no picture, and what to do about it. */
import type { Fanout } from "./wire";
import { nameOf, stateOf } from "./nodes";
import { span } from "./units";

export interface Emptiness {
  readonly code: string;
  readonly title: string;
  readonly todo: string;
}

/** What came of the latest request that has no picture: an answer without cells, or a refusal. */
export type Nothing =
  | {
      readonly kind: "empty";
      readonly columns: number;
      readonly rows: number;
      /** The largest cell. */
      readonly top: number;
      readonly stepMs: number;
    }
  | { readonly kind: "refused"; readonly code: string; readonly message: string; readonly fanout?: Fanout | undefined }
  | { readonly kind: "unreachable"; readonly message: string };

/** ranged: whether a part of time was asked for; node: the one node whose view it is, "" = all of them. */
export function emptiness(nothing: Nothing, asked: { readonly ranged: boolean; readonly node: string }): Emptiness {
  if (nothing.kind === "unreachable") {
    const todo = `${nothing.message}. The page goes on trying; if this stays, look whether the gateway runs.`;
    return { code: "unreachable", title: "The gateway does not answer", todo };
  }
  if (nothing.kind === "refused") return refusal(nothing.code, nothing.message, nothing.fanout, asked.node);
  if (nothing.columns > 0 && nothing.rows > 0 && nothing.top === 0) {
    return { code: "idle", title: "No traffic in these windows", todo: "Every window was counted and nothing came: zero, not unknown. Look at another series or a longer range." };
  }
  if (nothing.columns > 0 && nothing.rows === 0) {
    return { code: "no_routes", title: "No key range is known yet", todo: "No route is registered with a sampler. Stores register them with register_routes." };
  }
  if (asked.ranged) {
    return { code: "nothing_in_range", title: "Nothing in this range of time", todo: "No node holds a window of it. Choose “all” to see what there is, or a later range." };
  }
  const whose = asked.node === "" ? "" : ` at node ${asked.node}`;
  const soon = nothing.stepMs > 0 ? `within ${span(nothing.stepMs)}` : "after one step, by default a minute";
  return { code: "no_traffic", title: `No closed window yet${whose}`, todo: `The first column appears ${soon}, when the first window closes. Nothing needs to be done.` };
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
  if (fanout === undefined || fanout.nodes.length === 0) return undefined;
  const lines = fanout.nodes.slice(0, MOST).map((one) => `${nameOf(one)} ${stateOf(one).reason}.`);
  if (fanout.nodes.length > MOST) lines.push(`And ${fanout.nodes.length - MOST} more.`);
  return lines.join("\n");
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
