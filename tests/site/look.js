// Wait until a page has settled; return what is amiss in it: name of the check → complaints.
async (width) => {
  const short = (text) => text.trim().replace(/\s+/g, " ").slice(0, 80);
  const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

  const views = [...document.querySelectorAll('script[type$="widget-view+json"]')];
  const missing = () => views.filter((view) => !view.parentElement.querySelector(".jupyter-widgets"));

  const settle = async () => {
    if (document.querySelector("script[src*=mathjax]")) await MathJax.startup.promise;
    for (let i = 0; i < 100 && missing().length; i++) await pause(50);
    for (const image of document.images) image.loading = "eager"; // in view or not
    await Promise.allSettled([...document.images].map((image) => image.decode()));
    await document.fonts.ready;
    return true;
  };
  if (!(await Promise.race([settle(), pause(40000)]))) throw Error("the page does not settle");

  // Raw TeX, where it is neither code nor the copy that MathJax keeps for screen readers.
  const tex = /\\[()[\]]|\$\$|\$[^\s$][^$]*\$|\\(begin|end)\{/;
  const mathematics = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const { data, parentElement } = texts.currentNode;
    if (tex.test(data) && !parentElement.closest("pre, code, script, style, mjx-container"))
      mathematics.push(`left as TeX: ${short(data)}`);
  }
  for (const error of document.querySelectorAll("mjx-merror"))
    mathematics.push(`not understood: ${error.dataset.mjxError}`);
  // A macro that does not exist is no error to MathJax: it writes the name in red.
  for (const name of document.querySelectorAll('mjx-assistive-mml mtext[mathcolor="red"]'))
    mathematics.push(`unknown macro: ${name.textContent}`);

  const right = (element) => element.getBoundingClientRect().right;

  // A page that can be moved sideways is too wide; name what sticks out.
  const overflow = [];
  const wide = document.documentElement.scrollWidth;
  if (wide > width) {
    overflow.push(`the page is ${wide} pixels wide, the screen ${width}`);
    for (const element of document.querySelectorAll("body *"))
      if (overflow.length < 8 && right(element) > width + 1)
        overflow.push(`sticks out: ${short(element.cloneNode().outerHTML)}`);
  }

  // A formula that is cut off, with nothing to scroll, cannot be read at all.
  for (const formula of document.querySelectorAll("mjx-container > mjx-math"))
    for (let box = formula.parentElement; box; box = box.parentElement) {
      const { overflowX } = getComputedStyle(box);
      if (/auto|scroll/.test(overflowX)) break;
      if (/hidden|clip/.test(overflowX) && right(formula) > right(box) + 1)
        overflow.push(`cut off: ${short(formula.parentElement.textContent)}`);
    }

  const empty = [...document.images].filter((image) => !image.naturalWidth);
  return {
    mathematics,
    overflow,
    images: empty.map((image) => `no pixels: ${image.src.slice(0, 80)}`),
    widgets: missing().map((view) => `not drawn: ${short(view.textContent)}`),
  };
};
