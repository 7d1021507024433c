# %% [markdown]
# (ch-fast)=
# # 14 Sampling fast
#
# **Reading** 60 minutes · **Running** under 90 seconds on one CPU thread · **Difficulty** ●●○ ·
# **You need** the chain rule of {ref}`ch-sequence`, the stacks of {ref}`ch-pixelcnn`, a little of
# {ref}`ch-pixelrnn`
#
# **How much of a picture must you look at again after adding one pixel?** A model of pixels is
# trained on whole images: one pass gives all conditional probabilities at once. To draw an image it
# has to be asked pixel by pixel, and the usual program asks by running the whole network over the
# whole image, 784 times for 28×28 pixels. Nearly everything it computes it has computed before.
# This chapter keeps what is known. The result is the *same* image, bit for bit, hundreds of times
# sooner.
#
# Then it asks for more than speed: the other half of a digit of which you have one. Here the
# tempting program is not slow but wrong.
#
# After this chapter you can
#
# - count what naive sampling costs, and say which part of it is waste;
# - say for any causal network when a feature is final, and so what a cache must hold;
# - prove that a cached sampler draws the same images as the naive one, and test it;
# - predict how the gain depends on image size and batch, and check it against measurements;
# - complete an image exactly where that is possible, by weighing where it is not, and tell from the
#   effective sample size whether to believe the result.
#
# ```{admonition} Five questions first
# :class: tip
#
# 1. What is $1+2+\dots+n$?
# 2. How many multiplications does a convolution with a $k\times k$ kernel and $F$ features in and
#    out need on $n$ pixels?
# 3. A level has probabilities $p_0,p_1,p_2$. How does one uniform number in $[0,1)$ draw it?
# 4. You draw from $q$ and want means under $p$. What do you multiply by?
# 5. Which pixels may the conditional distribution of pixel $i$ look at?
#
# If three of them come easily, read on. The answers follow.
# ```
#
# ```{admonition} Answers
# :class: dropdown
#
# 1. $n(n+1)/2$.
# 2. $nk^2F^2$: every pixel multiplies $k^2F$ numbers by a matrix with $F$ columns.
# 3. Take the first level whose cumulative probability exceeds it: 0 below $p_0$, 1 below $p_0+p_1$,
#    else 2. This is the inverse of the distribution function.
# 4. By the weight $p/q$: $\E_q[f\,p/q]=\E_p[f]$.
# 5. Those before it in the order of reading, $x_{<i}$, and no others: {ref}`ch-sequence`.
# ```

# %%
import json
import math
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.colors import ListedColormap
from myst_nb import glue
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from genlearn import data, models, sampling, viz
from genlearn.training import Objective, evaluating, fit

torch.set_num_threads(1)  # models this small are fastest on one thread
digits = data.load("digits")

# %% [markdown]
# Watch three samplers at the same moment: the pixel with the cross is the next to be drawn. Each
# grid is one layer of a small causal network.


# %% tags=["hide-input"]
SIDE = 5  # pixels a side, in the drawings
NONE, GONE, KEPT, READ, NEW = range(5)
COLOURS = ["#ffffff", "#dedede", "#a9d4f0", viz.style.BLUE, viz.style.ORANGE]
PLACES = list(product(range(SIDE), repeat=2))  # in reading order
ABOVE, LEFT, HERE = [(-1, -1), (-1, 0), (-1, 1)], [(0, -1)], [(0, 0)]
BEFORE = [(r, c) for r in range(-4, 1) for c in range(-4, 5) if (r, c) < (0, 0)]
# Each layer: which layers its features read, and where. Layer 0 is the image.
NETWORKS = {
    "Row LSTM": [  # a layer reads its own states in the row above
        {0: LEFT, 1: ABOVE},
        {1: LEFT + HERE, 2: ABOVE},
        {2: LEFT + HERE, 3: ABOVE},
    ],
    "convolution": [
        {0: ABOVE + LEFT},
        {1: ABOVE + LEFT + HERE},
        {2: ABOVE + LEFT + HERE},
    ],
    "two stacks": [  # layers 1 and 2 are vertical, layer 3 is horizontal
        {0: ABOVE},
        {1: ABOVE + LEFT + HERE + [(0, 1)]},
        {0: LEFT, 2: HERE},
    ],
    "attention": [{0: BEFORE}, {1: BEFORE + HERE}, {2: BEFORE + HERE}],
}
VERTICAL = {("two stacks", 1), ("two stacks", 2)}  # computed row by row


def schedule(name, naive=False):
    """For each pixel: which features are computed for it, and what is read."""
    steps = []
    for step, (row, column) in enumerate(PLACES):
        new, read = set(), {(0, place) for place in PLACES[:step] if naive}
        for layer, reads in enumerate(NETWORKS[name], start=1):
            mine = [(row, column)]
            if (name, layer) in VERTICAL:
                mine = [(row, c) for c in range(SIDE)] if column == 0 else []
            new |= {(layer, place) for place in (PLACES if naive else mine)}
            if naive:
                continue
            for r, c in mine:
                for below, offsets in reads.items():
                    seen = {(r + dr, c + dc) for dr, dc in offsets}
                    read |= {(below, place) for place in seen & set(PLACES)}
        steps.append((new, read - new))
    return steps


def states(name, naive=False):
    """What a sampler does with each place: (pixels, layers, side, side)."""
    steps = schedule(name, naive)
    frames = np.zeros((len(PLACES), 4, SIDE, SIDE), int)
    for layer, place in product(range(4), PLACES):
        made = [k for k, (new, _) in enumerate(steps) if (layer, place) in new]
        first = PLACES.index(place) + 1 if layer == 0 else made[0]
        uses = [
            k for k, (_, read) in enumerate(steps) if (layer, place) in read
        ]
        assert all(k >= first for k in uses)  # nothing is read too early
        for step in range(first, len(PLACES)):
            later = any(k > step for k in uses)
            frames[step, layer][place] = KEPT if later else GONE
        for k in uses:
            frames[k, layer][place] = READ
        for k in made:
            frames[k, layer][place] = NEW
    return frames


def draw_states(panel, grid, step=None):
    """One layer of a frame, with a cross on the pixel to be drawn."""
    panel.pcolormesh(
        grid, cmap=MAP, vmin=-0.5, vmax=4.5, edgecolors="black", linewidth=0.4
    )
    if step is not None:
        row, column = PLACES[step]
        panel.plot(column + 0.5, row + 0.5, "x", color="black", ms=5)
    panel.set(aspect="equal", xticks=[], yticks=[])
    panel.invert_yaxis()


# %% tags=["hide-input"] mystnb={"image": {"alt": "Three rows of four grids of five by five cells: the image and three layers, at the same pixel in the third row. Naive: all 75 cells of the three layers are orange, computed now. Convolution: one orange cell a layer; four or five blue cells next to it are read; cells further up are grey, forgotten. Attention: one orange cell a layer, and all cells before it are blue, read."}, "figure": {"caption": "At the pixel with the cross. Orange: computed now. Blue: read now. Light blue: kept for later. Grey: not needed any more. White: not there yet. The naive sampler computes every feature of every layer again; a cached one computes one feature a layer.", "name": "fig-fast-idea"}}
MAP = ListedColormap(COLOURS)
figure, axes = viz.subplots(3, 4, height=5.2)
moment = 2 * SIDE + 2
rows = [
    ("naive", states("convolution", naive=True)[moment]),
    ("convolution", states("convolution")[moment]),
    ("attention", states("attention")[moment]),
]
for line, (name, layers) in zip(axes, rows, strict=True):
    for panel, layer in zip(line, layers, strict=True):
        draw_states(panel, layer, moment if panel is line[0] else None)
    line[0].set_ylabel(name)
