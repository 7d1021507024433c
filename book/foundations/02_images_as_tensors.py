# %% [markdown]
# (ch-images)=
# # 02 Images as tensors
#
# **Reading** 45 minutes · **Running** under 90 seconds on one CPU thread · **Difficulty** ●○○ ·
# **You need** arrays, a little probability
#
# **What exactly does a model of images give a probability to?** Not to a photograph on a wall, and
# not to a file. To a block of whole numbers. How that block is laid out, which values it may hold
# and what is done to it on the way decides what every later number in this book means.
#
# After this chapter you can
#
# - say what each axis of an image tensor is, and notice when two of them were mixed up;
# - compute the error that a number of grey levels costs;
# - explain why a density on whole numbers can be made as large as you like, and repair it;
# - rotate, scale, shift and reflect images by hand, and explain why one asks where a pixel *came
#   from*;
# - follow an image from its file to its place in a batch, and say what augmentation does to a
#   generator.
#
# ```{admonition} Five questions first
# :class: tip
#
# 1. How many different images of 8×8 pixels with 17 grey levels are there?
# 2. What is the variance of a number drawn evenly from $[-\tfrac12,\tfrac12]$?
# 3. If $y=sx$ with $s>0$, how do the densities of $x$ and $y$ differ?
# 4. What is `250 + 10` for two numbers of type `uint8`?
# 5. Which matrix rotates a point of the plane by the angle $\alpha$?
#
# If three of them come easily, read on. The answers follow.
# ```
#
# ```{admonition} Answers
# :class: dropdown
#
# 1. $17^{64}\approx5.6\cdot10^{78}$: there are about as many atoms in the visible universe.
# 2. $\tfrac1{12}$. It returns in {eq}`eq-image-quantisation`.
# 3. $p_y(y)=p_x(y/s)/s$: stretching thins a density out.
# 4. It is 4: a byte counts modulo 256, and nobody warns you.
# 5. $\begin{pmatrix}\cos\alpha&-\sin\alpha\\\sin\alpha&\cos\alpha\end{pmatrix}$, anticlockwise if
#    the second axis points up.
# ```

# %%
import math

import torch
from myst_nb import glue
from skimage import data as photographs
from torch import nn
from torch.distributions import Normal

from genlearn import data, metrics, models, viz
from genlearn.callbacks import Evaluate
from genlearn.data import affine, dequantise, random_affine
from genlearn.training import Objective, fit

torch.set_num_threads(1)
cat = torch.tensor(photographs.cat())  # it comes with scikit-image
blocks = cat[:300, :450].unflatten(1, (150, 3)).unflatten(0, (100, 3))
cat = blocks.float().mean((1, 3)).round().to(torch.uint8)  # a third of the size
print(tuple(cat.shape), cat.dtype)

# %% [markdown]
# (sec-image-axes)=
# ## Four axes
#
# The photograph has three axes: 100 rows, 150 columns, and three numbers at each place, for red, green
# and blue. PyTorch wants the colour axis, called **channels**, first, and then a fourth axis in
# front that counts images.

# %%
photo = cat.permute(2, 0, 1)[None, :, 4:100, 22:118]  # (1, 3, 96, 96)
digits = data.load("digits")
print("photograph", tuple(photo.shape), "256 levels")
print("digits    ", tuple(digits.train.images.shape), digits.levels, "levels")

# %% tags=["hide-input"] mystnb={"image": {"alt": "A colour photograph of a tabby cat's face, and beside it its red, green and blue channels as three grey pictures; the brown fur is brightest in the red channel and darkest in the blue one. Far right: an eight by eight digit with the level written into each pixel, from 0 to 16."}, "figure": {"caption": "A colour image is three grey ones: red, green, blue. Right: the first digit of our data, with the level of each pixel.", "name": "fig-image-channels"}}
figure, axes = viz.subplots(1, 5, height=1.75)
viz.show_images(axes[0], photo, 256, title="photograph")
for axis, channel, name in zip(
    axes[1:4], photo[0], ["red", "green", "blue"], strict=True
):
    viz.show_images(axis, channel[None, None], 256, title=name)
