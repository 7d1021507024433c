# %% [markdown]
# (ch-sharp)=
# # 06 Sharper and tighter
#
# **Reading** 70 minutes · **Running** under 90 seconds on one CPU thread · **Difficulty** ●●● ·
# **You need** chapter 04: {ref}`the bound <sec-vae-bound>` and
# {ref}`its gradient <sec-vae-gradient>`
#
# **Why are the images of a VAE so often blurred?** "Because it is a VAE" is the usual answer, and it
# is wrong. A VAE is a bound, a network, a distribution for pixels and a kind of code, and each of
# the four can be a poor choice on its own. This chapter changes them one at a time and measures what
# each is worth in nats: networks that know what a neighbour is, pixels with an honest distribution,
# a bound that closes as you spend more codes on it, and codes that are whole numbers.
#
# After this chapter you can
#
# - build a convolutional VAE, and say what it saves;
# - compare likelihoods of pixels in one unit, and say what squared error assumes;
# - derive the importance-weighted bound, say when it tightens quickly, when slowly, and why its
#   gradient needs care;
# - train a VAE with discrete codes, and report its bound;
# - ask a model for an image of a given class, and stack a second layer of codes.
#
# ```{admonition} Five questions first
# :class: tip
#
# 1. How far below $\log p(x)$ does the bound of chapter 04 lie?
# 2. Why is a density of dequantised images a lower bound on a log mass?
# 3. Which number $m$ makes $\E[(x-m)^2]$ smallest?
# 4. What is the derivative of $\log\sum_i e^{a_i}$ with respect to $a_j$?
# 5. What does one step of k-means do?
#
# If three of them come easily, read on. The answers follow.
# ```
#
# ```{admonition} Answers
# :class: dropdown
#
# 1. By $\KL{q(z\mid x)}{p(z\mid x)}$: {eq}`eq-vae-gap`.
# 2. The mass is a mean of densities over the noise, and the logarithm of a mean is at least the mean
#    of the logarithms: {eq}`eq-image-dequantisation-bound`.
# 3. The mean $\E[x]$.
# 4. $e^{a_j}/\sum_ie^{a_i}$, the $j$-th value of the softmax.
# 5. It gives each point to its nearest centre, then moves each centre to the mean of its points.
# ```

# %%
import json
import math
from pathlib import Path

import torch
from myst_nb import glue
from torch import nn
from torch.distributions import MultivariateNormal, Normal

from genlearn import data, distributions, metrics, models, nets, viz
from genlearn.training import Objective, evaluating, fit

torch.set_num_threads(1)  # models this small are fastest on one thread
digits = data.load("digits")


def train(model, objective, steps, split=digits.train, after_step=None):
    """Raise the mean of objective(images, labels); return the history."""
    adam = torch.optim.AdamW(model.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    descent = Objective(
        "model",
        lambda step: -objective(*step.batch).mean(),
        adam,
        schedule=schedule,
        after_step=after_step,
    )
    batches = data.Batches(split, 128)
    return fit(
        {"model": model}, [descent], batches, steps, device="cpu", log_every=10
    )


# %% [markdown]
# Take one pixel of the digits, near the middle of the image, and look at its values in a thousand
# training images. Then fit three distributions to it, each by maximum likelihood: a Gaussian, a
# mixture of two logistics, and a table of 17 probabilities.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Histogram of one pixel's grey levels from 0 to 16: tall bars at both ends, low ones between. A Gaussian's curve is lowest at both ends and highest in the middle. That of a mixture of two logistics follows the bars, tall ends included."}, "figure": {"caption": "Grey levels of one pixel (row 5, column 3) in the training images, and the two best fits. The Gaussian is highest in the middle, where the bars are low.", "name": "fig-sharp-pixel"}}
pixel = digits.train.images[:, 0, 4, 2].float()
levels = torch.arange(17.0)
table = (pixel == levels[:, None]).float().mean(1)  # 17 frequencies


def loss_of(log_mass):
    """Nats a pixel, from the log masses of the 17 levels."""
    return -(table * log_mass).sum()


# A Gaussian for x + u: the mean and variance of x + u, and one minus log.
scale = 2 / 17  # a level on the scale on which [0, 17) becomes [-1, 1)
mean, variance = pixel.mean() + 0.5, pixel.var() + 1 / 12
gaussian = distributions.DequantisedNormal(
    mean * scale - 1, (variance.sqrt() * scale).log(), 17
)
raw = torch.tensor([[0.0, 0.0], [-0.9, 0.9], [-2.0, -2.0]]).requires_grad_()
adam = torch.optim.Adam([raw], lr=0.05)
for _ in range(400):
    mixture = distributions.DiscretisedLogisticMixture(*raw, levels=17)
    loss = loss_of(mixture.log_prob(levels))
    adam.zero_grad()
    loss.backward()
    adam.step()
with torch.no_grad():
    fits = {"Gaussian": gaussian, "two logistics": mixture}
    nats = {
        name: loss_of(p.log_prob(levels)).item() for name, p in fits.items()
    }
nats["table"] = torch.special.entr(table).sum().item()
assert nats["table"] < nats["two logistics"] < nats["table"] + 0.2
assert nats["Gaussian"] > nats["table"] + 0.4

figure, axes = viz.subplots(height=2.4)
axes.bar(levels, table, color="lightgrey", label="training images")
with torch.no_grad():
    for name, p in fits.items():
        axes.plot(levels, p.log_prob(levels).exp(), ".-", label=name)
axes.set(xlabel="grey level", ylabel="probability", xticks=range(0, 17, 4))
axes.legend(loc="upper center")
figure

# %% [markdown]
# The pixel is often black and often white, and each grey between is rarer. The Gaussian has it the
# wrong way round: its most probable values are greys, and it spends probability below black and
# above white. Show its *mean*, and you see a grey that few images have. Keep the picture in mind;
# {ref}`sec-sharp-likelihood` turns it into nats.
#
# (sec-sharp-conv)=
# ## A network that knows what a neighbour is
#
# To the networks of chapter 04 an image is a list of 64 numbers. Shuffle the pixels of all images in
# the same way, and they learn as well as before: nothing in them says which pixels touch. A
# **convolution** says it. It computes each value from a 3×3 neighbourhood, with the *same* nine
# weights everywhere, so that what is learned about a stroke in one corner holds in all of them.
#
# The encoder alternates two things: blocks that work at one size, and convolutions that take every
# second position (*stride 2*) and so halve the image. The decoder is its mirror: it doubles the size
# by repeating each value, and lets a convolution smooth the result. A block adds its result to its
# input, $h+f(h)$, and $f$ is zero at the start. So however many blocks are stacked, an untrained
# network passes its input through, and a gradient passes back {cite:p}`he2016`. Here are both
# networks, whole.


# %%
class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(1, width), nn.GroupNorm(1, width)
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.conv2.bias)

    def forward(self, h):
        f = self.conv1(nn.functional.silu(self.norm1(h)))
        return h + self.conv2(nn.functional.silu(self.norm2(f)))


class ToLast(nn.Module):
    def forward(self, h):  # (N, 17, 8, 8) -> (N, 1, 8, 8, 17)
        return h.movedim(1, -1).unsqueeze(1)


a, b, latent = 16, 32, 16  # channels at 8x8 and at 4x4; length of the code
encoder = nn.Sequential(
    nn.Conv2d(1, a, 3, padding=1),
    Block(a),
    nn.Conv2d(a, b, 3, stride=2, padding=1),  # 8x8 -> 4x4
    Block(b),
    nn.GroupNorm(1, b),
    nn.SiLU(),
    nn.Flatten(),
    nn.Linear(b * 4 * 4, 2 * latent),  # mean and log standard deviation
)
decoder = nn.Sequential(
    nn.Linear(latent, b * 4 * 4),
    nn.Unflatten(1, (b, 4, 4)),
    Block(b),
    nn.Upsample((8, 8)),  # 4x4 -> 8x8
    nn.Conv2d(b, a, 3, padding=1),
    Block(a),
    nn.GroupNorm(1, a),
    nn.SiLU(),
    nn.Conv2d(a, 17, 1),  # 17 logits a pixel, the same weights for all
    ToLast(),
)

# %% [markdown]
# A VAE is these two networks, a likelihood and nothing else, so the library's class takes ours as
# they are. {py:meth}`genlearn.models.VAE.conv` builds the same for any size and number of channels.
# The same? Copy the weights, feed both the same images and the same noise.

# %%
mine = models.VAE(
    encoder, decoder, distributions.CategoricalPixels(17), (1, 8, 8), latent
)
torch.manual_seed(0)
conv = models.VAE.conv(
    digits.shape, digits.levels, latent_dim=latent, channels=(a, b)
)
with torch.no_grad():
    for parameter in conv.parameters():  # nothing at zero, where bugs can hide
        parameter.normal_(std=0.1)
state = zip(mine.state_dict(), conv.state_dict().values(), strict=True)
mine.load_state_dict(dict(state))
noise = torch.randn(100, latent)
images = digits.train.images[:100]
torch.testing.assert_close(
    mine.elbo(images, noise), conv.elbo(images, noise), rtol=1e-4, atol=1e-3
)
print("both give the same bound for each of 100 images")

