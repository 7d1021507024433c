// A PixelCNN in plain JavaScript: the arithmetic of genlearn.models.pixel_cnn, pixel by pixel.
"use strict";

const softmax = (scores) => {
  const most = Math.max(...scores);
  const weights = scores.map((score) => Math.exp(score - most));
  const sum = weights.reduce((a, b) => a + b, 0);
  return weights.map((weight) => weight / sum);
};

/** The first place at which the running sum of probabilities exceeds a uniform number. */
const draw = (probabilities, uniform) => {
  let sum = 0;
  const k = probabilities.findIndex((p) => (sum += p) > uniform);
  return k < 0 ? probabilities.length - 1 : k;
};

class BrowserPixelCNN {
  /** Read the content of pixels.js. */
  constructor(file) {
    [this.layers] = readLayers(file, [file.layers]);
    [, this.height, this.width] = file.shape;
    this.levels = file.levels;
    this.classes = file.classes;
    this.blocks = file.blocks;
    [this.firstReach, this.reach] = file.reach;
    this.size = this.height * this.width;
  }

  /** What is kept while an image is gone through: for each block, its narrow features of each pixel. */
  empty() {
    return Array.from({ length: this.blocks }, () => Array(this.size).fill(null));
  }

  /** Values at the places that a mask lets through, in the order of the file; nothing beyond the border. */
  taps(pixel, reach, itself, value) {
    const row = Math.floor(pixel / this.width);
    const column = pixel % this.width;
    const found = [];
    for (let up = reach; up >= 0; up--)
      for (let right = -reach; up ? right <= reach : right < itself; right++) {
        const [r, c] = [row - up, column + right];
        found.push(r >= 0 && c >= 0 && c < this.width ? value(r * this.width + c) : null);
      }
    return found;
  }

  /** p(level of a pixel | all pixels before it, label). `kept` must hold those before, and gets this one. */
  next(image, pixel, label, kept) {
    const grey = (at) => (2 * image[at]) / (this.levels - 1) - 1;
    const seen = this.taps(pixel, this.firstReach, 0, grey).map((x) => x ?? 0);
    const oneHot = Array.from({ length: this.classes }, (_, k) => Number(k === label));
    let layer = 0;
    let x = linear(this.layers[layer++], [...seen, ...oneHot]);
    for (const features of kept) {
      const narrow = linear(this.layers[layer++], x.map(relu)).map(relu);
      features[pixel] = narrow;
      const nothing = narrow.map(() => 0);
      const around = this.taps(pixel, this.reach, 1, (at) => features[at]);
      const middle = linear(this.layers[layer++], around.flatMap((one) => one ?? nothing)).map(relu);
      const added = linear(this.layers[layer++], middle);
      x = x.map((value, i) => value + added[i]);
    }
    const hidden = linear(this.layers[layer++], x.map(relu)).map(relu);
    return softmax(linear(this.layers[layer++], hidden));
  }

  /** For each label: p(level | pixels before) at each pixel, log p(pixels before), and what was kept. */
  read(image) {
    return Array.from({ length: this.classes }, (_, label) => {
      const kept = this.empty();
      const tables = image.map((_, pixel) => this.next(image, pixel, label, kept));
      const logProbs = [0];
      tables.forEach((table, pixel) => logProbs.push(logProbs[pixel] + Math.log(table[image[pixel]])));
      return { kept, tables, logProbs };
    });
  }

  /** p(label | the pixels before one), by Bayes' rule; labels are equally likely beforehand. */
  posterior(reading, pixel) {
    return softmax(reading.map(({ logProbs }) => logProbs[pixel]));
  }

  /** p(level of a pixel | the pixels before it), over all labels. */
  predictive(reading, pixel) {
    const weights = this.posterior(reading, pixel);
    return reading[0].tables[pixel].map((_, level) =>
      weights.reduce((sum, weight, label) => sum + weight * reading[label].tables[pixel][level], 0));
  }

  /** log p(the pixels before one), over all labels. */
  logProb(reading, pixel) {
    const logs = reading.map(({ logProbs }) => logProbs[pixel]);
    const most = Math.max(...logs);
    return most + Math.log(logs.reduce((sum, x) => sum + Math.exp(x - most), 0) / this.classes);
  }

  /** Keep the pixels before one, draw the rest: first a label, then pixel by pixel. */
  complete(image, reading, pixel, uniforms) {
    const label = draw(this.posterior(reading, pixel), uniforms[this.size]);
    const kept = reading[label].kept.map((features) => features.slice());
    const drawn = image.slice();
    for (let at = pixel; at < this.size; at++)
      drawn[at] = draw(this.next(drawn, at, label, kept), uniforms[at]);
    return drawn;
  }
}
