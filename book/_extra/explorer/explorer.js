// The latent-space explorer: controls for a trained VAE (weights.js), which vae.js runs.
"use strict";

(() => {
  const RANGE = 4; // of a slider: four standard deviations of the prior to either side
  const WIDEST = 5; // nats at which the bar of a rate is full

  const nats = (x) => x.toFixed(1).replace("-", "−");

  /** The bell curve of a normal density over the range of a slider, always equally high. */
  const bell = (mean, std) => {
    const points = [];
    for (let i = 0; i <= 320; i++) {
      const z = RANGE * (i / 160 - 1);
      points.push(`${z.toFixed(3)},${(1 - Math.exp(-0.5 * ((z - mean) / std) ** 2)).toFixed(3)}`);
    }
    return `M${-RANGE},1L${points.join("L")}L${RANGE},1Z`;
  };

  const SLIM = "&#8239;|&#8239;"; // a bar between thin spaces
  const Q = `<i>q</i>(<i>z</i>${SLIM}<i>x</i>)`;
  const P = `<i>p</i>(<i>x</i>${SLIM}<i>z</i>)`;

  const canvas = (name, attributes = "") =>
    `<canvas class="${name}" width="WIDTH" height="HEIGHT" ${attributes}></canvas>`;

  const picture = (name, alt, caption) => `
    <div class="picture">
      ${canvas(name, `role="img" aria-label="${alt}"`)}<span>${caption}</span>
    </div>`;

  const choice = ({ label }, k) => `
    <button type="button" aria-pressed="false" aria-label="test image ${k + 1}, a ${label}">
      ${canvas("tiny")}
    </button>`;

  const line = (j, meanRate) => `
    <div class="dimension">
      <span class="name"><i>z</i><sub>${j + 1}</sub></span>
      <span class="track">
        <svg viewBox="${-RANGE} 0 ${2 * RANGE} 1" preserveAspectRatio="none" aria-hidden="true">
          <path class="prior" d="${bell(0, 1)}"></path><path class="posterior"></path>
          <line class="code" y1="0" y2="1"></line>
        </svg>
        <input type="range" min="${-RANGE}" max="${RANGE}" step="0.05"
          aria-label="code dimension ${j + 1}">
      </span>
      <span class="value"></span>
      <span class="bar" aria-hidden="true">
        <b></b><i style="left: ${(100 * meanRate) / WIDEST}%"></i>
      </span>
      <span class="rate"><span></span><span class="visually-hidden"> nats</span></span>
    </div>`;

  const number = (name, text) => `<div><dt>${text}</dt><dd class="${name}"></dd></div>`;

  const whole = (file) => `
    <div class="strip" role="group" aria-label="Test images">
      ${file.images.map(choice).join("")}
    </div>
    <label class="path"><span class="path-name"></span>
      ${canvas("tiny from")}<input type="range" min="0" max="1" step="0.05">${canvas("tiny to")}
    </label>
    <div class="middle">
      <div class="pictures">
        ${picture("image", "the chosen test image", "test image <i>x</i>")}
        ${picture("mean", "the mean image of the code", "mean image")}
        ${picture("draw", "an image drawn given the code", `draw from ${P}`)}
      </div>
      <div>
        <div class="dimension heads">
          <span class="legend"><span class="prior">prior</span>
            <span class="posterior">${Q}</span> <span class="code">code</span></span>
          <span class="unit">rate, nats <span class="mean-rate">mean</span></span>
        </div>
        ${file.mean_rates.map((meanRate, j) => line(j, meanRate)).join("")}
      </div>
    </div>
    <div class="buttons" role="group" aria-label="Set the code">
      <button type="button" data-code="mean">mean of <i>q</i></button>
      <button type="button" data-code="posterior">new code from <i>q</i></button>
      <button type="button" data-code="prior">new code from the prior</button>
      <button type="button" data-code="zero">back to zero</button>
    </div>
    <dl class="numbers">
      ${number("likelihood", `log ${P} of the test image, given the code`)}
      ${number("total", "rate: the sum of the bars")}
      ${number("difference", "their difference")}
      ${number("bound", "mean of the difference over codes from <i>q</i>: the bound")}
    </dl>`;

  const start = (root, file) => {
    const vae = new BrowserVAE(file);
    const [, height, width] = file.shape;
    root.innerHTML = whole(file).replaceAll("WIDTH", width).replaceAll("HEIGHT", height);
    const find = (selector) => root.querySelector(selector);
    const all = (selector) => [...root.querySelectorAll(selector)];
    const show = (selector, image) => paint(find(selector), image, file.levels);

    const images = file.images.map(({ levels }) => levels);
    const posteriors = images.map((image) => vae.posterior(image));
    const choices = all(".strip button");
    const rows = all(".dimension:not(.heads)");
    const path = find(".path input");
    let from = file.begin[0]; // the image chosen before, where the path begins
    let chosen = file.begin[1];
    let code = posteriors[chosen].mean;
    let uniform = []; // decides the draw: while a slider moves, only what it does is seen

    /** What depends on the code. */
    const showCode = () => {
      const logProbs = vae.logProbs(code);
      show(".mean", meanImage(logProbs));
      show(".draw", drawImage(logProbs, uniform));
      rows.forEach((row, j) => {
        const slider = row.querySelector("input");
        slider.value = code[j];
        slider.setAttribute("aria-valuetext", signed(code[j]));
        row.querySelector(".value").textContent = signed(code[j]);
        const place = Math.max(-RANGE, Math.min(RANGE, code[j]));
        for (const end of ["x1", "x2"]) row.querySelector(".code").setAttribute(end, place);
      });
      const likelihood = logLikelihood(logProbs, images[chosen]);
      const total = posteriors[chosen].rates.reduce((sum, rate) => sum + rate);
      find(".likelihood").textContent = `${nats(likelihood)} nats`;
      find(".total").textContent = `${nats(total)} nats`;
      find(".difference").textContent = `${nats(likelihood - total)} nats`;
      find(".bound").textContent = `${nats(file.images[chosen].bound)} nats`;
    };

    /** Another code, and another draw. */
    const setCode = (values) => {
      code = values;
      uniform = images[0].map(() => Math.random());
      showCode();
    };

    /** What depends on the chosen test image. */
    const choose = (k) => {
      if (k !== chosen) [from, chosen] = [chosen, k];
      const { mean, std, rates } = posteriors[chosen];
      choices.forEach((button, i) => button.setAttribute("aria-pressed", i === chosen));
      show(".image", images[chosen]);
      show(".from", images[from]);
      show(".to", images[chosen]);
      const [first, last] = [from, chosen].map((i) => file.images[i].label);
      find(".path-name").textContent = `path from a ${first} to a ${last}`;
      path.value = 1;
      rows.forEach((row, j) => {
        row.querySelector(".posterior").setAttribute("d", bell(mean[j], std[j]));
        row.querySelector(".bar b").style.width = `${Math.min(100, (100 * rates[j]) / WIDEST)}%`;
        row.querySelector(".rate span").textContent = rates[j].toFixed(2);
      });
      setCode(mean);
    };

    const codes = {
      mean: () => posteriors[chosen].mean,
      posterior: () => {
        const { mean, std } = posteriors[chosen];
        return mean.map((m, j) => m + std[j] * normal());
      },
      prior: () => code.map(normal),
      zero: () => code.map(() => 0),
    };
    for (const button of all("[data-code]"))
      button.addEventListener("click", () => setCode(codes[button.dataset.code]()));
    choices.forEach((button, k) => {
      paint(button.querySelector("canvas"), images[k], file.levels);
      button.addEventListener("click", () => choose(k));
    });
    rows.forEach((row, j) => {
      const slider = row.querySelector("input");
      slider.addEventListener("input", () => {
        code = code.map((z, i) => (i === j ? Number(slider.value) : z));
        showCode();
      });
    });
    path.addEventListener("input", () => {
      const [a, b] = [posteriors[from].mean, posteriors[chosen].mean];
      code = a.map((start, j) => start + path.value * (b[j] - start));
      showCode();
    });
    choose(chosen);
  };

  const root = document.querySelector(".explorer");
  if (globalThis.EXPLORER) start(root, EXPLORER);
})();
