import { computed, signal } from "@preact/signals";
import { useRef } from "preact/hooks";
import { matrix } from "../state";
import { find } from "./finding";
import { jumpToRow } from "./moves";
import { narrow } from "./narrow";

const typed = signal("");
const chosen = signal(0);
const open = signal(false);
const found = computed(() => (matrix.value === null ? [] : find(matrix.value, typed.value)));

const LIST = "search-found";

/** Finds rows by bucket, label or key; Enter jumps to one. */
export function Search() {
  const field = useRef<HTMLInputElement>(null);
  const [rows, at] = [found.value, Math.min(chosen.value, found.value.length - 1)];
  const shown = open.value && typed.value.trim() !== "";
  const jump = (row: number) => {
    jumpToRow(row);
    open.value = false;
    document.querySelector<HTMLElement>("#heatmap")?.focus({ preventScroll: true });
  };
  const press = (event: KeyboardEvent) => {
    if (event.key === "ArrowDown") chosen.value = Math.min(at + 1, rows.length - 1);
    else if (event.key === "ArrowUp") chosen.value = Math.max(at - 1, 0);
    else if (event.key === "Escape") open.value = false;
    else if (event.key === "Enter" && rows[at] !== undefined) jump(rows[at].row);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return (
    <div class="search" role="search">
      <input
        id="search"
        data-testid="search"
        ref={field}
        type="search"
        placeholder={narrow.value ? "Find" : "Find a key or route"}
        aria-label="Find a key or route"
        role="combobox"
        list={undefined}
        aria-expanded={shown}
        aria-controls={LIST}
        aria-autocomplete="list"
        aria-activedescendant={shown && rows.length > 0 ? `${LIST}-${at}` : undefined}
        autocomplete="off"
        spellcheck={false}
        value={typed.value}
        onInput={(event) => {
          typed.value = event.currentTarget.value;
          chosen.value = 0;
          open.value = true;
        }}
        onFocus={() => (open.value = true)}
        onBlur={() => (open.value = false)}
        onKeyDown={press}
      />
      <ul id={LIST} role="listbox" aria-label="Rows found" hidden={!shown} data-testid="search-found">
        {rows.map(({ row, bucketId, range }, number) => (
          <li
            key={row}
            id={`${LIST}-${number}`}
            role="option"
            aria-selected={number === at}
            onPointerDown={(event) => {
              event.preventDefault();
              jump(row);
            }}
          >
            <b>{bucketId}</b>
            <span dir="auto">{range}</span>
          </li>
        ))}
        {rows.length === 0 ? (
          <li role="option" aria-selected={false} aria-disabled="true">
            Nothing here has that name or holds that key.
          </li>
        ) : null}
      </ul>
    </div>
  );
}
