// Loaded before MathJax on every page.

// The menu of a formula offers parts of MathJax that are not kept here: spoken and collapsible
// formulas (from a page on disk they could not read their data in any case) and drawing as SVG.
// MathJax stores the choice and, on finding it without the part, shows no formula at all. So such a
// choice is forgotten.
try {
  const settings = JSON.parse(localStorage.getItem("MathJax-Menu-Settings")) || {};
  for (const name of ["explorer", "collapsible", "renderer"]) delete settings[name];
  localStorage.setItem("MathJax-Menu-Settings", JSON.stringify(settings));
} catch {
  // No storage, no stored choice.
}
