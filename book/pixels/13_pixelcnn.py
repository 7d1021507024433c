# %% [markdown]
# (ch-pixelcnn)=
# # 13 PixelCNN
#
# **Reading** 75 minutes · **Running** under 90 seconds on one CPU thread · **Difficulty** ●●○ ·
# **You need** {ref}`ch-sequence`, a little of {ref}`ch-pixelrnn`
#
# **Must a model that reads pixel by pixel also compute pixel by pixel?** A recurrent network must:
# its state at a pixel waits for the state at the pixel before. A convolution waits for nothing. It
# looks at all places of an image at once, and a modern processor loves it for that. But it looks in
# all directions, also at pixels that have not been drawn yet. This chapter takes half of its sight
# away, finds that a little too much was taken, and gives it back.
#
# After this chapter you can
#
# - mask a convolution so that it sees only what comes before, and prove that a stack of them does;
# - measure what a pixel sees, layer by layer, and find the pixels that it will never see;
# - cure the blind spot with two stacks, and say why one of them is shifted by a row;
# - write a gated layer of two stacks from memory, train it, and complete half a digit;
# - mask the channels of colour images, and condition on a class;
# - derive the mixture of logistics for colours, and the causal mask of a transformer;
# - recognise a model whose mask leaks, before you believe its likelihood.
#
# ```{admonition} Five questions first
# :class: tip
#
# 1. How does the chain rule split $p(x_1,x_2,x_3)$ into three factors?
# 2. A 3×3 convolution is applied three times. From how large a square can a pixel's result come?
# 3. What is teacher forcing?
# 4. Between which numbers lie $\tanh$ and the sigmoid $\sigma$?
# 5. A mixture has weights $\pi_k$ and components $p_k$. After seeing $x$, how probable is
#    component $k$?
#
# If three of them come easily, read on. The answers follow.
# ```
#
# ```{admonition} Answers
# :class: dropdown
#
# 1. $p(x_1)\,p(x_2\mid x_1)\,p(x_3\mid x_1,x_2)$.
# 2. Seven by seven: each application reaches one pixel further on each side.
# 3. In training, each factor is given the *true* values before it, not the model's own. So all
#    factors can be computed at once.
# 4. $\tanh$ between $-1$ and $1$, the sigmoid between 0 and 1. That makes one a value and the other
#    a switch: {ref}`sec-pixelcnn-gate`.
# 5. $\pi_k\,p_k(x)/\sum_j\pi_j\,p_j(x)$. This innocent line returns, for colours, in
#    {ref}`sec-pixelcnn-mixture`.
# ```

# %%
import copy
import math

import numpy as np
import torch
import torch.nn.functional as F
from myst_nb import glue
from torch import nn

from genlearn import data, distributions, metrics, models, nets, viz
from genlearn.callbacks import Average
from genlearn.data.transforms import random_affine
from genlearn.training import Objective, evaluating, fit

torch.set_num_threads(1)  # models this small are fastest on one thread
digits = data.load("digits")
print("images to train with:", len(digits.train))

# %% [markdown]
# (sec-pixelcnn-idea)=
# ## Half a window
#
# The chain rule {eq}`eq-sequence-chain` of chapter 11 writes an image as a product of guesses, one
# for each pixel in the order of reading, {eq}`eq-sequence-raster`:
#
# $$
# p(x)=\prod_i p(x_i\mid x_{<i}).
# $$ (eq-pixelcnn-chain)
#
# Any network can make these guesses, under one condition: **its output at pixel $i$ may depend on
# the pixels before $i$, and on no other, not even on $x_i$ itself.** A convolution computes its
# output at a place from a window around it. Of the window we keep what comes before.


# %% tags=["hide-input"] mystnb={"image": {"alt": "Left: a handwritten digit with a window of five by five pixels around one pixel, marked by a cross; the twelve pixels of the window that come before it are outlined. Middle: mask A, a table of five by five numbers: two rows of ones, then two ones and three zeros, then two rows of zeros. Right: mask B, the same with a one in the middle."}, "figure": {"caption": "Half a window. Left: to guess the pixel with the cross, a masked 5×5 convolution looks at the twelve outlined pixels, those before it in the order of reading. Middle and right: its two masks. They differ in the middle.", "name": "fig-pixelcnn-window"}}
def mask_of(kernel, kind):
    """Ones where a masked convolution may look, (kernel, kernel)."""
    middle = kernel // 2
    mask = torch.ones(kernel, kernel)
    mask[middle, middle + (kind == "B") :] = 0  # on the right, in its row
    mask[middle + 1 :] = 0  # the rows below
    return mask


figure, axes = viz.subplots(1, 3, height=2.5)
viz.show_images(axes[0], digits.train.images[12:13], 17, title="what it sees")
row, column = 3, 4
for i, j in mask_of(5, "A").nonzero().tolist():
    x, y = column + j - 2.5, row + i - 2.5  # a corner of the pixel
    outline = [x, x + 1, x + 1, x, x], [y, y, y + 1, y + 1, y]
    axes[0].plot(*outline, color=viz.style.ORANGE)
axes[0].plot(column, row, "x", color=viz.style.RED, ms=8, mew=2)
for axis, kind in zip(axes[1:], "AB", strict=True):
    mask = mask_of(5, kind)
    axis.imshow(mask, cmap="Blues", vmin=0, vmax=1.6)
    for i in range(5):
        for j in range(5):
            axis.text(j, i, f"{mask[i, j]:.0f}", ha="center", va="center")
    axis.set(title=f"mask {kind}", xticks=[], yticks=[])
figure

# %% [markdown]
# Why is this worth a chapter, when {ref}`ch-pixelrnn` has a model already? Count what must wait for
# what. In *training*, all pixels of an image are known, and each layer of convolutions handles them
# all at once.
#
# | model | steps one after the other, for an image of $H$ rows and $W$ columns |
# | --- | --- |
# | LSTM over pixels | $H\,W$ |
# | Row LSTM, each layer | $H$ |
# | Diagonal BiLSTM, each layer | $H+W-1$ |
# | PixelCNN, each layer | 1 |
#
# In *sampling*, nothing is won: a pixel must be drawn before the next can be guessed. Chapter 14
# makes that fast, too.
#
# (sec-pixelcnn-mask)=
# ## Masks A and B
#
# Write a convolution with an odd kernel of $k=2m+1$ rows and columns, and multiply its weights by a
# mask of zeros and ones:
#
# ```{math}
# :label: eq-pixelcnn-mask
# \begin{aligned}
# y_{r,s}&=\sum_{a=-m}^{m}\sum_{b=-m}^{m}M_{a,b}\,W_{a,b}\,x_{r+a,\,s+b}, \\
# M_{a,b}&=\begin{cases}
#   1 & \text{if } a<0, \text{ or } a=0 \text{ and } b<0, \\
#   1 & \text{if } a=b=0, \text{ with mask B}, \\
#   0 & \text{otherwise.}
# \end{cases}
# \end{aligned}
# ```
#
# **Mask A** hides the pixel itself, **mask B** shows it {cite:p}`oord2016`. What lies outside the
# image is 0, and a zero tells nothing. (With several features $W_{a,b}$ is a matrix, and nothing
# else changes until colours come.)
#
# When do we need which? Follow the influence of one pixel through the layers. Number the pixels in
# the order of reading.
#
# ````{prf:theorem} One A, then B
# :label: thm-pixelcnn-causal
#
# Apply a convolution with mask A, then any number of convolutions with mask B, with anything that
# acts on each pixel alone between them. Then
#
# $$
# y_i \text{ depends on } x_j \text{ only if } j<i .
# $$ (eq-pixelcnn-causal)
# ````
#
# ````{prf:proof}
# A convolution with mask A carries something from pixel $j$ to pixel $i$ only if $j<i$; with mask B
# only if $j\le i$; what acts on each pixel alone, only if $j=i$. So influence travels along chains
# $j<i_1\le i_2\le\dots\le i$. The first sign is strict, hence $j<i$. (Adding the results of two
# layers, as residual connections do, adds chains of the same kind.)
# ````
#
# The first layer differs because its inputs differ. At pixel $i$ the *image* holds $x_i$, the very
# thing to be guessed: it must be hidden. The *features* at pixel $i$, after the first layer, hold
# only what came before. Hiding them would be a loss, and more than it seems: with mask A
# everywhere, the pixel next to $i$ would be lost after two layers (the exercise
# {ref}`ex-pixelcnn-all-a` asks why).
#
# Here is a masked convolution, whole, and the one of the library beside it.


