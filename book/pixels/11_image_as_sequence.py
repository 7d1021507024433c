# %% [markdown]
# (ch-sequence)=
# # 11 An image as a sequence
#
# **Reading** 60 minutes · **Running** under 90 seconds on one CPU thread · **Difficulty** ●●○ ·
# **You need** conditional probabilities, {ref}`ch-learn`, a little PyTorch
#
# **Cover the lower half of a picture. Could you go on?** Perhaps not with the right picture, but
# with a plausible one, stroke by stroke, each depending on what is already there. This chapter
# builds a machine that does no more than that: given the pixels so far, it says how probable each
# value of the *next* one is. It will turn out that such a machine knows the exact probability of
# every image, which neither a VAE nor a GAN can tell you.
#
# After this chapter you can
#
# - write the probability of an image as a product, in any order, and say what is exact about it and
#   what is only a choice;
# - explain why an LSTM has gates, with a measured gradient;
# - write an LSTM over pixels from memory, train it, and report its likelihood in honest units;
# - say what teacher forcing is, and why training on the model's own pixels is no improvement;
# - draw images one value at a time, by class if you like, and know what a temperature does.
#
# ```{admonition} Five questions first
# :class: tip
#
# 1. In how many ways can $p(a,b,c)$ be written as a product of conditional probabilities of one
#    variable each?
# 2. A classifier with 17 classes knows nothing. What is its cross-entropy, in nats?
# 3. How do you draw from a table of probabilities with one uniform random number?
# 4. What is $0.8^{28}$, roughly?
# 5. What does maximum likelihood make small?
#
# If three of them come easily, read on. The answers follow.
# ```
#
# ```{admonition} Answers
# :class: dropdown
#
# 1. In six, one for each order of the three.
# 2. $\log17\approx2.83$. Sixty-four of them make 181, a number that returns.
# 3. Add the probabilities up from the left, and take the first place where the sum exceeds it.
# 4. About $0.002$. It is what is left of a signal that loses a fifth at each of 28 steps.
# 5. The divergence $\KL{p_\text{data}}{p_\theta}$, {eq}`eq-learn-ml`.
# ```

# %%
import copy
import itertools
import json
import math
from pathlib import Path

import torch
from myst_nb import glue
from torch import nn

from genlearn import data, models, viz
from genlearn.callbacks import Evaluate
from genlearn.distributions import CategoricalPixels
from genlearn.metrics import bits_per_dim
from genlearn.training import Objective, evaluating, fit

torch.set_num_threads(1)  # models this small are fastest on one thread
digits = data.load("digits")
assert digits.shape == (1, 8, 8) and digits.levels == 17

# %% tags=["hide-input"] mystnb={"image": {"alt": "Left: a handwritten digit of eight by eight pixels; a thin line runs through all pixels, row by row from the top left to the bottom right. Right: the same digit with its first 28 pixels shown, the next one framed in orange and the rest blue. Below: all 64 pixels side by side in one strip, cut into eight pieces of eight by thin lines."}, "figure": {"caption": "Left: the order of reading. Right: what is known when pixel 29 is to be predicted. Below: the same image as a sequence; pixel $i$ has its upper neighbour eight places to the left.", "name": "fig-sequence-order"}}
image = digits.test.images[12, 0]


def frame(axes, place, colour=viz.style.ORANGE):
    """Draw a square around the pixel at a place, 0 … 63, of an image."""
    row, column = divmod(place, 8)
    across = torch.tensor([0, 1, 1, 0, 0]) - 0.5
    down = torch.tensor([0, 0, 1, 1, 0]) - 0.5
    axes.plot(column + across, row + down, color=colour, lw=2.5)


figure, panels = viz.subplot_mosaic(
    [["order", "known"], ["strip", "strip"]], height=4.0, height_ratios=[6, 1]
)
rows, columns = torch.meshgrid(torch.arange(8), torch.arange(8), indexing="ij")
known = image.float().flatten()
known[28:] = math.nan  # drawn in the colour of the background
for name, pixels in {
    "order": image,
    "known": known.view(8, 8),
    "strip": image.view(1, 64),
}.items():
    panels[name].imshow(pixels, vmin=0, vmax=16, aspect="auto")
    panels[name].set(xticks=[], yticks=[], facecolor=viz.style.SKY)
    if name != "strip":
        panels[name].set_aspect("equal")
panels["order"].plot(
    columns.flatten(), rows.flatten(), color=viz.style.ORANGE, lw=1.2
)
frame(panels["known"], 28)
for end in range(8, 64, 8):
    panels["strip"].axvline(end - 0.5, color=viz.style.ORANGE, lw=1.2)
figure

# %% [markdown]
# (sec-sequence-chain)=
# ## Any order is exact
#
# Number the pixels of an image $x_1,\dots,x_D$ and write $x_{<i}$ for $(x_1,\dots,x_{i-1})$. Chapter
# 03 took a density apart coordinate by coordinate {eq}`eq-learn-chain`. For an image whose values
# are whole numbers all densities become probabilities, and nothing else changes:
#
# ```{math}
# :label: eq-sequence-chain
# \begin{aligned}
# p(x) &= \prod_{i=1}^{D}p(x_i\mid x_{<i}), \\
# p(x_i\mid x_{<i}) &= \frac{p(x_1,\dots,x_i)}{p(x_1,\dots,x_{i-1})} .
# \end{aligned}
# ```
#
# Each numerator meets the next denominator, so the product telescopes to $p(x_1,\dots,x_D)$.
# Nothing was assumed about images, and nothing about the numbering. If $\pi$ is any order of
# the pixels, then also
#
# $$
# p(x)=\prod_{i=1}^{D}p\bigl(x_{\pi(i)}\mid x_{\pi(1)},\dots,x_{\pi(i-1)}\bigr) .
# $$ (eq-sequence-order)
#
# Let us try all 24 orders of the four pixels of a 2×2 image, with a $p$ made of random numbers.

# %%
torch.manual_seed(0)
table = torch.rand(2, 2, 2, 2, dtype=torch.float64)  # one axis for each pixel
table /= table.sum()


def probability_of(values, places):
    """Probability that the pixels at these places have these values."""
    others = [place for place in range(4) if place not in places]
    marginal = table.sum(others) if others else table
    return marginal[tuple(values[place] for place in sorted(places))]


for x in itertools.product([0, 1], repeat=4):
    for order in itertools.permutations(range(4)):
        product = 1.0
        for i in range(4):
            joint = probability_of(x, order[: i + 1])
            product *= joint / probability_of(x, order[:i])
        torch.testing.assert_close(product, table[x])
print("16 images, 24 orders each: always the same probability")

