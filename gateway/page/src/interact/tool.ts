/** Whether the next drag selects a rectangle in place of moving the picture. */
import { computed, signal } from "@preact/signals";

/** Chosen by button or key, for one rectangle. */
export const selecting = signal(false);
/** While shift is held. */
export const shiftHeld = signal(false);

export const armed = computed(() => selecting.value || shiftHeld.value);

export function watchShift(): void {
  const see = (event: KeyboardEvent | PointerEvent) => (shiftHeld.value = event.shiftKey);
  window.addEventListener("keydown", see);
  window.addEventListener("keyup", see);
  window.addEventListener("pointermove", see);
  window.addEventListener("blur", () => (shiftHeld.value = false));
}
