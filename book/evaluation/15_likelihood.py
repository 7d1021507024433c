# %% [markdown]
# (ch-likely)=
# # 15 Likelihood and bits per dimension
#
# **Reading** 70 minutes · **Running** under 90 seconds on one CPU thread · **Difficulty** ●●○ ·
# **You need** chapters 02 and 04; the bounds of chapter 06 help
#
# **Three programs report $-132$, $+5$ and $+49$ nats for the same test images. Which model is
# best?** It is a trick question: it is one model, and nobody has lied. Until you know what a number
# is a number *of*, comparing it with another means nothing. This chapter says what a likelihood
# measures, which figures may stand in one table, how to estimate those that cannot be computed, and
# what the best of them does not tell about the images.
#
# After this chapter you can
#
# - say what bits per dimension are bits *of*, and write the coder that spends them;
# - decide whether two figures are comparable, and turn a density into honest bits;
# - put an error on a test figure, and a smaller one on a difference;
# - derive annealed importance sampling, and use it where a bound is not enough;
# - build a model with a high likelihood and bad samples, and one with the reverse.
#
# ```{admonition} Five questions first
# :class: tip
#
# 1. A density is 3 at some point. Is something wrong?
# 2. Which way does Jensen's inequality point for the logarithm?
# 3. What does $\ELBO(x)$ lack, compared with $\log p(x)$?
# 4. How does the standard error of a mean fall with the number of images?
# 5. What does it mean that a Markov chain leaves a distribution *invariant*?
#
# If three of them come easily, read on. The answers follow.
# ```
#
# ```{admonition} Answers
# :class: dropdown
#
# 1. No. A density is probability per length, and can be as large as it likes on a short piece.
# 2. $\log\mathbb{E}[u]\ge\mathbb{E}[\log u]$, because the logarithm bends downwards.
# 3. The divergence from the encoder's proposal to the true posterior: {eq}`eq-vae-gap`.
# 4. As one over its square root: four times the images, half the error.
# 5. If a point is distributed that way before a step, so it is after the step.
# ```

# %%
import itertools
import math

import torch
from torch import nn
from torch.distributions import MultivariateNormal, kl_divergence

from genlearn import data, metrics, models, viz
from genlearn.training import Objective, evaluating, fit

torch.set_num_threads(1)  # models this small are fastest on one thread
digits = data.load("digits")
train, test = (
    part.images.flatten(1).long() for part in (digits.train, digits.test)
)  # (N, 64), levels 0 … 16

# %% [markdown]
# ## One model, three numbers
#
# Take the simplest density there is for an image: one Gaussian over all 64 pixels, with the mean
# and the covariance of the training images (plus uniform noise within each level, for a reason that
# comes back below). Evaluate it on test images. Then do it again for the same images divided by 17,
# so that they lie in $[0,1)$, as many programs want them; and again in $[-1,1)$, as others do.

# %%
generator = torch.Generator().manual_seed(0)
y_train = data.dequantise(digits.train.images, generator).flatten(1).double()
y_test = data.dequantise(digits.test.images, generator).flatten(1).double()

ranges = {"[0, 17)": (0, 17), "[-1, 1)": (-1, 1), "[0, 1)": (0, 1)}
nats, honest = {}, {}
for name, (low, high) in ranges.items():
    width = (high - low) / 17  # of one level, on this scale
    scaled = low + width * y_train
    gaussian = MultivariateNormal(scaled.mean(0), scaled.T.cov())
    nats[name] = gaussian.log_prob(low + width * y_test).mean().item()
    honest[name] = metrics.density_bits_per_dim(
        nats[name],
        digits.shape,
        digits.levels,
        data_range=(low, high),
        dequantisation="uniform",
    )
    print(f"images in {name:7}: log density {nats[name]:+6.0f} nats an image")

assert [round(value) for value in nats.values()] == [-132, 5, 49]
assert max(honest.values()) - min(honest.values()) < 1e-9

# %% tags=["hide-input"] mystnb={"image": {"alt": "Two bar charts with three bars each, for images in 0 to 17, minus 1 to 1, and 0 to 1. Left, the log density in nats: about minus 132, plus 5 and plus 49. Right, bits per dimension after noise and range are named: three equal bars of about 3."}, "figure": {"caption": "One Gaussian, the same test images. Left: what a program prints, for three ways to scale the images. Right: the same three in bits per dimension of the levels, by {eq}`eq-likely-density-bits`.", "name": "fig-likely-numbers"}}
figure, (left, right) = viz.subplots(1, 2, height=2.4)
left.bar(list(nats), list(nats.values()), color=viz.style.ORANGE)
left.axhline(0, color="black", lw=0.8)
left.set(ylabel="log density, nats an image", xlabel="images lie in")
right.bar(list(honest), list(honest.values()))
right.set(ylabel="bits per dimension", xlabel="images lie in")
figure

# %% [markdown]
# On the left the best "model" beats the worst by 181 nats, with the same images and the same
# Gaussian. It also seems to beat every other model of this book: their figures are all below zero,
# as the logarithm of a probability must be. On the right, where noise and range are accounted for,
# all three agree. What are the units on the right, and why are they the right ones?
#
# (sec-likely-lengths)=
# ## Bits are lengths
#
# Suppose you send images over a wire, and pay by the bit. With the receiver you agree on a
# **code**: each image $x$ gets a string of $\ell(x)$ bits. Messages follow each other without a
# gap, so no string may be the beginning of another; otherwise the receiver could not tell where one
# ends. Such a code is called **prefix-free**. How short can it be?
#
# Read each string as a binary fraction: $011$ stands for all numbers that begin $0.011\dots$, an
# interval of width $2^{-3}$ in $[0,1)$. A string that begins with another lies inside its interval.
# So *prefix-free* says: the intervals do not overlap. Their widths cannot add up to more than the
# whole:
#
# $$
# \sum_x2^{-\ell(x)}\le1.
# $$ (eq-likely-kraft)
#
# This is Kraft's inequality {cite:p}`cover2006`, and it turns lengths into probabilities: every
# code *is* a distribution, $2^{-\ell(x)}$, up to what is wasted. Does every distribution become a
# code? Take a model with masses $P(x)$, put the images in any order, and give each the interval
#
# $$
# \bigl[F(x),\,F(x)+P(x)\bigr),\qquad F(x)=\sum_{x'\text{ before }x}P(x').
# $$ (eq-likely-interval)
#
# They tile $[0,1)$. Now look for a string whose interval fits inside. With $n$ bits the cuts lie at
# whole multiples of $2^{-n}$. The first cut at or above $F(x)$ is less than $2^{-n}$ away, and the
# string's own interval takes another $2^{-n}$. So it fits if $2\cdot2^{-n}\le P(x)$, that is
# $n\ge-\log_2P(x)+1$. The smallest such whole number will do:
#
# $$
# \ell(x)=\bigl\lceil-\log_2P(x)\bigr\rceil+1<-\log_2P(x)+2.
# $$ (eq-likely-length)
#
# **A model with mass $P$ is a code of $-\log_2P(x)$ bits, give or take two for a whole image.**
# That is what the bits are bits of. Divide by the $D=C\cdot H\cdot W$ values of an image, and you
# have bits per dimension {eq}`eq-vae-bits`; the two bits hardly matter then. And by
# {eq}`eq-learn-cross-entropy` the mean length is the entropy of the data plus the divergence from
# the data to the model: no code can beat the entropy, and a wrong model pays for being wrong.
#
# (sec-likely-coder)=
# ### A coder from scratch
#
# An image has $17^{64}$ rivals, so nobody lists intervals. But the chain rule of chapter 11 finds
# the interval step by step: begin with $[0,1)$, cut it in proportion to the probabilities of the
# first pixel, keep the piece of its value, cut that in proportion to the second pixel given the
# first, and so on. The width of the last piece is the product of the factors, $P(x)$. This is
# **arithmetic coding**. With fractions of whole numbers it is exact, and short.
#
# For a model we take counts: for each of the 64 places, and for each of 16 pasts (the pixel to the
# left and the one above, in four groups each), how often did each level occur in training?

# %%
group = torch.tensor([0] + [1] * 5 + [2] * 6 + [3] * 5)  # of each level
place = torch.arange(64)


def past(x):
    """Number 0 … 15 of what lies left of and above each pixel, (N, 64)."""
    square = group[x].view(-1, 8, 8)
    left = nn.functional.pad(square, (1, 0))[:, :, :-1]
    above = nn.functional.pad(square, (0, 0, 1, 0))[:, :-1]
    return (4 * left + above).flatten(1)


