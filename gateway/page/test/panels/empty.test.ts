import { describe, expect, test } from "vitest";
import { ageText, emptiness, type Nothing } from "../../src/panels/empty";
import { fanout, node } from "./made";

const ALL = { ranged: false, node: "" };
const nothing = (own: object): Nothing => ({ kind: "empty", columns: 0, rows: 0, top: 0, stepMs: 0, ...own });
const refused = (code: string, message = "", more = {}): Nothing => ({ kind: "refused", code, message, ...more });

describe("why there is no picture", () => {
  test("each reason has a title of its own and says what to do", () => {
    const every = [
      emptiness(nothing({}), ALL),
      emptiness(nothing({ columns: 3 }), ALL),
      emptiness(nothing({ columns: 3, rows: 2 }), ALL),
      emptiness(nothing({}), { ranged: true, node: "" }),
      emptiness({ kind: "unreachable", message: "failed" }, ALL),
      ...["keyviz_disabled", "no_peers", "unauthenticated", "forbidden", "overloaded", "internal"].map((code) =>
        emptiness(refused(code, "why"), ALL),
      ),
    ];
    expect(new Set(every.map((one) => one.title)).size).toBe(every.length);
    for (const one of every) expect(one.todo).not.toBe("");
  });
  test("the first column is announced for when it comes", () => {
    expect(emptiness(nothing({ stepMs: 60_000 }), ALL).todo).toContain("within 1 min");
  });
  test("a range without data is not called a cluster without traffic", () => {
    expect(emptiness(nothing({}), { ranged: true, node: "" }).code).toBe("nothing_in_range");
    expect(emptiness(nothing({}), ALL).code).toBe("no_traffic");
  });
  test("windows of zeros are no traffic, not a lack of data", () => {
    expect(emptiness(nothing({ columns: 3, rows: 2, top: 0 }), ALL).code).toBe("idle");
  });
  test("when nobody can be reached, every node says why", () => {
    const gone = node({ ok: false, node_id: "n1", kind: "unreachable", error: "refused" });
    expect(emptiness(refused("no_peers", "", { fanout: fanout(gone) }), ALL).todo).toContain("n1 at a:1 cannot be reached.");
  });
  test("a node that does not exist is told from another bad question", () => {
    expect(emptiness(refused("invalid_query", "node='n9': no node"), { ranged: false, node: "n9" }).title).toContain("n9");
    expect(emptiness(refused("invalid_query", "rows='x'"), { ranged: false, node: "n9" }).title).not.toContain("n9");
  });
});

describe("age", () => {
  const at = Date.UTC(2026, 3, 27, 11, 45);
  test("a picture that is refreshed has an age and is not called stale", () => {
    expect(ageText({ generatedMs: at, nowMs: at + 3000, trouble: "" })).toBe("3 s old");
  });
  test("a refresh that failed says since when, and why", () => {
    const text = ageText({ generatedMs: at, nowMs: at + 125_000, trouble: "no answer" });
    expect(text).toMatch(/^stale since \d\d:\d\d:\d\d \(2 min 5 s\): no answer$/);
  });
  test("a clock that is behind makes no negative age", () => {
    expect(ageText({ generatedMs: at, nowMs: at - 5000, trouble: "" })).toBe("0 s old");
  });
});
