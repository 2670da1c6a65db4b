"use strict";
(() => {
  // What is new of a run is put into the page: parts that changed, so that the place where
  // somebody reads, or has the focus, stays.
  const watch = document.querySelector("[data-from]");
  const every = 500;

  async function look() {
    try {
      const answer = await fetch(watch.dataset.from, {cache: "no-store"});
      if (answer.ok) {
        const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
        for (const part of fresh.querySelectorAll("[data-live]")) {
          const here = document.getElementById(part.id);
          if (here && here.innerHTML !== part.innerHTML) here.innerHTML = part.innerHTML;
        }
        if (answer.headers.get("Hopblame-Over") === "true") {
          location.reload();
          return;
        }
      }
    } catch { // the server is not there, perhaps for good
    }
    setTimeout(look, every);
  }
  if (watch) setTimeout(look, every);

  const form = document.getElementById("find");
  if (form) {
    const search = document.getElementById("search"), shown = document.getElementById("shown");
    const rows = [...document.querySelectorAll("#list > div")].map(row => ({row, text: row.textContent.toLowerCase()}));
    const show = () => {
      const wanted = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      let n = 0;
      for (const r of rows) {
        r.row.hidden = !wanted.every(word => r.text.includes(word));
        if (!r.row.hidden) n++;
      }
      shown.value = form.dataset.shown.replace("%1", n).replace("%2", rows.length);
    };
    search.addEventListener("input", show);
    form.addEventListener("submit", e => e.preventDefault());
    form.hidden = false;
    show();
  }
})();
