import { useEffect, useState } from "preact/hooks";

/** Copies a text and says so, also to who does not see it. */
export function CopyButton({ text, name, what }: { readonly text: string; readonly name: string; readonly what: string }) {
  const [done, tell] = useState("");
  useEffect(() => {
    if (done === "") return undefined;
    const timer = window.setTimeout(() => tell(""), 1500);
    return () => window.clearTimeout(timer);
  }, [done]);
  const copy = () => {
    copyText(text).then(
      () => tell("copied"),
      () => tell("not copied"),
    );
  };
  return (
    <button type="button" class="small" aria-label={`Copy ${what} as ${name}`} onClick={copy}>
      {done === "" ? name : done}
      <span class="unseen" role="status">
        {done}
      </span>
    </button>
  );
}

/** The clipboard's interface exists on https and loopback alone; elsewhere the old way still works. */
export async function copyText(text: string): Promise<void> {
  if (navigator.clipboard !== undefined) return navigator.clipboard.writeText(text);
  const holder = document.createElement("textarea");
  holder.value = text;
  holder.className = "unseen";
  const dialogs = document.querySelectorAll("dialog[open]");
  (dialogs[dialogs.length - 1] ?? document.body).append(holder);
  holder.select();
  const copied = document.execCommand("copy");
  holder.remove();
  if (!copied) throw new Error("the browser refuses");
}
