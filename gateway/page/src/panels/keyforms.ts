import { bytesOf, hexOf, textOf } from "../scale/keys";

/** One key in the three forms that operators paste into other tools; text only where it is safe to read. */
export interface KeyForms {
  /** undefined where the bytes are no text, or text that would look like another key. */
  readonly text: string | undefined;
  readonly hex: string;
  readonly base64: string;
  readonly bytes: number;
}

export function keyForms(base64: string): KeyForms {
  const bytes = bytesOf(base64);
  return { text: wholeText(bytes), hex: hexOf(bytes), base64, bytes: bytes.length };
}

/** A whole key besides must have something to see, also at its ends: a space there is lost where it is pasted. */
function wholeText(bytes: Uint8Array): string | undefined {
  const text = textOf(bytes);
  return text === "" || text?.trim() !== text ? undefined : text;
}

/** What a person reads: the text where there is one, hexadecimal otherwise; the middle of a long key is left out. */
export function shownKey(forms: KeyForms, longest = 64): string {
  const whole = forms.text ?? (forms.bytes === 0 ? "(empty key)" : `0x${forms.hex}`);
  const points = Array.from(whole);
  if (points.length <= longest) return whole;
  const head = Math.ceil((longest - 1) / 2);
  return `${points.slice(0, head).join("")}…${points.slice(points.length - (longest - 1 - head)).join("")} (${forms.bytes} bytes)`;
}
