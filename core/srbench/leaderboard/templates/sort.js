// Sort the rows of each section by the clicked column; sections stay separate, missing values stay last.
for (const table of document.querySelectorAll("table[data-sortable]")) {
  const said = document.getElementById("said");
  for (const button of table.querySelectorAll("thead button")) {
    button.addEventListener("click", () => {
      const heading = button.closest("th");
      const before = heading.getAttribute("aria-sort");
      const down = before ? before === "ascending" : button.dataset.down === "1";
      for (const other of table.querySelectorAll("[aria-sort]")) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", down ? "descending" : "ascending");
      const column = Number(button.dataset.column);
      const text = button.dataset.text === "1";
      for (const body of table.querySelectorAll("tbody.rows")) {
        const keyed = [...body.rows].map((row) => [row.cells[column].dataset.v, row]);
        keyed.sort(([a], [b]) => {
          if (a === "" || b === "") return (a === "") - (b === "");
          const order = text ? a.localeCompare(b) : Number(a) - Number(b);
          return down ? -order : order;
        });
        body.append(...keyed.map(([, row]) => row));
      }
      said.textContent = `Sorted by ${button.dataset.name}, ${down ? "largest first" : "smallest first"}.`;
    });
  }
}
