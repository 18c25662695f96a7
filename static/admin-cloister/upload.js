// Lists the chosen files, marks the field while files are dragged over it, and keeps a form from being sent twice.
// Without it the same form works: browsers take dropped files on a file field by themselves.

(() => {
  const field = document.querySelector("input.file-drop");
  const list = document.getElementById("chosen-files");
  if (!field || !list) return;
  field.hasChangeListener = true; // unfold's own listener expects another field beside it

  const size = (bytes) =>
    bytes < 1024 * 1024 ? `${Math.max(1, Math.round(bytes / 1024))} KB` : `${(bytes / 1024 / 1024).toFixed(1)} MB`;

  const show = () => {
    list.replaceChildren(
      ...Array.from(field.files, (file) => {
        const line = document.createElement("li");
        line.textContent = `${file.name} (${file.size ? size(file.size) : "empty"})`;
        return line;
      }),
    );
  };

  field.addEventListener("change", show);
  for (const event of ["dragenter", "dragover"]) field.addEventListener(event, () => field.classList.add("over"));
  for (const event of ["dragleave", "drop"]) field.addEventListener(event, () => field.classList.remove("over"));

  field.form.addEventListener("submit", () => {
    const button = field.form.querySelector("button[data-busy]");
    button.textContent = button.dataset.busy;
    button.disabled = true;
  });
  window.addEventListener("pageshow", (event) => event.persisted && location.reload());
  show();
})();
