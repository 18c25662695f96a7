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
  const SIGNED_OUT = "You are not signed in any more, so that the rest waits. What was taken in is safe.";
  const MOST = Number(form.dataset.bytes);
  const isTooLarge = ({ file }) => file.size > MOST;

  let send, watch, said; // where each file goes, the page to go to afterwards, and what is said about all of them
  let files = [];
  let active = 0;
  let broken = 0;
  let stopped = ""; // why the rest waits for the person
  let begun = 0; // when sending began, or went on, and how much was sent already
  let before = 0;

  const SMALLEST = 64 * 1024; // what a request costs besides its file, in bytes that could be sent meanwhile

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

  const weight = (one) => (one.never ? 0 : one.file.size + SMALLEST);
  const done = () => files.reduce((sum, one) => sum + weight(one) * one.sent, 0);

  const timeLeft = (rest) => {
    const seconds = (performance.now() - begun) / 1000;
    const speed = (done() - before) / seconds;
    if (seconds < 3 || !(speed > 0)) return "";
    const minutes = rest / speed / 60;
    if (minutes < 1) return "less than a minute left";
    const [count, unit] = minutes < 90 ? [minutes, "minute"] : [minutes / 60, "hour"];
    return `about ${Math.round(count)} ${unit}${Math.round(count) === 1 ? "" : "s"} left`;
  };

  const measure = () => {
    const whole = files.reduce((sum, one) => sum + weight(one), 0) || 1;
    const sent = done();
    by("sending-bar").max = whole;
    by("sending-bar").value = Math.min(sent, whole);
    const left = timeLeft(whole - sent);
    by("sending-time").textContent = `${Math.floor((100 * sent) / whole)} %${left ? `, ${left}` : ""}.`;
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
    if (state === "taken" || state === "refused") one.sent = 1;
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

  // Whether the person is signed in. Somebody who signed in again has another token. Not known without a connection.
  const renew = async () => {
    try {
      const answer = await fetch(send, { headers: { Accept: "application/json" }, redirect: "manual" });
      if (answer.ok) said.set("csrfmiddlewaretoken", (await answer.json()).token);
      return answer.ok;
    } catch {
      return null;
    }
  };

  const fail = (one, reason) => {
    broken += 1;
    set(one, "broken", reason);
    if (broken >= BREAKS) {
      stopped = stopped || "Several files in a row could not be sent, so that the rest waits. What was taken in is safe.";
    }
  };

  // Whoever is signed out need not do more than sign in again, in whichever window: then it goes on by itself.
  const awaitSignIn = async () => {
    if (stopped !== SIGNED_OUT) return;
    if (active || !(await renew())) setTimeout(awaitSignIn, 3000);
    else start();
  };

  const transfer = async (one, isSecond = false) => {
    const data = new FormData();
    for (const [name, value] of said) data.append(name, value);
    data.append("originals", one.file, one.file.name);
    set(one, "sending");
    const bar = one.line.querySelector("progress");
    const { status, answer } = await post(send, data, (event) => {
      if (!event.lengthComputable) return;
      bar.value = (100 * event.loaded) / event.total;
      one.sent = event.loaded / event.total;
      measure();
    });
    one.sent = 0;
    if (status === 0) return fail(one, "The connection broke. The file was not taken in.");
    if (status >= 500) return fail(one, answer?.away || "The portal has a fault at the moment. Send it again in a while.");
    if (!answer) {
      // Strangers are told 413 or 403 too, or are led to the sign-in page.
      const isSignedIn = await renew();
      if (isSignedIn === null) return fail(one, "The connection broke. The file was not taken in.");
      if (!isSignedIn) {
        stopped = SIGNED_OUT;
        return set(one, "waits");
      }
      if (status === 413) return set(one, "refused", "It is larger than the portal takes.");
      if (!isSecond) return transfer(one, true);
      return fail(one, "You may not upload any more. Ask an administrator.");
    }
    broken = 0;
    if (answer.document && status === 201) set(one, "taken");
    else if (answer.refused) set(one, "refused", answer.refused, answer.document);
    else set(one, "refused", Object.values(answer.faults || {}).flat().join(" ") || "It was refused.");
  };

  const finish = async () => {
    const troubled = files.filter((one) => one.state === "broken" || one.state === "waits");
    by("sending-stopped").hidden = !stopped;
    by("sending-why").textContent = stopped;
    by("sign-in-again").hidden = stopped !== SIGNED_OUT;
    if (stopped === SIGNED_OUT) awaitSignIn();
    by("send-again").hidden = !troubled.length;
    by("send-again").textContent = stopped ? "Go on sending" : `Send ${troubled.length} again`;
    for (const id of ["watch", "upload-more"]) by(id).hidden = false;
    by("sending-left").hidden = true;
    if (troubled.length) return;
    const last = new FormData();
    last.append("csrfmiddlewaretoken", said.get("csrfmiddlewaretoken"));
    last.append("finished", "1");
    await post(send, last);
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
    stopped = "";
    broken = 0;
    begun = performance.now();
    before = done();
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
    for (const one of files.filter(isTooLarge)) {
      one.never = true;
      set(one, "refused", `It is larger than ${Math.floor(MOST / 1024 / 1024)} MB. Split it, or make it smaller.`);
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
    for (const one of chosen.filter(isTooLarge)) first.append("too_large", one.file.name);
    const { status, answer } = await post(form.dataset.begin, first);
    idle(label);
    if (answer?.faults) return mark(answer.faults);
    if (status !== 201) {
      return mark({ [field.name]: ["The portal did not answer, or you are not signed in any more. Nothing was sent."] });
    }
    send = answer.send;
    watch = by("watch").href = answer.watch;
    by("sign-in-again").href += `?next=${encodeURIComponent(watch)}`;
    prepare();
    form.hidden = true;
    by("sending").hidden = false;
    by("sending-title").focus();
    start();
  });

  // While anything is under way, or waits to be sent again, the browser asks before the page is left.
  window.addEventListener("beforeunload", (event) => {
    if (active || files.some((one) => ["waits", "broken"].includes(one.state))) event.preventDefault();
  });
  window.addEventListener("pageshow", (event) => event.persisted && location.reload());
})();
