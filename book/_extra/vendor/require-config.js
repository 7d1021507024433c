// Loaded before require.js on every page with widgets.

// RequireJS takes its settings from a global `require` that exists before it.
var require = {
  // With this folder as base, a module that embed-amd.js lacks is looked for here, and not in a
  // place that depends on the page.
  baseUrl: new URL(".", document.currentScript.src).href,
  // embed-amd.js defines all its modules itself, yet each looks for the fonts of its icons in its
  // own folder. This gives them one folder, so that the fonts need not be there twice.
  paths: { "@jupyter-widgets/html-manager/dist": "@jupyter-widgets" },
};

// Font Awesome, which the theme loads later, would go on replacing <i> elements by pictures after
// the page is there. The buttons of a Play widget look for their <i> when pressed, and fail
// without it.
window.FontAwesomeConfig = { observeMutations: false };

// Widgets typeset formulas in their text as MathJax 2 did, by calling
// MathJax.Hub.Queue(["Typeset", MathJax.Hub, element]). MathJax 3 has no Hub; without one, each
// text is an error and its formulas stay TeX. At "load" MathJax has put its object in place, and
// this listener runs before the one that draws the widgets, because it is registered first.
window.addEventListener("load", function () {
  if (!window.MathJax || !window.MathJax.startup) return;
  window.MathJax.Hub = {
    Queue: function (call) {
      // MathJax must not typeset two things at once, so each waits for the one before it.
      MathJax.startup.promise = MathJax.startup.promise
        .then(function () { return MathJax.typesetPromise([call[2]]); })
        .catch(function (error) { console.error(error); });
    },
  };
});
