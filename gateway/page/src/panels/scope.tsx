import { narrow } from "../interact/narrow";
import { change, matrix, view } from "../state";
import { rangeText } from "./hottest";
import { nodes } from "./told";

/** The merged view, or what one node says by itself. */
export function ScopeSwitch() {
  const { node } = view.value;
  const known = [...new Set((nodes.value?.nodes ?? []).map((one) => one.node_id).filter((id) => id !== ""))];
  if (known.length === 0 && node === "") return null;
  const ids = node === "" || known.includes(node) ? known : [...known, node];
  return (
    <label class="field">
      <span>Scope</span>
      <select data-testid="scope" value={node} onChange={(event) => change({ node: event.currentTarget.value, cell: null })}>
        <option value="">{narrow.value ? "all nodes" : "all nodes, merged"}</option>
        {ids.map((id) => (
          <option key={id} value={id}>
            {narrow.value ? id : `only ${id}`}
          </option>
        ))}
      </select>
    </label>
  );
}

/** Says whose picture it is while it is not everybody's. */
export function ScopeNote() {
  const shown = matrix.value;
  if (shown === null || shown.node === "") return null;
  return (
    <div id="scope-note" data-testid="scope-note" role="status">
      <span>
        {shown.columns > 0 ? (
          <>
            Only what <bdi>{shown.node}</bdi> counted itself: other nodes' traffic is not in it.
          </>
        ) : (
          <>
            Only node <bdi>{shown.node}</bdi> is asked for, not what the others counted.
          </>
        )}
      </span>
      <button type="button" class="small" onClick={() => change({ node: "", cell: null })}>
        Show all nodes, merged
      </button>
    </div>
  );
}

/** Says that only a part of the keys is asked for. */
export function KeysNote() {
  const { keys } = view.value;
  if (keys === null) return null;
  return (
    <div id="keys-note" data-testid="keys-note" role="status">
      <span>
        Only keys <bdi>{rangeText(keys)}</bdi>: colours, shares and totals are of these rows.
      </span>
      <button type="button" class="small" onClick={() => change({ keys: null, zoom: null, cell: null })}>
        Show all keys
      </button>
    </div>
  );
}
