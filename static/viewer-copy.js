// Buttons that copy an address; without scripts they are not shown.
"use strict";

for (const button of document.querySelectorAll("button[data-copies]")) {
  const said = button.textContent;
  button.hidden = !navigator.clipboard;
  button.setAttribute("aria-live", "polite");
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(new URL(button.dataset.copies, location.href).href);
    button.textContent = button.dataset.copied;
    setTimeout(() => { button.textContent = said; }, 2000);
  });
}
