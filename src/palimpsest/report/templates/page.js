/* What pages do beyond their text: figures that answer to the mouse, tables that sort and filter. Without it they are complete. */
"use strict";
{
  const find = (selector, root = document) => [...root.querySelectorAll(selector)];
  const made = (tag, properties, ...children) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  };

  /* Figures: drawn when they come into view, in the colours of the page, as wide as it is. */

  const dark = matchMedia("(prefers-color-scheme: dark)");
  const narrow = 560;
  const wanted = (id) => document.getElementById(id)?.textContent;

  function specOf(name, width) {
    const text = wanted(`spec-${name}`);
    const colours = dark.matches ? JSON.parse(wanted("dark")) : {};
    const spec = JSON.parse(text.replace(/#[0-9a-f]{6}/gi, (colour) => colours[colour] ?? colour));
    const { rows, cell, tilted } = spec.usermeta ?? { rows: [] };
    rows.forEach(({ names, margin, width: usual, across, least }, place) => {
      const row = spec.vconcat[place];
      const fits = Math.floor((width - names) / (Math.min(usual, 190) + margin));
      row.columns = Math.max(1, Math.min(row.columns, width < narrow ? fits : Math.max(fits, 2)));
      const each = Math.floor((width - 14 - names) / row.columns) - margin - (row.columns > 1 ? 14 : 0);
      row.concat.forEach((panel, at) => {
        panel.width = Math.max(least, Math.min(each, Math.round(usual * 1.4)));
        if (across[at] > panel.width) Object.assign(panel.encoding.x.axis, tilted);
        /* Of dots the names stand at the left of the first plot alone. */
        if (panel.encoding.y.scale.reverse) panel.encoding.y.axis.labels = at % row.columns === 0;
      });
    });
    const legend = spec.vconcat?.[rows.length];
    if (legend) {
      const entries = legend.data.values.length;
      const columns = Math.max(1, Math.min(entries, Math.floor((width - 20) / cell)));
      const line = legend.height / Math.ceil(entries / spec.params[0].value);
      spec.params[0].value = columns;
      Object.assign(legend, { width: columns * cell, height: Math.ceil(entries / columns) * line });
    }
    return spec;
  }

  async function draw(figure) {
    const card = figure.querySelector(".card");
    const live = card.querySelector(".live");
    const look = getComputedStyle(card);
    const width = Math.round(card.clientWidth - parseFloat(look.paddingLeft) - parseFloat(look.paddingRight));
    if (!width || live.dataset.drawn === `${width}${dark.matches}`) return;
    live.dataset.drawn = `${width}${dark.matches}`;
    live.view?.finalize();
    const theme = dark.matches ? "dark" : "light";
    /* `ast` interprets expressions: the page's policy lets no text become code. */
    const options = { ast: true, actions: false, renderer: "svg", tooltip: { theme } };
    const { view } = await vegaEmbed(live, specOf(figure.dataset.figure, width), options);
    live.view = view;
    figure.classList.add("drawn");
    for (const entry of find("g.legend_marks > path", live)) {
      const hide = (event) => {
        if (event.key !== "Enter" && event.key !== " ") return;
        event.preventDefault();
        entry.dispatchEvent(new MouseEvent("click", { bubbles: true }));
      };
      entry.setAttribute("tabindex", "0");
      entry.setAttribute("role", "button");
      entry.setAttribute("aria-label", `Hide or show ${entry.__data__.datum.label}`);
      entry.addEventListener("keydown", hide);
    }
  }

  function save(url, name) {
    made("a", { href: url, download: name }).click();
  }

  function savePicture(image, name) {
    const scale = 2;
    const canvas = made("canvas", { width: image.naturalWidth * scale, height: image.naturalHeight * scale });
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    save(canvas.toDataURL("image/png"), name);
  }

  const hint = "Drag to move, Ctrl and wheel to zoom, double-click to reset.";
  const figures = find("figure[data-figure]");
  const seen = new IntersectionObserver(
    (entries) => entries.filter((entry) => entry.isIntersecting).forEach((entry) => draw(entry.target)),
    { rootMargin: "200px" },
  );
  for (const figure of figures) {
    const image = figure.querySelector("img");
    const name = figure.dataset.figure;
    const links = figure.querySelector(".downloads");
    const hides = wanted(`spec-${name}`).includes('"filter":{"not":');
    const button = (text, action) => made("button", { type: "button", className: "download", textContent: text, onclick: action });
    links.append(
      button("SVG", () => save(image.src, `${name}.svg`)), " ",
      button("PNG", () => savePicture(image, `${name}.png`)),
      made("small", { textContent: ` ${hides ? "Click a model in the legend to hide it. " : ""}${hint}` }),
    );
    links.hidden = false;
    seen.observe(figure);
  }
  const redraw = () => figures.filter((figure) => figure.classList.contains("drawn")).forEach(draw);
  dark.addEventListener("change", redraw);
  let waiting;
  addEventListener("resize", () => {
    clearTimeout(waiting);
    waiting = setTimeout(redraw, 200);
  });

  /* Tables. */

  const text = (cell) => [...cell.childNodes].filter((node) => node.nodeName !== "SMALL").map((node) => node.textContent).join("").trim();

  function number(cell) {
    if (cell.dataset.value !== undefined) return parseFloat(cell.dataset.value);
    const found = text(cell).replace(/\u2212/g, "-").replace(/[≤,\s\u00a0]/g, "").match(/^[+-]?\d+\.?\d*(e[+-]?\d+)?/i);
    return found ? Number(found[0]) : NaN;
  }

  /* The heads of the columns, left to right: of two rows those of the lower one, and those that span both. */
  function headsOf(table) {
    const [upper, lower] = table.tHead.rows;
    const below = lower ? [...lower.cells] : [];
    return [...upper.cells].flatMap((head) => (lower && head.rowSpan === 1 ? below.splice(0, head.colSpan) : [head]));
  }

  function sortable(table) {
    const heads = headsOf(table);
    const body = table.tBodies[0];
    const original = [...body.rows];
    const whole = original.filter((row) => row.cells.length === heads.length);
    const rest = original.filter((row) => row.cells.length !== heads.length);
    if (whole.length < 2) return;
    heads.forEach((head, column) => {
      const numbers = whole.map((row) => number(row.cells[column]));
      const filled = whole.filter((row) => !["", "–"].includes(text(row.cells[column]))).length;
      const numeric = column > 0 && numbers.filter((each) => !isNaN(each)).length >= Math.max(1, filled * 0.8);
      const key = (row) => (numeric ? number(row.cells[column]) : text(row.cells[column]));
      const missing = (value) => (numeric ? isNaN(value) : value === "" || value === "–");
      const compare = (a, b) => (numeric ? a - b : a.localeCompare(b, "en", { numeric: true }));
      const button = made("button", { type: "button", className: "sort", title: "Sort" }, ...head.childNodes);
      head.replaceChildren(button);
      head.setAttribute("aria-sort", "none");
      button.onclick = () => {
        const next = { none: "ascending", ascending: "descending", descending: "none" }[head.getAttribute("aria-sort")];
        heads.forEach((each) => each.setAttribute("aria-sort", "none"));
        head.setAttribute("aria-sort", next);
        const sign = next === "descending" ? -1 : 1;
        const order = (first, second) => {
          const [a, b] = [key(first), key(second)];
          return missing(a) - missing(b) || (missing(a) ? 0 : sign * compare(a, b));
        };
        body.append(...(next === "none" ? original : [...whole].sort(order).concat(rest)));
      };
    });
  }

  function filterable(table) {
    const rows = [...table.tBodies[0].rows];
    if (rows.length < 5) return;
    const count = made("output", {});
    const field = made("input", { type: "search", placeholder: "Filter rows" });
    field.setAttribute("aria-label", `Filter rows: ${table.getAttribute("aria-label")}`);
    field.oninput = () => {
      const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
      rows.forEach((row) => (row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word))));
      count.textContent = words.length ? `${rows.filter((row) => !row.hidden).length} of ${rows.length}` : "";
    };
    table.closest(".scroll").before(made("p", { className: "filter" }, field, " ", count));
  }

  for (const table of find("table.data")) {
    sortable(table);
    filterable(table);
  }
}
