// The search field as a combobox (ARIA 1.2, list autocomplete): what is typed may be completed from a list below it.
// Without scripts it is a plain field. What comes from the server is text, and is put into the page as text.
"use strict";

(() => {
  const field = document.getElementById("q");
  const list = document.getElementById("suggestions");
  if (!field || !list) {
    return;
  }
  let waiting = 0;
  let asking = null;
  let active = -1;

  field.setAttribute("role", "combobox");
  field.setAttribute("aria-autocomplete", "list");
  field.setAttribute("aria-controls", list.id);
  field.setAttribute("aria-expanded", "false");

  const point = (at) => {
    active = at;
    [...list.children].forEach((option, place) => option.setAttribute("aria-selected", String(place === at)));
    if (at < 0) {
      field.removeAttribute("aria-activedescendant");
    } else {
      field.setAttribute("aria-activedescendant", list.children[at].id);
      list.children[at].scrollIntoView({ block: "nearest" });
    }
  };

  // Whatever was asked before is not wanted any more: a late answer is dropped.
  const forget = () => {
    clearTimeout(waiting);
    asking?.abort();
    asking = null;
  };

  const close = () => {
    forget();
    list.hidden = true;
    field.setAttribute("aria-expanded", "false");
    point(-1);
  };

  const choose = (text) => {
    field.value = text;
    close();
    field.form.requestSubmit();
  };

  const show = (suggestions) => {
    const options = suggestions.map((text, place) => {
      const option = document.createElement("li");
      option.id = `suggestion-${place}`;
      option.setAttribute("role", "option");
      option.dir = "auto";
      option.textContent = text;
      option.addEventListener("click", () => choose(text));
      return option;
    });
    list.replaceChildren(...options);
    point(-1);
    list.hidden = options.length === 0;
    field.setAttribute("aria-expanded", String(options.length > 0));
  };

  const ask = async (typed) => {
    asking = new AbortController();
    const { signal } = asking;
    try {
      // The whole form: filters that are on narrow the suggestions, too.
      const address = `${list.dataset.address}?${new URLSearchParams(new FormData(field.form))}`;
      const answer = await fetch(address, { signal, redirect: "error", headers: { Accept: "application/json" } });
      const found = answer.ok ? (await answer.json()).suggestions : [];
      if (!signal.aborted) {
        show(found.filter((text) => text !== typed));
      }
    } catch {
      // Aborted, or not reached: the field works without suggestions.
      if (!signal.aborted) {
        close();
      }
    }
  };

  field.addEventListener("input", (event) => {
    forget();
    const typed = field.value.trim();
    if (typed === "") {
      close();
    } else if (!event.isComposing) {
      waiting = setTimeout(ask, 150, typed);
    }
  });

  field.addEventListener("keydown", (event) => {
    const open = !list.hidden;
    const last = list.children.length - 1;
    if (event.isComposing) {
      return;
    }
    if (event.key === "Escape" && open) {
      event.preventDefault();
      close();
    } else if (event.key === "Enter" && open && active >= 0) {
      event.preventDefault();
      choose(list.children[active].textContent);
    } else if (event.key === "ArrowDown" && open) {
      event.preventDefault();
      point(active < last ? active + 1 : -1);
    } else if (event.key === "ArrowUp" && open) {
      event.preventDefault();
      point(active < 0 ? last : active - 1);
    }
  });

  // A click on an option must not take the focus from the field before it is heard.
  list.addEventListener("mousedown", (event) => event.preventDefault());
  field.addEventListener("blur", close);
  field.form.addEventListener("submit", close);
})();
