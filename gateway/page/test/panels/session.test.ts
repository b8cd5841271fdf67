import { afterEach, describe, expect, test, vi } from "vitest";
import { csrfOf, refusedText, retryAfterMs, signIn, signOut } from "../../src/panels/session";

const answer = (status: number, body: unknown, headers: Record<string, string> = {}) =>
  new Response(body === undefined ? null : JSON.stringify(body), { status, headers });

function answering(response: Response | Error) {
  const fake = vi.fn<typeof fetch>(async () => {
    if (response instanceof Error) throw response;
    return response;
  });
  vi.stubGlobal("fetch", fake);
  return fake;
}

afterEach(() => vi.unstubAllGlobals());

describe("signing in", () => {
  test("sends both keys as JSON and learns the role and the end", async () => {
    const fake = answering(answer(200, { role: "full", expires_at: "2026-04-27T11:45:00.000Z" }));
    expect(await signIn("a", "b")).toEqual({ ok: true, role: "full", expiresMs: Date.UTC(2026, 3, 27, 11, 45) });
    expect(fake.mock.calls[0]?.[1]?.body).toBe('{"access_key":"a","secret_key":"b"}');
  });
  test("wrong keys, no role, too many attempts and silence are told apart", async () => {
    const said = new Set<string>();
    for (const code of ["invalid_credentials", "forbidden", "missing_fields", "payload_too_large"]) {
      answering(answer(400, { error: code, message: "x" }));
      const refused = await signIn("a", "b");
      said.add(refused.ok ? "" : refused.said);
    }
    answering(answer(429, { error: "rate_limited" }, { "Retry-After": "12" }));
    const limited = await signIn("a", "b");
    expect(limited).toMatchObject({ ok: false, retryMs: 12_000, said: "Too many attempts. Try again in 12 s." });
    answering(new TypeError("failed"));
    expect(await signIn("a", "b")).toMatchObject({ ok: false, code: "unreachable" });
    expect(said.size).toBe(4);
  });
  test("an answer that is no JSON is still an answer", async () => {
    answering(new Response("<html>", { status: 502 }));
    expect(await signIn("a", "b")).toMatchObject({ ok: false, code: "502" });
  });
});

describe("signing out", () => {
  test("shows the cookie again in the header", async () => {
    const fake = answering(answer(204, undefined));
    expect(await signOut("x=1; admin_csrf=a=b; y=2")).toBe("");
    expect(fake.mock.calls[0]?.[1]?.headers).toEqual({ "X-Admin-CSRF": "a=b" });
  });
  test("a session that is over already is as good as ended", async () => {
    answering(answer(401, { error: "unauthenticated" }));
    expect(await signOut("")).toBe("");
  });
  test("a refusal and silence are said", async () => {
    answering(answer(403, { error: "csrf_missing", message: "send it" }));
    expect(await signOut("")).toContain("send it");
    answering(new TypeError("failed"));
    expect(await signOut("")).toContain("does not answer");
  });
});

test("a cookie of a similar name is not taken", () => {
  expect(csrfOf("not_admin_csrf=1; admin_csrf2=2")).toBe("");
});

test("only whole seconds of Retry-After count", () => {
  expect([retryAfterMs("3"), retryAfterMs(null), retryAfterMs("Wed, 21 Oct"), retryAfterMs("-1")]).toEqual([3000, 0, 0, 0]);
});

test("a code that this page does not know is still said", () => {
  expect(refusedText("odd", "", 0)).toContain("odd");
});
