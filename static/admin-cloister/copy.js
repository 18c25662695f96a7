// The button beside a field that is shown once. Without it, or where the browser does not let it, the field is selected.
"use strict";

const button = document.getElementById("copy-key");
if (button) {
  const field = document.getElementById(button.dataset.copies);
  const said = document.getElementById("copied");
  button.hidden = false;
  field.addEventListener("focus", () => field.select());
  button.addEventListener("click", async () => {
    field.select();
    try {
      await navigator.clipboard.writeText(field.value);
      said.textContent = "Copied.";
    } catch {
      said.textContent = "Press Ctrl+C to copy it.";
    }
  });
}
