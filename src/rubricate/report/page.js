"use strict";
(() => {
  const tools = document.getElementById("tools");
  const find = document.getElementById("find");
  const found = document.getElementById("found");
  const prompts = [...document.querySelectorAll("details.prompt")];
  const buttons = [...tools.querySelectorAll("[data-show]")];
  let state = "";

  function show() {
    const wanted = find.value.trim().toLowerCase();
    let shown = 0;
    for (const prompt of prompts) {
      const id = prompt.querySelector("summary .name").textContent.toLowerCase();
      prompt.hidden = (state && prompt.dataset.state !== state) || !id.includes(wanted);
      shown += !prompt.hidden;
    }
    found.textContent = shown === prompts.length ? "" : `${shown} of ${prompts.length} shown`;
  }

  function openAll(open) {
    for (const prompt of prompts) if (!prompt.hidden) prompt.open = open;
  }

  function openTarget() {
    const target = document.getElementById(location.hash.slice(1));
    for (let at = target; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
    if (target) target.scrollIntoView({ block: "start" });
  }

  for (const button of buttons) {
    button.addEventListener("click", () => {
      state = button.dataset.show;
      for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
      show();
    });
  }
  find.addEventListener("input", show);
  document.getElementById("unfold").addEventListener("click", () => openAll(true));
  document.getElementById("fold").addEventListener("click", () => openAll(false));
  addEventListener("hashchange", openTarget);

  // A verdict tells its criterion when pointed at; written here, one by one, since thousands of them would
  // make the page many times larger.
  document.addEventListener("pointerover", (event) => {
    const cell = event.target.closest("table.heat td[data-v]");
    if (!cell || cell.dataset.told) return;
    cell.dataset.told = "1";
    const about = cell.closest("table").tHead.rows[0].cells[cell.cellIndex].title;
    const verdict = { y: "met", n: "unmet", q: "unjudged", o: "not asked" }[cell.dataset.v];
    cell.title = `${verdict}${cell.title ? `: ${cell.title}` : ""}\n${about}`;
  });

  tools.hidden = false;
  openTarget();
})();