counts = torch.ones(64, 16, 17, dtype=torch.long)  # nothing is impossible
one = torch.tensor(1)
counts.index_put_((place.expand_as(train), past(train), train), one, True)
log_table = (counts / counts.sum(-1, keepdim=True, dtype=torch.double)).log()


def log_mass(x):
    """Log P(x) of the counts, nats, (N,)."""
    return log_table[place, past(x), x].sum(1)


table_nats = -log_mass(test)
print(f"test images: {table_nats.mean():.1f} nats, ", end="")
print(f"{table_nats.mean() / (64 * math.log(2)):.3f} bits per dimension")

# %%
tables, groups = counts.tolist(), group.tolist()


def next_counts(done):
    """The 17 counts of the next pixel, given the list of those before."""
    i = len(done)
    left = groups[done[-1]] if i % 8 else 0
    above = groups[done[-8]] if i >= 8 else 0
    return tables[i][4 * left + above]


def length(width, whole):
    """Bits for an interval of width / whole: its -log2, rounded up, plus 1."""
    return ((whole - 1) // width).bit_length() + 1


def encode(image):
    """A list of 64 levels as a string of bits."""
    low, width, whole = 0, 1, 1  # the interval [low, low + width) / whole
    for i, level in enumerate(image):
        c = next_counts(image[:i])
        low = low * sum(c) + sum(c[:level]) * width
        width, whole = width * c[level], whole * sum(c)
    bits = length(width, whole)
    first_cut = -((-low << bits) // whole)  # rounded up
    return format(first_cut, f"0{bits}b")


def decode(stream):
    """The first image of a stream of bits, and how many bits it took."""
    ahead = stream[:600]  # more than any image here needs
    number, scale = int(ahead, 2), 1 << len(ahead)
    low, width, whole, image = 0, 1, 1, []
    while len(image) < 64:
        c = next_counts(image)
        low, whole, level = low * sum(c), whole * sum(c), 0
        while (low + c[level] * width) * scale <= number * whole:
            low, level = low + c[level] * width, level + 1
        width *= c[level]
        image.append(level)
    return image, length(width, whole)


words = [encode(image) for image in test.tolist()]
stream = "".join(words)
received, start = [], 0
while start < len(stream):
    image, used = decode(stream[start:])
    received.append(image)
    start += used

assert received == test.tolist() and max(map(len, words)) < 600
spent = torch.tensor([len(word) for word in words])
extra = spent - table_nats / math.log(2)
assert extra.min() >= 1 and extra.max() < 2
print(f"{len(received)} images, one stream of {len(stream)} bits, no gaps:")
print("every pixel came back")
print(f"{len(stream) / test.numel():.3f} bits per dimension on the wire")

# %% [markdown]
# The coder never saw $-\log_2P(x)$: it only cut intervals. Yet each of its words is one to two bits
# longer than that and no more. When a paper reports 3 bits per dimension, this is what it promises:
# a lossless file of three bits for each colour value of each pixel, if the coder is fed with the
# model.
#
# ```{admonition} Predict, then run
# :class: tip
# Encode a *training* image, then an image of random levels:
# `encode(torch.randint(17, (64,)).tolist())`. Which is longer than $64\log_217\approx262$ bits, the
# length without any model? Can every image be shorter than that?
# ```
#
# There is one more lesson, for numbers that look like likelihoods. The cross-entropy of a coin on
# grey values sums to more than one over the levels ({ref}`sec-sharp-bernoulli`). So by
# {eq}`eq-likely-kraft` no code has these lengths, and the "nats" are nats of nothing. That is why a
# constant beats all honest models there:

# %%
grey = train.double().mean(0).clamp(1e-4, 16 - 1e-4) / 16  # one value a pixel
x = test / 16
coin = -(torch.xlogy(x, grey) + torch.xlogy(1 - x, 1 - grey)).sum(1).mean()
assert coin < table_nats.mean() / 3
print(f"a constant image, scored as coins on grey: {coin:.1f} 'nats'")

# %% [markdown]
# (sec-likely-comparable)=
# ## What may be compared with what
#
# A code fixes what is to be sent. Change that, and the length changes, whatever the model. So a
# figure belongs to its **images** (which set, which test split, cropped and resized how), to its
# **levels**, and to its **kind**: exact or a bound, mass or density.
#
# | the two figures | comparable? |
# | --- | --- |
# | masses over the same levels of the same test images, both exact | yes |
# | nats an image, bits per dimension | yes, after conversion by {eq}`eq-vae-bits` |
# | a lower bound of one model, the exact value of another | one way: if the bound is higher, its model is better; if it is lower, nothing follows |
# | bounds of two models | only as bounds: either gap may hide the truth |
# | a density with noise and range named, a mass | like a bound |
# | a density without noise, or of unknown range | with nothing |
# | other levels: 256, 17, black and white | no |
# | other images: resized, cropped, another split | no |
# | coins on grey values | with nothing |
#
# Three rows deserve an argument.
#
# ### Fewer levels are cheaper
#
# Let $c$ merge levels, for instance all from 8 upwards into white and the others into black. A
# model $P$ of the fine levels is at once a model of the coarse ones: the mass of a coarse image is
# the sum over all fine images that it comes from. One of the summands is the fine image at hand, so
#
# $$
# P_c\bigl(c(x)\bigr)=\sum_{x':\,c(x')=c(x)}P(x')\;\ge\;P(x).
# $$ (eq-likely-coarser)
#
# For every image and every model, the coarse figure is the better one. Binarised MNIST at 80 nats
# and grey MNIST at hundreds are two tasks, and neither says anything of the other. For a model of
# independent pixels the sums are easy:

# %%
alone = torch.ones(64, 17, dtype=torch.double)  # one table a pixel
alone.index_put_((place.expand_as(train), train), one.double(), True)
alone /= alone.sum(1, keepdim=True)

previous = math.inf
for kept in [17, 9, 5, 3, 2]:
    merge = (torch.arange(17) * kept) // 17  # 17 levels into so many
    coarse = torch.zeros(64, kept, dtype=torch.double)
    coarse.index_add_(1, merge, alone)  # sums of masses
    coarse_nats = -coarse.log()[place, merge[test]].sum(1).mean().item()
    assert coarse_nats < previous
    previous = coarse_nats
    bits = coarse_nats / (64 * math.log(2))
    print(f"{kept:2} levels: {coarse_nats:5.1f} nats, {bits:.2f} bits a pixel")

# %% [markdown]
# It is the same model each time. It has not become better from line to line: there is less to say.
#
# (sec-likely-density)=
# ### A density, made comparable
#
# Chapter 02 made a density comparable with a mass: add noise that fills each level
# {eq}`eq-image-dequantised`, and take the mean log density, which bounds the log mass from below
# {eq}`eq-image-dequantisation-bound` {cite:p}`theis2016`. There the noise was uniform and the scale
# that of the levels. In practice neither may be so. Let the density live on $y=a+\delta\,(x+u)$,
# where $\delta$ is the width of one level on its scale, and let $u\in[0,1)^D$ come from any density
# $q(u\mid x)$. The mass of the levels $x$ is what the density holds on their cell, a cube of side
# $\delta$. Put $y=a+\delta(x+u)$ in its integral, so that $\mathrm{d}y=\delta^D\,\mathrm{d}u$, then
# multiply and divide by $q$, and use Jensen's inequality:
#
# ```{math}
# :label: eq-likely-dequantised
# \begin{aligned}
# \log P(x)
#   &= \log\int_{[0,1)^D}p_y\bigl(a+\delta(x+u)\bigr)\,\delta^D\,\mathrm{d}u \\
#   &= \log\E_{q(u\mid x)}\biggl[\frac{p_y\bigl(a+\delta(x+u)\bigr)\,\delta^D}{q(u\mid x)}\biggr] \\
#   &\ge \E_{q(u\mid x)}\bigl[\log p_y(y)-\log q(u\mid x)\bigr]+D\log\delta .
# \end{aligned}
# ```
#
# With uniform noise $q=1$ and its logarithm drops out. You have seen these three lines before: they
# are those of {eq}`eq-vae-jensen`, with the noise in the place of the code. **Dequantisation is a
# VAE whose code is the fraction that was rounded away.** So the gap is known too. Where inside its
# cell does the density put its mass? That is the true posterior of the noise,
# $p(u\mid x)=p_y\bigl(a+\delta(x+u)\bigr)\,\delta^D/P(x)$, and as in {eq}`eq-vae-gap`
#
# $$
# \log P(x)-\text{bound}=\KL{q(u\mid x)}{p(u\mid x)}.
# $$ (eq-likely-dequantised-gap)
#
# With uniform noise it is zero when the density is flat on each cell. Learning $q(u\mid x)$ makes
# it smaller {cite:p}`ho2019`.
#
# If the range $[0,K)$ of levels plus noise was mapped to $[a,b)$, then $\delta=(b-a)/K$. Divide
# {eq}`eq-likely-dequantised` by $-D\log2$:
#
# $$
# \text{bits per dimension}\le-\frac{\E[\log p_y(y)]}{D\log2}-\log_2\frac{b-a}{K}
# $$ (eq-likely-density-bits)
#
# for uniform noise. The last term is what a program forgets when it turns nats into bits as it
# would for a mass. Its size is a property of the scale, not of the model:
#
# $$
# \text{forgotten}=\log_2\frac{b-a}{K}=
# \begin{cases}
# \;\;\;0&\text{for }[0,256)\text{ and }K=256,\\
# -8&\text{for }[0,1),\\
# -7&\text{for }[-1,1).
# \end{cases}
# $$ (eq-likely-forgotten)
#
# A model of photographs with honest 3 bits per dimension becomes one with $-5$. The bars on the
# right of {numref}`fig-likely-numbers` come from {py:func}`genlearn.metrics.density_bits_per_dim`,
# which will not work without the range and the name of the noise. Here it is by hand, next to a
# case where the mass is known: independent Gaussian pixels, whose cells can be integrated.

# %%
mean, std = y_train.mean(0), y_train.std(0).clamp(min=1)
side = torch.where(test < mean, 1.0, -1.0)  # the tail that keeps its digits
below = [
    torch.special.log_ndtr(side * (test + u - mean) / std).exp() for u in (0, 1)
]
exact_bits = -(below[1] - below[0]).abs().log().sum(1) / (64 * math.log(2))

low, high = -1, 1
delta = (high - low) / 17
scaled = torch.distributions.Normal(low + delta * mean, delta * std)
log_density = scaled.log_prob(low + delta * y_test).sum(1)  # one noise each
by_hand = -(log_density + 64 * math.log(delta)) / (64 * math.log(2))
library = metrics.density_bits_per_dim(
    log_density,
    digits.shape,
    17,
    data_range=(low, high),
    dequantisation="uniform",
)
torch.testing.assert_close(by_hand, library)
gap = (by_hand - exact_bits).mean()
assert 0 < gap < 0.05  # on the right side, and close
print(f"mass {exact_bits.mean():.2f} bits, from the density ", end="")
print(f"{by_hand.mean():.2f}; nats of the density: {log_density.mean():+.0f}")

# %% [markdown]
# (sec-likely-error)=
# ### How many images?
#
# A test figure is a mean over $n$ images, so it has a standard error, $s/\sqrt n$, where $s$ is the
# standard deviation of $\log P(x)$ *over images*. Images differ: an ornate 8 costs far more than a
# plain 1. But most of that is the same for every model. If $a_i$ and $b_i$ are the log likelihoods
# of two models on image $i$, with standard deviations $s_a$, $s_b$ and correlation $\rho$, then the
# difference of the means has the variance
#
# $$
# \operatorname{Var}[\bar a-\bar b]=\frac{s_a^2+s_b^2-2\rho\,s_as_b}{n},
# $$ (eq-likely-paired)
#
# because it is the mean of $a_i-b_i$, and covariances enter a variance twice, with the sign. For
# independent samples $\rho=0$; on the *same* images $\rho$ is near one and most of it cancels. So
# compare models on the same images, take the difference image by image, and put the error on that.
#
# ```{admonition} Predict, then run
# :class: tip
# A second table, which looks above but not to the left, is about four nats worse. The standard
# error of each model's figure over 447 images is about half a nat. Could one be sure of a
# difference of half a nat?
# ```

# %%
above = past(train) % 4, past(test) % 4
fewer = torch.ones(64, 4, 17, dtype=torch.double)
fewer.index_put_((place.expand_as(train), above[0], train), one.double(), True)
fewer /= fewer.sum(-1, keepdim=True)
second_nats = -fewer.log()[place, above[1], test].sum(1)

n = len(test)
each = [v.std().item() / math.sqrt(n) for v in (table_nats, second_nats)]
paired = (second_nats - table_nats).std().item() / math.sqrt(n)
apart = (second_nats - table_nats).mean().item()
pair = torch.stack([second_nats, table_nats])
rho = pair.corrcoef()[0, 1]
formula = each[0] ** 2 + each[1] ** 2 - 2 * rho * each[0] * each[1]
assert abs(formula.sqrt() / paired - 1) < 1e-6
assert 0.4 < min(each) < max(each) < 0.5 and paired < 0.18
print(f"error of each figure: {each[0]:.2f} and {each[1]:.2f} nats")
print(f"difference: {apart:.1f} nats, its error {paired:.2f}")
print(f"correlation over images: {rho:.2f}")

# %% [markdown]
# Alone, the figures have errors of about half a nat; their difference is known more than twice as
# well, so half a nat would be about three standard errors. And mind what this error is about: other
# *images*. Train the same model with another seed, and the figure moves by an amount that no number
# of test images shows; chapter 18 trains several.
#
# (sec-likely-estimates)=
# ## When the integral cannot be done
#
# Autoregressive models give $\log p(x)$ exactly. A model with codes gives an integral
# {eq}`eq-vae-marginal`, and we have two ways to come near it from below: the ELBO, one code at a
# time, and the importance-weighted bound {eq}`eq-sharp-iwae`, which averages the weights of $k$
# codes before it takes the logarithm. Both rely on the encoder. Where the encoder proposes the
# wrong codes, the first is loose and the second converges slowly ({numref}`fig-sharp-gap`). And
# some models have no encoder at all: a GAN's generator with noise added to its image, for one.
#
# So what can be done with the decoder alone? Draw codes from the prior and average $p(x\mid z)$. It
# is right on average, and it is hopeless: chapter 04 found that tens of thousands of blind draws
# hold about one that explains a given digit. The prior is too far from the posterior. But far ways
# can be gone in short steps.
#
# (sec-likely-annealed)=
# ### Annealed importance sampling
#
# Choose a start $q_0(z)$ that one can draw from, say the prior. Let it turn slowly into the
# posterior. Between them lies a bridge of unnormalised densities, one for each of the
# numbers $0=\beta_0<\beta_1<\dots<\beta_T=1$ {cite:p}`neal2001`:
#
# $$
# f_t(z)=q_0(z)^{1-\beta_t}\,p(x,z)^{\beta_t},\qquad f_0=q_0,\quad f_T=p(x,z).
# $$ (eq-likely-bridge)
#
# From the prior this is $f_t(z)=p(z)\,p(x\mid z)^{\beta_t}$: the image is first ignored, then
# whispered, then said aloud. The last one integrates to $p(x)$, the number we want. Let
# $M_t(z'\mid z)$ be a random move that leaves $f_t$ **invariant**:
#
# $$
# \int f_t(z)\,M_t(z'\mid z)\,\mathrm{d}z=f_t(z')\quad\text{for all }z'.
# $$ (eq-likely-invariant)
#
# One chain draws $z_0\sim q_0$, then $z_1\sim M_1(\cdot\mid z_0)$, and so on, and collects the
# weight
#
# $$
# w=\prod_{t=1}^{T}\frac{f_t(z_{t-1})}{f_{t-1}(z_{t-1})}
#   =\prod_{t=1}^{T}\biggl[\frac{p(x,z_{t-1})}{q_0(z_{t-1})}\biggr]^{\beta_t-\beta_{t-1}} .
# $$ (eq-likely-annealed-weight)
#
# Each factor looks at the code *before* the move. With $T=1$ it is ordinary importance sampling.
#
# ````{prf:theorem} The mean weight
# :label: thm-likely-annealed
#
# Whatever the moves, if each leaves its $f_t$ invariant, and $q_0>0$ wherever $p(x,z)>0$, then
#
# $$
# \E[w]=p(x).
# $$ (eq-likely-annealed-mean)
# ````
#
# ````{prf:proof}
# Let $w_t$ be the product of the first $t$ factors. We show that for every function $h$ for which
# the integrals exist
#
# $$
# \E\bigl[w_t\,h(z_{t-1})\bigr]=\int f_t(z)\,h(z)\,\mathrm{d}z .
# $$
#
# The theorem is the case $t=T$, $h=1$. For $t=1$ the left side is
# $\int q_0\,(f_1/q_0)\,h=\int f_1h$. Now let it hold for $t$. The next weight is
# $w_{t+1}=w_t\,g(z_t)$ with $g=f_{t+1}/f_t$, and given the past, $z_t$ comes from
# $M_t(\cdot\mid z_{t-1})$. So
#
# $$
# \E\bigl[w_{t+1}h(z_t)\bigr]=\E\bigl[w_t\,\tilde h(z_{t-1})\bigr],\qquad
#   \tilde h(z)=\int M_t(z'\mid z)\,g(z')h(z')\,\mathrm{d}z',
# $$
#
# and to $\tilde h$ the assumption applies. Exchange the integrals and use
# {eq}`eq-likely-invariant`:
#
# $$
# \int f_t(z)\int M_t(z'\mid z)\,g(z')h(z')\,\mathrm{d}z'\,\mathrm{d}z
#   =\int f_t(z')\,g(z')h(z')\,\mathrm{d}z'=\int f_{t+1}\,h .
# $$
# ````
#
# Nothing was assumed about how well the chain mixes: ten careless moves give an unbiased estimate
# too. What suffers is the scatter. And we want a logarithm. Average the weights of $S$
# independent chains; by Jensen's inequality
#
# $$
# \E\Bigl[\log\frac1S\sum_{s=1}^{S}w_s\Bigr]\le\log p(x).
# $$ (eq-likely-annealed-bound)
#
# A lower bound on average, like the two others {cite:p}`wu2016`. How far below? There is an exact
# answer if the moves are perfect, so that $z_t$ is an independent draw from $\pi_t=f_t/Z_t$, with
# $Z_t=\int f_t$. Then the expectation of a factor's logarithm is
# $\E_{\pi_{t-1}}[\log f_t-\log f_{t-1}]=\log Z_t-\log Z_{t-1}-\KL{\pi_{t-1}}{\pi_t}$, and the sum
# over $t$ telescopes, from $Z_0=1$ to $Z_T=p(x)$:
#
# $$
# \log p(x)-\E[\log w]=\sum_{t=1}^{T}\KL{\pi_{t-1}}{\pi_t}.
# $$ (eq-likely-annealed-gap)
#
# One big step costs the divergence from start to posterior. A divergence between neighbours falls
# with the *square* of the distance, so $T$ steps of $1/T$ each cost about $T\cdot(1/T)^2=1/T$ of
# it. **Ten times the steps, a tenth of the gap.**
#
# ### Moves that leave a density alone
#
# Which moves are invariant, and go far? Codes are continuous and the decoder has a slope, so let a
# code roll like a ball through the landscape $-\log f_t$. Give it a random momentum
# $r\sim\mathcal{N}(0,I)$ and follow the motion in small steps of size $\epsilon$, each a
# **leapfrog**:
#
# ```{math}
# :label: eq-likely-leapfrog
# \begin{aligned}
# r&\leftarrow r+\tfrac\epsilon2\nabla\log f_t(z), \\
# z&\leftarrow z+\epsilon\,r, \\
# r&\leftarrow r+\tfrac\epsilon2\nabla\log f_t(z).
# \end{aligned}
# ```
#
# This is Hamiltonian Monte Carlo {cite:p}`neal2011`; with a single leapfrog a move it is Langevin's
# method. True motion would keep the energy $H(z,r)=-\log f_t(z)+\tfrac12\lVert r\rVert^2$. Steps of
# finite size do not, and so the chain would sample from a slightly wrong density, and
# {eq}`eq-likely-annealed-mean` would fail. The repair is to throw a coin at the end of each move,
# and to stay where one was if it fails:
#
# $$
# \text{accept }(z',r')\text{ with probability }
#   \min\bigl\{1,\;e^{H(z,r)-H(z',r')}\bigr\}.
# $$ (eq-likely-metropolis)
#
# Why is that *exact*? Let $\Psi$ be the leapfrogs of one move followed by a change of sign of $r$.
# Two facts. *It is its own inverse*: turn the momentum around, and the ball runs back the way it
# came, step by step, because {eq}`eq-likely-leapfrog` reads the same forwards and backwards. *It
# keeps volumes*: each of its lines adds to one half of the coordinates something that depends on
# the other half only, a shear, whose determinant is one. So the flow of probability from $s=(z,r)$
# to $\Psi(s)$, per volume, is
#
# $$
# e^{-H(s)}\min\bigl\{1,e^{H(s)-H(\Psi(s))}\bigr\}
#   =\min\bigl\{e^{-H(s)},e^{-H(\Psi(s))}\bigr\},
# $$ (eq-likely-balance)
#
# and this does not change when $s$ and $\Psi(s)$ change places. As much flows there as back, so
# $e^{-H}$ is left as it was. Its part in $z$ is $f_t$. Drawing a new momentum before each move
# leaves it alone as well.
#
# (sec-likely-algorithm)=
# ````{prf:algorithm} Annealed importance sampling
# :label: alg-likely-annealed
#
# **Input** an image $x$; a model with $p(z)$ and $p(x\mid z)$; $0=\beta_0<\dots<\beta_T=1$; step
# sizes fixed beforehand
#
# 1. Draw $z\sim q_0$ and set $\log w\leftarrow0$.
# 2. For $t=1,\dots,T$: add $(\beta_t-\beta_{t-1})\bigl[\log p(x,z)-\log q_0(z)\bigr]$ to $\log w$.
#    *Then*, unless $t=T$, make a move with $f_t$: draw $r$, leap, accept or stay by
#    {eq}`eq-likely-metropolis`.
# 3. Repeat for $S$ chains and return $\log\frac1S\sum_sw_s$.
# ````
#
# "Fixed beforehand" matters. A step size that is adapted while the chain runs depends on where the
# chain has been, the move is no longer one fixed $M_t$, and the proof breaks. The library runs a
# pilot first, with other chains, keeps the step sizes, and forgets the rest.
#
# ### From scratch
#
# Here is the algorithm for probabilistic PCA, where $\log p(x)$ is known. `steps` holds one step
# size for each temperature.


# %%
def annealed(model, x, betas, chains, steps, leaps=5):
    """Log weights (chains, N), and the codes after each move."""
    prior = model.prior(len(x))

    def log_likelihood(z):  # (chains, N, L) to (chains, N)
        given = model.likelihood(z.flatten(0, 1))
        return given.log_prob(x.repeat(chains, 1)).view(chains, -1)

    def log_f(z, beta):
        return prior.log_prob(z) + beta * log_likelihood(z)

    def slope(z, beta):
        z = z.detach().requires_grad_()
        return torch.autograd.grad(log_f(z, beta).sum(), z)[0]

    z = prior.sample((chains,))
    log_w, path = 0, [z]
    for (before, beta), step in zip(
        itertools.pairwise(betas), steps, strict=True
    ):
        log_w = log_w + (beta - before) * log_likelihood(z)  # the old code
        r = torch.randn_like(z)
        energy = r.square().sum(-1) / 2 - log_f(z, beta)
        new = z
        for _ in range(leaps):
            r = r + step / 2 * slope(new, beta)
            new = new + step * r
            r = r + step / 2 * slope(new, beta)
        lost = energy - (r.square().sum(-1) / 2 - log_f(new, beta))
        accept = torch.rand_like(lost).log() < lost
        z = torch.where(accept[..., None], new, z)
        path.append(z)
    return log_w, torch.stack(path)


torch.manual_seed(0)
small = models.PPCA(3, 1).double().requires_grad_(False)
small.weight.copy_(torch.tensor([[1.0], [-0.7], [0.4]]))
small.log_noise_std.fill_(math.log(0.25))
point = torch.tensor([[1.9, -1.3, 0.5]], dtype=torch.double)
exact = small.log_prob(point)

betas = metrics.sigmoid_schedule(40)
steepness = small.weight.square().sum() / 0.25**2
steps = 0.3 / (1 + betas[1:] * steepness).sqrt()  # narrower as β grows
log_w, path = annealed(small, point, betas, 1000, steps)
ours = log_w.logsumexp(0) - math.log(1000)
theirs = metrics.annealed_log_prob(small, point, chains=1000, temperatures=40)
assert (ours - exact).abs() < 0.1 and (theirs.log_prob - exact).abs() < 0.1
assert (log_w.mean(0) < exact).all()
one_step = small.likelihood(path[0, :, 0]).log_prob(point)
spread = log_w.std().item()
assert one_step.std() > 10 * spread
print("by our thirty lines, by the library, and by the formula:")
print("the same log p(x) within a tenth of a nat")

# %% tags=["hide-input"] mystnb={"image": {"alt": "A map with inverse temperature steps from left to right and the code z upwards. A wide bright band around zero on the left narrows and bends upwards to a thin bright band near 1.75 on the right. Ten thin lines, the paths of chains, start scattered between minus 2 and 2 and are gathered into the band."}, "figure": {"caption": "Annealing one number of code. Brightness: the density $\\pi_t(z)$ in between, from the prior (left) to the posterior (right), each column scaled to its peak. Lines: ten chains.", "name": "fig-likely-paths"}}
z = torch.linspace(-3, 3, 301, dtype=torch.double)[:, None]
on_line = small.likelihood(z).log_prob(point)[:, None]
log_pi = small.prior(301).log_prob(z)[:, None] + betas * on_line
figure, axes = viz.subplots(height=2.8)
axes.imshow(
    (log_pi - log_pi.max(0).values).exp(),
    origin="lower",
    extent=(-0.5, 40.5, -3, 3),
    aspect="auto",
    cmap="cividis",
)
axes.plot(path[:, :10, 0, 0], color="white", lw=0.8)
axes.set(xlabel="step $t$", ylabel="code $z$", xlim=(0, 40))
figure

# %% [markdown]
# Chains begin where the prior put them, and the bridge gathers them in. A chain that starts far off
# loses weight a little at a time, and has time to come closer before the image is said aloud.
#
# Now a harder case. Probabilistic PCA with ten numbers of code, fitted to the digits, has a
# posterior so much narrower than the prior that $\KL{p(z)}{p(z\mid x)}$ is over a hundred nats. All
# $\pi_t$ are Gaussian here, so {eq}`eq-likely-annealed-gap` can be computed, and compared with
# chains.

# %%
ppca = models.PPCA.maximum_likelihood(y_train, 10).requires_grad_(False)
some = y_test[:20]
exact = ppca.log_prob(some)
precision = ppca.weight.T @ ppca.weight / (2 * ppca.log_noise_std).exp()
pull = (some - ppca.mean) @ ppca.weight / (2 * ppca.log_noise_std).exp()


def between(beta):
    """The Gaussian in proportion to p(z) p(x | z)^β, for each image."""
    total = torch.eye(10, dtype=torch.double) + beta * precision
    centre = torch.linalg.solve(total, beta * pull.T).T
    return MultivariateNormal(centre, precision_matrix=total)


lengths = [1, 3, 10, 30, 100]
perfect, chain_gap, mean_gap = [], [], []
for count in lengths:
    bridge = [between(b) for b in metrics.sigmoid_schedule(count)]
    each = [kl_divergence(p, q) for p, q in itertools.pairwise(bridge)]
    perfect.append(sum(each).mean().item())
    found = metrics.annealed_log_prob(ppca, some, temperatures=count)
    chain_gap.append((exact - found.log_weights.mean(0)).mean().item())
    mean_gap.append((exact - found.log_prob).mean().item())

torch.manual_seed(0)
blind = ppca.prior(16_000).sample()  # as many codes as a hundred steps decode
blind = torch.stack([ppca.likelihood(blind).log_prob(x) for x in some])
blind_gap = (exact - blind.logsumexp(1) + math.log(16_000)).mean().item()

torch.testing.assert_close(between(1.0).mean, ppca.posterior(some).mean)
assert all(a > b for a, b in itertools.pairwise(perfect))
assert all(a > b for a, b in itertools.pairwise(chain_gap))
assert perfect[0] > 100 and 8 < perfect[2] / perfect[4] < 14  # about 10
assert chain_gap[-1] < 5 and abs(mean_gap[-1]) < 1.2 and blind_gap > 1.8
print("16,000 blind draws from the prior: more than 1.8 nats too low")
print("16 chains of 100 steps: within 1.2 nats of the exact log p(x)")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Nats below the exact value against the number of steps, both axes logarithmic. The curve of perfect moves falls from 130 at one step to below half a nat at a hundred, along a straight line from ten steps on. One chain lies a few times higher, parallel at the end; the log of the mean of sixteen chains falls from 40 to about half a nat. A dashed level line at about 4 marks blind draws."}, "figure": {"caption": "How far below $\\log p(x)$: perfect moves by {eq}`eq-likely-annealed-gap`, one chain with five leapfrogs a move, and the mean weight of sixteen chains. Means over twenty test images. Dashed: importance sampling from the prior, at the cost of the run with a hundred steps and its pilot.", "name": "fig-likely-annealed"}}
figure, axes = viz.subplots(height=2.8)
axes.loglog(lengths, perfect, "o-", ms=4, label="perfect moves")
axes.loglog(lengths, chain_gap, "s-", ms=4, label="one chain")
axes.loglog(lengths, mean_gap, "^-", ms=4, label="mean weight of 16 chains")
axes.axhline(blind_gap, ls="--", lw=1, color="black", label="blind draws")
axes.set(xlabel="steps $T$", ylabel="nats below $\\log p(x)$")
axes.set_xticks(lengths, [str(count) for count in lengths])
axes.minorticks_off()
axes.legend()
figure

# %% [markdown]
# From ten steps on the line of perfect moves falls by ten when $T$ grows by ten, as promised. Real
# chains pay more, because five leapfrogs do not forget where they came from. Averaging sixteen of
# them takes most of that away.
#
# (sec-likely-experiment)=
# ## An experiment: whose fault is the gap?
#
# Chapter 04 found that a VAE's encoder does worse on images that it did not practise on. So a low
# bound can have two causes: the *model* finds the image improbable, or the *encoder* does not find
# its codes. We train the VAE of chapter 04 once more, and show it sixteen test digits and sixteen
# digits that nobody wrote: *printed* ones, from the set `glyphs`, shrunk to 8×8 pixels.
#
# ```{admonition} Predict, then run
# :class: tip
# The bound of printed digits is more than ten nats below that of written ones. How much of the
# difference is the encoder's fault: nothing, a part, or all of it?
# ```

# %%
torch.manual_seed(0)
vae = models.VAE.mlp(
    digits.shape,
    digits.levels,
    latent_dim=16,
    pixel_features=4,
    dropout=0.2,
)
adam = torch.optim.AdamW(vae.parameters(), lr=2e-3)
schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, 1000)
objective = Objective(
    "vae",
    lambda step: -vae.elbo(step.batch[0]).mean(),
    adam,
    schedule=schedule,
)
fit(
    {"vae": vae},
    [objective],
    data.Batches(digits.train, 128),
    1000,
    device="cpu",
)

glyphs = data.load("glyphs").test
printed = glyphs.images[glyphs.labels < 10][:16].float()
printed = nn.functional.avg_pool2d(printed[:, :, 2:26, 2:26], 3)
printed = printed / printed.amax((2, 3), keepdim=True)  # as bright as ink
printed = (printed * 16).round().to(torch.uint8)  # (16, 1, 8, 8)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Two rows of sixteen small images: handwritten test digits above, printed digits of several fonts, slanted and scaled, below."}}
written = digits.test.images[:16]
viz.grid([written, printed], 17, titles=["written", "printed"])

# %%
estimates = {}
for name, images in {"written": written, "printed": printed}.items():
    split = data.Split(images, None, 17)
    bound = metrics.mean_elbo(vae, split, repeats=100).mean
    weighted = metrics.log_likelihood(vae, split, samples=1000).mean
    found = metrics.annealed_log_likelihood(
        vae, split, temperatures=30, start="posterior"
    )
    blind = metrics.annealed_log_likelihood(vae, split, temperatures=40)
    estimates[name] = [bound, weighted, found.mean, blind.mean]
    assert 0.5 < found.acceptance < 0.9 and found.effective > 2
    assert abs(found.mean - blind.mean) < 2.5

lost = {name: e[2] - e[0] for name, e in estimates.items()}
late = {name: e[2] - e[1] for name, e in estimates.items()}
assert 1 < lost["written"] < 4.5 < lost["printed"]
assert lost["printed"] > 1.5 * lost["written"]
assert late["written"] < late["printed"]
behind = estimates["written"][0] - estimates["printed"][0]
share = (lost["printed"] - lost["written"]) / behind
assert behind > 10 and 0.1 < share < 0.8
print("the bound lies below annealed importance sampling")
print("  by 1 to 4.5 nats for written digits, by more for printed ones")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Four estimates in nats an image for two sets of images. Written digits, above: the ELBO a little below the other three, which are nearly level. Printed digits, below: the ELBO several nats under the other three, which rise slightly and end level."}, "figure": {"caption": "Four estimates of $\\log p(x)$ for one VAE, means over sixteen images each. The last two are annealed, from the encoder's proposal and from the prior: the latter does not use the encoder at all.", "name": "fig-likely-whose"}}
figure, axes = viz.subplots(height=2.5)
names = ["ELBO", "1,000 weights", "annealed from q", "annealed from p"]
for (name, values), marker in zip(estimates.items(), "os", strict=True):
    axes.plot(names, values, f"{marker}--", lw=0.8, label=name)
axes.set(ylabel="nats an image")
axes.legend()
figure

# %% [markdown]
# For digits like those it practised on, the encoder is a little off, and a thousand weights mend
# most of that. For printed digits it is further off: the bound loses more than one and a half times as
# much there. So *part of the difference is the encoder's fault* and part the model's, and the bound
# alone cannot say which: whoever had compared the two sets by their ELBO would have blamed the
# model for all of it. The two annealed estimates share nothing but the decoder, start at different
# ends, and agree; a disagreement would have been a warning. Report such figures with the method,
# $T$, $S$, and that they are bounds on average.
#
# (sec-likely-typical)=
# ## The most likely image is no typical image
#
# Suppose the likelihood were known without error. Is the image with the highest one the best? Take
# the standard normal density in $D$ dimensions. Its peak is at zero. Where are its draws?
# The squared length $\lVert x\rVert^2$ is a sum of $D$ independent terms of mean 1 and variance
# $\E[x_i^4]-1=3-1=2$:
#
# $$
# \E\lVert x\rVert^2=D,\qquad\operatorname{Var}\lVert x\rVert^2=2D .
# $$ (eq-likely-shell)
#
# So draws have a length near $\sqrt D$, and the spread of the length stays below one however large
# $D$ is. They fill a thin **shell**, far from the peak. And since
# $\log p(x)=-\tfrac D2\log2\pi-\tfrac12\lVert x\rVert^2$,
#
# $$
# \log p(0)-\E[\log p(x)]=\frac D2,\qquad\operatorname{sd}[\log p(x)]=\sqrt{\frac D2}.
# $$ (eq-likely-peak)
#
# For $D=3072$ the peak is $e^{1536}$ times as dense as a typical draw, and no draw ever comes near
# it. There is no paradox: the shell has so much more room. What one draws is *density times
# volume*, and the volume at radius $r$ grows as $r^{D-1}$.
#
# The same holds for any long product of probabilities: $-\log P(x)$ is a sum over pixels, its mean
# is the entropy, and almost all draws lie near that, in what is called the **typical set**
# {cite:p}`cover2006`. The most
# likely image is not a member. Here is one that can be computed: with independent pixels it has
# each pixel's most frequent level.

# %%
torch.manual_seed(0)
draws = torch.multinomial(alone, 1000, replacement=True).T  # (1000, 64)


def alone_nats(x):
    """-log P(x) under one table a pixel, (N,)."""
    return -alone.log()[place, x].sum(1)


mode = alone.argmax(1)[None]
entropy = -(alone * alone.log()).sum().item()
drawn = alone_nats(draws)
assert alone_nats(mode) < drawn.min() - 25
grey = (train > 0) & (train < 15)
assert grey.any(1).all() and set(mode.unique().tolist()) <= {0, 15, 16}
assert abs(drawn.mean() - entropy) < 2
print(f"most likely image {alone_nats(mode).item():.0f} nats, ", end="")
print(f"entropy {entropy:.0f}, best of 1,000 draws {drawn.min():.0f}")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Left: for 1, 10, 100 and 1000 dimensions, the density of the length divided by the root of the dimension; the curves are ever narrower peaks around 1. Right: histograms of minus log P in nats for draws of the model, around 110, and for test images, around 106; a vertical line far to the left at 56 marks the most likely image, whose picture stands beside it: blocky, in black and white alone."}, "figure": {"caption": "Left: the length of a standard normal draw over $\\sqrt D$, each curve scaled to its peak. Right: nats under a model of independent pixels, for its own draws, for test images, and for its most likely image (line, and picture).", "name": "fig-likely-typical"}}
figure, (left, right) = viz.subplots(1, 2, height=2.7)
ratio = torch.linspace(0.01, 2.5, 800, dtype=torch.double)
for dim in [1, 10, 100, 1000]:
    log_length = (dim - 1) * ratio.log() - dim * ratio.square() / 2
    left.plot(ratio, (log_length - log_length.max()).exp(), label=f"$D={dim}$")
left.set(xlabel="length $/\\,\\sqrt{D}$", yticks=[])
left.legend()
bins = torch.arange(50, 161, 4).numpy()
right.hist(drawn.numpy(), bins, alpha=0.6, label="draws", density=True)
right.hist(
    alone_nats(test).numpy(), bins, alpha=0.6, label="test", density=True
)
right.axvline(alone_nats(mode).item(), color="black", lw=1)
inset = right.inset_axes([0.11, 0.5, 0.17, 0.35])
viz.show_images(inset, mode.view(1, 1, 8, 8), 17)
right.set(xlabel="nats", yticks=[])
right.legend()
figure

# %% [markdown]
# No draw comes within 25 nats of the most likely image. It is black and white without a grey pixel,
# and so unlike every digit and every draw. So do not *generate* by maximising the likelihood; that
# is what a temperature towards zero does ({ref}`sec-sequence-temperature`). And do not call an
# image real because its likelihood is high. A draw is recognised by a likelihood that is *as low as
# those of other draws*.
#
# (sec-likely-samples)=
# ## High likelihood, bad samples, and the reverse
#
# Does a better likelihood mean better samples? Between good models of one kind, often. In general,
# no, in either direction, and both can be built by hand {cite:p}`theis2016`.
#
# **Bad samples.** Take a good model $P$ and a machine $R$ that puts out noise. Throw a coin for
# each image: with probability $\alpha=0.01$ draw from $P$, otherwise from $R$. Both terms of the
# mixture are positive, so
#
# $$
# \log\bigl[\alpha P(x)+(1-\alpha)R(x)\bigr]\ge\log P(x)+\log\alpha .
# $$ (eq-likely-noise)
#
# Ninety-nine of a hundred samples are garbage, and it costs $\log100\approx4.6$ nats *an image*,
# not a pixel. On our digits this is a tenth of a bit per dimension. On photographs with 3,072
# values it is 0.002, less than what separates any two papers.
#
# **Bad likelihood.** Now a model that has learned nothing but its training images $t_1,\dots,t_N$
# and puts out one of them, each pixel replaced by a random level with a small probability
# $\varepsilon$:
#
# $$
# P_\varepsilon(x)=\frac1N\sum_{n=1}^{N}\prod_{i=1}^{D}
#   \Bigl[(1-\varepsilon)\,\mathbb{1}\{x_i=t_{n,i}\}+\frac{\varepsilon}{K}\Bigr].
# $$ (eq-likely-copies)
#
# At $\varepsilon=0.01$ its samples are as sharp as the data, because they *are* the data. A test
# image that differs from its nearest copy in $h$ pixels pays about $h\log(K/\varepsilon)$ nats.
#
# ```{admonition} Predict, then run
# :class: tip
# Four models: the VAE, the VAE with 99 % noise, the table that drew our code words, and the copier.
# Order them by test likelihood. Which of them are worse than knowing nothing ($64\log17\approx181$
# nats)?
# ```


# %%
def copier_nats(x, epsilon):
    """-log of the copier's mass, (N,), nats."""
    same = (x[:, None] == train).sum(2).double()  # with each copy, (N, 1000)
    hit = math.log(1 - epsilon + epsilon / 17)
    miss = math.log(epsilon / 17)
    log_each = same * hit + (64 - same) * miss
    return math.log(len(train)) - log_each.logsumexp(1)


with evaluating(vae):
    torch.manual_seed(0)
    vae_nats = -vae.iwae(digits.test.images, 20).double()
nothing = 64 * math.log(17)
mixed_nats = -torch.logaddexp(
    math.log(0.01) - vae_nats,
    torch.tensor(math.log(0.99) - nothing, dtype=torch.double),
)
copied_nats = copier_nats(test, 0.01)
seen_nats = copier_nats(train[:300], 0.01).mean()

cost = mixed_nats - vae_nats
assert (cost <= math.log(100) + 1e-9).all() and cost.mean() > 4.59
order = {
    "VAE": vae_nats.mean(),
    "VAE and 99 % noise": mixed_nats.mean(),
    "table": table_nats.mean(),
    "nothing": nothing,
    "copier": copied_nats.mean(),
}
assert list(order) == sorted(order, key=order.get)
assert order["table"] - order["VAE and 99 % noise"] > 0.5
assert order["copier"] > nothing + 10 and seen_nats < 9
print("best to worst:", "; ".join(order))

# %% tags=["hide-input"] mystnb={"image": {"alt": "Four rows of sixteen images. VAE: recognisable digits with grainy pixels. VAE and 99 percent noise: fifteen squares of random grey and, by luck, one digit. Table: broken strokes, hardly a digit. Copier: perfect handwritten digits with hardly a wrong pixel."}, "figure": {"caption": "Samples, with test nats (lower is better). The second row has a better likelihood than the third; the last, with the best samples, is worse than knowing nothing.", "name": "fig-likely-samples"}}
torch.manual_seed(3)
noise = torch.randint(0, 17, (16, 1, 8, 8))
good = vae.sample(16).long()
coin = torch.rand(16, 1, 1, 1) < 0.01
rows = {"VAE": good, "VAE and 99 % noise": torch.where(coin, good, noise)}
by_table = torch.zeros(16, 64, dtype=torch.long)
for i in range(64):
    chances = log_table[i, past(by_table)[:, i]].exp()
    by_table[:, i] = torch.multinomial(chances, 1)[:, 0]
rows["table"] = by_table.view(16, 1, 8, 8)
copies = train[torch.randint(len(train), (16,))].view(16, 1, 8, 8)
wrong = torch.rand(copies.shape) < 0.01
rows["copier"] = torch.where(wrong, noise, copies)
viz.grid(
    list(rows.values()),
    17,
    titles=[f"{name}: {order[name]:.0f} nats" for name in rows],
)

# %% [markdown]
# Look at the second and the third row, and at what stands above them. Then look at the last.
#
# The reason is the logarithm. A likelihood asks of *each test image*: did you leave room for it? It
# forgives waste, since a model that puts 99 % of its mass elsewhere has lost a hundredth part for
# every test image, and it does not forgive a gap. Samples show the opposite: where the mass *is*,
# wasted or not, and never what is missing. **Likelihood tests coverage, samples test precision.**
# An evaluation needs both, and the next chapter measures them apart.
#
# (sec-likely-foreign)=
# ## Foreign images
#
# One more hope: a model of the data should find other images improbable, so a low likelihood should
# give strangers away. {cite:t}`nalisnick2018` tried it: several kinds of deep models, trained on
# photographs of objects, gave *house numbers* a higher likelihood than their own test images. With
# an exact likelihood we can see the like in a second. A table of level given left and upper
# neighbour is fitted to grey photographs. Then it meets drawings: triangles, half discs and corners
# of the set `shapes`.

# %%
photos, shapes = data.load("patches"), data.load("shapes")
weights = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)


