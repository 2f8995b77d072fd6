/** Light or dark: as the system says, unless the reader chose. */

import { ref } from "vue";

export type Theme = "auto" | "light" | "dark";

const KEPT = "lineside.theme";
const dark = matchMedia("(prefers-color-scheme: dark)");

function kept(): Theme {
  const found = localStorage.getItem(KEPT);
  return found === "light" || found === "dark" ? found : "auto";
}

export const theme = ref<Theme>(kept());
/** What is shown at present. */
export const shown = ref<"light" | "dark">("light");

export function setTheme(wanted: Theme): void {
  theme.value = wanted;
  if (wanted === "auto") localStorage.removeItem(KEPT);
  else localStorage.setItem(KEPT, wanted);
  show();
}

function show(): void {
  shown.value = theme.value === "auto" ? (dark.matches ? "dark" : "light") : theme.value;
  document.documentElement.dataset.theme = shown.value;
}

dark.addEventListener("change", show);
show();