for panel, title in zip(
    axes[0], ["image", "layer 1", "layer 2", "layer 3"], strict=True
):
    panel.set_title(title)
figure

# %% [markdown]
# The rest of the chapter makes this picture precise, then fast.
#
# (sec-fast-naive)=
# ## What naive sampling costs
#
# Let an image have $n$ values: $n=H\cdot W$ for one channel, three times as many in colour. A network
# of convolutions or of recurrences does the same work for each, say $m$ multiplications. So one
# forward pass costs $mn$. The naive sampler runs it once for each value:
#
# $$
# M_\text{naive}=\underbrace{n}_{\text{passes}}\cdot\underbrace{m\,n}_{\text{each}}=m\,n^2 .
# $$ (eq-fast-naive)
#
# Double the side of an image and $n$ becomes four times as large, the cost sixteen times. Attention
# is worse: there each place looks at all places before it. A query and a key of $d$ numbers cost $d$
# multiplications, adding up the values as many again, and place $i$ has $i$ keys, its own among
# them. One layer needs
#
# $$
# \sum_{i=1}^{n}2d\,i=d\,n(n+1)
# $$ (eq-fast-attention)
#
# on top of the $mn$ of its matrices, so a naive image costs $mn^2+d\,n^2(n+1)$: cubic in $n$.
#
# How large is $m$? No need to guess. PyTorch can count the multiplications of whatever runs.


# %%
def multiplications(run):
    """Multiplications in products of matrices and in convolutions."""
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        run()
    return counter.get_total_flops() // 2  # it counts additions too


def gated(side, levels=2):
    """The Gated PixelCNN whose speed is measured below."""
    torch.manual_seed(0)
    return models.gated_pixel_cnn(
        (1, side, side), levels, features=32, layers=5
    ).eval()


blank = torch.zeros(1, 1, 28, 28, dtype=torch.uint8)
one_pass = multiplications(lambda: gated(28).log_prob(blank))
glue("fast-m", f"{one_pass / 784:,.0f}", display=False)
glue("fast-pass", f"{one_pass / 1e6:.0f}", display=False)
glue("fast-naive", f"{784 * one_pass / 1e9:.0f}", display=False)
print(f"one pass over 28 x 28 pixels: {one_pass:,}")
print(f"naive sampling of one image:  {784 * one_pass:,}")

# %% [markdown]
# For a Gated PixelCNN of five layers and 32 channels, $m$ is {glue:text}`fast-m`, a pass takes
# {glue:text}`fast-pass` million multiplications, and one naively drawn image
# {glue:text}`fast-naive` billion. For an image of 784 black or white pixels, that is a lot.
#
# ```{admonition} Predict, then run
# :class: tip
# How many multiplications does a sampler need that computes nothing twice? Guess a share of the
# second line: a tenth, a hundredth, a thousandth? You meet the count again in
# {ref}`sec-fast-library`.
# ```
#
# (sec-fast-final)=
# ## What is final when
#
# While an image is drawn, its values become known one after the other. The network is a web of
# features, each computed from others, at the bottom from values. So every feature $f$ rests on a set
# of values: of those that it reads, and of those that the features rest on which it reads. Call the
# place of the last one the **time** at which $f$ is ready:
#
# $$
# r(f)=\max\{\,i : f\text{ rests on }x_i\,\},\qquad r(f)=0\text{ if it rests on none.}
# $$ (eq-fast-ready)
#
# The parameters $\lambda_i$ of the distribution of $x_i$ rest on values before $x_i$ alone: this is
# what the masks of {ref}`ch-pixelcnn` are for. Hence $r(\lambda_i)\le i-1$. And a feature on the way
# to $\lambda_i$ rests on no value that $\lambda_i$ does not rest on, so it has $r\le i-1$ as well.
#
# The sampler needs two consequences.
#
# **A ready feature never changes.** If two images agree in their first $k$ values, then
#
# $$
# r(f)\le k\quad\Longrightarrow\quad f(x)=f(x') ,
# $$ (eq-fast-final)
#
# because a function whose arguments are the same has the same value. In particular it does not
# matter what stands at the places not drawn yet; zeros are as good as anything.
#
# **What $\lambda_i$ needs is ready when it is needed.** At the time when $x_1,\dots,x_{i-1}$ are
# drawn, all features on the way to $\lambda_i$ have $r\le i-1$: they are final.
#
# So compute each feature once, when it is first needed, and keep it for as long as something later
# reads it.
#
# ````{prf:algorithm} Cached sampling
# :label: alg-fast
#
# **Input** a causal network, uniform numbers $u_1,\dots,u_n$ in $[0,1)$
#
# For $i=1,\dots,n$ in the order of reading:
#
# 1. Compute the features on the way to $\lambda_i$ that are not in the cache, from those that are,
#    and from $x_1,\dots,x_{i-1}$. Put them into the cache.
# 2. Draw $x_i$ from the distribution with parameters $\lambda_i$, by the inverse of its distribution
#    function at $u_i$.
# 3. Drop from the cache what no later feature reads.
# ````
#
# How much work is that? Every feature is computed at most once, as in *one* forward pass, only
# spread out over time:
#
# $$
# M_\text{cached}\le mn,\qquad
# \frac{M_\text{naive}}{M_\text{cached}}\ge n .
# $$ (eq-fast-once)
#
# (At most: a feature that no $\lambda$ reads is never computed.) The same holds for attention, where
# both sides have the term {eq}`eq-fast-attention` in addition. **The arithmetic of sampling an image
# is that of looking at it once**, and the gain is the number of its values: 784 for 28×28 pixels.
#
# (sec-fast-equal)=
# ## The same image, not a similar one
#
# An approximation would be worth little here: an error in one pixel is fed to all later ones. But
# nothing was approximated.
#
# ````{prf:theorem} Cached sampling is naive sampling
# :label: thm-fast-equal
#
# Given the same uniform numbers, both samplers draw the same image:
#
# $$
# x_i^\text{cached}=x_i^\text{naive}\quad\text{for }i=1,\dots,n .
# $$ (eq-fast-equal)
# ````
#
# ````{prf:proof}
# By induction over $i$. Suppose that both samplers have drawn the same $x_1,\dots,x_{i-1}$, and that
# every feature in the cache has the value which the network gives it on the naive sampler's image.
# For $i=1$ nothing is drawn and the cache is empty, so this holds.
#
# The naive sampler runs the network on $x_1,\dots,x_{i-1}$, followed by zeros. Take a feature that
# step 1 of {prf:ref}`alg-fast` computes. The features that it reads lie on the way to $\lambda_i$,
# so they are final {eq}`eq-fast-final`; those in the cache have the value of the naive sampler's
# network by assumption, the others by the same argument, layer by layer. The function is the same,
# the arguments are the same, and so is the result. The last of these features is $\lambda_i$ itself.
# With equal $\lambda_i$ and equal $u_i$, step 2 draws an equal $x_i$.
#
# Now the naive sampler's image gains $x_i$ at a place where a zero stood. Features in the cache have
# $r\le i-1$, so by {eq}`eq-fast-final` they keep their values, and the assumption holds for $i+1$.
# ````
#
# The proof speaks of numbers. A computer adds in another order when it computes one pixel at a time,
# and rounds differently. How bad is that? Let the two samplers have distribution functions $F$ and
# $G$ for a value of $K$ levels. They draw different levels exactly if $u$ lies between $F(k)$ and
# $G(k)$ for some $k$, and the chance of that is at most the sum of the lengths:
#
# $$
# \Pr(\text{different levels})\le\sum_{k=0}^{K-2}\bigl|F(k)-G(k)\bigr| .
# $$ (eq-fast-flip)
#
# (The last level is left out: there both functions are 1.) With single precision the differences are
# about $10^{-7}$, so one value in a million or so falls between, and from there on the two images go
# separate ways. With double precision it is one in $10^{14}$ or so. So equality is tested in double
# precision, where it must be exact, and in single precision for the parameters $\lambda_i$ on given
# images, which must agree to rounding.
#
# (sec-fast-caches)=
# ## What each family must remember
#
# The theorem asks for no particular network. What differs is which features are still read later.
#
# | network | remembers | new for each pixel |
# | --- | --- | --- |
# | LSTM over the sequence | the states $h,c$ of the last pixel | one step |
# | Row LSTM | the states of the row above | one step, one product for the row above |
# | Diagonal BiLSTM | the states of the row above and of the pixel before | one step to the right; the scan from the right once a row |
# | masked convolution, kernel $k$ | the last $\lfloor k/2\rfloor$ rows, and this one | one product |
# | two stacks | the same | the vertical stack once a row, the horizontal one a pixel |
# | attention | keys and values of all places before | one query against all of them |
#
# Two entries deserve a second look.
#
# **A whole row at once.** The vertical stack at row $R$ rests on the rows above it and on nothing
# else. By {eq}`eq-fast-ready` all its features in that row become ready at the same time, when the
# row above is finished. They can be computed by one convolution for all $W$ pixels. It is not less
# arithmetic, but $W$ times fewer calls, and on small images calls are what costs. The same trick
# serves any masked convolution: what the rows *above* contribute to a row can be added up in one
# call before the row is begun. In the Diagonal BiLSTM, the map that runs from the right reads only
# the row above, shifted down, so it too is finished once a row.
#
# **Attention cannot forget.** Every later place reads every key. So memory grows with each pixel,
# and so does the work of a pixel: $2di$ multiplications at pixel $i$, the summand of
# {eq}`eq-fast-attention`. For all others the work per pixel does not depend on the image at all.
#
# Step through it. The tabs are the networks of the drawing above, and the naive sampler; the slider
# is the pixel. (It works without a kernel; the frames are part of the page.)