def to_levels(images):
    """Grey, 17 levels, from 256 levels in one or three channels."""
    images = images.float()
    if images.shape[1] == 3:
        images = (images * weights).sum(1, keepdim=True)
    return (images * 17 / 256).floor().clamp(0, 16).long()


def neighbours(x):
    """Left and upper neighbour as one number, 0 … 288."""
    left = nn.functional.pad(x, (1, 0))[..., :-1]
    above = nn.functional.pad(x, (0, 0, 1, 0))[..., :-1, :]
    return 17 * left + above


learn = to_levels(photos.train.images)
tally = torch.full((289 * 17,), 0.1, dtype=torch.double)
flat = 17 * neighbours(learn) + learn
tally += flat.flatten().bincount(minlength=289 * 17)
log_photo = (tally.view(289, 17) / tally.view(289, 17).sum(1, True)).log()


def photo_bits(x):
    """Bits per dimension under the table of photographs, (N,)."""
    return -log_photo[neighbours(x), x].flatten(1).mean(1) / math.log(2)


strangers = to_levels(shapes.test.images[:500])
own_bits = photo_bits(to_levels(photos.test.images))
shape_bits = photo_bits(strangers)
random_bits = photo_bits(torch.randint(0, 17, (20, 1, 32, 32)))
cheaper = (shape_bits < own_bits.median()).double().mean().item()
assert cheaper > 0.98 and shape_bits.mean() < 0.6 * own_bits.mean()
print(f"photographs (test) {own_bits.mean():.2f} bits per dimension")
print(f"drawn shapes       {shape_bits.mean():.2f}")
print(f"random levels      {random_bits.mean():.1f}")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Left: two histograms of bits per dimension; drawn shapes in a narrow peak around half a bit, photographs in a wide hump up to 3. Right: eight grey pieces of photographs above eight drawn shapes, small white figures on black."}, "figure": {"caption": "A model of photographs finds drawings more likely than photographs. Left: bits per dimension of 500 drawings and of the test photographs. Right: some of each.", "name": "fig-likely-foreign"}}
figure, axes = viz.subplot_mosaic(
    [["bits", "photos"], ["bits", "shapes"]],
    height=2.8,
    width_ratios=[1.2, 1],
)
bins = torch.linspace(0, 3, 46).numpy()
for name, bits in {"photographs": own_bits, "shapes": shape_bits}.items():
    axes["bits"].hist(bits.numpy(), bins, alpha=0.6, label=name, density=True)
