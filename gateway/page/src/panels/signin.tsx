import { useEffect, useRef, useState } from "preact/hooks";
import { refresh } from "../data/polling";
import { fanout, matrix, session } from "../state";
import { signedInTimes } from "./loading";
import { Modal } from "./modal";
import { csrfOf, signIn, signOut } from "./session";
import { forgetNames } from "./told";

/** Asks for keys while a session is needed. What was shown stays behind it, and the view stays what it was. */
export function SignIn() {
  const needed = session.value.kind === "needed";
  return needed ? <SignInForm /> : null;
}

function SignInForm() {
  const [said, say] = useState("");
  const [busy, work] = useState(false);
  const [waitUntil, wait] = useState(0);
  const [now, tick] = useState(Date.now());
  const first = useRef<HTMLInputElement>(null);
  useEffect(() => first.current?.focus(), []);
  useEffect(() => {
    if (waitUntil <= Date.now()) return undefined;
    const timer = window.setInterval(() => tick(Date.now()), 250);
    return () => window.clearInterval(timer);
  }, [waitUntil]);
  const seconds = Math.max(0, Math.ceil((waitUntil - now) / 1000));

  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    work(true);
    const result = await signIn(String(form.get("access_key")), String(form.get("secret_key")));
    work(false);
    if (result.ok) {
      session.value = { kind: "signed-in", role: result.role, expiresAt: new Date(result.expiresMs).toISOString() };
      signedInTimes.value += 1;
      void refresh();
      return;
    }
    say(result.said);
    tick(Date.now());
    wait(result.retryMs > 0 ? Date.now() + result.retryMs : 0);
  };
  const again = matrix.value === null ? "" : "The session has ended; what you see is the last picture. ";
  return (
    <Modal title="Sign in" name="sign-in">
      <form class="sign-in" onSubmit={(event) => void submit(event)}>
        <p>{again}This gateway shows the cluster to people who sign in.</p>
        <label>
          Access key
          <input ref={first} name="access_key" autocomplete="username" required maxLength={1024} spellcheck={false} />
        </label>
        <label>
          Secret key
          <input name="secret_key" type="password" autocomplete="current-password" required maxLength={1024} />
        </label>
        <p class="wrong" role="alert" data-testid="sign-in-error">
          {seconds > 0 ? `Too many attempts. Try again in ${seconds} s.` : said}
        </p>
        <button type="submit" disabled={busy || seconds > 0}>
          {busy ? "Signing in…" : "Sign in"}
        </button>
      </form>
    </Modal>
  );
}

/** There while there is a session to end. */
export function SignOutButton() {
  const [said, say] = useState("");
  if (session.value.kind === "needed" || csrfOf(document.cookie) === "") return null;
  const leave = async () => {
    const trouble = await signOut(document.cookie);
    say(trouble);
    if (trouble !== "") return;
    // Whoever leaves wants nothing left on the screen.
    matrix.value = null;
    fanout.value = null;
    forgetNames();
    session.value = { kind: "needed", because: "signed out" };
  };
  return (
    <>
      <button type="button" data-testid="sign-out" onClick={() => void leave()}>
        Sign out
      </button>
      {said !== "" && (
        <span class="wrong" role="alert">
          {said}
        </span>
      )}
    </>
  );
}
