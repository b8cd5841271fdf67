/** Signing in and out against the gateway, and what to say when it does not work. */
const AUTH = "/admin/api/v1/auth";

export type SignedIn =
  | { readonly ok: true; readonly role: string; readonly expiresMs: number }
  | { readonly ok: false; readonly code: string; readonly said: string; readonly retryMs: number };

export async function signIn(accessKey: string, secretKey: string): Promise<SignedIn> {
  let response: Response;
  try {
    response = await fetch(`${AUTH}/login`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ access_key: accessKey, secret_key: secretKey }),
      credentials: "same-origin",
      cache: "no-store",
    });
  } catch {
    return { ok: false, code: "unreachable", said: refusedText("unreachable", "", 0), retryMs: 0 };
  }
  const body = await bodyOf(response);
  if (response.ok) {
    const expiresMs = Date.parse(String(body["expires_at"] ?? ""));
    return { ok: true, role: String(body["role"] ?? ""), expiresMs: Number.isNaN(expiresMs) ? 0 : expiresMs };
  }
  const code = String(body["error"] ?? response.status);
  const retryMs = retryAfterMs(response.headers.get("Retry-After"));
  return { ok: false, code, said: refusedText(code, String(body["message"] ?? ""), retryMs), retryMs };
}

/** Ends the session at the gateway; a session that is over already is as good as ended. "" or what went wrong. */
export async function signOut(cookies: string): Promise<string> {
  try {
    const response = await fetch(`${AUTH}/logout`, {
      method: "POST",
      headers: { "X-Admin-CSRF": csrfOf(cookies) },
      credentials: "same-origin",
      cache: "no-store",
    });
    if (response.ok || response.status === 401) return "";
    const body = await bodyOf(response);
    return `Not signed out: ${String(body["message"] ?? response.status)}`;
  } catch {
    return "Not signed out: the gateway does not answer.";
  }
}

async function bodyOf(response: Response): Promise<Record<string, unknown>> {
  try {
    const body: unknown = await response.json();
    return typeof body === "object" && body !== null ? (body as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

/** The cookie that a page must show again to sign out; "" where there is none. */
export function csrfOf(cookies: string): string {
  for (const part of cookies.split(";")) {
    const [name, ...value] = part.trim().split("=");
    if (name === "admin_csrf") return value.join("=");
  }
  return "";
}

/** Whole seconds, as RFC 9110 has it, in milliseconds; 0 where it is absent or no number. */
export function retryAfterMs(header: string | null): number {
  return header !== null && /^\d{1,6}$/.test(header.trim()) ? Number(header) * 1000 : 0;
}

export function refusedText(code: string, message: string, retryMs: number): string {
  switch (code) {
    case "invalid_credentials":
      return "These keys are not right. Check both; letters count as large or small.";
    case "missing_fields":
      return "Both keys are needed.";
    case "forbidden":
      return "The keys are right, but they have no role here. Ask whoever keeps the users file.";
    case "rate_limited":
      return `Too many attempts. Try again in ${Math.max(1, Math.ceil(retryMs / 1000))} s.`;
    case "payload_too_large":
      return "These keys are too long to be right.";
    case "unreachable":
      return "The gateway does not answer. Try again in a moment.";
    default:
      return message === "" ? `The gateway refused: ${code}.` : `The gateway refused: ${message}.`;
  }
}