axes["bits"].set(xlabel="bits per dimension", yticks=[])
axes["bits"].legend()
own = to_levels(photos.test.images[5::64])
viz.show_images(axes["photos"], own[:8], 17, columns=4, title="photographs")
viz.show_images(axes["shapes"], strangers[:8], 17, columns=4, title="shapes")
figure

# %% [markdown]
# Nothing is broken. A model of photographs has learned, above all, that neighbours are alike, and
# drawings obey this better than photographs do. Seen as a code: whatever compresses photographs
# compresses flat areas even more. So the likelihood of a *single* image says first how *simple* it
# is. It was not asked "is this a photograph?": that question needs a rival model of what else there
# could be, and a ratio of the two likelihoods.
#
# ## See for yourself
#
# First tab: the shell. The grey curve is the density at that distance from the centre, relative to
# its peak; the blue one is what draws actually have. Second tab: the copier's samples as
# $\varepsilon$ grows. Its best test likelihood is at samples that nobody would show.


# %% tags=["hide-input"]
def shell(dim):
    """Density and mass by distance from the centre, and what to say of it."""
    far = math.sqrt(dim) + 4
    r = torch.linspace(1e-3, far, 2000, dtype=torch.double)
    log_mass_at = (dim - 1) * r.log() - r.square() / 2
    mass_at = (log_mass_at - log_mass_at.max()).exp()
    below = mass_at.cumsum(0) / mass_at.sum()
    low, high = (r[(below < p).sum()].item() for p in (0.005, 0.995))
    figure, axes = viz.subplots(height=2.0)
    axes.plot(r, (-r.square() / 2).exp(), color="grey", label="density")
    axes.fill_between(r, mass_at, alpha=0.3)
    axes.plot(r, mass_at, label="where draws are")
    axes.set(xlabel="distance from the centre", yticks=[])
    axes.legend(loc="upper right")
    return figure, (
        f"D = {dim}: 99 % of all draws lie between {low:.1f} and {high:.1f}; "
        f"a typical log density is {dim / 2:g} nats below the peak"
    )


