import { expect, test } from "vitest";
import { bannerText, NodeNames } from "../../src/panels/status";
import type { Fanout, NodeOutcome } from "../../src/data/wire";

const node = (own: Partial<NodeOutcome>): NodeOutcome => ({
  node: "a:1",
  ok: true,
  error: "",
  kind: "",
  node_id: "",
  warnings: [],
  ...own,
});

test("the banner names a node that is gone by the id that it had", () => {
  const names = new NodeNames();
  const before: Fanout = { nodes: [node({ node_id: "n2" })], responded: 1, expected: 1 };
  const after: Fanout = { nodes: [node({ ok: false, kind: "unreachable", error: "refused" })], responded: 0, expected: 1 };
  names.fill(before);
  expect(bannerText(names.fill(after), "writes")).toContain("n2 a:1 (refused)");
});
