import { bytesOf, hexOf } from "../scale/keys";

/** One key in the three forms that operators paste into other tools; text only where it is safe to read. */
export interface KeyForms {
  /** undefined where the bytes are no text, or text that would look like another key. */
  readonly text: string | undefined;
  readonly hex: string;
  readonly base64: string;
  readonly bytes: number;
}

// Marks that turn, join or hide text would make one key look like another.
const TREACHEROUS = /[\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Cs}\p{Zl}\p{Zp}\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0]|\p{Variation_Selector}/u;

export function keyForms(base64: string): KeyForms {
  const bytes = bytesOf(base64);
  return { text: textOf(bytes), hex: hexOf(bytes), base64, bytes: bytes.length };
}

function textOf(bytes: Uint8Array): string | undefined {
  if (bytes.length === 0) return undefined;
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    return TREACHEROUS.test(text) || text.trim() !== text ? undefined : text;
  } catch {
    return undefined;
  }
}

/** What a person reads: the text where there is one, hexadecimal otherwise; the middle of a long key is left out. */
export function shownKey(forms: KeyForms, longest = 64): string {
  const whole = forms.text ?? (forms.bytes === 0 ? "(empty key)" : `0x${forms.hex}`);
  const points = Array.from(whole);
  if (points.length <= longest) return whole;
  const head = Math.ceil((longest - 1) / 2);
  return `${points.slice(0, head).join("")}…${points.slice(points.length - (longest - 1 - head)).join("")} (${forms.bytes} bytes)`;
}
