import { describe, expect, test } from "vitest";
import { codeOf, UNKNOWN, ZERO } from "../../src/data/codes";
import { buffersOf, ingest, rowDetail } from "../../src/data/ingest";
import { wire, wireRow } from "../matrices";

describe("an answer as arrays", () => {
  const body = wire(
    [1000, 2000, 4000],
    [wireRow("a", [0, 5, 7]), wireRow("b", [1, 0, 9], { conflict: true, conflicts: [false, false, true], soft: [true, false, false] })],
    { column_nodes: [3, 2, 3] },
  );
  const matrix = ingest(body, "n1");
  test("unknown, no traffic and traffic have codes of their own", () => {
    expect([...matrix.codes]).toEqual([ZERO, codeOf(5), UNKNOWN, codeOf(7), codeOf(1), ZERO, UNKNOWN, codeOf(9)]);
    expect([...matrix.known]).toEqual([1, 1, 0, 1]);
    expect([...matrix.columnNodes]).toEqual([3, 2, 0, 3]);
  });
  test("totals and the top are those of the cells", () => {
    expect([...matrix.columnTotals]).toEqual([1, 5, 0, 16]);
    expect([...matrix.rowTotals]).toEqual([12, 10]);
    expect(matrix.top).toBe(9);
  });
  test("marks are where the answer has them", () => {
    expect([...(matrix.conflicts ?? [])]).toEqual([0, 0, 0, 0, 0, 0, 0, 1]);
    expect([...(matrix.soft ?? [])]).toEqual([0, 0, 0, 0, 1, 0, 0, 0]);
  });
  test("a server that marks rows alone has all known cells of them marked", () => {
    const marked = ingest(wire([1000, 3000], [wireRow("a", [1, 0]), wireRow("b", [1, 1], { conflict: true })]), "");
    expect([...(marked.conflicts ?? [])]).toEqual([0, 0, 0, 1, 0, 1]);
  });
  test("no marks are no arrays", () => {
    expect(ingest(wire([1000], [wireRow("a", [1])]), "").conflicts).toBeNull();
  });
  test("every array is handed over, none twice", () => {
    const buffers = buffersOf(matrix);
    expect(new Set(buffers).size).toBe(buffers.length);
    expect(buffers).toContain(matrix.values.buffer);
  });
  test("an empty answer is an empty picture", () => {
    const empty = ingest(wire([], []), "");
    expect([empty.columns, empty.rows.length, empty.top]).toEqual([0, 0, 0]);
  });
  test("one row comes with its identities, and one that is not there is none", () => {
    const detailed = wire([1000], [wireRow("a", [4], { raft_group_ids: [2], leader_terms: [9] })]);
    expect(rowDetail(detailed, "a")).toMatchObject({ raftGroupIds: [2], leaderTerms: [9], values: [4] });
    expect(rowDetail(detailed, "z")).toBeNull();
  });
});
