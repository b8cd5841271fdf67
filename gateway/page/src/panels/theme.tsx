import type { Theme } from "../data/view";
import { change, view } from "../state";

/** Dark, light, or what the system says. */
export function ThemeSwitch() {
  return (
    <label>
      <span class="unseen">Colours of the page</span>
      <select
        data-testid="theme"
        value={view.value.theme}
        onChange={(event) => change({ theme: event.currentTarget.value as Theme }, "replace")}
      >
        <option value="system">system colours</option>
        <option value="dark">dark</option>
        <option value="light">light</option>
      </select>
    </label>
  );
}
