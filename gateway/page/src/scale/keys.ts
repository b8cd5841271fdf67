/** Keys for people: text where the key is text, hexadecimal otherwise. */
export function bytesOf(base64: string): Uint8Array {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}

const LONGEST = 40;

export function readable(key: Uint8Array): string {
  const text = printable(key);
  const shown = text ?? "0x" + Array.from(key, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return shown.length > LONGEST ? shown.slice(0, LONGEST - 1) + "…" : shown;
}

function printable(key: Uint8Array): string | undefined {
  for (const byte of key) if (byte < 0x20 || byte === 0x7f) return undefined;
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(key);
    // Marks that turn or hide text would make one key look like another.
    return /[\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Zl}\p{Zp}]/u.test(text) ? undefined : text;
  } catch {
    return undefined;
  }
}

export function range(start: string, end: string): string {
  const first = start === "" ? "(first key)" : readable(bytesOf(start));
  return `${first} … ${end === "" ? "(last key)" : readable(bytesOf(end))}`;
}

/** The text, or its beginning and end around an ellipsis: neighbouring keys often differ in their last bytes alone. */
export function elided(text: string, width: number, widthOf: (text: string) => number): string {
  if (widthOf(text) <= width) return text;
  for (let kept = text.length - 1; kept > 1; kept -= 1) {
    const head = Math.ceil(kept / 2);
    const shorter = `${text.slice(0, head)}…${text.slice(text.length - (kept - head))}`;
    if (widthOf(shorter) <= width) return shorter;
  }
  return "…";
}
