/** Keys for people: text where the key is text, hexadecimal otherwise. */
export function bytesOf(base64: string): Uint8Array {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}

export function hexOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

const LONGEST = 40;

export function readable(key: Uint8Array): string {
  return shortened(textOf(key) ?? "0x" + hexOf(key));
}

export const shortened = (text: string): string => (text.length > LONGEST ? text.slice(0, LONGEST - 1) + "…" : text);

// Marks that turn, join or hide text would make one key look like another.
const TREACHEROUS = /[\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Cs}\p{Zl}\p{Zp}\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0]|\p{Variation_Selector}/u;

/** undefined where the bytes are no text, or text that would look like another key. May be a part of a key: "" and spaces at its ends are text. */
export function textOf(bytes: Uint8Array): string | undefined {
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    return TREACHEROUS.test(text) ? undefined : text;
  } catch {
    return undefined;
  }
}

const alone = (base64: string) => readable(bytesOf(base64));

export function range(start: string, end: string, reads: (base64: string) => string = alone): string {
  return `${start === "" ? "(first key)" : reads(start)} … ${end === "" ? "(last key)" : reads(end)}`;
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
