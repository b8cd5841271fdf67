import { describe, expect, test } from "vitest";
import { caveats, freshness, hotKeyRows, hotKeysPath, incomplete, noKeys, type WireHotKeys } from "../../src/panels/hotkeys";
import { base64OfText, fanout, node, warning } from "./made";

const answer = (own: Partial<WireHotKeys>): WireHotKeys => ({
  keys: [],
  sample_rate: 1,
  sampled_n: 0,
  dropped_samples: 0,
  skipped_long_keys: 0,
  degraded: false,
  error_bound: 0,
  snapshot_at: "2026-04-27T11:45:00.000Z",
  ...own,
});

describe("what is asked", () => {
  test.each([
    ["route:7", "writes", 0, 1000, "route_id=7&series=writes&top=20&absent=200"],
    ["route:7:hot", "read_bytes", 0, 1000, "route_id=7&series=reads&top=20&absent=200&label=hot"],
    ["route:18446744073709551615#3", "write_bytes", 5000, 1, "route_id=18446744073709551615&series=writes&top=20&absent=200&sub_bucket=3&from_unix_ms=5000&to_unix_ms=5001"],
  ])("%s", (id, series, columnMs, stepMs, query) => {
    expect(hotKeysPath({ bucketId: id, series, columnMs, stepMs, top: 20, node: "" })).toBe(`/admin/api/v1/keyviz/hotkeys?${query}`);
  });
  test.each([
    [60_000, "from_unix_ms=1777290240001&to_unix_ms=1777290300001"],
    [0, "from_unix_ms=1777290300000&to_unix_ms=1777290300001"],
  ])("a column is asked for with all the shorter windows that a node may have in it, %d ms", (stepMs, range) => {
    expect(hotKeysPath({ bucketId: "route:1", series: "reads", columnMs: 1_777_290_300_000, stepMs, top: 20, node: "" })).toContain(range);
  });
  test("of one node alone while its own view is shown", () => {
    expect(hotKeysPath({ bucketId: "route:1", series: "reads", columnMs: 0, stepMs: 1000, top: 20, node: "n 1" })).toContain("&node=n+1");
  });
  test("an aggregate has no keys of its own", () => {
    expect(hotKeysPath({ bucketId: "virtual:9", series: "reads", columnMs: 0, stepMs: 1000, top: 20, node: "" })).toBeUndefined();
  });
});

describe("the list", () => {
  const keys = [
    { key_b64: base64OfText("a"), count: 60, lower: 50, upper: 100 },
    { key_b64: base64OfText("b"), count: 20, lower: 10, upper: 30 },
  ];
  test("whiskers are parts of the largest upper bound", () => {
    const rows = hotKeyRows(answer({ keys }), { total: 120 });
    expect(rows.map((row) => row.whisker)).toEqual([
      { from: 0.5, at: 0.6, to: 1 },
      { from: 0.1, at: 0.2, to: 0.3 },
    ]);
    expect(rows.map((row) => row.share)).toEqual(["50.0%", "16.7%"]);
  });
  test("where the row's total is not known, no key has a share of it", () => {
    const rows = hotKeyRows(answer({ keys, sample_rate: 4, sampled_n: 20, dropped_samples: 5, skipped_long_keys: 5 }), { unknown: "whatever" });
    expect(rows.map((row) => row.share)).toEqual([undefined, undefined]);
  });
  test("without bounds of a key the answer's error bounds it, never below zero", () => {
    const [row] = hotKeyRows(answer({ keys: [{ key_b64: "YQ==", count: 5 }], error_bound: 8 }), { total: 10 });
    expect(row).toMatchObject({ lower: 0, upper: 13 });
  });
  test("an estimate above the row's total is no share above all of it", () => {
    expect(hotKeyRows(answer({ keys: [{ key_b64: "YQ==", count: 50, lower: 30, upper: 60 }] }), { total: 40 })[0]?.share).toBe("100%");
  });
});

