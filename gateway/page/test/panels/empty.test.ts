import { describe, expect, test } from "vitest";
import { ageText, emptiness, type Nothing } from "../../src/panels/empty";
import { fanout, node } from "./made";

const ALL = { ranged: false, node: "", everything: "all there is" };
const nothing = (own: object): Nothing => ({ kind: "empty", columns: 0, rows: 0, top: 0, stepMs: 0, ...own });
const refused = (code: string, message = "", more = {}): Nothing => ({ kind: "refused", code, message, ...more });

describe("why there is no picture", () => {
  test("each reason has a title of its own and says what to do", () => {
    const every = [
      emptiness(nothing({}), ALL),
      emptiness(nothing({ columns: 3 }), ALL),
      emptiness(nothing({ columns: 3, rows: 2 }), ALL),
      emptiness(nothing({}), { ...ALL, ranged: true, node: "" }),
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
    expect(emptiness(nothing({}), { ...ALL, ranged: true, node: "" }).code).toBe("nothing_in_range");
    expect(emptiness(nothing({}), ALL).code).toBe("no_traffic");
  });
  test("windows of zeros are no traffic, not a lack of data", () => {
    expect(emptiness(nothing({ columns: 3, rows: 2, top: 0 }), ALL).code).toBe("idle");
  });
  test("when nobody can be reached, every node says why", () => {
    const gone = node({ ok: false, node_id: "n1", kind: "unreachable", error: "refused" });
    expect(emptiness(refused("no_peers", "", { fanout: fanout(gone) }), ALL).todo).toContain("n1 at a:1 cannot be reached.");
  });
  const gone = node({ ok: false, node: "a:3", node_id: "n3", kind: "unreachable", error: "connection refused" });
  const partly = fanout(node({ node_id: "n1" }), gone);
  test("a node that does not answer is not said to have no window, whatever range was asked for", () => {
    for (const ranged of [false, true]) {
      const told = emptiness(nothing({ stepMs: 1000, fanout: partly }), { ...ALL, ranged, node: "n3" });
      expect(told).toMatchObject({ code: "node_missing", title: "Node n3 cannot be reached" });
      expect(told.todo).toContain("connection refused");
      expect(told.todo).not.toContain("Nothing needs to be done");
    }
    expect(emptiness(nothing({ fanout: partly }), { ...ALL, node: "n1" }).code).toBe("no_traffic");
  });
  test("of a name that nobody who answers has it is said that it may not exist, and who is missing", () => {
    const told = emptiness(nothing({ fanout: partly }), { ...ALL, ranged: true, node: "nope" });
    expect(told.title).toBe("No node that answers is called nope");
    expect(told.todo).toContain("there is none of that name");
    expect(told.todo).toContain("n3 at a:3 cannot be reached.");
  });
  test("nothing at those that answered is not nothing at all", () => {
    const shapes = [{}, { columns: 3 }, { columns: 3, rows: 2 }];
    const said = [...shapes.map((shape) => emptiness(nothing({ ...shape, fanout: partly }), ALL)), emptiness(nothing({ fanout: partly }), { ...ALL, ranged: true })];
    for (const one of said) expect(one.todo).toContain("What the missing ones hold is unknown.");
    for (const one of said) expect(one.todo).not.toMatch(/Nothing needs to be done|not unknown/);
  });
  test("a range without data points to the choice by its name", () => {
    expect(emptiness(nothing({}), { ...ALL, ranged: true }).todo).toContain("Choose “all there is”");
  });
  test("while nothing has come it is loading", () => {
    expect(emptiness({ kind: "loading" }, ALL)).toEqual({ code: "loading", title: "", todo: "Asking the nodes…" });
  });
  test("a node that does not exist is told from another bad question", () => {
    expect(emptiness(refused("invalid_query", "node='n9': no node"), { ...ALL, ranged: false, node: "n9" }).title).toContain("n9");
    expect(emptiness(refused("invalid_query", "rows='x'"), { ...ALL, ranged: false, node: "n9" }).title).not.toContain("n9");
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
