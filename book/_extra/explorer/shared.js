// What the explorers share: the arithmetic of an MLP, weights out of a file, and pixels into a canvas.
"use strict";

const silu = (x) => x / (1 + Math.exp(-x));

const relu = (x) => Math.max(0, x);

const linear = ({ weight, bias }, x) =>
  Array.from(bias, (sum, row) => {
    for (let i = 0; i < x.length; i++) sum += weight[row * x.length + i] * x[i];
    return sum;
  });

/** Linear layers with a bend between them, none after the last. */
const mlp = (layers, x, bend = silu) =>
  layers.reduce((h, layer, k) => linear(layer, k ? h.map(bend) : h), x);

/** Two independent uniform numbers make one standard normal number. */
const normal = () =>
  Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());

/** Read lists of layers of [inputs, outputs]. A weight is the upper half of a float32, low byte first. */
const readLayers = (file, lists) => {
  const bytes = Uint8Array.from(atob(file.weights), (letter) => letter.charCodeAt(0));
  const words = Uint32Array.from({ length: bytes.length / 2 }, (_, i) =>
    (bytes[2 * i + 1] << 24) | (bytes[2 * i] << 16));
  const numbers = new Float32Array(words.buffer);
  let taken = 0;
  const take = (count) => numbers.subarray(taken, (taken += count));
  const read = ([inputs, outputs]) => ({ weight: take(inputs * outputs), bias: take(outputs) });
  const layers = lists.map((list) => list.map(read));
  if (taken !== numbers.length) throw Error("the file is damaged: another number of weights");
  return layers;
};

const signed = (x, digits = 2) => (x < 0 ? "−" : "+") + Math.abs(x).toFixed(digits);

/** Draw an image of levels into a canvas that has one pixel for each of its pixels. */
const paint = (canvas, image, levels) => {
  const { width, height } = canvas;
  const grey = image.flatMap((level) => [...Array(3).fill((255 * level) / (levels - 1)), 255]);
  const pixels = new ImageData(Uint8ClampedArray.from(grey), width, height);
  canvas.getContext("2d").putImageData(pixels, 0, 0);
};