# %% tags=["hide-input"]
def frame(grids, step, cell=9):
    """Four grids side by side as one small picture, uint8, with a border."""
    palette = np.array(
        [[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in COLOURS]
    )
    panels = []
    for layer, grid in enumerate(grids):
        picture = np.kron(palette[grid], np.ones((cell, cell, 1))).astype(int)
        picture[::cell] = picture[:, ::cell] = 90
        if layer == 0:
            row, column = (cell * k + 1 for k in PLACES[step])
            for k in range(2, cell - 3):
                picture[row + k, column + k] = 0
                picture[row + cell - 2 - k, column + k] = 0
        picture = np.pad(picture, ((0, 1), (0, 1), (0, 0)), constant_values=90)
        panels.append(
            np.pad(picture, ((3, 3), (3, 3), (0, 0)), constant_values=255)
        )
    return np.concatenate(panels, 1).astype(np.uint8)


def film(name, naive=False):
    """A slider over the pixels, for one network."""
    grids = states(name, naive)
    captions = []
    for step, grid in enumerate(grids):
        new, read, kept = ((grid == what).sum() for what in (NEW, READ, KEPT))
        captions.append(
            f"pixel {step + 1} of {SIDE**2} (image, layers 1 to 3): "
            f"{new} computed, {read} read, {kept} more kept"
        )
    frames = [frame(grid, step) for step, grid in enumerate(grids)]
    return viz.slider(frames, captions, "pixel")


viz.tabs(
    {
        "naive": film("convolution", naive=True),
        **{name: film(name) for name in NETWORKS},
    }
)

# %% [markdown]
# In each tab, count the orange cells of all frames together: 75 in every tab but the first, and there
# $25\cdot75$. In "two stacks" most of them come at the first pixel of a row.

# %%
for name in NETWORKS:
    assert (states(name) == NEW).sum() == 75
assert (states("convolution", naive=True) == NEW).sum() == 25 * 75
print(
    "computed in 25 pixels: 75 features; by the naive sampler 25 times as many"
)

# %% [markdown]
# (sec-fast-scratch)=
# ## From scratch
#
# A causal network small enough to type: three layers, each looking at the pixels above and to the
# left, the first not at the pixel itself. The forward pass shifts the whole image once for each
# place that is looked at.

# %%
TAPS = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]  # three above, left, here


