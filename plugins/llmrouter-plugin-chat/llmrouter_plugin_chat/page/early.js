// What cannot wait for modules, which run later: the key leaves the address bar, the theme is set.
(() => {
  const THEMES = ["auto", "light", "dark"];
  const PLACE = "llmrouter.theme";

  function take() {
    const key = new URLSearchParams(location.hash.slice(1)).get("k");
    if (key === null) return false;
    history.replaceState(null, "", location.pathname);
    try {
      sessionStorage.setItem("llmrouter.key", JSON.stringify(key));
    } catch { /* without storage the page asks for it */ }
    return true;
  }

  function chosen() {
    try {
      const name = localStorage.getItem(PLACE);
      return THEMES.includes(name) ? name : "auto";
    } catch {
      return "auto";
    }
  }

  function show() {
    document.documentElement.dataset.theme = theme;
    const button = document.getElementById("theme");
    if (!button) return; // not parsed yet
    document.getElementById("theme-name").textContent = theme;
    button.setAttribute("aria-label", `Theme: ${theme}`);
    button.title = `Theme: ${theme}`;
  }

  take();
  addEventListener("hashchange", () => {
    if (take()) location.reload(); // with the new key
  });
  let theme = chosen();
  show();
  addEventListener("DOMContentLoaded", () => {
    show();
    document.getElementById("theme").addEventListener("click", () => {
      theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
      try {
        localStorage.setItem(PLACE, theme);
      } catch { /* then it lasts as long as the page */ }
      show();
    });
  });
})();