# %% [markdown]
# So what comes first? That is our choice. The usual one is the order of reading, **raster order**:
# row by row, each row from the left, and within a coloured pixel red, then green, then blue. With
# rows $r$, columns $s$ and channels $c$ counted from zero, the value has number
#
# $$
# i=(r\,W+s)\,C+c+1 .
# $$ (eq-sequence-raster)
#
# Nothing in a picture happens before or after anything else. (Chapter 01 met a source that spoke of
# "time-series features", {ref}`erratum-e29`; the 24 orders are the answer to it.) The order is
# exact whatever it is. A *network* that learns the factors need not do equally well in every
# order, and {ref}`sec-sequence-experiment` measures how much that matters.
#
# (sec-sequence-likelihood)=
# ## What is maximised
#
# Let a network with parameters $\theta$ give the factors $p_\theta(x_i\mid x_{<i})$. Each is a
# table of 17 probabilities for one pixel, from a softmax, so it sums to one. Then their product
# sums to one over all $17^{64}$ images: sum over $x_D$ first, which leaves the product of the
# others, then over $x_{D-1}$, and so on. No integral is left over, no bound is needed, and
#
# $$
# \log p_\theta(x)=\sum_{i=1}^{D}\log p_\theta(x_i\mid x_{<i})
# $$ (eq-sequence-log)
#
# is **exact**. We maximise its mean over the training images. By {eq}`eq-learn-ml` that makes the
# divergence from the data small, and here the divergence falls apart as well. Put
# {eq}`eq-sequence-chain` for both distributions into its definition:
#
# ```{math}
# :label: eq-sequence-kl
# \begin{aligned}
# &\KL{p_\text{data}}{p_\theta} \\
# &\quad=\E_{p_\text{data}}\Bigl[\sum_i\log\frac{p_\text{data}(x_i\mid x_{<i})}{p_\theta(x_i\mid x_{<i})}\Bigr] \\
# &\quad=\sum_i\E_{p_\text{data}(x_{<i})}\Bigl[
#   \KL{p_\text{data}(x_i\mid x_{<i})}{p_\theta(x_i\mid x_{<i})}\Bigr] .
# \end{aligned}
# ```
#
# In the second line the mean over $x$ was taken in two steps: over the past, then over $x_i$ given
# the past. What lies behind $x_i$ does not occur. So this is $D$ problems of *classification*, one
# a pixel, each with 17 classes, and their losses simply add up. Note where the pasts come from:
# from the **data**. That will matter twice.
#
# (sec-sequence-ladder)=
# ### A ladder of yardsticks
#
# A number of nats means something only beside others. Four models can be had without any training,
# from counts on the training images:
#
# - every level equally likely: $64\log17$;
# - each pixel by itself, with its own table of frequencies;
# - each pixel given the **previous** one: a table of 17 × 17 for each place;
# - each pixel given the one **above** it, likewise.
#
# ```{admonition} Predict, then run
# :class: tip
# Which tells more about a pixel, its left neighbour or its upper one? And how much of the way from
# "nothing" to "a good model" do pixels go on their own?
# ```


# %%
def counted(lag, strength):
    """Test nats of tables: each pixel by itself (lag 0), or given the pixel lag before it."""
    train = digits.train.images.flatten(1).long()
    test = digits.test.images.flatten(1).long()
    nats = 0.0
    for i in range(64):
        alone = (train[:, i].bincount(minlength=17) + 0.1).double()
        alone /= alone.sum()
        if lag == 0 or i < lag:
            nats -= alone[test[:, i]].log().mean()
            continue
        # Rare pasts have few counts: fill up with those of the pixel by itself.
        pairs = (17 * train[:, i - lag] + train[:, i]).bincount(
            minlength=17 * 17
        )
        counts = pairs.view(17, 17) + strength * 17 * alone
        given = counts / counts.sum(1, keepdim=True)
        nats -= given[test[:, i - lag], test[:, i]].log().mean()
    return nats.item()


ladder = {
    "all levels equally likely": 64 * math.log(17),
    "each pixel by itself": counted(0, 0),
    "given the previous pixel": counted(1, 1.5),
    "given the pixel above": counted(8, 1.5),
}
for name, nats in ladder.items():
    bits = nats / (64 * math.log(2))
    print(f"{name:26}{nats:6.1f} nats a test image, {bits:.2f} bits a pixel")
alone, left, above = list(ladder.values())[1:]
assert 5.5 < alone - left < 6.5 and abs(left - above) < 0.5

# %% [markdown]
# (Bits per dimension by {eq}`eq-vae-bits`.) Most of the way is knowing which pixels are usually dark.
# One neighbour is worth about six nats more, and it hardly matters which. A model that sees the
# *whole* past should do much better.
#
# (sec-sequence-state)=
# ## A state that carries the past
#
# The past of $x_i$ has $i-1$ values, a different number at each step. A **recurrent** network keeps
# a summary of fixed length, the state $h_i$, and renews it with each value that goes by:
#
# ```{math}
# :label: eq-sequence-state
# \begin{aligned}
# h_i &= F_\theta(h_{i-1},\,x_{i-1},\,i), \\
# p_\theta(x_i\mid x_{<i}) &= \operatorname{softmax}\bigl(A_\theta(h_i)\bigr) ,
# \end{aligned}
# ```
#
# with $h_0=0$. The function $F_\theta$ is the same at every step, but it is told *where* it is: a
# row end means something else than a row's middle. The **head** $A_\theta$ is a small network that
# turns a state into 17 logits. Mind the index: $h_i$ has read $x_1,\dots,x_{i-1}$ and not $x_i$.
#
# The state is **computed**. Once the pixels are given, so are all states; there is no distribution
# over them, nothing to sum over and nothing to choose. What is maximised, over $\theta$, is
# {eq}`eq-sequence-log`. (A source maximises "over $h$" here; chapter 03 shows what that would score:
# {ref}`erratum-e3`.)
#
# ### The trouble with a plain state
#
# The simplest $F$ is one layer {cite:p}`elman1990`:
#
# $$
# h_i=\tanh(Vx_{i-1}+Uh_{i-1}+b).
# $$ (eq-sequence-elman)
#
# How does an early state act on a late one? Since $\tanh'=1-\tanh^2$, each step multiplies by a
# matrix, and the chain rule collects them:
#
# $$
# \frac{\partial h_j}{\partial h_i}
#   =J_jJ_{j-1}\cdots J_{i+1},\qquad J_t=\operatorname{diag}(1-h_t^2)\,U .
# $$ (eq-sequence-product)
#
# The entries of the diagonal are at most one, and the norm of a product is at most the product of
# the norms. With $\lVert U\rVert$ the largest singular value,
#
# $$
# \Bigl\lVert\frac{\partial h_j}{\partial h_i}\Bigr\rVert\le\lVert U\rVert^{\,j-i}.
# $$ (eq-sequence-vanish)
#
# If $\lVert U\rVert<1$ the influence **vanishes** exponentially. If it is larger, the product may
# just as well **explode** {cite:p}`bengio1994`. And in an image that is read row by row the past
# that matters is far away: the pixel above lies $W$ steps back. For rows of 28 pixels,
# $0.8^{28}\approx0.002$. A gradient that small teaches nothing.
#
# ### Gates
#
# The **long short-term memory** {cite:p}`hochreiter1997` adds a second list of numbers, the memory
# $m_i$, which is not squeezed through a matrix at every step. It is *kept*, unless something
# decides otherwise:
#
# ```{math}
# :label: eq-sequence-lstm
# \begin{aligned}
# w,\;k,\;g,\;s &= \text{four parts of}\;\; Vu_i+Uh_{i-1}+b, \\
# m_i &= \sigma(k)\odot m_{i-1}+\sigma(w)\odot\tanh(g), \\
# h_i &= \sigma(s)\odot\tanh(m_i) .
# \end{aligned}
# ```
#
# Here $u_i$ is the input of step $i$, $\odot$ multiplies entry by entry, and $\sigma$ is the
# logistic function, so each $\sigma(\cdot)$ is a list of **gates**: taps between 0 (shut) and 1
# (open). The keep gate says what of the memory stays, the write gate how much of the proposal
# $\tanh(g)$ is added, the show gate what of the memory is let out. (The usual names are forget
# gate, input gate and output gate; the keep gate came three years later {cite:p}`gers2000`.)
#
# Look at the middle line. As long as $w$, $k$ and $g$ are held fixed, $m_j$ depends on $m_i$ through
# the kept part alone:
#
# $$
# \frac{\partial m_j}{\partial m_i}\bigg|_{w,k,g\ \text{fixed}}
#   =\operatorname{diag}\Bigl(\prod_{t=i+1}^{j}\sigma(k_t)\Bigr) .
# $$ (eq-sequence-gated)
#
# No $U$, no $\tanh'$. A gate that stays open, $\sigma(k)\approx1$, hands the gradient on
# undiminished, and the network learns for each number of the memory, and at each step, whether that
# is wanted. (The four parts depend on $h_{i-1}$ too, so there are further paths beside this one.)
#
# How strong is the effect? We take untrained recurrences with random weights and measure the
# largest singular value of the derivative of the whole state after $n$ steps.
#
# ```{admonition} Predict, then run
# :class: tip
# A gate with bias zero is half open. So an LSTM as it comes from the factory, what does it keep of
# its memory after eight steps? What bias would you start with?
# ```

