
"use strict";
// Filters, buttons that copy, and what is folded opened in time. Without this everything is there and stays.
(() => {
  const make = (name, properties, ...content) => {
    const element = Object.assign(document.createElement(name), properties);
    element.append(...content);
    return element;
  };

  /* A bar that filters the rows of `list` by the values in their data, and by any text. */
  const filter = (list) => {
    const rows = [...list.children];
    const values = Object.entries(JSON.parse(list.dataset.filter));
    const chosen = new Map(values.map(([key]) => [key, new Set()]));
    const buttons = [];
    const result = make("p", { className: "aside" });
    result.setAttribute("role", "status");
    const search = make("input", { type: "search", autocomplete: "off" });
    search.setAttribute("aria-label", "Text to find");
    const all = make("button", { type: "button", textContent: "Show all" });

    const contains = (row) => !search.value || row.textContent.toLowerCase().includes(search.value.toLowerCase());
    const fits = (row, key) => !chosen.get(key).size || chosen.get(key).has(row.dataset[key]);
    const update = () => {
      const found = new Set(rows.filter(contains));
      const shown = rows.filter((row) => {
        row.hidden = !found.has(row) || ![...chosen.keys()].every((key) => fits(row, key));
        return !row.hidden;
      });
      for (const { button, key, value, count } of buttons) {
        const others = [...chosen.keys()].filter((other) => other !== key);
        const number = rows.filter((row) => row.dataset[key] === value && found.has(row)
          && others.every((other) => fits(row, other))).length;
        button.setAttribute("aria-pressed", chosen.get(key).has(value));
        button.classList.toggle("none", !number);
        count.textContent = number;
      }
      all.hidden = shown.length === rows.length;
      result.textContent = `${shown.length} of ${rows.length} shown`;
    };

    const bar = make("div", { className: "filter" });
    bar.setAttribute("role", "search");
    for (const [key, known] of values) {
      const set = chosen.get(key);
      const title = key === "severity" ? "If it fails" : key[0].toUpperCase() + key.slice(1);
      const group = make("div", {}, make("span", { className: "name", textContent: title }));
      group.setAttribute("role", "group");
      group.setAttribute("aria-label", title);
      for (const value of known.filter((each) => rows.some((row) => row.dataset[key] === each))) {
        const count = make("span", { className: "count" });
        const button = make("button", { type: "button" }, value, " ", count);
        button.addEventListener("click", () => {
          set.delete(value) || set.add(value);
          update();
        });
        buttons.push({ button, key, value, count });
        group.append(button);
      }
      bar.append(group);
    }
    search.addEventListener("input", update);
    all.addEventListener("click", () => {
      chosen.forEach((set) => set.clear());
      search.value = "";
      update();
      search.focus();
    });
    bar.append(make("div", {}, make("span", { className: "name", textContent: "Text" }), search, all), result);
    update();
    (list.closest("table") ?? list).before(bar);
  };

  const copied = (code) => {
    if (navigator.clipboard) return navigator.clipboard.writeText(code.textContent);
    getSelection().selectAllChildren(code); // A page that came by plain HTTP has no clipboard.
    return document.execCommand("copy") ? Promise.resolve() : Promise.reject(new Error("selected"));
  };
  const copy = (code) => {
    const button = make("button", { type: "button", className: "copy", textContent: "Copy" });
    button.setAttribute("aria-live", "polite");
    button.addEventListener("click", () => copied(code).then(
      () => { button.textContent = "Copied"; },
      () => { button.textContent = "Selected"; getSelection().selectAllChildren(code); },
    ));
    code.after(button);
  };

  /* What is folded gets its bars and buttons when it is opened: a page may have a thousand images. */
  const prepare = (part) => {
    if (part.dataset.ready) return;
    part.dataset.ready = "yes";
    part.querySelectorAll("[data-filter]").forEach(filter);
    part.querySelectorAll(".commands code").forEach(copy);
  };
  for (const image of document.querySelectorAll("nav, .image")) {
    if (image.open !== false) prepare(image);
    image.addEventListener("toggle", () => image.open && prepare(image));
  }

  /* Where a link leads is open, and not filtered away. */
  const open = () => {
    const target = location.hash && document.getElementById(location.hash.slice(1));
    if (!target) return;
    for (let part = target; part; part = part.parentElement) {
      if (part.localName === "details") part.open = true;
      part.hidden = false;
    }
    target.scrollIntoView();
  };
  addEventListener("hashchange", open);
  open();

  /* Browsers that cannot be told by a style to print what is folded. */
  if (!CSS.supports("selector(::details-content)")) {
    let folded = [];
    addEventListener("beforeprint", () => {
      folded = [...document.querySelectorAll("details:not([open])")];
      folded.forEach((each) => { each.open = true; });
    });
    addEventListener("afterprint", () => folded.forEach((each) => { each.open = false; }));
  }
})();
