// A conditional generator in plain JavaScript: the arithmetic of genlearn.models.ConditionalGAN.mlp.
"use strict";

class BrowserGAN {
  /** Read the content of generator.js. */
  constructor(file) {
    [this.layers] = readLayers(file, [file.generator]);
    this.classes = file.classes;
    this.levels = file.levels;
    this.latentDim = file.latent_dim;
  }

  /** The levels of the pixels, not rounded, for noise and a label. */
  generate(noise, label) {
    const oneHot = Array.from({ length: this.classes }, (_, k) => Number(k === label));
    const output = mlp(this.layers, [...noise, ...oneHot], relu).map(Math.tanh);
    return output.map((x) => ((x + 1) / 2) * (this.levels - 1));
  }
}

/** Keep a share of the noise, then take so many steps along each direction. */
const steer = (noise, share, directions, steps) =>
  noise.map((z, i) => directions.reduce((sum, way, k) => sum + steps[k] * way[i], share * z));

/** Mean level, black 0, white 1. */
const ink = (image, levels) => image.reduce((sum, level) => sum + level, 0) / image.length / (levels - 1);

/** Columns to the right for each row upwards, by least squares. */
const slant = (image, width) => {
  const total = image.reduce((sum, level) => sum + level, 0);
  const mean = (value) =>
    image.reduce((sum, level, i) => sum + level * value(i % width, Math.floor(i / width)), 0) / total;
  const [x, y] = [mean((column) => column), mean((_, row) => row)];
  return -mean((column, row) => (column - x) * (row - y)) / mean((_, row) => (row - y) ** 2);
};
