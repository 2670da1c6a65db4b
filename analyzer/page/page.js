
"use strict";
(() => {
  const form = document.getElementById("find");
  const words = form ? form.dataset : {};
  const table = document.getElementById("requests");

  function search() {
    const search = document.getElementById("search"), kinds = document.getElementById("kinds"), shown = document.getElementById("shown");
    const parts = [...table.tBodies].map(body => {
      const [head, ...rows] = body.rows;
      return {body, title: head.textContent.trim(), rows: rows.map(row => ({row, text: null}))};
    });
    const all = parts.reduce((n, part) => n + part.rows.length, 0);
    kinds.add(new Option(words.every, ""));
    parts.forEach((part, i) => kinds.add(new Option(part.title, i)));
    const show = () => {
      const wanted = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      let n = 0;
      parts.forEach((part, i) => {
        let here = 0;
        const title = part.title.toLowerCase(), off = kinds.value !== "" && kinds.value !== String(i);
        const left = wanted.filter(word => !title.includes(word));
        if (!off) for (const r of part.rows) {
          if (left.length) r.text ??= [...r.row.cells].map(c => c.textContent).join(" ").toLowerCase();
          const out = left.some(word => !r.text.includes(word));
          if (r.row.hidden !== out) r.row.hidden = out;
          if (!out) here++;
        }
        part.body.hidden = here === 0;
        n += here;
      });
      shown.value = words.shown.replace("%1", n.toLocaleString("en")).replace("%2", all.toLocaleString("en"));
    };
    search.addEventListener("input", show);
    kinds.addEventListener("change", show);
    form.addEventListener("submit", e => e.preventDefault());
    form.hidden = false;
    show();
  }

  function copier(code) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = words.copy;
    button.setAttribute("aria-label", words.copy + ": " + code.closest("dd").previousElementSibling.textContent.trim());
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(code.textContent);
      } catch { // not everywhere is a page from a file allowed to: then it is selected, at least
        getSelection().selectAllChildren(code);
        document.execCommand("copy");
      }
      button.textContent = words.copied;
    });
    code.after(button);
  }

  if (form) {
    search();
    document.querySelectorAll(".filters code").forEach(copier);
  }
})();
