// The steering desk: controls for a trained generator (generator.js), which gan.js runs.
"use strict";

(() => {
  const FAR = 3; // of a slider, to either side
  const FULL = 1.5; // largest share of the noise

  const canvas = (name, attributes = "") =>
    `<canvas class="${name}" width="WIDTH" height="HEIGHT" ${attributes}></canvas>`;

  const choice = (_, k) => `
    <button type="button" aria-pressed="false" aria-label="label ${k}">${canvas("tiny")}</button>`;

  const picture = (name, alt, caption) => `
    <div class="picture">
      ${canvas(name, `role="img" aria-label="${alt}"`)}<span>${caption}</span>
    </div>`;

  const line = (name, low, high, step) => `
    <label class="way"><span>${name}</span>
      <input type="range" min="${low}" max="${high}" step="${step}"><output></output>
    </label>`;

  const whole = (file) => `
    <div class="strip" role="group" aria-label="Labels">
      ${Array.from({ length: file.classes }, choice).join("")}
    </div>
    <div class="middle">
      <div class="pictures">
        ${picture("before", "the digit of the noise as it was drawn", "as drawn")}
        ${picture("after", "the digit of the noise as the sliders move it", "moved")}
      </div>
      <div>
        ${file.directions.map(({ name }) => line(name, -FAR, FAR, 0.1)).join("")}
        ${line("share of the noise", 0, FULL, 0.05)}
      </div>
    </div>
    <div class="buttons" role="group" aria-label="Set noise and sliders">
      <button type="button" data-do="noise">new noise</button>
      <button type="button" data-do="still">sliders back</button>
    </div>
    <dl class="numbers">
      <div><dt>ink: mean level, from 0 to 1</dt><dd class="ink"></dd></div>
      <div><dt>slant: columns to the right, each row upwards</dt><dd class="slant"></dd></div>
    </dl>`;

  const start = (root, file) => {
    const gan = new BrowserGAN(file);
    const [, height, width] = file.shape;
    root.innerHTML = whole(file).replaceAll("WIDTH", width).replaceAll("HEIGHT", height);
    const find = (selector) => root.querySelector(selector);
    const all = (selector) => [...root.querySelectorAll(selector)];

    const directions = file.directions.map(({ noise }) => noise);
    const choices = all(".strip button");
    const lines = all(".way");
    const sliders = all(".way input");
    let noise = file.begin.noise;
    let label = file.begin.label;

    const show = () => {
      const values = sliders.map((slider) => Number(slider.value));
      const share = values[directions.length];
      const moved = steer(noise, share, directions, values.slice(0, directions.length));
      choices.forEach((button, k) => {
        button.setAttribute("aria-pressed", k === label);
        paint(button.querySelector("canvas"), gan.generate(moved, k), gan.levels);
      });
      const image = gan.generate(moved, label);
      paint(find(".before"), gan.generate(noise, label), gan.levels);
      paint(find(".after"), image, gan.levels);
      lines.forEach((row, k) => {
        const text = k < directions.length ? signed(values[k], 1) : `${Math.round(100 * share)} %`;
        row.querySelector("output").textContent = text;
        sliders[k].setAttribute("aria-valuetext", text);
      });
      find(".ink").textContent = ink(image, gan.levels).toFixed(2);
      find(".slant").textContent = signed(slant(image, width));
    };

    const still = () => sliders.forEach((slider, k) => (slider.value = k < directions.length ? 0 : 1));
    const actions = { noise: () => (noise = noise.map(normal)), still };
    for (const button of all("[data-do]"))
      button.addEventListener("click", () => {
        actions[button.dataset.do]();
        show();
      });
    choices.forEach((button, k) =>
      button.addEventListener("click", () => {
        label = k;
        show();
      }));
    for (const slider of sliders) slider.addEventListener("input", show);
    still();
    show();
  };

  const root = document.querySelector(".steering");
  if (globalThis.GENERATOR) start(root, GENERATOR);
})();
