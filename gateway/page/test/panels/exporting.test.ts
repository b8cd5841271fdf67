import { describe, expect, test } from "vitest";
import { fileName, toCsv, toJson } from "../../src/panels/exporting";
import { row, shown } from "./made";

describe("CSV", () => {
  test("unknown is an empty field, zero is 0, keys are hexadecimal", () => {
    const [head, line] = toCsv(shown([row("route:1", [5, 0, undefined], { conflicts: [true, false, false] })])).split("\r\n");
    expect(head).toBe(
      "bucket_id,label,start_hex,end_hex,route_count,aggregate,conflict," +
        "2026-04-27T11:45:00.000Z,2026-04-27T11:45:01.000Z,2026-04-27T11:45:02.000Z",
    );
    expect(line).toBe("route:1,,0x61,,1,false,true,5,0,");
  });
  test("commas, quotes and lines stay inside their field", () => {
    expect(toCsv(shown([row('a"b,c\nd', [1])]))).toContain('"a""b,c\nd",');
  });
  test.each(["=1+1", "+1", "-1", "@x"])("%s is no formula for a spreadsheet", (id) => {
    expect(toCsv(shown([row(id, [1])]))).toContain(`\r\n'${id},`);
  });
});

describe("JSON", () => {
  test("has the gateway's own keys, and null for unknown", () => {
    const parsed: unknown = JSON.parse(toJson(shown([row("route:1", [5, undefined])], { node: "n1" })));
    expect(parsed).toEqual({
      column_unix_ms: [1_777_290_300_000, 1_777_290_301_000],
      step_ms: 1000,
      series: "writes",
      generated_at: "2026-04-27T11:46:00.123Z",
      node: "n1",
      rows: [{ bucket_id: "route:1", start: "YQ==", end: "", aggregate: false, route_count: 1, values: [5, null], conflict: false }],
    });
  });
  test("marks are there for rows that have any", () => {
    const text = toJson(shown([row("a", [1, 2], { conflicts: [false, true], soft: [true, false] }), row("b", [1, 2])]));
    expect(text.match(/"conflicts"/g)).toHaveLength(1);
    expect(text).toContain('"soft":[true,false]');
  });
});

describe("names of files", () => {
  test("series and range, from the beginning of the first window", () => {
    expect(fileName(shown([row("a", [1, 2])]), "csv")).toBe("keyviz-writes-20260427T114459Z-20260427T114501Z.csv");
  });
  test("a node's id cannot leave the folder", () => {
    expect(fileName(shown([], { node: "../../etc/x y" }), "json")).toBe("keyviz-.._.._etc_x_y-writes.json");
  });
});