# %%
torch.manual_seed(0)
size = 64
rotation = torch.linalg.qr(torch.randn(size, size, dtype=torch.float64)).Q
mixing = torch.rand(4 * size, size, dtype=torch.float64) * 2 - 1
mixing /= math.sqrt(size)  # as PyTorch draws the weights of an LSTM
noise = torch.randn(56, 4 * size, dtype=torch.float64) / 2  # from the inputs


def elman(scale):
    def step(state, x):
        return (x[:size] + scale * (rotation @ state)).tanh()

    return step


def lstm(keep_bias):
    def step(state, x):
        h, memory = state.chunk(2)
        write, keep, proposal, show = (x + mixing @ h).chunk(4)
        memory = (keep + keep_bias).sigmoid() * memory
        memory = memory + write.sigmoid() * proposal.tanh()
        return torch.cat([show.sigmoid() * memory.tanh(), memory])

    return step


def influence(step, length):
    """Largest singular value of d state_n / d state_0, for n = 1 … 56."""
    state = torch.zeros(length, dtype=torch.float64)
    total = torch.eye(length, dtype=torch.float64)
    norms = []
    for x in noise:
        total = torch.func.jacrev(step)(state, x) @ total  # the chain rule
        state = step(state, x)
        norms.append(torch.linalg.matrix_norm(total, 2).item())
    return norms


influences = {
    "plain, |U| = 0.9": influence(elman(0.9), size),
    "plain, |U| = 1.6": influence(elman(1.6), size),
    "LSTM, keep bias 0": influence(lstm(0.0), 2 * size),
    "LSTM, keep bias 1": influence(lstm(1.0), 2 * size),
    "LSTM, keep bias 4": influence(lstm(4.0), 2 * size),
}
for n, value in enumerate(influences["plain, |U| = 0.9"], start=1):
    assert value <= 0.9**n + 1e-12  # eq-sequence-vanish
at_8 = {name: values[7] for name, values in influences.items()}
at_28 = {name: values[27] for name, values in influences.items()}
assert 0.1 < at_8["plain, |U| = 0.9"] < 0.3
assert at_28["plain, |U| = 0.9"] < 1e-3 and at_28["LSTM, keep bias 0"] < 1e-4
assert at_28["plain, |U| = 1.6"] > 3
assert 0.2 < at_8["LSTM, keep bias 1"] < 0.6
assert at_8["LSTM, keep bias 4"] > 1 and at_28["LSTM, keep bias 4"] > 1
print("after 28 steps: a plain state with |U| = 0.9 passes on less than 0.001,")
print("an LSTM with half-open gates less than 0.0001;")
print("with gates wide open nothing is lost")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Five curves on a logarithmic axis against the number of steps. Plain state with norm 0.9 and LSTM with keep bias 0 fall in straight lines, the latter steepest, to one part in ten million and less. LSTM with keep bias 1 falls more slowly. LSTM with keep bias 4 and the plain state with norm 1.6 stay above one. Dotted vertical lines mark 8 and 28 steps."}, "figure": {"caption": "How strongly a state acts on the state $n$ steps later: largest singular value of the derivative, untrained recurrences. Dotted: the distance of the pixel above in images 8 and 28 pixels wide.", "name": "fig-sequence-gradient"}}
figure, axes = viz.subplots(height=2.8)
for name, values in influences.items():
    axes.semilogy(range(1, 57), values, label=name)
for width in [8, 28]:
    axes.axvline(width, color="black", lw=0.8, ls=":")
axes.set(xlabel="steps", ylabel="influence", ylim=(1e-12, 1e3))
axes.legend(ncols=2, loc="lower left")
figure

# %% [markdown]
# Half-open gates are a poor start: a product of halves. Our library therefore begins with a keep
# bias of about one. A plain state with a large $U$ passes its gradient on as well, but it cannot
# choose *what* to keep: every number of the state is mixed with all others at every step.
#
# (sec-sequence-algorithm)=
# ## The algorithm
#
# ````{prf:algorithm} A recurrent network over pixels
# :label: alg-sequence
#
# **Input** images $x_n$ of $D$ values; a recurrence $F_\theta$ and a head $A_\theta$
#
# Repeat until the likelihood of validation images stops rising:
#
# 1. Draw a batch of images.
# 2. Shift them by one: step $i$ is given $x_{i-1}$, step $1$ is given a fixed number.
# 3. Run $F_\theta$ over all steps, beginning with the state zero **for each image**.
# 4. Turn each state into logits, and look up $\log p_\theta(x_i\mid x_{<i})$. **Sum** over $i$.
# 5. Take a gradient step on the mean of the negative sum over the batch.
#
# **To draw** an image, begin with the state zero. For $i=1,\dots,D$: feed $x_{i-1}$, draw $x_i$
# from the softmax.
# ````
#
# In training all inputs are pixels of a real image, known before the first step is taken. This is
# called **teacher forcing** {cite:p}`williams1989`: whatever the network would have said, it is
# given the right value to go on from. The name suggests a crutch. It is none: {eq}`eq-sequence-log`
# *asks* for $p_\theta(x_i\mid x_{<i})$ at the true past, so a teacher-forced pass **is** the exact
# likelihood. And since no step waits for a draw, the inputs and the heads of all steps are computed
# in two large matrix products; only the recurrence itself still goes step by step. (The
# convolutions of {ref}`ch-pixelcnn` get rid of that too.)
#
# Drawing is different. There each input is the network's own draw, so step $i$ must wait for step
# $i-1$. And if the network has drawn something that no real image shows, it goes on from a past
# that it never met in training. This is known as **exposure bias**. {ref}`sec-sequence-failure`
# looks at a famous cure.
#
# (sec-sequence-scratch)=
# ## From scratch
#
# Here is {prf:ref}`alg-sequence` with nothing hidden. Type it; that is the point of its size.


