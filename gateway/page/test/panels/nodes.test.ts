import { describe, expect, test } from "vitest";
import { detailOf, listed, missingBanner, nameOf, NodeNames, notices, stateOf, withoutThem } from "../../src/panels/nodes";
import { fanout, node, warning } from "./made";

describe("who is missing and what it means", () => {
  test("a complete answer has no banner", () => {
    expect(missingBanner(fanout(node({}), node({})), "writes")).toBeUndefined();
    expect(missingBanner(undefined, "writes")).toBeUndefined();
  });
  test("each missing node is named with a reason for people; what the connection said is for the list", () => {
    const gone = node({ ok: false, node_id: "n2", node: "10.0.0.2:1", kind: "unreachable", error: "connection refused" });
    const banner = missingBanner(fanout(node({}), gone), "writes");
    expect(banner?.title).toBe("Not complete: 1 of 2 nodes missing");
    expect(banner?.lines[0]).toBe("n2 at 10.0.0.2:1 cannot be reached.");
    expect(stateOf(gone).said).toBe("connection refused");
  });
  test("reads and writes are told apart: a missing node takes part of every read, and only the writes that it led", () => {
    const gone = fanout(node({ ok: false, kind: "deadline_exceeded" }));
    expect(missingBanner(gone, "reads")?.lines.join()).toContain("every cell may be too low");
    expect(missingBanner(gone, "write_bytes")?.lines.join()).toContain("the others are complete");
    expect(missingBanner(gone, "write_bytes")?.lines.join()).not.toContain("every cell");
  });
  test("of many missing nodes some are named and the rest counted", () => {
    const many = Array.from({ length: 9 }, (_, at) => node({ ok: false, kind: "unreachable", node_id: `n${at}` }));
    const lines = missingBanner(fanout(...many), "reads")?.lines ?? [];
    expect(lines).toHaveLength(6);
    expect(lines[4]).toContain("5 more");
  });
  test("a kind that this page does not know is still said", () => {
    expect(stateOf(node({ ok: false, kind: "on_fire" })).reason).toBe("on fire");
  });
});

describe("names", () => {
  test("a node goes by its id, one without by its address, and the local one is called so", () => {
    expect(nameOf(node({ node_id: "n1", node: "a:1" }))).toBe("n1 at a:1");
    expect(nameOf(node({ node: "a:1" }))).toBe("a:1");
    expect(nameOf(node({ node: "self", node_id: "n1" }))).toBe("n1 (this process)");
  });
});

test("a node that is gone keeps the name that it had", () => {
  const names = new NodeNames();
  names.fill(fanout(node({ node_id: "n2" })));
  const after = names.fill(fanout(node({ ok: false, kind: "unreachable", error: "refused" })));
  expect(missingBanner(after, "writes")?.lines[0]).toBe("n2 at a:1 cannot be reached.");
});

test("names outlive the page, bad ones do not break it, and they are forgotten when asked", () => {
  const kept = new Map<string, string>();
  const keeping = { getItem: (key: string) => kept.get(key) ?? null, setItem: (key: string, text: string) => void kept.set(key, text), removeItem: (key: string) => void kept.delete(key) };
  const gone = fanout(node({ ok: false, kind: "unreachable" }));
  new NodeNames(keeping).fill(fanout(node({ node_id: "n2" })));
  const names = new NodeNames(keeping);
  expect(names.fill(gone).nodes[0]?.node_id).toBe("n2");
  names.forget();
  expect(kept.size).toBe(0);
  expect(names.fill(gone).nodes[0]?.node_id).toBe("");
  for (const bad of ["{", "7", '[["a:1",7],"x"]']) {
    kept.set("keyviz-nodes", bad);
    expect(new NodeNames(keeping).fill(gone).nodes[0]?.node_id).toBe("");
  }
});

describe("what a number lacks while nodes are missing", () => {
  test("writes that they took as leader, reads that they served, and why each is missing", () => {
    const gone = node({ ok: false, node_id: "n3", kind: "unreachable" });
    const slow = node({ ok: false, node: "a:4", kind: "deadline_exceeded" });
    expect(withoutThem(fanout(node({}), gone), "writes")).toBe(
      "Counted without n3 (cannot be reached): writes that it took as leader are unknown, not zero.",
    );
    expect(withoutThem(fanout(gone, slow), "read_bytes")).toBe(
      "Counted without n3 (cannot be reached) and a:4 (did not answer in time): reads that they served are unknown, not zero.",
    );
    expect(withoutThem(fanout(node({})), "writes")).toBe("");
    expect(withoutThem(null, "writes")).toBe("");
  });
  test("of many names some are said", () => {
    expect(listed(["a", "b", "c", "d", "e", "f"])).toBe("a, b, c, d, and 2 more");
  });
});

describe("warnings", () => {
  const CODES = ["clock_skew", "short_history", "duplicate_node", "duplicate_node_id", "catalog_divergence", "row_budget_on_peer"];
  test("every code of the contract has words of its own and an advice", () => {
    const found = notices(fanout(node({ warnings: CODES.map((code) => warning(code)) })));
    expect(found.map((notice) => notice.code)).toEqual(CODES);
    expect(new Set(found.map((notice) => notice.title)).size).toBe(CODES.length);
    for (const notice of found) expect(notice.advice).toMatch(/\.$/);
  });
  test("a code of a later version is shown by its name", () => {
    expect(notices(fanout(node({ warnings: [warning("moon_phase")] })))[0]?.title).toBe("moon phase");
  });
  test("the nodes of one code are gathered; a thousand divergences do not fill the page", () => {
    const many = Array.from({ length: 1000 }, (_, at) => warning("catalog_divergence", `route:${at}`));
    const [notice] = notices(fanout(node({ node_id: "n1", warnings: many }), node({ node_id: "n2", warnings: many })));
    expect(notice?.nodes).toHaveLength(2);
    expect(notice?.count).toBe(2000);
    expect(notice?.details).toHaveLength(3);
  });
  test("moments in a detail are readable, other numbers stay", () => {
    const said = detailOf(node({ node_id: "n1" }), { code: "short_history", bucket_id: "", detail: "from 1777290300000 on, 42" });
    expect(said).toContain("2026-04-27T11:45:00Z");
    expect(said).toContain("42");
  });
  test("a node that is counted elsewhere is said to be left out", () => {
    expect(stateOf(node({ warnings: [warning("duplicate_node")] })).state).toBe("left out");
    expect(stateOf(node({ warnings: [warning("clock_skew")] })).state).toBe("warns");
    expect(stateOf(node({})).state).toBe("ok");
  });
});
