// Mends, on every page, what the parts of the book's theme leave undone.

// Beside a page on disk no other page can be read, so a search there cannot quote what it found.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;

document.addEventListener("DOMContentLoaded", () => {
  // Whoever steers by voice says what stands there: "Show code cell source", not a hidden name.
  for (const element of document.querySelectorAll("summary[aria-label], .search-button-field"))
    element.removeAttribute("aria-label");

  // The entries of a list are its items; their present role no longer says so.
  for (const entry of document.querySelectorAll('[role="doc-biblioentry"]'))
    entry.setAttribute("role", "listitem");

  // A slider is drawn late, and without a name for those who cannot see what stands beside it.
  if (document.querySelector('script[type$="widget-view+json"]'))
    new MutationObserver(() => {
      for (const handle of document.querySelectorAll(".noUi-handle:not([aria-label])")) {
        const label = handle.closest(".jupyter-widgets").querySelector(".widget-label");
        handle.setAttribute("aria-label", label?.textContent || "slider");
      }
    }).observe(document.body, { childList: true, subtree: true });
});