# %% [markdown]
# ```{admonition} Predict, then run
# :class: tip
# At 8×8 pixels, the MLP and the convolutional network have about the same number of parameters. How
# many times more will each have for colour images of 64×64?
# ```


# %%
def millions(make, shape, levels, **choice):
    """Parameters of a model, in millions; on "meta" they take no memory."""
    with torch.device("meta"):
        model = make(shape, levels, **choice)
    return sum(p.numel() for p in model.parameters()) / 1e6


for shape, levels, channels in [
    ((1, 8, 8), 17, (16, 32)),
    ((3, 64, 64), 256, (16, 32, 64, 64, 64)),
]:
    dense = millions(models.VAE.mlp, shape, levels, pixel_features=4)
    light = millions(models.VAE.conv, shape, levels, channels=channels)
    print(
        f"{shape[1]}x{shape[2]}: MLP {dense:.2f} million, convolutions {light:.2f}"
    )

# %% [markdown]
# Every weight of the MLP's outer layers belongs to one pixel, so their number grows with the image.
# Those of a convolution do not: only the number of halvings grows, with its logarithm. What remains
# tied to the size are the two linear layers around the code, and they see the smallest map.
#
# A few seconds of training:

# %%
torch.manual_seed(0)
conv = models.VAE.conv(
    digits.shape, digits.levels, channels=(16, 32), dropout=0.1
)
train(conv, lambda x, y: conv.elbo(x), 200)
conv_bound = metrics.mean_elbo(conv, digits.test)
assert 94 < -conv_bound.mean < 105
print("convolutional VAE after 200 steps: below 105 nats on test images")

# %% [markdown]
# (In the same few seconds an MLP takes several times as many steps, and leads at first.)
#
# Given minutes, the convolutions win. Three long runs are kept with the book: a slightly larger network (24
# and 48 channels), images moved by up to one pixel, since a thousand of them are soon learned by heart,
# and a warm-up of the rate ({ref}`sec-beta-failure`). The command is
# `genlearn train vae --data digits --profile full`. What they found is read from their records:

# %%
records = Path("../../benchmarks/results/runs")
bounds, estimates = [], []
for seed in range(3):
    text = (records / f"vae-digits-full-seed{seed}.json").read_text("utf-8")
    result = json.loads(text)["result"]["test"]
    estimate = result["importance_sampling"]
    bounds.append(result["negative_elbo_nats"])
    estimates.append(estimate["negative_log_likelihood_nats"])
    print(
        f"seed {seed}: bound {bounds[-1]:.2f} (± {result['standard_error']:.2f})"
        f" nats, {result['bits_per_dim']:.3f} bits per dimension;"
        f" sampled {estimates[-1]:.2f} (± {estimate['standard_error']:.2f})"
    )
assert max(bounds) < 88 and max(estimates) < 84.5

# %% [markdown]
# *Bound* is the negative ELBO on the 447 test images; the model and its settings were chosen on the validation
# images. *Sampled* estimates $-\log p(x)$ itself with 5,000 codes an image, by {eq}`eq-sharp-iwae`,
# which this chapter derives below; so much of the distance was the encoder's. The ± is the standard error over images.
# The runs differ in their seed alone, so the three lines show how far one may trust a difference: half a
# nat is nothing. And remember what this split tests: writers that no training image comes from. (The
# validation images are about four nats harder.)
#
# (sec-sharp-likelihood)=
# ## What shall $p(x\mid z)$ be for a pixel?
#
# Chapter 04 gave each pixel a table of 17 probabilities. That takes any shape, but it does not know
# that level 8 lies beside level 9, and for 256 levels it is a long table. What else is there, and
# how do we compare? By one rule: **a likelihood is a probability of the data's own levels**, summing
# to one over them. Then its nats mean the same whatever the formula inside, and the smaller number
# is the better model.
#
# (sec-sharp-bernoulli)=
# ### A score that is no likelihood
#
# Many programs scale grey levels to $[0,1]$ and use the cross-entropy of a coin,
# $\log p^x(1-p)^{1-x}$. For $x\in\{0,1\}$ it is a log-probability. For 17 levels, add it up:

# %%
grey = torch.arange(17) / 16
for p in [0.5, 0.1, 0.01]:
    total = (p**grey * (1 - p) ** (1 - grey)).sum()
    print(f"p = {p}: the 'probabilities' of the 17 levels sum to {total:.2f}")

mean_image = digits.train.images.float().mean(0) / 16  # one p a pixel
x = digits.test.images / 16


def coin_loss(p):
    """Mean cross-entropy of the test images, "nats" an image."""
    logs = torch.special.xlogy(x, p) + torch.special.xlogy(1 - x, 1 - p)
    return -logs.sum((1, 2, 3)).mean().item()


constant = coin_loss(mean_image.clamp(1e-4, 1 - 1e-4))
copied = coin_loss(x)
print(f"the mean training image, for every test image: {constant:.1f}")
print(f"each test image predicted by itself, perfectly: {copied:.1f}")

# The same knowledge in honest units: 17 frequencies a pixel.
counts = nn.functional.one_hot(digits.train.images.long(), 17).sum(0) + 1
log_table = (counts / counts.sum(-1, keepdim=True)).log()
index = digits.test.images.long().unsqueeze(-1)
honest = -log_table.expand(len(x), -1, -1, -1, -1).gather(-1, index)
honest = honest.sum((1, 2, 3, 4)).mean().item()
print(f"17 frequencies a pixel, the same for every image: {honest:.0f} nats")

# %% [markdown]
# A *constant* image, which models nothing, "scores" far better than any honest model of these digits
# in this book. And a perfect copy does not score zero, so the number does not even say how good a
# reconstruction is. For grey values between 0 and 1, {cite:t}`loaiza2019` compute the missing
# constant: it depends on $p$, so it is no harmless shift. Such figures compare with nothing, and
# {py:class}`genlearn.distributions.BernoulliPixels` refuses more than two levels.
#
# (sec-sharp-gaussian)=
# ### Gaussian pixels
#
# A Gaussian is a density, so first spread the levels: with $u$ uniform in $[0,1)$, the mean of
# $\log p(x+u)$ is a lower bound on a log mass {eq}`eq-image-dequantisation-bound`. Programs
# draw $u$ anew in every step, which adds noise to the gradient. For a Gaussian nobody needs to: the
# mean over $u$ can be done on paper.
#
# Let the network work on the scale $y=hv-1$, with $v=x+u$ in $[0,K)$ and $h=2/K$ the width of one
# level, so that $y\in[-1,1)$. Let $y\sim\mathcal{N}(m,s^2)$. A density changes with the scale: what
# is squeezed by $h$ gets denser by $1/h$, so $p(v)=h\,p(y)$ and
#
# $$
# \log p(x+u) = \log h-\tfrac12\log(2\pi s^2)-\frac{(h(x+u)-1-m)^2}{2s^2}.
# $$
#
# Only the square contains $u$. Split $u=\tfrac12+(u-\tfrac12)$. The second part has mean zero and
# variance $\tfrac1{12}$, so with $\bar y=h(x+\tfrac12)-1$, the middle of the level, the cross term
# vanishes and $\E_u[(h(x+u)-1-m)^2]=(\bar y-m)^2+h^2/12$:
#
# ```{math}
# :label: eq-sharp-gaussian
# \E_u\bigl[\log p(x+u)\bigr]
#   = \log h-\tfrac12\log(2\pi s^2)-\frac{(\bar y-m)^2+h^2/12}{2s^2}.
# ```
#
# Each part has a job. Without $\log h$ the number would depend on the scale we happened to choose.
# Without $h^2/12$ a spike could win: $s\to0$ at $m=\bar y$ would be rewarded without end. With it,
# the best $s$ at a perfect mean is $h/\sqrt{12}$, and there the bound is
# $-\tfrac12\log(2\pi e/12)\approx-0.18$ nats: no pixel costs less than that.
#
# Who sets $s$? It may be *fixed*, *shared* (one number, learned) or given by the decoder for each
# *pixel*. Fixing it has a familiar name.
#
# (sec-sharp-mse)=
# ### What squared error assumes
#
# With $s$ fixed, {eq}`eq-sharp-gaussian` is $-\lVert\bar y-m\rVert^2/2s^2$ plus a constant. So
# minimising squared error plus the rate is maximising this bound with $s^2=\tfrac12$, as
# {ref}`ex-vae-mse` works out. The choice was not avoided; it was made without a look. We shall
# see what it costs: it is one of the five models below.
#
# (sec-sharp-logistic)=
# ### Discretised logistic pixels
#
# Can we have an exact mass *and* the order of the levels? Take a density with a simple cumulative
# function and give each level what lies within half a step of it {cite:p}`salimans2017`. The logistic
# distribution has the cumulative function $\sigma\bigl((y-m)/s\bigr)$, with
# $\sigma(a)=1/(1+e^{-a})$. Put level $k$ at $y_k=kd-1$ with step $d=2/(K-1)$, so that the first is at
# $-1$ and the last at $1$, and let the borders be $b_k=y_k+d/2$. The first level also gets
# everything below its border, and the last everything above:
#
# ```{math}
# :label: eq-sharp-logistic
# \begin{aligned}
# P(0)&=\sigma\Bigl(\tfrac{b_0-m}{s}\Bigr), \qquad
# P(K{-}1)=1-\sigma\Bigl(\tfrac{b_{K-2}-m}{s}\Bigr), \\
# P(k)&=\sigma\Bigl(\tfrac{b_k-m}{s}\Bigr)-\sigma\Bigl(\tfrac{b_{k-1}-m}{s}\Bigr)
#   \quad\text{otherwise.}
# \end{aligned}
# ```
#
# Add them up: each border occurs once with plus and once with minus, and what remains is 1. The sum
# *telescopes*, for every $m$ and $s$, wherever the density lies. A weighted mean of several such
# masses is one too, which makes **mixtures**: with two, a pixel can be black or white and not grey.
#
# Computed as it stands, {eq}`eq-sharp-logistic` fails. Far from $m$ both sigmoids round to 1, the
# difference is 0, and its logarithm is $-\infty$. So transform first. With $a>b$,
#
# ```{math}
# :label: eq-sharp-logistic-product
# \begin{aligned}
# \sigma(a)-\sigma(b)
#   &= \frac{(1+e^{-b})-(1+e^{-a})}{(1+e^{-a})(1+e^{-b})}
#    = \frac{e^{-b}\,(1-e^{b-a})}{(1+e^{-a})(1+e^{-b})} \\
#   &= \sigma(a)\,\sigma(-b)\,\bigl(1-e^{b-a}\bigr),
# \end{aligned}
# ```
#
# where $\sigma(-b)=e^{-b}/(1+e^{-b})$. A product of three positive factors: their logarithms are
# added, and nothing cancels.