def copied(epsilon):
    """Sixteen samples of the copier, and its test nats."""
    torch.manual_seed(0)
    shown = train[torch.randint(len(train), (16,))]
    wrong = torch.rand(shown.shape) < epsilon
    shown = torch.where(wrong, torch.randint(0, 17, shown.shape), shown)
    score = copier_nats(test, epsilon).mean()
    return viz.tile(shown.view(-1, 1, 8, 8), 17, columns=8), (
        f"ε = {epsilon:g}: {score:.0f} nats a test image "
        f"({'worse' if score > nothing else 'better'} than knowing nothing)"
    )


scores = {e: copier_nats(test, e).mean() for e in (0.3, 0.5, 0.7)}
assert min(scores, key=scores.get) == 0.5 and 115 < scores[0.5] < 125

shells = [shell(dim) for dim in [1, 2, 5, 20, 100, 1000]]
rates = [0.001, 0.01, 0.05, 0.1, 0.3, 0.5, 0.7, 0.9]
viz.tabs(
    {
        "the shell": viz.slider(*zip(*shells, strict=True), "D"),
        "the copier": viz.slider(
            *zip(*[copied(rate) for rate in rates], strict=True), "ε"
        ),
    }
)

# %% [markdown]
# (sec-likely-failure)=
# ## A failure, made on purpose
#
# Every tutorial standardises its inputs: subtract the mean of the training set, divide by its
# standard deviation. It helps training. Let us do so, add the noise as we should, fit the Gaussian
# of {numref}`fig-likely-numbers`, and convert nats to bits with the formula that served for masses,
# {eq}`eq-vae-bits`.

