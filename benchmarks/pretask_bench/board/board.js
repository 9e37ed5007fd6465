"use strict";
(() => {
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const form = document.querySelector(".filters");
  const status = form.querySelector("[role=status]");
  const fields = Object.fromEntries(all("[data-filter]", form).map((field) => [field.dataset.filter, field]));
  const sections = all("section.table").map((section) => ({
    section,
    tables: all("table", section),
    rows: all("tbody tr[data-f]", section).map((row) => ({
      row, parts: row.dataset.f.split(" "), ranked: row.closest(".ranking") !== null, text: null,
    })),
    rest: section.querySelector(".rest button"),
    evaluators: section.dataset.evaluators.split(" ").filter(Boolean),
  }));

  const counted = (count, one, more) => `${count} ${count === 1 ? one : more}`;

  // Long tables show their first rows until all are asked for: laying out thousands takes seconds.
  function shorten({ section, rest }) {
    const table = section.querySelector(".ranking");
    if (!table || !rest) return;
    let count = 0;
    for (const row of [...table.tBodies[0].rows]) {
      count += !row.hidden;
      row.classList.toggle("late", !rest.dataset.asked && !row.hidden && count > Number(table.dataset.most));
    }
    rest.hidden = Boolean(rest.dataset.asked) || count <= Number(table.dataset.most);
    rest.textContent = `Show all ${count.toLocaleString("en")}`;
  }

  function filter() {
    const wanted = ["split", "objective", "model"].map((part) => fields[part].value);
    const words = fields.text.value.toLowerCase().split(/\s+/).filter(Boolean);
    const evaluator = fields.evaluator.value;
    let shown = 0, total = 0, tables = 0;
    for (const each of sections) {
      const { section, tables: own, rows, evaluators } = each;
      let here = 0;
      const outside = fields.division.value && fields.division.value !== section.dataset.division;
      const unmeasured = evaluator && !evaluators.includes(evaluator);
      for (const one of rows) {
        const { row, parts, ranked } = one;
        if (words.length) one.text ??= row.textContent.toLowerCase();
        const fits = wanted.every((number, at) => !number || number === parts[at]) && words.every((word) => one.text.includes(word));
        if (row.hidden === fits) row.hidden = !fits;
        total += ranked;
        if (fits && ranked && !outside && !unmeasured) here += 1;
      }
      section.hidden = Boolean(outside || unmeasured);
      for (const table of own)
        evaluators.forEach((name, at) => table.classList.toggle(`hide-m${at}`, Boolean(evaluator) && name !== evaluator));
      shorten(each);
      shown += here;
      tables += here > 0;
    }
    status.textContent = `${shown} of ${counted(total, "ranked entry", "ranked entries")} in ${counted(tables, "table", "tables")}`;
  }

  const numeric = (cell) => parseFloat(cell.textContent.trim().replace("−", "-"));

  function sort(own, table, head, column) {
    const first = head.dataset.sort === "high" ? "descending" : "ascending";
    const other = first === "ascending" ? "descending" : "ascending";
    const order = head.getAttribute("aria-sort") === first ? other : first;
    const sign = order === "ascending" ? 1 : -1;
    const body = table.tBodies[0];
    const keyed = [...body.rows].map((row) => {
      const cell = row.cells[column];
      return [head.dataset.sort === "text" ? cell.textContent.trim() : numeric(cell), row];
    });
    keyed.sort(([one], [two]) => {
      if (typeof one === "string") return sign * one.localeCompare(two, "en");
      if (Number.isNaN(one) || Number.isNaN(two)) return Number.isNaN(one) - Number.isNaN(two);
      return sign * (one - two);
    });
    for (const each of all("[aria-sort]", table)) each.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", order);
    body.replaceChildren();  // at once; to move thousands of rows one by one takes seconds
    body.append(...keyed.map(([, row]) => row));
    shorten(own);
    status.textContent = `Sorted by ${head.textContent.trim()}, ${order}`;
  }

  for (const own of sections) {
    const { section, rest } = own;
    rest?.addEventListener("click", () => { rest.dataset.asked = "yes"; shorten(own); });
    const table = section.querySelector(".ranking");
    if (!table) continue;
    const measures = all("thead tr:last-child th", table).length;
    const [upper, lower] = table.tHead.rows;
    const before = [...upper.cells].findIndex((head) => head.classList.contains("group"));
    const plain = [...upper.cells].filter((head) => !head.classList.contains("group"));
    const columns = [...plain.slice(0, before), ...lower.cells, ...plain.slice(before)];
    columns.forEach((head, column) => {
      if (!head.dataset.sort) return;
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => sort(own, table, head, column));
    });
    if (measures) upper.cells[0].setAttribute("aria-sort", "ascending");
  }

  form.hidden = false;
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(filter));
  filter();

  const dialog = document.querySelector("dialog");
  document.addEventListener("click", (event) => {
    const link = event.target.closest("th.entry a");
    const article = link && document.getElementById(link.getAttribute("href").slice(1));
    if (article && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
      event.preventDefault();
      const copy = article.cloneNode(true);
      copy.removeAttribute("id");
      dialog.lastElementChild.replaceChildren(copy);
      dialog.showModal();
      dialog.scrollTop = 0;
    } else if (event.target === dialog) dialog.close();
  });

  const opened = () => {
    const article = document.getElementById(location.hash.slice(1));
    if (article?.parentElement.matches("details.detail")) article.parentElement.open = true;
  };
  addEventListener("hashchange", opened);
  opened();
  const closed = new Set();
  addEventListener("beforeprint", () => all("details:not([open])").forEach((folded) => { closed.add(folded); folded.open = true; }));
  addEventListener("afterprint", () => { closed.forEach((folded) => { folded.open = false; }); closed.clear(); });
})();
