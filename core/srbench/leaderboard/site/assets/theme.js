// Before anything is drawn: the theme that a reader chose, and that scripts run.
document.documentElement.classList.add("js");
try {
  const chosen = localStorage.getItem("srbench-theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch {
  // A browser may refuse to store anything; the system's theme is used then.
}