# %%
shift, scale = y_train.mean(), y_train.std()  # two numbers, as usual
standard = (y_train - shift) / scale
gaussian = MultivariateNormal(standard.mean(0), standard.T.cov())
log_density = gaussian.log_prob((y_test - shift) / scale).mean().item()
claimed = -log_density / (64 * math.log(2))  # the mistake

with evaluating(vae):
    rival = metrics.mean_elbo(vae, digits.test)
rival = metrics.bits_per_dim(rival.mean, vae)
assert 0.2 < claimed < 0.6 and 1.9 < rival < 2.15
print(f"the Gaussian claims {claimed:.2f} bits per dimension,")
print("the VAE has about 2: is a Gaussian five times as good?")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Two rows of sixteen images. Gaussian: blurred, noisy shapes, some of them like digits. VAE: grainy digits."}, "figure": {"caption": "Samples of the model with \"0.4 bits per dimension\", above, and of the VAE with about 2, below. Nothing here looks five times as good.", "name": "fig-likely-failure"}}
torch.manual_seed(0)
blurs = gaussian.sample((16,)) * scale + shift
blurs = blurs.floor().clamp(0, 16).view(16, 1, 8, 8)
viz.grid([blurs, vae.sample(16)], 17, titles=["Gaussian", "VAE"])

