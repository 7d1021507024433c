// The pixel desk: controls for a trained PixelCNN (pixels.js), which pixelcnn.js runs.
"use strict";

(() => {
  const COMPLETIONS = 6;
  const BEGIN = 28; // pixels known at first: the next one is amid a stroke

  const canvas = (name, attributes = "") =>
    `<canvas class="${name}" width="WIDTH" height="HEIGHT" ${attributes}></canvas>`;

  const choice = (_, k) => `
    <button type="button" aria-pressed="false" aria-label="digit ${k}">${canvas("tiny")}</button>`;

  const square = (_, k) => `<button type="button" aria-label="pixel ${k}"></button>`;

  const bar = (name) => (_, k) =>
    `<div class="${name}"><b></b><span>${k}</span></div>`;

  const whole = (file) => `
    <div class="strip" role="group" aria-label="Digits">
      ${file.images.map(choice).join("")}
    </div>
    <div class="middle">
      <div>
        <div class="board" role="group" aria-label="Pixels: press one to change it">
          ${file.images[0].map(square).join("")}
        </div>
        <label class="way"><span>pixels known</span>
          <input type="range" min="0" max="${file.images[0].length}" step="1"><output></output>
        </label>
      </div>
      <div>
        <span id="desk-next">The next pixel: probability of each level, from black to white</span>
        <div class="bars next" role="img" aria-labelledby="desk-next">
          ${Array.from({ length: file.levels }, bar("level")).join("")}
        </div>
        <span id="desk-label">Which digit is it? Probability of each label</span>
        <div class="bars labels" role="img" aria-labelledby="desk-label">
          ${Array.from({ length: file.classes }, bar("label")).join("")}
        </div>
      </div>
    </div>
    <div class="completions">
      ${Array.from({ length: COMPLETIONS }, (_, k) =>
        canvas("completion", `role="img" aria-label="completion ${k + 1}"`)).join("")}
    </div>
    <div class="buttons" role="group" aria-label="Set pixels and completions">
      <button type="button" data-do="draw">other completions</button>
      <button type="button" data-do="reset">the digit as it was</button>
    </div>
    <dl class="numbers">
      <div><dt>surprise of the next pixel, −log p</dt><dd class="surprise"></dd></div>
      <div><dt>of the known pixels together</dt><dd class="known"></dd></div>
      <div><dt>of the whole image</dt><dd class="total"></dd></div>
    </dl>`;

  const nats = (x) => `${x.toFixed(2)} nats`;

  const start = (root, file) => {
    const model = new BrowserPixelCNN(file);
    root.innerHTML = whole(file).replaceAll("WIDTH", model.width).replaceAll("HEIGHT", model.height);
    const find = (selector) => root.querySelector(selector);
    const all = (selector) => [...root.querySelectorAll(selector)];

    const choices = all(".strip button");
    const squares = all(".board button");
    const slider = find("input");
    const white = model.levels - 1;
    let chosen = 3;
    let image, reading, uniforms;

    const drawUniforms = () =>
      (uniforms = Array.from({ length: COMPLETIONS }, () =>
        Array.from({ length: model.size + 1 }, Math.random)));

    const choose = (k) => {
      chosen = k;
      image = [...file.images[k]];
      reading = model.read(image);
      choices.forEach((button, at) => button.setAttribute("aria-pressed", at === k));
    };

    const showBars = (selector, probabilities, true_) => {
      const most = Math.max(...probabilities);
      all(`${selector} > div`).forEach((row, k) => {
        row.querySelector("b").style.height = `${(100 * probabilities[k]) / most}%`;
        row.classList.toggle("true", k === true_);
        row.title = `${k}: ${(100 * probabilities[k]).toFixed(1)} %`;
      });
    };

    const show = () => {
      const known = Number(slider.value);
      const end = known === model.size;
      find("output").textContent = known;
      squares.forEach((button, pixel) => {
        const grey = Math.round((255 * image[pixel]) / white);
        button.style.background = `rgb(${grey} ${grey} ${grey})`;
        button.classList.toggle("unknown", pixel >= known);
        button.classList.toggle("cursor", pixel === known);
        button.setAttribute("aria-label", `pixel ${pixel}, level ${image[pixel]}`);
      });
      showBars(".labels", model.posterior(reading, known));
      if (end) showBars(".next", Array(model.levels).fill(0).with(0, 1e-9));
      else showBars(".next", model.predictive(reading, known), image[known]);
      const before = -model.logProb(reading, known);
      find(".surprise").textContent = end ? "none is left" : nats(-model.logProb(reading, known + 1) - before);
      find(".known").textContent = nats(before);
      find(".total").textContent = nats(-model.logProb(reading, model.size));
      all(".completion").forEach((place, k) =>
        paint(place, model.complete(image, reading, known, uniforms[k]), model.levels));
    };

    choices.forEach((button, k) => {
      paint(button.querySelector("canvas"), file.images[k], model.levels);
      button.addEventListener("click", () => {
        choose(k);
        show();
      });
    });
    squares.forEach((button, pixel) =>
      button.addEventListener("click", () => {
        image[pixel] = image[pixel] > white / 2 ? 0 : white;
        reading = model.read(image);
        show();
      }));
    slider.addEventListener("input", show);
    const actions = { draw: drawUniforms, reset: () => choose(chosen) };
    for (const button of all("[data-do]"))
      button.addEventListener("click", () => {
        actions[button.dataset.do]();
        show();
      });

    slider.value = BEGIN;
    drawUniforms();
    choose(chosen);
    show();
  };

  const root = document.querySelector(".pixels");
  if (globalThis.PIXELS) start(root, PIXELS);
})();