# %%
mean, spread = -0.5, math.exp(-4.0)  # a narrow logistic in the dark
level, step = 200, 2 / 255
a = torch.tensor((level * step - 1 + step / 2 - mean) / spread)
b = a - step / spread
difference = (a.sigmoid() - b.sigmoid()).log()
product = nn.functional.logsigmoid(a) + nn.functional.logsigmoid(-b)
product = product + torch.log(-torch.expm1(b - a))
print(f"log of the difference {difference:.1f}, of the product {product:.1f}")
assert difference == -math.inf and -60 < product < -50

# %% [markdown]
# ### Side by side
#
# Five models, alike but for the last layer, in one unit. Each trains for {glue:text}`sharp-steps`
# steps.
#
# ```{admonition} Predict, then run
# :class: tip
# A model that knows nothing gives each of the 17 levels the same probability: 4.09 bits a pixel. Put
# in order: squared error ($s^2=\tfrac12$), Gaussian with one learned $s$, Gaussian with $s$ from the
# decoder, two logistics, the table. Is any of them worse than knowing nothing?
# ```

# %%
steps = 500
glue("sharp-steps", str(steps), display=False)
choices = {
    "squared error": distributions.GaussianPixels(17, "fixed", std=0.5**0.5),
    "Gaussian, one s": distributions.GaussianPixels(17, "shared"),
    "Gaussian, s a pixel": distributions.GaussianPixels(17, "pixel"),
    "two logistics": distributions.LogisticPixels(17, components=2),
    "table": distributions.CategoricalPixels(17),
}
trained, bits, rate = {}, {}, {}
for name, likelihood in choices.items():
    torch.manual_seed(0)
    vae = models.VAE.mlp(
        digits.shape,
        digits.levels,
        pixel_features=4 if likelihood.parameters_per_value > 1 else 0,
        dropout=0.2,
        likelihood=likelihood,
    )
    train(vae, lambda x, y, vae=vae: vae.elbo(x), steps)
    bound = metrics.mean_elbo(vae, digits.test).mean
    trained[name], bits[name] = vae, metrics.bits_per_dim(bound, vae)
    with evaluating(vae):
        rate[name] = vae.terms(digits.test.images).rate.mean().item()

know_nothing = math.log2(17)
assert bits["squared error"] > know_nothing  # worse than knowing nothing
assert bits["Gaussian, one s"] > bits["Gaussian, s a pixel"] + 0.5
assert bits["Gaussian, s a pixel"] > bits["table"] + 0.2
assert abs(bits["two logistics"] - bits["table"]) < 0.2
assert rate["squared error"] < rate["Gaussian, one s"] / 2
print(
    "worse than knowing nothing:", [n for n in bits if bits[n] > know_nothing]
)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Horizontal bars of bits per dimension on test images. Squared error is beyond a dashed line at 4.09 bits that marks knowing nothing. A Gaussian with one learned deviation needs about three and a half bits, one with a deviation for each pixel about two and a half to three; two logistics and the table need about two."}, "figure": {"caption": "Bits per dimension of the test images under five likelihoods (lower is better; all bounds). Dashed: a model that knows nothing.", "name": "fig-sharp-likelihoods"}}
figure, axes = viz.subplots(height=2.2)
axes.barh(list(bits), list(bits.values()))
axes.axvline(know_nothing, ls="--", lw=1, color="black")
axes.set(xlabel="bits per dimension", xlim=(0, 4.6))
axes.invert_yaxis()
figure

# %% [markdown]
# Squared error is *worse than knowing nothing*. A standard deviation of 0.71, on a scale where black
# and white are 2 apart, spreads most of its probability over grey levels that are wrong, or beyond
# both ends. And the damage goes deeper than the last line of the formula: where pixels are said to
# be that noisy, a code saves little, so the model hardly uses its code, and its rate is less than
# half that of the model with a learned $s$. Give the trained decoder a better $s$ afterwards, and
# you mend the first fault but not the second:

# %%
late = trained["squared error"]
with evaluating(late):
    mean = late.decoder(late.posterior(digits.train.images).mean)[..., 0]
middle = (digits.train.images + 0.5) * scale - 1
best_variance = (middle - mean).square().mean() + scale**2 / 12
late.pixels.log_std.fill_(best_variance.log() / 2)
late_bound = metrics.mean_elbo(late, digits.test).mean
repaired = metrics.bits_per_dim(late_bound, late)
assert bits["Gaussian, one s"] + 0.05 < repaired < bits["squared error"] - 0.2
print("best s afterwards: better, and still worse than s learned with the rest")

# %% [markdown]
# (sec-sharp-blur)=
# ### Why are the images blurred?
#
# A decoder outputs a *distribution*. What is usually shown is its mean, and the mean of several sharp
# images is a blurred one. That is no accident of training: $\E[x\mid z]$ is the very image that makes
# the expected squared error smallest, and where one code stands for a stroke here *or* a stroke
# there, it is grey in both places. A draw has the opposite fault: each pixel decides for itself.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Seven rows of sixteen small images. Test images; then for squared error, Gaussian with one deviation, and two logistics, a row of mean images and a row of draws. Means of squared error are the most blurred and its draws are noise over all grey levels; the Gaussian's draws are grainy everywhere, also on the dark border; draws of the two logistics have dark borders and grainy strokes."}, "figure": {"caption": "Test images, and three models' reconstructions from the mean code: the mean of $p(x\\mid z)$, and a draw from it.", "name": "fig-sharp-blur"}}
torch.manual_seed(0)
trained["squared error"].pixels.log_std.fill_(math.log(0.5) / 2)  # as it was
test = digits.test.images[:16]
blocks, titles, drawn = [test], ["test images"], {}
for name in ["squared error", "Gaussian, one s", "two logistics"]:
    vae = trained[name]
    with evaluating(vae):
        code = vae.posterior(test).mean
        drawn[name] = vae.likelihood(code).sample()
    blocks += [vae.mean_image(code), drawn[name]]
    titles += [f"{name}: mean", f"{name}: draw"]
viz.grid(blocks, digits.levels, titles=titles)


# %%
def roughness(images):
    """Mean difference between neighbours in a row, in levels."""
    return images.float().diff(dim=-1).abs().mean().item()


vae = trained["two logistics"]
with evaluating(vae):
    code = vae.posterior(digits.test.images).mean
    draw = vae.likelihood(code).sample()
smooth = roughness(vae.mean_image(code))
assert smooth + 0.2 < min(roughness(digits.test.images), roughness(draw))
print("neighbours differ less in means than in real images or in draws")

