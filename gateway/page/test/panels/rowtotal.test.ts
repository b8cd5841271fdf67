import { describe, expect, test } from "vitest";
import { ingest } from "../../src/data/ingest";
import type { WireMatrix, WireRow } from "../../src/data/wire";
import type { WireHotKeys } from "../../src/panels/hotkeys";
import { cellTotal, heldTotal } from "../../src/panels/rowtotal";
import { wire, wireRow } from "../matrices";
import { fanout, node, warning } from "./made";

const picture = (row: Partial<WireRow> = {}, own: Partial<WireMatrix> = {}, of = "") => ingest(wire([1000, 2000, 4000], [wireRow("route:1", [5, 6, 7], row)], own), of);
const gone = node({ node_id: "n2", ok: false, kind: "unreachable" });
const answer = (own: Partial<WireHotKeys> = {}): WireHotKeys => ({
  keys: [{ key_b64: "YQ==", count: 4, lower: 4, upper: 5 }],
  sample_rate: 1,
  sampled_n: 20,
  dropped_samples: 0,
  skipped_long_keys: 3,
  degraded: false,
  error_bound: 1,
  snapshot_at: "",
  ...own,
});

describe("of one window", () => {
  test("it is the cell", () => {
    expect(cellTotal(picture(), 0, 1, answer())).toEqual({ total: 6 });
    expect(cellTotal(picture({}, { fanout: fanout(gone) }, "n1"), 0, 1, answer())).toEqual({ total: 6 });
    expect(cellTotal(picture({}, { series: "reads", fanout: fanout(node({})), column_nodes: [1, 1, 1] }), 0, 1, answer())).toEqual({ total: 6 });
    const own = picture({}, { fanout: fanout(node({}), node({})), column_nodes: [1, 1, 1] }, "n1");
    expect(cellTotal(own, 0, 1, answer())).toEqual({ total: 6 });
    expect(cellTotal(picture({ conflict: true, conflicts: [true, false, false] }), 0, 1, answer())).toEqual({ total: 6 });
  });
  test.each([
    ["no data", picture(), 2, answer(), "nobody has data"],
    ["bytes", picture({}, { series: "write_bytes" }), 1, answer(), "bytes"],
    ["an estimate", picture({ soft: [false, true, false] }), 1, answer(), "an estimate"],
    ["a conflict", picture({ conflict: true, conflicts: [false, true, false] }), 1, answer(), "disagree"],
    ["a node that is missing in the picture", picture({}, { fanout: fanout(node({}), gone) }), 1, answer(), "without n2"],
    ["a window that not all hold", picture({}, { fanout: fanout(node({}), node({})), column_nodes: [2, 1, 2] }), 1, answer(), "only 1 of 2 nodes"],
    ["a node that is missing among the keys", picture(), 1, answer({ degraded: true, fanout: fanout(node({}), gone) }), "no key"],
    ["a node without that time", picture(), 1, answer({ degraded: true, fanout: fanout(node({ warnings: [warning("short_history")] })) }), "no key"],
    ["something that nobody tells", picture(), 1, answer({ degraded: true, skipped_long_keys: 0 }), "no key"],
    ["keys of more operations than the cell has", picture(), 1, answer({ keys: [{ key_b64: "YQ==", count: 7, lower: 7, upper: 9 }] }), "another moment"],
  ])("%s leaves it unknown", (_, of, column, keys, because) => {
    expect(cellTotal(of, 0, column, keys)).toEqual({ unknown: expect.stringContaining(because) as string });
  });
  test("an estimate of a key above it does not", () => {
    const estimate = answer({ sample_rate: 4, keys: [{ key_b64: "YQ==", count: 8, lower: 2, upper: 30 }] });
    expect(cellTotal(picture(), 0, 1, estimate)).toEqual({ total: 6 });
  });
  test("long keys and drops do not, for they are in the cell", () => {
    expect(cellTotal(picture(), 0, 1, answer({ degraded: true, dropped_samples: 1 }))).toEqual({ total: 6 });
  });
});

describe("of all windows held", () => {
  test("it is all that the sketches saw, and what they could not take", () => {
    expect(heldTotal("route:1", answer())).toEqual({ total: 23 });
    expect(heldTotal("route:1:label", answer({ degraded: true }))).toEqual({ total: 23 });
  });
  test.each([
    ["a slice", "route:1#0", answer(), "slice"],
    ["a sample", "route:1", answer({ sample_rate: 2 }), "looked at"],
    ["drops", "route:1", answer({ degraded: true, dropped_samples: 1 }), "other rows"],
    ["a node that is missing", "route:1", answer({ degraded: true, fanout: fanout(node({}), gone) }), "no key"],
  ])("%s leaves it unknown", (_, id, keys, because) => {
    expect(heldTotal(id, keys)).toEqual({ unknown: expect.stringContaining(because) as string });
  });
});
