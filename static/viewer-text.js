// Where a text stands in the text of a page: by its letters and digits alone, so that line breaks, hyphens, marks of
// headings and tables, case and accents make no difference. Knows nothing of PDF.
"use strict";

window.ViewerText = (() => {
  const LETTER = /[\p{L}\p{N}]/u;
  const SPACELESS = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]/u;
  // Letters of a piece of a passage that must stand in the page for it to count: fewer are found by chance.
  const PIECE = 24;
  const SPACELESS_PIECE = 8;

  /** The letters of a text, and for each the index in the text of the character that it comes from. */
  function letters(text) {
    let found = "";
    const at = [];
    let place = 0;
    for (const character of text) {
      for (const one of character.normalize("NFKD").toLowerCase()) {
        if (LETTER.test(one)) {
          found += one;
          // Letters beyond the first plane are two units of a string.
          for (let unit = 0; unit < one.length; unit += 1) { at.push(place); }
        }
      }
      place += character.length;
    }
    return { text: found, at };
  }

  /** Stretches [first, end) of letters of the page in which all of `wanted` stands, each time that it does. */
  function everywhere(page, wanted) {
    const sought = letters(wanted).text;
    const stretches = [];
    if (!sought) { return stretches; }
    for (let at = page.text.indexOf(sought); at !== -1; at = page.text.indexOf(sought, at + sought.length)) {
      stretches.push([at, at + sought.length]);
    }
    return stretches;
  }

  /** Whether all of `wanted` stands in a text. */
  function holds(text, wanted) {
    return letters(text).text.includes(letters(wanted).text);
  }

  /** Stretches of the page that belong to a passage, which may have been read in another order, or begin or end on
   * another page: the whole of it, else those of its pieces that stand here. */
  function passage(page, wanted) {
    const sought = letters(wanted).text;
    if (!sought) { return []; }
    const whole = page.text.indexOf(sought);
    if (whole !== -1) { return [[whole, whole + sought.length]]; }
    const size = SPACELESS.test(wanted) ? SPACELESS_PIECE : PIECE;
    const stretches = [];
    for (let first = 0; first + size <= sought.length; first += size / 2) {
      const at = page.text.indexOf(sought.slice(first, first + size));
      if (at !== -1) { stretches.push([at, at + size]); }
    }
    return merged(stretches, size);
  }

  /** The same in order, joined where no more than `gap` letters lie between them. */
  function merged(stretches, gap) {
    const joined = [];
    for (const [first, end] of stretches.sort((one, other) => one[0] - other[0])) {
      const last = joined[joined.length - 1];
      if (last && first - last[1] <= gap) {
        last[1] = Math.max(last[1], end);
      } else {
        joined.push([first, end]);
      }
    }
    return joined;
  }

  /** The letters of a page, of all its text nodes together, and the node and the place in it of each. */
  function pageOf(nodes) {
    const page = { text: "", nodes: [], at: [] };
    for (const node of nodes) {
      const found = letters(node.data);
      page.text += found.text;
      for (const place of found.at) {
        page.nodes.push(node);
        page.at.push(place);
      }
    }
    return page;
  }

  /** One range for each text node that the stretch runs through. */
  function ranges(page, [first, end]) {
    const found = [];
    for (let index = first; index < end; index += 1) {
      const node = page.nodes[index];
      const place = page.at[index];
      const after = place + String.fromCodePoint(node.data.codePointAt(place)).length;
      let range = found[found.length - 1];
      if (!range || range.startContainer !== node) {
        range = document.createRange();
        range.setStart(node, place);
        found.push(range);
      }
      range.setEnd(node, after);
    }
    return found;
  }

  return { everywhere, holds, passage, pageOf, ranges };
})();
