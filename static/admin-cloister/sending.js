// Sends the chosen files one after another, two at a time, so that a broken connection costs one file and not all, and
// tells the fate of each at its line. Without it the form sends all of them at once, by itself.
"use strict";

(() => {
  const form = document.getElementById("upload-form");
  if (!form) return;
  const chosen = window.chosenFiles;
  const field = form.querySelector("input.file-drop");
  const button = form.querySelector("button[data-busy]");
  const by = (id) => document.getElementById(id);
  const AT_ONCE = 2;
  const BREAKS = 3; // so many in a row, and it is the connection rather than the files

  let send, watch, said; // where each file goes, the page to go to afterwards, and what is said about all of them
  let files = [];
  let active = 0;
  let broken = 0;
  let stopped = false;

  const STATES = {
    waits: ["waits", "state-archived"],
    sending: ["sending", "state-working"],
    taken: ["taken in", "state-ready"],
    refused: ["not taken in", "state-failed"],
    broken: ["not sent", "state-failed"],
  };

  const tell = () => {
    const count = (state) => files.filter((one) => one.state === state).length;
    const parts = [`${count("taken")} of ${files.length} taken in`];
    if (count("refused")) parts.push(`${count("refused")} not taken in`);
    if (count("broken")) parts.push(`${count("broken")} not sent`);
    by("sending-summary").textContent = `${parts.join(", ")}.`;
  };

  const measure = () => {
    const whole = files.reduce((sum, one) => sum + one.file.size, 0);
    const sent = files.reduce((sum, one) => sum + one.sent, 0);
    by("sending-bar").max = Math.max(whole, 1);
    by("sending-bar").value = Math.min(sent, by("sending-bar").max);
  };

  const set = (one, state, reason = "", link = "") => {
    one.state = state;
    const [label, style] = STATES[state];
    const shown = one.line.querySelector(".state");
    shown.textContent = label;
    shown.className = `state ${style}`;
    one.line.querySelector("progress").hidden = state !== "sending";
    const why = one.line.querySelector(".sent-reason");
    why.textContent = reason;
    why.hidden = !reason;
    const there = one.line.querySelector("a");
    there.hidden = !link;
    if (link) there.href = link;
    one.line.querySelector("button").hidden = state !== "broken";
    one.line.querySelector(".buttons").hidden = state !== "broken" && !link;
    const troubled = state === "refused" || state === "broken";
    const home = troubled ? by("troubled-files") : by("sent-files");
    if (one.line.parentNode !== home) home.append(one.line);
    by("sending-troubles").hidden = !by("troubled-files").childElementCount;
    if (state !== "sending" && state !== "waits") one.sent = one.file.size;
    measure();
    tell();
  };

  const post = (address, data, onProgress) =>
    new Promise((resolve) => {
      const request = new XMLHttpRequest();
      request.open("POST", address);
      request.setRequestHeader("Accept", "application/json");
      request.upload.addEventListener("progress", (event) => onProgress?.(event));
      request.addEventListener("load", () => {
        const isJson = (request.getResponseHeader("Content-Type") || "").startsWith("application/json");
        resolve({ status: request.status, answer: isJson ? JSON.parse(request.responseText) : null });
      });
      for (const trouble of ["error", "abort", "timeout"]) {
        request.addEventListener(trouble, () => resolve({ status: 0, answer: null }));
      }
      request.send(data);
    });

  // Somebody who signed in again has another token.
  const renew = async () => {
    try {
      const answer = await fetch(send, { headers: { Accept: "application/json" }, redirect: "error" });
      said.set("csrfmiddlewaretoken", (await answer.json()).token);
    } catch {
      // Still signed out, or still no connection: sending again says so.
    }
  };

  const fail = (one, reason) => {
    broken += 1;
    set(one, "broken", reason);
    if (broken >= BREAKS) stopped = true;
  };

  const transfer = async (one) => {
    const data = new FormData();
    for (const [name, value] of said) data.append(name, value);
    data.append("originals", one.file, one.file.name);
    set(one, "sending");
    const bar = one.line.querySelector("progress");
    const { status, answer } = await post(send, data, (event) => {
      if (!event.lengthComputable) return;
      bar.value = (100 * event.loaded) / event.total;
      one.sent = Math.min(event.loaded, one.file.size);
      measure();
    });
    if (status === 0) return fail(one, "The connection broke. The file was not taken in.");
    if (status === 413) return set(one, "refused", "It is larger than the portal takes.");
    if (status >= 500) return fail(one, "The portal has a fault at the moment. Send it again in a while.");
    if (!answer) {
      return fail(one, "You are not signed in any more, or may not upload. Sign in in another window, then send it again.");
    }
    broken = 0;
    if (answer.document && status === 201) set(one, "taken");
    else if (answer.refused) set(one, "refused", answer.refused, answer.document);
    else set(one, "refused", Object.values(answer.faults || {}).flat().join(" ") || "It was refused.");
  };

  const finish = () => {
    const troubled = files.filter((one) => one.state === "broken" || one.state === "waits");
    by("sending-stopped").hidden = !stopped;
    by("sending-stopped").textContent = stopped
      ? "Several files in a row could not be sent, so that the rest waits. What was taken in is safe."
      : "";
    by("send-again").hidden = !troubled.length;
    by("send-again").textContent = stopped ? "Go on sending" : `Send ${troubled.length} again`;
    for (const id of ["watch", "upload-more"]) by(id).hidden = false;
    by("sending-left").hidden = true;
    if (files.every((one) => one.state === "taken")) location.assign(watch);
  };

  const work = async () => {
    if (active >= AT_ONCE) return;
    active += 1;
    for (;;) {
      const next = stopped ? null : files.find((one) => one.state === "waits");
      if (!next) break;
      await transfer(next);
    }
    active -= 1;
    if (!active) finish();
  };

  const start = () => {
    stopped = false;
    broken = 0;
    for (const id of ["send-again", "watch", "upload-more", "sending-stopped"]) by(id).hidden = true;
    by("sending-left").hidden = false;
    for (let worker = 0; worker < AT_ONCE; worker += 1) work();
  };

  const again = async (some) => {
    await renew();
    for (const one of some) {
      one.sent = 0;
      set(one, "waits");
    }
    start();
    by("sending-title").focus();
  };

  by("send-again").addEventListener("click", () => again(files.filter((one) => ["broken", "waits"].includes(one.state))));

  const prepare = () => {
    files = chosen.map(({ file, path }) => {
      const line = by("sent-file").content.firstElementChild.cloneNode(true);
      const one = { file, path, line, sent: 0, state: "waits" };
      line.querySelector(".sent-name").textContent = path;
      line.querySelector("progress").setAttribute("aria-label", path);
      line.querySelector("progress").hidden = true;
      line.querySelector("button").setAttribute("aria-label", `Retry ${path}`);
      line.querySelector("button").addEventListener("click", () => again([one]));
      return one;
    });
    by("sent-files").replaceChildren(...files.map((one) => one.line));
    for (const one of files) {
      if (one.file.size > Number(form.dataset.bytes)) {
        const most = Math.floor(Number(form.dataset.bytes) / 1024 / 1024);
        set(one, "refused", `It is larger than ${most} MB. Split it, or make it smaller.`);
      }
    }
    tell();
  };

  const mark = (faults) => {
    for (const old of form.querySelectorAll(".wrong")) old.remove();
    for (const old of form.querySelectorAll(".field-wrong")) old.classList.remove("field-wrong");
    let first = null;
    for (const [name, sentences] of Object.entries(faults)) {
      const control = form.elements[name === "announced" ? field.name : name];
      const marked = control instanceof RadioNodeList ? control[0] : control;
      const place = (marked || field).closest(".field");
      place.classList.add("field-wrong");
      for (const sentence of sentences) {
        const line = document.createElement("p");
        line.className = "wrong";
        line.textContent = sentence;
        place.append(line);
      }
      first = first || marked || field;
    }
    first?.focus();
  };

  const idle = (label) => {
    button.textContent = label;
    button.disabled = false;
  };

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (!chosen.length) return field.focus();
    const label = button.textContent;
    button.textContent = button.dataset.busy;
    button.disabled = true;
    said = new FormData(form);
    said.delete(field.name);
    const first = new FormData();
    for (const [name, value] of said) first.append(name, value);
    first.append("announced", chosen.length);
    const { status, answer } = await post(form.dataset.begin, first);
    idle(label);
    if (answer?.faults) return mark(answer.faults);
    if (status !== 201) {
      return mark({ [field.name]: ["The portal did not answer, or you are not signed in any more. Nothing was sent."] });
    }
    send = answer.send;
    watch = by("watch").href = answer.watch;
    prepare();
    form.hidden = true;
    by("sending").hidden = false;
    by("sending-title").focus();
    start();
  });

  // While anything is under way the browser asks before the page is left.
  window.addEventListener("beforeunload", (event) => {
    if (active) event.preventDefault();
  });
  window.addEventListener("pageshow", (event) => event.persisted && location.reload());
})();