# %% [markdown]
# So "VAEs are blurred" mixes three things: means shown as samples; a variance too large for the
# data, chosen by a loss nobody questioned; and one that is real, that pixels are independent given
# the code. Chapters 11 to 13 remove the last. The first two you need not commit.
#
# (sec-sharp-iwae)=
# ## Many codes for one image
#
# Leave the model as it is and look at the *bound*. Chapter 04 explained each image with one code at
# a time and averaged the logarithms. If several codes explain it, why not let them do so together?
# Give each code a **weight**: how much more probable the pair is under the model than the encoder's
# proposal made the code,
#
# $$
# w(x,z)=\frac{p(x,z)}{q(z\mid x)},\qquad z\sim q(z\mid x).
# $$ (eq-sharp-weights)
#
# Its mean is what we are after, for any $q$ that is positive where $p(x,z)$ is:
#
# $$
# \E_{q(z\mid x)}\bigl[w(x,z)\bigr]
#   =\int q(z\mid x)\,\frac{p(x,z)}{q(z\mid x)}\,\mathrm{d}z=\int p(x,z)\,\mathrm{d}z=p(x).
# $$ (eq-sharp-mean-weight)
#
# So a mean of weights is an unbiased estimate of $p(x)$: *importance sampling*. Chapter 04's bound is
# $\E[\log w]$. The **importance-weighted bound** averages $k$ of them first {cite:p}`burda2015`:
#
# $$
# \mathcal{L}_k(x)=\E_{z_1,\dots,z_k\sim q(z\mid x)}
#   \Bigl[\log\frac1k\sum_{i=1}^{k}w(x,z_i)\Bigr].
# $$ (eq-sharp-iwae)
#
# Jensen's inequality loses less when what stands inside the logarithm scatters less, and a mean of
# many scatters less. That is the idea; here is the proof.
#
# ````{prf:theorem} Order of the bounds
# :label: thm-sharp-ordering
#
# $$
# \ELBO(x)=\mathcal{L}_1(x)\le\mathcal{L}_2(x)\le\mathcal{L}_3(x)\le\dots\le\log p(x),
# $$ (eq-sharp-ordering)
#
# and $\mathcal{L}_k(x)\to\log p(x)$ as $k\to\infty$, if $\ELBO(x)$ is finite.
# ````
#
# ````{prf:proof}
# *Below $\log p(x)$.* The mean of $k$ weights has expectation $p(x)$ by {eq}`eq-sharp-mean-weight`,
# and the logarithm of an expectation is at least the expectation of the logarithm.
#
# *Rising.* Let $k<m$. From the numbers $1,\dots,m$ choose a set $I$ of $k$ at random, all sets
# equally likely, whatever the codes are. Each number is in $I$ with probability $k/m$, so on average
# over $I$ the mean over the set is the mean over all:
#
# $$
# \E_I\Bigl[\frac1k\sum_{i\in I}w_i\Bigr]=\frac1k\sum_{i=1}^{m}\frac km\,w_i=\frac1m\sum_{i=1}^{m}w_i.
# $$
#
# Take logarithms, and use Jensen's inequality for the average over $I$:
#
# $$
# \log\frac1m\sum_{i=1}^{m}w_i\;\ge\;\E_I\Bigl[\log\frac1k\sum_{i\in I}w_i\Bigr].
# $$
#
# Now average over the codes. The left side becomes $\mathcal{L}_m$. On the right, any fixed set $I$
# holds $k$ independent codes from $q$, so each gives $\mathcal{L}_k$, and so does their average.
#
# *Converging.* Let $r_i=w_i/p(x)$, with mean 1, and $\bar r_k$ the mean of the first $k$. The
# logarithm is concave, so $a_k=\frac1k\sum_{i\le k}\log r_i\le\log\bar r_k$. The law of large
# numbers takes $\log\bar r_k$ to $\log1=0$ and $a_k$ to $\E[\log r]$, which is finite. And
# $\E[a_k]=\E[\log r]$ for every $k$. The difference $\log\bar r_k-a_k$ is never negative, so Fatou's
# lemma applies to it: $\liminf\E[\log\bar r_k-a_k]\ge0-\E[\log r]$, that is
# $\liminf\E[\log\bar r_k]\ge0$. But $\E[\log\bar r_k]=\mathcal{L}_k(x)-\log p(x)\le0$.
# ````
#
# ### How fast?
#
# Write $\bar r_k=1+\delta$. Then $\delta$ has mean zero and variance $\operatorname{Var}(r)/k$, and
# $\log(1+\delta)=\delta-\tfrac12\delta^2+\dots$ gives, when large weights are rare enough for the
# rest to vanish faster,
#
# $$
# \log p(x)-\mathcal{L}_k(x)\approx\frac{\operatorname{Var}(r)}{2k},\qquad r=\frac{w(x,z)}{p(x)}
#   =\frac{p(z\mid x)}{q(z\mid x)}.
# $$ (eq-sharp-gap)
#
# So for many codes it is no longer $\KL{q}{p}$ that counts, but the *variance of the weights*, and
# that is another matter. Let the posterior be $\mathcal{N}(a,\Sigma)$ in $L$ dimensions and the
# proposal $\mathcal{N}(a,c\,\Sigma)$: right place, wrong width. Measure $z$ in units in which
# $\Sigma=I$; then both are products over the coordinates, and for one of them
#
# ```{math}
# \begin{aligned}
# \E_q[r^2]=\int\frac{\mathcal{N}(z;0,1)^2}{\mathcal{N}(z;0,c)}\,\mathrm{d}z
#   &=\frac{\sqrt{2\pi c}}{2\pi}\int e^{-z^2\left(1-\frac1{2c}\right)}\,\mathrm{d}z \\
#   &=\frac{\sqrt{2\pi c}}{2\pi}\sqrt{\frac{2\pi c}{2c-1}}=\frac{c}{\sqrt{2c-1}}.
# \end{aligned}
# ```
#
# $$
# \operatorname{Var}(r)=\Bigl(\frac{c}{\sqrt{2c-1}}\Bigr)^{L}-1
#   \quad\text{if }c>\tfrac12,\qquad\text{and infinite otherwise.}
# $$ (eq-sharp-second-moment)
#
# A proposal that is too *wide* wastes codes. One whose variance is less than half of what it should
# be misses regions that matter, and when a code lands there its weight is enormous. The divergence
# $\KL{q}{p}=\frac L2(c-1-\log c)$ sees both kinds of error, but it forgives narrowness: it is this
# direction of the divergence that prefers to leave out.
#
# ```{admonition} Predict, then run
# :class: tip
# We take two proposals for a point of probabilistic PCA with the *same* ELBO: one with $c=3$, one
# with the $c$ below 1 that has the same divergence. At $k=1$ both miss $\log p(x)$ by $0.90$ nats.
# By how much will each miss it at $k=1000$?
# ```

# %%
torch.manual_seed(0)
ppca = models.PPCA(5, 2).double().requires_grad_(False)
ppca.log_noise_std.fill_(-0.3)
x = ppca.sample(1)
posterior, evidence = ppca.posterior(x), ppca.log_prob(x).item()

wide, low, high = 3.0, 0.01, 1.0
target = wide - 1 - math.log(wide)  # the divergence, for L = 2
for _ in range(60):  # halve the interval
    narrow = (low + high) / 2
    below = narrow - 1 - math.log(narrow) < target
    low, high = (low, narrow) if below else (narrow, high)
print(f"c = {wide} and c = {narrow:.4f}: divergence {target:.3f} nats both")
widths = {"too wide": wide, "too narrow": narrow}


def proposal(c):
    return MultivariateNormal(posterior.mean, c * posterior.covariance_matrix)


def log_weights(q, count):
    """log w of PPCA for count codes, and the codes."""
    z = q.sample((count,))  # (count, 1, 2)
    log_x = Normal(z @ ppca.weight.T + ppca.mean, ppca.log_noise_std.exp())
    log_joint = log_x.log_prob(x).sum(-1) + ppca.prior().log_prob(z)
    return (log_joint - q.log_prob(z))[:, 0], z[:, 0]


sizes = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]
gaps, errors = {}, {}
for name, c in widths.items():
    torch.manual_seed(0)
    log_w, _ = log_weights(proposal(c), 1_000_000)
    log_r = log_w - evidence
    rows = []
    for k in sizes:
        gap = -(log_r.view(-1, k).logsumexp(1) - math.log(k))
        if c > 0.5:  # add the mean of r - 1, which is 0: most scatter cancels
            gap = gap + log_r.exp().view(-1, k).mean(1) - 1
        rows.append((gap.mean(), gap.std() / math.sqrt(len(gap))))
    gaps[name], errors[name] = torch.tensor(rows).T

    exact = ppca.elbo(x, proposal(c)).item() - evidence
    assert abs(gaps[name][0] + exact) < 5 * errors[name][0]  # k = 1: ELBO
    assert (gaps[name] > 5 * errors[name]).all()  # below log p(x)
    assert (gaps[name].diff() < 0).all()  # and rising with k
    print(f"{name:10}: {gaps[name][0]:.2f} nats below at k = 1", end=", ")
    print(f"{gaps[name][-1]:.4f} at k = 1000")

variance = (wide / math.sqrt(2 * wide - 1)) ** 2 - 1
assert abs(gaps["too wide"][-1] * 2000 / variance - 1) < 0.1
assert gaps["too narrow"][-1] > 200 * gaps["too wide"][-1]

# %% tags=["hide-input"] mystnb={"image": {"alt": "Left: two importance-weighted bounds against the number of codes, from 1 to 1000. Both start at the same ELBO, 0.9 nats below a dashed line for the exact log p(x). The one from the wide proposal reaches the line within about fifty codes, the one from the narrow proposal is still visibly below it at a thousand. Right: the same gaps on logarithmic axes; the wide one falls along the line variance over 2k, the narrow one much less steeply."}, "figure": {"caption": "Two proposals with the same ELBO. Left: $\\mathcal{L}_k$ between the ELBO (dotted) and the exact $\\log p(x)$ (dashed). Right: how far below it lies, with five standard errors, and the line {eq}`eq-sharp-gap` for the wide proposal.", "name": "fig-sharp-gap"}}
figure, (left, right) = viz.subplots(1, 2, height=2.8)
for name in widths:
    left.semilogx(sizes, evidence - gaps[name], ".-", label=name)
    right.errorbar(sizes, gaps[name], 5 * errors[name], fmt=".-")