# %%
class SmallLSTM(nn.Module):
    def __init__(self, pixels=64, levels=17, hidden=64, position=8, head=64):
        super().__init__()
        self.pixels, self.levels, self.hidden = pixels, levels, hidden
        self.position = nn.Parameter(torch.randn(pixels, position))
        self.from_input = nn.Linear(1 + position, 4 * hidden)
        self.from_state = nn.Linear(hidden, 4 * hidden)
        self.head = nn.Sequential(
            nn.Linear(hidden, head), nn.SiLU(), nn.Linear(head, levels)
        )

    def start(self, n):
        """No value yet, h = 0 and memory = 0, for n images."""
        return torch.zeros(n, 1), torch.zeros(n, self.hidden), 0.0

    def step(self, i, previous, h, memory):
        """Read the value before pixel i; return the state that predicts i."""
        where = self.position[i].expand(len(previous), -1)
        u = torch.cat([previous, where], dim=1)
        numbers = self.from_input(u) + self.from_state(h)
        write, keep, proposal, show = numbers.chunk(4, dim=1)
        memory = keep.sigmoid() * memory + write.sigmoid() * proposal.tanh()
        return show.sigmoid() * memory.tanh(), memory

    def log_prob(self, x):
        """x: (N, pixels), whole numbers; returns nats, (N,)."""
        previous, h, memory = self.start(len(x))
        total = 0.0
        for i in range(self.pixels):
            h, memory = self.step(i, previous, h, memory)
            log_probs = self.head(h).log_softmax(1)  # (N, levels)
            pixel = x[:, i : i + 1]
            total = total + log_probs.gather(1, pixel)[:, 0]
            previous = 2 * pixel / (self.levels - 1) - 1  # the true value
        return total

    @torch.no_grad()
    def sample(self, n):
        previous, h, memory = self.start(n)
        drawn = []
        for i in range(self.pixels):
            h, memory = self.step(i, previous, h, memory)
            pixel = torch.multinomial(self.head(h).softmax(1), 1)
            drawn.append(pixel)
            previous = 2 * pixel / (self.levels - 1) - 1  # its own value
        return torch.cat(drawn, dim=1)


# %% [markdown]
# The two methods are the same loop but for one line. Is it a probability? A 2×2 image with two levels
# can be one of sixteen, so we ask for all of them.

# %%
torch.manual_seed(0)
tiny = SmallLSTM(pixels=4, levels=2, hidden=8)
every = torch.tensor(list(itertools.product([0, 1], repeat=4)))
probabilities = tiny.log_prob(every).exp()
assert abs(probabilities.sum() - 1) < 1e-5
assert probabilities.max() > 1.05 * probabilities.min()
drawn = tiny.sample(50_000) @ torch.tensor([8, 4, 2, 1])  # number of the image
shares = drawn.bincount(minlength=16) / 50_000
assert (shares - probabilities).abs().max() < 0.01
print("the sixteen probabilities sum to one,")
print("and 50,000 draws come as often as they say")

# %% [markdown]
# The library's {py:func}`genlearn.models.pixel_lstm` does the same with PyTorch's own `nn.LSTM`,
# for any size, any number of channels and layers, and with labels. Are they the same model? Copy
# the weights, and compare. (The library's inputs have one number more, which says whether an
# image was altered; it is zero here, and below you see what it is for.)

# %%
torch.manual_seed(0)
mine = SmallLSTM()
theirs = models.pixel_lstm(
    digits.shape, digits.levels, hidden=64, position=8, head=64
)
rnn = theirs.network.rnn
assert isinstance(rnn, nn.LSTM)
with torch.no_grad():
    theirs.network.position.copy_(mine.position)
    rnn.weight_ih_l0[:, :9] = mine.from_input.weight
    rnn.bias_ih_l0.copy_(mine.from_input.bias)
    rnn.weight_hh_l0.copy_(mine.from_state.weight)
    rnn.bias_hh_l0.copy_(mine.from_state.bias)
    for to, of in zip(
        theirs.network.head.parameters(), mine.head.parameters(), strict=True
    ):
        to.copy_(of)

images = digits.train.images[:100]
with evaluating(mine, theirs):
    torch.testing.assert_close(
        mine.log_prob(images.flatten(1).long()),
        theirs.log_prob(images),
        rtol=1e-5,
        atol=1e-3,
    )
print("both give the same exact log p(x) for each of 100 images")

# %% [markdown]
# Drawing agrees too, pixel by pixel, if both are given the same random numbers. The library draws a
# value from one uniform number, as in the answer to question 3. While it draws, it keeps its states
# and moves them on by one step for each value; `cached=False` runs the whole network again for each
# value instead. {ref}`ch-fast` is about what that saves.

# %%
uniforms = torch.rand(4, 1, 8, 8, dtype=torch.float64)
double = copy.deepcopy(theirs).double().eval()
kept = double.sample(4, uniforms=uniforms)
assert torch.equal(kept, double.sample(4, uniforms=uniforms, cached=False))

previous, h, memory = mine.double().start(4)
previous, h = previous.double(), h.double()
with torch.no_grad():
    for i, uniform in enumerate(uniforms.flatten(1).T):
        h, memory = mine.step(i, previous, h, memory)
        sums = mine.head(h).softmax(1).cumsum(1)
        pixel = (sums[:, :-1] <= uniform[:, None]).sum(1)
        assert torch.equal(pixel, kept.flatten(1)[:, i].long())
        previous = 2 * pixel[:, None].double() / 16 - 1
print("from scratch, with states kept, and without: the same pixels")

# %% [markdown]
# (sec-sequence-training)=
# ## Training on digits
#
# A thousand images are soon learned by heart. One remedy is to move some of them a little: three of
# ten are turned, scaled and shifted by half a pixel. That blurs them, and the model must not learn
# that real digits are blurred. So it is *told*: its condition has an entry that is one for altered
# images and zero for real ones. We only ever ask it about real ones.


# %%
def train(model, loss, steps, callbacks=()):
    """Descend a loss for some steps, with a rate that rises, then falls."""
    adam = torch.optim.AdamW(model.parameters(), lr=2e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        adam, max_lr=2e-2, total_steps=steps, pct_start=0.1
    )
    return fit(
        {"lstm": model},
        [Objective("lstm", loss, adam, schedule=schedule)],
        data.Batches(digits.train, 64),
        steps,
        device="cpu",
        log_every=10,
        callbacks=callbacks,
    )


def nats_of(model, images):
    """Mean of -log p(x), nats an image."""
    with evaluating(model):
        return -model.log_prob(images).mean().item()


torch.manual_seed(0)
lstm_model = models.pixel_lstm(
    digits.shape, digits.levels, hidden=64, dropout=0.1
)


def negative_log_prob(step):
    images = step.batch[0]
    moved = data.transforms.random_affine(
        images, step.generator, angle=8, zoom=1.08, shift=0.5, share=0.3
    )
    altered = (moved != images).flatten(1).any(1)
    return -lstm_model.log_prob(moved, altered=altered).mean()


def look():
    return {"valid": nats_of(lstm_model, digits.valid.images)}


history = train(
    lstm_model, negative_log_prob, 1000, [Evaluate(look, every=100)]
)

# %% [markdown]
# ```{admonition} Predict, then run
# :class: tip
# Where on the ladder of {ref}`sec-sequence-ladder` does the loss begin, and which rungs does it pass
# within the first hundred steps?
# ```

# %% tags=["hide-input"] mystnb={"image": {"alt": "The training loss falls from about 180 nats to 110 within a hundred steps and then slowly to a little above 80; ten dots, the validation images, lie below it at first and slightly above it at the end. Dashed lines at 106 and 100 mark the tables of counts."}, "figure": {"caption": "Training: loss on batches, with moved images and dropout, and mean $-\\log p(x)$ of validation images. Dashed: each pixel by itself, and given the pixel above.", "name": "fig-sequence-curves"}}
figure, axes = viz.subplots(height=2.6)
axes.plot(*history.series("lstm/loss"), lw=1, label="training loss")
axes.plot(*history.series("valid"), "o", ms=4, label="validation images")
for name in ["each pixel by itself", "given the pixel above"]:
    axes.axhline(ladder[name], color="black", lw=0.8, ls="--")
