// What scripts add to pages that work without them. No inline code, no dependency; htmx itself is in vendor/.
"use strict";

// "/" goes to the search field, as on other search pages, unless somebody is typing.
document.addEventListener("keydown", (event) => {
  const field = document.getElementById("q");
  const typing = event.target.closest("input, textarea, select, [contenteditable]");
  if (event.key === "/" && field && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    field.focus();
    field.select();
  }
});

// An address with ?page=N but without #passage, as other systems link to it, opens there too.
const opened = document.getElementById("passage");
if (opened && location.hash === "") {
  opened.scrollIntoView({ block: "start" });
}

// Filters and facts are folded away on a phone only. Styles show them where there is room; this says so to everybody.
const roomy = window.matchMedia("(min-width: 56rem)");
const unfold = () => {
  for (const fold of document.querySelectorAll(".facets-fold")) {
    fold.open = roomy.matches;
  }
};
unfold();
roomy.addEventListener("change", unfold);
document.addEventListener("htmx:afterSwap", unfold);

// On the demo's sign-in page a click on a name fills in the form.
for (const button of document.querySelectorAll("button.pick")) {
  button.disabled = false;
  button.addEventListener("click", () => {
    document.getElementById("id_username").value = button.dataset.username;
    document.getElementById("id_password").value = document.getElementById("demo-password").textContent;
    document.querySelector(".sign-in form button[type=submit]").focus();
  });
}

// Enter asks at once; what was typed before it need not be asked again when its short delay is over.
const form = document.getElementById("search-form");
if (form) {
  const field = form.elements.q;
  let asked = field.value.trim();
  document.addEventListener("htmx:confirm", (event) => {
    const wanted = field.value.trim();
    if (event.detail.elt === field && wanted === asked) {
      event.preventDefault();
    } else if (event.detail.elt === field || event.detail.elt === form) {
      asked = wanted;
    }
  });
}

// A search that was not answered says so, and leaves what is there; the next answer takes the notice away.
const failure = document.getElementById("failure");
if (failure) {
  for (const trouble of ["htmx:responseError", "htmx:sendError", "htmx:timeout"]) {
    document.addEventListener(trouble, () => { failure.hidden = false; });
  }
  document.addEventListener("htmx:afterSwap", () => { failure.hidden = true; });
}

// htmx notes the address of the search that is shown. Whoever uses this browser next need not find it.
window.addEventListener("pagehide", () => sessionStorage.removeItem("htmx-current-path-for-history"));
