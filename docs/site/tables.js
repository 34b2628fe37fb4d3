// A click on a heading sorts its table by that column: by number where cells begin with one, else by text.
"use strict";
document.addEventListener("click", (event) => {
  const head = event.target.closest(".md-typeset table:not([class]) th");
  if (!head) return;
  const table = head.closest("table"), column = [...head.parentElement.children].indexOf(head);
  const direction = head.dataset.sorted === "1" ? -1 : 1;
  for (const other of head.parentElement.children) delete other.dataset.sorted;
  head.dataset.sorted = direction;
  const units = { k: 1e3, M: 1e6 };
  const key = (row) => {
    const text = row.children[column].textContent.trim(), found = /^(-?[\d.,]+)\s*([kM]\b)?/.exec(text);
    return found ? [0, parseFloat(found[1].replaceAll(",", "")) * (units[found[2]] || 1)] : [text ? 1 : 2, text];
  };
  const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
  const rows = [...table.tBodies[0].rows].map((row) => [key(row), row]);
  rows.sort(([a], [b]) => a[0] - b[0] || direction * compare(a[1], b[1]));
  table.tBodies[0].append(...rows.map(([, row]) => row));
});
