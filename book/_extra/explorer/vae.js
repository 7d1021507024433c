// A trained VAE in plain JavaScript: the arithmetic of genlearn.models.VAE.mlp, and nothing else.
"use strict";

const logSoftmax = (logits) => {
  const top = Math.max(...logits);
  const total = logits.reduce((sum, logit) => sum + Math.exp(logit - top), 0);
  return logits.map((logit) => logit - top - Math.log(total));
};

class BrowserVAE {
  /** Read the content of weights.js; the head is one for all pixels. */
  constructor(file) {
    const lists = [file.encoder, file.decoder, file.head];
    [this.encoder, this.decoder, this.head] = readLayers(file, lists);
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
