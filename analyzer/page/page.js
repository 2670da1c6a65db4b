
"use strict";
(() => {
  const form = document.getElementById("find");
  const words = form ? form.dataset : {};
  const table = document.getElementById("requests");

  function search() {
    const search = document.getElementById("search"), kinds = document.getElementById("kinds"), shown = document.getElementById("shown");
    const bodies = [...table.tBodies];
    const all = table.rows.length - 1 - bodies.length; // without headings
    kinds.add(new Option(words.every, ""));
    bodies.forEach((body, i) => kinds.add(new Option(body.rows[0].textContent.trim(), i)));
    let parts = null; // the table as text, made when it is first wanted: it may be large
    const read = () => bodies.map(body => {
      const [head, ...rows] = body.rows;
      return {body, title: head.textContent.trim().toLowerCase(), rows: rows.map(row => ({row, text: null}))};
    });
    const show = () => {
      const wanted = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      let n = 0;
      parts ??= read();
      parts.forEach((part, i) => {
        let here = 0;
        const off = kinds.value !== "" && kinds.value !== String(i);
        const left = wanted.filter(word => !part.title.includes(word));
        if (!off) for (const r of part.rows) {
          if (left.length) r.text ??= [...r.row.cells].map(c => c.textContent).join(" ").toLowerCase();
          const out = left.some(word => !r.text.includes(word));
          if (r.row.hidden !== out) r.row.hidden = out;
          if (!out) here++;
        }
        part.body.hidden = here === 0;
        n += here;
      });
      say(n);
    };
    const say = n => shown.value = words.shown.replace("%1", n.toLocaleString("en")).replace("%2", all.toLocaleString("en"));
    search.addEventListener("input", show);
    kinds.addEventListener("change", show);
    form.addEventListener("submit", e => e.preventDefault());
    form.hidden = false;
    say(all);
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
