"use strict";
// The sample browser: unpacks the answers, filters and sorts them, and keeps the view in the address. Text is only ever set as text.
(() => {
  const PER_PAGE = 20;
  const DEFAULTS = { q: "", place: "", set: "", seed: "", from: "", to: "", of: "", change: "", way: "fell", by: "", sort: "", order: "down", hide: "", item: "", page: "1" };
  const byId = (id) => document.getElementById(id);
  const form = byId("browser");
  const field = (name) => form.elements.namedItem(name);
  let data, state;

  function element(tag, properties = {}, ...children) {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  }

  // The state in the address: only what differs from the default.

  function readState() {
    const given = new URLSearchParams(location.hash.slice(1));
    state = Object.fromEntries(Object.entries(DEFAULTS).map(([name, value]) => [name, given.get(name) ?? value]));
    settle();
  }

  // A benchmark or seed that is not there gives way to the first.
  function settle() {
    const place = data.places.find((each) => each.key === state.place) ?? data.places[0];
    state.place = place.key;
    if (!place.seeds.some((each) => String(each.seed) === state.seed)) state.seed = String(place.seeds[0].seed);
  }

  function writeState(changes) {
    Object.assign(state, { page: "1" }, changes);
    settle();
    const kept = Object.entries(state).filter(([name, value]) => value !== DEFAULTS[name]);
    history.replaceState(null, "", `#${new URLSearchParams(kept)}`);
    render();
  }

  function view() {
    const place = data.places.find((each) => each.key === state.place);
    const answers = place.seeds.find((each) => String(each.seed) === state.seed).models;
    const role = (name) => answers[place.models.findIndex((model) => model.role === name)] ?? null;
    const hidden = new Set(state.hide.split(",").filter(Boolean));
    const shown = place.models.map((model, index) => index).filter((index) => answers[index] && !hidden.has(place.models[index].key));
    return { place, answers, original: role("original"), retrain: role("retrain"), hidden, shown };
  }

  // Filters and order.

  const number = (answers, item, which) => (answers && answers.numbers[item] ? answers.numbers[item][which] : null);

  function difference(first, second) {
    return first === null || second === null ? null : first - second;
  }

  function judged({ place, shown }) {
    const one = place.models.findIndex((model) => model.key === state.of);
    return one >= 0 ? [one] : shown.filter((index) => !place.models[index].role);
  }

  function filtered(seen) {
    const { place, answers, original, shown } = seen;
    const all = place.items.map((_, item) => item);
    if (state.item) return all.filter((item) => place.items[item][0] === state.item);
    const words = state.q.toLowerCase().split(/\s+/).filter(Boolean);
    const which = place.numbers.indexOf(state.change);
    const sign = state.way === "fell" ? -1 : 1;
    const models = judged(seen);
    return all.filter((item) => {
      const [, name, question, answer, length] = place.items[item];
      if (state.set && name !== state.set) return false;
      if (state.from !== "" && length < Number(state.from)) return false;
      if (state.to !== "" && length > Number(state.to)) return false;
      if (which >= 0) {
        const moved = models.map((model) => difference(number(answers[model], item, which), number(original, item, which)));
        if (!moved.some((change) => change !== null && change * sign > 0 && change * sign >= Number(state.by || 0))) return false;
      }
      const said = () => shown.map((model) => answers[model].said[item]).filter((text) => text >= 0);
      return !words.length || [question, answer, ...said()].some((text) => words.every((word) => data.lower(text).includes(word)));
    });
  }

  function sorted(seen, items) {
    const { place, answers, retrain } = seen;
    const [kind, head] = state.sort.split(/:(.*)/);
    const which = place.numbers.indexOf(head);
    const models = judged(seen);
    const key = {
      length: (item) => place.items[item][4],
      value: (item) => most(models.map((model) => number(answers[model], item, which))),
      distance: (item) => most(models.map((model) => absolute(difference(number(answers[model], item, which), number(retrain, item, which))))),
    }[kind];
    if (!key || (kind !== "length" && which < 0)) return items;
    const sign = state.order === "down" ? -1 : 1;
    const keyed = items.map((item) => [key(item), item]);
    // Questions without the number come last in both orders.
    keyed.sort(([a, i], [b, j]) => (a === null) - (b === null) || sign * (a - b) || i - j);
    return keyed.map(([, item]) => item);
  }

  const absolute = (value) => (value === null ? null : Math.abs(value));

  function most(values) {
    const known = values.filter((value) => value !== null);
    return known.length ? Math.max(...known) : null;
  }

  // What is shown.

  function options(name, pairs) {
    field(name).replaceChildren(...pairs.map(([value, text]) => element("option", { value }, text)));
    field(name).value = state[name];
    if (field(name).selectedIndex < 0) field(name).selectedIndex = 0;
  }

  function fillForm({ place, answers, hidden, shown }) {
    const there = place.models.filter((_, index) => answers[index]);
    options("place", data.places.map((each) => [each.key, each.title]));
    options("set", [["", "all"], ...Object.keys(place.sets).map((name) => [name, name.replaceAll("_", " ")])]);
    options("seed", place.seeds.map((each) => [String(each.seed), String(each.seed)]));
    options("of", [["", "any shown model"], ...there.map((model) => [model.key, model.label])]);
    options("change", [["", "any"], ...place.numbers.map((head) => [head, head])]);
    const sorts = place.numbers.flatMap((head) => [[`value:${head}`, head], [`distance:${head}`, `${head}, distance from Retrain`]]);
    options("sort", [["", "order of the data"], ["length:", "Length of the right answer"], ...sorts]);
    for (const name of ["q", "from", "to", "way", "by", "order"]) if (field(name) !== document.activeElement) field(name).value = state[name];
    field("way").disabled = field("by").disabled = !state.change;
    field("order").disabled = !state.sort;
    byId("models").textContent = `Models (${shown.length} of ${there.length}) and filters`;
    const focused = document.activeElement?.name === "model" ? document.activeElement.value : null;
    byId("shown").replaceChildren(
      ...there.map((model) => {
        const box = element("input", { type: "checkbox", name: "model", value: model.key, checked: !hidden.has(model.key) });
        return element("label", {}, box, element("span", {}, swatch(model), model.label));
      }),
    );
    if (focused !== null) [...byId("shown").querySelectorAll("input")].find((box) => box.value === focused)?.focus();
  }

  function swatch(model) {
    const made = element("span", { className: "swatch" });
    made.style.background = model.colour;
    return made;
  }

  // Marks count characters, not UTF-16 units.
  function marked(text, marks, recalled) {
    const characters = Array.from(text);
    const pieces = [];
    let at = 0;
    for (let i = 0; i < (marks || []).length; i += 2) {
      const start = at + marks[i];
      const end = start + Math.abs(marks[i + 1]);
      pieces.push(characters.slice(at, start).join(""));
      pieces.push(element("mark", { className: marks[i + 1] > 0 ? recalled : "shared" }, characters.slice(start, end).join("")));
      at = end;
    }
    return [...pieces, characters.slice(at).join("")];
  }

  // The last number is a count.
  function written(value, isCount) {
    if (value === null) return "–";
    const small = value !== 0 && Math.abs(value) < 0.001;
    return (isCount ? String(value) : small ? value.toExponential(1) : value.toFixed(3)).replaceAll("-", "\u2212");
  }

  function numbersTable({ place, retrain }, answers, item) {
    const isRetrain = answers === retrain;
    const heads = ["", "model", ...(retrain && !isRetrain ? ["Retrain"] : [])];
    const head = element("tr", {}, ...heads.map((text) => element("th", { scope: "col" }, text)));
    const rows = place.numbers.map((name, which) => {
      const cells = [number(answers, item, which), ...(heads.length > 2 ? [number(retrain, item, which)] : [])];
      return element("tr", {}, element("th", { scope: "row" }, name), ...cells.map((value) => element("td", {}, written(value, which === place.numbers.length - 1))));
    });
    return element("table", {}, element("thead", {}, head), element("tbody", {}, ...rows));
  }

  function answerCard(seen, index, item) {
    const { place, answers } = seen;
    const model = place.models[index];
    const given = answers[index];
    const whose = given.whose ? [" ", element("small", {}, `(${given.whose})`)] : [];
    const card = element("li", { className: model.role }, element("h4", {}, swatch(model), model.label, ...whose));
    const quote = element("blockquote", { dir: "auto" });
    const text = given.said[item] < 0 ? null : data.texts[given.said[item]];
    if (text === null) quote.append(element("i", {}, "not asked"));
    else if (!text.trim()) quote.append(element("i", {}, "nothing"));
    else quote.append(...marked(text, given.marks[item], place.sets[place.items[item][1]] === "forget" ? "leaked" : "kept"));
    card.append(quote);
    if (text !== null) card.append(numbersTable(seen, given, item));
    return card;
  }

  function itemBox(seen, item) {
    const [id, name, question, answer] = seen.place.items[item];
    const address = new URLSearchParams({ place: seen.place.key, seed: state.seed, item: id });
    const link = element("a", { href: `#${address}`, title: "Link to this question" }, id);
    const box = element("article", { className: "item" });
    box.append(element("h3", {}, element("span", { className: "tag" }, name.replaceAll("_", " ")), link));
    box.append(element("p", { className: "prompt", dir: "auto" }, data.texts[question]));
    box.append(element("p", { className: "label", dir: "auto" }, element("b", {}, "Right answer"), ` ${data.texts[answer]}`));
    box.append(element("ul", { className: "answers" }, ...seen.shown.map((index) => answerCard(seen, index, item))));
    return box;
  }

  function render() {
    const seen = view();
    const items = sorted(seen, filtered(seen));
    const pages = Math.max(1, Math.ceil(items.length / PER_PAGE));
    const page = Math.min(Math.max(1, Number(state.page) || 1), pages);
    const start = (page - 1) * PER_PAGE;
    const some = items.slice(start, start + PER_PAGE);
    fillForm(seen);
    byId("items").replaceChildren(...some.map((item) => itemBox(seen, item)));
    const which = some.length ? `${start + 1}–${start + some.length} of ` : "";
    byId("count").textContent = `${which}${items.length} question${items.length === 1 ? "" : "s"}`;
    for (const button of document.querySelectorAll("[data-step]")) {
      button.disabled = button.dataset.step === "1" ? page >= pages : page <= 1;
      button.onclick = () => {
        writeState({ page: String(page + Number(button.dataset.step)) });
        byId("count").focus();
      };
    }
    byId("below").hidden = pages === 1;
    byId("missing").hidden = Boolean(seen.retrain);
    byId("missing").textContent = "There is no Retrain here: only words of the question count as known.";
  }

  function changed(event) {
    if (event.target.name === "model") {
      const boxes = [...byId("shown").querySelectorAll("input")];
      writeState({ hide: boxes.filter((box) => !box.checked).map((box) => box.value).join(","), item: "" });
    } else if (event.target.name === "place") {
      writeState({ ...DEFAULTS, place: event.target.value, q: state.q });
    } else {
      writeState({ [event.target.name]: event.target.value, ...(event.target.name === "seed" ? {} : { item: "" }) });
    }
  }

  async function start() {
    const packed = Uint8Array.from(atob(byId("packed").textContent), (character) => character.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    data = await new Response(stream).json();
    const lower = new Map();
    data.lower = (text) => lower.get(text) ?? lower.set(text, data.texts[text].toLowerCase()).get(text);
    readState();
    form.hidden = false;
    byId("more").open = ["of", "change", "from", "to", "hide"].some((name) => state[name] !== DEFAULTS[name]);
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("change", changed);
    field("q").addEventListener("input", changed);
    byId("reset").onclick = () => {
      form.reset();
      writeState({ ...DEFAULTS, place: state.place, seed: state.seed });
    };
    // A link to the content is no view.
    window.addEventListener("hashchange", () => {
      if (!location.hash.includes("=")) return;
      readState();
      render();
      scrollTo(0, 0);
    });
    render();
  }

  start().catch((error) => {
    byId("trouble").textContent = `This browser could not unpack the answers (${error.message}). They are also in samples.parquet of the summary.`;
    byId("trouble").hidden = false;
  });
})();
