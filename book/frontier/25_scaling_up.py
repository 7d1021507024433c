# %% [markdown]
# (ch-scale)=
# # 25 Scaling up
#
# **Reading** 80 minutes · **Running** under 90 seconds on one CPU thread · **Difficulty** ●●○ ·
# **You need** a training loop that you have run yourself, {ref}`ch-vae` or {ref}`ch-dcgan`; matrix
# products; means and variances
#
# **How long will it take, and what will it cost?** You can rent a machine, start, and find out. Or you
# can count first. What a network computes is written in its shapes, and how fast a machine computes
# can be measured in a minute. The two together tell hours from months, before a bill does.
#
# All of it can be learned on a laptop, because the counts are the same everywhere. Nothing in this
# chapter needs a GPU, and nothing in it pretends to have used one.
#
# After this chapter you can
#
# - read a profile, and say which part of a step deserves your work;
# - count the operations and the bytes of any layer on paper, and say which of the two limits it;
# - say what each switch buys (batch, fused optimiser, bfloat16, accumulation), and what it changes in
#   the result;
# - explain why $256+1=256$ in bfloat16, and why losses and weights stay in float32;
# - train with several processes so that they do exactly what one would, and count what they send;
# - choose a batch size, a learning rate for it, and how often to write a checkpoint, each from a formula
#   that you derived;
# - estimate the hours of a training that you cannot run.
#
# ```{admonition} Five questions first
# :class: tip
#
# 1. How many multiplications does the product of an $N\times a$ and an $a\times b$ matrix need?
# 2. For $Y=XW$ and a loss $\ell$, what is $\partial\ell/\partial W$ in terms of
#    $\partial\ell/\partial Y$?
# 3. What is the variance of the mean of $B$ independent numbers of variance $\sigma^2$?
# 4. How many numbers lie in $[1,2)$ that have seven binary digits behind the point?
# 5. What does Adam keep for each parameter?
#
# If three of them come easily, read on. The answers follow.
# ```
#
# ```{admonition} Answers
# :class: dropdown
#
# 1. $Nab$: each of the $Nb$ results is a sum of $a$ products.
# 2. $X^\top\,\partial\ell/\partial Y$, a product of two matrices again. Half of this chapter rests on
#    this line.
# 3. $\sigma^2/B$.
# 4. $2^7=128$.
# 5. Two running means: of its gradient and of the gradient's square.
# ```

# %%
import copy
import json
import math
import os
import re
import tempfile
import time
from pathlib import Path

import torch
from myst_nb import glue
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.profiler import ProfilerActivity, profile, record_function
from torch.utils.flop_counter import FlopCounterMode

from genlearn import data, metrics, models, recipes, viz
from genlearn.bench import cost_of
from genlearn.callbacks import Checkpoint
from genlearn.data import derive_seed
from genlearn.training import Callback, Objective, Step, fit

torch.set_num_threads(1)  # models this small are fastest on one thread
os.environ["KINETO_LOG_LEVEL"] = "99"  # the profiler keeps quiet about itself
digits = data.load("digits")

# %% [markdown]
# (sec-scale-profile)=
# ## Where does the time go?
#
# A **profiler** writes down when each operation begins and ends. Before you make anything faster, look
# at one. Below it watches three training steps of four models: the VAE of {ref}`ch-vae`, a DCGAN with
# both its players, a Gated PixelCNN, and a Row LSTM. The pictures are random pixels; a clock
# does not look at them.
#
# We sort the operations into four drawers: **products** (of matrices, and convolutions), **other
# arithmetic** (activations, normalisation, random numbers, copies), the **optimiser**, and **Python**,
# which is the time in which no operation runs.
#
# ```{admonition} Predict, then run
# :class: tip
# In which of the four models do the products have the largest share, and in which the smallest? How
# large is Python's share of a VAE for 8×8 pixels?
# ```


# %% tags=["hide-input"]
def random_images(count, channels, side, levels):
    shape = (count, channels, side, side)
    return data.Split(
        torch.randint(levels, shape).to(torch.uint8), None, levels
    )


def descending(name, model, loss):
    """A model, and one objective for all of its parameters."""
    adam = torch.optim.Adam(model.parameters(), lr=1e-3)
    return {name: model}, [Objective(name, loss, adam)]


def playing(gan):
    """A GAN, and an objective for each player."""
    losses = {
        "discriminator": gan.discriminator_loss,
        "generator": gan.generator_loss,
    }
    adams = {
        name: torch.optim.Adam(gan.players[name].parameters(), lr=1e-3)
        for name in losses
    }
    return gan.players, [Objective(n, losses[n], adams[n]) for n in losses]


torch.manual_seed(0)
small = models.VAE.mlp((1, 8, 8), 17, pixel_features=4, dropout=0.2)
gan = models.GAN.dcgan((3, 32, 32), 256, channels=(32, 64, 128))
gated = models.gated_pixel_cnn((1, 28, 28), 2, features=32, layers=5)
row = models.row_lstm((1, 28, 28), 2, features=32, layers=2)
trainings = {  # what to descend, and on which batches
    "VAE, 8×8": (
        *descending("vae", small, lambda s: -small.elbo(s.batch[0]).mean()),
        data.Batches(random_images(128, 1, 8, 17), 128),
    ),
    "DCGAN, 32×32": (
        *playing(gan),
        data.Batches(random_images(32, 3, 32, 256), 32),
    ),
    "Gated PixelCNN": (
        *descending(
            "pixels", gated, lambda s: -gated.log_prob(s.batch[0]).mean()
        ),
        data.Batches(random_images(8, 1, 28, 2), 8),
    ),
    "Row LSTM": (
        *descending("pixels", row, lambda s: -row.log_prob(s.batch[0]).mean()),
        data.Batches(random_images(8, 1, 28, 2), 8),
    ),
}
PRODUCT = re.compile(r"aten::(add|b|badd)?mm$|conv|attention")


def drawer(event):
    """Where the time of an operation goes, by its name and its callers'."""
    names, place = [event.name], event.cpu_parent
    while place is not None:
        names.append(place.name)
        place = place.cpu_parent
    if event.name == "whole":
        return "Python"
    if any(name.startswith("Optimizer.step") for name in names):
        return "optimiser"
    return "products" if PRODUCT.search(event.name) else "other arithmetic"


def shares(modules, objectives, batches):
    """Share of each drawer in the time of three steps."""
    fit(modules, objectives, batches, 1, device="cpu")  # the first is slower
    cpu = [ProfilerActivity.CPU]
    with profile(activities=cpu) as profiler, record_function("whole"):
        fit(modules, objectives, batches, 3, device="cpu")
    found = dict.fromkeys(
        ["products", "other arithmetic", "optimiser", "Python"], 0.0
    )
    for event in profiler.events():
        found[drawer(event)] += event.self_cpu_time_total
    total = sum(found.values())
    return {name: time / total for name, time in found.items()}


profiles = {name: shares(*training) for name, training in trainings.items()}

# %% tags=["hide-input"] mystnb={"image": {"alt": "Four horizontal bars, one a model, each cut into the shares of products, other arithmetic, optimiser and Python. Products have the largest part of the DCGAN's bar; in the bar of the small VAE the other drawers together have more."}, "figure": {"caption": "Where the time of a training step goes, by drawer. The profiler itself makes short operations look a little longer.", "name": "fig-scale-profile"}}
figure, axes = viz.subplots(height=2.4)
left = [0.0] * len(profiles)
for name in ["products", "other arithmetic", "optimiser", "Python"]:
    widths = [profiles[model][name] for model in profiles]
    axes.barh(list(profiles), widths, left=left, height=0.6, label=name)
    left = [a + b for a, b in zip(left, widths, strict=True)]
axes.set(xlabel="share of the time", xlim=(0, 1))
axes.invert_yaxis()
axes.legend(ncols=4, loc="lower center", bbox_to_anchor=(0.45, 1.0))
figure

# %%
product_share = {name: found["products"] for name, found in profiles.items()}
assert product_share["DCGAN, 32×32"] > product_share["VAE, 8×8"] + 0.03
print("products: a larger share of the DCGAN's step than of the small VAE's")

# %% [markdown]
# A profile is read from its largest part. In the DCGAN most of the time goes into convolutions, which is
# what one pays for. In the small VAE it does not: a large part goes into hundreds of short operations,
# for each of which Python and PyTorch have to find out what to do. A faster processor for products
# would help it little.
#
# How much can it help at all? Let a part that takes the share $p$ of the time become $k$ times as fast.
# The rest takes $1-p$ as before, the part $p/k$:
#
# $$
# \text{speed-up}=\frac{1}{(1-p)+p/k}\;\le\;\frac{1}{1-p}.
# $$ (eq-scale-amdahl)
#
# This is **Amdahl's law** {cite:p}`amdahl1967`. It was written about many processors, where $k$ is
# their number and $1-p$ the part that cannot be shared out, and it holds for every switch of this
# chapter. With $p=\tfrac12$ nothing that you do to products makes the step more than twice as fast.
#
# (sec-scale-count)=
# ## Counting operations
#
# A profile tells what *this* machine did. To know what any machine must do, count. We count
# a **FLOP** for each addition and each multiplication of two numbers; a product of matrices
# consists of pairs of both.
#
# **A linear layer** maps $N$ vectors of length $a$ to length $b$. Each of the $Nb$ results is a sum of
# $a$ products:
#
# $$
# F_\text{linear}=2Nab .
# $$ (eq-scale-linear)
#
# **The way back costs twice as much.** Let $Y=XW$, and let $\bar Y$ stand for the derivative of the loss
# with respect to $Y$, which arrives from behind. By the chain rule
#
# ```{math}
# :label: eq-scale-backward
# \begin{aligned}
# \bar X &= \bar Y\,W^\top, & (N\times b)\cdot(b\times a)&: & 2Nab,\\
# \bar W &= X^\top\bar Y, & (a\times N)\cdot(N\times b)&: & 2Nab.
# \end{aligned}
# ```
#
# Two products, each of the size of the one on the way forward. So **forward to backward is one to two**,
# and a training step costs three forward passes. The first layer is the exception: nobody asks for the
# derivative with respect to the pixels, so $\bar X$ is left out.
#
# **A convolution** is a linear layer applied at every place of its output: it takes the $k\times k$
# pixels of $C$ channels there, $k^2C$ numbers, to $C'$ channels. With an output of $H'\times W'$
# places,
#
# $$
# F_\text{conv}=2N\,H'W'\,k^2\,C\,C' ,
# $$ (eq-scale-conv)
#
# where pixels of the padding count like others. A transposed convolution spreads each pixel of its
# *input* over $k\times k$ places: the same formula with the input's height and width.
#
# **A causal convolution** has zeros for the pixels that are not yet drawn. With one channel an odd
# kernel sees $(k^2-1)/2$ pixels before the one in the middle (mask A), or that one too (mask B).
# Written as a product with a mask, it multiplies by all zeros as well. Leaving out the rows below the
# middle, as the library does, $k(k+1)/2$ places are computed. The useful share is
#
# ```{math}
# :label: eq-scale-causal
# \begin{aligned}
# \text{mask A:}\quad&\frac{(k^2-1)/2}{k(k+1)/2}=\frac{k-1}{k},\\
# \text{mask B:}\quad&\frac{(k^2+1)/2}{k(k+1)/2}=\frac{k^2+1}{k(k+1)},
# \end{aligned}
# ```
#
# two thirds and five sixths for $k=3$, instead of $4/9$ and $5/9$ with all rows.
#
# **A step of an LSTM** computes four gates, each from $d$ inputs and $h$ states, $h$ numbers wide:
#
# $$
# F_\text{LSTM}=2N\cdot4h\,(d+h)=8Nh\,(d+h) .
# $$ (eq-scale-lstm)
#
# **Self-attention** over $n$ places of width $d$ has four linear layers (queries, keys, values, output)
# of $2nd^2$ each, and two products of an $n\times d$ and a $d\times n$ matrix, in whichever number of
# heads:
#
# $$
# F_\text{attention}=8nd^2+4n^2d .
# $$ (eq-scale-attention)
#
# The second term overtakes the first at $n=2d$. An image of 64×64 pixels has $n=4096$ places. (A causal
# mask makes half of the second term superfluous; a good implementation leaves it out, and then what
# remains is the sum in {eq}`eq-fast-attention`.)
#
# Activations, normalisations and biases cost a few FLOPs a value. Next to a product with hundreds of them
# they do not count. That they take *time* all the same is the next section.
#
# Do the formulas describe what PyTorch runs? It can count for itself, with a list of formulas like
# ours, one for each kind of product. A counter knows what is in its list: that of PyTorch overlooks
# an LSTM whose steps are fused into one operation, and so would tell you that it is free. The
# library's {py:func}`genlearn.bench.cost_of` knows more kinds, and names those that it does not know.


