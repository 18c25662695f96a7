// The pages of a PDF in a document's page: opens them at the passage that was found. Runs before the page is painted,
// so that its text does not flash by; whatever goes wrong, the text is what is read.
"use strict";

(() => {
  const { ViewerText, ViewerPages } = window;
  const whole = document.documentElement;
  whole.classList.add("viewing");

  // Bytes that are fetched at once; a page of print takes about a tenth of it.
  const STRETCH = 512 * 1024;
  // Pages that are printed from here; more are printed from the file.
  const MOST_PRINTED = 30;

  // Short pages, such as slides, are read several at once.
  const MOST_PAGES_OF_A_PASSAGE = 40;

  const the = (id) => document.getElementById(id);

  document.addEventListener("DOMContentLoaded", () => {
    start().catch((error) => {
      console.info("the pages are not shown", error);
      readAsText(error);
    });
  });

  /** Say why the pages are not shown, and show the text. */
  function readAsText(error) {
    const { broken, locked, refused } = the("viewer").dataset;
    const trouble = the("viewer-trouble");
    const away = error?.status === 429 || error?.status >= 500;
    trouble.textContent = error?.name === "PasswordException" ? locked : away ? refused : broken;
    trouble.hidden = false;
    whole.classList.remove("viewing");
    the("viewer").hidden = true;
    for (const tool of document.querySelectorAll("[data-viewer]")) { tool.hidden = true; }
    the("passage")?.scrollIntoView({ block: "start" });
  }

  async function start() {
    const viewer = the("viewer");
    const { dataset } = viewer;
    const column = the("viewer-pages");
    const field = the("page-number");
    viewer.hidden = false;

    const pdfjs = await import(dataset.script);
    const address = new URL(dataset.worker, location.href).href;
    const policy = window.trustedTypes?.createPolicy("viewer", {
      createScriptURL(asked) {
        if (asked !== address) { throw new TypeError("only the viewer's own worker"); }
        return asked;
      },
    });
    pdfjs.GlobalWorkerOptions.workerPort = new Worker(policy ? policy.createScriptURL(address) : address, { type: "module" });

    const part = (name) => new URL(`${dataset.parts}${name}/`, location.href).href;
    const pdf = await pdfjs.getDocument({
      url: new URL(dataset.file, location.href).href,
      rangeChunkSize: STRETCH,
      disableAutoFetch: true,
      disableStream: true,
      disableWorkerRendering: true,
      cMapUrl: part("cmaps"),
      standardFontDataUrl: part("standard_fonts"),
      iccUrl: part("iccs"),
      wasmUrl: part("wasm"),
      enableXfa: false,
      verbosity: 0,
    }).promise;

    const { passage } = dataset;
    const opened = Math.min(Number(dataset.page), pdf.numPages);
    let landing = opened;
    const sought = () => the("sought").value.trim();
    // What the places are of that are shown, and which of them was gone to.
    let asked = the("places").childElementCount ? sought() : "";
    let place = -1;
    const firstAddress = location.href;
    const firstText = the("as-text").href;
    const marksPassage = () => Boolean(passage) && !asked;

    const pages = new ViewerPages({
      pdfjs, pdf, column, name: dataset.pageName, first: await pdf.getPage(opened), onPage: turned, onDrawn: mark,
    });
    the("page-total").textContent = pdf.numPages;
    for (const tool of document.querySelectorAll("[data-viewer]")) { tool.hidden = false; }
    if (the("places").childElementCount && !dataset.passage) {
      // Somebody looked for something: where it stands is read first.
      landing = null;
    } else {
      pages.go(opened);
    }
    turned(opened);
    viewer.dataset.ready = "yes";
    // Whoever scrolls themselves is not taken anywhere any more.
    for (const kind of ["wheel", "touchmove", "keydown", "pointerdown"]) {
      window.addEventListener(kind, () => { landing = null; }, { once: true, passive: true });
    }

    /** A page was turned to: its number in the field, in the address, and for whoever listens. */
    function turned(number) {
      field.value = number;
      the("page-before").disabled = number === 1;
      the("page-after").disabled = number === pdf.numPages;
      the("zoom-level").textContent = `${Math.round(100 * pages.shownSize)} %`;
      the("zoom-fit").setAttribute("aria-pressed", String(pages.size === null));
      const marked = number === opened && marksPassage() ? `, ${dataset.marked}` : "";
      the("viewer-status").textContent = `${dataset.pageName} ${number} / ${pdf.numPages}${marked}`;
      history.replaceState(history.state, "", placed(firstAddress, number, ""));
      the("as-text").href = placed(firstText, number, `page-${number}`);
    }

    /** An address for the page that is read: as it was for the one that was opened, passage and all. */
    function placed(first, number, anchor) {
      const place = new URL(first);
      if (number !== opened) {
        place.searchParams.set("page", number);
        place.searchParams.delete("passage");
        place.hash = anchor;
      }
      if (asked) { place.searchParams.set("in", asked); }
      return place;
    }

    /** Mark what is looked for in a page that was drawn, else the passage that was found. */
    function mark(box) {
      const layer = box.querySelector(".viewer-marks");
      const number = Number(box.dataset.number);
      const text = ViewerText.pageOf(box.words);
      const looking = asked;
      // A passage may run on into the next page.
      const near = passage && (number === opened || number === opened + 1);
      const stretches = looking ? ViewerText.everywhere(text, looking) : near ? ViewerText.passage(text, passage) : [];
      const frame = box.getBoundingClientRect();
      const marks = [];
      for (const stretch of stretches) {
        for (const range of ViewerText.ranges(text, stretch)) {
          for (const { left, top, width, height } of range.getClientRects()) {
            const one = document.createElement("div");
            one.style.left = `${100 * (left - frame.left) / frame.width}%`;
            one.style.top = `${100 * (top - frame.top) / frame.height}%`;
            one.style.width = `${100 * width / frame.width}%`;
            one.style.height = `${100 * height / frame.height}%`;
            marks.push(one);
          }
        }
      }
      layer.replaceChildren(...marks);
      if (number === landing) {
        landing = null;
        (marks[0] || box).scrollIntoView({ block: "start" });
      }
    }

    /** Open a page, at what is marked there. A passage may begin some pages before what is looked for in it. */
    async function open(wanted) {
      let number = wanted;
      for (let next = wanted; asked && next < wanted + MOST_PAGES_OF_A_PASSAGE && next <= pdf.numPages; next += 1) {
        const { items } = await (await pdf.getPage(next)).getTextContent();
        if (ViewerText.holds(items.map((one) => one.str ?? "").join(""), asked)) {
          number = next;
          break;
        }
      }
      landing = number;
      pages.go(number);
      const box = pages.boxes[number - 1];
      if (box?.classList.contains("drawn")) { mark(box); }
    }

    the("page-before").addEventListener("click", () => pages.go(pages.number - 1));
    the("page-after").addEventListener("click", () => pages.go(pages.number + 1));
    the("zoom-in").addEventListener("click", () => pages.zoom(1));
    the("zoom-out").addEventListener("click", () => pages.zoom(-1));
    the("zoom-fit").addEventListener("click", () => pages.resize(null));
    field.addEventListener("focus", () => field.select());
    field.addEventListener("change", () => {
      const number = Number.parseInt(field.value, 10);
      if (number) { pages.go(number); }
      field.value = pages.number;
    });
    field.addEventListener("keydown", (event) => {
      if (event.key === "Enter") { field.dispatchEvent(new Event("change")); }
    });
    const keys = {
      "ArrowLeft": () => pages.go(pages.number - 1),
      "ArrowRight": () => pages.go(pages.number + 1),
      "+": () => pages.zoom(1),
      "=": () => pages.zoom(1),
      "-": () => pages.zoom(-1),
      "0": () => pages.resize(null),
    };
    column.addEventListener("keydown", (event) => {
      if (event.target === column && keys[event.key] && !event.ctrlKey && !event.metaKey && !event.altKey) {
        event.preventDefault();
        keys[event.key]();
      }
    });

    // Sections and places open in the pages that are here already.
    document.addEventListener("click", (event) => {
      const link = event.target.closest("a[data-page]");
      if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
        event.preventDefault();
        open(Number(link.dataset.page));
        column.focus({ preventScroll: true });
      }
    });

    the("find-in").addEventListener("submit", async (event) => {
      event.preventDefault();
      const links = () => [...the("places").querySelectorAll("a[data-page]")];
      if (sought() === asked && links().length) {
        place = (place + 1) % links().length;
      } else {
        const here = new URL(location.href);
        here.hash = "";
        here.searchParams.set("in", sought());
        const answer = await fetch(here);
        if (!answer.ok) { location.assign(here); return; }
        const found = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("places");
        the("places").replaceChildren(...found.childNodes);
        asked = sought();
        turned(pages.number);
        the("viewer-status").textContent = the("places-heading")?.textContent ?? "";
        place = Math.max(0, links().findIndex((link) => Number(link.dataset.page) >= pages.number));
        for (const box of pages.drawn.keys()) { if (box.words) { mark(box); } }
      }
      const link = links()[place];
      if (link) {
        for (const one of links()) { one.removeAttribute("aria-current"); }
        link.setAttribute("aria-current", "true");
        the("found-at").textContent = `${place + 1} / ${links().length}`;
        open(Number(link.dataset.page));
      } else {
        the("found-at").textContent = "";
        the("places").scrollIntoView({ block: "start" });
      }
    });

    the("print-pages").addEventListener("click", async () => {
      if (pdf.numPages > MOST_PRINTED) {
        the("viewer-trouble").textContent = dataset.tooLong;
        the("viewer-trouble").hidden = false;
        the("viewer-trouble").scrollIntoView({ block: "center" });
        return;
      }
      const sheets = document.createElement("div");
      sheets.className = "viewer-sheets";
      for (let number = 1; number <= pdf.numPages; number += 1) {
        const page = await pdf.getPage(number);
        const viewport = page.getViewport({ scale: 2 });
        const canvas = document.createElement("canvas");
        canvas.width = viewport.width;
        canvas.height = viewport.height;
        await page.render({ canvas, viewport, intent: "print" }).promise;
        sheets.append(canvas);
      }
      document.body.append(sheets);
      whole.classList.add("printing");
      window.addEventListener("afterprint", () => {
        whole.classList.remove("printing");
        sheets.remove();
      }, { once: true });
      window.print();
    });
  }
})();
