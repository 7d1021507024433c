// The judging desk: a test of people on images that travel along (judging.js).
"use strict";

(() => {
  const KEY = "genlearn-judging";
  const KINDS = {
    pairs: { title: "pairs", asks: "Which image is real? Press it.", choices: ["left", "right"] },
    single: {
      title: "single images",
      asks: "Is this image real, or made by the model?",
      choices: ["real", "made"],
    },
  };
  const LENGTHS = [20, 50, 100];

  /** Numbers from 0 to 1 that a seed decides (mulberry32). */
  const generator = (seed) => () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };

  const shuffled = (list, random) => {
    const all = [...list];
    for (let k = all.length - 1; k > 0; k--) {
      const other = Math.floor(random() * (k + 1));
      [all[k], all[other]] = [all[other], all[k]];
    }
    return all;
  };

  /** What is asked, in an order that the seed decides; no image comes twice. */
  const questionsOf = ({ kind, model, trials, seed }, images) => {
    const random = generator(seed);
    const [real, made] = ["real", model].map((name) => shuffled(images[name].keys(), random));
    if (kind === "pairs")
      return Array.from({ length: trials }, (_, k) => ({
        real: real[k],
        made: made[k],
        truth: random() < 0.5 ? "left" : "right",
      }));
    const singles = Array.from({ length: trials }, (_, k) =>
      k % 2
        ? { real: real[(k - 1) / 2], made: null, truth: "real" }
        : { real: null, made: made[k / 2], truth: "made" });
    return shuffled(singles, random);
  };

  /** Counts and figures of the answers so far; null while there are none. */
  const resultOf = ({ kind }, questions, answers) => {
    if (!answers.length) return null;
    const count = (truth, answer) =>
      answers.filter((one, k) => questions[k].truth === truth && one === answer).length;
    const [a, b] = KINDS[kind].choices;
    const right = count(a, a) + count(b, b);
    const share = wilson(right, answers.length);
    if (kind === "pairs") return { right, share, d: dPrimeFromPairs(right, answers.length) };
    const [hits, misses] = [count(a, a), count(a, b)];
    const [alarms, rejections] = [count(b, a), count(b, b)];
    const [real, made] = [hits + misses, alarms + rejections];
    const d = real && made ? dPrimeFromRates(hits, real, alarms, made) : { value: NaN };
    return { right, share, d, hits, alarms, real, made };
  };

  const number = (x) =>
    Number.isNaN(x) || x === undefined
      ? "unknown"
      : (x < 0 ? "−" : "") + (Number.isFinite(x) ? Math.abs(x).toFixed(2) : "∞");

  const percent = (share) => `${(100 * share).toFixed(0)} %`;

  const radio = (name, value, text, checked) => `
    <label><input type="radio" name="${name}" value="${value}" ${checked ? "checked" : ""}>${text}</label>`;

  const choices = (name, legend, options) => `
    <fieldset><legend>${legend}</legend>${options.map(([value, text], k) =>
      radio(name, value, text, !k)).join("")}</fieldset>`;

  const row = (name, text) => `<div><dt>${text}</dt><dd class="${name}"></dd></div>`;

  const whole = (file) => `
    <form class="settings">
      ${choices("kind", "You are shown", Object.entries(KINDS).map(([k, { title }]) => [k, title]))}
      ${choices("model", "Made by", file.models.map(({ name, title }) => [name, title]))}
      ${choices("trials", "Questions", LENGTHS.map((n) => [n, n]))}
      <div class="buttons"><button type="submit">begin a new test</button></div>
    </form>
    <p class="asks" role="status" aria-live="polite" tabindex="-1"></p>
    <div class="shown" role="group" aria-label="Images and answers"></div>
    <label class="told"><input type="checkbox" checked> say after each answer whether it was right</label>
    <dl class="numbers">
      ${row("count", "right answers")}
      ${row("share", "share right, 95 % interval")}
      ${row("rates", "real called real; made called real")}
      ${row("d-prime", "d′, 95 % interval")}
      ${row("criterion", "criterion")}
    </dl>
    <div class="buttons">
      <button type="button" class="end">show the result now</button>
      <a class="download" download="answers.jsonl">download the answers</a>
    </div>`;

  const start = (root, file) => {
    const images = Object.fromEntries(Object.entries(file.images).map(([name, all]) =>
      [name, all.map((one) => Array.from(one, (sign) => parseInt(sign, file.levels)))]));
    root.innerHTML = whole(file);
    const find = (selector) => root.querySelector(selector);
    const [, height, width] = file.shape;
    let test, questions, answers, ended;

    const keep = () => {
      try {
        localStorage.setItem(KEY, JSON.stringify({ test, answers, ended }));
      } catch {
        // A browser may forbid it; then the answers live as long as the page.
      }
    };

    const fits = (one) =>
      one?.test?.images_sha256 === file.images_sha256 && one.test.kind in KINDS &&
      file.models.some(({ name }) => name === one.test.model) && LENGTHS.includes(one.test.trials) &&
      Array.isArray(one.answers) && one.answers.length <= one.test.trials &&
      one.answers.every((answer) => KINDS[one.test.kind].choices.includes(answer));

    const kept = () => {
      try {
        const one = JSON.parse(localStorage.getItem(KEY));
        return fits(one) ? one : null;
      } catch {
        return null;
      }
    };

    const lines = () => {
      const head = { file: "answers of a human test", ...test };
      const given = answers.map((answer, trial) => ({ trial, ...questions[trial], answer }));
      return [head, ...given].map((line) => `${JSON.stringify(line)}\n`).join("");
    };

    const showNumbers = () => {
      const result = ended ? resultOf(test, questions, answers) : null;
      find(".numbers").hidden = !result;
      if (!result) return;
      const { right, share, d } = result;
      const interval = ({ low, high }, say) => (low === undefined ? "" : ` (${say(low)} … ${say(high)})`);
      find(".count").textContent = `${right} of ${answers.length}`;
      find(".share").textContent = percent(share.value) + interval(share, percent);
      find(".d-prime").textContent = number(d.value) + interval(d, number);
      for (const name of [".rates", ".criterion"])
        find(name).parentElement.hidden = test.kind === "pairs";
      find(".rates").textContent =
        `${result.hits} of ${result.real}; ${result.alarms} of ${result.made}`;
      find(".criterion").textContent = number(d.criterion);
    };

    const picture = (attributes) => `<canvas width="${width}" height="${height}" ${attributes}></canvas>`;

    const showQuestion = (remark) => {
      const { title, asks, choices: names } = KINDS[test.kind];
      const model = file.models.find(({ name }) => name === test.model).title;
      const done = answers.length;
      const place = find(".shown");
      place.classList.toggle("single", test.kind === "single");
      if (ended) {
        find(".asks").textContent = `${remark} The test is over: ${done} answers (${title}, ${model}).`.trim();
        place.innerHTML = "";
        return;
      }
      find(".asks").textContent = `${remark} Question ${done + 1} of ${test.trials} (${model}). ${asks}`.trim();
      const { real, made, truth } = questions[done];
      const pair = [images.real[real], images[test.model][made]];
      const shown = test.kind === "single" ? pair.filter(Boolean) : truth === "left" ? pair : pair.reverse();
      place.innerHTML =
        test.kind === "pairs"
          ? names.map((name) => `<button type="button" data-answer="${name}"
              aria-label="the ${name} image is real">${picture('aria-hidden="true"')}</button>`).join("")
          : picture('role="img" aria-label="the image"') + `<div class="buttons">${names.map((name) =>
              `<button type="button" data-answer="${name}">${name}</button>`).join("")}</div>`;
      place.querySelectorAll("canvas").forEach((canvas, k) => paint(canvas, shown[k], file.levels));
    };

    const show = (remark = "") => {
      showQuestion(remark);
      showNumbers();
      find(".end").hidden = ended || !answers.length;
      const link = find(".download");
      URL.revokeObjectURL(link.href);
      link.href = URL.createObjectURL(new Blob([lines()], { type: "application/jsonl" }));
      link.hidden = !answers.length;
      keep();
    };

    const begin = (one) => {
      ({ test, answers, ended } = one);
      questions = questionsOf(test, images);
      for (const name of ["kind", "model", "trials"])
        find(`[name=${name}][value="${test[name]}"]`).checked = true;
      show();
    };

    const fresh = () => {
      const chosen = Object.fromEntries(new FormData(find("form")));
      const seed = Math.floor(Math.random() * 2 ** 31);
      const { images_sha256 } = file;
      return {
        test: { kind: chosen.kind, trials: Number(chosen.trials), seed, model: chosen.model, images_sha256 },
        answers: [],
        ended: false,
      };
    };

    find("form").addEventListener("submit", (event) => {
      event.preventDefault();
      begin(fresh());
    });
    find(".end").addEventListener("click", () => {
      ended = true;
      show();
      find(".asks").focus();
    });
    find(".shown").addEventListener("click", ({ target }) => {
      const { answer } = target.closest("[data-answer]")?.dataset ?? {};
      if (!answer) return;
      const right = answer === questions[answers.length].truth;
      answers.push(answer);
      ended = answers.length === test.trials;
      const told = find(".told input").checked;
      show(told ? (right ? "Right." : "Wrong.") : "");
      // A new question has new buttons: keyboard and screen reader stay where they were.
      (find(`[data-answer="${answer}"]`) ?? find(".asks")).focus();
    });
    begin(kept() ?? fresh());
  };

  const root = document.querySelector(".judging");
  if (globalThis.JUDGING) start(root, JUDGING);
})();