axes.set(xlabel="training step", ylabel="nats per image", ylim=(75, 190))
axes.legend()
figure

# %% [markdown]
# Below all tables of counts, and far below: now the whole past counts. How does it compare with the
# models of the chapters before? For the VAE of chapter 06 only a *bound* on $-\log p(x)$ is known
# exactly; its records give that, and an estimate from 5,000 codes an image. We also know the figure
# of one autoregressive model from another course, whose program {cite:p}`tomczak2022` was run
# unchanged on the same split.

# %%
published = 86.76  # nats, that program's test figure
records = Path("../../benchmarks/results/runs")
vae_bounds = []
for seed in range(3):
    text = (records / f"vae-digits-full-seed{seed}.json").read_text("utf-8")
    test = json.loads(text)["result"]["test"]
    vae_bounds.append(test["negative_elbo_nats"])
    sampled = test["importance_sampling"]
    assert sampled["samples"] == 5000
    assert 81 < sampled["negative_log_likelihood_nats"] < 83
best_bound = min(vae_bounds)

test_nats = nats_of(lstm_model, digits.test.images)
valid_nats = nats_of(lstm_model, digits.valid.images)
assert test_nats < 84 < min(published, best_bound) - 2
assert 2 < valid_nats - test_nats < 6
assert bits_per_dim(-test_nats, lstm_model) < 1.9
assert test_nats < min(ladder.values()) - 15
with evaluating(lstm_model):
    scatter = lstm_model.log_prob(digits.test.images).std() / math.sqrt(447)
assert 0.4 < scatter < 0.7
glue("sequence-published", f"{published:.1f}", display=False)
glue("sequence-vae", f"{best_bound:.1f}", display=False)
print(f"best VAE bound in the records {best_bound:.1f} nats")
print(f"the other program             {published:.1f} nats")
print("our LSTM                      below 84 nats, 1.9 bits a pixel")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Horizontal bars, nats per test image. All levels equally likely: 181. Each pixel by itself: 106. Given the previous pixel and given the pixel above: about 100 each. The other program and the best VAE bound: about 86 to 87. Our LSTM, in orange, is the shortest: about 82."}, "figure": {"caption": "The ladder, with our LSTM. Nats per test image; shorter is better. The VAE's bar is a bound, all others are exact.", "name": "fig-sequence-ladder"}}
rungs = ladder | {
    "the other program": published,
    "best VAE (bound)": best_bound,
    "our LSTM": test_nats,
}
figure, axes = viz.subplots(height=2.4)
colours = [viz.style.BLUE] * (len(rungs) - 1) + [viz.style.ORANGE]
bars = axes.barh(list(rungs), list(rungs.values()), color=colours)
axes.bar_label(bars, fmt="%.0f", padding=3)
axes.set(xlabel="nats per test image", xlim=(0, 195))
axes.invert_yaxis()
figure

# %% [markdown]
# {numref}`fig-sequence-ladder` has them all. Below 84 nats on test images (standard error half a
# nat), against {glue:text}`sequence-published`
# of that program and {glue:text}`sequence-vae` of the best VAE bound, which took minutes. (The
# VAE's own likelihood is better than its bound: chapter 06 estimates it between 81 and 83 nats.)
# And ours is no bound and no estimate. The validation images are a few nats harder, as they were
# for the VAE.
#
# Because {eq}`eq-sequence-log` is a sum over pixels, we may ask *where* the nats are.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Three maps of eight by eight pixels. Each pixel by itself: bright wherever strokes may be, dark at the left and right border. The LSTM: the same places, dimmer. The difference: nearly dark in the top row and at the borders, lighter in the rows below."}, "figure": {"caption": "Mean $-\\log p$ of each pixel over the test images, nats. Left: each pixel by itself. Middle: our LSTM. Right: what the past is worth.", "name": "fig-sequence-map"}}
with evaluating(lstm_model):
    test = digits.test.images
    per_pixel = -lstm_model.conditionals(test).log_prob(test.float()).mean(0)[0]
train_pixels = digits.train.images.flatten(1).long()
table = torch.zeros(64, 17).double() + 0.1
table.scatter_add_(
    1, train_pixels.T, torch.ones(64, len(train_pixels)).double()
)
log_table = (table / table.sum(1, keepdim=True)).log()
by_itself = -log_table.gather(1, test.flatten(1).long().T).mean(1).view(8, 8)
assert abs(by_itself.sum() - ladder["each pixel by itself"]) < 1e-3
assert abs(per_pixel.sum() - test_nats) < 1e-2
gain = by_itself - per_pixel
assert gain[0].mean() < gain[2:].mean() / 2  # the first row has little past
figure, axes = viz.subplots(1, 3, height=2.4)
for panel, values, title in [
    (axes[0], by_itself, "by itself"),
    (axes[1], per_pixel, "LSTM"),
    (axes[2], gain, "difference"),
]:
    drawing = panel.imshow(values, cmap="cividis", vmin=0, vmax=2.8)
    panel.set(title=f"{title}: {values.sum():.0f} nats", xticks=[], yticks=[])
figure.colorbar(drawing, ax=axes, label="nats")
figure

# %% [markdown]
# ### What does it look at?
#
# Nobody told the network that the image has rows. Value 8 places back is, to it, a value like any
# other. Has it found out? We differentiate each $\log p_\theta(x_i\mid x_{<i})$ with respect to
# every earlier input, and collect the mean size by how far back it lies.
#
# ```{admonition} Predict, then run
# :class: tip
# Sketch the curve: the influence of the pixel $n$ places back, for $n$ from 1 to 24. Where is it
# large?
# ```

# %%
lstm_model.eval()
test = digits.test.images[:100]
inputs = lstm_model.encode(test)[..., 0].requires_grad_()  # (100, 1, 8, 8)
parameters = lstm_model.network(inputs, lstm_model.condition(100))
log_probs = parameters.log_softmax(-1).gather(-1, test.long().unsqueeze(-1))
log_probs = log_probs.flatten(1).sum(0)  # one for each pixel, images summed
by_lag = torch.zeros(25)
for i in range(24, 64):
    (slope,) = torch.autograd.grad(log_probs[i], inputs, retain_graph=True)
    size_of_slope = slope.abs().flatten(1).mean(0)  # of each input, (64,)
    assert size_of_slope[i:].max() == 0  # neither itself nor anything behind
    by_lag += size_of_slope[i - torch.arange(25)] / 40
assert by_lag[1] == by_lag.max()
assert by_lag[8] == by_lag[5:].max() and by_lag[8] > 1.4 * by_lag[4]
assert by_lag[16] > by_lag[20]
print("largest for the pixel on the left;")
print("beyond five places back, largest for the pixel above")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Bars for the influence of the pixel n places back, n from 1 to 24. Highest at 1, then falling until 4; a second peak at 8, about half as high, a slight one at 16, and little after that. The bars at 8, 16 and 24 are orange."}, "figure": {"caption": "Mean size of the derivative of $\\log p_\\theta(x_i\\mid x_{<i})$ with respect to the input $n$ places back. Orange: the pixels above, one, two and three rows.", "name": "fig-sequence-lag"}}
figure, axes = viz.subplots(height=2.3)
colours = [
    viz.style.ORANGE if n % 8 == 0 else viz.style.BLUE for n in range(1, 25)
]
axes.bar(range(1, 25), by_lag[1:], color=colours)
axes.set(xlabel="places back, $n$", ylabel="influence")
axes.set_xticks([1, 4, 8, 12, 16, 20, 24])
figure