class SmallCausal(nn.Module):
    def __init__(self, levels, features=16):
        super().__init__()
        widths = [4, 5 * features, 5 * features]  # mask A, then mask B twice
        self.layers = nn.ModuleList(nn.Linear(w, features) for w in widths)
        self.head = nn.Linear(features, levels)
        self.features = features

    def forward(self, x, condition=None):
        """(N, 1, H, W), scaled, to logits (N, 1, H, W, levels)."""
        height, width = x.shape[2:]
        for layer in self.layers:
            taps = TAPS[: layer.in_features // x.shape[1]]
            padded = F.pad(x, (1, 1, 1, 0))
            seen = [padded[..., r : r + height, c : c + width] for r, c in taps]
            x = layer(torch.cat(seen, 1).movedim(1, -1)).relu().movedim(-1, 1)
        return self.head(x.movedim(1, -1)).unsqueeze(1)


# %% [markdown]
# The cached sampler follows {prf:ref}`alg-fast`. A plane for each layer holds its inputs, with an
# empty border above, left and right. At each pixel a layer reads four or five places of its plane
# and makes one new feature vector, which goes into the plane of the next layer.


# %%
@torch.inference_mode()
def draw(network, uniforms, levels):
    """Images (N, 1, H, W) from uniform numbers of the same shape."""
    n, _, height, width = uniforms.shape
    planes = [
        uniforms.new_zeros(n, channels, height + 1, width + 2)
        for channels in (1, network.features, network.features)
    ]
    image = torch.zeros_like(uniforms)
    for row, column in product(range(height), range(width)):
        x = None
        for plane, layer in zip(planes, network.layers, strict=True):
            if x is not None:
                plane[:, :, row + 1, column + 1] = x
            taps = TAPS[: layer.in_features // plane.shape[1]]
            seen = [plane[:, :, row + r, column + c] for r, c in taps]
            x = layer(torch.cat(seen, 1)).relu()  # one pixel, not an image
        cumulative = network.head(x).softmax(1).cumsum(1)[:, :-1]
        u = uniforms[:, 0, row, column, None]
        level = (cumulative <= u).sum(1)
        image[:, 0, row, column] = level
        planes[0][:, 0, row + 1, column + 1] = 2 * level / (levels - 1) - 1
    return image.to(torch.uint8)


# %% [markdown]
# The library takes any causal network: {py:class}`genlearn.models.PixelModel` adds the likelihood
# and the loop. Asked for `cached=False`, it runs our `forward` over the whole image for each pixel.
# Both samplers get the same uniform numbers.

# %%
torch.manual_seed(0)
small = models.PixelModel(
    lambda sizes: SmallCausal(sizes.outputs), digits.shape, digits.levels
).double()
uniforms = torch.rand(64, 1, 8, 8, dtype=torch.float64)
mine = draw(small.network, uniforms, digits.levels)
theirs = small.sample(64, uniforms=uniforms, cached=False)
assert torch.equal(mine, theirs)
assert len(mine.unique()) == 17  # there is something to be equal
print("64 images of 8 x 8 pixels: the same in every pixel")

# %% [markdown]
# Two lines decide everything, and both are easily got wrong: which places a layer reads, and that
# its input is in the plane *before* it reads. Swap the two lines inside the inner loop, and the
# pixel itself is read as zero; the images look fine, and are not from this model. Only the
# comparison shows it.
#
# (sec-fast-library)=
# ## The library's samplers
#
# Every network of this part comes with its own cache, and one loop serves all. Here they are, each
# against its own forward pass, with three grey levels and in double precision.

# %%
MODELS = {
    "pixel LSTM": models.pixel_lstm,
    "Row LSTM": models.row_lstm,
    "Diagonal BiLSTM": models.diagonal_bilstm,
    "PixelCNN": models.pixel_cnn,
    "Gated PixelCNN": models.gated_pixel_cnn,
    "PixelCNN++": models.pixel_cnn_pp,
    "transformer": models.image_transformer,
}
uniforms = torch.rand(32, 1, 5, 4, dtype=torch.float64)
for name, make in MODELS.items():
    torch.manual_seed(0)
    model = make((1, 5, 4), 3).double().eval()
    fast = model.sample(32, uniforms=uniforms)
    slow = model.sample(32, uniforms=uniforms, cached=False)
    assert torch.equal(fast, slow)
    print(f"{name:15} 32 images of 5 x 4: identical")

# %% [markdown]
# And the count that you guessed:

# %%
cached = multiplications(lambda: gated(28).sample(1))
share = 784 * one_pass / cached
assert cached == one_pass
glue("fast-share", f"{share:.0f}", display=False)
print(f"one pass over the image: {one_pass:,} multiplications")
print(f"one image, cached:       {cached:,}")

# %% [markdown]
# The same number, to the last digit. Drawing an image costs what looking at it costs, as
# {eq}`eq-fast-once` says, and {glue:text}`fast-share` times less than the naive way.
#
# (sec-fast-measured)=
# ## An experiment: does time follow arithmetic?
#
# Multiplications are not seconds. One question: how does the time of sampling grow with the size of
# the image? One change: the side, from 8 to 64 pixels. All else is fixed: sixteen images, one thread,
# the same network.
#
# ```{admonition} Predict, then run
# :class: tip
# On axes that are logarithmic both ways, $n^2$ is a straight line of slope 2. Which slopes do you
# expect for naive and cached sampling of a convolutional network, and of a transformer?
# ```
#
# Times differ from machine to machine, so they are not taken while this page is made. They come from
# a record that is kept with the book, made by `python benchmarks/sampling.py`.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Two panels with logarithmic axes against the number of pixels. Left: dashed lines, naive sampling, rise steeply from half a second to hundreds or thousands of seconds; solid lines, cached, rise half as steeply and stay below a second for the Gated PixelCNN and the Diagonal BiLSTM; the solid line of the transformer lies between. Right: milliseconds a pixel of the cached samplers: six flat lines, five of them near 0.2 and that of PixelCNN++ near 0.8, and the transformer's, which rises from below one to above four."}, "figure": {"caption": "Sixteen images, one thread. Left: time to draw them, naively (dashed; a few forward passes timed, times the number of pixels) and cached (solid), against the number of pixels. Right: cached time for each pixel.", "name": "fig-fast-sizes"}}
record = json.loads(
    Path("../../benchmarks/results/sampling.json").read_text("utf-8")
)
sizes = {  # pixels, naive seconds and cached seconds of each model
    name: np.array(
        [
            (row["side"] ** 2, row["naive_seconds"], row["cached_seconds"])
            for row in record["sizes"]
            if row["model"] == name
        ]
    ).T
    for name in MODELS
}
order = ["Gated PixelCNN", "Diagonal BiLSTM", "transformer", "PixelCNN++"]
order += [name for name in MODELS if name not in order]
figure, (left, right) = viz.subplots(1, 2, height=3.2)
for colour, name in zip(viz.style.CYCLE, order, strict=True):
    pixels, naive, fast = sizes[name]
    if name in order[:3]:
        left.loglog(pixels, naive, "--", color=colour)
        left.loglog(pixels, fast, "-", color=colour, label=name)
    right.loglog(pixels, 1e3 * fast / pixels, ".-", color=colour, label=name)
left.set(xlabel="pixels", ylabel="seconds")
left.legend()
right.set(xlabel="pixels", ylabel="milliseconds a pixel", ylim=(0.06, 40))
right.legend(fontsize=7, ncols=2, loc="upper left")
figure


# %%
def slope(pixels, seconds):
    """Slope of the straight line through the logarithms."""
    return np.polyfit(np.log(pixels), np.log(seconds), 1)[0]


for name in order[:3]:
    pixels, naive, fast = sizes[name]
    print(
        f"{name:15} slope {slope(pixels, naive):.1f} naive, "
        f"{slope(pixels, fast):.1f} cached"
    )
for name in MODELS:
    pixels, naive, fast = sizes[name]
    if name == "transformer":
        assert fast[-1] / pixels[-1] > 3 * fast[0] / pixels[0]
    else:
        assert abs(slope(pixels, fast) - 1) < 0.2
        assert abs(slope(pixels, naive) - 2) < 0.3

# %% [markdown]
# Time follows arithmetic. For networks of convolutions and recurrences the slope falls from two to
# one, and the right panel is flat: **a pixel costs the same in a large image as in a small one**.
# (On the smallest images it costs a little more: there the work that is done once a row is shared by
# eight pixels.) The transformer begins with a pixel cheaper than one of PixelCNN++; then its keys
# and values grow, and reading them all for each pixel takes more and more of the time.
#
# At 28×28 pixels, how many times faster is the cached sampler than the naive one?

# %%
print("images drawn together:      16      64")
for name in MODELS:
    ratios = {
        row["images"]: row["ratio"]
        for row in record["speed"]
        if row["model"] == name and row["naive"] == "library"
    }
    print(f"{name:22} {ratios[16]:7.0f} {ratios[64]:7.0f}")

# %% [markdown]
# (sec-fast-batch)=
# ## Why many images gain more
#
# A computer spends time on two things: on starting operations, and on the arithmetic in them. Let a
# forward pass consist of $A$ operations, each with an overhead of $\alpha$ seconds, and let one
# image's share of arithmetic in it take $\beta$ seconds. A cached sampler starts $a$ operations for
# each of $n$ pixels, and does the arithmetic of one pass altogether. With $B$ images,
#
# ```{math}
# :label: eq-fast-time
# \begin{aligned}
# t_\text{naive}(B) &= n\,(\alpha A+\beta B), \\
# t_\text{cached}(B) &= n\,\alpha a+\beta B, \\
# \frac{t_\text{naive}}{t_\text{cached}}(B)
#   &= \frac{\alpha A+\beta B}{\alpha a+\beta B/n} .
# \end{aligned}
# ```
#
# For few images the overheads decide, and the ratio begins near $A/a$, which is about one: a pixel
# needs nearly as many operations as an image. For many images it tends to $n$. In between it rises,
# because numerator and denominator are straight lines in $B$ and the first has the larger slope in
# proportion to its start: $\frac{\beta}{\alpha A}>\frac{\beta/n}{\alpha a}$ as long as $A<na$. So
# **draw many images together**: their overheads are shared. The record has the Gated PixelCNN at
# several batch sizes.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Left: how many times faster, against 1 to 256 images, on logarithmic axes: a line that rises from about 40 through about 270 at 16 images, becomes less steep, and ends a little above the dashed line at 784. Right: milliseconds an image, falling from 100 to 5."}, "figure": {"caption": "Gated PixelCNN, 28×28, one thread. Left: how many times faster the cached sampler is, against the number of images drawn together; the dashed line is $n=784$. Right: cached time for one image.", "name": "fig-fast-batch"}}
of_gated = [
    row
    for row in [*record["batches"], *record["speed"]]
    if row["model"] == "Gated PixelCNN"
]
batches = {row["images"]: row for row in of_gated}  # one row a batch size
batches = [batches[images] for images in sorted(batches)]
count = [row["images"] for row in batches]
figure, (left, right) = viz.subplots(1, 2, height=2.6)
left.loglog(count, [row["ratio"] for row in batches], ".-")
left.axhline(784, ls="--", lw=1, color="black")
left.set(xlabel="images together", ylabel="times faster", ylim=(20, 2000))
right.loglog(
    count,
    [1e3 * row["cached_seconds"] / row["images"] for row in batches],
    ".-",
)
right.set(xlabel="images together", ylabel="milliseconds an image")
for panel in (left, right):
    panel.minorticks_off()
    panel.set_xticks(count, [str(k) for k in count])
right.set_yticks([5, 10, 20, 50, 100], ["5", "10", "20", "50", "100"])
figure

# %%
ratios = [row["ratio"] for row in batches]
assert all(a < b for a, b in pairwise(ratios))
each = [row["cached_seconds"] / row["images"] for row in batches]
passes = [row["pass_milliseconds"] / row["images"] for row in batches]
assert ratios[-1] > 784 and passes[-1] > 1.3 * min(passes)
glue("fast-one", f"{ratios[0]:.0f}", display=False)
glue("fast-most", f"{ratios[-1]:.0f}", display=False)
glue("fast-most-images", f"{count[-1]}", display=False)
glue("fast-each-gain", f"{each[0] / each[-1]:.0f}", display=False)
print(f"{count[0]} image: {ratios[0]:.0f} times; {count[-1]}: {ratios[-1]:.0f}")

# %% [markdown]
# One image gains a factor of {glue:text}`fast-one`, {glue:text}`fast-most-images` images together
# {glue:text}`fast-most`, and each of them costs {glue:text}`fast-each-gain` times less than one
# drawn alone.
#
# The last figure is *more* than $n$, which {eq}`eq-fast-time` cannot explain. The arithmetic is the
# same as ever. But a pass over many images writes the features of all of them to memory, layer after
# layer, and reads them back; they do not fit into the processor's own fast memory, and an image costs
# more in a large batch than in a small one. A cached sampler works on one pixel of each image at a
# time, and that fits. So its $\beta$ is the smaller one.
#
# What speaks against drawing ten thousand images at once is memory: every image needs a cache.
# The library therefore draws them in batches of at most `batch_size`, with a new cache each, so
# that memory is bounded, whatever the number of images. How the images are cut into batches changes
# nothing about them:

# %%
torch.manual_seed(0)
model = models.pixel_cnn((1, 6, 5), 3).double().eval()
uniforms = torch.rand(100, 1, 6, 5, dtype=torch.float64)
whole = model.sample(100, uniforms=uniforms)
for batch_size in [1, 7, 64]:
    pieces = model.sample(100, uniforms=uniforms, batch_size=batch_size)
    assert torch.equal(whole, pieces)
print("100 images in batches of 1, 7 or 64: the same")

# %% [markdown]
# A graphics processor makes $\beta$ small and leaves $\alpha$ as it is, so there the overheads are
# nearly everything. The cure is to record the thousands of small operations once, as a *graph*, and
# to have the device run through it by itself for each batch. The library does so on CUDA.
#
# (sec-fast-codes)=
# ## Fewer values
#
# All this makes a value cheap. One can also draw fewer. A VQ-VAE ({ref}`sec-sharp-vq`) turns an
# image into a small grid of codes, and its decoder draws all pixels at once, given the codes. What
# it lacked was a good distribution over grids: its prior treated the codes as independent. But a
# grid of codes is an image, only with codes for levels. So any model of this part can be its prior.
# Since codes have no order, the network is given a learned vector for each instead of a grey level.


# %%
def train(module, objective, images, steps, after_step=None, rate=2e-3):
    """Raise an objective, nats per image, with AdamW and a cosine."""
    adam = torch.optim.AdamW(module.parameters(), lr=rate)
    descend = Objective(
        "model",
        lambda step: -objective(*step.batch).mean(),
        adam,
        schedule=torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps),
        after_step=after_step,
    )
    batches = data.Batches(images, 64)
    fit({"model": module}, [descend], batches, steps, device="cpu")


torch.manual_seed(0)
vq = models.VQVAE.conv(
    digits.shape,
    digits.levels,
    codes=16,
    code_dim=8,
    channels=(16, 32),  # 8x8 -> 4x4 codes
    decay=0.95,
)


def vq_objective(x, *_):
    terms = vq.terms(x)
    return terms.reconstruction - 0.25 * terms.commitment


train(vq, vq_objective, digits.train, 400, after_step=vq.after_step)
with evaluating(vq), torch.no_grad():
    train_codes = vq.encode(digits.train.images)
    test_codes = vq.encode(digits.test.images)

independent = models.IndependentPrior.fit(train_codes, 16)
in_order = models.PixelPrior.gated(
    vq.grid, 16, embedding=8, features=24, layers=3, dropout=0.3
)
codes = data.Split(train_codes.to(torch.uint8).unsqueeze(1), None, 16)
train(in_order, lambda c: in_order.log_prob(c.squeeze(1)), codes, 300)

bounds = {}
for name, prior in {"independent": independent, "in order": in_order}.items():
    with evaluating(vq, prior), torch.no_grad():
        bounds[name] = -vq.elbo(digits.test.images, prior).mean().item()
assert vq.grid == (4, 4)
assert 1 < bounds["independent"] - bounds["in order"] < 8
print("16 codes an image; in order, the bound is better by more than 1 nat")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Two blocks of thirty-two small images, each from sixteen codes: codes drawn independently above, codes drawn in order below. Both blocks hold bright blots and strokes on black, some of them readable digits; the lower ones hang together a little more often."}, "figure": {"caption": "A VQ-VAE with 4×4 codes. Mean images of codes from the independent prior, and from the prior that draws the sixteen codes in order.", "name": "fig-fast-codes"}}
torch.manual_seed(0)
with evaluating(vq, in_order):
    images = [
        vq.mean_image(prior.sample(32)) for prior in (independent, in_order)
    ]
viz.grid(
    images,
    digits.levels,
    titles=["codes drawn independently", "codes drawn in order"],
)

# %% [markdown]
# Sixteen draws instead of 64, and a better bound {eq}`eq-sharp-vq-bound`: the prior has learned what
# the places of the grid know of each other. By eye the two blocks differ less than the nats say. A
# thousand digits and a few seconds of training are not much, for the decoder as for the prior. For
# 28×28 pixels the step from 784 pixels to 16 or 49 codes is larger, and for photographs it
# decides what is feasible at all {cite:p}`razavi2019`. The price is in the decoder: given the codes,
# it draws pixels independently, so fine grain that pixels share is lost.
#
# (sec-fast-completion)=
# ## Completing an image
#
# You have half of a digit, and want the other half. Call the known places $K$ and the unknown ones
# $U$. The model has a clear opinion: $p(x_U\mid x_K)$, by Bayes' rule. Can it be drawn from?
#
# **If all known values come first, yes, exactly.** With $x_K=(x_1,\dots,x_k)$ the chain rule is
# already in the right order:
#
# $$
# p(x_U\mid x_K)=\frac{p(x)}{p(x_K)}=\prod_{i>k}p(x_i\mid x_{<i}) .
# $$ (eq-fast-exact)
#
# Put the known values in place and go on drawing. That is how upper halves are completed below.
#
# **If not,** a tempting program does the same anyway: go through the image in order, draw where a
# value is unknown, and keep it where it is known. We call this **clamping**. What does it draw from?
# Each unknown value follows its conditional distribution given what stands before it, so
#
# $$
# q(x_U)=\prod_{i\in U}p(x_i\mid x_{<i}) .
# $$ (eq-fast-clamped)
#
# This is a distribution over completions, and the wrong one. A value drawn at place $i$ has heard of
# the known values before it; of those behind it, it knows nothing. Compare with the right one: the
# product over *all* places is $p(x)$, so
#
# ```{math}
# :label: eq-fast-weights
# \begin{aligned}
# p(x_U\mid x_K) &= \frac{p(x)}{p(x_K)}=\frac{q(x_U)\,w(x_U)}{p(x_K)}, \\
# w(x_U) &= \prod_{i\in K}p(x_i\mid x_{<i}) .
# \end{aligned}
# ```
#
# The factor $w$ is what clamping forgets: **how probable the known values are, each at its place,
# given what was drawn before it.** A completion after which the known values come as a surprise
# deserves a small weight.
#
# The smallest example has two pixels. The first is black or white with even chances, the second is
# like the first with probability $0.9$. The second is known to be white. Then the first should be
# white with probability $0.9$, by Bayes' rule. Clamping draws it before it comes to the second:

# %%
p = {(a, b): 0.5 * (0.9 if a == b else 0.1) for a in (0, 1) for b in (0, 1)}
exact = p[1, 1] / (p[0, 1] + p[1, 1])
clamped = p[1, 0] + p[1, 1]  # the first pixel, with no regard to the second
print(f"first pixel white: exact {exact:.2f}, clamped {clamped:.2f}")

# %% [markdown]
# (sec-fast-resampling)=
# ### Weighing the draws
#
# The weights are also the cure. Averaged over clamped draws they give the probability of what is
# known,
#
# $$
# \E_q[w]=\sum_{x_U}q(x_U)\,w(x_U)=\sum_{x_U}p(x)=p(x_K) ,
# $$ (eq-fast-evidence)
#
# and so {eq}`eq-fast-weights` says: weigh the draws by $w$, divide by the mean weight, and you have
# the right distribution. To get *one* draw from it, make several and choose.
#
# ````{prf:algorithm} Completion by importance resampling
# :label: alg-fast-complete
#
# **Input** known values $x_K$, a number $S$ of particles
#
# 1. Draw $S$ completions by clamping {eq}`eq-fast-clamped`, all together in one batch.
# 2. On the way, add up $\log w_s=\sum_{i\in K}\log p(x_i\mid x_{<i})$ for each.
# 3. Return one of them, the $s$-th with probability $w_s/\sum_tw_t$, and the effective sample size
#    {eq}`eq-fast-ess`.
# ````
#
# With $S=1$ there is nothing to choose from: this is clamping. As $S$ grows, the result tends to a
# draw from $p(x_U\mid x_K)$. For the two pixels it can be written down. Among $S$ particles $k$ are
# white, with binomial probability, and one of these is chosen with probability
# $0.9k/(0.9k+0.1(S-k))$:

# %%
for particles in [1, 2, 4, 16, 64]:
    white = sum(
        math.comb(particles, k)
        * 0.5**particles
        * (0.9 * k / (0.9 * k + 0.1 * (particles - k)))
        for k in range(particles + 1)
    )
    print(f"{particles:2} particles: first pixel white {white:.3f}")
assert abs(white - 0.9) < 0.003

# %% [markdown]
# How many particles are enough? If all weights are equal, each draw counts fully. If one is much
# larger than all others, it is chosen always, and the others were drawn in vain. A number between
# the two comes from the scatter of a weighted mean. Let $\hat w_s=w_s/\sum_tw_t$, and let $f_s$ be
# independent numbers of variance $\sigma^2$. The variance of $\sum_s\hat w_sf_s$ is
# $\sigma^2\sum_s\hat w_s^2$. A plain mean of $m$ such numbers has variance $\sigma^2/m$. The two
# are equal for
#
# $$
# m=\frac{1}{\sum_s\hat w_s^2}=\frac{\bigl(\sum_sw_s\bigr)^2}{\sum_sw_s^2} .
# $$ (eq-fast-ess)
#
# This is the **effective sample size** {cite:p}`kong1994`. It is $S$ for equal weights, 1 if all the
# weight is on one, and never outside. The library reports it with each completion. Read it as a
# warning light, not as a certificate: near 1 it says that the choice was none. It cannot see regions
# that no particle found.
#
# And what if it stays near 1? The logarithm of {eq}`eq-fast-evidence` and Jensen's inequality give
#
# $$
# \log p(x_K)-\E_q[\log w]=\KL{q(x_U)}{p(x_U\mid x_K)}\ge0 .
# $$ (eq-fast-gap)
#
# You have met this line: it is {eq}`eq-vae-gap`, with the unknown pixels as the code and the clamped
# sampler as the encoder. $\E_q[\log w]$ is a lower bound on $\log p(x_K)$, and $S$ particles make
# the bound {eq}`eq-sharp-iwae`. The number of particles that importance sampling needs grows like
# the *exponential* of the divergence the other way round, $\KL{p(x_U\mid x_K)}{q}$
# {cite:p}`chatterjee2018`. Where that is 3 nats, dozens will do. Where it is 30, no number will.
#
# ### All of it by enumeration
#
# On 3×3 black and white pixels there are 512 images, and everything can be added up. The model below
# has no weights to train: each pixel likes to be as its left and its upper neighbour are. It also
# shows how little a network must have to be drawn from: `forward`, and a cache, here the naive one.


# %%
class LikeNeighbours(nn.Module):
    def __init__(self, strength):
        super().__init__()
        self.strength = nn.Parameter(torch.tensor(strength))

    def forward(self, x, condition):
        """Black is -1, white +1; returns logits of white, (N, 1, H, W, 1)."""
        above = F.pad(x, (0, 0, 1, 0))[:, :, :-1]
        left = F.pad(x, (1, 0))[:, :, :, :-1]
        return (self.strength * (above + left)).unsqueeze(-1)

    def cache(self, condition, size):
        return sampling.NaiveCache(self, condition)


tiny = models.PixelModel(lambda sizes: LikeNeighbours(1.2), (1, 3, 3), 2)
tiny.double()
images = torch.tensor(list(product([0, 1], repeat=9)), dtype=torch.uint8)
images = images.view(512, 1, 3, 3)
known = torch.tensor([[0, 0, 0], [0, 0, 0], [1, 1, 1]]).bool()
evidence = torch.tensor([[0, 0, 0], [0, 0, 0], [1, 1, 0]], dtype=torch.uint8)

with torch.no_grad():
    log_each = tiny.conditionals(images).log_prob(images.double())[:, 0]
agrees = (images[:, 0] == evidence)[:, known].all(1)
joint = log_each.sum((1, 2)).exp()  # p(x)
q = (log_each * ~known).sum((1, 2)).exp() * agrees
weight = (log_each * known).sum((1, 2)).exp() * agrees
posterior = joint * agrees / joint[agrees].sum()

assert abs(joint.sum() - 1) < 1e-12 and abs(q.sum() - 1) < 1e-12
torch.testing.assert_close(q * weight / (q * weight).sum(), posterior)
torch.testing.assert_close((q * weight).sum(), joint[agrees].sum())
divergence = (q * (q / posterior).log())[agrees].sum()
gap = joint[agrees].sum().log() - (q * weight.log())[agrees].sum()
torch.testing.assert_close(divergence, gap)
print("weights, evidence and gap: as derived, to rounding")
print(f"clamping: {divergence:.2f} nats from the truth")


# %% tags=["hide-input"] mystnb={"image": {"alt": "Four grids of three by three pixels with a number in each; the bottom row is 1, 1 and 0 in all. Exact: 0.60, 0.48, 0.36 in the top row and 0.75, 0.60, 0.23 in the middle one. Clamped: 0.50 in both rows. With 4 particles: numbers between these. With 64 particles: nearly the exact ones."}, "figure": {"caption": "Probability of white for each pixel, when the bottom row is known to be white, white, black. Exact by adding up; clamped; and by resampling with 4 and 64 particles, 4,000 draws each.", "name": "fig-fast-tiny"}}
def white(probabilities):
    """Probability of white at each pixel, (3, 3)."""
    return (probabilities[:, None, None] * images[:, 0]).sum(0)


torch.manual_seed(0)
drawn = {"exact": white(posterior), "clamped": white(q)}
for particles in [4, 64]:
    done = tiny.complete(
        evidence.expand(4000, 1, 3, 3),
        known,
        particles=particles,
        batch_size=16_000,
    )
    drawn[f"{particles} particles"] = done.images.double().mean((0, 1))
assert (drawn["64 particles"] - drawn["exact"]).abs().max() < 0.05
assert (drawn["clamped"] - drawn["exact"]).abs().max() > 0.15
figure, axes = viz.subplots(1, 4, height=2.0)
for panel, (name, grid) in zip(axes, drawn.items(), strict=True):
    panel.imshow(grid, vmin=0, vmax=1)
    for (row, column), value in np.ndenumerate(grid.numpy()):
        panel.text(
            column,
            row,
            f"{value:.2f}",
            ha="center",
            va="center",
            color="white" if value < 0.45 else "black",
        )
    panel.set_axis_off()
    panel.set_title(name)
figure

# %% [markdown]
# ### Digits
#
# Now a model that has learned something. A Gated PixelCNN is trained for a short while. Then a half
# of a test digit is given: the upper one, the left one, or the lower one.

# %%
torch.manual_seed(0)
gated_digits = models.gated_pixel_cnn(
    digits.shape, digits.levels, features=24, layers=3, dropout=0.3
)
train(gated_digits, lambda x, *_: gated_digits.log_prob(x), digits.train, 400)
gated_digits.eval()
with torch.no_grad():
    nats = -gated_digits.log_prob(digits.test.images).mean().item()
assert 75 < nats < 95
print("test images: between 75 and 95 nats")

# %% [markdown]
# ```{admonition} Predict, then run
# :class: tip
# For which of the three halves is a single draw exact? And in which rows of the figure will all ten
# completions show the same digit?
# ```

# %% tags=["hide-input"] mystnb={"image": {"alt": "Six rows of twelve small images: a digit, the same with one half grey, and ten completions in which the given half is unchanged. Three rows belong to one digit, with its upper, left and lower half given, three to another. The completions differ from each other; most are whole digits, and not always the one in the first column."}, "figure": {"caption": "Two test digits. In each row: the digit, the half that is given, and ten completions. Upper half: exact draws. Left and lower half: each the choice among 256 particles.", "name": "fig-fast-halves"}}
rows, columns = torch.meshgrid(torch.arange(8), torch.arange(8), indexing="ij")
halves = {"upper": rows < 4, "left": columns < 4, "lower": rows >= 4}


def shown(x, known):
    """Known pixels, with the unknown ones in grey."""
    return torch.where(known, x.float(), torch.tensor(6.0))


torch.manual_seed(0)
lines = []
for x in digits.test.images[[3, 8]]:
    for name, known in halves.items():
        done = gated_digits.complete(
            x.expand(10, 1, 8, 8),
            known,
            particles=1 if name == "upper" else 256,
            batch_size=1280,
        )
        assert (done.images[:, :, known] == x[:, known]).all()
        lines.append(torch.cat([x[None], shown(x, known)[None], done.images]))
viz.grid(torch.cat(lines), digits.levels, columns=12)

# %% [markdown]
# Only the upper half lets a single draw be exact: it comes first. For the left half and the lower
# half 256 particles were drawn for each completion. Some completions are another digit than the one
# that the half was taken from. They may be: the model knows one half and nothing else.
#
# (sec-fast-failure)=
# ## A failure, made on purpose
#
# The lower half is known, and nobody thinks of particles. The call is the one that is right for
# upper halves.

# %%
test, lower = digits.test.images[:48], halves["lower"]
torch.manual_seed(0)
with torch.no_grad():
    clamped = gated_digits.complete(test, lower)
    weighed = gated_digits.complete(test, lower, particles=256, batch_size=1024)
    scores = {
        "test digits": gated_digits.log_prob(test),
        "clamped": gated_digits.log_prob(clamped.images),
        "256 particles": gated_digits.log_prob(weighed.images),
    }
means = {name: score.mean().item() for name, score in scores.items()}
assert means["clamped"] < means["test digits"] - 5
assert means["256 particles"] > means["clamped"] + 2
effective = weighed.effective_sample_size.median()
assert 2 < effective < 100
print("log p of a clamped completion: more than 5 nats below a test digit's")
print("chosen among 256 by weight: better by more than 2 nats")
print("effective sample size, median: between 2 and 100")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Four rows of sixteen small images. Test digits; their lower halves under a grey upper half; clamped completions, in which many upper halves do not fit the lower ones; completions chosen among 256, most of them digits in one piece."}, "figure": {"caption": "The lower half is known. From above: test digits; what is known of them; clamped completions; one of 256 clamped draws each, chosen by weight.", "name": "fig-fast-clamped"}}
viz.grid(
    [
        test[:16],
        shown(test[:16], lower),
        clamped.images[:16],
        weighed.images[:16],
    ],
    digits.levels,
    titles=[
        "test digits",
        "what is known",
        "clamped",
        "256 particles, weighed",
    ],
)

# %% [markdown]
# ```{admonition} Symptom, diagnosis, cure
# :class: warning
#
# **Symptom.** Known pixels are all in place, no error is raised, and each half looks well by itself.
# Together they do not fit: the drawn half belongs to one digit and the known half to another, with
# strokes that end where the two meet. The model itself gives such images far less probability than
# real ones. With the *upper* half known the same call works perfectly.
#
# **Diagnosis.** Drawing in order while keeping what is known follows {eq}`eq-fast-clamped`, not
# $p(x_U\mid x_K)$. A pixel hears of the known pixels before it and never of those behind it. What is
# missing is the weight {eq}`eq-fast-weights`: the probability of the known pixels given what was
# drawn before them.
#
# **Cure.** Arrange that what is known comes first: train on images turned upside down. Where this
# cannot be, draw many completions, choose one by weight, and look at the effective sample size. If
# that is near 1, the completion is not a draw from the model, and a few more particles will not make
# it one.
# ```
#
# Look at the last row of the figure: the strokes meet now. Of 256 completions only some count, so
# this is not quite an exact draw, but a good one. With more pixels known behind, the half of a large
# photograph, the number would be 1. {ref}`ex-fast-turned` is about the first cure.
#
# (sec-fast-temperature)=
# ## Temperature, once more
#
# Caches do not mind a temperature ({ref}`sec-sequence-temperature`): it changes what is done with
# $\lambda_i$, not how $\lambda_i$ is found. Completion minds. A tempered sampler draws from the tempered
# conditionals {eq}`eq-sequence-temperature`, so the weights {eq}`eq-fast-weights` must be computed
# from the same.
#
# And as $\tau\to0$ it does not even find the most probable image. It takes the most probable value at
# each *step*, and cannot take back a step that leads to worse ones. Two pixels are enough:

# %%
first = torch.tensor([0.4, 0.6])  # p of black and white
second = torch.tensor([[0.95, 0.05], [0.5, 0.5]])  # given the first
joint = first[:, None] * second
assert joint.argmax() == 0  # black, black
for temperature in [1.0, 0.5, 0.1]:
    logits = first.log() / temperature, second.log() / temperature
    drawn = logits[0].softmax(0)[:, None] * logits[1].softmax(1)
    print(
        f"temperature {temperature}: black, black is drawn with probability "
        f"{drawn[0, 0]:.2f}"
    )

# %% [markdown]
# The most probable image is black, black, with probability $0.4\cdot0.95=0.38$. The colder the
# sampler, the less often it is drawn, because the first step alone prefers white.
#
# ## Exercises
#
# ```{exercise} What must be kept
# :label: ex-fast-rows
# A PixelCNN has a first layer with a $7\times7$ kernel on one channel, and five layers with
# $3\times3$ kernels on 32 features. How many numbers must its cache hold for an image of $H\times W$
# pixels, if only whole rows are dropped? How many does an image transformer of the same depth and
# width keep? From which size on is the difference a factor of ten?
# ```
#
# ````{solution} ex-fast-rows
# :class: dropdown
# The first layer reads three rows above and its own: $4W$ numbers. Each of the others reads one row
# above and its own: $5\cdot2W\cdot32=320W$. Together $324W$, whatever the height. The transformer
# keeps a key and a value of 32 numbers for every pixel and layer, $5\cdot2\cdot32\,HW=320HW$. The
# ratio is about $H$: ten from ten rows on.
# ````
#
# ```{exercise} Two particles
# :label: ex-fast-two
# Show that with $S=2$ the first of the two pixels is white with probability $0.70$, and that in
# general the error falls like $1/S$.
# ```
#
# ````{solution} ex-fast-two
# :class: dropdown
# Both white, probability $\tfrac14$: white for certain. One of each, $\tfrac12$: white with
# probability $0.9/(0.9+0.1)$. None, $\tfrac14$: never. Together $0.25+0.45=0.70$.
#
# In general the probability is $\E[g(k/S)]$ with $g(t)=0.9t/(0.1+0.8t)$ and a share $k/S$ of mean
# $\tfrac12$ and variance $1/(4S)$. A Taylor series around $\tfrac12$ has the value
# $g(\tfrac12)=0.9$, a linear term of mean zero, and then $\tfrac12g''(\tfrac12)/(4S)$. With
# $g''(t)=-0.144/(0.1+0.8t)^3$, at $\tfrac12$ that is $-1.152$, the error is about $-0.144/S$: at
# $S=64$ about $0.002$, as the cell above says.
# ````
#
# ```{exercise} Upside down
# :label: ex-fast-turned
# Train a second Gated PixelCNN on images turned upside down, and let it complete lower halves
# exactly. Is the result a draw from the *first* model's $p(x_U\mid x_K)$? What would make it so?
# ```
#
# ````{solution} ex-fast-turned
# :class: dropdown
# Turn the images with `flip(2)`, complete with the upper half known, and turn the result back. Each
# completion is an exact draw from the *second* model. Both models approximate the same distribution
# of digits, but they are different functions of different weights, and $p(x_U\mid x_K)$ of the one
# is not that of the other. They would agree if both were perfect. Which is better is a question for
# test images: compare the mean of $\log p_2(x_U\mid x_K)$, which is a sum of conditionals, with an
# estimate of $\log p_1(x_U\mid x_K)=\log p_1(x)-\log p_1(x_K)$, whose last term
# {eq}`eq-fast-evidence` gives.
# ````
#
# ```{exercise} All pixels at once
# :label: ex-fast-fixed
# Here is a sampler without any cache. Fix the uniform numbers $u$ and begin with any image. Repeat:
# one forward pass gives all conditionals, and *every* pixel is drawn anew from its own $u_i$. Stop
# when nothing changes. Show that it draws the image of {prf:ref}`thm-fast-equal` after at most $n$
# passes. Then try it on digits: how many passes does it take?
# ```
#
# ````{solution} ex-fast-fixed
# :class: dropdown
# After pass $k$ the first $k$ values are those of the naive sampler: the first value depends on no
# other and is right after pass 1. If the first $k$ are right before a pass, then $\lambda_{k+1}$,
# which rests on them alone, is right in it, and so is $x_{k+1}$; the first $k$ are drawn again from
# the same parameters and stay. So $n$ passes are enough, and an image that a pass does not change
# satisfies all $n$ equations at once, so it is the right one.
#
# ```python
# u = torch.rand(16, 1, 8, 8)
# x = torch.zeros(16, 1, 8, 8, dtype=torch.uint8)
# for passes in range(1, 65):
#     parameters = gated_digits.parameters_of(x)
#     new = gated_digits.likelihood.draw(parameters, u).to(torch.uint8)
#     if torch.equal(new, x):
#         break
#     x = new
# assert torch.equal(x, gated_digits.sample(16, uniforms=u))
# print(passes)
# ```
#
# It takes fewer passes than there are pixels, since many pixels are the same whatever the details
# before them. {cite:t}`wiggers2020` forecast values to need still fewer, and {cite:t}`song2020`
# treat the loop as a system of equations. On one thread the cache wins easily; on a device with
# room for whole images at no extra cost, the count of passes decides.
# ````
#
# ```{exercise} The bound of a clamped sampler
# :label: ex-fast-bound
# In which case is {eq}`eq-fast-gap` zero although known values come after unknown ones? Give an
# example.
# ```
#
# ````{solution} ex-fast-bound
# :class: dropdown
# When the weight is the same for all completions that clamping can draw: then $q$ is the right
# distribution by {eq}`eq-fast-weights`. For example when the known values behind do not depend on
# the unknown ones before them, given what else is known: in a model whose rows are independent,
# with whole rows known, clamping is exact in any order of rows.
# ````
#
# ## Summary
#
# - Naive sampling runs the network once for each of $n$ values: $mn^2$ multiplications
#   {eq}`eq-fast-naive`. Keeping what is final brings it down to one pass {eq}`eq-fast-once`.
# - A feature is final when the last value that it rests on is drawn {eq}`eq-fast-ready`. So the cached
#   sampler draws *the same image* {eq}`eq-fast-equal`: test it with shared uniform numbers, in double
#   precision.
# - Recurrence keeps states, convolution a few rows, attention everything {eq}`eq-fast-attention`.
# - Time is operations and arithmetic {eq}`eq-fast-time`. Draw many images together; cut them into
#   batches to bound the memory.
# - Completion is exact if what is known comes first {eq}`eq-fast-exact`. Otherwise clamping ignores
#   what lies behind; weigh the draws {eq}`eq-fast-weights`, and look at the effective sample size
#   {eq}`eq-fast-ess`.
# - A temperature sharpens steps, not images.
#
# ## Further reading
#
# {cite:t}`ramachandran2017` keep the features of WaveNet and PixelCNN++ and report gains of up to
# 21 and 183 times. {cite:t}`paine2016` did it for WaveNet before. {cite:t}`kong1994` introduced the
# effective sample size, {cite:t}`chatterjee2018` say how many particles importance sampling needs.
# {cite:t}`wiggers2020` and {cite:t}`song2020` draw many values at once and correct what was wrong.
