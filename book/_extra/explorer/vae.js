// A trained VAE in plain JavaScript: the arithmetic of genlearn.models.VAE.mlp, and nothing else.
"use strict";

const silu = (x) => x / (1 + Math.exp(-x));

const linear = ({ weight, bias }, x) =>
  Array.from(bias, (sum, row) => {
    for (let i = 0; i < x.length; i++) sum += weight[row * x.length + i] * x[i];
    return sum;
  });

/** Linear layers with SiLU between them, none after the last. */
const mlp = (layers, x) => layers.reduce((h, layer, k) => linear(layer, k ? h.map(silu) : h), x);

const logSoftmax = (logits) => {
  const top = Math.max(...logits);
  const total = logits.reduce((sum, logit) => sum + Math.exp(logit - top), 0);
  return logits.map((logit) => logit - top - Math.log(total));
};

/** Two independent uniform numbers make one standard normal number. */
const normal = () =>
  Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());

class BrowserVAE {
  /** Read the content of weights.js. A weight is the upper half of a float32, low byte first. */
  constructor(file) {
    const bytes = Uint8Array.from(atob(file.weights), (letter) => letter.charCodeAt(0));
    const words = Uint32Array.from({ length: bytes.length / 2 }, (_, i) =>
      (bytes[2 * i + 1] << 24) | (bytes[2 * i] << 16));
    const numbers = new Float32Array(words.buffer);
    let taken = 0;
    const take = (count) => numbers.subarray(taken, (taken += count));
    const read = ([inputs, outputs]) => ({ weight: take(inputs * outputs), bias: take(outputs) });
    this.encoder = file.encoder.map(read);
    this.decoder = file.decoder.map(read);
    this.head = file.head.map(read); // one for all pixels
    if (taken !== numbers.length) throw Error("weights.js is damaged: another number of weights");
    this.levels = file.levels;
    this.latentDim = file.latent_dim;
  }

  /** q(z | x) for an image of levels: mean and standard deviation of each dimension. */
  posterior(image) {
    const scaled = image.map((level) => (level * 2) / (this.levels - 1) - 1);
    const output = mlp(this.encoder, scaled);
    const mean = output.slice(0, this.latentDim);
    const std = output.slice(this.latentDim).map(Math.exp);
    return { mean, std, rates: mean.map((m, j) => rate(m, std[j])) };
  }

  /** log p(level | z) for each pixel and each level, nats. */
  logProbs(z) {
    const features = mlp(this.decoder, z).map(silu);
    const each = this.head[0].weight.length / this.head[0].bias.length;
    return Array.from({ length: features.length / each }, (_, pixel) =>
      logSoftmax(mlp(this.head, features.slice(pixel * each, (pixel + 1) * each))));
  }
}

/** KL(N(mean, std²) ‖ N(0, 1)), nats. */
const rate = (mean, std) => (mean * mean + std * std - 1) / 2 - Math.log(std);

/** Expected level of each pixel. */
const meanImage = (logProbs) =>
  logProbs.map((pixel) => pixel.reduce((sum, log, level) => sum + level * Math.exp(log), 0));

/** log p(x | z) of an image of levels, nats. */
const logLikelihood = (logProbs, image) =>
  image.reduce((sum, level, pixel) => sum + logProbs[pixel][level], 0);

/** One level for each pixel, from p(x | z); a uniform number for each pixel decides. */
const drawImage = (logProbs, uniform) =>
  logProbs.map((pixel, i) => {
    let level = 0;
    for (let left = uniform[i] - Math.exp(pixel[0]); left > 0 && level < pixel.length - 1; )
      left -= Math.exp(pixel[++level]);
    return level;
  });