left.axhline(evidence, ls="--", lw=1, color="black")
left.axhline(evidence - target, ls=":", lw=1, color="black")
left.set(xlabel="codes $k$", ylabel="nats")
left.legend(loc="lower right")
right.loglog(
    sizes, [variance / (2 * k) for k in sizes], ":", lw=1, color="black"
)
right.set(xlabel="codes $k$", ylabel="$\\log p(x)-\\mathcal{L}_k$, nats")
figure

# %% [markdown]
# Equal ELBOs, and at a thousand codes the gaps differ by a factor of hundreds. The theorem holds for
# both; it does not say *when*. The ELBO, by {eq}`eq-vae-gap`, trains encoders that are too narrow
# rather than too wide. So where you estimate $\log p(x)$ with the encoder of a VAE, expect the slow
# kind, and report what the estimate is: still a lower bound, on average.
#
# The slider shows why codes are wasted: the area of each dot grows with its share of all weights,
# $\hat w_i=w_i/\sum_jw_j$. The *effective* number of codes is $1/\sum_i\hat w_i^2$: it is $k$ if all
# weigh the same, and 1 if a single one has all the weight.


# %% tags=["hide-input"]
def weighted_codes(c, k):
    """A figure of k codes from N(a, c Σ), sized by weight, and a caption."""
    torch.manual_seed(3)
    log_w, z = log_weights(proposal(c), k)
    shares = log_w.softmax(0)
    figure, axes = viz.subplots(height=2.6)
    circle = torch.linspace(0, 2 * math.pi, 100, dtype=torch.float64)
    circle = torch.stack([circle.cos(), circle.sin()], 1)
    for matrix, style in [
        (posterior.scale_tril[0], "-"),
        (proposal(c).scale_tril[0], "--"),
    ]:
        ring = posterior.mean[0] + 2 * circle @ matrix.T
        axes.plot(*ring.T, style, color="black", lw=1)
    axes.scatter(*z.T, s=3, color="grey", linewidths=0)
    area = 6000 * shares / math.sqrt(k)
    axes.scatter(*z.T, s=area, color=viz.style.BLUE, alpha=0.5, linewidths=0)
    x_centre, y_centre = posterior.mean[0].tolist()
    axes.set(
        xlim=(x_centre - 6.6, x_centre + 6.6),
        ylim=(y_centre - 2.4, y_centre + 2.4),
        aspect="equal",
    )
    axes.set_axis_off()
    miss = log_w.logsumexp(0).item() - math.log(k) - evidence
    effective = 1 / shares.square().sum().item()
    caption = (
        f"k = {k}: log of the mean weight {miss:+.2f} nats from log p(x); "
        f"effective codes {effective:.1f}"
    )
    return figure, caption


pages = {}
for name, c in widths.items():
    frames = [weighted_codes(c, k) for k in [1, 3, 10, 100, 1000]]
    pages[name] = viz.slider(*zip(*frames, strict=True), "k")
viz.tabs(pages)

# %% [markdown]
# Solid is the posterior, dashed the proposal, two standard deviations each. With the narrow proposal
# nearly all codes have the same, small weight; the sum waits for the rare code near the rim.
#
# ### From scratch
#
# In code, weights overflow and underflow, so work with logarithms: $\log\sum_ie^{a_i}$ is
# `logsumexp`, which subtracts the largest first. Five lines make the bound, for any VAE:


# %%
def iwae(vae, x, noise):
    """x: (N, C, H, W); noise: (k, N, L); returns nats, (N,)."""
    q = vae.posterior(x).base_dist
    z = q.loc + q.scale * noise
    log_x = torch.stack([vae.likelihood(c).log_prob(x.float()) for c in z])
    log_w = log_x + (Normal(0, 1).log_prob(z) - q.log_prob(z)).sum(2)
    return log_w.logsumexp(0) - math.log(len(z))


vae = trained["table"]
noise = torch.randn(7, 100, 16)
with evaluating(vae):
    torch.testing.assert_close(
        iwae(vae, images, noise), vae.iwae(images, 7, noise)
    )
print("both give the same bound for each of 100 images")

# %% [markdown]
# {py:func}`genlearn.metrics.log_likelihood` evaluates the same for a whole split, in chunks of
# bounded memory, and with the standard error over images. How much did chapter 04's bound understate?

# %%
few = data.Split(digits.test.images[:100], digits.test.labels[:100], 17)
estimates = {
    k: metrics.log_likelihood(vae, few, samples=k).mean
    for k in [1, 10, 100, 1000]
}
series = torch.tensor(list(estimates.values()))
assert (series.diff() > 0.03).all()
assert 1.2 < series[-1] - series[0] < 2.7
print("k = 1, 10, 100, 1000: each estimate above the one before")
print("a thousand codes are worth between one and three nats")

# %% [markdown]
# So a nat or two that looked like a fault of the model were a fault of the bound. **When you compare
# two models, compare them at the same $k$.**
#
# (sec-sharp-gradient)=
# ## Training on the tighter bound
#
# $\mathcal{L}_k$ can be trained on as well. With reparameterised codes its gradient is, by the chain
# rule for `logsumexp`,
#
# $$
# \nabla\log\frac1k\sum_iw_i=\sum_{i=1}^{k}\hat w_i\,\nabla\log w_i,
# \qquad\hat w_i=\frac{w_i}{\sum_jw_j}.
# $$ (eq-sharp-gradient)
#
# Each code contributes by its share. **What must be detached?** Here, nothing: autograd
# differentiates `logsumexp` and finds the shares by itself. Only if you write the right side
# down as a *surrogate*, `(shares * log_w).sum(0)`, must the shares be detached: else autograd also
# differentiates them, and follows another function's slope.
#
# Does a tighter bound give a better gradient? For the decoder, yes. For the encoder something odd
# happens {cite:p}`rainforth2018`. Suppose $k$ is huge. Then $\mathcal{L}_k$ is close to $\log p(x)$
# *whatever the encoder does*, so by {eq}`eq-sharp-gap` its slope in the encoder's parameters shrinks
# as $1/k$. The estimate's scatter shrinks too, but as an average of $k$ terms does: as $1/\sqrt k$.
# The quotient, signal to noise, **falls** as $1/\sqrt k$. More codes train the encoder worse.
#
# ### The doubly reparameterised gradient
#
# The noise can be taken out {cite:p}`tucker2018`. The encoder's parameters $\phi$ enter $\log w_i$
# in two ways: through the code $z_i=\mu_\phi+\sigma_\phi\varepsilon_i$, and directly, through
# $-\log q_\phi(z_i\mid x)$. Written apart,
#
# ```{math}
# \begin{aligned}
# \nabla_\phi\mathcal{L}_k
#   &=\E\Bigl[\sum_i\hat w_i\,\frac{\partial\log w_i}{\partial z_i}
#   \frac{\mathrm{d}z_i}{\mathrm{d}\phi}\Bigr] \\
#   &\quad-\E\Bigl[\sum_i\hat w_i\,
#   \nabla_\phi\log q_\phi(z_i\mid x)\Big|_{z_i\text{ fixed}}\Bigr].
# \end{aligned}
# ```
#
# The second part is a score function. Chapter 04 showed two estimators of one gradient: for a
# function $f$ that does not itself depend on $\phi$, {eq}`eq-vae-score` equals {eq}`eq-vae-pathwise`,
#
# $$
# \E\bigl[f(z)\,\nabla_\phi\log q_\phi(z)\bigr]
#   =\E\Bigl[\frac{\partial f}{\partial z}\,\frac{\mathrm{d}z}{\mathrm{d}\phi}\Bigr].
# $$
#
# There we began with a gradient and had the choice. Here we have the left side and may put the right
# side in its place. Hold all other codes fixed and take for $f$ the share $\hat w_i$ as a function
# of $z_i$ (with $\phi$ held fixed inside it). From $\hat w_i=w_i/(w_i+\text{rest})$,
#
# $$
# \frac{\partial\hat w_i}{\partial z_i}
#   =\hat w_i\,(1-\hat w_i)\,\frac{\partial\log w_i}{\partial z_i},
# $$
#
# so the second part is
#
# $$
# -\E\Bigl[\sum_i(\hat w_i-\hat w_i^2)\,\frac{\partial\log w_i}{\partial z_i}
#   \frac{\mathrm{d}z_i}{\mathrm{d}\phi}\Bigr].
# $$
#
# Added to the first, $\hat w_i$ cancels, and what is left is
#
# $$
# \nabla_\phi\mathcal{L}_k=\E\Bigl[\sum_{i=1}^{k}\hat w_i^2\,
#   \frac{\partial\log w_i}{\partial z_i}\,\frac{\mathrm{d}z_i}{\mathrm{d}\phi}\Bigr].
# $$ (eq-sharp-doubly)
#
# The **doubly reparameterised** gradient: squared shares, and no score function. A share is of the
# order $1/k$, so $k$ squared ones add up to $1/k$, like the signal, and their sum scatters less than
# that by $1/\sqrt k$. Now signal to noise *rises* as $\sqrt k$. Let us measure both where the
# posterior is $\mathcal{N}(0,1)$ and the proposal $\mathcal{N}(\tfrac12,1.5^2)$, for the gradient of
# its mean.