# %%
class Masked(nn.Conv2d):
    """A convolution with mask A or B: keeps the size of the image."""

    def __init__(self, inputs, outputs, kernel, kind):
        super().__init__(inputs, outputs, kernel, padding=kernel // 2)
        self.register_buffer("mask", mask_of(kernel, kind))

    def forward(self, x):
        return self._conv_forward(x, self.weight * self.mask, self.bias)


torch.manual_seed(0)
x = torch.randn(2, 3, 8, 8)
for kind in "AB":
    mine, theirs = Masked(3, 4, 5, kind), nets.MaskedConv2d(3, 4, 5, kind)
    with torch.no_grad():  # the library leaves out the rows that are all zeros
        mine.weight[:, :, :3], mine.bias[:] = theirs.weight, theirs.bias
    torch.testing.assert_close(mine(x), theirs(x))
print("both masked convolutions give the same, for A and for B")

# %% [markdown]
# ### Proof by perturbation
#
# The theorem speaks of masks. A program may have a mistake that no theorem knows of. So probe it:
# change one input by a little, and see which outputs move. Do it for every input, in double
# precision, and you have a matrix of all that depends on all. **It is the most useful test of this
# chapter**, it works for any model, and it takes ten lines.


# %%
@torch.no_grad()
def probe(function, shape):
    """Which outputs move with which inputs: bool, (outputs, inputs).

    function: maps (N, C, H, W) to (N, C, H, W, …), in float64.
    Values stand in the order of reading, the channels of a pixel together.
    """
    channels, height, width = shape
    n = channels * height * width
    generator = torch.Generator().manual_seed(0)
    options = {"generator": generator, "dtype": torch.float64}
    x = torch.rand(height, width, channels, **options)
    nudge = torch.eye(n, dtype=torch.float64).view(n, *x.shape) / 2
    y = function(torch.cat([x[None], x + nudge]).movedim(-1, 1))
    y = y.movedim(1, 3).reshape(n + 1, n, -1)  # reading order
    return ((y[1:] - y[:1]).abs() > 1e-9).any(2).T


stacks = {"A, B, B": "ABB", "A, A, A": "AAA", "B, B, B": "BBB"}
moved = {}
for name, kinds in stacks.items():
    torch.manual_seed(0)
    layers = []
    for i, kind in enumerate(kinds):
        layers += [Masked(8 if i else 1, 8 if i < 2 else 1, 3, kind), nn.Tanh()]
    moved[name] = probe(nn.Sequential(*layers).double(), (1, 4, 4))

before = torch.ones(16, 16).tril(-1).bool()  # j < i
assert not (moved["A, B, B"] & ~before).any()
assert not (moved["A, A, A"] & ~before).any()
assert moved["B, B, B"].diagonal().all()
print("A, B, B: no output moves with its own input or a later one")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Three matrices of sixteen by sixteen cells, dark where an output depends on an input. For the masks A, B, B all dark cells lie below the diagonal, and most of the cells there are dark, those next to the diagonal among them. For A, A, A the two lines of cells below the diagonal are white, and fewer cells are dark. For B, B, B the diagonal itself is dark."}, "figure": {"caption": "Which output (row) moves with which input (column), for three layers on images of 4×4 pixels in the order of reading. A model that may be trusted has nothing on the diagonal or above it.", "name": "fig-pixelcnn-matrix"}}
figure, axes = viz.subplots(1, 3, height=2.6)
for axis, (name, matrix) in zip(axes, moved.items(), strict=True):
    axis.imshow(matrix, cmap="Blues", vmin=0, vmax=1.2)
    axis.plot([-0.5, 15.5], [-0.5, 15.5], color=viz.style.ORANGE, lw=0.8)
    axis.set(title=f"masks {name}", xlabel="input pixel", xticks=[], yticks=[])
axes[0].set(ylabel="output pixel")
figure

# %% [markdown]
# On the left all is as it should be. In the middle nothing leaks either, but the outputs have gone
# blind to their nearest neighbours. On the right the diagonal is dark: each output sees the pixel
# that it is to guess. What becomes of such a model when it is trained is the failure of this
# chapter, {ref}`sec-pixelcnn-failure`.
#
# (sec-pixelcnn-field)=
# ## What a pixel sees
#
# The matrix on the left of {numref}`fig-pixelcnn-matrix` has white cells also *below* the diagonal.
# Some earlier pixels do not count. The set of those that do is the **receptive field**. It can be
# measured: give the network positive weights, so that influences cannot cancel, and take the
# gradient of one output with respect to the whole image. Where it is not zero, the output sees.


# %%
def positive(network):
    """Make all weights positive: then a gradient is zero only if no path is."""
    for parameter in network.parameters():
        nn.init.constant_(parameter, 0.1)
    return network


def field(network, size, place):
    """Pixels that the output at a place sees: bool, (H, W)."""
    x = torch.zeros(1, 1, *size, dtype=torch.float64, requires_grad=True)
    output = network(x)[0, :, *place].sum()
    (gradient,) = torch.autograd.grad(output, x, materialize_grads=True)
    return gradient[0, 0] != 0


def plain(layers, kernel=3):
    """Masked convolutions: one A, then B."""
    kinds = "A" + "B" * (layers - 1)
    stack = [Masked(1, 1, kernel, kind) for kind in kinds]
    return positive(nn.Sequential(*stack).double())


def paint(seen, place):
    """Black: the pixel. Blue: seen. Orange: earlier, not seen. Grey: later."""
    colours = ["#000000", viz.style.BLUE, viz.style.ORANGE, "#e8e8e8"]
    black, blue, orange, grey = [
        [int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in colours
    ]
    height, width = seen.shape
    rank = np.arange(height * width).reshape(height, width)
    picture = np.empty((height, width, 3), np.uint8)
    picture[:] = grey
    picture[rank < rank[place]] = orange
    picture[seen.numpy()] = blue
    picture[place] = black
    return picture


size, place = (9, 13), (7, 5)
fields = {n: field(plain(n), size, place) for n in range(1, 7)}

# %% [markdown]
# ```{admonition} Predict, then run
# :class: tip
# A stack of 3×3 convolutions, one with mask A and then B. Before you look: draw, on paper, what the
# pixel sees after one layer, after two, after three. Which earlier pixel will be the *last* to be
# seen, and after how many layers will it be?
# ```


# %% tags=["hide-input"] mystnb={"image": {"alt": "Six panels, one a depth from one to six layers, each a grid of nine by thirteen pixels. The seen region is a blue wedge above and to the left of a black pixel. With each layer it grows one row up and one column to the left; on the right its edge is a diagonal from the pixel upwards. Orange, unseen pixels remain to the right of that diagonal in all six."}, "figure": {"caption": "The receptive field of the black pixel after each layer, by gradient. Blue: seen. Orange: earlier, and not seen. Grey: later.", "name": "fig-pixelcnn-plain"}}
def draw_fields(pictures, place, columns=3):
    """One panel a picture: {title: seen}."""
    rows = -(-len(pictures) // columns)
    figure, axes = viz.subplots(rows, columns, height=1.75 * rows)
    for axis, (title, seen) in zip(axes.flat, pictures.items(), strict=True):
        axis.imshow(paint(seen, place))
        height, width = seen.shape
        axis.set_xticks(np.arange(width + 1) - 0.5, minor=True)
        axis.set_yticks(np.arange(height + 1) - 0.5, minor=True)
        axis.grid(which="minor", color="white", lw=0.7)
        axis.tick_params(which="both", length=0, labelsize=0)
        axis.spines[:].set_visible(False)
        axis.set(title=title, xticks=[], yticks=[])
    return figure


draw_fields(
    {f"{n} layer{'s' * (n > 1)}": seen for n, seen in fields.items()}, place
)

# %% [markdown]
# Each layer adds a row above and a column on the left. So far, so good: with enough layers, the
# field reaches the top and the left edge. But look at the right. The edge of the blue region is a
# diagonal, *the same in every panel*. Take as many layers as you like:

# %%
deep = field(plain(40), size, place)
assert (deep & ~fields[6]).sum() > 0  # it did grow
row, column = place
for d in range(1, row + 1):
    for e in range(-column, size[1] - column):
        assert deep[row - d, column + e] == (e <= d)
print("40 layers: a pixel d rows above is seen up to d columns to the right")

# %% [markdown]
# (sec-pixelcnn-blind)=
# ### The blind spot
#
# Why? Follow a path from an earlier pixel to ours, backwards. Each layer takes one step: some rows
# up with up to $m$ columns to either side, or, in the same row, up to $m$ to the *left*. **To go
# right, a path must go up.** Each row gained allows at most $m$ columns.
#
# ````{prf:theorem} The field of masked convolutions
# :label: thm-pixelcnn-field
#
# After $L$ layers with kernels of $2m+1$, the first with mask A and the others with mask B, the
# pixel at row $r$ and column $s$ sees the pixel at row $r-d$ and column $s+e$ exactly if
#
# ```{math}
# :label: eq-pixelcnn-seen
# \begin{aligned}
# d=0 \quad&\text{and}\quad -mL\le e\le -1, \qquad\text{or} \\
# 1\le d\le mL \quad&\text{and}\quad -mL\le e\le m\cdot\min(d,L).
# \end{aligned}
# ```
#
# So, however large $L$ is, it never sees what lies at
#
# $$
# d\ge1, \qquad e>m\,d .
# $$ (eq-pixelcnn-blind)
# ````
#
# ````{prf:proof}
# A step goes $a$ rows up and $b$ columns to the right. It has either $1\le a\le m$ and
# $|b|\le m$, or $a=0$ and $-m\le b\le0$; the step through mask A is not $(0,0)$. Add up $L$ steps to
# $(d,e)$.
#
# *Nothing else is reached.* Each $a$ is between 0 and $m$, each $b$ at least $-m$, so
# $0\le d\le mL$ and $e\ge-mL$. Only steps with $a\ge1$ have $b>0$, there are at most $\min(d,L)$ of them, and
# each has $b\le m$: so $e\le m\min(d,L)$. If $d=0$ all steps have $b\le0$, and that of mask A has
# $b\le-1$.
#
# *All this is reached.* For $d\ge1$ spread the $d$ rows over $\min(d,L)$ steps, one of them that of
# mask A. Let the others have $a=0$. Then $e=m\min(d,L)$ needs $b=m$ in the steps that go up and
# $b=0$ in the others; $e=-mL$ needs $b=-m$ in all; and lowering one $b$ at a time by one visits all
# between. For $d=0$ let each $b$ be between $-m$ and 0, that of mask A at most $-1$.
#
# *Never.* $m\min(d,L)\le m\,d$ for every $L$.
# ````
#
# These pixels are the **blind spot**. Depth makes the seen region longer and not wider: with 3×3
# kernels a wedge of 45 degrees stays dark. Larger kernels make it narrower and never remove it. How
# much is that on our digits?

# %%
width, height = 8, 8
ranks = [(r, c) for r in range(height) for c in range(width)]
pairs = [(p, q) for p in ranks for q in ranks if q < p]  # q comes before p


def never(p, q, reach):
    """Whether pixel p is blind to q at any depth; eq-pixelcnn-blind."""
    return p[0] > q[0] and q[1] - p[1] > reach * (p[0] - q[0])


network = plain(16)  # deep enough for images of 8×8
seen = {p: field(network, (height, width), p) for p in ranks}
for p, q in pairs:
    assert seen[p][q] != never(p, q, 1)
share = sum(never(p, q, 1) for p, q in pairs) / len(pairs)
worst = max(sum(never(p, q, 1) for q in ranks) for p in ranks)
assert 0.1 < share < 0.25
glue("pixelcnn-blind-share", f"{100 * share:.0f} %", display=False)
glue("pixelcnn-blind-worst", str(worst), display=False)
print(f"blind to {share:.0%} of all pairs of a pixel and an earlier one,")
print(f"the worst pixel to {worst} earlier pixels")

# %% [markdown]
# The network is blind to {glue:text}`pixelcnn-blind-share` of all pairs, and one pixel to
# {glue:text}`pixelcnn-blind-worst` earlier ones. (Blind to means: never directly. The seen pixels
# tell something about the unseen ones, so a model may guess them. {ref}`sec-pixelcnn-experiment`
# asks what that is worth.)
#
# (sec-pixelcnn-stacks)=
# ## Two stacks
#
# The blind spot comes from asking one convolution to do two jobs. What lies *above* is a plain
# rectangle, all of it past. What lies *on the left* is a strip of one row. Only the two together
# have a corner at the pixel, and the mask cuts that corner again and again, in each layer. So
# give each job its own stack of layers {cite:p}`oord2016conditional`:
#
# - the **vertical stack** knows the rows above. Its convolutions look left and right as far as they
#   like: a row that is finished has no future;
# - the **horizontal stack** knows its own row up to the pixel, and in each layer is told what the
#   vertical stack knows at its place.
#
# The vertical stack needs no mask, but a *shift*. Let it start from the image moved down by one row:
#
# ```{math}
# :label: eq-pixelcnn-shift
# \begin{aligned}
# v^0_{r,s}&=x_{r-1,s}\quad(0\text{ for the first row}), \\
# h^0_{r,s}&=x_{r,s}, \\
# v^{l}_{r,s}&=\sum_{a=-m}^{0}\;\sum_{b=-m}^{m}V^l_{a,b}\;v^{l-1}_{r+a,\,s+b}, \\
# h^{l}_{r,s}&=\sum_{b=-m}^{0}M_b\,U^l_{b}\;h^{l-1}_{r,\,s+b}+J^l\,v^{l}_{r,s},
# \end{aligned}
# ```
#
# where $M_0=0$ in the first layer (mask A), and all other $M_b$ are 1. Row $r$ of $v^0$ is row
# $r-1$ of the image, so a kernel that ends in row $r$ sees nothing of row $r$ itself. Without the
# shift $v^1_{r,s}$ would contain $x_{r,s}$, and what lies on its right. One shift, at the entrance,
# serves for all layers.
#
# ```{prf:theorem} The field of two stacks
# :label: thm-pixelcnn-union
#
# After $L$ layers $v^L_{r,s}$ sees exactly the pixels at row $r-d$ and column $s+e$ with
#
# $$
# 1\le d\le mL+1, \qquad |e|\le mL,
# $$ (eq-pixelcnn-vertical)
#
# and $h^L_{r,s}$ sees these and, in its own row,
#
# $$
# d=0, \qquad -mL\le e\le-1 .
# $$ (eq-pixelcnn-union)
# ```
#
# ````{prf:proof}
# *Vertical.* Each of the $L$ steps goes $0\dots m$ rows up and $-m\dots m$ columns to the side, with
# nothing to choose between them: the sums reach $0\dots mL$ rows and $-mL\dots mL$ columns, in every
# combination. The entrance adds one row.
#
# *Horizontal.* A path stays in $h$, and in the row: $L$ steps of $-m\dots0$ columns, the first at
# most $-1$. Or it turns into $v^l$ at some layer $l$, after $L-l$ steps to the left. That reaches
# rows $1\dots ml+1$ and columns from $-m(L-l)-ml=-mL$ to $ml$, of which $l=L$, without a step to
# the left, reaches all.
# ````
#
# No inequality ties $e$ to $d$ any more: the pixel in the upper right corner of a large image
# is seen as soon as the rectangle is large enough. **The blind spot is gone at every depth**, and
# what is not seen yet is only far away.
#
# May the stacks talk both ways? No: if $v$ were given $h$, then $v_{r,s}$, whose kernel looks to the
# right, would find $x_{r,s}$ in $h_{r,s+1}$, and would tell $h_{r,s}$.
#
# (sec-pixelcnn-gate)=
# ### Gates
#
# The same paper changes a second thing. The first PixelCNN used rectified linear units, in residual
# blocks: down to half of the features, a masked convolution, and up again, added to what came in.
# The recurrent networks of {ref}`ch-pixelrnn` did better than it, and besides their wider view they
# had something that it had not: *gates*, numbers between 0 and 1 that multiply what passes. So
# compute twice as many features, and let one half switch the other:
#
# $$
# (f,g)=W*x+b, \qquad y=\tanh(f)\odot\sigma(g).
# $$ (eq-pixelcnn-gate)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Left: the gate's output against the value f for three switches g. With g at minus four the curve is almost flat at zero, with g at zero it runs between minus one half and one half, with g at four between minus one and one. Right: a rectified linear unit, zero on the left and a straight line on the right."}, "figure": {"caption": "Left: the gate {eq}`eq-pixelcnn-gate`, a value $f$ and a switch $g$. Right: a rectified linear unit is its own switch.", "name": "fig-pixelcnn-gate"}}
f = torch.linspace(-4, 4, 101)
figure, (left, right) = viz.subplots(1, 2, height=2.2, sharey=True)
for g, style in [(4, "-"), (0, "--"), (-4, ":")]:
    curve = torch.tanh(f) * torch.sigmoid(torch.tensor(float(g)))
    left.plot(f, curve, style, label=f"$g={g}$")
left.set(title="tanh(f) σ(g)", xlabel="$f$", ylim=(-1.2, 2.2))
left.legend(loc="upper left")
right.plot(f, f.relu(), color=viz.style.BLACK)
right.set(title="max(f, 0)", xlabel="$f$")
figure

# %% [markdown]
# A rectified unit decides by its own value whether it passes. With a gate, *other* evidence can
# decide: "the stroke on the left goes on, unless the row above says that it ended". The slope with
# respect to $f$ is $(1-\tanh^2f)\,\sigma(g)$: where the switch is closed, no gradient passes
# either, and where it is open, that of the value does.
#
# (sec-pixelcnn-scratch)=
# ### From scratch
#
# One layer of both stacks, with gates. Type it; that is the point of its size. Each layer adds what
# it found to what the horizontal stack knew (a residual connection); the first has
# nothing to add to.


# %%
def gate(x):
    """tanh of the first half of the features, times sigmoid of the second."""
    value, switch = x.chunk(2, dim=1)
    return value.tanh() * switch.sigmoid()


class TwoStacks(nn.Module):
    def __init__(self, inputs, features, kernel, kind):
        super().__init__()
        m, double = kernel // 2, 2 * features
        self.m, self.first = m, kind == "A"
        self.vertical = nn.Conv2d(inputs, double, (m + 1, kernel))
        self.horizontal = nn.Conv2d(inputs, double, (1, m + 1))
        self.junction = nn.Conv2d(double, double, 1, bias=False)
        self.out = nn.Conv2d(features, features, 1)

    def forward(self, v, h):
        """v, h: (N, inputs, H, W) each; returns both, (N, features, H, W)."""
        m, along = self.m, self.horizontal
        v = self.vertical(F.pad(v, (m, m, m, 0)))
        mask = torch.ones_like(along.weight)
        mask[..., -1] = 0 if self.first else 1  # mask A: not the pixel itself
        row = F.conv2d(F.pad(h, (m, 0)), along.weight * mask, along.bias)
        found = self.out(gate(row + self.junction(v)))
        return gate(v), found if self.first else h + found


def entrance(x):
    """What the two stacks start from: the image a row down, and the image."""
    return F.pad(x, (0, 0, 1, -1)), x


class Stacks(nn.Module):
    def __init__(self, layers, features=1, kernel=3, show="h"):
        super().__init__()
        self.show = show
        self.layers = nn.ModuleList(
            TwoStacks(features if i else 1, features, kernel, "B" if i else "A")
            for i in range(layers)
        )

    def forward(self, x):
        v, h = entrance(x)
        for layer in self.layers:
            v, h = layer(v, h)
        return v if self.show == "v" else h


# %% [markdown]
# Is it causal, and what does it see? Probe it, then measure its field.
#
# ```{admonition} Predict, then run
# :class: tip
# Draw the fields of the vertical and of the horizontal stack after two layers with 3×3 kernels. By
# how many pixels does the first differ from the second?
# ```

# %%
torch.manual_seed(0)
matrix = probe(Stacks(4, features=6).double(), (1, 4, 4))
assert (matrix == before).all()  # all that comes before, and nothing else

two = {}
for n in range(1, 7):
    for show in "vh":
        network = positive(Stacks(n, show=show).double())
        two[show, n] = field(network, size, place)
        for r in range(size[0]):
            for c in range(size[1]):
                d, e = place[0] - r, c - place[1]
                expected = 1 <= d <= n + 1 and abs(e) <= n
                if show == "h":
                    expected |= d == 0 and -n <= e <= -1
                assert two[show, n][r, c] == expected
print("two stacks, four layers: each pixel sees all that come before it")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Six panels. Above: the vertical stack after one, two and four layers, a blue rectangle in the rows above the black pixel that grows to both sides. Below: the horizontal stack, the same rectangles and a strip on the left of the pixel in its own row. No diagonal edge is left."}, "figure": {"caption": "The fields of the vertical stack (above) and of the horizontal one (below) after one, two and four layers. Colours as in {numref}`fig-pixelcnn-plain`.", "name": "fig-pixelcnn-stacks"}}
names = {"v": "vertical", "h": "horizontal"}
draw_fields(
    {
        f"{names[show]}, {n} layer{'s' * (n > 1)}": two[show, n]
        for show in "vh"
        for n in (1, 2, 4)
    },
    place,
)

# %% [markdown]
# Compare them layer by layer. Each tab is a network, and the slider adds layers. (It works without
# a kernel; the frames are part of the page.)

# %%
pages = {"one stack": fields}
for show, title in names.items():
    pages[title] = {n: two[show, n] for n in range(1, 7)}
viz.tabs(
    {
        title: viz.slider(
            [paint(seen, place) for seen in page.values()],
            [
                f"depth {n}: sees {int(seen.sum())} of 96 earlier pixels"
                for n, seen in page.items()
            ],
            "depth",
        )
        for title, page in pages.items()
    }
)

# %% [markdown]
# The library's network is built of the same layers, with a few parts more: a way from each layer
# directly to the output (*skip connections*), a place for a label, and dropout. Its layer and ours
# agree:

# %%
torch.manual_seed(0)
library = models.gated_pixel_cnn(
    (1, 8, 8), 17, features=6, layers=3, first_kernel=3
)
for number, theirs in enumerate(library.network.layers[:2]):
    inputs = 6 if number else 1
    mine = TwoStacks(inputs, 6, 3, "B" if number else "A")
    own = mine.state_dict()
    mine.load_state_dict({name: theirs.state_dict()[name] for name in own})
    v, h = torch.randn(2, 5, inputs, 8, 8)
    nothing = torch.zeros(5, 1)  # no label
    for ours, given in zip(mine(v, h), theirs(v, h, nothing), strict=False):
        torch.testing.assert_close(ours, given)
print("both give the same, for a first layer and for a later one")

# %% [markdown]
# (sec-pixelcnn-experiment)=
# ## An experiment: what does the blind spot cost?
#
# It depends on what stands in it. Let us build a world in which everything does. In its images,
# black and white and of 8×8 pixels, each pixel copies the one that lies one row up and three columns
# to the right, and errs with probability $\epsilon$; where that lies outside, a coin is thrown:
#
# $$
# x_{r,s}=x_{r-1,\,s+3}\oplus n_{r,s},\qquad P(n_{r,s}=1)=\epsilon .
# $$ (eq-pixelcnn-chains)
#
# An image falls into chains of pixels, each three columns to the left of the one above it, and
# the chains know nothing of each other. To a pixel, its chain is everything. And the
# earlier pixels of its chain lie $d$ rows up and $3d$ columns to the right: with 3×3 kernels
# ($m=1$) and even with 5×5 ($m=2$) all of them are in the blind spot {eq}`eq-pixelcnn-blind`. What
# such a network does see is independent of the pixel, which is black or white with equal
# probability. So no training and no depth can bring it below
#
# $$
# \log 2\ \text{ nats a pixel},
# $$ (eq-pixelcnn-coin)
#
# what throwing a coin costs. A model that sees the whole past needs as much for the pixels that
# begin a chain alone, and for a pixel that copies only the entropy of the error:
#
# $$
# h(\epsilon)=-\epsilon\log\epsilon-(1-\epsilon)\log(1-\epsilon).
# $$ (eq-pixelcnn-floor)
#
# ```{admonition} Predict, then run
# :class: tip
# Two networks with five layers of 3×3 kernels and about equally many weights learn this world. Say
# what each will reach, in nats per image, for $\epsilon=0.1$. You can, before any training.
# ```

# %%
epsilon = 0.1


def chains(n, seed):
    """Images of eq-pixelcnn-chains: uint8, (n, 1, 8, 8)."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randint(2, (n, 1, 8, 8), generator=generator)
    for r in range(1, 8):
        error = torch.rand(n, 1, 5, generator=generator) < epsilon
        x[:, :, r, :5] = x[:, :, r - 1, 3:] ^ error
    return x.to(torch.uint8)


def weights(model):
    return sum(p.numel() for p in model.parameters())


torch.manual_seed(0)
small = {"first_kernel": 3, "kernel": 3, "head": 16}
rivals = {
    "one stack": models.pixel_cnn((1, 8, 8), 2, features=32, layers=4, **small),
    "two stacks": models.gated_pixel_cnn(
        (1, 8, 8), 2, features=10, layers=5, **small
    ),
}
unseen = chains(2000, seed=1)
world = {}
for name, model in rivals.items():
    adam = torch.optim.Adam(model.parameters(), lr=1e-2)
    for k in range(200):
        loss = -model.log_prob(chains(64, seed=100 + k)).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
    with evaluating(model):
        world[name] = -model.log_prob(unseen).mean().item()

coin = 64 * math.log(2)
entropy = -epsilon * math.log(epsilon) - (1 - epsilon) * math.log(1 - epsilon)
floor = 35 * entropy + 29 * math.log(2)  # 7 rows of 5 copied pixels
assert 0.8 < weights(rivals["one stack"]) / weights(rivals["two stacks"]) < 1.25
assert coin - 0.1 < world["one stack"] < coin + 0.5
assert floor - 0.5 < world["two stacks"] < floor + 1.5
print(f"throwing coins {coin:.1f} nats, the best model {floor:.1f}")
print("one stack: within 0.5 nats of throwing coins")
print("two stacks: within 1.5 nats of the best model")

# %% [markdown]
# One stack learned nothing, for there was nothing that it could see. In this world the blind spot
# costs all there is to know. In images of real things it costs far less: what stands in it is
# usually told by its neighbours, which are seen. For the digits we shall see in a moment.
#
# (sec-pixelcnn-train)=
# ## Training on digits
#
# ````{prf:algorithm} PixelCNN
# :label: alg-pixelcnn
#
# **Train.** Repeat until validation images get no more probable:
#
# 1. Draw a batch of images.
# 2. Run the network *once*: for each value of each image it gives the parameters of
#    $p(x_i\mid x_{<i})$, all at the same time.
# 3. Sum $\log p(x_i\mid x_{<i})$ over all values: the exact $\log p(x)$ {eq}`eq-pixelcnn-chain`.
# 4. Take a gradient step that raises its mean over the batch.
#
# **Sample.** For each value in the order of reading: run the network on what has been drawn so far,
# draw the value from its distribution, write it into the image.
# ````
#
# Two measures against learning a thousand images by heart: dropout, and a third of the images is
# turned, zoomed or shifted a little. Such changes draw images that do not exist ({ref}`ch-images`),
# so the model is *told* which are altered, by one more input, and is asked about real ones later.


# %%
def train(model, steps, batch_size=16, learning_rate=1e-2):
    """Train on digits; the model ends as a running average of its weights."""
    adam = torch.optim.AdamW(model.parameters(), lr=learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    average = copy.deepcopy(model)

    def loss(step):
        x, y = step.batch
        moved = random_affine(x, step.generator, angle=10, zoom=1.1, shift=1)
        altered = torch.rand(len(x), generator=step.generator) < 0.3
        x = torch.where(altered.view(-1, 1, 1, 1), moved, x)
        label = y if model.classes else None
        return -model.log_prob(x, label, altered=altered).mean()

    history = fit(
        {"pixels": model, "average": average},
        [Objective("pixels", loss, adam, schedule=schedule)],
        data.Batches(digits.train, batch_size),
        steps,
        device="cpu",
        clip=1.0,
        callbacks=[Average(model, average, 0.99)],
    )
    model.load_state_dict(average.state_dict())
    return history


def nats(model, split=digits.test):
    """Mean of -log p(x) over a split, exact, with its standard error."""
    estimate = metrics.mean_over(model, split, model.log_prob)
    return -estimate.mean, estimate.standard_error


torch.manual_seed(0)
gated = models.gated_pixel_cnn(
    digits.shape,
    digits.levels,
    features=24,
    layers=4,
    first_kernel=5,
    head=48,
    dropout=0.1,
)
history = train(gated, 800)
test_nats, test_error = nats(gated)
assert test_nats < 84 and 0.3 < test_error < 1.0
glue("pixelcnn-nats", "84", display=False)
known = 86.76  # see below
assert test_nats < known - 2
glue("pixelcnn-known", f"{known:.2f}", display=False)
bits = metrics.bits_per_dim(test_nats, gated)
assert -1.92 < bits < -1.80
print("test: below 84 nats per image, exact, not a bound")

# %% [markdown]
# Below {glue:text}`pixelcnn-nats` nats per image, with a standard error of about half a nat over
# the test images. The unit is that of chapter 04, but there the figure was a *bound*; this one is
# exact, for every factor of the chain was evaluated. (The autoregressive program that accompanies
# {cite:t}`tomczak2022`, run unchanged on the same split, reaches {glue:text}`pixelcnn-known` nats.)
#
# Does it know what a digit is? Let it draw some.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Two blocks of two rows of sixteen images. Above: test images, handwritten digits. Below: images drawn from the model; most are strokes of even width that read as a digit, some are no known sign."}, "figure": {"caption": "Test images, and images drawn from the gated model pixel by pixel.", "name": "fig-pixelcnn-samples"}}
torch.manual_seed(0)
viz.grid(
    [digits.test.images[:32], gated.sample(32)],
    digits.levels,
    titles=["test images", "drawn"],
)

# %% [markdown]
# There is no grain as in the draws of {numref}`fig-vae-samples`: each pixel knows what has become
# of its neighbours. The strokes are right. The whole is sometimes wrong, for a digit is decided
# late, by many small decisions.
#
# (sec-pixelcnn-complete)=
# ### Half a digit
#
# A model in the order of reading can go on from any beginning. Give it the upper half of an image:
# the chain rule, started at pixel 33, is $p(\text{lower half}\mid\text{upper half})$, *exactly*.
# Nothing must be approximated, because the known pixels come first.
#
# ```{admonition} Predict, then run
# :class: tip
# Look at the upper halves in the first column of the figure. Which digits could they become? Which
# of them leaves no choice?
# ```

# %% tags=["hide-input"] mystnb={"image": {"alt": "Eight rows of twelve small images. First column: the upper half of a digit over a black lower half. Second column: the whole test image. The other ten are completions: the upper half is the same in each, the lower halves differ; some halves are completed in several ways, to different digits."}, "figure": {"caption": "Completions. In each row: the upper half that is given, the test image that it comes from, and ten draws of the lower half.", "name": "fig-pixelcnn-complete"}}
torch.manual_seed(0)
whole = digits.test.images[[0, 3, 4, 15, 17, 30, 39, 48]]
known_pixels = (torch.arange(8) < 4).view(1, 1, 8, 1)  # the upper four rows
drawn = gated.complete(whole.repeat(10, 1, 1, 1), known_pixels).images
assert (drawn[:, :, :4] == whole.repeat(10, 1, 1, 1)[:, :, :4]).all()
rows = torch.cat(
    [(whole * known_pixels)[None], whole[None], drawn.unflatten(0, (10, 8))]
)
viz.grid(rows.transpose(0, 1).flatten(0, 1), digits.levels, columns=12)

# %% [markdown]
# Where the upper half leaves a choice, the draws differ; where it leaves none, they agree. This is
# what a *distribution* over images is good for, and a single best guess would hide it. The left
# half given, or the lower one, is another matter: then known pixels stand *behind* unknown ones,
# and drawing forwards does not hear them. Chapter 14 says what can be done.
#
# ### The blind spot, on digits
#
# Now the experiment again, on digits: one stack with rectified units, of about as many weights,
# trained alike.

# %%
torch.manual_seed(0)
rival = models.pixel_cnn(
    digits.shape,
    digits.levels,
    features=64,
    layers=4,
    first_kernel=5,
    head=48,
    dropout=0.1,
)
assert 0.8 < weights(rival) / weights(gated) < 1.25
train(rival, 800)
rival_nats, _ = nats(rival)
assert abs(rival_nats - test_nats) < 1.5
print("one stack of rectified units: within 1.5 nats of two gated stacks")

# %% [markdown]
# Close together, and what difference there is need not be the blind spot's: gates and rectified
# units differ as well. On digits what stands above and to the right can mostly be
# guessed. The made
# world and the real one together give the answer: **the blind spot costs what stands in it and is
# told nowhere else.**
#
# (sec-pixelcnn-condition)=
# ## Asking for a seven
#
# To condition on a label $y$, give it to every guess: $p(x\mid y)=\prod_i p(x_i\mid x_{<i},y)$. In
# the network it enters each gate, the same at all places {cite:p}`oord2016conditional`:
#
# ```{math}
# :label: eq-pixelcnn-condition
# \begin{aligned}
# (f,g)&=W*x+V\,e_y+b, \\
# \text{output}&=\tanh(f)\odot\sigma(g),
# \end{aligned}
# ```
#
# with $e_y$ the one-hot vector of the label, so that $V e_y$ is the column of $V$ that belongs to
# $y$. In other words: **each class has its own biases**, of values and of switches, in every layer.


# %%
torch.manual_seed(0)
by_class = models.gated_pixel_cnn(
    digits.shape,
    digits.levels,
    features=24,
    layers=3,
    first_kernel=5,
    head=48,
    dropout=0.1,
    classes=10,
)
train(by_class, 600)
print("trained on", len(digits.train), "images with their labels")

# %% tags=["hide-input"] mystnb={"image": {"alt": "A table of small images, six rows and ten columns, one column for each digit from zero to nine. Most images show the digit of their column, in different hands; the eights are the worst."}, "figure": {"caption": "Drawn by class: a column a label, from 0 to 9.", "name": "fig-pixelcnn-classes"}}
torch.manual_seed(0)
ten = torch.arange(10)
drawn = by_class.sample(60, ten.repeat(6))
viz.grid(drawn, digits.levels, columns=10)

# %% [markdown]
# And here is a gift. An exact $p(x\mid y)$ for each class is also a classifier, by Bayes' rule:
#
# $$
# p(y\mid x)=\frac{p(x\mid y)\,p(y)}{\sum_{y'}p(x\mid y')\,p(y')} .
# $$ (eq-pixelcnn-bayes)
#
# ```{admonition} Predict, then run
# :class: tip
# The model was trained to draw. Of what share of the test images will the class with the largest
# $p(x\mid y)$ be right?
# ```

# %%
test = digits.test
with evaluating(by_class):
    log_probs = torch.stack(
        [
            by_class.log_prob(test.images, torch.full((len(test),), y))
            for y in range(10)
        ]
    )
right = (log_probs.argmax(0) == test.labels).double().mean().item()
mixture_nats = -(log_probs.logsumexp(0) - math.log(10)).mean().item()
assert right > 0.85
assert mixture_nats < 87  # p(x), the mean over ten classes, is exact as well
print("right for more than 85 % of the test images")

# %% [markdown]
# Nobody trained a classifier. The mean of the ten, with equal weights, is $p(x)$ again, and exact.
#
# (sec-pixelcnn-colour)=
# ## Colours
#
# A colour pixel has three values, and they too are drawn one after the other {cite:p}`oord2016`.
# Red is guessed from all earlier pixels, green from these and the red of its own pixel, blue from
# these and red and green:
#
# ```{math}
# :label: eq-pixelcnn-colour
# \begin{aligned}
# p(x_i\mid x_{<i})={}&p(R_i\mid x_{<i})\;p(G_i\mid R_i,x_{<i}) \\
#   &\cdot p(B_i\mid R_i,G_i,x_{<i}).
# \end{aligned}
# ```
#
# Share out the features of every layer into three groups, one for each colour: what the red group
# knows may only be used where it comes before. At all other places of the kernel nothing changes;
# at the pixel itself, the mask becomes a matrix between groups. With colours numbered 0, 1 and 2,
# group $t$ of the output may see group $u$ of the input exactly if
#
# ```{math}
# :label: eq-pixelcnn-channels
# \begin{aligned}
# u<t &\quad\text{(mask A)}, \\
# u\le t &\quad\text{(mask B)}.
# \end{aligned}
# ```
#
# It is the triangle of {numref}`fig-pixelcnn-matrix` again, on a small scale: an order of values,
# and a strict sign in the first layer. So {prf:ref}`thm-pixelcnn-causal` holds as it stands, for
# values instead of pixels.


# %%
def outputs_of(model):
    """What a model of the library predicts from scaled values, in float64."""
    network = copy.deepcopy(model.network).double()
    nothing = torch.zeros(1, model.classes + 1, dtype=torch.float64)
    return lambda x: network(x, nothing.expand(len(x), -1))


shape = (3, 2, 2)  # four colour pixels: twelve values
earlier = torch.ones(12, 12).tril(-1).bool()
colour_fields = {}
for make in [models.pixel_cnn, models.gated_pixel_cnn]:
    torch.manual_seed(0)
    model = make(shape, 4, features=24, layers=3, first_kernel=3, head=24)
    colour_fields[make.__name__] = probe(outputs_of(model), shape)
    assert (colour_fields[make.__name__] == earlier).all()
print("each value sees all values before it, and no other: both models")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Three matrices. Mask A at the pixel: nine output features in three groups R, G, B against three inputs; the red rows are empty, green rows see R, blue rows see R and G. Mask B: nine by nine features, lower block triangle with the blocks on the diagonal. Right: the measured matrix of four colour pixels, twelve by twelve values, dark below the diagonal and nowhere else."}, "figure": {"caption": "Left and middle: which features of a pixel may see which of the same pixel, with three features a colour. Right: which output moves with which value, measured in a network with random weights, for 2×2 colour pixels.", "name": "fig-pixelcnn-colour"}}
figure, axes = viz.subplots(1, 3, height=2.7, width_ratios=[1, 2, 2])
for axis, inputs, kind in zip(axes, [3, 9], "AB", strict=False):
    axis.imshow(
        nets.channel_mask(9, inputs, 3, kind), cmap="Blues", vmin=0, vmax=1.2
    )
    ticks = torch.arange(3)
    step = inputs // 3
    axis.set(title=f"mask {kind}, at the pixel", xlabel="from", ylabel="to")
    axis.set_xticks(step * ticks + (step - 1) / 2, "RGB")
    axis.set_yticks(3 * ticks + 1, "RGB")
axes[2].imshow(colour_fields["gated_pixel_cnn"], cmap="Blues", vmin=0, vmax=1.2)
values = [f"{c}{i}" for i in range(4) for c in "RGB"]
axes[2].set_xticks(range(12), values, fontsize=5)
axes[2].set_yticks(range(12), values, fontsize=5)
axes[2].set(title="measured", xlabel="value", ylabel="output")
figure

# %% [markdown]
# (sec-pixelcnn-softmax)=
# ## What the softmax learned
#
# Our models give each pixel a table of 17 probabilities, by a softmax over 17 numbers. Nothing in it
# says that level 7 lies between 6 and 8: exchange the names of the levels, and it is
# the same model. The data know better. Has the network learned the order of the levels?
#
# ```{admonition} Predict, then run
# :class: tip
# Think of a pixel on the edge of a stroke, given all pixels before it. Draw its 17 probabilities:
# one peak or two? Smooth or ragged? Where is the largest?
# ```

# %%
with evaluating(gated):
    tables = gated.conditionals(digits.test.images).probs[:, 0]  # (N, 8, 8, 17)
spread = (tables * tables.clamp(min=1e-12).log()).sum(-1).neg()  # entropy
open_ones = tables[spread > 1.5]  # tables of pixels that are not clear

mean_table = open_ones.mean(0)
assert mean_table[0] > 1.4 * mean_table[1]  # black against almost black
assert mean_table[16] > 1.4 * mean_table[15]

torch.manual_seed(0)
inside = open_ones[:, 1:16]
jumps = inside.diff(dim=1).abs().sum(1).mean().item()
shuffled = torch.stack(
    [
        inside[:, torch.randperm(15)].diff(dim=1).abs().sum(1).mean()
        for _ in range(20)
    ]
)
assert jumps < 0.6 * shuffled.min().item()
print("black and white: far more probable than the greys next to them")
print("the greys in order: smoother than in any of 20 other orders")


# %% tags=["hide-input"] mystnb={"image": {"alt": "Six small bar charts of probabilities over seventeen grey levels, each for one pixel of a test image. Each has one broad hump; where it reaches white or black, the bar at that end stands out above its neighbour. The bars change smoothly and do not jump up and down from level to level. A dot marks the true level. The line of a fitted mixture of logistics follows the bars."}, "figure": {"caption": "Bars: what the softmax says of six pixels that are not clear. Dot: the true level. Line: a mixture of three logistics {eq}`eq-pixelcnn-logistic`, fitted to each table.", "name": "fig-pixelcnn-softmax"}}
def fit_logistics(tables, components, steps=300):
    """Fit a mixture to each table (n, K); return its probabilities."""
    n, levels = tables.shape
    logits = torch.zeros(n, components)
    means = torch.linspace(-1, 1, components + 2)[1:-1].repeat(n, 1)
    raw = torch.stack([logits, means, torch.full_like(logits, -1.5)])
    raw.requires_grad_()
    adam = torch.optim.Adam([raw], lr=0.1)
    k = torch.arange(float(levels)).unsqueeze(1)  # (17, 1)
    for _ in range(steps):
        mixture = distributions.DiscretisedLogisticMixture(*raw, levels=levels)
        log_probs = mixture.log_prob(k).T  # (n, 17)
        loss = -(tables * log_probs).sum(1).sum()
        adam.zero_grad()
        loss.backward()
        adam.step()
    return log_probs.detach().exp()


where = (spread > 1.5).nonzero()
picks = where[:: len(where) // 40][:40]
chosen = torch.stack([tables[tuple(p)] for p in picks])
fitted = {k: fit_logistics(chosen, k) for k in (1, 2, 3, 5)}
figure, axes = viz.subplots(2, 3, height=3.0, sharex=True)
for axis, i in zip(axes.flat, [1, 8, 14, 21, 29, 36], strict=True):
    axis.bar(range(17), chosen[i], color="lightgrey")
    axis.plot(fitted[3][i], color=viz.style.BLUE)
    n, r, c = picks[i].tolist()
    axis.plot(digits.test.images[n, 0, r, c], 0, "o", ms=4, clip_on=False)
    axis.set(yticks=[], xticks=[0, 8, 16])
figure

# %% [markdown]
# It has. The greys follow each other smoothly, mostly in one broad hump, and the two ends stand
# out, as if what lies beyond the range were cut off and piled up there. Nobody told the network; it
# learned this from a thousand images, at the price of 17 numbers where a few would do. With 256
# levels it would have to learn each level from few examples.
#
# So build in what was learned. Chapter 06 derived **discretised logistic pixels**
# {eq}`eq-sharp-logistic`: a smooth density, of which each level gets what lies within half a step,
# and the first and the last level *everything beyond*, which makes the peaks at the ends. Several
# humps need several of them. With $K$ levels, borders $b_0<\dots<b_{K-2}$ between them,
# $b_{-1}=-\infty$ and $b_{K-1}=\infty$,
#
# ```{math}
# :label: eq-pixelcnn-logistic
# P(k)=\sum_{j=1}^{J}\pi_j\Bigl[\sigma\Bigl(\frac{b_k-\mu_j}{s_j}\Bigr)
#   -\sigma\Bigl(\frac{b_{k-1}-\mu_j}{s_j}\Bigr)\Bigr].
# ```
#
# It sums to one whatever the network says: exchange the sums, and for each $j$ every border
# occurs once with plus and once with minus,
#
# ```{math}
# :label: eq-pixelcnn-telescope
# \sum_{k=0}^{K-1}P(k)=\sum_j\pi_j\bigl[\sigma(\infty)-\sigma(-\infty)\bigr]=\sum_j\pi_j=1 .
# ```
#
# How many are needed? Fit mixtures to forty tables that the softmax learned, and count what is lost.

# %%
lost = {
    k: (chosen * (chosen / p).clamp(min=1e-12).log()).sum(1).mean().item()
    for k, p in fitted.items()
}
assert 0.01 < lost[1] < 0.08 and lost[3] < 0.02
print("nats lost for each of these pixels: one logistic, less than 0.08;")
print("three, less than 0.02")

# %% [markdown]
# For digits one logistic nearly does: three numbers instead of 17. Three lose next to nothing.
# (Forty pixels that are *not clear*: at the others there is less to lose.)
#
# (sec-pixelcnn-mixture)=
# ## A mixture for colours
#
# Colours bring a new question. The three values of a pixel belong together: where red is bright,
# green and blue mostly are. {eq}`eq-pixelcnn-colour` handles this by three rounds through the
# network's groups. PixelCNN++ {cite:p}`salimans2017` does it in the *likelihood*: the network runs
# once for the whole pixel and gives one mixture for all three values. In component $j$, the centres
# of green and blue lean on the values before:
#
# ```{math}
# :label: eq-pixelcnn-joint
# \begin{aligned}
# p(r,g,b)&=\sum_j\pi_j\;P_j(r)\,P_j(g\mid r)\,P_j(b\mid r,g), \\
# \mu_j^G(r)&=\mu_j^G+\alpha_j\,r,\\
# \mu_j^B(r,g)&=\mu_j^B+\beta_j\,r+\gamma_j\,g .
# \end{aligned}
# ```
#
# Each $P_j$ is one discretised logistic, as in {eq}`eq-pixelcnn-logistic`, and $r$, $g$, $b$ are
# scaled to $-1\dots1$ where they move a centre. (The library keeps $\alpha$, $\beta$ and $\gamma$
# between $-1$ and 1.) It sums to one: sum over $b$ first, then $g$, then $r$; each sum telescopes.
#
# But our interface, and the sampler, ask for one value at a time. What is $p(g\mid r)$? The
# definition of a conditional probability, with the sum over $b$ done:
#
# ```{math}
# :label: eq-pixelcnn-posterior
# \begin{aligned}
# p(g\mid r)&=\frac{\sum_j\pi_j\,P_j(r)\,P_j(g\mid r)}{\sum_j\pi_j\,P_j(r)}
#   =\sum_j w_j(r)\,P_j(g\mid r), \\
# w_j(r)&=\frac{\pi_j\,P_j(r)}{\sum_i\pi_i\,P_i(r)} .
# \end{aligned}
# ```
#
# A mixture again, with **posterior weights**: the components that explained the red value well now
# count more. For blue, likewise, $w_j(r,g)\propto\pi_jP_j(r)P_j(g\mid r)$. Whoever keeps the
# old weights $\pi_j$ draws red from one component and green from another, and a pixel of two sorts,
# say orange or blue, comes out in four. With five levels all can be counted.

# %%
torch.manual_seed(0)
K, J = 5, 3  # levels, components
chain = distributions.ColourChain(3, J, K)
numbers = torch.randn(chain.parameters_per_pixel, dtype=torch.float64)
logits, *rest = numbers.view(-1, J)
centre, log_s, (alpha, beta, gamma) = rest[:3], rest[3:6], rest[6:]
alpha, beta, gamma = alpha.tanh(), beta.tanh(), gamma.tanh()
pi = logits.softmax(0)

colours = torch.cartesian_prod(*[torch.arange(K)] * 3)  # all 125
x = colours * (2 / (K - 1)) - 1.0
r, g, b = x.double().unsqueeze(2).unbind(1)  # (125, 1) each


def mass(value, mean, log_scale):
    """One discretised logistic, straight from its definition."""
    half = 1 / (K - 1)
    above = ((value + half - mean) / log_scale.exp()).sigmoid()
    below = ((value - half - mean) / log_scale.exp()).sigmoid()
    above = torch.where(value > 1 - half, 1.0, above)  # the last level
    return above - torch.where(value < half - 1, 0.0, below)  # the first


red = mass(r, centre[0], log_s[0])
green = mass(g, centre[1] + alpha * r, log_s[1])
blue = mass(b, centre[2] + beta * r + gamma * g, log_s[2])
joint = (pi * red * green * blue).sum(1)
assert abs(joint.sum() - 1) < 1e-12

# The library: a mixture for each value, given the values before it.
factors = chain(numbers.expand(125, -1), x.double()).chunk(3, -1)
mixture = distributions.DiscretisedLogisticMixture(*factors, levels=K)
product = mixture.log_prob(colours.double()).sum(1).exp()
torch.testing.assert_close(product, joint)

stale = (pi * red).sum(1) * (pi * green).sum(1) * (pi * blue).sum(1)
assert (stale - joint).abs().sum() > 0.05  # the old weights: another model
print("three factors with posterior weights: the joint, for all 125 colours")

# %% [markdown]
# (sec-pixelcnn-plusplus)=
# ### The rest of PixelCNN++
#
# The paper changed more than the likelihood:
#
# - **Shifts instead of masks.** The two stacks of {eq}`eq-pixelcnn-shift`, with the shift built
#   into the padding of each convolution.
# - **Down and up again.** A field of 32 pixels by steps of one takes 32 layers. A convolution
#   that keeps every second row and column halves the way, and the work falls to a quarter. Later a
#   transposed convolution doubles the size. What detail was lost comes back by *short-cuts* from the
#   layer of the same size on the way down.
# - **Dropout**, without which it learns its images by heart.
#
# Halving is where causality is lost most easily. A place at half the size stands for a block of 2×2
# pixels, and what it knows will be handed to all four. So it may know only what comes before the
# *first* of them. Take every second place of a causal map, beginning with the first, and this is
# just what it knows. Begin with the second, and the first pixel of each block hears of itself. The
# probe agrees. (Its blocks end in weights that start at zero, as in chapter 06, and a probe of
# zeros finds nothing: first fill in random ones.)

# %%
torch.manual_seed(0)
shape = (3, 4, 4)
plus = models.pixel_cnn_pp(shape, 4, features=8, layers=1, scales=3)
for parameter in plus.parameters():
    nn.init.normal_(parameter, std=0.3)
matrix = probe(outputs_of(plus), shape)
assert not matrix.triu().any()
assert matrix.any(1)[1:].all()  # each but the first depends on something
print("three sizes, down and up: no value moves with itself or a later one")

# %% tags=["hide-input"] mystnb={"image": {"alt": "A diagram in the shape of a valley. On the left, three stacks of bars become smaller downwards: eight by eight, four by four, two by two. On the right they become larger again. Arrows run down, along the bottom and up; three dashed arrows cross from left to right between bars of the same size."}, "figure": {"caption": "The shape of PixelCNN++: blocks at full, half and quarter size, down and up again, with short-cuts (dashed) between layers of the same size.", "name": "fig-pixelcnn-plusplus"}}
figure, axes = viz.subplots(height=2.4)
labels = ["8×8", "4×4", "2×2"]
for level, label in enumerate(labels):
    tall = 1.6 / 2**level
    for side, x in [("down", level), ("up", 6 - level)]:
        axes.bar(
            [x - 0.18, x, x + 0.18],
            [tall] * 3,
            width=0.12,
            bottom=-0.75 * level - tall / 2,
            color=viz.style.BLUE if side == "down" else viz.style.GREEN,
        )
    y = -0.75 * level
    axes.text(level, y - tall / 2 - 0.08, label, ha="center", va="top")
    arrow = {"arrowstyle": "->", "lw": 1.2, "ls": "--", "color": "grey"}
    axes.annotate("", (5.7 - level, y), (level + 0.3, y), arrowprops=arrow)
solid = {"arrowstyle": "->", "lw": 1.4}
for x, y in [(0, 0), (1, -0.75)]:
    axes.annotate(
        "", (x + 0.72, y - 0.72), (x + 0.3, y - 0.3), arrowprops=solid
    )
    up = (6 - x - 0.3, y - 0.3), (6 - x - 0.72, y - 0.72)
    axes.annotate("", *up, arrowprops=solid)
axes.set(xlim=(-1, 7), ylim=(-2.1, 0.9))
axes.set_axis_off()
figure

# %% [markdown]
# (sec-pixelcnn-attention)=
# ## Attention: see everything at once
#
# A convolution reaches far by many short steps. **Self-attention** {cite:p}`vaswani2017` makes one
# step: each pixel looks at every earlier one, and decides by content which to listen to. Number the
# values $1\dots n$ in the order of reading, and give each a vector, a *token* $t_i$. From it, three
# linear maps make a **query** $q_i$ (what am I looking for?), a **key** $k_i$ (what have I to
# offer?) and a **value** $u_i$ (what do I say?). Then
#
# ```{math}
# :label: eq-pixelcnn-attention
# \begin{aligned}
# o_i&=\sum_{j\le i}a_{ij}\,u_j, \\
# a_{ij}&=\frac{e^{q_i\cdot k_j/\sqrt d}}{\sum_{j'\le i}e^{q_i\cdot k_{j'}/\sqrt d}}\,,
# \end{aligned}
# ```
#
# with $d$ the length of a key. The condition $j\le i$ is the **causal mask**. In a program it is a
# triangle: set $-\infty$ above the diagonal of the matrix of scores, and the softmax makes 0 of it.
#
# The sign is $\le$, as in mask B. Where is mask A? At the entrance: the token of value $i$ must be
# made of what comes before it, for example of $x_{i-1}$ and of its position. Shift the sequence by
# one, and {prf:ref}`thm-pixelcnn-causal` applies, with the whole past for a field after one layer.

# %%
torch.manual_seed(0)
n, d = 16, 8
tokens = torch.randn(n, d)
to_query, to_key, to_value = torch.randn(3, d, d) / math.sqrt(d)
q, k, u = tokens @ to_query, tokens @ to_key, tokens @ to_value
scores = q @ k.T / math.sqrt(d)
allowed = torch.ones(n, n).tril().bool()
attention = scores.masked_fill(~allowed, -math.inf).softmax(1)
torch.testing.assert_close(
    attention @ u, F.scaled_dot_product_attention(q, k, u, is_causal=True)
)

torch.manual_seed(0)
transformer = models.image_transformer((3, 2, 2), 4, width=16, layers=1)
matrix = probe(outputs_of(transformer), (3, 2, 2))
assert (matrix == earlier).all()
print("one layer, four colour pixels: each value sees all values before it")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Three matrices of sixteen by sixteen cells. Left: scores, all cells filled with light and dark. Middle: the same scores with the triangle above the diagonal blank. Right: attention weights, zero above the diagonal; the first row has one dark cell, later rows spread over more cells."}, "figure": {"caption": "From scores to attention: all pairs, those that look back, and the softmax of each row. Row $i$ says to whom token $i$ listens.", "name": "fig-pixelcnn-attention"}}
figure, axes = viz.subplots(1, 3, height=2.5)
masked = scores.masked_fill(~allowed, math.nan)
for axis, matrix, title in zip(
    axes,
    [scores, masked, attention],
    ["scores", "masked", "softmax"],
    strict=True,
):
    axis.imshow(matrix, cmap="Blues")
    axis.set(title=title, xlabel="key", xticks=[], yticks=[])
axes[0].set(ylabel="query")
figure

# %% [markdown]
# Two remarks. **The price** is the square: every pair has a score, $n^2/2$ of them for $n$ values,
# where a convolution needs $k^2n$. Image transformers therefore look at blocks {cite:p}`parmar2018`,
# or at small images {cite:p}`chen2020`. **The profit** in sampling: keys and values of the past do
# not change when a token is added, because nothing looks ahead. So each is computed once and
# *kept*, and a new token costs one query. Chapter 14 makes use of this.
#
# (sec-pixelcnn-failure)=
# ## A failure, made on purpose
#
# One letter. The first layer gets mask B instead of A, as if it were like the others. No shape
# changes, no error is raised. Train it as before, for fewer steps.

# %%
torch.manual_seed(0)
leaky = models.pixel_cnn(
    digits.shape, digits.levels, features=32, layers=2, first_kernel=5, head=48
)
leaky.network.first = nets.MaskedConv2d(1, 32, 5, "B")  # the mistake
train(leaky, 300)
leaky_nats, _ = nats(leaky)
assert leaky_nats < test_nats / 4
print("the leaky model: less than a quarter of the nats of the honest one")

# %% [markdown]
# Brilliant: a smaller model, trained for less time, and it needs less than a quarter of the nats.
# The test images confirm it, so it has not learned by heart. Now let it draw.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Two rows of sixteen images. Above, draws of the honest model: digits. Below, draws of the leaky model: flat grey patches, with no trace of a digit."}, "figure": {"caption": "Draws of the honest model (above) and of the leaky one, whose likelihood is far better (below).", "name": "fig-pixelcnn-leak"}}
torch.manual_seed(0)
viz.grid(
    [gated.sample(16), leaky.sample(16)],
    digits.levels,
    titles=["mask A first", "mask B first"],
)

# %% [markdown]
# What did it learn? To *copy*. In training it is shown $x_i$ and asked for $x_i$. In
# sampling $x_i$ is not there yet, so it copies what stands in its place: a blank, which
# is grey.
#
# The number that it reports is no likelihood, for it is not the logarithm of a probability. A
# product of factors $q_i(x_i;x_{\le i})$, each a distribution over the values that $x_i$ might have
# but computed from the value that it *has*, is anything between nothing and one for each image.
# Added up over all images of $n$ values with $K$ levels, it may be as large as their number:
#
# $$
# 0<\sum_x\prod_{i=1}^{n}q_i(x_i;x_{\le i})\le K^n,
# $$ (eq-pixelcnn-leak)
#
# and is equal to 1 only by accident. For a model that does not leak it is 1, always: sum over $x_n$
# first, which only the last factor contains, then over $x_{n-1}$, and so on. For tiny images
# that can be tried. Here are all sixteen black-and-white images of 2×2 pixels, and models that were
# trained on *coin flips*, which nobody can predict.

# %%
every = torch.cartesian_prod(*[torch.arange(2)] * 4).view(16, 1, 2, 2)
every = every.to(torch.uint8)
totals = {}
for kind in "AB":
    torch.manual_seed(0)
    tiny = models.pixel_cnn((1, 2, 2), 2, features=8, layers=1, first_kernel=3)
    tiny.network.first = nets.MaskedConv2d(1, 8, 3, kind)
    adam = torch.optim.Adam(tiny.parameters(), lr=1e-2)
    for _ in range(200):
        loss = -tiny.log_prob(torch.randint(2, (64, 1, 2, 2)).byte()).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
    with torch.no_grad():
        totals[kind] = tiny.log_prob(every).exp().sum().item()
    own = probe(outputs_of(tiny), (1, 2, 2)).diagonal()
    assert own.all() == (kind == "B") and own.any() == (kind == "B")
assert abs(totals["A"] - 1) < 1e-5
assert totals["B"] > 15
print(f"mask A first: probabilities of all 16 images sum to {totals['A']:.4f}")
print("mask B first: they sum to more than 15, and the probe finds the leak")

# %% [markdown]
# ```{admonition} Symptom, diagnosis, cure
# :class: warning
#
# **Symptom.** The likelihood is brilliant, on training and test images alike, and falls on towards
# 0 nats. It beats every figure in the literature. Samples are garbage: flat patches, whatever the
# training.
#
# **Diagnosis.** An output sees its own input: mask B in the first layer, a shift left out, a slice
# that is off by one. The model copies what it is shown and has nothing to copy when it draws. Its
# "probabilities" of all images sum to more than one.
#
# **Cure.** Probe it: in double precision, change one value, and see that no output at that value or
# before it moves. Sum the probabilities of all 2×2 images. Both take seconds and belong into the
# tests of every such model. Be suspicious of a likelihood that is too good.
# ```
#
# ## Exercises
#
# ```{exercise} A all the way
# :label: ex-pixelcnn-all-a
# Someone uses mask A in *all* of $L$ layers, without residual connections. Which pixels can the
# output at $i$ see, of those in its own row? What is the shortest distance in the order of reading?
# Explain the middle panel of {numref}`fig-pixelcnn-matrix`.
# ```
#
# ````{solution} ex-pixelcnn-all-a
# :class: dropdown
# Each layer takes a step that is strictly back. In the row, a step is at least one to the left, so
# after $L$ layers the $L-1$ pixels next to $i$ are lost: it sees $e\le-L$. With rows above the same
# holds in the order of reading: each step goes back by at least one, hence by at least $L$ in all.
# For three layers, outputs do not move with the two inputs before them, which are the two white
# lines below the diagonal (where a row begins, they wrap into the row above). It does not leak, and
# it is a model: of an image whose neighbours cannot talk.
# ````
#
# ```{exercise} May the vertical stack listen?
# :label: ex-pixelcnn-listen
# In {eq}`eq-pixelcnn-shift` the image is shifted at the entrance, and the vertical stack must not
# hear the horizontal one. Suppose instead that $v^0=x$, without a shift, and that each $v^l$ is
# moved down by a row on its way to $h^l$. May $v$ hear $h$ now?
# ```
#
# ````{solution} ex-pixelcnn-listen
# :class: dropdown
# Yes. Now $v_{r,s}$ may know all of rows $0\dots r$, and nobody in row $r$ ever reads it: it is
# read by $h$ in row $r+1$ and below. $h_{r,s}$ knows nothing beyond row $r$, so it tells $v_{r,s}$
# nothing that is forbidden there. In the version of the text $v_{r,s}$ is read in row $r$ itself.
# The rule is the same in both: *what is read in row $r$ at column $s$ must be known there.* (A
# sampler loses by it: the vertical stack must then wait for the horizontal one to finish the row,
# in every layer.)
# ````
#
# ```{exercise} How deep?
# :label: ex-pixelcnn-deep
# Images of 28×28 pixels, two stacks, 3×3 kernels. How many layers until the last pixel sees the
# first? How many until *every* pixel sees every earlier one? What does a first layer of 7×7 change?
# ```
#
# ````{solution} ex-pixelcnn-deep
# :class: dropdown
# By {eq}`eq-pixelcnn-union` with $m=1$: the last pixel must reach 27 rows up and 27 columns to the
# left, so $L+1\ge27$ and $L\ge27$: 27 layers. These suffice for every pixel, for no two lie further
# apart. A first layer with $m=3$ counts for three: 25 layers. This is what the halving of
# PixelCNN++, and attention, are for.
# ````
#
# ```{exercise} Counting numbers
# :label: ex-pixelcnn-count
# How many outputs per pixel need: three softmaxes of 256 levels; a mixture of ten logistics for
# colours as in {eq}`eq-pixelcnn-joint`?
# ```
#
# ````{solution} ex-pixelcnn-count
# :class: dropdown
# $3\cdot256=768$. Each component has one weight, three centres, three widths and the three numbers
# $\alpha,\beta,\gamma$: ten. Ten components: 100.
# ````
#
# ```{exercise} Another order
# :label: ex-pixelcnn-order
# The chain rule holds for any order of the pixels. Train the gated model on images that are turned
# by 180 degrees, which is reading from the last pixel to the first. Is the likelihood the same?
# What is the mean of the two models' *probabilities*, and can it be worse than both?
# ```
#
# ````{solution} ex-pixelcnn-order
# :class: dropdown
# If both models were perfect, both would be $p(x)$. They are not, and differ by a little, as two
# seeds do. The mean $\tfrac12(p_1+p_2)$ is a distribution over images as well, and
# $-\log\tfrac12(p_1+p_2)\le-\log\max(p_1,p_2)+\log2$: never worse than the better of the two by
# more than 0.69 nats *for each image*, and by Jensen's inequality at most the average of both.
# Where they err on different images, it gains nats.
# ````
#
# ## Summary
#
# - A network whose output at $i$ depends on $x_{<i}$ alone gives all factors of the chain
#   {eq}`eq-pixelcnn-chain` in one run. One mask A, then mask B, does it {eq}`eq-pixelcnn-causal`.
# - One stack of masked convolutions never sees what lies $d$ rows above and more than $m\,d$ columns
#   to the right, at any depth {eq}`eq-pixelcnn-blind`. Two stacks see a whole rectangle
#   {eq}`eq-pixelcnn-union`; a shift by one row keeps the vertical one honest.
# - Gates multiply a value by a switch {eq}`eq-pixelcnn-gate`; a label is a bias of both
#   {eq}`eq-pixelcnn-condition`.
# - Colours are values of their own, in order; at the pixel itself the mask is a triangle of groups
#   {eq}`eq-pixelcnn-channels`.
# - A softmax learns the order of the levels; a mixture of logistics has it built in, and its
#   components must be weighted anew after each colour {eq}`eq-pixelcnn-posterior`.
# - Attention sees all of the past in one layer, at a cost of $n^2$.
# - The likelihood is exact *if nothing leaks*. Probe it.
#
# A PixelCNN that is told the label runs on the {ref}`pixel desk <sec-pixel-desk>`. Press a pixel
# behind the next one: no bar moves. This is the probe, by hand.
#
# ## Further reading
#
# {cite:t}`oord2016` introduced PixelCNN beside PixelRNN, as its fast relative.
# {cite:t}`oord2016conditional` found the blind spot and cured it with two stacks and gates.
# {cite:t}`salimans2017` simplified and improved: the mixture, the halving, dropout.
# {cite:t}`vaswani2017` is the paper of the transformer; {cite:t}`parmar2018` brought it to images,
# and {cite:t}`chen2020` asked what its features are good for. {cite:t}`larochelle2011` let the
# factors of the chain rule share their weights years before.
