// The pages of a PDF as a column: a box for each, drawn when it comes near to what is seen, emptied when it is far.
// Drawing itself is PDF.js'.
"use strict";

window.ViewerPages = (() => {
  // Windows' heights around the window in which pages are drawn.
  const NEAR = 1;
  // Pages that stay drawn; those farthest from the one that is read are emptied.
  const KEPT = 12;
  // Points are 1/72 inch, pixels of a style sheet 1/96.
  const PIXELS_A_POINT = 96 / 72;
  const SIZES = [0.5, 0.67, 0.8, 0.9, 1, 1.1, 1.25, 1.5, 2, 3, 4];
  // Phones refuse larger canvases.
  const MOST_PIXELS = 12_000_000;

  return class ViewerPages {
    /** `options`: `pdfjs`, `pdf` (an open document), `column` (an element), `first` (a page that is loaded), `name`
     * (of a page, translated), `onPage(number)`, `onDrawn(box)`. */
    constructor(options) {
      Object.assign(this, options);
      this.size = null;
      this.number = this.first.pageNumber;
      this.wanted = new Set();
      this.drawn = new Map();
      this.drawing = null;
      this.boxes = Array.from({ length: this.pdf.numPages }, (_, index) => this.#box(index + 1));
      this.column.replaceChildren(...this.boxes);
      this.#shape(this.boxes[this.number - 1], this.first);
      this.watcher = new IntersectionObserver((changes) => this.#seen(changes), { rootMargin: `${NEAR * 100}% 0px` });
      for (const box of this.boxes) { this.watcher.observe(box); }
      let asked = false;
      window.addEventListener("scroll", () => {
        if (asked) { return; }
        asked = true;
        requestAnimationFrame(() => { asked = false; this.#follow(); });
      }, { passive: true });
      let width = this.column.clientWidth;
      new ResizeObserver(() => {
        if (Math.abs(this.column.clientWidth - width) > 2) {
          width = this.column.clientWidth;
          this.#redraw();
        }
      }).observe(this.column);
    }

    /** The size of the page that is read: 1 is its own. */
    get shownSize() {
      return this.boxes[this.number - 1].clientWidth / (this.#points(this.number) * PIXELS_A_POINT);
    }

    /** Go to a page. */
    go(number) {
      const wanted = Math.min(Math.max(1, number), this.pdf.numPages);
      this.boxes[wanted - 1].scrollIntoView({ block: "start" });
      this.#turn(wanted);
    }

    /** One size larger (1) or smaller (-1). */
    zoom(step) {
      const now = this.shownSize;
      const sizes = step > 0 ? SIZES.filter((size) => size > now * 1.02) : SIZES.filter((size) => size < now * 0.98);
      if (sizes.length) { this.resize(step > 0 ? sizes[0] : sizes[sizes.length - 1]); }
    }

    /** Show pages in this size, or as wide as the column (null). */
    resize(size) {
      this.size = size;
      this.#redraw();
    }

    #box(number) {
      const box = document.createElement("div");
      box.className = "viewer-page";
      box.dataset.number = number;
      box.setAttribute("role", "group");
      box.setAttribute("aria-label", `${this.name} ${number}`);
      this.#shape(box, this.first);
      return box;
    }

    /** A box has the shape of its page; until that is known, of the one that was opened. */
    #shape(box, page) {
      const { width, height } = page.getViewport({ scale: 1 });
      box.points = width;
      box.style.aspectRatio = `${width} / ${height}`;
      box.style.width = this.size ? `${width * PIXELS_A_POINT * this.size}px` : "";
    }

    #points(number) {
      return this.boxes[number - 1].points;
    }

    #seen(changes) {
      for (const { target, isIntersecting } of changes) {
        if (isIntersecting) { this.wanted.add(target); } else { this.wanted.delete(target); }
      }
      this.#follow();
    }

    /** Which page is read: the one at a third of the window's height. */
    #follow() {
      const line = window.innerHeight / 3;
      for (const box of this.wanted) {
        const { top, bottom } = box.getBoundingClientRect();
        if (top <= line && bottom > line) { this.#turn(Number(box.dataset.number)); }
      }
      this.#draw();
    }

    #turn(number) {
      if (number !== this.number) {
        this.number = number;
        this.onPage(number);
      }
    }

    #redraw() {
      const anchor = this.boxes[this.number - 1];
      const { top, height } = anchor.getBoundingClientRect();
      const share = height ? top / height : 0;
      for (const box of this.drawn.keys()) { this.#empty(box); }
      for (const box of this.boxes) { box.style.width = this.size ? `${box.points * PIXELS_A_POINT * this.size}px` : ""; }
      const now = anchor.getBoundingClientRect();
      window.scrollBy(0, now.top - share * now.height);
      this.onPage(this.number);
      this.#draw();
    }

    /** Draw what is wanted, one page after the other, the nearest to what is read first. */
    async #draw() {
      if (this.drawing) { return; }
      const distance = (box) => Math.abs(Number(box.dataset.number) - this.number);
      const next = [...this.wanted].filter((box) => !this.drawn.has(box)).sort((a, b) => distance(a) - distance(b))[0];
      if (!next) { return; }
      const state = { tasks: [] };
      this.drawn.set(next, state);
      this.drawing = next;
      try {
        await this.#drawPage(next, state);
      } catch (error) {
        if (!state.dropped) { next.classList.add("undrawn"); console.info("a page cannot be drawn", error); }
      } finally {
        this.drawing = null;
      }
      const far = [...this.drawn.keys()].filter((box) => !this.wanted.has(box)).sort((a, b) => distance(b) - distance(a));
      for (const box of far.slice(0, Math.max(0, this.drawn.size - KEPT))) { this.#empty(box); }
      this.#draw();
    }

    async #drawPage(box, state) {
      const page = await this.pdf.getPage(Number(box.dataset.number));
      if (state.dropped) { return; }
      this.#shape(box, page);
      const scale = box.clientWidth / page.getViewport({ scale: 1 }).width;
      const viewport = page.getViewport({ scale });
      const sharpness = Math.min(
        window.devicePixelRatio || 1, Math.sqrt(MOST_PIXELS / (viewport.width * viewport.height)),
      );
      const canvas = document.createElement("canvas");
      canvas.setAttribute("aria-hidden", "true");
      canvas.width = Math.floor(viewport.width * sharpness);
      canvas.height = Math.floor(viewport.height * sharpness);
      const drawing = page.render({ canvas, viewport, transform: [sharpness, 0, 0, sharpness, 0, 0] });
      state.tasks.push(drawing);
      const text = document.createElement("div");
      text.className = "textLayer";
      text.style.setProperty("--total-scale-factor", scale);
      const layer = new this.pdfjs.TextLayer({ textContentSource: page.streamTextContent(), container: text, viewport });
      state.tasks.push(layer);
      const marks = document.createElement("div");
      marks.className = "viewer-marks";
      const links = document.createElement("div");
      links.className = "viewer-links";
      box.replaceChildren(canvas, marks, text, links);
      await Promise.all([drawing.promise, layer.render()]);
      for (const annotation of await page.getAnnotations()) {
        const link = annotation.subtype === "Link" && this.#link(annotation);
        if (link) {
          const [x1, y1, x2, y2] = annotation.rect;
          const corners = [...viewport.convertToViewportPoint(x1, y1), ...viewport.convertToViewportPoint(x2, y2)];
          this.#place(link, corners, viewport);
          links.append(link);
        }
      }
      box.words = layer.textDivs.flatMap((one) => [...one.childNodes]).filter((node) => node.nodeType === Node.TEXT_NODE);
      box.classList.add("drawn");
      this.onDrawn(box);
    }

    /** A link of the page: to the web in a window of its own, or to another page. What else PDF can do is left out. */
    #link({ url, dest }) {
      const link = document.createElement("a");
      if (url && /^(https?|mailto):/i.test(url)) {
        link.href = url;
        link.target = "_blank";
        link.rel = "noopener noreferrer nofollow";
        link.title = url;
        link.setAttribute("aria-label", url);
      } else if (dest) {
        link.href = "#viewer";
        link.setAttribute("aria-label", this.name);
        link.addEventListener("click", async (event) => {
          event.preventDefault();
          const found = typeof dest === "string" ? await this.pdf.getDestination(dest) : dest;
          if (found?.[0]) { this.go(await this.pdf.getPageIndex(found[0]) + 1); }
        });
      } else {
        return null;
      }
      return link;
    }

    #place(element, [x1, y1, x2, y2], { width, height }) {
      element.style.left = `${100 * Math.min(x1, x2) / width}%`;
      element.style.top = `${100 * Math.min(y1, y2) / height}%`;
      element.style.width = `${100 * Math.abs(x2 - x1) / width}%`;
      element.style.height = `${100 * Math.abs(y2 - y1) / height}%`;
    }

    #empty(box) {
      const state = this.drawn.get(box);
      state.dropped = true;
      for (const task of state.tasks) { task.cancel(); }
      this.drawn.delete(box);
      const canvas = box.querySelector("canvas");
      // Some browsers keep its memory until somebody collects it.
      if (canvas) { canvas.width = canvas.height = 0; }
      box.replaceChildren();
      box.words = null;
      box.classList.remove("drawn", "undrawn");
    }
  };
})();