viz.show_images(axes[4], digits.train.images[:1], 17, title="a digit")
for row, line in enumerate(digits.train.images[0, 0].tolist()):
    for column, level in enumerate(line):
        colour = "black" if level > 8 else "white"
        axes[4].text(
            column, row, level, color=colour, size=4, ha="center", va="center"
        )
figure

# %% [markdown]
# ```{erratum} E25
# ```
#
# So this is what we mean by an image:
#
# ```{prf:definition} Image
# :label: def-image
#
# An image with $C$ channels, $H$ rows, $W$ columns and $K$ levels is a tensor
#
# $$
# x\in\{0,1,\dots,K-1\}^{C\times H\times W}.
# $$ (eq-image-tensor)
# ```
#
# It has $D=C\cdot H\cdot W$ values, and there are $K^D$ such images. A batch of $N$ images has shape
# $(N,C,H,W)$; in this book it is always of type `uint8`, and it always holds levels.
#
# (sec-image-failure)=
# ## A failure, made on purpose
#
# How do you bring the colour axis to the front? Two calls give the shape that PyTorch wants.
#
# ```{admonition} Predict, then run
# :class: tip
# `cat.permute(2, 0, 1)` and `cat.reshape(3, 100, 150)` have the same shape and hold the same
# numbers. Will they show the same picture?
# ```

# %%
permuted = cat.permute(2, 0, 1)
reshaped = cat.reshape(3, 100, 150)
assert permuted.shape == reshaped.shape
assert permuted.sum() == reshaped.sum()  # the same numbers
assert not torch.equal(permuted, reshaped)  # in other places

# %% tags=["hide-input"] mystnb={"image": {"alt": "Left: the photograph of the cat. Right: a mesh of thin stripes in pink, green and blue; of the cat only vague patches remain."}, "figure": {"caption": "Left: axes exchanged with `permute`. Right: the same numbers poured into the same shape with `reshape`.", "name": "fig-image-reshape"}}
figure, (left, right) = viz.subplots(1, 2, height=2.6)
viz.show_images(left, permuted[None], 256, title="permute")
viz.show_images(right, reshaped[None], 256, title="reshape")
figure

# %% [markdown]
# ```{admonition} Symptom, diagnosis, cure
# :class: warning
#
# **Symptom.** Images look like woven cloth: thin stripes in colours that were never there. Shapes are
# right, no error is raised, and *training works*: the loss falls, for the model learns the scrambled
# images.
#
# **Diagnosis.** `reshape` and `view` keep the order of the numbers in memory and cut it up anew.
# Three neighbours in memory are the red, green and blue of one place; `reshape` makes them three
# neighbours in a row. Only `permute` and `transpose` exchange axes.
#
# **Cure.** Exchange axes with `permute`. Look at one image *after* the last step of the pipeline,
# before you train.
# ```
#
# ## What a level costs
#
# A camera measures light on a fine scale and rounds. With values $v\in[0,1]$ and $K$ levels, the
# distance between levels is $\Delta=1/(K-1)$, and rounding gives
#
# $$
# Q(v)=\operatorname{round}\bigl((K-1)\,v\bigr).
# $$ (eq-image-quantise)
#
# How much is lost? If the levels lie close together, then within one step all values are about
# equally likely. The error $e$ is then spread evenly over $[-\Delta/2,\Delta/2]$, and its mean
# square is
#
# $$
# \E[e^2]=\frac1\Delta\int_{-\Delta/2}^{\Delta/2}e^2\,\mathrm{d}e=\frac{\Delta^2}{12}.
# $$ (eq-image-quantisation)
#
# Each doubling of the levels divides the error by four. We smooth the photograph, so that its values
# lie between the camera's own levels, and round it again.

