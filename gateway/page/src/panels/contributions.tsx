import { view } from "../state";
import { Section, type Pinned } from "./section";
import { fluxRound } from "./flux";
import { askSmall, useTold, type Told } from "./loading";
import { missingOf, stateOf } from "./nodes";
import { named } from "./told";
import { exactly } from "./units";
import type { Fanout } from "./wire";

/** The gateway's answer about one cell, as far as the page reads it. */
interface WireCell {
  readonly value: number;
  readonly conflict: boolean;
  /** Absent where no fan-out was needed. */
  readonly fanout?: Fanout;
  readonly contributions: readonly {
    readonly node: string;
    readonly node_id: string;
    readonly value: number;
    readonly raft_group_id: number;
    readonly leader_term: number;
    readonly counted: boolean;
    readonly reason: string;
  }[];
}

/** Which node says what about the pinned cell, and what of it made the value. */
export function Contributions({ pinned: { head, columnMs, picture } }: { readonly pinned: Pinned }) {
  const { series } = view.value;
  const asked = new URLSearchParams({ bucket_id: head.bucketId, column_unix_ms: String(columnMs), series });
  const path = head.aggregate ? "" : `/admin/api/v1/keyviz/cell?${asked.toString()}`;
  const told = useTold<Told<WireCell>>(path, fluxRound(picture, columnMs), (signal) => askSmall<WireCell>(path, signal));
  return (
    <Section title="Who counted it" name="contributions">
      {head.aggregate ? <p class="quiet">Nodes count its ranges one by one: open them to see who counted.</p> : <Body told={told} />}
    </Section>
  );
}

function Body({ told }: { readonly told: Told<WireCell> | undefined }) {
  if (told === undefined) return <p class="quiet">Asking the nodes…</p>;
  if (told.kind === "refused") return <p class="quiet">Not known: {told.message || told.code}.</p>;
  const parts = told.body.contributions;
  const missing = missingOf(named(told.body.fanout));
  if (parts.length === 0 && missing.length === 0) return <p class="quiet">No node holds this window of this row any more.</p>;
  return (
    <div class="scrolls" tabIndex={0} role="region" aria-label="Contributions of nodes">
      <table>
        <thead>
          <tr>
            <th scope="col">Node</th>
            <th scope="col" class="number">
              Value
            </th>
            <th scope="col">Group · term</th>
            <th scope="col">In the sum</th>
          </tr>
        </thead>
        <tbody>
          {parts.map((part, number) => (
            <tr key={number} class={part.counted ? "" : "passed-over"}>
              <th scope="row" title={part.node}>
                {part.node_id || part.node}
              </th>
              <td class="number">{exactly(part.value)}</td>
              <td class="short">{part.raft_group_id === 0 ? "–" : `${part.raft_group_id} · ${part.leader_term}`}</td>
              <td>
                {part.counted ? "yes" : "no"}: {part.reason}
              </td>
            </tr>
          ))}
          {missing.map((node) => (
            <tr key={node.node} data-missing={node.node_id || node.node}>
              <th scope="row" title={node.node}>
                {node.node_id || node.node}
              </th>
              <td class="number">unknown</td>
              <td class="short">–</td>
              <td title={stateOf(node).said}>no answer: {stateOf(node).reason}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
