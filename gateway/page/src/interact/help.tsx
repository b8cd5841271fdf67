import { useEffect, useRef } from "preact/hooks";
import { dialog } from "../state";
import { SHORTCUTS } from "./shortcuts";

const GESTURES: readonly (readonly [string, string])[] = [
  ["Wheel, pinch", "zoom about the pointer; over an axis, that direction alone"],
  ["Drag", "move the picture"],
  ["Shift-drag", "select a rectangle to look at"],
  ["Click", "pin a cell and see what is behind it"],
  ["Double click", "back to the view before"],
];

/** Every key and gesture. */
export function Help() {
  const own = useRef<HTMLDialogElement>(null);
  const open = dialog.value === "help";
  useEffect(() => {
    if (open) own.current?.showModal();
    else own.current?.close();
  }, [open]);
  return (
    <dialog ref={own} class="sheet help" aria-labelledby="help-title" data-testid="help" onClose={() => (dialog.value = null)}>
      <h2 id="help-title">Keys and gestures</h2>
      <div class="help-columns">
        {(["Move", "Look", "Ask"] as const).map((group) => (
          <section key={group}>
            <h3>{group}</h3>
            <dl>
              {SHORTCUTS.filter((shortcut) => shortcut.group === group).map(({ shown, does, onHeatmap }) => (
                <div key={shown}>
                  <dt>
                    <kbd>{shown}</kbd>
                  </dt>
                  <dd>
                    {does}
                    {onHeatmap === true ? " *" : ""}
                  </dd>
                </div>
              ))}
            </dl>
          </section>
        ))}
        <section>
          <h3>Pointer and fingers</h3>
          <dl>
            {GESTURES.map(([shown, does]) => (
              <div key={shown}>
                <dt>{shown}</dt>
                <dd>{does}</dd>
              </div>
            ))}
          </dl>
        </section>
      </div>
      <p class="quiet">* while the heatmap has the focus: press Tab until it is framed.</p>
      <form method="dialog" class="buttons">
        <button class="main">Close</button>
      </form>
    </dialog>
  );
}
