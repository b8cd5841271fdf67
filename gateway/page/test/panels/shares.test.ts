import { describe, expect, test } from "vitest";
import { imbalanceText, nodeShares, overall } from "../../src/panels/shares";

const STAMPS = [1000, 2000, 3000];
const part = (node: string, totals: number[], stamps = STAMPS) => ({ node, stamps, totals });

describe("each node's share", () => {
  test("of every column, adding up to all of it", () => {
    const shares = nodeShares([part("a", [1, 0, 3]), part("b", [3, 0, 1])], STAMPS, 1000);
    expect(shares.shares).toEqual([[0.25, 0, 0.75], [0.75, 0, 0.25]]);
    expect(shares.totals).toEqual([4, 0, 4]);
  });
  test("a window that a node does not hold is unknown, not zero", () => {
    const shares = nodeShares([part("a", [1, 1, 1]), part("b", [1], [3000])], STAMPS, 1000);
    expect(shares.shares[1]).toEqual([undefined, undefined, 0.5]);
    expect(overall(shares)[1]).toMatchObject({ node: "b", unknown: 2, total: 1, share: 0.25 });
  });
  test("the newest window of any node and what is newer is not held against the others", () => {
    const shares = nodeShares([part("a", [1, 1], [1000, 2000]), part("b", [1], [1000])], STAMPS, 1000);
    expect(overall(shares).map((one) => one.unknown)).toEqual([0, 0]);
    const late = nodeShares([part("a", [1, 1], [1000, 2000]), part("b", [1], [2000])], STAMPS, 1000);
    expect(overall(late).map((one) => one.unknown)).toEqual([0, 1]);
  });
  test("stamps within half a step fall into the picture's column, those outside of it into none", () => {
    const shares = nodeShares([part("a", [5, 7, 9], [1400, 2600, 9000])], STAMPS, 1000);
    expect(shares.totals).toEqual([5, 0, 7]);
  });
});

describe("imbalance in words", () => {
  test("one node with much more than an even part is named", () => {
    expect(imbalanceText(nodeShares([part("a", [8, 8, 8]), part("b", [1, 1, 1]), part("c", [1, 1, 1])], STAMPS, 1000))).toBe(
      "a carries 80 %, an even part would be 33 %.",
    );
  });
  test("an even spread is said to be one", () => {
    expect(imbalanceText(nodeShares([part("a", [1, 1, 1]), part("b", [1, 1, 1])], STAMPS, 1000))).toMatch(/^Evenly spread/);
  });
  test("seven of ten parts are not called even", () => {
    expect(imbalanceText(nodeShares([part("a", [7, 7, 7]), part("b", [3, 3, 3])], STAMPS, 1000))).toBe(
      "a carries 70 %, an even part would be 50 %.",
    );
  });
  test("while nodes are missing nothing is called even, and they are named", () => {
    const shares = nodeShares([part("a", [1, 1, 1]), part("b", [1, 1, 2])], STAMPS, 1000);
    expect(imbalanceText(shares, ["n3", "n4"])).toBe(
      "Of the nodes that answered, b carries most: 57 %. Without n3 and n4: how all of it spreads is not known.",
    );
    expect(imbalanceText(nodeShares([part("a", [1])], STAMPS, 1000), ["n3"])).toMatch(/^Only a answered\. Without n3/);
    expect(imbalanceText(nodeShares([part("a", [0])], STAMPS, 1000), ["n3"])).toMatch(/^No traffic at the nodes that answered\./);
  });
  test("no traffic is no imbalance", () => {
    expect(imbalanceText(nodeShares([part("a", [0, 0, 0])], STAMPS, 1000))).toBe("No traffic in what is shown.");
  });
});
