// d′ and its intervals from counts, as genlearn/metrics/human.py reckons them.
"use strict";

const Z = 1.959963984540054; // a normal number lies within ±Z with probability 0.95

const normalDensity = (x) => Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI);

/** Φ(x), by its series: exact for every x that a share of counts can give. */
const normalShare = (x) => {
  let term = x;
  let sum = x;
  for (let k = 3; Math.abs(term) > 1e-17 * Math.abs(sum); k += 2) sum += term *= (x * x) / k;
  return 0.5 + normalDensity(x) * sum;
};

/** Φ⁻¹(p), by Newton's method; from 0 it comes nearer from one side only. */
const quantile = (p) => {
  if (p <= 0 || p >= 1) return p > 0 ? Infinity : -Infinity;
  let x = 0;
  for (let k = 0, step = 1; k < 100 && Math.abs(step) > 1e-14; k++)
    x -= step = (normalShare(x) - p) / normalDensity(x);
  return x;
};

/** Wilson's interval of a share: {value, low, high}. */
const wilson = (count, trials) => {
  const value = count / trials;
  const middle = (count + Z ** 2 / 2) / (trials + Z ** 2);
  const half = (Z / (trials + Z ** 2)) * Math.sqrt(trials * value * (1 - value) + Z ** 2 / 4);
  return {
    value,
    low: count === 0 ? 0 : middle - half,
    high: count === trials ? 1 : middle + half,
  };
};

/** d′ of one who picks the real image of a pair. */
const dPrimeFromPairs = (right, pairs) => {
  const { value, low, high } = wilson(right, pairs);
  const [d, from, to] = [value, low, high].map((p) => Math.SQRT2 * quantile(p));
  return { value: d, low: from, high: to };
};

/** d′ and criterion of one who says "real" or "made" of single images. */
const dPrimeFromRates = (hits, real, falseAlarms, made) => {
  const rate = (count, images) => {
    const { value, low, high } = wilson(count, images);
    const inside = count > 0 && count < images ? value : (count + 0.5) / (images + 1);
    return { value: quantile(value), inside: quantile(inside), low: quantile(low), high: quantile(high) };
  };
  const hit = rate(hits, real);
  const alarm = rate(falseAlarms, made);
  const middle = hit.inside - alarm.inside;
  return {
    value: hit.value - alarm.value,
    low: middle - Math.hypot(hit.inside - hit.low, alarm.high - alarm.inside),
    high: middle + Math.hypot(hit.high - hit.inside, alarm.inside - alarm.low),
    criterion: 0 - (hit.value + alarm.value) / 2,
  };
};