# %% [markdown]
# The largest influence is the pixel on the left; then it falls, and *rises again* at seven to nine
# places: the pixel above and its neighbours. The two-dimensional image is back, discovered from a
# strip of numbers. It is work, though: for eight steps the memory must carry what will be needed.
# {ref}`ch-pixelrnn` builds the second dimension into the network instead.
#
# (sec-sequence-sampling)=
# ## Drawing, one value at a time
#
# To draw is to read, with a die in place of the next pixel.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Two rows of sixteen test digits above two rows of sixteen drawn ones. The drawn ones have strokes of the same width and grey borders; many are legible digits, some are not."}, "figure": {"caption": "Above: test images. Below: drawn from the model, value by value.", "name": "fig-sequence-samples"}}
torch.manual_seed(1)
drawn = lstm_model.sample(500)
viz.grid(
    [digits.test.images[:32], drawn[:32]],
    digits.levels,
    titles=["test images", "drawn"],
)

# %% [markdown]
# These are full draws, pixel noise included, and they are not grainy as those of the VAE were: each
# pixel knows its neighbours. Some are no digits. Every step is plausible, but no step has a plan
# for the whole.
#
# Does the model lose its way on its own pixels? Then its draws would look to it less and less like
# images. Its mean of $-\log p_\theta$ over its own draws is its entropy; on test images it is the
# cross-entropy.

# %%
own_nats = nats_of(lstm_model, drawn)
assert -1 < test_nats - own_nats < 8
print("its own draws are to it no less probable than test images")

# %% [markdown]
# Watch an image come about. The slider goes through the 64 steps of one draw. On the left: what is
# drawn so far, the next pixel framed, the rest unknown (blue). On the right: the probabilities of
# its 17 levels, black to white; the orange mark is the level that the die gave.

# %%
SCALE, PALE = 12, torch.tensor([190, 215, 235], dtype=torch.uint8)
MARK = torch.tensor([230, 159, 0], dtype=torch.uint8)


def frame_of(x, place, table):
    """One step as a picture: (118, 262, 3), uint8. x: (8, 8) levels; table: (17,)."""
    canvas = torch.full((118, 262, 3), 255, dtype=torch.uint8)
    grey = (x.float() * 255 / 16).round().byte()
    image = grey[..., None].repeat(1, 1, 3).flatten(0, 1)
    image[place:] = PALE
    image = image.view(8, 8, 3)
    image = image.repeat_interleave(SCALE, 0).repeat_interleave(SCALE, 1)
    row, column = divmod(place, 8)
    square = image[row * SCALE :, column * SCALE :][:SCALE, :SCALE]
    square[:2], square[-2:], square[:, :2], square[:, -2:] = [MARK] * 4
    canvas[4:100, 4:100] = image
    canvas[4:100, 116:258] = PALE
    for level in range(17):
        left = 120 + 8 * level
        height = max(1, round(96 * table[level].item()))
        canvas[100 - height : 100, left : left + 6] = round(level * 255 / 16)
        if level == x.flatten()[place]:
            canvas[104:110, left : left + 6] = MARK
    return canvas.numpy()


chosen = drawn[5:6]
with evaluating(lstm_model):
    tables = lstm_model.conditionals(chosen).probs[0, 0].flatten(0, 1)
captions = []
for place in range(64):
    level = chosen.flatten()[place].item()
    captions.append(
        f"Pixel {place + 1}, row {place // 8 + 1}, column {place % 8 + 1}: drawn "
        f"level {level}, which had probability {tables[place, level]:.2f}"
    )
viz.slider(
    [frame_of(chosen[0, 0], place, tables[place]) for place in range(64)],
    captions,
    "step",
)

# %% [markdown]
# Near the border almost all is settled: one bar, black. Where a stroke may begin the bars spread
# out. And right after a bright pixel they are often high on the right: the network goes on with
# its stroke.
#
# (sec-sequence-temperature)=
# ### Temperature changes the model
#
# Programs that draw often offer a **temperature** $\tau$. It divides the logits of each step,
#
# ```{math}
# :label: eq-sequence-temperature
# \begin{aligned}
# q_\tau(x_i\mid x_{<i}) &= \frac{p_\theta(x_i\mid x_{<i})^{1/\tau}}{Z_i(x_{<i})}, \\
# Z_i(x_{<i}) &= \sum_{v}p_\theta(x_i=v\mid x_{<i})^{1/\tau} .
# \end{aligned}
# ```
#
# With $\tau<1$ what is probable becomes more so. It is often presented as a knob of the *drawing*.
# But whoever draws from $q_\tau$ draws from another model, and we can say what it is worth: it has
# a likelihood like any other. It is not even $p_\theta(x)^{1/\tau}$ made to sum to one. Multiply
# {eq}`eq-sequence-temperature` over all steps:
#
# $$
# q_\tau(x)=\frac{p_\theta(x)^{1/\tau}}{\prod_i Z_i(x_{<i})} ,
# $$ (eq-sequence-tempered)
#
# and the denominator depends on the image.


# %%
class Tempered(CategoricalPixels):
    """Logits divided by a temperature, eq-sequence-temperature."""

    def __init__(self, levels, temperature):
        super().__init__(levels)
        self.temperature = temperature

    def distribution(self, parameters):
        return super().distribution(parameters / self.temperature)

    def draw(self, parameters, uniform):
        return super().draw(parameters / self.temperature, uniform)


def tempered(model, temperature):
    """The same network, with another likelihood."""
    changed = copy.copy(model)
    changed.likelihood = Tempered(model.levels, temperature)
    return changed


temperatures = [0.4, 0.5, 0.6, 0.8, 1.0, 1.2, 1.5, 2.0]
tempered_nats = [
    nats_of(tempered(lstm_model, t), digits.test.images) for t in temperatures
]
assert abs(tempered_nats[4] - test_nats) < 1e-3  # at 1 nothing has changed
best = temperatures[tempered_nats.index(min(tempered_nats))]
assert best in (1.0, 1.2)
cost = dict(zip(temperatures, tempered_nats, strict=True))
assert cost[0.5] - test_nats > 8 and cost[2.0] - test_nats > 2
print("best at 1 or slightly above; at 0.5 more than 8 nats worse")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Left: test nats against temperature, a curve that falls steeply from 0.4, has its lowest point near 1 and rises slowly. Right: three rows of ten drawn images: at 0.5 with smooth, bold strokes, at 1 more varied, at 1.5 with more grey and broken strokes."}, "figure": {"caption": "Left: what the tempered model is worth, on test images. Right: ten draws each, from the same uniform numbers.", "name": "fig-sequence-temperature"}}
figure, panels = viz.subplot_mosaic(
    [["nats", "cold"], ["nats", "as it is"], ["nats", "hot"]],
    height=2.8,
    width_ratios=[1, 1.4],
)
panels["nats"].plot(temperatures, tempered_nats, "o-", ms=4)
panels["nats"].set(xlabel="temperature", ylabel="nats per test image")
torch.manual_seed(3)
uniforms = torch.rand(10, 1, 8, 8)
for name, t in {"cold": 0.5, "as it is": 1.0, "hot": 1.5}.items():
    images = tempered(lstm_model, t).sample(10, uniforms=uniforms)
    viz.show_images(
        panels[name], images, digits.levels, columns=10, title=f"{t}"
    )
figure