# %%
doubled = MultivariateNormal(2 * standard.mean(0), 4 * standard.T.cov())
twice = doubled.log_prob(2 * (y_test - shift) / scale).mean().item()
moved = -twice / (64 * math.log(2)) - claimed
assert abs(moved - 1) < 1e-9  # one bit, for nothing but a factor of 2

try:
    metrics.bits_per_dim(log_density, models.PPCA(64, 1))
except TypeError as error:
    print("the library:", str(error).split(";")[0])
repaired = metrics.density_bits_per_dim(
    log_density,
    digits.shape,
    17,
    data_range=(
        (0 - shift.item()) / scale.item(),
        (17 - shift.item()) / scale.item(),
    ),
    dequantisation="uniform",
)
assert abs(repaired - honest["[0, 17)"]) < 1e-9
print(f"with the range named: {repaired:.2f} bits per dimension")

# %% [markdown]
# ```{admonition} Symptom, diagnosis, cure
# :class: warning
#
# **Symptom.** Bits per dimension far below all published figures, sometimes below zero, from a model
# whose samples are no better than those of others. The figure moves when the images are scaled: by
# exactly one bit for a factor of 2.
#
# **Diagnosis.** The likelihood is a density, and a density has units. It was turned into bits as if
# it were a mass: the term $-\log_2\delta$ of {eq}`eq-likely-density-bits`, with $\delta$ the width
# of one level on the scale of the density, was left out. Standardising, or dividing by 255, makes
# $\delta$ small and the figure good.
#
# **Cure.** Add noise one level wide, and subtract $\log_2\delta$. Say which noise and which range.
# Test the program: scale the images by 2; the figure must not move. A model that knows nothing must
# come out at $\log_2K$ bits, and nothing may come out below zero.
# ```
#
# ## Exercises
#
# ```{exercise} Which is better?
# :label: ex-likely-which
# Model A reports an exact 1.95 bits per dimension. Model B is a VAE with a bound of 2.01 bits, and
# its authors write that B is worse. Model C is a VAE with a bound of 1.93. All on the same test
# images with the same levels. What follows?
# ```
#
# ````{solution} ex-likely-which
# :class: dropdown
# C is better than A: its true figure is at most 1.93 (up to the errors of the two means, which
# should be taken of the difference, image by image). About B nothing follows: its true figure is
# *at most* 2.01, and may be 1.90. Nor is C known to be better than B. To decide, tighten B's bound
# with many weights or with annealed importance sampling.
# ````
#
# ```{exercise} A small picture of a large one
# :label: ex-likely-resize
# Someone trains on 64×64 photographs shrunk from large ones by averaging, another on the same ones
# shrunk by taking single pixels. Both report bits per dimension of the same kind of model. Who gets
# the smaller figure, and who has the better model?
# ```
#
# ````{solution} ex-likely-resize
# :class: dropdown
# Averaging removes fine detail and noise, so its images are smoother and cheaper: the figure is
# smaller, with the same model and the same care. Neither has the better model; they have different
# images. Published figures on "ImageNet 64×64" exist for two ways of shrinking, and are not
# comparable across them.
# ````
#
# ```{exercise} The coder's two bits
# :label: ex-likely-stream
# Encode all test images as *one* long image of $447\cdot64$ pixels, with one interval. How many
# bits does that save, by {eq}`eq-likely-length`? Why does nobody mind the two bits?
# ```
#
# ````{solution} ex-likely-stream
# :class: dropdown
# Each word had one to two bits too many; now all images share them. It saves between $445$ and
# $893$ bits of about $62{,}000$, roughly one per cent. On images of 3,072 values two bits are
# $0.0007$ per dimension. (Real coders work with intervals of 32 or 64 bits and give up exactness
# for speed.)
# ````
#
# ```{exercise} How bad can the copier be?
# :label: ex-likely-copier
# Let $h(x)$ be the number of pixels in which $x$ differs from its nearest training image. Show that
# $-\log P_\varepsilon(x)\ge h(x)\log\frac K\varepsilon$ for
# {eq}`eq-likely-copies`. What happens as
# $\varepsilon\to0$, on a test image and on a training image?
# ```
#
# ````{solution} ex-likely-copier
# :class: dropdown
# In each product at least $h(x)$ factors are $\varepsilon/K$ and the others at most 1, so each
# product is at most $(\varepsilon/K)^{h(x)}$, and so is their mean. On a test image with $h\ge1$
# the nats grow without end as $\varepsilon\to0$; on a training image they tend to $\log N$ (fewer
# if it occurs several times). A training likelihood of $\log N$ nats is the signature of a memory:
# it is what it takes to say *which* image.
# ````
#
# ```{exercise} From the other side
# :label: ex-likely-reverse
# Draw $z^*\sim p(z)$ and $x\sim p(x\mid z^*)$ from a model. Then $z^*$ is an exact draw from the
# posterior of this $x$. Run the chain backwards from it, from $t=T$ down to $0$, and collect the
# *inverse* of the weight. What is its expectation, and what bound follows?
# ```
#
# ````{solution} ex-likely-reverse
# :class: dropdown
# The backward run is annealed importance sampling from $p(z\mid x)$, which is normalised, to $q_0$;
# its unnormalised start is $f_T$ with integral $p(x)$. The proof gives
# $\E[1/w]=\int q_0/p(x)=1/p(x)$. By Jensen $\E[\log(1/w)]\le-\log p(x)$, so
# $\E[\log w]\ge\log p(x)$: an *upper* bound. Together they sandwich the truth, for images drawn
# from the model {cite:p}`grosse2015`. It does not work for real images, for which nobody has an
# exact draw from the posterior.
# ````
#
# ```{exercise} A likelihood of samples
# :label: ex-likely-parzen
# For a GAN, old papers fitted narrow Gaussians around 10,000 *samples* and reported the log density
# of test images under them. Our copier is such a model, with training images in the place of
# samples. What would a perfect model score, compared with one that puts out $k$-means centres of
# the data?
# ```
#
# ````{solution} ex-likely-parzen
# :class: dropdown
# With $\varepsilon=0.5$, the best of the slider, even real images as samples score about 120 nats
# here, worse than one table a pixel. The figure measures the kernel around the samples, not the
# model. Centres, which are nearer to most test images than other real images are, can score
# *better* than the data themselves {cite:p}`theis2016`. Such figures should not be used.
# ````
#
# ## Summary
#
# - A mass $P$ is a code: $-\log_2P(x)$ bits, within two bits for a whole image
#   {eq}`eq-likely-length`. Bits per dimension are bits of a lossless file.
# - A figure belongs to its images, its levels and its kind. Fewer levels are cheaper
#   {eq}`eq-likely-coarser`. A density needs noise and the width of a level
#   {eq}`eq-likely-density-bits`; $[0,1)$ for $[0,256)$ is worth eight bits
#   {eq}`eq-likely-forgotten`.
# - Compare models image by image: the error of the difference is the smaller one
#   {eq}`eq-likely-paired`.
# - Annealed importance sampling is unbiased for $p(x)$ {eq}`eq-likely-annealed-mean`, a lower bound
#   for its logarithm {eq}`eq-likely-annealed-bound`, and needs no encoder. Exactness hangs on the
#   accept step and on weights taken before the move.
# - Draws live in the typical set, not at the peak {eq}`eq-likely-peak`. 99 % garbage costs 4.6 nats
#   {eq}`eq-likely-noise`; perfect samples can have a likelihood worse than nothing
#   {eq}`eq-likely-copies`. Simple foreign images are likely.
#
# ## Further reading
#
# {cite:t}`theis2016` is the paper behind much of this chapter; every user of likelihoods should
# read it. {cite:t}`shannon1948` tied probability to length, and {cite:t}`mackay2003` teaches both,
# arithmetic coding and Monte Carlo, in one book. {cite:t}`neal2001` introduced annealed importance
# sampling and {cite:t}`neal2011` is the best introduction to Hamiltonian Monte Carlo.
# {cite:t}`wu2016` measured decoders with it, those of GANs too, and {cite:t}`grosse2015` run it
# from both ends. {cite:t}`nalisnick2018` is the paper on foreign images. {cite:t}`ho2019` learn the
# noise of dequantisation.