describe("how far it can be believed", () => {
  test("an exact and whole list needs no caveat", () => {
    expect(caveats(answer({}))).toEqual([]);
  });
  test("sampling, the bound, long keys and drops are each said", () => {
    const all = caveats(answer({ sample_rate: 16, error_bound: 1200, skipped_long_keys: 3, dropped_samples: 2, degraded: true, confidence: 0.999 }));
    expect(all).toHaveLength(4);
    expect(all[0]).toContain("one operation in 16");
    expect(all[0]).toContain("99.9 %");
    expect(all[1]).toContain("1,200");
    expect(caveats(answer({ error_bound: 3, unlisted_bound: 40 }))).toEqual(["A key that is not listed may have up to 40 operations."]);
    expect(caveats(answer({ degraded: true, left_out_keys: 1 }))).toEqual(["Left out on the way, for answers have room for so much: 1 colder key."]);
  });
  test.each([
    ["nothing else", {}],
    ["long keys", { skipped_long_keys: 3 }],
    ["drops", { dropped_samples: 2 }],
    ["keys without room", { left_out_keys: 1 }],
    ["all of them", { skipped_long_keys: 3, dropped_samples: 2, left_out_keys: 1 }],
  ])("who is missing is said beside %s", (_, own) => {
    const nodes = fanout(node({ node: "a:1", node_id: "n1" }), node({ node: "b:1", node_id: "n2", ok: false, kind: "unreachable", error: "connection refused" }));
    expect(incomplete(answer({ ...own, degraded: true, fanout: nodes }))).toBe("Not complete: n2 cannot be reached.");
  });
  test("so is who lacks some of the time, in the words of the answer, and each who fails for its own reason", () => {
    const short = { ...warning("short_history"), detail: "it holds less of the past than other nodes" };
    const from = { ...warning("short_history"), detail: "holds columns from 1777290300000 on, asked from 1777290240001" };
    const nodes = fanout(
      node({ node_id: "n1", warnings: [short] }),
      node({ node_id: "n2", warnings: [short, from] }),
      node({ node: "c:1", ok: false, kind: "disabled", error: "hotkeys_disabled: hot keys are off on this node" }),
      node({ node_id: "n4", ok: false, kind: "disabled", error: "keyviz sampler not configured" }),
      node({ node_id: "n5", ok: false, kind: "incompatible", error: "counts route 7 in 2 slices, others in 4" }),
      node({ node_id: "n6", warnings: [warning("clock_skew"), warning("duplicate_node")] }),
    );
    expect(incomplete(answer({ degraded: true, fanout: nodes }))).toBe(
      "Not complete: c:1 has hot keys off; n4 has its sampler off; n5: counts route 7 in 2 slices, others in 4; " +
        "n1 and n2: it holds less of the past than other nodes; n2: holds columns from 2026-04-27T11:45:00Z on, asked from 2026-04-27T11:44:00Z.",
    );
  });
  test("that something is missing is said although nobody tells who", () => {
    expect(incomplete(answer({}))).toBe("");
    expect(incomplete(answer({ degraded: true }))).toBe("Not complete: some node did not contribute.");
    expect(incomplete(answer({ degraded: true, skipped_long_keys: 1, fanout: fanout(node({})) }))).toBe("Not complete.");
    expect(incomplete(answer({ degraded: true, dropped_samples: 1 }))).toBe("Not complete.");
  });
  test("freshness names the window and its age", () => {
    const clock = (ms: number) => new Date(ms).toISOString().slice(11, 19);
    expect(freshness(answer({}), Date.UTC(2026, 3, 27, 11, 45, 9), 1000, clock)).toBe("Newest in it: the window 11:44:59 – 11:45:00, 9 s ago.");
    expect(freshness(answer({ snapshot_at: "" }), 0, 0, clock)).toBe("");
  });
});

test("each reason for no keys has a sentence of its own", () => {
  const codes = ["aggregate", "no_route", "hotkeys_disabled", "keyviz_disabled", "no_snapshot", "out_of_snapshot_window", "forbidden", "unauthenticated", "unknown_endpoint", "incompatible", "empty"];
  const said = codes.map((code) => noKeys(code, ""));
  expect(new Set(said).size).toBe(codes.length);
  expect(noKeys("internal", "broken")).toBe("No keys: broken.");
});
