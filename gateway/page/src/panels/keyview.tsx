import { CopyButton } from "./copying";
import { keyForms, shownKey, type KeyForms } from "./keyforms";

/** One key: readable, isolated from the direction of the text around it, and to be copied in each of its forms. */
export function KeyView({ forms, what }: { readonly forms: KeyForms; readonly what: string }) {
  return (
    <span class="key-view">
      <bdi class="key-text" title={`${forms.bytes} bytes`}>
        {shownKey(forms)}
      </bdi>
      <span class="copies">
        {forms.text !== undefined && <CopyButton text={forms.text} name="text" what={what} />}
        <CopyButton text={forms.hex} name="hex" what={what} />
        <CopyButton text={forms.base64} name="base64" what={what} />
      </span>
    </span>
  );
}

/** One end of a range; an end that is not bounded has nothing to copy. */
export function EndView({ base64, what, unbounded }: { readonly base64: string; readonly what: string; readonly unbounded: string }) {
  return base64 === "" ? <em>{unbounded}</em> : <KeyView forms={keyForms(base64)} what={what} />;
}
