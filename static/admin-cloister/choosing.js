// The field in which people are sought by typing gets the name that the form gives it. select2 leaves it without one,
// and makes it anew now and then.
"use strict";

function nameFields() {
  for (const field of document.querySelectorAll(".select2-search__field:not([aria-label])")) {
    const select = field.closest(".select2")?.parentElement.querySelector("select[id]");
    const label = select && document.querySelector(`label[for="${CSS.escape(select.id)}"]`);
    if (label) field.setAttribute("aria-label", label.textContent.trim());
  }
}

new MutationObserver(nameFields).observe(document.body, { childList: true, subtree: true });
nameFields();
