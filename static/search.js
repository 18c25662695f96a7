// The search page's keys and buttons. Everything here works otherwise too: by Tab, by links, by the folds' own triangles.
"use strict";

(() => {
  const tips = document.getElementById("search-tips");
  const field = document.getElementById("q");

  const titles = () => [...document.querySelectorAll(".hit h2 a")];

  // From hit to hit; from the first one back to the field, and from the page itself to the first.
  const move = (event, step) => {
    const links = titles();
    const at = links.indexOf(document.activeElement);
    const inside = document.activeElement.closest(".hit");
    const from = at < 0 && inside ? links.indexOf(inside.querySelector("h2 a")) : at;
    if (!links.length || (from < 0 && document.activeElement !== document.body) || (from < 0 && step < 0)) {
      return;
    }
    event.preventDefault();
    const next = links[from + step];
    if (next) {
      next.focus();
      next.scrollIntoView({ block: "nearest" });
    } else if (step < 0) {
      field.focus();
    }
  };

  const showTips = (open) => {
    tips.open = open;
    (open ? tips.querySelector("summary") : field).focus();
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) {
      return;
    }
    if (event.key === "Escape" && tips.open && tips.contains(document.activeElement)) {
      showTips(false);
      return;
    }
    if (event.target.closest("input, textarea, select, [contenteditable]")) {
      return;
    }
    if (event.key === "ArrowDown" && !event.shiftKey) {
      move(event, 1);
    } else if (event.key === "ArrowUp" && !event.shiftKey) {
      move(event, -1);
    } else if (event.key === "?") {
      event.preventDefault();
      showTips(!tips.open);
    }
  });

  // Buttons that copy an address come with each answer; without scripts, or where nothing may be copied, they are hidden.
  const reveal = () => {
    for (const button of document.querySelectorAll(".hit button[data-copies]")) {
      button.hidden = !navigator.clipboard;
    }
  };
  reveal();
  document.addEventListener("htmx:afterSwap", reveal);

  document.addEventListener("click", async (event) => {
    const button = event.target.closest(".hit button[data-copies]");
    if (!button) {
      return;
    }
    await navigator.clipboard.writeText(new URL(button.dataset.copies, location.href).href);
    document.getElementById("announcement").textContent = button.dataset.copied;
    button.classList.add("done");
    setTimeout(() => button.classList.remove("done"), 2000);
  });
})();