# %% [markdown]
# The curve is lowest near one: likelihood fits the certainty of a model to the data. (If it is
# lowest slightly above, the model is a little too sure of itself on images of new writers.) Colder
# images look cleaner and cost many nats, because real images are not like that: a stroke that *may*
# bend here now hardly ever does. That may be what you want for a poster. Say so when you show such
# draws, and never report the likelihood at $\tau=1$ beside images at $\tau=0.5$.
#
# (sec-sequence-classes)=
# ## Asking for a digit
#
# What if we want a seven? Give the label $y$ to the network at every step, as a one-hot vector
# beside the position. All of the above then holds for $p_\theta(x\mid y)$, label by label. Nothing
# else changes, not even the loss.

# %%
torch.manual_seed(0)
by_class = models.pixel_lstm(
    digits.shape, digits.levels, hidden=48, dropout=0.1, classes=10
)
by_class_history = train(
    by_class, lambda step: -by_class.log_prob(*step.batch).mean(), 400
)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Ten columns, one for each digit from 0 to 9, of four drawn images each; most show the digit of their column clearly."}, "figure": {"caption": "Four draws for each label, 0 to 9.", "name": "fig-sequence-classes"}}
torch.manual_seed(0)
labels = torch.arange(10).repeat(4)
viz.grid(by_class.sample(40, labels), digits.levels, columns=10)

# %% [markdown]
# There is more in it. An exact $p(x\mid y)$ is, by Bayes' rule {eq}`eq-learn-bayes`, a
# **classifier** that nobody trained as one, and the sum over its labels is a model of $p(x)$ again.

# %%
with evaluating(by_class):
    test = digits.test
    given = torch.stack(
        [
            by_class.log_prob(test.images, torch.full((447,), label))
            for label in range(10)
        ]
    )  # log p(x | y), (10, 447)
right = (given.argmax(0) == test.labels).float().mean()
untold_nats = -(given.logsumexp(0) - math.log(10)).mean()  # of p(x)
told_nats = -given.gather(0, test.labels[None].long()).mean()
assert right > 0.85 and untold_nats < 88.5
assert 1.2 < untold_nats - told_nats < math.log(10)
print("the right digit for more than 85 of 100 test images")
print("being told the digit saves more than 1.2 nats, less than log 10")

# %% [markdown]
# (All ten labels were taken as equally likely, $p(y)=\tfrac1{10}$.) Subtract the two, and Bayes'
# rule appears: what the label saves is $\log10$ plus the mean of $\log p(y\mid x)$. So it is at most
# $\log10\approx2.3$ nats, all that a label of ten can say, and less by the cross-entropy of the
# classifier.
#
# (sec-sequence-experiment)=
# ## An experiment: does the order matter?
#
# For exactness it does not {eq}`eq-sequence-order`. But the network must *learn* the factors, in a
# state of fixed length, in limited time. We train the same small network three times: row by row,
# column by column, and in one fixed order drawn by lot. To change the order is to rearrange the
# pixels of all images beforehand, in the same way.
#
# ```{admonition} Predict, then run
# :class: tip
# Each has the same information and the same exact likelihood. How far apart will they be after 300
# steps: less than 1 nat, 2 nats, 5 nats, or more than 10?
# ```

# %%
raster = torch.arange(64)
torch.manual_seed(5)
orders = {
    "row by row": raster,
    "column by column": raster.view(8, 8).T.flatten(),
    "by lot": torch.randperm(64),
}


def rearranged(images, order):
    """Pixels in another order, as an image again: (N, 1, 8, 8)."""
    return images.flatten(1)[:, order].view_as(images)


def small_network():
    torch.manual_seed(0)
    return models.pixel_lstm(digits.shape, digits.levels, hidden=32, head=32)


def train_in(order):
    """Train in an order; return nats of the test images in it, and losses."""
    model = small_network()

    def loss(step):
        return -model.log_prob(rearranged(step.batch[0], order)).mean()

    losses = train(model, loss, 300).series("lstm/loss")
    return nats_of(model, rearranged(digits.test.images, order)), losses


by_order = {name: train_in(order) for name, order in orders.items()}
rows_nats, columns_nats, lot_nats = (nats for nats, _ in by_order.values())
assert abs(rows_nats - columns_nats) < 5
assert 6 < lot_nats - max(rows_nats, columns_nats) < 15
print("rows and columns within 5 nats; the order by lot more than 6 worse")

# %% [markdown]
# Rows or columns make less difference. The order by lot is about ten nats behind. Nothing was taken
# away from it: but neighbours now come at any distance, so the state must carry every pixel until
# its neighbours have come, and it has 32 numbers to do so. An order is good if what belongs together
# comes close together. Raster order is natural for a reader of text and only fair for an image;
# {ref}`ch-pixelrnn` and {ref}`ch-pixelcnn` keep it, and change what each step can see.
#
# (sec-sequence-failure)=
# ## A failure, made on purpose
#
# In training the network is given true pixels; when it draws, its own. Is that not a flaw? It looks
# easily mended: **train as you draw**. Let the network draw an image, give it *those* pixels as
# inputs, and ask it for the true value at each place. Now it learns to go on from its own mistakes.
# So it is argued, and milder forms, which mix true and drawn pixels, have been used with success
# {cite:p}`bengio2015`.
#
# ```{admonition} Predict, then run
# :class: tip
# The inputs are drawn pixels $\hat x_{<i}$, the target is the true $x_i$. What does $\hat x_{<i}$
# know of $x_i$? Which rung of the ladder will the loss come down to?
# ```

# %%
small = small_network()


def train_as_you_draw(step):
    images = step.batch[0]
    made = small.sample(len(images))  # its own pixels are the inputs,
    predicted = small.likelihood.distribution(small.parameters_of(made))
    return -predicted.log_prob(images.float()).mean()  # true ones the targets


failed_history = train(small, train_as_you_draw, 300)
failed_nats = nats_of(small, digits.test.images)
failed_loss = failed_history.series("lstm/loss")[1][-5:]
assert abs(failed_nats - ladder["each pixel by itself"]) < 2
assert all(
    abs(loss - ladder["each pixel by itself"]) < 4 for loss in failed_loss
)
assert failed_nats - rows_nats > 10
print("its loss ends at the rung of pixels by themselves,")
print("more than 10 nats above the same network given true pixels")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Left: two loss curves against the step; the one with true pixels falls to about 90, the other stops at a dashed line at 106. Right: sixteen images drawn from the failed model: speckles in the middle of each image, no strokes."}, "figure": {"caption": "Trained on its own pixels. Left: its loss stops at the rung of pixels by themselves (dashed); with true pixels, the same small network goes on. Right: what it draws.", "name": "fig-sequence-fog"}}
figure, (left, right) = viz.subplots(1, 2, height=2.6, width_ratios=[1.3, 1])
left.plot(*by_order["row by row"][1], lw=1, label="true pixels")
left.plot(*failed_history.series("lstm/loss"), lw=1, label="its own pixels")
left.axhline(ladder["each pixel by itself"], color="black", lw=0.8, ls="--")
left.set(xlabel="training step", ylabel="nats", xlim=(0, 300), ylim=(80, 190))
left.legend()
torch.manual_seed(0)
viz.show_images(right, small.sample(16), digits.levels)
figure