# %%
def flops(run):
    """FLOPs of all products, convolutions and recurrences in what runs."""
    with sdpa_kernel(SDPBackend.MATH):  # attention in its plain form
        cost = cost_of(run)
    assert not cost.unknown
    return cost.flops


layer = nn.Linear(30, 50)
x = torch.randn(7, 30, requires_grad=True)
forward = flops(lambda: layer(x))
assert forward == 2 * 7 * 30 * 50
assert flops(lambda: layer(x).sum().backward()) == 3 * forward

conv = nn.Conv2d(3, 8, 5, stride=2, padding=2)  # 16 × 16 to 8 × 8
assert flops(lambda: conv(torch.randn(2, 3, 16, 16))) == 2 * 2 * 64 * 25 * 24
with FlopCounterMode(display=False) as counter:
    conv(torch.randn(2, 3, 16, 16))
assert counter.get_total_flops() == 2 * 2 * 64 * 25 * 24

step = nn.LSTM(10, 12)
places, d, h = 5, 10, 12
expected = 8 * places * 3 * h * (d + h)
assert flops(lambda: step(torch.randn(places, 3, d))) == expected
print("a linear layer, a convolution and an LSTM: as counted on paper")

# %% [markdown]
# Now whole models: the four above and one of each other family, for one image on the way forward.

# %%
torch.manual_seed(0)
mlp = models.VAE.mlp((1, 28, 28), 2, latent_dim=20, hidden=(400,))
conv_vae = models.VAE.conv((1, 28, 28), 2, latent_dim=20)
lstm = models.pixel_lstm((1, 28, 28), 2, hidden=32)
transformer = models.image_transformer((1, 28, 28), 2, width=32, layers=2)
binary = torch.zeros(4, 1, 28, 28, dtype=torch.uint8)
colours = torch.zeros(4, 3, 32, 32)
forwards = {
    "VAE, MLP": (mlp, lambda: mlp.elbo(binary)),
    "VAE, conv": (conv_vae, lambda: conv_vae.elbo(binary)),
    "DCGAN, D alone": (
        gan.discriminator,
        lambda: gan.discriminator(colours),
    ),
    "pixel LSTM": (lstm, lambda: lstm.log_prob(binary)),
    "Row LSTM": (row, lambda: row.log_prob(binary)),
    "Gated PixelCNN": (gated, lambda: gated.log_prob(binary)),
    "transformer": (transformer, lambda: transformer.log_prob(binary)),
}
counts = {}
print("                parameters  MFLOP an image  per parameter  back : forth")
for name, (network, run) in forwards.items():
    weights = sum(p.numel() for p in network.parameters())
    one_way = flops(run)
    both = flops(lambda run=run: run().sum().backward())
    counts[name] = (weights, one_way / 4, both / one_way - 1)
    print(
        f"{name:15}{weights:11,}{one_way / 4e6:16.1f}"
        f"{one_way / 4 / weights:15.0f}{both / one_way - 1:14.1f}"
    )
    assert 1.5 < both / one_way - 1 <= 2

# %% [markdown]
# Three things to see. The ratio of back to forth is close to two, and lower where the first layer has
# much of the work: it has no $\bar X$ to compute. In an MLP each weight is used once an image, two
# FLOPs a parameter; so a training step costs **six FLOPs per parameter and image**, a rule of thumb
# for networks without shared weights. And the models that write pixel by pixel use each weight at
# every pixel: per parameter they compute a hundred times more, or thousands. Their few weights are no
# bargain.
#
# (sec-scale-roofline)=
# ## Bytes: the roof over every layer
#
# Why does an operation with few FLOPs take time? Because its numbers must come from somewhere. A
# processor that can do $P$ FLOPs a second reads and writes memory at $\beta$ bytes a second. If an
# operation needs $F$ FLOPs and moves $Q$ bytes, it takes at least $F/P$ seconds for the first and at
# least $Q/\beta$ for the second, and at best both happen at the same time. Divide $F$ by that time:
#
# ```{math}
# :label: eq-scale-roofline
# \begin{aligned}
# t &\ge \max\Bigl(\frac{F}{P},\frac{Q}{\beta}\Bigr), \\
# \frac{F}{t} &\le \min\bigl(P,\;\beta I\bigr), \qquad I=\frac{F}{Q}.
# \end{aligned}
# ```
#
# $I$ is the **arithmetic intensity**, in FLOPs per byte. Drawn against it on logarithmic axes the
# right side is a slope that ends in a flat roof: the **roofline** {cite:p}`williams2009`. Left of the
# edge $I=P/\beta$ an operation is limited by memory, and a faster processor does nothing for it.
# Right of the edge it is limited by arithmetic.
#
# What is the intensity of a linear layer? With $s$ bytes a number, each of its three matrices moved once:
#
# $$
# I_\text{linear}=\frac{2Nab}{s\,(Na+ab+Nb)}
#  =\frac{2}{s}\cdot\frac{1}{\frac1N+\frac1a+\frac1b} .
# $$ (eq-scale-intensity)
#
# A sum of inverses: **the smallest of the three sizes decides**. With a batch of $N=1$ it is below
# $2/s$, half a FLOP a byte in float32, however large the layer: every weight is fetched for one
# multiplication. The batch is what the weights are fetched *for*. A convolution with $M=NH'W'$ places
# is the same with $k^2C$ and $k^2C'$ in place of $a$ and $b$:
#
# ```{math}
# :label: eq-scale-conv-intensity
# \begin{aligned}
# I_\text{conv}&=\frac{2\,M k^2CC'}{s\,(MC+k^2CC'+MC')} \\
#  &=\frac2s\cdot\frac{1}{\frac1M+\frac1{k^2C}+\frac1{k^2C'}}
# \end{aligned}
# ```
#
# (stride one, so that there are as many places before as behind). Every pixel is used $k^2$ times,
# and every weight at every place: this is why convolutions keep a processor busy even with few
# images.
#
# At the other end stand the operations without reuse. An activation reads a number and writes one,
# eight bytes for a FLOP or a few. Adam reads a weight, its gradient and two means, and writes three
# of them back: 28 bytes for about a dozen FLOPs, whatever the batch. And one more number, for later:
# what training keeps in memory for each parameter, in float32, is
#
# $$
# \underbrace{4}_{\text{weight}}+\underbrace{4}_{\text{gradient}}
#  +\underbrace{4+4}_{\text{Adam's means}}=16\ \text{bytes},
# $$ (eq-scale-state)
#
# before a single activation.
#
# ```{admonition} Predict, then run
# :class: tip
# A layer with a matrix of 2048×2048 gets batches of 1, 4, 16, … 1024 vectors. How does the time *per
# vector* change? And at which batch will it stop falling?
# ```
#
# We measure both ceilings, one large product and one large copy, then the layer. Your machine will
# draw its own roof.


# %% tags=["hide-input"]
def seconds(run, repeats=5):
    """The shortest time of some runs: others may use the machine too."""
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times[1:])  # the first one warms up


square = torch.randn(1024, 1024)
long = torch.randn(16_000_000)  # 64 MB: more than most caches hold
target = torch.empty_like(long)
with torch.inference_mode():
    peak = 2 * 1024**3 / seconds(lambda: square @ square)
    bandwidth = 2 * 4 * len(long) / seconds(lambda: target.copy_(long))
    width = 2048
    weight = torch.randn(width, width)
    speeds = []
    for batch in (1, 4, 16, 64, 256, 1024):
        vectors = torch.randn(batch, width)
        work = 2 * batch * width**2
        intensity = work / 4 / (2 * batch * width + width**2)
        speeds.append(
            (batch, intensity, work / seconds(lambda v=vectors: v @ weight, 3))
        )
    activation = len(long) / seconds(
        lambda: torch.clamp(long, min=0, out=target)
    )

# %% tags=["hide-input"] mystnb={"image": {"alt": "Logarithmic axes, FLOPs a second against FLOPs per byte. A dashed line rises and turns into a flat roof. Dots of one linear layer, labelled with batches from 1 to 1024, climb from the left to the right and level off; a square for the ReLU lies at the far left, much lower than the last dots."}, "figure": {"caption": "The roofline {eq}`eq-scale-roofline` of the machine that made this page, one thread, float32. Dots: a linear layer of 2048×2048 with batches of 1 to 1024. A dot may lie above the slope where its matrix stays in a cache, which is faster than memory.", "name": "fig-scale-roofline"}}
figure, axes = viz.subplots(height=3.0)
reach = [0.08, peak / bandwidth, 400]
axes.loglog(
    reach, [reach[0] * bandwidth / 1e9, peak / 1e9, peak / 1e9], "--", c="black"
)
axes.loglog([i for _, i, _ in speeds], [v / 1e9 for *_, v in speeds], "o")
for batch, intensity, speed in speeds:
    axes.annotate(
        str(batch),
        (intensity, speed / 1e9),
        (5, -9),
        textcoords="offset points",
    )
axes.loglog([1 / 8], [activation / 1e9], "s")
axes.annotate(
    "ReLU",
    (1 / 8, activation / 1e9),
    (7, -9),
    textcoords="offset points",
)
axes.set(
    xlabel="arithmetic intensity, FLOPs per byte",
    ylabel="GFLOP a second",
    ylim=(activation / 3e9, 2 * max(peak, *[v for *_, v in speeds]) / 1e9),
)
figure

