import { effect } from "@preact/signals";
import { h, render } from "preact";
import { keepAddress } from "./data/history";
import { keepFresh } from "./data/polling";
import { listenForShortcuts } from "./interact/shortcuts";
import { watchShift } from "./interact/tool";
import { Page } from "./page";
import { theme } from "./state";

keepAddress();
// Before anything draws: what is drawn takes its colours from the theme.
effect(() => {
  document.documentElement.dataset["theme"] = theme.value;
});
render(h(Page, null), document.body);
listenForShortcuts();
watchShift();
keepFresh();
