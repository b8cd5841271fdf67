import { several } from "../scale/amounts";
import { change, dialog, nowMs, view } from "../state";
import { Modal } from "./modal";
import { detailOf, stateOf } from "./nodes";
import { nodes } from "./told";
import { span } from "./units";
import type { NodeOutcome } from "./wire";

const MOST_WARNINGS = 20;

/** Every node: how it fared, why not, how long it took, and what it warns of. */
export function NodeList() {
  const told = nodes.value;
  const close = () => (dialog.value = null);
  return (
    <Modal title={told === undefined ? "Nodes" : `${told.responded} of ${several(told.expected, "node")} responded`} name="nodes" onClose={close}>
      <div class="scrolls" tabIndex={0} role="region" aria-label="Nodes">
        <table>
          <thead>
            <tr>
              <th scope="col">Node</th>
              <th scope="col">Address</th>
              <th scope="col">State</th>
              <th scope="col" class="number">
                Latency
              </th>
              <th scope="col">Its answer</th>
              <th scope="col">View</th>
            </tr>
          </thead>
          <tbody>
            {told?.nodes.map((node, number) => (
              <NodeLine key={number} node={node} />
            ))}
          </tbody>
        </table>
      </div>
    </Modal>
  );
}

function NodeLine({ node }: { readonly node: NodeOutcome }) {
  const { state, reason, said } = stateOf(node);
  const at = Date.parse(node.generated_at ?? "");
  const warnings = node.warnings.slice(0, MOST_WARNINGS);
  return (
    <tr data-node={node.node_id || node.node} data-state={state}>
      <th scope="row">{node.node_id || "(not known)"}</th>
      <td>{node.node === "self" ? "this process" : node.node}</td>
      <td>
        <span class={`pill ${state === "ok" ? "good" : "bad"}`}>{state}</span>
        {reason !== "" && <div class="reason">{reason}</div>}
        {said !== "" && <div class="reason raw">{said}</div>}
        {warnings.map((warning, number) => (
          <div key={number} class="reason">
            {warning.code.replaceAll("_", " ")}: {detailOf(node, warning)}
          </div>
        ))}
        {node.warnings.length > MOST_WARNINGS && <div class="reason">and {node.warnings.length - MOST_WARNINGS} more</div>}
      </td>
      <td class="number">{node.latency_ms === undefined ? "" : `${node.latency_ms.toFixed(1)} ms`}</td>
      <td>{Number.isNaN(at) ? "" : `${span(nowMs.value - at)} ago`}</td>
      <td>{node.ok && node.node_id !== "" && <OnlyThis id={node.node_id} />}</td>
    </tr>
  );
}

function OnlyThis({ id }: { readonly id: string }) {
  const on = view.value.node === id;
  return (
    <button type="button" class="small" aria-pressed={on} onClick={() => change({ node: on ? "" : id, cell: null })}>
      {on ? "all nodes" : "only this"}
    </button>
  );
}
