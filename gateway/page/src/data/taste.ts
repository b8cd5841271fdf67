/** What is a matter of the one who looks and not of the data: kept by this browser, never part of a link. */
import { signal } from "@preact/signals";

export const THEMES = ["system", "dark", "light"] as const;
export type Theme = (typeof THEMES)[number];

const KEY = "keyviz-theme";

const themeOf = (text: string | null): Theme => THEMES.find((one) => one === text) ?? "system";

function kept(): Theme {
  try {
    return themeOf(window.localStorage.getItem(KEY));
  } catch {
    return "system"; // storage may be forbidden
  }
}

export const chosenTheme = signal<Theme>(kept());

export function chooseTheme(theme: Theme): void {
  chosenTheme.value = theme;
  try {
    window.localStorage.setItem(KEY, theme);
  } catch {
    // It holds for this page then.
  }
}

// A choice in one tab is a choice in all of them.
window.addEventListener("storage", (event) => {
  if (event.key === KEY || event.key === null) chosenTheme.value = themeOf(event.newValue);
});