# %% [markdown]
# With one vector the layer is far from what the processor can do; as the batch grows it climbs
# along the slope, and then levels off under the roof. There, a vector more costs as much again: the
# batch has done what it can do for speed.
#
# The roof says which cure fits. Under the *slope*: move fewer bytes. Larger batches, shorter numbers
# (bfloat16 halves $s$), operations **fused** so that a value is read once and used three times.
# Under the *flat part*: do fewer FLOPs, or do them on units made for it. And where neither line is
# near, as in the small VAE of {numref}`fig-scale-profile`, the machine waits for Python: give it more
# work at a time. (The library's {py:func}`genlearn.bench.measure_ceilings` measures both ceilings with
# more care, and `genlearn bench` says of each recipe under which of them it stands.)
#
# (sec-scale-families)=
# ### The families under the roof
#
# Now whole training steps. `cost_of` adds up the bytes of all operations, those of activations and
# normalisations too, as if nothing stayed in a cache. So the intensities below are a little too low,
# and they are the same on every machine.
#
# ```{admonition} Predict, then run
# :class: tip
# For which family does a larger batch raise the intensity of a step most? Which has the lowest with a
# large batch, and which operation of it could be to blame?
# ```


# %%
families = {
    "VAE, MLP": (mlp, "elbo"),
    "VAE, conv": (conv_vae, "elbo"),
    "Row LSTM": (row, "log_prob"),
    "Gated PixelCNN": (gated, "log_prob"),
    "transformer": (transformer, "log_prob"),
}
batch_sizes = (1, 8, 64)


def intensity_of(name, size):
    """FLOPs a byte of a training step: from shapes alone."""
    model, method = families[name]
    model = copy.deepcopy(model).to("meta")  # where nothing is computed
    images = torch.zeros(size, 1, 28, 28, dtype=torch.uint8, device="meta")

    def step():
        getattr(model, method)(images).mean().backward()

    with torch.device("meta"), sdpa_kernel(SDPBackend.MATH):
        return cost_of(step).intensity


intensities = {
    name: [intensity_of(name, size) for size in batch_sizes]
    for name in families
}
ends = {name: (found[0], found[-1]) for name, found in intensities.items()}
assert ends["VAE, MLP"][1] > 8 * ends["VAE, MLP"][0]
assert ends["Gated PixelCNN"][1] < 1.3 * ends["Gated PixelCNN"][0]
lowest = min(ends, key=lambda name: ends[name][1])
others = [last for name, (_, last) in ends.items() if name != lowest]
assert 2 * ends[lowest][1] < min(others)
print("lowest with a batch of 64:", lowest)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Arithmetic intensity of a training step against batch size, both axes logarithmic, five lines. That of the MLP VAE rises steeply from below one. Those of the convolutional VAE, the Row LSTM and the Gated PixelCNN rise little or not at all, between 3 and 14. That of the transformer is flat, and below 2."}, "figure": {"caption": "FLOPs for each byte in a training step, counted, for images of 28×28 pixels.", "name": "fig-scale-intensity"}}
figure, axes = viz.subplots(height=2.7)
for name, found in intensities.items():
    axes.loglog(batch_sizes, found, "o-", label=name)
axes.set(xlabel="batch size", ylabel="FLOPs per byte", ylim=(0.3, 20))
axes.set_xticks(batch_sizes, [str(size) for size in batch_sizes])
axes.set_yticks([0.5, 1, 2, 5, 10, 20], ["0.5", "1", "2", "5", "10", "20"])
axes.minorticks_off()
axes.legend(ncols=2, loc="lower right")
figure

# %% [markdown]
# The MLP lives by its batch, as {eq}`eq-scale-intensity` says. The convolutions have their reuse
# from the pixels of one image, {eq}`eq-scale-conv-intensity`, and what keeps them down is the
# operations between them. And the transformer? In its plain form it writes a matrix of $n\times n$
# weights, takes its softmax, and reads it again, with only a few multiplications for each entry. This
# is what {cite:t}`dao2022` cured, by computing the matrix piece by piece in fast memory and never
# writing it.

# %% [markdown]
# (sec-scale-switches)=
# ## What each switch buys
#
# Switches are offered by the dozen. For each ask two questions: which limit does it move, and what
# does it change in the *result*? The second has an answer that does not depend on the machine.
#
# | switch | moves | the result |
# | --- | --- | --- |
# | **vectorise**: one operation in place of a loop | Python | the same, up to rounding |
# | **larger batch** | Python, and bytes {eq}`eq-scale-intensity` | other gradients: {ref}`sec-scale-noise` |
# | **fused optimiser**: all of a weight's update in one pass | Python, and bytes | the same, up to rounding |
# | **channels last**: the channels of a pixel next to each other | the layout that convolutions want | the same, up to rounding |
# | **compile**: short operations fused into long ones | Python, and bytes | the same, up to rounding |
# | **bfloat16** | bytes, and units made for it | rounded to eight bits: {ref}`sec-scale-bf16` |
# | **accumulate**: several batches for one update | memory | that of one large batch, but for batch norm |
#
# Check the last column first.

# %%
torch.manual_seed(0)
logits = torch.randn(128, 64, 17)
levels = torch.randint(17, (128, 64))


def in_a_loop():
    total = torch.zeros(128)
    for pixel in range(64):
        log_probs = logits[:, pixel].log_softmax(1)
        total += log_probs[torch.arange(128), levels[:, pixel]]
    return total


def at_once():
    log_probs = logits.log_softmax(2)
    return log_probs.gather(2, levels.unsqueeze(2)).sum((1, 2))


torch.testing.assert_close(in_a_loop(), at_once())

adams = []
for fused in (False, True):
    torch.manual_seed(0)
    weights = [torch.randn(64, 64), torch.randn(64)]
    adam = torch.optim.Adam(weights, lr=1e-2, fused=fused)
    for _ in range(10):
        for weight in weights:
            weight.grad = weight.cos()
        adam.step()
    adams.append((weights, adam))
for plain_one, fused_one in zip(adams[0][0], adams[1][0], strict=True):
    torch.testing.assert_close(plain_one, fused_one)

critic = gan.discriminator.eval()
last = copy.deepcopy(critic).to(memory_format=torch.channels_last)
pictures = torch.randn(32, 3, 32, 32)
with torch.no_grad():
    usual = critic(pictures)
    torch.testing.assert_close(
        last(pictures.to(memory_format=torch.channels_last)),
        usual,
        rtol=1e-4,
        atol=1e-4,
    )
    with torch.autocast("cpu", torch.bfloat16):
        halved = critic(pictures).float()
error = (halved - usual).abs().max() / usual.abs().max()
assert 0 < error < 0.1
print("loop, fused, channels last: the same; bfloat16: within a tenth")

# %% [markdown]
# Accumulation gives the gradient of the large batch, because a gradient of a mean is the mean of the
# gradients (a line that becomes {eq}`eq-scale-union` below). It saves memory: the way back needs
# numbers from the way forward, and they are kept for one small batch at a time. How many bytes are
# kept? PyTorch lets us see each tensor that it stores.


# %%
def gradient(images, pieces):
    """Mean gradient of a VAE over pieces of a batch, and most bytes kept."""
    mlp.zero_grad()
    most = 0
    for piece in images.chunk(pieces):
        kept = {}

        def pack(tensor, kept=kept):
            storage = tensor.untyped_storage()
            kept[storage.data_ptr()] = storage.nbytes()
            return tensor

        noise = torch.zeros(len(piece), 20)  # the mean code, for comparison
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
            loss = -mlp.elbo(piece, noise).mean() / pieces
        loss.backward()
        weights = {p.untyped_storage().data_ptr() for p in mlp.parameters()}
        most = max(most, sum(n for at, n in kept.items() if at not in weights))
    return [p.grad.clone() for p in mlp.parameters()], most


images = torch.randint(2, (256, 1, 28, 28)).to(torch.uint8)
whole, bytes_whole = gradient(images, 1)
parts, bytes_parts = gradient(images, 8)
for one, other in zip(whole, parts, strict=True):
    torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)
assert 6 < bytes_whole / bytes_parts < 9
print("eight pieces: the same gradient; about an eighth of the bytes are kept")

# %% [markdown]
# And the first question? Here is what the switches buy on the machine that made this page. Look at
# the bars as an example, and run the cell for yours: a processor without instructions for bfloat16
# has to imitate it, and may be slower with the switch than without. (Compiling needs a C++ compiler,
# so it is left out here.)


# %% tags=["hide-input"]
def both_ways(network, batch, low=False):
    def run():
        with torch.autocast("cpu", torch.bfloat16, enabled=low):
            out = network(batch)
        out.float().sum().backward()

    return run


few, many = images[:8], images
fused_gain = []
for fused in (False, True):
    adam = torch.optim.Adam(mlp.parameters(), fused=fused)
    fused_gain.append(seconds(adam.step))
tall = pictures.to(memory_format=torch.channels_last)
float32 = seconds(both_ways(critic, pictures))
gains = {
    "64 pixels at once, not in a loop": seconds(in_a_loop) / seconds(at_once),
    "batch of 256, not 8 (per image)": 32
    * seconds(lambda: mlp.elbo(few).mean().backward())
    / seconds(lambda: mlp.elbo(many).mean().backward()),
    "fused Adam (its step alone)": fused_gain[0] / fused_gain[1],
    "channels last (a discriminator)": float32 / seconds(both_ways(last, tall)),
    "bfloat16 (a discriminator)": float32
    / seconds(both_ways(critic, pictures, low=True), 3),
}

# %% tags=["hide-input"] mystnb={"image": {"alt": "Horizontal bars on a logarithmic axis around a line at one: how many times faster each of five switches is. Computing all pixels at once and the larger batch have bars to the right of the line."}, "figure": {"caption": "How many times as fast, with the switch: on the machine that made this page, one thread. Left of the line it is slower.", "name": "fig-scale-switches"}}
figure, axes = viz.subplots(height=2.2)
axes.barh(list(gains), [gain - 1 for gain in gains.values()], left=1)
axes.axvline(1, color="black", lw=1)
axes.set(xscale="log", xlabel="times as fast")
axes.set_xlim(min(0.4, *gains.values()) / 1.2, 1.3 * max(gains.values()))
for place, gain in enumerate(gains.values()):
    axes.annotate(
        f"{gain:.1f}",
        (max(gain, 1), place),
        (4, -3),
        textcoords="offset points",
    )
ticks = [
    t
    for t in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50)
    if axes.get_xlim()[0] < t < axes.get_xlim()[1]
]
axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
axes.minorticks_off()
axes.invert_yaxis()
figure

# %% [markdown]
# Single operations promise more than a training keeps: {eq}`eq-scale-amdahl`. So here are whole
# training steps, from the record of `python benchmarks/fast_settings.py` ({doc}`/recorded_results`
# says on which machine): how many times as fast as a loop written by hand in float32, with each switch
# alone, and in `fit` with those that help.