# %% [markdown]
# Fog. The loss stops at the rung "each pixel by itself", and it is easy to see that it must. The
# network's draws $\hat x$ are made without looking at the true image, so they are independent of
# it. Whatever they are, take the mean over true images first. With $p_i$ for the distribution of
# the true pixel $i$ by itself, and by {eq}`eq-learn-cross-entropy`,
#
# $$
# \E_{\hat x}\,\E_{x}\bigl[-\log p_\theta(x_i\mid\hat x_{<i})\bigr]
#   =H(p_i)+\E_{\hat x}\bigl[\KL{p_i}{p_\theta(\,\cdot\mid\hat x_{<i})}\bigr] .
# $$ (eq-sequence-free)
#
# The best answer is $p_i$, **whatever the past**. The perfect student of this school ignores what
# it sees. This is the second time that it matters where pasts come from: {eq}`eq-sequence-kl` is
# about true pixels that follow true pasts. The mixed form inherits a part of the trouble: its best
# answer is no longer the data's conditional distribution {cite:p}`huszar2015`.
#
# ```{admonition} Symptom, diagnosis, cure
# :class: warning
#
# **Symptom.** Training uses the model's own draws as inputs. The loss falls smoothly and stops far
# above that of a teacher-forced model, at the value that each pixel by itself reaches. Draws are
# grey fog: every pixel is right on its own, and no two belong together.
#
# **Diagnosis.** A drawn past tells nothing about the true next pixel, so the best prediction
# {eq}`eq-sequence-free` ignores it. The objective is no likelihood: the true pixel is scored at a
# past that it never had.
#
# **Cure.** Give true pixels as inputs. That is not a shortcut but the exact likelihood
# {eq}`eq-sequence-log`. If draws go astray, make the model better, and compare its entropy on its
# own draws with its loss on test images. Compare every loss with the rungs that counts can reach.
# ```
#
# ## Exercises
#
# ```{exercise} Count the orders
# :label: ex-sequence-orders
# How many orders have the 64 pixels of a digit? For how many of them is the factorisation exact?
# Find a distribution over 2×2 images for which a *table with only the previous pixel* as its past
# is exact in one order and not in another.
# ```
#
# ````{solution} ex-sequence-orders
# :class: dropdown
# $64!\approx10^{89}$, and for all of them. Take four fair coins in a chain: $x_1$ is a fair coin,
# and each next pixel equals the one before with probability 0.9. In raster order the previous pixel
# is all that counts. In the order 1, 4, 2, 3 the third factor is $p(x_2\mid x_1,x_4)$, and both
# ends of the chain matter: if they differ, $x_2$ may be either; if you know only $x_4$, you lose
# what $x_1$ tells.
# ````
#
# ```{exercise} What the pixels tell each other
# :label: ex-sequence-information
# Show that the best model of pixels by themselves is exactly $\KL{p_\text{data}}{\prod_ip_i}$ nats
# worse than the truth, with $p_i$ the distribution of pixel $i$. What do our figures say about its
# size for digits?
# ```
#
# ````{solution} ex-sequence-information
# :class: dropdown
# Use {eq}`eq-learn-cross-entropy` with $q=\prod_ip_i$, which is the best choice, pixel by pixel:
# the cross-entropy is $H(p_\text{data})$ plus that divergence. (It is called the *total
# correlation*.) On test images the pixels by themselves need 106 nats, and our model below 84; the
# entropy of the data cannot exceed the cross-entropy of any model. So if counting has come close to
# the ideal tables, the divergence is 22 nats or more.
# ````
#
# ```{exercise} Off by one
# :label: ex-sequence-shift
# In the program of {ref}`sec-sequence-scratch`, move the line `previous = …` of `log_prob` to the
# start of the loop's body, so that step $i$ reads pixel $i$ itself. What happens to the loss, what
# to the draws, and which test of this chapter would have found it?
# ```
#
# ````{solution} ex-sequence-shift
# :class: dropdown
# The network copies its input to its output, and the loss falls towards zero. While drawing there
# is no pixel $i$ yet; whatever is fed in its place is copied, so the draws are rubbish. The sixteen
# "probabilities" no longer add up to one: near perfect copying gives each of the sixteen almost
# probability one. The assertion with `size_of_slope[i:]` finds it too. {ref}`ch-pixelcnn` makes
# this mistake on purpose, where it is harder to see.
# ````
#
# ```{exercise} A colder pair
# :label: ex-sequence-temperature
# Two pixels: $x_1$ is a fair coin. After $x_1=0$ always $x_2=0$; after $x_1=1$, $x_2$ is a fair
# coin. Compute $q_\tau$ of {eq}`eq-sequence-tempered` for $\tau\to0$, and the distribution
# proportional to $p^{1/\tau}$ for the same limit.
# ```
#
# ````{solution} ex-sequence-temperature
# :class: dropdown
# $p(0,0)=\tfrac12$ and $p(1,0)=p(1,1)=\tfrac14$. Step by step nothing changes at any $\tau$: a fair
# coin stays fair, a sure thing stays sure. So $q_\tau=p$. But $p^{1/\tau}$ made to sum to one puts
# all its mass on $(0,0)$ as $\tau\to0$, the most probable image. The temperature of the steps does
# not look ahead.
# ````
#
# ```{exercise} A gated unit with two gates
# :label: ex-sequence-gru
# The gated recurrent unit {cite:p}`cho2014` has no separate memory:
#
# $$
# h_i=\sigma(k)\odot h_{i-1}+(1-\sigma(k))\odot g ,
# $$
#
# with a proposal $g$ that looks at $h_{i-1}$ through a second gate. Which line of
# {eq}`eq-sequence-lstm` does it keep? Train one with `models.pixel_lstm(…, cell="gru")`.
# ```
#
# ````{solution} ex-sequence-gru
# :class: dropdown
# The middle one, with write gate $1-\sigma(k)$: what is kept and what is written add up to one.
# With gates fixed, the derivative is again {eq}`eq-sequence-gated`. Three products of matrices a
# step instead of four, so it is smaller at the same size of state; on digits expect about the same
# likelihood.
# ````
#
# ## Summary
#
# - The probability of an image is a product of conditional probabilities {eq}`eq-sequence-chain`,
#   exactly and in any order. Raster order is a choice.
# - Maximum likelihood is one classification a pixel, and the losses add up {eq}`eq-sequence-kl`.
#   The result is exact, in nats per image.
# - A recurrent state is computed from the past. Plain states forget or explode
#   {eq}`eq-sequence-vanish`; gates let a network choose what to keep {eq}`eq-sequence-gated`.
# - Teacher forcing is the exact likelihood. Inputs drawn by the model itself teach it to ignore them.
# - Drawing takes one step a value. A temperature makes it another, usually worse model.
# - Give it a label, and the same network draws on demand and classifies.
#
# On the {ref}`pixel desk <sec-pixel-desk>` you can do all this by hand: set a pixel, watch the next
# one's distribution move, and let the rest be drawn.
#
# (sec-sequence-reading)=
# ## Further reading
#
# ```{erratum} E6
# ```
#
# {cite:t}`larochelle2011` made autoregressive networks a family of their own; {cite:t}`theis2015`
# read images with LSTMs in two dimensions. {cite:t}`oord2016` is the paper of the next two
# chapters, and {cite:t}`oord2016wavenet` the same idea for sound, one sample of the wave at a time.
# {cite:t}`bengio1994` found out why plain recurrent networks forget, {cite:t}`hochreiter1997` and
# {cite:t}`gers2000` what to do about it. On training with own draws read {cite:t}`bengio2015`
# together with {cite:t}`huszar2015`. {cite:t}`tomczak2022` treats autoregressive models of the same
# digits.