# %%
def mean_gradients(k, gradient, count=4000):
    """Independent estimates of the gradient for the mean, (count,)."""
    mean = torch.full((count,), 0.5, dtype=torch.float64, requires_grad=True)
    noise = torch.randn(k, count, dtype=torch.float64)
    std = 1.5
    z = mean + std * noise
    log_p = -z.square() / 2
    if gradient == "reparameterised":
        log_w = log_p + noise.square() / 2 + math.log(std)
        log_w.logsumexp(0).sum().backward()
    else:
        centre = mean.detach()  # the encoder acts through z alone
        log_w = log_p + ((z - centre) / std).square() / 2 + math.log(std)
        shares = log_w.detach().softmax(0)
        z.register_hook(lambda g: g * shares)  # the second of two shares
        (shares * log_w).sum().backward()
    return mean.grad


torch.manual_seed(0)
counts = [1, 3, 10, 30, 100, 300, 1000]
clarity, scatter = {}, {}
for gradient in ["reparameterised", "doubly"]:
    draws = [mean_gradients(k, gradient) for k in counts]
    scatter[gradient] = torch.stack([d.var() for d in draws])
    clarity[gradient] = [(d.mean() / d.std()).abs().item() for d in draws]
one = mean_gradients(10, "reparameterised", 100_000)
two = mean_gradients(10, "doubly", 100_000)
error = math.hypot(one.std(), two.std()) / math.sqrt(100_000)
assert abs(one.mean() - two.mean()) < 5 * error  # the same on average
ratio = scatter["reparameterised"] / scatter["doubly"]
print(f"variance ratio at k = 10: about {round(ratio[2].item(), -1):.0f}")
assert 150 < ratio[2] < 300 and ratio[4] > 1e4

# %% tags=["hide-input"] mystnb={"image": {"alt": "Signal to noise of two gradient estimates against the number of codes, on logarithmic axes. That of the reparameterised one falls from 0.4 towards 0.01, along a line of slope minus one half, and is ragged where it is too small to measure. That of the doubly reparameterised one rises from 0.6 to 10."}, "figure": {"caption": "Signal to noise (mean over standard deviation) of the gradient for the proposal's mean, from 4,000 estimates each. Dotted: slopes $\\mp\\frac12$.", "name": "fig-sharp-snr"}}
figure, axes = viz.subplots(height=2.5)
for gradient, values in clarity.items():
    axes.loglog(counts, values, ".-", label=gradient)
k = torch.tensor([3.0, 1000.0])
axes.plot(k, 0.26 * k**-0.5, ":", lw=1, color="black")
axes.plot(k, 0.31 * k**0.5, ":", lw=1, color="black")
axes.set(xlabel="codes $k$", ylabel="signal to noise")
axes.legend()
figure

# %% [markdown]
# `vae.iwae(x, k, gradient="doubly")` is this, for encoder and decoder at once: the decoder keeps the
# plain gradient {eq}`eq-sharp-gradient`, and a hook on the codes gives the encoder its second share.
#
# (sec-sharp-experiment)=
# ### An experiment: the mean inside or outside the logarithm
#
# What does training with ten codes buy? Ten codes a step also mean less noise, even for the old
# bound. So we train three models, and change one thing only: one code; ten codes, the mean *outside*
# the logarithm (the ELBO, measured better); ten codes, the mean *inside* ($\mathcal{L}_{10}$). The
# digits are cut to black and white, which makes the models small. All three are judged alike, by
# $\mathcal{L}_{500}$ on test images.
#
# ```{admonition} Predict, then run
# :class: tip
# Which of the three has the best $\mathcal{L}_{500}$? And which has the *worst* ELBO?
# ```


# %%
def black_and_white(split):
    return data.Split((split.images >= 8).to(torch.uint8), split.labels, 2)


ink, ink_test = black_and_white(digits.train), black_and_white(digits.test)


def trained_with(objective, steps=600):
    torch.manual_seed(0)
    vae = models.VAE.mlp(
        digits.shape, 2, latent_dim=8, hidden=(128,), dropout=0.2
    )
    train(vae, lambda x, y: objective(vae, x), steps, ink)
    elbo = metrics.mean_elbo(vae, ink_test).mean
    judged = metrics.log_likelihood(vae, ink_test, samples=500).mean
    return vae, elbo, judged


results = {
    "one code": trained_with(lambda vae, x: vae.iwae(x, 1)),
    "ten, outside": trained_with(lambda vae, x: vae.log_weights(x, 10).mean(0)),
    "ten, inside": trained_with(lambda vae, x: vae.iwae(x, 10)),
}
_, elbos, judged = zip(*results.values(), strict=True)
assert judged[2] > judged[1] + 0.1 and judged[1] > judged[0] + 0.1
assert elbos[2] < min(elbos[0], elbos[1]) - 0.2
print("best log-likelihood and worst ELBO: ten codes, inside")

# %% [markdown]
# Part of the gain is less noise. The rest comes from the bound itself, and it brings a
# *lower* ELBO. That is no contradiction: by {eq}`eq-vae-gap`, the ELBO punishes every deviation of
# $q$ from the posterior, and keeps the model to posteriors that a Gaussian can match.
# $\mathcal{L}_{10}$ asks only that one code in ten be good, and leaves the decoder free to be better.
# A bound does not only measure a model; it chooses which model you get.
#
# (sec-sharp-failure)=
# ## A failure, made on purpose
#
# A tidy program minimises *losses*. So let `losses` be $-\log w$, one for each code, and write the
# surrogate of {eq}`eq-sharp-gradient` with them, shares detached as they should be:


# %%
def surrogate(vae, x, k=10):
    losses = -vae.log_weights(x, k)  # (k, N), positive numbers, in nats
    shares = losses.softmax(0).detach()  # the mistake: see below
    return -(shares * losses).sum(0)


_, broken_elbo, broken_judged = trained_with(surrogate)
assert abs(broken_judged - judged[0]) < 0.25  # no better than one code
assert broken_judged < min(judged[1:]) - 0.15

vae = results["one code"][0]
torch.manual_seed(0)
with evaluating(vae):
    shown = ink_test.images
    wrong = [surrogate(vae, shown, k).mean().item() for k in (1, 10, 100)]
    right = [vae.iwae(shown, k).mean().item() for k in (1, 10, 100)]
    log_w = vae.log_weights(shown, 10)
    share = (-log_w).softmax(0).gather(0, log_w.argmin(0, keepdim=True))
assert wrong[0] > wrong[1] + 0.5  # falls as k grows
assert wrong[1] > wrong[2] + 0.15
assert right[1] > right[0] + 0.2  # while a bound rises
assert right[2] > right[1]
assert 0.25 < share.mean() < 0.42
print("share of the worst of ten codes: about one third, not one tenth")
print("with more codes the objective falls, where a bound must rise")