# %%
results = Path("../../benchmarks/results")
fast = json.loads((results / "fast_settings.json").read_text("utf-8"))
switches = ["fused", "channels-last", "bf16", "compile"]
print(f"{'':15}{''.join(f'{s:>14}' for s in switches)}{'in fit':>9}")
for name, model in fast["models"].items():
    alone = [model["speed"].get(switch) for switch in switches]
    cells = "".join(f"{'' if v is None else f'{v:.2f}':>14}" for v in alone)
    print(f"{name:15}{cells}{model['fit']['speed']:9.2f}")
    assert max(v for v in alone if v is not None) == model["speed"]["bf16"]
    assert model["fit"]["settings"].count("bf16") == 1
compiled = [
    n for n, m in fast["models"].items() if "compile" in m["fit"]["settings"]
]
assert compiled == ["Gated PixelCNN"] and fast["bf16_support"] == "AVX512-BF16"

# %% [markdown]
# Differences of a few percent are noise. What is left is one lesson: bfloat16 brings nearly all of it,
# on a processor that has instructions for it. Compiling pays for the Gated PixelCNN alone, which has
# dozens of short operations between its products, and costs half a minute at the start. On another
# machine the table is another; `genlearn train` says in its first line what is on, and why.
#
# Two things that one might fear cost nothing worth a switch: the loop itself, and getting the next
# batch. Both are on record, in one run with loops written by hand and with a DataLoader that transforms
# image by image.

# %%
overhead = json.loads((results / "fit_overhead.json").read_text("utf-8"))
costs = [
    model["fit_over_own_loop"]["overhead"]
    for model in overhead["models"].values()
]
assert max(costs) < 0.03
fetching = json.loads((results / "batches.json").read_text("utf-8"))
wait = fetching["milliseconds_a_batch"]
assert wait["at"] < 0.05 and wait["loader"] > 20 * wait["at"]
print(f"fit costs less than 3 % over a loop by hand, for {len(costs)} models")
print("a batch of MNIST: below 0.05 ms, less than a 20th of a DataLoader's")

# %% [markdown]
# **What is different on a GPU?** The roof is higher, and its edge lies further to the right, so
# batches, bfloat16 and fusing matter more. And a GPU works behind the host's back: the host
# only *orders* operations, and goes on, until someone wants to know a result. A printed loss,
# `.item()`, an `if` on a tensor: then the host waits for the GPU, and after that the GPU for
# the host. So `fit` reads nothing between two log points, and the data lie on the device from
# the start. What that buys there has not yet been run.

# %% [markdown]
# (sec-scale-bf16)=
# ## Eight bits of precision
#
# Half the bytes, and several times the speed on units made for it. What is the price? A **bfloat16**
# has 16 bits: one for the sign, eight for the exponent, seven for the digits behind the point. It is
# a float32 with its last 16 bits cut off: the same range, far fewer digits. Between $2^e$ and
# $2^{e+1}$ lie $2^7=128$ numbers, a distance of
#
# $$
# \delta=2^{e-7}
# $$ (eq-scale-spacing)
#
# apart. Rounding to the nearest errs by at most half of it, $2^{e-8}$, and $|x|\ge2^e$, so
#
# $$
# |\operatorname{bf}(x)-x|\le\tfrac12\,\delta\le2^{-8}\,|x| ,
# $$ (eq-scale-rounding)
#
# about 0.4 %. (With the digit before the point these are eight significant bits; float32 has 24, and
# $2^{-24}$ here.) Three consequences, in order of harm.
#
# **A product hardly suffers.** Inputs and outputs are rounded, 0.4 % each, to both sides, and the sum
# between them is usually kept in float32. Networks live with far larger noise.
#
# **A loss suffers.** Between 64 and 128 the numbers of bfloat16 are half a unit apart. The bound of
# {ref}`ch-vae`, some 86 nats, could be written as 86 or 86.5, and nothing in between: differences
# between models that took us an evening to get would be lost in the last digit. Logarithms and sums
# of a likelihood belong into float32, and every loss of this library is computed there, whatever the
# networks do.
#
# **A weight suffers most**, because it is a *sum* of many small updates. Let $w$ lie in
# $[2^e,2^{e+1})$. Its neighbours are $\delta$ away, or $\delta/2$ below it where $w=2^e$. An update
# $d$ of less than half of the smaller distance rounds back to where it came from. And $|w|<2^{e+1}$
# gives $2^{-9}|w|<2^{e-8}=\delta/2$, while $w=2^e$ gives $2^{-9}|w|=\delta/4$: so
#
# $$
# |d|<2^{-9}|w|\quad\Longrightarrow\quad\operatorname{bf}(w+d)=w .
# $$ (eq-scale-lost)
#
# The update is not rounded, it is *lost*, and so is the next. A thousand updates of $w/1000$, which
# should double $w$, leave it where it was. Whoever adds ones gets to 256 and no further.
#
# ```{admonition} Predict, then run
# :class: tip
# The next number after 256 in bfloat16 is 258. So 257 lies in the middle. Which way does it round, and
# why does that settle the sum of ten thousand ones?
# ```


# %%
def bf(x):
    """Round to bfloat16, and write the result as float32."""
    return x.bfloat16().float()


total = torch.tensor(0.0).bfloat16()
for _ in range(10_000):
    total = total + 1
assert total == 256
weight = torch.tensor(1.0).bfloat16()
for _ in range(1000):
    weight = weight + 0.001
assert weight == 1
below, above = torch.tensor([86.24, 86.26])
assert bf(below) == 86.0 and bf(above) == 86.5
print("ten thousand ones, one by one, in bfloat16:", total.item())
print("1 and a thousand times 0.001:", weight.item())
print("losses of 86.24 and 86.26:", bf(below).item(), "and", bf(above).item())

# %% [markdown]
# (A half is rounded to the neighbour whose last bit is zero, here 256, so the sum stays for ever.)
#
# Two cures exist. **Master weights**: keep the weights in float32, where an update may be $2^{-25}$ of
# its weight, and round a *copy* for each forward pass {cite:p}`micikevicius2017`. This is what
# `precision="bf16"` means in {py:func}`genlearn.training.fit`: weights, their gradients and
# the optimiser stay in float32, and only the products are done in bfloat16 (`torch.autocast`).
#
# **Stochastic rounding**: round up with a chance that grows with the distance to the lower neighbour. For
# $x$ between neighbours $l\le x\le u$,
#
# ```{math}
# :label: eq-scale-stochastic
# \begin{aligned}
# \Pr[\text{up}]&=\frac{x-l}{u-l}, \\
# \E[\operatorname{sr}(x)]&=l+(u-l)\Pr[\text{up}]=x, \\
# \operatorname{Var}[\operatorname{sr}(x)]&=(x-l)(u-x).
# \end{aligned}
# ```
#
# (The variance of a number that is $u$ with chance $\pi$ and $l$ otherwise is $(u-l)^2\pi(1-\pi)$.)
# Each update is rounded wrongly, and on average they are all there. It needs no second copy; the
# noise is the price. Where an update is $10^{-3}$ of its weight, the next number is four to eight
# times as far away: one update in so many moves the weight, by so much, and the sum is right.


# %%
def stochastic(x, generator=None):
    """Round float32 to bfloat16, up or down by chance; as float32."""
    bits = x.view(torch.int32)
    chance = torch.randint(2**16, x.shape, generator=generator).int()
    return ((bits + chance) & -(2**16)).view(torch.float32)  # cut 16 bits off


torch.manual_seed(0)
x = torch.tensor([1.003, -0.3, 86.26, 257.0])
draws = stochastic(x.repeat(200_000, 1))
spacing = torch.exp2(x.abs().log2().floor() - 7)
assert (draws == bf(draws)).all()  # they are numbers of bfloat16
assert ((draws.mean(0) - x).abs() < 0.005 * spacing).all()
lower = (x / spacing).floor() * spacing
torch.testing.assert_close(
    draws.var(0), (x - lower) * (lower + spacing - x), rtol=0.02, atol=1e-7
)
total = torch.zeros(1000)
for _ in range(10_000):
    total = stochastic(total + 1)
assert 9_000 < total.mean() < 11_000
print("ten thousand ones, rounded by chance: right on average")

# %% [markdown]
# The function adds a random number to the 16 bits which are then cut off: they overflow into the ones
# that stay with exactly the right chance. What the lost updates do to a training is this chapter's
# failure, {ref}`sec-scale-failure`.

# %% [markdown]
# (sec-scale-processes)=
# ## Several processes, one training
#
# Suppose one device is not enough. The most common way to use $W$ of them is also the
# simplest: **each process has its own copy of the network and its own part of the batch**.
# Each computes the gradient of its part, all average their gradients, and each takes the same
# step. Why is that right?
#
# Let the union of the parts be a batch of $N=N_1+\dots+N_W$ images with loss $\ell_i$ each, and let
# $g_r$ be the gradient of process $r$'s *mean* loss. The gradient of the mean over the union is
#
# ```{math}
# :label: eq-scale-union
# \begin{aligned}
# \nabla\,\frac1N\sum_{i=1}^{N}\ell_i
#  &=\sum_{r=1}^{W}\frac{N_r}{N}\,\nabla\,\frac{1}{N_r}\sum_{i\in r}\ell_i
#   =\sum_{r=1}^{W}\frac{N_r}{N}\,g_r \\
#  &=\frac1W\sum_{r=1}^{W}g_r\qquad\text{if all parts are equally large.}
# \end{aligned}
# ```
#
# A gradient is linear, and that is all. Note the condition: with parts of unequal size the plain average
# is the gradient of something else. Here batches have one size always. And note what it says of
# accumulation: it is the same sum, done one after the other. **Two processes are one process
# with `accumulate=2`**, if the two see the batches, and draw the noise, that the one would.
#
# ### What is not linear: batch normalisation
#
# One layer breaks the argument. Batch normalisation subtracts a mean and divides by a deviation *of
# the batch*, and each process knows only its part. With means $m_r$ and variances $v_r$ of equal
# parts, those of the union are
#
# $$
# m=\frac1W\sum_r m_r,\qquad
# v=\underbrace{\frac1W\sum_r v_r}_{\text{within}}
#  +\underbrace{\frac1W\sum_r(m_r-m)^2}_{\text{between}} .
# $$ (eq-scale-between)
#
# (Write $x-m=(x-m_r)+(m_r-m)$, square, and average over a part: the mixed term is zero, as $x-m_r$
# has mean zero there. Then average over the parts.) The parts' own variances lack the second term: on
# average a process divides by too little. With $n$ independent values of variance $\sigma^2$ in a
# part, $\E[v_r]=(1-\frac1n)\sigma^2$: half of it is missing with two values, three percent with 32.
# So two processes with batch normalisation are *not* one with the large batch, though they are still
# one with `accumulate=2`, which normalises each part by itself as well. Where each has few images,
# the statistics must be exchanged too.
#
# (sec-scale-ring)=
# ### Everyone's sum, at a small price
#
# How do $W$ processes average a gradient of $S$ bytes? If all send theirs to the first, it receives
# $(W-1)S$ bytes and sends as many back, and the others wait. The **ring** does better: nobody is
# first.
#
# ````{prf:algorithm} Ring all-reduce
# :label: alg-scale-ring
#
# **Input** one vector in each of $W$ processes, which sit in a ring; each vector is cut into $W$
# chunks of equal size
#
# 1. **Add up.** In round $t=0,\dots,W-2$ process $r$ sends its chunk $r-t$ to process $r+1$, which
#    adds it to its own. (All numbers modulo $W$; all processes send at once.)
# 2. **Hand round.** Now process $r$ has the full sum of chunk $r+1$. In round $t=0,\dots,W-2$ it
#    sends chunk $r+1-t$ to process $r+1$, which replaces its own by it.
# ````
#
# A chunk starts its journey at one process, and collects the others' on its way once around. Each of
# the two parts has $W-1$ rounds, in each of which a process sends one chunk of $S/W$ bytes:
#
# $$
# \text{bytes sent by each process}=2(W-1)\cdot\frac SW=2\,\frac{W-1}{W}\,S\;<\;2S .
# $$ (eq-scale-ring)
#
# Two processes or two thousand: nobody sends more than twice the gradient. No scheme sends less
# {cite:p}`patarasuk2009`. What does grow with $W$ is the number of rounds, each of which waits for
# the slowest.
#
# As every chunk is added up once, by one chain of processes, and then copied, **all processes hold
# the same bits**. Their weights can never drift apart, whatever the order of the sums.
#
# (sec-scale-scratch)=
# ## From scratch
#
# Here is the whole of data parallelism, with lists in place of machines. First the ring.


