import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";

interface Parts {
  readonly title: string;
  readonly name: string;
  /** Absent: it stays until what it asks for is done. */
  readonly onClose?: () => void;
  readonly children: ComponentChildren;
}

/** The browser's own dialog: focus stays inside, Escape closes it, and what opened it has the focus again. */
export function Modal({ title, name, onClose, children }: Parts) {
  const holder = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const own = holder.current;
    const before = document.activeElement;
    own?.showModal();
    return () => {
      own?.close();
      // The dialog is gone by now, so the browser does not know whom to give the focus back to.
      window.requestAnimationFrame(() => before instanceof HTMLElement && before.focus());
    };
  }, []);
  return (
    <dialog
      ref={holder}
      aria-labelledby={`${name}-title`}
      data-testid={name}
      onCancel={(event) => {
        event.preventDefault();
        onClose?.();
      }}
    >
      <div class="dialog-head">
        <h2 id={`${name}-title`}>{title}</h2>
        {onClose !== undefined && (
          <button type="button" class="small" aria-label="Close" onClick={onClose}>
            ✕
          </button>
        )}
      </div>
      {children}
    </dialog>
  );
}