# %% [markdown]
# ```{admonition} Symptom, diagnosis, cure
# :class: warning
#
# **Symptom.** Training looks normal and the loss falls. But ten codes are no better than one, and the
# reported objective gets *worse* with every code that you add, by more than half a nat from 1 to
# 10, on one and the same model. $\mathcal{L}_k$ can only rise with $k$.
#
# **Diagnosis.** The shares were computed from losses: `softmax(losses)` is the share of $1/w$, not of
# $w$. The largest loss, which is the *worst* code, gets the largest share (about a third among
# ten). The encoder learns to avoid bad codes instead of finding good ones.
#
# **Cure.** Take the softmax of $\log w$, which goes up: `(-losses).softmax(0)`. Better, write no
# surrogate: `logsumexp(log_w) - log(k)` has the right gradient by itself. And print the objective of
# one model for $k=1$, 10 and 100: it must rise.
# ```
#
# (sec-sharp-vq)=
# ## Codes that are whole numbers
#
# So far a code is a point in space. Words, pixels and the moves of a game are whole numbers, and
# there are excellent models for sequences of such (chapters 11 to 13). A **vector-quantised VAE**
# {cite:p}`vandenoord2017` makes images into grids of whole numbers.
#
# The encoder gives a vector $v_{ij}(x)$ for each place $(i,j)$ of a small grid. A **codebook** holds
# $K$ codewords $e_1,\dots,e_K$. Each vector is replaced by the nearest one, and its number is the
# code:
#
# $$
# c_{ij}(x)=\operatorname*{arg\,min}_{k}\,\lVert v_{ij}(x)-e_k\rVert^2 .
# $$ (eq-sharp-vq)
#
# The decoder sees codewords only. So an image of our digits becomes, say, 2×2 numbers below 32: the
# same for each image every time, with no noise in the encoder.
#
# (sec-sharp-straight)=
# ### A gradient across a step
#
# The nearest number does not move when $v$ moves a little: its derivative is zero almost everywhere,
# so the encoder would learn nothing. The **straight-through** estimator {cite:p}`bengio2013` goes
# forward with the codeword and backward as if nothing had been replaced. With $\operatorname{sg}$
# (*stop gradient*, `detach`) for a value that counts as a constant,
#
# $$
# \hat v=v+\operatorname{sg}(e_c-v).
# $$ (eq-sharp-straight)
#
# Forward, the $v$ cancel and $\hat v=e_c$. Backward, $\partial\hat v/\partial v=I$. This is biased:
# it takes the slope at the codeword for the slope at the vector. It helps if the two are close, and
# so a **commitment** term pulls the vectors towards their codewords. The loss, for one image, is
#
# $$
# -\log p\bigl(x\mid c(x)\bigr)
#   +\beta\sum_{ij}\bigl\lVert v_{ij}(x)-\operatorname{sg}(e_{c_{ij}})\bigr\rVert^2 .
# $$ (eq-sharp-vq-loss)
#
# No gradient moves the codewords. Each follows the vectors that chose it: with $n_k$ vectors in this
# batch and $s_k$ their sum,
#
# ```{math}
# :label: eq-sharp-ema
# \begin{aligned}
# N_k&\leftarrow\gamma N_k+(1-\gamma)\,n_k, \qquad
# S_k\leftarrow\gamma S_k+(1-\gamma)\,s_k, \\
# e_k&\leftarrow S_k/N_k .
# \end{aligned}
# ```
#
# With $\gamma=0$ and all vectors in one batch this is a step of **k-means**. With $\gamma$ near one
# it is k-means that looks at one batch at a time and forgets slowly, which it must, since the
# encoder keeps moving. From scratch, against the library's {py:class}`genlearn.nets.Codebook`:


# %%
def quantise(vectors, words):
    """(M, D) and (K, D) to codewords with a straight gradient, and codes."""
    codes = torch.cdist(vectors, words).argmin(1)
    return vectors + (words[codes] - vectors).detach(), codes


torch.manual_seed(0)
codebook = nets.Codebook(codes=5, dim=2, decay=0.0, restart=0.0)
vectors = torch.randn(200, 2).requires_grad_()
hats, codes = quantise(vectors, codebook.words)
theirs = codebook(vectors)
assert torch.equal(codes, theirs.codes)
torch.testing.assert_close(hats, theirs.vectors)
weight = torch.randn(200, 2)  # of some loss of the decoder
(gradient,) = torch.autograd.grad((weight * theirs.vectors).sum(), vectors)
assert torch.equal(gradient, weight)  # straight through

means = torch.stack([vectors[codes == k].mean(0) for k in range(5)])
codebook.update()  # decay 0: a step of k-means
torch.testing.assert_close(codebook.words, means.detach(), atol=1e-4, rtol=0)
print("same codes, same codewords, the gradient straight through; k-means")

# %% [markdown]
# (sec-sharp-dead)=
# ### Dead codewords
#
# A codeword that nobody chooses is never moved, so nobody ever chooses it. It is dead, and the
# codebook is smaller than it looks. How much of it is in use is told by the **perplexity**: with
# $f_k$ the frequency of code $k$,
#
# $$
# \text{perplexity}=\exp\Bigl(-\sum_kf_k\log f_k\Bigr),
# $$ (eq-sharp-perplexity)
#
# which is $K$ if all are equally frequent, and 1 if one has it all. The cure is blunt: a codeword
# used far less than the average begins anew, at a vector of the present batch. Below, vectors lie in
# twelve clusters on a ring.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Two panels, each with twelve clusters of grey points on a ring and sixteen codewords as crosses. Left, without restarts: a few crosses sit between clusters and serve several each, the others lie unused in the middle. Right, with restarts: crosses sit on all twelve clusters."}, "figure": {"caption": "Sixteen codewords after 200 updates, without and with restarts of the dead. Crosses: codewords; grey: vectors.", "name": "fig-sharp-dead"}}
torch.manual_seed(0)
angle = torch.arange(12) * math.pi / 6
ring = 5 * torch.stack([angle.cos(), angle.sin()], 1)


def ring_vectors(count):
    """Draw from twelve narrow clusters."""
    return ring[torch.randint(12, (count,))] + 0.25 * torch.randn(count, 2)


used = {}
figure, axes = viz.subplots(1, 2, height=2.9)
for panel, (name, restart) in zip(
    axes, {"no restarts": 0.0, "restarts": 0.1}.items(), strict=True
):
    torch.manual_seed(1)
    codebook = nets.Codebook(16, 2, decay=0.9, restart=restart)
    for _ in range(200):
        codebook(ring_vectors(256))
        codebook.update()
    points = ring_vectors(2000)
    used[name] = nets.perplexity(codebook.nearest(points), 16).item()
    panel.scatter(*points[:600].T, s=2, color="lightgrey")
    panel.scatter(*codebook.words.T, marker="x", s=30, color=viz.style.RED)
    panel.set(title=name, aspect="equal", xticks=[], yticks=[])
assert used["no restarts"] < 9 and used["restarts"] > 11.5
figure

# %%
print("perplexity without restarts below 9, with them above 11.5, of 16")

# %% [markdown]
# ### It is still a bound
#
# Is a VQ-VAE a probability model? With a prior $p(c)$ over grids it is: $p(x)=\sum_cp(c)\,p(x\mid
# c)$. The sum has $32^4$ terms here, and we know one of them, the image's own. All are positive, so
#
# $$
# \log p(x)=\log\sum_cp(c)\,p(x\mid c)\;\ge\;\log p\bigl(c(x)\bigr)+\log p\bigl(x\mid c(x)\bigr).
# $$ (eq-sharp-vq-bound)
#
# This is {eq}`eq-vae-elbo` for a $q(c\mid x)$ that is certain of one grid: its entropy is zero. So
# **the number compares with that of any VAE**, in nats, as long as you count the first term. Many
# reports of VQ-VAEs give the second alone; that is a reconstruction error, and bits of the code are
# not free.
#
# The prior is fitted last, to the codes of the training images. The simplest,
# {py:class}`genlearn.models.IndependentPrior`, counts frequencies at each place.

# %%
torch.manual_seed(0)
vq = models.VQVAE.conv(
    digits.shape,
    digits.levels,
    codes=32,
    code_dim=8,
    channels=(16, 32, 32),  # 8x8 -> 4x4 -> 2x2 codes
    decay=0.95,
)


def vq_objective(x, y, commitment=0.25):
    terms = vq.terms(x)
    return terms.reconstruction - commitment * terms.commitment


train(vq, vq_objective, 300, after_step=vq.after_step)

with evaluating(vq), torch.no_grad():
    prior = models.IndependentPrior.fit(vq.encode(digits.train.images), 32)
    test_codes = vq.encode(digits.test.images)
    price = -prior.log_prob(test_codes).mean().item()
    vq_bound = -vq.elbo(digits.test.images, prior).mean().item()
usage = nets.perplexity(test_codes, 32).item()
assert 16 < usage < 32 and 88 < vq_bound < 102
assert abs(price - 14) < 1
print("a digit as four numbers below 32; perplexity above 16")
print("bound: better than 102 nats, of which about 14 pay for the code")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Three rows of sixteen images: test images, their reconstructions from four numbers, clear though a few are a wrong digit, and images from random codes, in which the four quarters often do not fit together."}, "figure": {"caption": "A VQ-VAE with 2×2 codes: test images, mean images of their codes, and mean images of codes from the independent prior.", "name": "fig-sharp-vq"}}
torch.manual_seed(0)
with evaluating(vq):
    rebuilt = vq.mean_image(vq.encode(test))
    invented = vq.mean_image(prior.sample(16))
viz.grid(
    [test, rebuilt, invented],
    digits.levels,
    titles=["test images", "from four numbers", "from codes of the prior"],
)

# %% [markdown]
# Four numbers hold a digit: that is 20 bits. The reconstructions are good and the samples are not,
# and you know why: this prior draws each place for itself, so an upper half of a 3 may meet the
# lower half of a 7. What the places know of each other is what a better prior will gain, in nats as
# in looks. Chapter 13 puts a PixelCNN there, and {cite:t}`razavi2019` show how far that goes.
#
# (sec-sharp-conditional)=
# ## Images of a class
#
# Suppose the labels $y$ are known. Give them to encoder and decoder as a further input, and every
# step of {ref}`sec-vae-bound` can be repeated with "given $y$" in each term:
#
# ```{math}
# :label: eq-sharp-conditional
# \log p(x\mid y)\ge\E_{q(z\mid x,y)}\bigl[\log p(x\mid z,y)\bigr]-\KL{q(z\mid x,y)}{p(z)} .
# ```
#
# This is a **conditional VAE** {cite:p}`sohn2015`. The prior stays $\mathcal{N}(0,I)$ for all classes
# here, so the code need not say what the label says already.

# %%
torch.manual_seed(0)
conditional = models.ConditionalVAE.mlp(
    digits.shape, digits.levels, classes=10, pixel_features=4, dropout=0.2
)
train(conditional, conditional.elbo, 500)