# %%
def ring_all_reduce(vectors):
    """Sum of all vectors, for each of them; and how many numbers each sent."""
    count = len(vectors)
    chunks = [list(vector.tensor_split(count)) for vector in vectors]
    sent = [0] * count

    def everyone_sends(chunk_of, receive):
        letters = [chunks[r][chunk_of(r)].clone() for r in range(count)]
        for r, letter in enumerate(letters):
            sent[r] += letter.numel()
            neighbour, place = (r + 1) % count, chunk_of(r)
            chunks[neighbour][place] = receive(chunks[neighbour][place], letter)

    for t in range(count - 1):  # add up
        everyone_sends(
            lambda r, t=t: (r - t) % count, lambda own, new: own + new
        )
    for t in range(count - 1):  # hand round
        everyone_sends(lambda r, t=t: (r + 1 - t) % count, lambda own, new: new)
    return [torch.cat(pieces) for pieces in chunks], sent


torch.manual_seed(0)
for count in (2, 3, 8):
    vectors = list(torch.randn(count, 840))
    sums, sent = ring_all_reduce(vectors)
    torch.testing.assert_close(sums[0], torch.stack(vectors).sum(0))
    assert all(torch.equal(other, sums[0]) for other in sums)  # to the bit
    assert set(sent) == {2 * (count - 1) * 840 // count}
    print(f"{count} processes: {sent[0]:,} numbers sent by each, of 840")

# %% [markdown]
# Now a training by four processes. Each has its own network and its own Adam; they start from equal
# weights. Draw $k$ of process $r$ is number $kW+r$ of the one stream of batches, and its noise is
# seeded by that number: this is the rule by which the library numbers draws, too.


# %%
def new_training():
    torch.manual_seed(0)
    vae = models.VAE.mlp(digits.shape, digits.levels, hidden=(64,), dropout=0.1)
    return vae, torch.optim.Adam(vae.parameters(), lr=1e-3)


def in_parallel(count, steps, stream):
    """Train by ``count`` processes; return the weights of each."""
    ranks = [new_training() for _ in range(count)]
    for k in range(steps):
        flat = []
        for r, (vae, _) in enumerate(ranks):
            torch.manual_seed(derive_seed(0, k * count + r))
            vae.zero_grad()
            (-vae.elbo(*stream.at(k, r, count)).mean()).backward()
            flat.append(torch.cat([p.grad.flatten() for p in vae.parameters()]))
        sums, _ = ring_all_reduce(flat)
        for (vae, adam), total in zip(ranks, sums, strict=True):
            sizes = [p.numel() for p in vae.parameters()]
            mean = (total / count).split(sizes)
            for p, part in zip(vae.parameters(), mean, strict=True):
                p.grad.copy_(part.view_as(p))
            adam.step()
    return [list(vae.state_dict().values()) for vae, _ in ranks]


unlabelled = data.Split(digits.train.images, None, digits.levels)
stream = data.Batches(unlabelled, 32)
weights = in_parallel(4, 20, stream)
for other in weights[1:]:
    assert all(
        torch.equal(a, b) for a, b in zip(weights[0], other, strict=True)
    )
print("after 20 steps the weights of four processes are equal to the last bit")

# %% [markdown]
# ## The library's version
#
# One process with `accumulate=4` should end with the same weights, up to the order in which four
# numbers were added.

# %%
vae, adam = new_training()
objective = Objective("vae", lambda s: -vae.elbo(*s.batch).mean(), adam)
fit({"vae": vae}, [objective], stream, 20, accumulate=4, device="cpu")

moved = apart = 0.0
for mine, theirs, start in zip(
    weights[0],
    vae.state_dict().values(),
    new_training()[0].state_dict().values(),
    strict=True,
):
    moved += (theirs - start).square().sum()
    apart += (theirs - mine).square().sum()
assert apart < 1e-6 * moved  # squared: a thousandth of the way, at most
print("four processes and accumulate=4: the same training")

# %% [markdown]
# With real processes the ring is that of PyTorch's `torch.distributed` (Gloo on CPUs, NCCL on GPUs),
# started by Lightning Fabric: `genlearn train vae --data digits --devices 4`. The library averages
# all gradients in one flat vector, as above. The tests of this project start two processes and ask
# for the same equality, for a VAE, a GAN and a PixelCNN.
#
# Sending need not wait for the end of the way back, either: the last layer's gradient is ready first,
# and may travel while the others are being computed. {cite:t}`li2020` describe how PyTorch does that,
# in buckets of some megabytes. (This library does not. Its models are small beside their batches.)
#
# ```{admonition} Predict, then run
# :class: tip
# A step takes 100 ms on one process: 90 for the gradient, 10 for the optimiser, which all
# processes do alike. Averaging takes another 10 ms, whatever the number of processes. How many
# times as fast are 8 processes on the same batch? And 64? And how fast can it get?
# ```
#
# The parts that do not shrink decide: 90 ms become $90/W$, and 20 ms stay. Amdahl's law
# {eq}`eq-scale-amdahl`, with sending on top.

# %%
for count in (1, 2, 8, 64, 10_000):
    sending = 0 if count == 1 else 10
    print(
        f"{count:6} processes: {100 / (90 / count + 10 + sending):.1f} times as fast"
    )

# %% [markdown]
# More processes for the *same* batch run into that wall. So one usually gives each process as much
# work as before and lets the batch grow with their number {cite:p}`gustafson1988`. Then the question
# is no longer what the machine can do, but what a larger batch is good for.

# %% [markdown]
# (sec-scale-noise)=
# ## How large should a batch be?
#
# The gradient of a batch is an estimate. Let $g_i$ be the gradient of image $i$ alone, $G$ the mean
# of all of them, and $\Sigma$ their covariance. A batch of $B$ images, drawn independently, has the
# mean gradient $g=\frac1B\sum g_i$ with $\E[g]=G$. The deviations of different images are
# independent, so their mixed terms vanish:
#
# $$
# \E\lVert g-G\rVert^2=\frac1{B^2}\sum_{i=1}^{B}\E\lVert g_i-G\rVert^2=\frac{\operatorname{tr}\Sigma}{B} .
# $$ (eq-scale-noise)
#
# Twice the images, half the variance. What does that buy? Take a step of length $\epsilon$ against
# $g$, on a loss whose second derivatives there are $H$:
#
# $$
# L(\theta-\epsilon g)\approx L-\epsilon\,G^\top g+\tfrac{\epsilon^2}{2}\,g^\top Hg .
# $$
#
# Average over batches. The middle term becomes $-\epsilon\lVert G\rVert^2$. In the last one,
# $\E[g^\top Hg]=G^\top HG+\operatorname{tr}(H\Sigma)/B$, as $g$ has mean $G$ and covariance $\Sigma/B$. A
# parabola in $\epsilon$, whose lowest point is at
#
# ```{math}
# :label: eq-scale-critical
# \begin{aligned}
# \epsilon^*&=\frac{\epsilon_\text{max}}{1+\mathcal B/B}, &
# \Delta L^*&=\frac{\Delta L_\text{max}}{1+\mathcal B/B}, \\
# \epsilon_\text{max}&=\frac{\lVert G\rVert^2}{G^\top HG}, &
# \mathcal B&=\frac{\operatorname{tr}(H\Sigma)}{G^\top HG},
# \end{aligned}
# ```
#
# with $\Delta L_\text{max}=\lVert G\rVert^4/(2\,G^\top HG)$, the decrease that the exact gradient
# gives. This is the argument of {cite:t}`mccandlish2018`, and $\mathcal B$ is their **noise scale**.
# Read it at both ends:
#
# - $B\ll\mathcal B$: the best rate and the progress of a step grow *in proportion to $B$*. Twice the
#   batch, twice the rate, half the steps. This is the **linear rule** {cite:p}`goyal2017`, and why it
#   holds.
# - $B\gg\mathcal B$: both stand still. A larger batch measures more exactly what was known well enough.
#
# If a training takes $S$ steps and sees $E=BS$ images, then $S\propto1+\mathcal B/B$ says
#
# ```{math}
# :label: eq-scale-tradeoff
# \begin{aligned}
# S&=S_\text{min}\Bigl(1+\frac{\mathcal B}{B}\Bigr),\qquad
# E=E_\text{min}\Bigl(1+\frac{B}{\mathcal B}\Bigr), \\
# &\Bigl(\frac{S}{S_\text{min}}-1\Bigr)\Bigl(\frac{E}{E_\text{min}}-1\Bigr)=1 ,
# \end{aligned}
# ```
#
# with $E_\text{min}=\mathcal B\,S_\text{min}$. Time or money: at $B=\mathcal B$ you pay twice the
# least number of images and twice the least number of steps; beyond it you mostly pay.
#
# If $H$ were a multiple of the identity, $\mathcal B$ would be $\operatorname{tr}\Sigma/\lVert
# G\rVert^2$, which can be measured. And several processes measure it for free: their gradients $g_r$
# are of batches of $B$, their mean $\bar g$ is of a batch of $WB$. By {eq}`eq-scale-noise` both
# squared lengths exceed $\lVert G\rVert^2$ by a known part of $\operatorname{tr}\Sigma$, so that
#
# ```{math}
# :label: eq-scale-estimate
# \begin{aligned}
# \operatorname{tr}\Sigma&=\frac{\E\lVert g_r\rVert^2-\E\lVert\bar g\rVert^2}{1/B-1/(WB)}, \\
# \lVert G\rVert^2&=\frac{W\,\E\lVert\bar g\rVert^2-\E\lVert g_r\rVert^2}{W-1} .
# \end{aligned}
# ```
#
# ```{admonition} Predict, then run
# :class: tip
# Does the noise scale of a VAE grow or shrink while it trains? Think of what the images' gradients
# agree on in the beginning.
# ```

# %%
torch.manual_seed(0)
watched = models.VAE.mlp(digits.shape, digits.levels, pixel_features=4)
adam = torch.optim.AdamW(watched.parameters(), lr=2e-3)
objective = Objective("vae", lambda s: -watched.elbo(*s.batch).mean(), adam)
stream = data.Batches(unlabelled, 128)
code_noise = torch.randn(len(unlabelled), 16)  # fixed: part of each image
sizes = (1, 4, 16, 64, 256)


def mean_gradient(index):
    watched.zero_grad()
    elbo = watched.elbo(unlabelled.images[index], code_noise[index])
    (-elbo.mean()).backward()
    return torch.cat([p.grad.flatten() for p in watched.parameters()])


scales, done = {}, 0
for steps in (0, 30, 300):
    fit({"vae": watched}, [objective], stream, steps - done, device="cpu")
    done = steps
    exact = mean_gradient(torch.arange(1000))
    ratios = []
    for size in sizes:
        batches = [torch.randint(1000, (size,)) for _ in range(30)]
        scatter = [
            (mean_gradient(batch) - exact).square().sum() for batch in batches
        ]
        ratios.append(sum(scatter) / 30 / exact.square().sum())
    scales[steps] = torch.tensor(ratios) * torch.tensor(sizes)
    middle = scales[steps].median()
    assert (scales[steps] / middle - 1).abs().max() < 0.6  # falls as 1 / B
first, early, later = [scale.median() for scale in scales.values()]
assert first < 1 < early and later > 5 * early
print("the noise falls as 1/B; the noise scale grows more than fivefold")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Squared noise over squared gradient against batch size, both axes logarithmic, at three moments of a training. Three parallel falling lines; that of step 0 lies lowest, below one everywhere, and each later one is higher. The highest crosses the line at one between batches of 64 and 256."}, "figure": {"caption": "How noisy is the gradient of a batch? Squared deviation from the gradient of all 1,000 images, as a multiple of that gradient's square, at three moments of training a VAE on digits. A line crosses the dashed one at its noise scale.", "name": "fig-scale-noise"}}
figure, axes = viz.subplots(height=2.7)
for steps, scale in scales.items():
    axes.loglog(sizes, scale / torch.tensor(sizes), "o-", label=f"step {steps}")
axes.axhline(1, ls="--", color="black", lw=1)
axes.set(xlabel="batch size", ylabel="noise, relative")
axes.set_xticks(sizes, [str(size) for size in sizes])
axes.minorticks_off()
axes.legend(loc="lower left")
figure

# %% [markdown]
# In the beginning all images agree: the border is dark, the middle bright. One image says as much as
# a thousand. Later they agree on that, and pull apart in the rest; the noise scale rises from below
# one to more than a hundred. So a batch that is wasteful in the first steps may be right in the later
# ones; this is one reason to let the learning rate fall, and one to let the batch grow.
#
# (sec-scale-rate)=
# ## An experiment: a larger batch, and then?
#
# One question: if the batch becomes 16 times as large, what must happen to the learning rate? One
# change at a time: the rate stays; or it grows with the *square root*, 4 times; or *linearly*, 16
# times. All see equally many images.
#
# The theory above was for plain gradient descent. Adam divides each component by the root of its mean
# square. Where noise dominates, that root is itself proportional to $1/\sqrt B$, so Adam's steps grow
# with $\sqrt B$ by themselves, and what is left for the rate is the other $\sqrt B$.
#
# ```{admonition} Predict, then run
# :class: tip
# Which of the three comes closest to the small batch? Does any of them reach it?
# ```


# %%
def trained(size, rate, images=32_000):
    """Train on so many images; return the negative bound on others."""
    torch.manual_seed(0)
    vae = models.VAE.mlp(
        digits.shape, digits.levels, pixel_features=4, dropout=0.2
    )
    adam = torch.optim.AdamW(vae.parameters(), lr=rate)
    objective = Objective("vae", lambda s: -vae.elbo(*s.batch).mean(), adam)
    stream = data.Batches(unlabelled, size)
    fit({"vae": vae}, [objective], stream, images // size, device="cpu")
    return -metrics.mean_elbo(vae, digits.valid, repeats=2).mean


small_batch = trained(16, 1e-3)
results = {
    "the rate as it was": trained(256, 1e-3),
    "square root, 4 times": trained(256, 4e-3),
    "linear, 16 times": trained(256, 16e-3),
}
same, root, linear = results.values()
assert min(root, linear) > small_batch + 2
assert same > max(root, linear) + 5
glue("scale-same", f"{round(same - small_batch, -1):.0f}", display=False)
print("both rules repair most of what the large batch costs, and not all of it")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Four horizontal bars, negative bound on validation images: shortest for the batch of 16; longest for the batch of 256 with the old rate; the two with a larger rate lie between, nearer to the short one."}, "figure": {"caption": "Negative bound on validation images after 32,000 images (lower is better): a batch of 16, and one of 256 with three learning rates.", "name": "fig-scale-rate"}}
figure, axes = viz.subplots(height=1.9)
bars = {"batch 16": small_batch} | {f"256: {n}": v for n, v in results.items()}
colours = [viz.style.ORANGE, *[viz.style.BLUE] * 3]
axes.barh(list(bars), list(bars.values()), color=colours, height=0.6)
axes.set(xlim=(85, None), xlabel="nats per image (validation)")
axes.invert_yaxis()
figure

# %% [markdown]
# With the old rate the large batch takes 16 times fewer steps of the same length, and is some
# {glue:text}`scale-same` nats behind.
# A larger rate repairs most of that. Which of the two rules is better differs from seed to seed here,
# and neither reaches the small batch: 256 lies above the noise scale that we measured, where, by
# {eq}`eq-scale-critical`, no rate helps. What the large batch buys is not fewer images but fewer
# steps, which other processes can share.

# %% [markdown]
# (sec-scale-resume)=
# ## Going on after an interruption
#
# Long runs are interrupted: a machine fails, someone needs it more, a cheap one is taken away at two
# minutes' notice. What must a checkpoint hold so that the run goes on *as if nothing had happened*?
# Everything that the next step depends on:
#
# - the weights, with all buffers (the running statistics of batch normalisation);
# - the optimiser's state: Adam's means, and how many steps it has made;
# - where the schedule of the learning rate is;
# - **which batch comes next**, and the state of every generator of random numbers;
# - running averages of weights, and what else is computed along the way.
#
# Random numbers are the treacherous part. The library has a counter in their place: draw number $k$ has a
# batch and a seed that follow from $k$ alone, so one whole number stands for the order of the
# data, the noise and dropout. Let us interrupt a training at step 60, and leave things out.


# %%
class KeepState(Callback):
    """Copy everything after some step."""

    def __init__(self, step):
        self.step, self.kept = step, None

    def after_step(self, training):
        if training.step == self.step:
            weights = training.modules["vae"].state_dict()
            self.kept = copy.deepcopy((weights, training.state_dict()))


class GoOn(Callback):
    """Begin where a state was kept; forget part of it."""

    def __init__(self, kept, forget=""):
        (self.weights, self.state), self.forget = copy.deepcopy(kept), forget

    def start(self, training):
        training.modules["vae"].load_state_dict(self.weights)
        if self.forget == "Adam's means":
            self.state["optimizers"]["vae"]["state"] = {}
        if self.forget == "the place in the data":
            self.state["draws"] = 0
        training.load_state_dict(self.state)


def train_with(callback, steps=100):
    torch.manual_seed(0)
    vae = models.VAE.mlp(
        digits.shape, digits.levels, pixel_features=4, dropout=0.1
    )
    adam = torch.optim.AdamW(vae.parameters(), lr=5e-3)
    objective = Objective("vae", lambda s: -vae.elbo(*s.batch).mean(), adam)
    stream = data.Batches(unlabelled, 64)
    history = fit(
        {"vae": vae},
        [objective],
        stream,
        steps,
        device="cpu",
        log_every=1,
        callbacks=[callback],
    )
    return vae.state_dict(), history.series("vae/loss")[1]


keep = KeepState(60)
straight, losses = train_with(keep)
resumed = {
    forgot: train_with(GoOn(keep.kept, forgot))
    for forgot in ("", "Adam's means", "the place in the data")
}
for forgot, (weights, _) in resumed.items():
    same = all(torch.equal(weights[name], straight[name]) for name in straight)
    assert same == (forgot == "")
    what = f"without {forgot}" if forgot else "with everything"
    print(f"{what}: {'equal to the last bit' if same else 'another training'}")

# %% [markdown]
# Of the three only one is the same run. The library's way, with real files, a folder and a process
# that may be killed at any moment, is a callback; the command line has it as `--resume`.

# %%
with tempfile.TemporaryDirectory() as folder:
    train_with(Checkpoint(Path(folder), every=30), steps=60)
    weights, tail = train_with(Checkpoint(Path(folder), every=30, resume=True))
assert all(torch.equal(weights[name], straight[name]) for name in straight)
assert tail == losses
print("60 steps, a checkpoint, 40 more: equal to 100, weights and history")

# %% [markdown]
# Is it pedantry to ask for the last bit? There are three reasons for it. A difference that is *known
# to be zero* is the only one that a test can tell from a bug. Forgetting the place in the data hurts
# most where it is least seen: a run that is interrupted each hour, before it has gone through its
# data once, and begins their order anew, never sees the rest of them. And Adam without its means
# takes steps of full length in the direction of the very next gradient's signs, which after a long
# training is a blow.
#
# (sec-scale-often)=
# ### How often?
#
# Writing takes time $C$. If the machine fails once in a time $M$ on average, and checkpoints are a
# time $T$ apart, then each hour of work pays $C/T$ for writing; and a failure, one in each $M$, loses
# half an interval on average:
#
# $$
# \text{cost}(T)\approx\frac CT+\frac{T}{2M},\qquad
# -\frac{C}{T^2}+\frac1{2M}=0\;\Longrightarrow\;T=\sqrt{2CM} .
# $$ (eq-scale-young)
#
# This is the rule of {cite:t}`young1974`. At its optimum the two costs are equal, and sum up to
# $\sqrt{2C/M}$. The approximation takes $T$ to be small beside $M$. Without it: let failures come at
# random, at a rate of $1/M$ while the program runs. An attempt at an interval must get through
# $\ell=T+C$. It does so with probability $e^{-\ell/M}$, so it takes $e^{\ell/M}$ attempts on average,
# all but one of which fail. An attempt lasts $\int_0^\ell e^{-t/M}\,\mathrm dt=M(1-e^{-\ell/M})$ on
# average. If coming back after a failure takes $R$,
#
# ```{math}
# :label: eq-scale-interval
# \begin{aligned}
# \E[\text{time for } T]
#  &=e^{\ell/M}\,M\bigl(1-e^{-\ell/M}\bigr)+R\,\bigl(e^{\ell/M}-1\bigr) \\
#  &=(M+R)\,\bigl(e^{(T+C)/M}-1\bigr).
# \end{aligned}
# ```
#
# (The attempts are independent, so mean number times mean length is right.) Divide by $T$ and set the
# derivative to zero:
#
# $$
# e^{(T+C)/M}\Bigl(1-\frac TM\Bigr)=1,\qquad T=\sqrt{2CM}-\tfrac23\,C+\dots
# $$ (eq-scale-daly)
#
# The time $R$ has gone: how long it takes to come back does not change how often to write. For the
# series take the logarithm of the first equation,
#
# $$
# \frac CM=-\log\Bigl(1-\frac TM\Bigr)-\frac TM
#  =\frac12\Bigl(\frac TM\Bigr)^2+\frac13\Bigl(\frac TM\Bigr)^3+\dots,
# $$
#
# and solve for $T$; {cite:t}`daly2006` has it to higher order.
#
# ```{admonition} Predict, then run
# :class: tip
# A checkpoint takes one minute to write, and a machine is taken away every ten hours on average. How
# far apart should checkpoints be: 5 minutes, half an hour, or two hours? How much worse is twice the
# best distance?
# ```

# %%
writing, between, returning = 1.0, 600.0, 5.0  # minutes


def expected(work):
    """Minutes for each minute of work, by the formula."""
    growth = torch.expm1((work + writing) / between)
    return (between + returning) * growth / work


def simulated(work, intervals=40_000):
    """The same, by failing at random."""
    time = torch.zeros(intervals, dtype=torch.float64)
    waiting = torch.ones(intervals, dtype=torch.bool)
    while waiting.any():
        failure = torch.empty(intervals).exponential_(1 / between)
        through = failure >= work + writing
        spent = torch.where(through, work + writing, failure + returning)
        time += torch.where(waiting, spent, 0.0)
        waiting &= ~through
    return time.mean().item() / work


torch.manual_seed(0)
works = torch.logspace(0.3, 2.8, 400, dtype=torch.float64)
tried = [3.0, 10.0, 35.0, 120.0, 400.0]
drawn = [simulated(work) for work in tried]
for work, mean in zip(tried, drawn, strict=True):
    assert abs(mean / expected(torch.tensor(work)) - 1) < 0.02
best = works[expected(works).argmin()].item()
young = math.sqrt(2 * writing * between)
assert abs(best / young - 1) < 0.04
extra = [expected(torch.tensor(t)).item() - 1 for t in (young, 2 * young)]
glue("scale-young", f"{young:.0f}", display=False)
glue("scale-young-cost", f"{extra[0]:.0%}", display=False)
glue("scale-young-twice", f"{extra[1]:.0%}", display=False)
quick = math.sqrt(2 * 0.005 * 7 * 24 * 3600)  # seconds: 5 ms, once a week
glue("scale-young-quick", f"{quick / 60:.1f}", display=False)
print(f"best: {best:.0f} minutes apart; Young's rule: {young:.0f}")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Time lost against the time between checkpoints, on a logarithmic axis: a wide valley with its floor at about 35 minutes. Dots from a simulation lie on the curve. A dashed line, the approximation, is the same but for long intervals, where it is too low."}, "figure": {"caption": "What is lost to checkpoints and failures, when a checkpoint takes a minute, a failure comes every ten hours, and coming back takes five minutes. Line: {eq}`eq-scale-interval`. Dots: simulation. Dashed: {eq}`eq-scale-young`, with $R/M$ added.", "name": "fig-scale-young"}}
figure, axes = viz.subplots(height=2.6)
axes.semilogx(works, 100 * (expected(works) - 1), label="expected")
axes.semilogx(tried, [100 * (mean - 1) for mean in drawn], "o", label="drawn")
simple = writing / works + works / 2 / between + returning / between
axes.semilogx(works, 100 * simple, "--", label="approximation")
axes.axvline(young, color="grey", lw=0.8)
axes.set(xlabel="minutes between checkpoints", ylabel="% lost", ylim=(0, 60))
axes.set_xticks([2, 5, 10, 20, 50, 100, 200, 500])
axes.set_xticklabels(["2", "5", "10", "20", "50", "100", "200", "500"])
axes.minorticks_off()
axes.legend(loc=(0.2, 0.55))
figure

# %% [markdown]
# About {glue:text}`scale-young` minutes, at a loss of {glue:text}`scale-young-cost`. The valley is
# wide: twice as far apart costs {glue:text}`scale-young-twice`. And writing seldom takes a minute. If
# it takes five milliseconds, as for a small model, and the machine fails once a week, the rule says
# every {glue:text}`scale-young-quick` minutes. Measure $C$, guess $M$, take the root:
# `--checkpoint-minutes` takes the answer.

# %% [markdown]
# (sec-scale-cost)=
# ## What would it cost?
#
# Everything for an estimate is on the table. A training of $S$ steps with $F_\text{step}$ FLOPs each,
# on a device whose ceiling is $P$ FLOPs a second, of which the model reaches the share $u$, takes
#
# $$
# \text{time}=\frac{S\,F_\text{step}}{u\,P} .
# $$ (eq-scale-cost)
#
# $S$ is a decision. $F_\text{step}$ is counted; the model need not even fit into memory, because
# PyTorch has tensors with a shape and no content, on a device called `meta`. The product $uP$, what
# the device **sustains**, is *measured*: FLOPs of some training, divided by its seconds. `genlearn
# bench` does that for every recipe. Here are runs whose seconds are on record, those of
# {ref}`ch-pixelcnn` and its kin on the digits, made by `python benchmarks/pixel_digits.py` on one
# thread; the FLOPs we count now. (The seconds are those of the whole run, with its evaluations, so
# the steps themselves were a little faster.)

# %%
record = json.loads(
    Path("../../benchmarks/results/pixel_digits.json").read_text("utf-8")
)
sustained = {}
for name in record["test_nats"]:
    config = recipes.pixel.config("digits", "full", name)
    model = recipes.pixel.build(config, digits.shape, digits.levels).model
    batch = digits.train.images[: config.batch_size]
    a_step = flops(lambda m=model, b=batch: m.log_prob(b).mean().backward())
    runs = [row for row in record["rows"] if row["model"] == name]
    pace = [row["thread_seconds"] / row["steps"] for row in runs]
    sustained[name] = a_step / (sum(pace) / len(pace))
    print(
        f"{name:16}{a_step / 1e9:5.1f} GFLOP a step, "
        f"{sustained[name] / 1e9:3.0f} GFLOP a second sustained"
    )
least, most = min(sustained.values()), max(sustained.values())
glue("scale-least", f"{least / 1e9:.0f}", display=False)
glue("scale-most", f"{most / 1e9:.0f}", display=False)
glue("scale-spread", f"{most / least:.1f}", display=False)

# %% [markdown]
# One device, and between {glue:text}`scale-least` and {glue:text}`scale-most` GFLOP a second: the
# share differs by a factor of {glue:text}`scale-spread` from model to model. An estimate with the
# speed of *another* model is good to such a factor and no better. Time ten steps of your own.
#
# Now what cannot be run here. Three of the library's `full` settings, for CIFAR-10: a convolutional
# VAE, a residual GAN with five updates of the discriminator a step, and a Gated PixelCNN of 15
# layers. (They have not yet been run at that size. That is what the estimate is for.) For ImageNet
# at 64×64 pixels we keep the settings and the number of images seen, and change the shape alone.


# %%
def flops_a_step(kind, shape):
    """FLOPs of a training step, the number of steps, and of parameters."""
    with torch.device("meta"):  # shapes alone: nothing is computed
        images = torch.zeros(4, *shape, dtype=torch.uint8)
        if kind == "VAE":
            config = recipes.vae.config("cifar10", "full")
            model = recipes.vae.build(config, shape, 256)
            count = flops(lambda: model.elbo(images).mean().backward())
        elif kind == "PixelCNN":
            config = recipes.pixel.config("cifar10", "full", "gated-pixel-cnn")
            model = recipes.pixel.build(config, shape, 256).model
            count = flops(lambda: model.log_prob(images).mean().backward())
        else:
            config = recipes.gan.config("cifar10", "full")
            model = recipes.gan.build(config, shape, 256).model
            step = Step(0, (images,), torch.default_generator)
            count = 0
            for player, loss, times in [
                ("discriminator", model.discriminator_loss, config.repeat),
                ("generator", model.generator_loss, 1),
            ]:
                own = list(model.players[player].parameters())

                def run(loss=loss, own=own):
                    found = loss(step)
                    found = found["loss"] if isinstance(found, dict) else found
                    found.backward(inputs=own)

                count += times * flops(run)
    weights = sum(p.numel() for p in model.parameters())
    return count / 4 * config.batch_size, config.steps, weights


ROW = "{:9}{:>11}{:>15}{:>16}{:>16}"
print(
    ROW.format(
        "", "parameters", "GFLOP a step", "one CPU thread", "100 TFLOP/s"
    )
)
work = {}
for name, shape in {"CIFAR-10": (3, 32, 32), "ImageNet": (3, 64, 64)}.items():
    print(name)
    for kind in ("VAE", "GAN", "PixelCNN"):
        a_step, steps, weights = flops_a_step(kind, shape)
        work[name, kind] = a_step * steps
        days = work[name, kind] / sustained["gated-pixel-cnn"] / 86_400
        hours = work[name, kind] / 100e12 / 3600
        print(
            ROW.format(
                kind,
                f"{weights / 1e6:.1f} M",
                f"{a_step / 1e9:,.0f}",
                f"{days:,.0f} days",
                f"{hours:.1f} hours",
            )
        )

# %% [markdown]
# What is assumed, and has to be said whenever such a table is shown:
#
# - **The speed.** For the thread it is what the recorded Gated PixelCNN sustained; the other two will
#   differ by a factor, as we saw. 100 TFLOP/s *sustained* is an example and no measurement: on a GPU
#   none of this has been run yet.
# - **The number of images.** ImageNet has 1.28 million training images. Seen as often in all as those
#   of CIFAR-10, each is seen ten times or more; a good model of it may want more.
# - **That bytes and Python do not limit**: {ref}`sec-scale-roofline`. A larger model usually sustains
#   more than a small one; a small one on a large device waits for Python.
# - **Nothing but training steps**: no evaluation, no samples, no second try. Plan for several tries.
#
# Four times the pixels are four times the work for a network of convolutions. For attention over
# pixels it would be up to sixteen times, {eq}`eq-scale-attention`. And memory: 16 bytes a parameter
# {eq}`eq-scale-state` are no obstacle here; it is the activations that grow with batch and image.
#
# Now the question that matters before you rent: how sensitive is the answer? Move the slider over
# what your device sustains, which is its ceiling times the share. Then multiply by a price.

# %%


HOURS = {"an hour": 1, "a day": 24, "a month": 730, "a year": 8766}


def bars_of_time(sustained):
    figure, axes = viz.subplots(height=2.6)
    for (name, kind), total in work.items():
        colour = viz.style.BLUE if name == "CIFAR-10" else viz.style.ORANGE
        hours = total / sustained / 3600
        axes.barh(f"{kind}, {name}", hours, color=colour, height=0.6)
    for label, hours in HOURS.items():
        axes.axvline(hours, color="grey", lw=0.8)
        where = axes.get_xaxis_transform()
        axes.text(hours, 1.02, label, transform=where, ha="center")
    axes.set(xscale="log", xlim=(3e-2, 1e5), xlabel="hours")
    axes.invert_yaxis()
    return figure


speeds = {
    "50 GFLOP a second": 5e10,
    "500 GFLOP a second": 5e11,
    "5 TFLOP a second": 5e12,
    "20 TFLOP a second": 2e13,
    "100 TFLOP a second": 1e14,
    "400 TFLOP a second": 4e14,
}
viz.slider(
    [bars_of_time(speed) for speed in speeds.values()],
    [f"sustained: {label}" for label in speeds],
    "sustained",
)

# %% [markdown]
# (sec-scale-failure)=
# ## A failure, made on purpose
#
# Memory is short, so someone stores the weights in bfloat16, all of them, and updates them in place.
# Nothing crashes. `after_step` lets us do the same: it rounds the weights after each update, and
# nothing else. Three trainings from the same start, with the same draws: weights in float32, in
# bfloat16, and in bfloat16 rounded by chance {eq}`eq-scale-stochastic`.


# %%
def stored(rounding, steps=400, rate=1e-4):
    """Train with weights that are rounded after each step."""
    torch.manual_seed(0)
    vae = models.VAE.mlp(
        digits.shape, digits.levels, pixel_features=4, dropout=0.2
    )
    adam = torch.optim.Adam(vae.parameters(), lr=rate)
    weights = list(vae.parameters())
    before = [weight.detach().clone() for weight in weights]
    moved = []

    @torch.no_grad()
    def after_step():
        changed = 0
        for old, weight in zip(before, weights, strict=True):
            weight.copy_(rounding(weight))
            changed += (weight != old).sum().item()
            old.copy_(weight)
        moved.append(changed / sum(w.numel() for w in weights))

    objective = Objective(
        "vae",
        lambda s: -vae.elbo(*s.batch).mean(),
        adam,
        after_step=after_step,
    )
    history = fit(
        {"vae": vae},
        [objective],
        data.Batches(unlabelled, 128),
        steps,
        device="cpu",
        log_every=10,
    )
    gradient = sum(w.grad.square().sum() for w in weights).sqrt()
    return history.series("vae/loss"), sum(moved[-100:]) / 100, gradient


kinds = {
    "float32": lambda weight: weight,
    "bfloat16": bf,
    "bfloat16, by chance": stochastic,
}
runs = {name: stored(rounding) for name, rounding in kinds.items()}
end = {name: losses[-1] for name, ((_, losses), _, _) in runs.items()}
moving = {name: share for name, (_, share, _) in runs.items()}
assert end["bfloat16"] > end["float32"] + 12
assert abs(end["bfloat16, by chance"] - end["float32"]) < 2
assert moving["float32"] > 0.95 and moving["bfloat16"] < 0.5
assert moving["bfloat16, by chance"] < moving["bfloat16"]
assert stored(bf, 100, 2e-5)[1] < 0.7 * moving["bfloat16"]  # a smaller rate
assert runs["bfloat16"][2] > 0.5 * runs["float32"][2]  # a gradient there is
print("weights that a step moves: float32 nearly all, bfloat16 under half")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Training loss against step. The curves of float32 and of bfloat16 rounded by chance lie on each other; that of bfloat16 falls far more slowly and ends high above them."}, "figure": {"caption": "The same training with weights stored in three ways. Only the rounding differs.", "name": "fig-scale-stalled"}}
figure, axes = viz.subplots(height=2.5)
for (name, ((steps, losses), _, _)), style, width in zip(
    runs.items(), ("-", "-", "--"), (4, 2, 1.5), strict=True
):
    axes.plot(steps, losses, style, lw=width, label=name)
axes.set(xlabel="training step", ylabel="nats per image")
axes.legend()
figure

# %% [markdown]
# Rounded by chance, a step moves even *fewer* weights, and training does not notice: over many steps
# each has moved as far as it should. Rounded to the nearest, the same weights stay put each time.
#
# ```{admonition} Symptom, diagnosis, cure
# :class: warning
#
# **Symptom.** The loss falls much more slowly than it should, and a *smaller* learning rate makes it
# worse. The gradient is as large as ever, and nothing is infinite. A step changes only some of the
# weights, and the fewer, the smaller the rate.
#
# **Diagnosis.** The weights are stored in bfloat16, and an update below $2^{-9}$ of its weight is
# lost {eq}`eq-scale-lost`. Large weights stop first, small ones go on. The learning rate does not
# decide how far a weight moves, but whether.
#
# **Cure.** Keep weights and optimiser in float32 and compute in bfloat16 under autocast
# (`precision="bf16"`); where memory does not allow it, round by chance {eq}`eq-scale-stochastic`. To
# find out, count the weights that differ after a step: in float32 it is nearly all.
# ```
#
# ## Exercises
#
# ```{exercise} Activations or arithmetic
# :label: ex-scale-segments
# A network of $n$ equal layers keeps the activations of all of them for the way back. Instead keep
# those of every $k$-th layer only, and compute the ones between again, one segment at a time, when
# the way back needs them. How many layers' activations are in memory at most, and which $k$ is best?
# What does a step cost then?
# ```
#
# ````{solution} ex-scale-segments
# :class: dropdown
# There are $n/k$ kept ones, and $k$ of the segment at work: $n/k+k$, which is smallest at $k=\sqrt
# n$, where it is $2\sqrt n$ {cite:p}`chen2016training`. Every layer is computed forward twice, so a
# step costs $1+1+2=4$ forward passes in place of 3, by {eq}`eq-scale-backward`: a third more. For
# $n=100$ that is 20 layers' activations in place of 100. In PyTorch it is `torch.utils.checkpoint`.
# ````
#
# ```{exercise} The edge of the roof
# :label: ex-scale-edge
# A device does 100 TFLOP/s and moves 2 TB/s. How large must the batch of a wide linear layer
# ($a=b=4096$) be, in bfloat16, to get under the flat part of the roof? And for a convolution 3×3 of
# 64 channels on 32×32 pixels, how many images?
# ```
#
# ````{solution} ex-scale-edge
# :class: dropdown
# The edge is at $I=50$ FLOPs per byte. With $s=2$, {eq}`eq-scale-intensity` asks for
# $\frac1N+\frac{2}{4096}\le\frac1{50}$, hence $N\ge 51.25$: 52 vectors. For the convolution
# $\frac1M+\frac{2}{576}\le\frac{1}{50}$, $M\ge60.5$, and one image has $1024$ places: a single image
# is enough. (It will not fill all the units of such a device, which is another matter: a roof says
# what is possible at most.)
# ````
#
# ```{exercise} Unequal parts
# :label: ex-scale-unequal
# The last batch of an epoch has 40 images. Three processes get 14, 14 and 12 of them, and average
# their gradients. Of which function is the result the gradient? How does
# {py:class}`genlearn.data.Batches` avoid the question?
# ```
#
# ````{solution} ex-scale-unequal
# :class: dropdown
# Of $\frac13$ times the sum of three means: each image of the third part counts $\frac1{36}$, each
# other one $\frac1{42}$, instead of $\frac1{40}$. To be right the parts would be weighted with
# $N_r/N$ {eq}`eq-scale-union`. In `Batches` a batch may end one epoch and begin the next, so all have
# one size.
# ````
#
# ```{exercise} The same batch for all
# :label: ex-scale-same
# Someone seeds every process alike, and all draw the same batches. What does the training equal?
# Would you see it in the loss?
# ```
#
# ````{solution} ex-scale-same
# :class: dropdown
# The mean of equal gradients is that gradient: it is the training of *one* process, at $W$ times the
# price. The loss curve is perfectly healthy. What gives it away is {eq}`eq-scale-noise`: the
# gradients of the processes are equal, where they should differ by the noise, and
# {eq}`eq-scale-estimate` finds $\operatorname{tr}\Sigma=0$.
# ````
#
# ```{exercise} Is it worth the second machine?
# :label: ex-scale-worth
# On one device a step of batch $B=\mathcal B$ takes a second. Two devices, each with $B$, take 1.1 s
# a step. How much sooner is the training done, and what does it cost, in device hours?
# ```
#
# ````{solution} ex-scale-worth
# :class: dropdown
# By {eq}`eq-scale-tradeoff` the number of steps falls from $2S_\text{min}$ to $\frac32S_\text{min}$,
# a factor of $0.75$. Each takes $1.1$ times as long: $0.825$ of the time, at $1.65$ times the device
# hours. With $B=\mathcal B/10$ it would be $S\propto 11$ and $6$: $0.6$ of the time at $1.2$ times
# the cost.
# ````
#
# ## Summary
#
# - Read a profile first; what does not take time need not be made faster {eq}`eq-scale-amdahl`.
# - FLOPs follow from shapes: $2Nab$ for a linear layer, $k^2$ times as much a pixel for a
#   convolution, and twice as much again for the way back {eq}`eq-scale-backward`. Bytes decide
#   whether they can be done at full speed {eq}`eq-scale-roofline`.
# - bfloat16 has eight bits of precision. Products live with it; losses, sums and stored weights do
#   not {eq}`eq-scale-lost`.
# - Several processes that average their gradients are one process with a larger batch
#   {eq}`eq-scale-union`, but for batch normalisation. A ring sends less than twice the gradient,
#   however many they are {eq}`eq-scale-ring`.
# - Noise falls as $1/B$ {eq}`eq-scale-noise`. Below the noise scale a larger batch saves steps in
#   proportion, beyond it nearly none {eq}`eq-scale-critical`.
# - A resumed run is equal to the last bit, or it is another run. Write every $\sqrt{2CM}$
#   {eq}`eq-scale-young`.
# - Hours are steps times FLOPs, divided by a ceiling and a share that you measured {eq}`eq-scale-cost`.
#
# ## Further reading
#
# {cite:t}`williams2009` introduced the roofline, {cite:t}`amdahl1967` his law, in three pages.
# {cite:t}`micikevicius2017` is the paper on training in half precision, with float32 master weights.
# {cite:t}`goyal2017` trained on ImageNet in an hour by the linear rule, and tell what else it took;
# {cite:t}`mccandlish2018` explain how far such a rule reaches. {cite:t}`li2020` describe PyTorch's
# data parallelism, {cite:t}`chen2016training` how to trade arithmetic for memory, {cite:t}`dao2022`
# what thinking in bytes did for attention. {cite:t}`young1974` needs two pages; {cite:t}`daly2006`
# refines it.
