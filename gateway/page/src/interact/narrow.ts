/** Whether the page is as narrow as a phone: choices have shorter names there. As in the style sheets. */
import { signal } from "@preact/signals";

const phone = window.matchMedia("(max-width: 640px)");
export const narrow = signal(phone.matches);
phone.addEventListener("change", () => (narrow.value = phone.matches));