with evaluating(conditional, trained["table"]):
    images, labels = digits.test.images, digits.test.labels
    with_label = conditional.terms(images, labels).rate.mean().item()
    without = trained["table"].terms(images).rate.mean().item()
    torch.manual_seed(0)
    scores = torch.stack(  # the bound on log p(x | y), for each y
        [
            conditional.elbo(images, torch.full_like(labels, y))
            for y in range(10)
        ]
    )
right = (scores.argmax(0) == labels).float().mean().item()
assert 1 < without - with_label < 5
assert right > 0.8
print("the label saves the code one nat or more;", end=" ")
print("by Bayes' rule the model names 80 % of test digits or more")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Ten rows of sixteen images, one row for each class from 0 to 9. Each row shows its own digit in sixteen styles; images in one column have similar slant and thickness."}, "figure": {"caption": "Mean images for each class (rows) and sixteen codes (columns). A column has one code, so its images share a style.", "name": "fig-sharp-classes"}}
torch.manual_seed(0)
styles = torch.randn(16, 16).repeat(10, 1)
classes = torch.arange(10).repeat_interleave(16)
with evaluating(conditional):
    asked = conditional.mean_image(styles, classes)
viz.grid(asked, digits.levels)

# %% [markdown]
# It generates *and* classifies: $p(y\mid x)\propto p(x\mid y)\,p(y)$, with the bound in place of
# $\log p(x\mid y)$ and all classes equally frequent. A network trained to classify does better; it
# cannot draw you a 7.
#
# (sec-sharp-hierarchical)=
# ## Two layers of codes
#
# The prior $\mathcal{N}(0,I)$ is a choice too. Learn it, with another VAE whose "images" are the
# codes of the first: $z_2\sim\mathcal{N}(0,I)$, then $z_1\sim p(z_1\mid z_2)$, then
# $x\sim p(x\mid z_1)$. The encoder goes the other way, $q(z_1\mid x)\,q(z_2\mid z_1)$, and
# {eq}`eq-vae-elbo` for the pair $(z_1,z_2)$ reads
#
# ```{math}
# :label: eq-sharp-hierarchical
# \begin{aligned}
# \log p(x)\ge\E\bigl[&\log p(x\mid z_1)+\log p(z_1\mid z_2)-\log q(z_1\mid x) \\
#   &-\KL{q(z_2\mid z_1)}{p(z_2)}\bigr].
# \end{aligned}
# ```
#
# {cite:t}`burda2015` trained such models with {eq}`eq-sharp-iwae`, where only the weights change:
# $w=p(z_2)\,p(z_1\mid z_2)\,p(x\mid z_1)/\bigl(q(z_1\mid x)\,q(z_2\mid z_1)\bigr)$. On their
# binarised MNIST the second layer gained a nat or two. On a thousand digits of 8×8?

# %%
torch.manual_seed(0)
two_layers = models.HierarchicalVAE.mlp(
    digits.shape, digits.levels, pixel_features=4, dropout=0.2
)
train(two_layers, lambda x, y: two_layers.elbo(x), 500)
with evaluating(two_layers):
    first, second = two_layers.terms(digits.test.images).rates.mean(0).tolist()
two_bound = metrics.mean_elbo(two_layers, digits.test).mean
one_bound = metrics.mean_elbo(trained["table"], digits.test).mean
assert two_bound < one_bound and second < first
print("here the second layer does not pay: the bound is no better,")
print("and the upper code carries less than the lower one")

# %% [markdown]
# It does not pay here: the data are few and the training is short. Deep hierarchies need care, so
# that the upper layers are used at all; {cite:t}`sonderby2016` let the encoder and the decoder share
# their way down for it.
#
# ## Exercises
#
# ```{exercise} Shuffled pixels
# :label: ex-sharp-shuffle
# Shuffle the 64 pixels of all images by one fixed permutation, and train again. What changes for the
# MLP, what for the convolutional network, and what for the independent-pixel likelihoods?
# ```
#
# ````{solution} ex-sharp-shuffle
# :class: dropdown
# For the MLP, nothing but the names of its inputs: permute the columns of its first weight matrix and
# the rows of its last, and it is the same function, equally probable at the start. The convolutional
# network sees neighbourhoods that mean nothing, and loses its advantage. The likelihoods do not care,
# since they treat pixels one by one.
# ````
#
# ```{exercise} How much can dequantisation lose?
# :label: ex-sharp-dequantisation
# A pixel is always 7. What are the best possible values of {eq}`eq-sharp-gaussian`, of the mass that
# the same Gaussian gives to the level (as $s\to0$), and of the logistic mass?
# ```
#
# ````{solution} ex-sharp-dequantisation
# :class: dropdown
# At $m=\bar y$ the bound is $\log h-\frac12\log(2\pi s^2)-h^2/24s^2$. Its derivative in $s$ vanishes
# at $s^2=h^2/12$, and there it is
# $-\frac12\log(2\pi/12)-\frac12=-\frac12\log(2\pi e/12)\approx-0.176$ nats. The mass goes to 1 as
# $s\to0$, so its logarithm goes to 0, and so does that of the logistic. A quarter of a bit is lost
# by the noise, at a pixel without any. For broad distributions the loss is far smaller.
# ````
#
# ```{exercise} Half the variance
# :label: ex-sharp-half
# By {eq}`eq-sharp-second-moment` the variance of the weights is infinite for $c\le\frac12$. Yet
# {prf:ref}`thm-sharp-ordering` says that $\mathcal{L}_k\to\log p(x)$. Where is the catch?
# ```
#
# ````{solution} ex-sharp-half
# :class: dropdown
# There is none. The law of large numbers needs a finite mean, and weights have the mean $p(x)$
# whatever their variance. What fails is {eq}`eq-sharp-gap`, the rate. The right panel of
# {numref}`fig-sharp-gap` shows it: the gap goes to zero, much more slowly than $1/k$.
# ````
#
# ```{exercise} An undetached share
# :label: ex-sharp-detach
# Someone writes `(log_w.softmax(0) * log_w).sum(0)` without detaching the shares. Which function is
# maximised? Show that it differs from $\log\frac1k\sum_iw_i$ by an entropy, and say which way that
# pushes.
# ```
#
# ````{solution} ex-sharp-detach
# :class: dropdown
# From $\log w_i=\log\hat w_i+\log\sum_jw_j$ follows
# $\sum_i\hat w_i\log w_i=\log\sum_jw_j-H(\hat w)$, with $H(\hat w)=-\sum_i\hat w_i\log\hat w_i$. So
# one also *minimises the entropy of the shares*: it pays to let a single code win. Equal shares have
# the entropy $\log k$, and the value is then $\log\frac1k\sum_iw_i$; otherwise it is *larger*, and
# no longer a bound. With the shares detached the value is just as wrong, and the gradient is right.
# ````
#
# ```{exercise} Bits of a code
# :label: ex-sharp-bits
# Our VQ-VAE has $2\times2$ codes of 32 words. Someone uses $8\times8$ codes of 17 words and reports
# a reconstruction term of 0 nats. Is that impressive? What will {eq}`eq-sharp-vq-bound` say, with
# the independent prior?
# ```
#
# ````{solution} ex-sharp-bits
# :class: dropdown
# No: a codeword for each level copies the image. All the cost moves into $\log p(c)$: the codes are
# the pixels, and the prior that counts frequencies at each place is the table of
# {ref}`sec-sharp-bernoulli`, at about 106 nats.
# ````
#
# ## Summary
#
# - A convolution shares its weights between places. The VAE around it does not change.
# - A likelihood sums to one over the data's levels. A cross-entropy of grey levels does not; a
#   Gaussian on dequantised levels is a lower bound {eq}`eq-sharp-gaussian`; a discretised logistic is
#   a mass {eq}`eq-sharp-logistic`. Squared error is a Gaussian whose variance nobody chose.
# - Blur is what a mean of sharp images looks like. Draw, and you see what the model believes.
# - $\mathcal{L}_k$ rises with $k$ to $\log p(x)$ {eq}`eq-sharp-ordering`. In the end the variance of
#   the weights decides how fast {eq}`eq-sharp-gap`, and a proposal that is too narrow decides badly.
# - With more codes the plain gradient of the encoder drowns in its noise; the doubly reparameterised
#   one {eq}`eq-sharp-doubly` does not. `logsumexp` needs no `detach`; a surrogate does.
# - Discrete codes need a gradient across a step, a codebook that follows its vectors, and a cure for
#   dead codewords. With a prior, the bound {eq}`eq-sharp-vq-bound` compares with every other.
#
# ## Further reading
#
# {cite:t}`burda2015` introduced the bound, {cite:t}`rainforth2018` found its weakness and
# {cite:t}`tucker2018` the cure. {cite:t}`salimans2017` is where discretised logistic mixtures come
# from, {cite:t}`theis2016` the reason to distrust likelihoods that are not comparable.
# {cite:t}`vandenoord2017` and {cite:t}`razavi2019` build the discrete kind; {cite:t}`kingma2019`
# survey what else encoders, priors and decoders can be.
