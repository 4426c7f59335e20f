// Before anything is drawn: apply the chosen theme, and mark that scripts run.
document.documentElement.classList.add("js");
try {
  const chosen = localStorage.getItem("srbench-theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch {
  // A browser may refuse storage; then the system's theme is used.
}
