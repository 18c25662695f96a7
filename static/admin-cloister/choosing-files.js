// Which files are to be uploaded: chosen, dropped one by one, or dropped as whole folders. What is chosen first stays
// when more is added. Without it the same form works: browsers take dropped files on a file field by themselves.
// `sending.js` sends them.
"use strict";

window.chosenFiles = (() => {
  const form = document.getElementById("upload-form");
  if (!form) return [];
  const field = form.querySelector("input.file-drop");
  const button = form.querySelector("button[data-busy]");
  const summary = document.getElementById("chosen-summary");
  const folder = document.createElement("input"); // stands nowhere: its button opens it
  folder.type = "file";
  folder.webkitdirectory = true;
  const chosen = []; // { file, path }
  const keys = new Set(); // of what is chosen
  const most = Number(form.dataset.bytes);
  let leftOut = 0;
  let unreadable = 0;
  let looking = 0; // drops that are still being looked through

  field.hasChangeListener = true; // unfold's own listener expects another field beside it
  document.getElementById("how-many").textContent = `Up to ${Number(form.dataset.most).toLocaleString("en")} at once.`;
  document.getElementById("folders-too").hidden = false;
  document.getElementById("choose-folder").hidden = false;

  const LITTER = /^(\..*|~\$.*|thumbs\.db|desktop\.ini|__macosx)$/i;
  const isLitter = (path) => path.split("/").some((part) => LITTER.test(part));
  const size = (bytes) =>
    bytes < 1024 * 1024 ? `${Math.max(1, Math.round(bytes / 1024))} KB` : `${(bytes / 1024 / 1024).toFixed(1)} MB`;
  const number = (count) => `${count.toLocaleString("en")} file${count === 1 ? "" : "s"}`;
  const keyOf = ({ path, file }) => `${path}\n${file.size}\n${file.lastModified}`;
  const flaw = (file) => {
    if (!file.size) return "empty";
    return file.size > most ? `${size(file.size)}: larger than ${Math.floor(most / 1024 / 1024)} MB` : "";
  };

  const lineOf = (one) => {
    const line = document.createElement("li");
    const remove = document.createElement("button");
    const cross = document.createElement("span");
    cross.className = "material-symbols-outlined";
    cross.setAttribute("aria-hidden", "true");
    cross.textContent = "close";
    remove.type = "button";
    remove.className = "remove";
    remove.setAttribute("aria-label", `Remove ${one.path}`);
    remove.append(cross);
    remove.addEventListener("click", () => {
      const place = chosen.indexOf(one);
      chosen.splice(place, 1);
      keys.delete(keyOf(one));
      show();
      const rest = document.querySelectorAll("#chosen-files .remove");
      (rest[Math.min(place, rest.length - 1)] || field).focus();
    });
    const name = document.createElement("bdi");
    name.textContent = one.path;
    const about = document.createElement("span");
    about.textContent = ` (${flaw(one.file) || size(one.file.size)})`;
    if (flaw(one.file)) about.className = "flawed";
    line.append(remove, name, about);
    return line;
  };

  const show = () => {
    // The field holds them too, so that the browser knows whether anything is chosen.
    const held = new DataTransfer();
    for (const one of chosen) held.items.add(one.file);
    field.files = held.files;
    const bytes = chosen.reduce((sum, one) => sum + one.file.size, 0);
    const said = [`${number(chosen.length)}, ${size(bytes)}.`];
    if (leftOut) said.push(`${number(leftOut)} of no use left out.`);
    if (unreadable) said.push(`${number(unreadable)} could not be read.`);
    document.getElementById("chosen").hidden = !chosen.length && !leftOut && !unreadable;
    summary.textContent = said.join(" ");
    document.getElementById("chosen-files").replaceChildren(...chosen.map(lineOf));
  };

  const add = (found) => {
    for (const one of found) {
      const key = keyOf(one);
      if (isLitter(one.path)) leftOut += 1;
      else if (!keys.has(key)) {
        keys.add(key);
        chosen.push(one);
      }
    }
    show();
  };

  const plain = (files) => Array.from(files, (file) => ({ file, path: file.webkitRelativePath || file.name }));

  // A folder gives its contents a hundred at a time, until it gives none.
  const contents = async (dropped, before) => {
    const path = before + dropped.name;
    if (dropped.isFile) {
      const file = await new Promise((resolve) => dropped.file(resolve, () => resolve(null)));
      if (!file) unreadable += 1;
      return file ? [{ file, path }] : [];
    }
    const reader = dropped.createReader();
    const found = [];
    for (;;) {
      const some = await new Promise((resolve) => reader.readEntries(resolve, () => resolve([])));
      if (!some.length) return found;
      found.push(...(await Promise.all(some.map((one) => contents(one, `${path}/`)))).flat());
    }
  };

  // Nothing is sent while it is not known yet what was dropped.
  const look = async (dropped) => {
    looking += 1;
    button.disabled = true;
    document.getElementById("chosen").hidden = false;
    summary.textContent = "Looking through what you dropped …";
    const found = (await Promise.all(dropped.map((one) => contents(one, "")))).flat();
    looking -= 1;
    button.disabled = looking > 0;
    add(found.sort((one, other) => one.path.localeCompare(other.path, undefined, { numeric: true })));
  };

  field.addEventListener("change", () => add(plain(field.files)));
  folder.addEventListener("change", () => add(plain(folder.files)));
  document.getElementById("choose-folder").addEventListener("click", () => folder.click());
  document.getElementById("choose-none").addEventListener("click", () => {
    chosen.length = leftOut = unreadable = 0;
    keys.clear();
    show();
    field.focus();
  });

  // Wherever on the page they are dropped: beside the field the browser would open the file and lose the form.
  const carriesFiles = (event) => event.dataTransfer && Array.from(event.dataTransfer.types).includes("Files");
  window.addEventListener("dragover", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    field.classList.add("over");
  });
  window.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) field.classList.remove("over");
  });
  window.addEventListener("drop", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    field.classList.remove("over");
    if (form.hidden) return;
    // All of them are asked for at once: after the first pause the browser has forgotten what was dropped.
    const dropped = Array.from(event.dataTransfer.items, (one) => one.webkitGetAsEntry?.()).filter(Boolean);
    if (dropped.length) look(dropped);
    else add(plain(event.dataTransfer.files));
  });

  // A page that the browser kept, or filled in again, shows what its field still holds.
  if (field.files.length) add(plain(field.files));
  return chosen;
})();