# %%
smooth = nn.functional.avg_pool2d(photo / 255, 2)  # (1, 3, 48, 48), fine values
counts = [2, 3, 5, 9, 17, 33, 65]
measured = []
for count in counts:
    rounded = (smooth * (count - 1)).round() / (count - 1)
    measured.append((rounded - smooth).square().mean().item())
predicted = [1 / (12 * (count - 1) ** 2) for count in counts]
for count, error, formula in zip(
    counts[3:], measured[3:], predicted[3:], strict=True
):
    assert abs(error / formula - 1) < 0.1
    print(f"{count:3} levels: measured / predicted = {error / formula:.1f}")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Left: the cat with 2, 3, 5 and 17 levels a channel; with two it is a poster of flat colours, with seventeen it looks almost natural. Right: mean squared error against the number of levels on logarithmic axes; measured dots lie on the straight line of the formula."}, "figure": {"caption": "Left: the photograph at 2, 3, 5 and 17 levels a channel. Right: the error of rounding, measured and by {eq}`eq-image-quantisation`.", "name": "fig-image-quantisation"}}
figure, (left, right) = viz.subplots(1, 2, height=2.6, width_ratios=[1, 1.4])
few = [
    ((smooth * (k - 1)).round() * (16 // (k - 1))).to(torch.uint8)
    for k in (2, 3, 5, 17)
]
viz.show_images(left, torch.cat(few), 17, columns=2)
right.loglog(counts, predicted, label="$\\Delta^2/12$")
right.scatter(counts, measured, s=16, color="black", zorder=3, label="measured")
right.set_xticks(counts, [str(count) for count in counts])
right.minorticks_off()
right.set(xlabel="levels", ylabel="mean squared error")
right.legend()
figure

# %% [markdown]
# At two or three levels the formula is only a guide, for the image is not evenly spread over such
# wide steps. From nine levels on it holds.
#
# Networks prefer small numbers around zero. So each model of this book scales levels for itself, to
#
# $$
# y=\frac{2x}{K-1}-1\in[-1,1],\qquad x=\operatorname{round}\Bigl(\frac{(y+1)(K-1)}{2}\Bigr).
# $$ (eq-image-scale)
#
# Going back and forth loses nothing, whatever $K$. And because models do it, *you* never do: an image
# that was scaled twice is one of the commonest bugs there is.

# %%
for levels in range(2, 257):
    x = torch.arange(levels, dtype=torch.uint8)
    y = x.float() * (2 / (levels - 1)) - 1
    assert torch.equal(((y + 1) * (levels - 1) / 2).round().to(torch.uint8), x)
    assert y.min() == -1 and abs(y.max() - 1) < 1e-6
print("levels to [-1, 1] and back, for 2 … 256 levels: nothing lost")
print("but uint8 arithmetic wraps around: 250 + 10 =", int(x[250] + x[10]))

# %% [markdown]
# ## From counts to densities
#
# A probability model of levels gives a *mass*: each image has a probability, and all of them add up
# to one. Many models give a *density* instead, a Gaussian for instance. May one use a density for
# whole numbers?
#
# Take the pixel in the top left corner of our digits. It is 0 in every training image. Describe it by
# a Gaussian around 0 with standard deviation $\sigma$, and make $\sigma$ small: the density at 0 is
# $1/(\sigma\sqrt{2\pi})$, and it grows without end. The model learns nothing and its "likelihood" is
# infinite. This is not a corner case: wherever values repeat exactly, a density can put a spike.
#
# The repair is to spread each level over the whole step that it stands for:
#
# $$
# y=x+u,\qquad u\sim\mathcal{U}[0,1)^D.
# $$ (eq-image-dequantised)
#
# This is called **dequantisation**. Now a spike can no longer win. Let $p$ be any density for $y$,
# and let the mass of a level be what the density holds on its step:
#
# $$
# P(x)=\int_{[0,1)^D}p(x+u)\,\mathrm{d}u .
# $$ (eq-image-mass)
#
# These masses are honest probabilities: they add up to one over all $x$, because the steps tile the
# space (if $p$ lives on it). The integral is a mean over $u$, so by Jensen's inequality
#
# $$
# \log P(x)=\log\E_u\bigl[p(x+u)\bigr]\ge\E_u\bigl[\log p(x+u)\bigr].
# $$ (eq-image-dequantisation-bound)
#
# The right side is what one trains on. So **the mean log density of dequantised images is a lower
# bound on a log mass**, and that makes it comparable with models of levels
# {cite:p}`theis2016`. Without the noise it is comparable with nothing.
#
# ```{admonition} Predict, then run
# :class: tip
# For the corner pixel, the best possible log mass is $\log1=0$. We fit a Gaussian with ever smaller
# $\sigma$, first to the raw zeros, then to zeros plus noise. Which of the two curves can exceed 0?
# ```

# %%
corner = digits.train.images[:, :, :1, :1]
assert (corner == 0).all()
generator = torch.Generator().manual_seed(0)
raw = corner.float()
noisy = dequantise(corner, generator)
widths = torch.logspace(-3, 1, 60)
on_raw = [Normal(0.0, width).log_prob(raw).mean().item() for width in widths]
on_noisy = [
    Normal(0.5, width).log_prob(noisy).mean().item() for width in widths
]
assert max(on_raw) > 5 and on_raw[0] == max(on_raw)  # and no end of it
assert max(on_noisy) < 0

# %% tags=["hide-input"] mystnb={"image": {"alt": "Mean log density against the standard deviation of a Gaussian, on a logarithmic axis. For raw levels the curve rises without limit as the deviation shrinks, past zero and beyond five. For dequantised levels it has a peak just below zero and falls on both sides."}, "figure": {"caption": "A Gaussian on a pixel that is always 0. On raw levels a narrower spike is always better; on dequantised levels the best is below the log mass 0, as {eq}`eq-image-dequantisation-bound` demands.", "name": "fig-image-spike"}}
figure, axes = viz.subplots(height=2.5)
axes.semilogx(widths, on_raw, label="raw levels")
axes.semilogx(widths, on_noisy, label="dequantised")
axes.axhline(0, ls="--", lw=1, color="black")
axes.text(10, 0.15, "best possible log mass", ha="right")
axes.set(
    xlabel="standard deviation", ylabel="mean log density, nats", ylim=(-8, 7)
)
axes.legend(loc="lower right")
figure

# %% [markdown]
# One more trap. A density has units, and units can be changed. If all values are divided by $s$, for
# instance to bring $[0,256)$ to $[0,1)$, then each of the $D$ axes shrinks, and the density grows:
#
# $$
# \log p_{y/s}(y/s)=\log p_y(y)+D\log s .
# $$ (eq-image-units)
#
# The model is the same, and its log density is $D\log256\approx5.55\,D$ nats larger. This is why
# papers quote *bits per dimension* for the scale of whole numbers, {eq}`eq-vae-bits`, and why a bare
# "log-likelihood" of scaled images says little.

# %%
y = torch.tensor([37.2, 120.9, 201.3])
before = Normal(100.0, 50.0).log_prob(y).sum()
after = Normal(100.0 / 256, 50.0 / 256).log_prob(y / 256).sum()
gain = (after - before).item() / 3
assert abs(gain - math.log(256)) < 1e-4
glue("image-unit-gain", f"{gain:.2f}", display=False)
print(f"the same model in other units: {gain:.2f} nats per dimension more")

# %% [markdown]
# ## Moving images about
#
# Cropping and reflecting only pick pixels. Rotation and scaling need values *between* pixels. The
# first idea is to take each pixel and carry it to its new place. It leaves holes, because the new
# places do not fall on the grid. So turn the question around: for each pixel of the *result*, ask
# where it **came from**. If the map takes a point $r$ (measured from the centre) to $Ar+t$, then
#
# $$
# \text{output}(r)=\text{input}\bigl(A^{-1}(r-t)\bigr).
# $$ (eq-image-affine)
#
# The point asked for lies between four pixels. Let $a,b\in[0,1)$ be its distances from the left and
# from the upper pair. **Bilinear interpolation** weighs the four by how near they are:
#
# $$
# v=(1-a)(1-b)\,v_{00}+a(1-b)\,v_{01}+(1-a)b\,v_{10}+ab\,v_{11}.
# $$ (eq-image-bilinear)
#
# The weights add up to one, and an image that is a ramp, $v=\alpha+\beta\,\text{row}+\gamma\,
# \text{column}$, is reproduced exactly. Here is all of it, for one grey image.


# %%
def rotate(image, degrees):
    """Rotate one grey image (H, W) anticlockwise about its centre; 0 outside."""
    height, width = image.shape
    rows, columns = torch.meshgrid(
        torch.arange(height), torch.arange(width), indexing="ij"
    )
    y, x = rows - (height - 1) / 2, columns - (width - 1) / 2  # from the centre
    angle = math.radians(degrees)
    # Where each pixel came from: turn back. (The y axis points down.)
    source_x = x * math.cos(angle) - y * math.sin(angle) + (width - 1) / 2
    source_y = x * math.sin(angle) + y * math.cos(angle) + (height - 1) / 2
    left, top = source_x.floor(), source_y.floor()
    a, b = source_x - left, source_y - top
    padded = nn.functional.pad(image.float(), (1, 1, 1, 1))  # a rim of zeros

    def value(down, right):
        i = (top + down + 1).clamp(0, height + 1).long()
        j = (left + right + 1).clamp(0, width + 1).long()
        return padded[i, j]

    upper = (1 - a) * value(0, 0) + a * value(0, 1)
    lower = (1 - a) * value(1, 0) + a * value(1, 1)
    return ((1 - b) * upper + b * lower).round().to(torch.uint8)


# %% [markdown]
# The library's {py:func}`genlearn.data.affine` does the same for whole batches, with scaling, shift
# and reflection, on any device. Do both agree?

# %%
red = photo[0, 0]
for degrees in (0, 17, 90, -135):
    mine = rotate(red, degrees).int()
    theirs = affine(red[None, None], angle=degrees)[0, 0].int()
    assert (
        mine - theirs
    ).abs().max() <= 1  # one level, where rounding is a tie
    assert (mine != theirs).float().mean() < 0.01
print("both rotate alike")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Five versions of the cat photograph: rotated by 30 degrees with black corners; enlarged; reflected left to right; shifted to the lower right; and a version in which every pixel was carried forward by a rotation, full of small black holes."}, "figure": {"caption": "Rotation, scaling, reflection and shift by looking up where each pixel came from. Far right: turned, enlarged by a fifth, and *carried forward*: holes.", "name": "fig-image-affine"}}
forward = torch.zeros_like(photo)
grid = torch.arange(96.0) - 47.5
y, x = torch.meshgrid(grid, grid, indexing="ij")
turn = math.radians(30)
to_x = (1.2 * (x * math.cos(turn) + y * math.sin(turn)) + 47.5).round().long()
to_y = (1.2 * (y * math.cos(turn) - x * math.sin(turn)) + 47.5).round().long()
inside = (to_x >= 0) & (to_x < 96) & (to_y >= 0) & (to_y < 96)
forward[:, :, to_y[inside], to_x[inside]] = photo[:, :, inside]
moved = [
    affine(photo, angle=30),
    affine(photo, scale=1.5),
    affine(photo, flip=True),
    affine(photo, shift=(20, 12)),
    forward,
]
viz.grid(torch.cat(moved), 256, columns=5)

# %% [markdown]
# ```{admonition} Predict, then run
# :class: tip
# Rotate a digit by 10° thirty-six times in a row. Is the result the digit you began with?
# ```

# %%
digit = digits.train.images[:1]
turned = [digit]
for _ in range(36):
    turned.append(affine(turned[-1], angle=10))
once = affine(digit, angle=360)
assert torch.equal(once, digit)
assert turned[-1].float().std() < 0.8 * digit.float().std()
print("36 small turns blur it; one turn by 360 degrees changes nothing")

# %% [markdown]
# Each interpolation is a small blur, and thirty-six of them are a large one. So combine maps first and
# interpolate once; and augment the *original* image in every epoch, never last epoch's copy.
#
# Try them. (The sliders work without a kernel; the frames are part of the page.)

# %%
small = affine(photo, scale=2 / 3)[:, :, 16:80, 16:80]  # (1, 3, 64, 64)
angles = list(range(-90, 91, 30))
scales = [0.5, 0.75, 1.0, 1.5, 2.0, 3.0]
sizes = [64, 48, 32, 24, 16]
steps = [2, 3, 5, 9, 17, 65]


def rounded(count):
    """The photograph with fewer levels, shown on the scale 0 … 255."""
    return ((small / 255 * (count - 1)).round() * 255 / (count - 1)).round()


def cropped(size):
    """The middle of the photograph."""
    begin = (64 - size) // 2
    return small[:, :, begin : begin + size, begin : begin + size]


def choices(images, captions, label):
    """One slider for a list of photographs."""
    return viz.slider(
        [viz.tile(image, 256) for image in images], captions, label
    )


viz.tabs(
    {
        "rotate": choices(
            [affine(small, angle=a) for a in angles],
            [f"{a}°" for a in angles],
            "angle",
        ),
        "scale": choices(
            [affine(small, scale=s) for s in scales],
            [f"× {s}" for s in scales],
            "scale",
        ),
        "flip": choices(
            [small, small.flip(3)], ["as it is", "reflected"], "flip"
        ),
        "crop": choices(
            [cropped(s) for s in sizes],
            [f"{s} × {s} pixels" for s in sizes],
            "crop",
        ),
        "quantise": choices(
            [rounded(k) for k in steps],
            [f"{k} levels" for k in steps],
            "levels",
        ),
    }
)

# %% [markdown]
# (sec-image-batches)=
# ## From files to batches
#
# Between a file and a training step lies a chain of small decisions:
#
# 1. **Read** the file, and check it: a damaged file must be an error, not a picture of noise.
# 2. **Decide the levels.** Keep the integers that were recorded.
# 3. **Split** once and for all: one part to train on, one to choose with, one to report. The digits
#    are cut in the order of the file, so the test images probably come from other writers.
# 4. **Shuffle and cut into batches**, anew in each epoch.
# 5. **Augment**, perhaps. **Scale**, inside the model.
#
# Data sets of this book fit in memory, so a {py:class}`genlearn.data.Split` is two tensors, and a
# batch is an index into them. The order is a *pure function* of the seed and the number of the batch:
# a run that was interrupted goes on with the batch that it would have seen.
#
# ```{prf:algorithm} Batches
# :label: alg-image-batches
#
# **Input** $N$ images, batch size $B$, seed
#
# Batch $k$ holds the images at positions $kB,\dots,kB+B-1$ of an endless stream. The stream is one
# random order of all $N$ images after the other; the $e$-th is drawn from (seed, $e$) alone.
# ```
#
# Two things follow. Every batch is full, and any $N$ consecutive positions that begin an epoch hold
# each image exactly once.

# %%
batches = data.Batches(digits.train, size=300, seed=0)
seen = torch.cat(
    [batches.at(k)[0] for k in range(10)]
)  # 3,000 images: three epochs
assert torch.equal(batches.at(7)[0], data.Batches(digits.train, 300).at(7)[0])
original = digits.train.images.flatten(1).unique(dim=0, return_counts=True)
for epoch in seen.split(1000):
    found = epoch.flatten(1).unique(dim=0, return_counts=True)
    assert torch.equal(found[0], original[0]) and torch.equal(
        found[1], original[1]
    )
    assert not torch.equal(epoch, digits.train.images)  # but in another order
print("three epochs, each image once in each, no batch cut short")

# %% [markdown]
# ```{erratum} E28
# ```
#
# Note what is *not* in the chain: a step that extracts features. They are learned together with the
# model, by the same descent, and not beforehand. (Nor is a discriminator, where there is one, trained
# on generated images alone: chapter 07 shows it real and generated ones side by side.)
#
# ## An experiment: what does augmentation teach a generator?
#
# For a classifier, augmentation is nearly free: a reflected cat is a cat. A generator learns the
# *distribution* of what it is shown {cite:p}`karras2020`. We train the VAE of {ref}`ch-vae` on digits
# four times: as they are; some of them shifted by up to a pixel; half of them rotated by up to ten
# degrees; and reflected at random. Each time we measure the bound on *untouched* validation images.
#
# ```{admonition} Predict, then run
# :class: tip
# One of the three augmentations lowers the negative bound, the other two raise it. Which, and why?
# ```

# %%
augmentations = {
    "as they are": None,
    "shifted": {"shift": 1.0, "share": 0.3},
    "rotated": {"angle": 10, "share": 0.5},
    "reflected": {"flip": True},
}


def train(options):
    """Train a VAE for 1,000 steps; return it and its validation curve."""
    torch.manual_seed(0)
    vae = models.VAE.mlp(
        digits.shape, digits.levels, pixel_features=4, dropout=0.1
    )
    adam = torch.optim.AdamW(vae.parameters(), lr=2e-3)

    def loss(step):
        images = step.batch[0]
        if options:
            images = random_affine(images, step.generator, **options)
        return -vae.elbo(images).mean()

    def look():
        return {"valid": -metrics.mean_elbo(vae, digits.valid, repeats=2).mean}

    history = fit(
        {"vae": vae},
        [Objective("vae", loss, adam)],
        data.Batches(digits.train, 128),
        1000,
        device="cpu",
        callbacks=[Evaluate(look, every=100)],
    )
    return vae, history.series("valid")[1]


trained = {name: train(options) for name, options in augmentations.items()}
final = {name: curve[-1] for name, (_, curve) in trained.items()}
plain = final["as they are"]
assert final["shifted"] < plain - 0.5
assert final["rotated"] > plain + 0.5 and final["reflected"] > plain + 0.3
print("better than plain: shifted; worse: rotated, reflected")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Left: negative bound on validation images against training step for four models; the one trained on shifted digits ends lowest, the ones trained on reflected and on rotated digits stay above the plain one. Right: samples of the model trained on reflected digits; several are mirror images of digits."}, "figure": {"caption": "Left: negative bound on untouched validation images (lower is better). Right: means of new images from the model that saw reflected digits. Mirror-written digits are now part of what it believes.", "name": "fig-image-augmentation"}}
figure, (left, right) = viz.subplots(1, 2, height=2.7, width_ratios=[1.5, 1])
for name, (_, curve) in trained.items():
    left.plot(range(100, 1001, 100), curve, marker="o", ms=3, label=name)
left.set(xlabel="training step", ylabel="nats per image (validation)")
left.legend()
torch.manual_seed(3)
mirrored = trained["reflected"][0]
viz.show_images(right, mirrored.mean_image(mirrored.prior(25).sample()), 17)
figure

# %% [markdown]
# A shift of a pixel is something that writers do too. It fills in images that the thousand training
# images merely happened to miss. Reflections are not: half of what the model learned to produce does
# not exist in the data, and every nat spent there is missing elsewhere. But rotations? Writers do
# slant their digits. The maps are right; the *pixels* are not. On 8×8 pixels every rotation is an
# interpolation, so rotated digits are a little blurred, and the sharp ones of the validation set have
# become less probable.
#
# *Augmentation states a belief about the distribution*, down to the last pixel. A classifier does not
# care much whether the belief is true. A generator repeats it to you.
#
# ## Exercises
#
# ```{exercise} Counting images
# :label: ex-image-count
# A model that knows nothing gives each of the $K^D$ images the same probability. How many nats does
# it need for a digit of our set, and how many for a colour photograph of 32×32 with 256 levels?
# ```
#
# ````{solution} ex-image-count
# :class: dropdown
# $D\log K$: $64\log17\approx181$ nats, and $3072\log256\approx17{,}035$ nats. Divided by $D\log2$
# these are $\log_217\approx4.09$ and exactly 8 bits per dimension.
# ````
#
# ```{exercise} Halving the levels
# :label: ex-image-halving
# From 256 levels one keeps every second. By how much does the error {eq}`eq-image-quantisation` grow,
# and what does the change save in bits per dimension for a model that knows nothing?
# ```
#
# ````{solution} ex-image-halving
# :class: dropdown
# The step doubles, so the mean squared error is four times as large. $\log_2256-\log_2128=1$: one bit
# per dimension. Good models save less, since the lowest bit is the one they predict worst anyway.
# ````
#
# ```{exercise} When is the bound exact?
# :label: ex-image-exact
# For which densities is {eq}`eq-image-dequantisation-bound` an equation?
# ```
#
# ````{solution} ex-image-exact
# :class: dropdown
# Jensen's inequality is an equation when $p(x+u)$ does not depend on $u$: when the density is constant
# on each step. A Gaussian never is, which is why the dashed line in {numref}`fig-image-spike` is not
# reached. Learning the distribution of $u$ instead of taking it uniform closes part of the gap
# {cite:p}`ho2019`.
# ````
#
# ```{exercise} Aliasing
# :label: ex-image-alias
# Shrink the photograph to 24×24 in two ways: take every fourth pixel, or average blocks of 4×4. Look
# at the fur and at the whiskers. What did the first way do?
# ```
#
# ````{solution} ex-image-alias
# :class: dropdown
# Try `photo[:, :, ::4, ::4]` against `nn.functional.avg_pool2d(photo.float(), 4)`. Detail finer than
# the new grid cannot be shown; taking every fourth pixel turns it into false coarse patterns
# (*aliasing*), while averaging removes it first. Bilinear interpolation looks at four neighbours only,
# so it aliases too as soon as it shrinks by more than a factor of two.
# ````
#
# ```{exercise} A reflected eight
# :label: ex-image-flip
# Reflections hurt the digits. Name a data set for which they help a generator, and one digit which
# they hardly change. Check your second answer with the labels of the training set.
# ```
#
# ````{solution} ex-image-flip
# :class: dropdown
# Faces, landscapes, most photographs without writing. Among the digits 0, 1 and 8 change least: take
# the mean image of each label, reflect it, and compare.
# ````
#
# ## Summary
#
# - An image is a block of levels {eq}`eq-image-tensor`, a batch has shape $(N,C,H,W)$. Exchange axes
#   with `permute`, never with `reshape`.
# - Rounding to $K$ levels costs $\Delta^2/12$ {eq}`eq-image-quantisation`. Models scale levels to
#   $[-1,1]$ {eq}`eq-image-scale`, and nobody else does.
# - A density on whole numbers can be made infinite. With uniform noise its mean logarithm is a lower
#   bound on a log mass {eq}`eq-image-dequantisation-bound`. And a density depends on its units
#   {eq}`eq-image-units`.
# - Geometric maps ask where a pixel came from {eq}`eq-image-affine`. Interpolate once.
# - Every image is seen once an epoch, in an order that can be computed. Augmentation changes the
#   distribution that a generator learns.
#
# ## Further reading
#
# {cite:t}`theis2016` set out what likelihoods of images mean, and how densities and masses compare.
# {cite:t}`uria2013` dequantised images for a density model; {cite:t}`ho2019` learned the noise.
# {cite:t}`karras2020` show how augmentations leak into a generator, and how to keep them out.
