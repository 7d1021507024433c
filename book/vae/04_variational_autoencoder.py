# %% [markdown]
# (ch-vae)=
# # 04 The variational autoencoder
#
# **Reading** 60 minutes · **Running** under 90 seconds on one CPU thread · **Difficulty** ●●○ ·
# **You need** expectations, gradients, a little PyTorch
#
# **Can a network that compresses pictures also invent them?** An ordinary autoencoder cannot, and
# you will see why in
# {numref}`fig-vae-autoencoder`. A small change to it, one noise source and one extra term in
# the loss, turns it into a probability model: it gives every image a probability, and new images
# cost one draw of noise and one pass through the decoder.
#
# After this chapter you can
#
# - say why an autoencoder does not tell you where to sample, and what a VAE adds;
# - derive the evidence lower bound (ELBO) in three ways, and say exactly how far below
#   $\log p(x)$ it lies;
# - explain why the reparameterised gradient trains a VAE with one draw an image, and the bare
#   score-function gradient does not;
# - write a VAE from memory in thirty lines, train it, and report its bound in honest units;
# - recognise a VAE whose reconstruction was averaged where it should have been summed.
#
# ```{admonition} Five questions first
# :class: tip
#
# 1. What is $\mathbb{E}[z^2]$ if $z$ has mean $\mu$ and variance $\sigma^2$?
# 2. Which way does Jensen's inequality point for the logarithm?
# 3. When is a Kullback–Leibler divergence zero?
# 4. What does `log_softmax` return, and over which axis?
# 5. What is the derivative of $\log q$ in terms of $q$?
#
# If three of them come easily, read on. The answers follow.
# ```
#
# ```{admonition} Answers
# :class: dropdown
#
# 1. $\mu^2+\sigma^2$: the variance is $\mathbb{E}[z^2]-\mu^2$.
# 2. $\log\mathbb{E}[u]\ge\mathbb{E}[\log u]$, because the logarithm bends downwards.
# 3. Exactly when the two distributions are equal (almost everywhere). It is never negative.
# 4. Logarithms of probabilities: their exponentials add up to one over the axis you name.
# 5. $\nabla\log q=\nabla q/q$, so $\nabla q=q\,\nabla\log q$. This innocent line returns in
#    {ref}`sec-vae-gradient`.
# ```
#
# We use real data throughout: 1,797 handwritten digits of 8×8 pixels and 17 grey levels. They are
# small enough that everything here runs while you read.

# %%
import math

import torch
from myst_nb import glue
from torch import nn
from torch.distributions import Normal, kl_divergence

from genlearn import data, gradients, metrics, models, recipes, viz
from genlearn.callbacks import Evaluate
from genlearn.training import Objective, Step, evaluating, fit

torch.set_num_threads(1)  # models this small are fastest on one thread
digits = data.load("digits")
parts = [len(digits.train), len(digits.valid), len(digits.test)]
assert sum(parts) == 1797 and digits.levels == 17
print("images to train, choose and test with:", *parts)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Two rows of sixteen training images: handwritten digits, eight by eight pixels, white on black."}}
viz.grid(digits.train.images[:32], digits.levels)

# %% [markdown]
# (sec-vae-autoencoder)=
# ## An autoencoder, and why it cannot sample
#
# An **autoencoder** squeezes an image through a bottleneck. The encoder $e$ turns the 64 pixels
# into a short **code** of two numbers, the decoder $d$ turns the code back into 64 pixels, and
# both are trained to make the squared error between image and reconstruction small. Here it is,
# whole.

# %%
pixels = digits.train.images.flatten(1) / 8 - 1  # (1000, 64), in [-1, 1]

torch.manual_seed(0)
encoder = nn.Sequential(nn.Linear(64, 128), nn.SiLU(), nn.Linear(128, 2))
decoder = nn.Sequential(nn.Linear(2, 128), nn.SiLU(), nn.Linear(128, 64))
adam = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=3e-3)

for _ in range(1500):
    batch = pixels[torch.randint(len(pixels), (128,))]
    loss = (decoder(encoder(batch)) - batch).square().sum(1).mean()
    adam.zero_grad()
    loss.backward()
    adam.step()

with torch.no_grad():
    codes = encoder(pixels)
    rebuilt = decoder(codes[:16])
    guesses = decoder(torch.randn(16, 2))  # codes that nobody encoded


def as_levels(x):
    """Turn values in [-1, 1], (N, 64), back into levels, (N, 1, 8, 8)."""
    return ((x + 1) * 8).reshape(-1, 1, 8, 8)


# %% [markdown]
# ```{admonition} Predict, then run
# :class: tip
# The decoder rebuilds an image from two numbers. If you feed it two *random* numbers, what will
# come out: digits, noise, or something in between?
# ```

# %% tags=["hide-input"] mystnb={"image": {"alt": "Left: the plane of codes, each training image drawn as its digit; the codes spread far beyond a small dashed circle around zero. Right: three rows of images: originals, good reconstructions, and decoded random codes, which look alike and are mostly blurred blends of digits."}, "figure": {"caption": "An autoencoder with two-dimensional codes. Left: where it puts the training images, each drawn as its label; the dashed circle holds 95 % of standard normal draws. Right: originals, their reconstructions, and what the decoder makes of standard normal codes.", "name": "fig-vae-autoencoder"}}
figure, panels = viz.subplot_mosaic(
    [["plane", "originals"], ["plane", "rebuilt"], ["plane", "random"]],
    height=3.2,
    width_ratios=[1, 1.3],
)


def draw_codes(axes, codes, labels):
    """Draw each code as its digit: readable without telling colours apart."""
    for digit in range(10):
        mine = codes[labels == digit]
        colour = viz.style.CYCLE[[0, 1, 2, 3, 4, 5, 6, 2, 4, 6][digit]]
        axes.scatter(
            *mine.T, marker=f"${digit}$", s=16, color=colour, linewidths=0.2
        )
    axes.set(xlabel="$z_1$", ylabel="$z_2$", aspect="equal")


def draw_circle(axes):
    """Draw the circle that holds 95 % of N(0, I)."""
    angle = torch.linspace(0, 2 * math.pi, 200)
    radius = math.sqrt(-2 * math.log(0.05))
    axes.plot(
        radius * angle.cos(), radius * angle.sin(), "--", color="black", lw=1
    )


draw_codes(panels["plane"], codes, digits.train.labels)
draw_circle(panels["plane"])
for name, title, images in [
    ("originals", "training images", digits.train.images[:16]),
    ("rebuilt", "their reconstructions", as_levels(rebuilt)),
    ("random", "decoded random codes", as_levels(guesses)),
]:
    viz.show_images(panels[name], images, digits.levels, columns=8, title=title)
figure

# %% [markdown]
# The reconstructions are fine, and the random codes are not. The plane on the left says why. The
# encoder was free to put its codes anywhere, and it did: in arms and clumps with gaps between them.
# Nothing in the loss ever looked at a code on its own. So we know how to *decode* a code, but not
# how to *draw* one: the autoencoder has no distribution over codes. It is a good compressor and no
# generator.
#
# Two repairs suggest themselves. We could learn the distribution of the codes afterwards. Or we
# could decide *beforehand* what it shall be, and train encoder and decoder so that it becomes true.
# The second is the VAE.
#
# ## A story of how images come about
#
# Forget the encoder for a moment and tell a story that ends in an image:
#
# 1. Draw a code $z$ from a fixed, simple distribution, the **prior** $p(z)=\mathcal{N}(0,I)$.
# 2. A network, the decoder, turns $z$ into the parameters of a distribution over images, the
#    **likelihood** $p_\theta(x\mid z)$.
# 3. Draw the image $x$ from it.
#
# The story gives every image a probability. An image may come from any code, so we add up all the
# ways:
#
# $$
# p_\theta(x) = \int p_\theta(x\mid z)\,p(z)\,\mathrm{d}z .
# $$ (eq-vae-marginal)
#
# This is a **latent-variable model**: $z$ is never seen (*latent* means hidden). The figure shows
# one that can be drawn. A single hidden number $z$ is mapped onto a bent line in the plane, and a
# little noise is added. The line is simple, the noise is simple, and yet the density of $x$ is one
# that no Gaussian could follow.


# %% tags=["hide-input"] mystnb={"image": {"alt": "Left: the bell curve of the prior over one latent number. Middle: a wave-shaped line in the plane, the decoder's mean, with draws scattered around it. Right: the resulting density of x as a heat map: a bright wave that fades towards both ends."}, "figure": {"caption": "A simple cause with a complicated effect. Left: the prior of one latent number. Middle: the decoder bends it into the plane and adds noise. Right: the density of $x$ that results, by numerical integration of {eq}`eq-vae-marginal`.", "name": "fig-vae-story"}}
def bend(z):
    """The decoder's mean: one latent number to a point in the plane."""
    return torch.stack([z, torch.sin(2 * z)], dim=-1)


noise_std = 0.2
z = torch.linspace(-4, 4, 401)
prior = Normal(0, 1).log_prob(z).exp()
axis = torch.linspace(-3, 3, 121)
plane = torch.cartesian_prod(axis, axis)  # (14641, 2), points x
likelihood = (
    Normal(bend(z), noise_std).log_prob(plane[:, None]).sum(-1).exp()
)  # p(x | z)
density = (likelihood * prior).sum(1) * (z[1] - z[0])  # the integral, as a sum
assert (
    abs(density.sum() * (axis[1] - axis[0]) ** 2 - 1) < 0.01
)  # it is a density

torch.manual_seed(1)
draws = bend(torch.randn(300)) + noise_std * torch.randn(300, 2)
figure, axes = viz.subplots(1, 3, height=2.4)
axes[0].fill_between(z, prior, alpha=0.3)
axes[0].plot(z, prior)
axes[0].set(title="prior $p(z)$", xlabel="$z$")
axes[1].plot(*bend(z).T)
axes[1].scatter(*draws.T, s=3, color="black", alpha=0.5)
axes[1].set(
    title="$x$ = bent line + noise", xlim=(-3, 3), ylim=(-2, 2), xlabel="$x_1$"
)
axes[2].imshow(
    density.view(121, 121).T,
    origin="lower",
    extent=(-3, 3, -3, 3),
    cmap="cividis",
    aspect="auto",
)
axes[2].set(title="density $p(x)$", ylim=(-2, 2), xlabel="$x_1$")
figure

# %% [markdown]
# We want the parameters $\theta$ under which the training images are most probable: the largest
# $\sum_n\log p_\theta(x_n)$. For one latent number, {eq}`eq-vae-marginal` is a sum over a line. For
# sixteen, a grid with 100 points a side has $10^{32}$ of them. And drawing codes from the prior
# does not help either: almost all of them explain a given image so badly that they add nothing. We
# need a hint which codes matter for *this* image.
#
# (sec-vae-bound)=
# ## The bound, three ways
#
# Let a second network give the hint. The **encoder** proposes, for each image, a distribution over
# the codes that might have caused it: $q_\phi(z\mid x)$, the **approximate posterior**. It stands
# in for the true posterior $p_\theta(z\mid x)=p_\theta(x,z)/p_\theta(x)$, which we cannot compute,
# since its denominator is the integral that we are after.
#
# ```{prf:definition} Evidence lower bound
# :label: def-vae-elbo
#
# $$
# \ELBO(x) = \E_{q_\phi(z\mid x)}\bigl[\log p_\theta(x,z) - \log q_\phi(z\mid x)\bigr].
# $$ (eq-vae-elbo)
# ```
#
# Everything in it can be evaluated: $p_\theta(x,z)=p(z)\,p_\theta(x\mid z)$ is the story's own
# product, and $q_\phi$ is ours. What has it to do with $\log p_\theta(x)$? Three derivations, each
# with its own lesson. We leave out the subscripts $\theta$ and $\phi$ where nothing depends on them.
#
# ### First way: Jensen's inequality
#
# Multiply and divide by $q$ inside the integral; this turns it into an expectation under $q$. Then
# use that the logarithm of a mean is at least the mean of the logarithms:
#
# ```{math}
# :label: eq-vae-jensen
# \begin{aligned}
# \log p(x)
#   &= \log\int q(z\mid x)\,\frac{p(x,z)}{q(z\mid x)}\,\mathrm{d}z
#    = \log\E_{q(z\mid x)}\!\left[\frac{p(x,z)}{q(z\mid x)}\right] \\
#   &\ge \E_{q(z\mid x)}\!\left[\log\frac{p(x,z)}{q(z\mid x)}\right] = \ELBO(x).
# \end{aligned}
# ```
#
# (The first line needs $q(z\mid x)>0$ wherever $p(x,z)>0$, which a Gaussian guarantees.) The
# lesson: **it is a lower bound for every $q$**, good or bad. A worse encoder never makes the model
# look better than it is.
#
# (sec-vae-gap)=
# ### Second way: how large is the gap?
#
# Bayes' rule says $p(x)=p(x,z)/p(z\mid x)$ for *every* $z$: the left side does not depend on $z$ at
# all. Take logarithms, add and subtract $\log q(z\mid x)$, and average over $q$. The left side does
# not notice the average:
#
# ```{math}
# :label: eq-vae-gap
# \begin{aligned}
# \log p(x)
#   &= \E_{q(z\mid x)}\bigl[\log p(x,z)-\log q(z\mid x)\bigr] \\
#   &\quad+ \E_{q(z\mid x)}\bigl[\log q(z\mid x)-\log p(z\mid x)\bigr] \\
#   &= \ELBO(x) + \KL{q(z\mid x)}{p(z\mid x)}.
# \end{aligned}
# ```
#
# An equation, not an inequality. The lesson: **the gap is a Kullback–Leibler divergence**, from the
# encoder's proposal to the true posterior. It is never negative, which proves the bound again, and
# it is zero exactly when the encoder is right. So when the
# bound rises, $\log p(x)$ has risen, or the encoder has become more truthful, or both. The bound
# alone does not tell which.
#
# ```{erratum} E13
# ```
#
# ### Third way: two joint distributions
#
# There are two ways to draw a *pair* of image and code. Take an image from the data and encode it:
# $p_\text{data}(x)\,q(z\mid x)$. Or draw a code and decode it: $p(z)\,p(x\mid z)$. Training a VAE
# makes the two agree. Write down their divergence and sort the logarithms:
#
# ```{math}
# :label: eq-vae-joint-kl
# \begin{aligned}
# &\KL{p_\text{data}(x)\,q(z\mid x)}{p(x,z)} \\
#   &\quad= \E_{p_\text{data}(x)}\Bigl[\log p_\text{data}(x)
#    + \E_{q(z\mid x)}\bigl[\log q(z\mid x)-\log p(x,z)\bigr]\Bigr] \\
#   &\quad= -H(p_\text{data}) - \E_{p_\text{data}(x)}\bigl[\ELBO(x)\bigr].
# \end{aligned}
# ```
#
# The entropy $H(p_\text{data})$ is a property of the data, so **raising the mean bound is
# lowering the divergence between the two joints**. This is the symmetric picture: neither network
# is the teacher of the other. It also says what becomes true as the divergence goes to zero: the
# codes of real images, taken all together, are distributed like the prior. That was the very thing
# the autoencoder lacked.
#
# Do not take our word for it. In a world with four images and three codes, all sums can be done.

# %%
p_z = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
p_x_given_z = torch.tensor(  # one row a code, one column an image
    [[0.7, 0.1, 0.1, 0.1], [0.1, 0.6, 0.2, 0.1], [0.2, 0.2, 0.1, 0.5]],
    dtype=torch.float64,
)
q_z_given_x = torch.tensor(  # one row an image, one column a code
    [[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.3, 0.5, 0.2], [0.1, 0.2, 0.7]],
    dtype=torch.float64,
)
p_data = torch.tensor([0.4, 0.3, 0.1, 0.2], dtype=torch.float64)

joint = (p_z[:, None] * p_x_given_z).T  # p(x, z), shape (images, codes)
evidence = joint.sum(1)  # p(x)
posterior = joint / evidence[:, None]  # p(z | x)
elbo = (q_z_given_x * (joint.log() - q_z_given_x.log())).sum(1)
gap = (q_z_given_x * (q_z_given_x.log() - posterior.log())).sum(1)

for k in range(4):
    print(
        f"image {k}: log p(x) = {evidence[k].log():.4f}   "
        f"bound = {elbo[k]:.4f}   divergence = {gap[k]:.4f}"
    )

assert (elbo <= evidence.log() + 1e-12).all()  # first way
torch.testing.assert_close(elbo + gap, evidence.log())  # second way
pairs = p_data[:, None] * q_z_given_x
entropy = -(p_data * p_data.log()).sum()
torch.testing.assert_close(  # third way
    (pairs * (pairs.log() - joint.log())).sum(),
    -entropy - (p_data * elbo).sum(),
)

# %% [markdown]
# ```{admonition} Predict, then run
# :class: tip
# Replace `q_z_given_x` by `posterior` in a copy of this cell. What will the third column say, and
# which two columns will agree?
# ```
#
# (sec-vae-two-terms)=
# ### What the bound asks for
#
# Write $\log p(x,z)=\log p(x\mid z)+\log p(z)$ in {eq}`eq-vae-elbo`, and the bound falls into the
# two terms by which it is usually known:
#
# $$
# \ELBO(x)
#   = \underbrace{\E_{q(z\mid x)}\bigl[\log p(x\mid z)\bigr]}_{\text{reconstruction}}
#   - \underbrace{\KL{q(z\mid x)}{p(z)}}_{\text{rate}} .
# $$ (eq-vae-elbo-rate)
#
# - The **reconstruction** term wants codes from which the image can be told. Alone, it would bring
#   the autoencoder back.
# - The **rate** is the price of a code: how many nats the encoder says about the image, beyond what
#   the prior knew. Alone, it would make every code pure noise.
#
# ```{erratum} E8
# ```
#
# They pull in opposite directions, *and their weights are not ours to choose*: both are measured in
# nats, and {eq}`eq-vae-jensen` fixes their ratio at one to one. Chapter 05 will change the ratio on
# purpose. At the end of this chapter we change it by accident, as many programs do.
#
# ```{erratum} E2
# ```
#
# (sec-vae-rate)=
# ## The rate in closed form
#
# Let the encoder propose a Gaussian with independent coordinates,
# $q(z\mid x)=\mathcal{N}(\mu,\operatorname{diag}(\sigma^2))$, where $\mu$ and $\sigma$ are the
# encoder's outputs. Both $q$ and the prior are products over the coordinates, so their logarithms
# are sums and the divergence is a sum too. For one coordinate, with the terms $\tfrac12\log 2\pi$
# of both densities cancelled,
#
# ```{math}
# :label: eq-vae-gaussian-kl-one
# \begin{aligned}
# \KL{\mathcal{N}(\mu,\sigma^2)}{\mathcal{N}(0,1)}
#   &= \E_q\Bigl[-\tfrac12\log\sigma^2-\tfrac{(z-\mu)^2}{2\sigma^2}+\tfrac{z^2}{2}\Bigr] \\
#   &= -\log\sigma-\tfrac12+\tfrac12(\mu^2+\sigma^2),
# \end{aligned}
# ```
#
# because $\E_q[(z-\mu)^2]=\sigma^2$ and $\E_q[z^2]=\mu^2+\sigma^2$. Together:
#
# $$
# \KL{q(z\mid x)}{p(z)}
#   = \tfrac12\sum_{j=1}^{L}\bigl(\mu_j^2+\sigma_j^2-1-\log\sigma_j^2\bigr).
# $$ (eq-vae-gaussian-kl)
#
# ```{erratum} E14
# ```
#
# Each summand is zero exactly at $\mu_j=0$, $\sigma_j=1$, where the coordinate says nothing. Forget
# the one half, or a logarithm, and training still runs, with wrong numbers. So we check it against
# an integral that uses none of the steps above.

# %%
mean, std = 0.8, 0.3
z = torch.linspace(-10, 10, 20_001, dtype=torch.float64)
q, prior = Normal(mean, std), Normal(0.0, 1.0)
log_ratio = q.log_prob(z) - prior.log_prob(z)
integral = (q.log_prob(z).exp() * log_ratio).sum() * (z[1] - z[0])
formula = (mean**2 + std**2 - 1 - math.log(std**2)) / 2
print(f"by integration {integral:.6f}, by the formula {formula:.6f}")
assert abs(integral - formula) < 1e-6

# %% [markdown]
# (sec-vae-gradient)=
# ## A gradient through a draw
#
# The reconstruction term is a mean over $z\sim q_\phi(z\mid x)$, and the parameters $\phi$ that we
# want to improve sit in the very distribution that we draw from. How does one differentiate a draw?
# Take any function $f$ and ask for $\nabla_\phi\,\E_{q_\phi(z)}[f(z)]$. There are two answers.
#
# **The score-function estimator** moves the gradient inside the integral and uses
# $\nabla q=q\,\nabla\log q$ to turn it back into an expectation {cite:p}`williams1992`:
#
# $$
# \nabla_\phi\,\E_{q_\phi}[f(z)] = \int f(z)\,\nabla_\phi q_\phi(z)\,\mathrm{d}z
#   = \E_{q_\phi}\bigl[f(z)\,\nabla_\phi\log q_\phi(z)\bigr].
# $$ (eq-vae-score)
#
# It asks nothing of $f$, not even that it be smooth. It tries codes at random and reinforces those
# that did well.
#
# **The reparameterised estimator** moves the randomness out of the way {cite:p}`kingma2013`. Draw
# the noise first, from a distribution without parameters, and let the parameters shape it:
#
# $$
# z = \mu + \sigma\,\varepsilon, \qquad \varepsilon\sim\mathcal{N}(0,I).
# $$ (eq-vae-reparameterised)
#
# (Products of vectors are taken coordinate by coordinate.) Now the expectation is over
# $\varepsilon$, which does not depend on $\phi$, and the gradient
# passes through $f$ by the chain rule:
#
# $$
# \nabla_\mu\,\E[f(z)] = \E\bigl[\nabla f(z)\bigr], \qquad
# \nabla_\sigma\,\E[f(z)] = \E\bigl[\nabla f(z)\,\varepsilon\bigr].
# $$ (eq-vae-pathwise)
#
# It asks the *slope* of $f$ which way to go, instead of trying directions one by one. Both
# estimators are right on average. What differs is their scatter, and that can be computed in a case
# where all moments are known.
#
# ````{prf:theorem} Scatter of the two estimators
# :label: thm-vae-variance
#
# Let $f(z)=\sum_{j=1}^{L}z_j^2$ with $z\sim\mathcal{N}(\mu,\sigma^2I)$ and $\mu_j=\sigma=1$. Then
# $\nabla_{\mu_1}\E[f]=2$, and with one draw
#
# ```{math}
# :label: eq-vae-variance
# \begin{aligned}
# \operatorname{Var}[\text{reparameterised}] &= 4, \\
# \operatorname{Var}[\text{score function}] &= 4n^2+22n+30, \qquad n=L-1.
# \end{aligned}
# ```
# ````
#
# ````{prf:proof}
# With $z_j=1+\varepsilon_j$, the reparameterised estimate is $2z_1$, with variance $4$. The
# score-function estimate is $f(z)\,\varepsilon_1=(S+z_1^2)\,\varepsilon_1$, where
# $S=\sum_{j>1}z_j^2$ is independent of $\varepsilon_1$. From
# $\E[\varepsilon^2]=1$, $\E[\varepsilon^4]=3$, $\E[\varepsilon^6]=15$, and zero for odd powers:
# $\E[z_j^2]=2$ and $\operatorname{Var}[z_j^2]=10-4=6$, so $\E[S]=2n$ and $\E[S^2]=6n+4n^2$; also
# $\E[z_1^2\varepsilon_1^2]=1+3=4$ and
# $\E[z_1^4\varepsilon_1^2]=1+6\cdot3+15=34$. The second moment is
#
# $$
# \E[S^2]+2\,\E[S]\cdot4+34 = 4n^2+22n+34,
# $$
#
# and subtracting the squared mean $2^2$ leaves the claim.
# ````
#
# The reparameterised estimate does not care how many other coordinates there are. To the
# score-function estimate every one of them is noise. Let us draw.

# %%
torch.manual_seed(0)
dims = [1, 2, 4, 8, 16, 32, 64]
measured = []
for dim in dims:
    noise = torch.randn(200_000, dim)
    z = 1 + noise
    path, score = 2 * z[:, 0], z.square().sum(1) * noise[:, 0]
    measured.append((path.var(), score.var()))
    assert (
        abs(path.mean() - 2) < 0.03 and abs(score.mean() / 2 - 1) < 0.3
    )  # both unbiased
path_variance, score_variance = torch.tensor(measured).T
predicted = torch.tensor(
    [4 * (dim - 1) ** 2 + 22 * (dim - 1) + 30 for dim in dims]
)
assert (score_variance / predicted - 1).abs().max() < 0.05
assert (path_variance / 4 - 1).abs().max() < 0.05

# The library has both estimators; on the last draws they agree with ours.
one, zero = torch.ones(dim), torch.zeros(dim)
for estimator, ours in [
    (gradients.reparameterised_gradient, path),
    (gradients.score_function_gradient, score),
]:
    theirs = estimator(lambda z: z.square().sum(1), one, zero, noise)
    torch.testing.assert_close(theirs.mean[:, 0], ours, rtol=1e-4, atol=1e-3)

ratio = predicted[dims.index(16)] / 4
glue("vae-variance-ratio", f"{ratio:.0f}", display=False)
print(
    f"at 16 dimensions the score function needs {ratio:.0f} times as many draws"
)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Variance of the two gradient estimates against the number of dimensions, on logarithmic axes. The reparameterised one stays flat at 4. The score-function one rises from 30 to more than 10,000 at 64 dimensions. Dots from simulation lie on the lines of the formula."}, "figure": {"caption": "Variance of one-draw gradient estimates. Dots: 200,000 draws. Lines: {eq}`eq-vae-variance`.", "name": "fig-vae-variance"}}
figure, axes = viz.subplots(height=2.5)
axes.loglog(dims, predicted, label="score function")
axes.scatter(dims, score_variance, s=16)
axes.loglog(dims, [4] * len(dims), label="reparameterised")
axes.scatter(dims, path_variance, s=16)
axes.set(xlabel="dimensions of the code", ylabel="variance of the gradient")
axes.set_xticks(dims, [str(dim) for dim in dims])
axes.minorticks_off()
axes.legend()
figure

# %% [markdown]
# In this example, at sixteen dimensions, the score function needs {glue:text}`vae-variance-ratio` times as many
# draws for the same accuracy. That is why a VAE trains with a *single* draw an image, and why its
# codes are continuous: {eq}`eq-vae-reparameterised` needs an $f$ with a slope and a $z$ that can be
# moved a little. (Discrete codes need other means; chapter 06 has one.)
#
# ## A yardstick: the model in which everything is known
#
# Before we trust a bound on images, let us see one where the truth is known. Make the decoder
# linear and its noise Gaussian:
#
# $$
# p(z)=\mathcal{N}(0,I),\qquad p(x\mid z)=\mathcal{N}(Wz+m,\;s^2I).
# $$ (eq-vae-ppca)
#
# This is **probabilistic PCA** {cite:p}`tipping1999`. Sums and linear maps of Gaussians are
# Gaussian, so the integral {eq}`eq-vae-marginal` can be done: $x=Wz+m+s\,\varepsilon$ has mean $m$
# and covariance $WW^\top+s^2I$. The posterior is Gaussian as well. Its logarithm is, up to terms
# without $z$,
#
# ```{math}
# :label: eq-vae-ppca-square
# \begin{aligned}
# &-\tfrac12\,z^\top z-\tfrac{1}{2s^2}\lVert x-m-Wz\rVert^2 \\
# &\quad= -\tfrac{1}{2s^2}\,z^\top M z+\tfrac{1}{s^2}\,z^\top W^\top(x-m)+\text{const},
# \qquad M=W^\top W+s^2I,
# \end{aligned}
# ```
#
# and completing the square reads off mean and covariance: the quadratic form
# $-\tfrac12(z-a)^\top A(z-a)$ has quadratic part $A$ and linear part $Aa$, so $A=M/s^2$ and
# $Aa=W^\top(x-m)/s^2$, hence $a=M^{-1}W^\top(x-m)$:
#
# $$
# p(z\mid x)=\mathcal{N}\bigl(M^{-1}W^\top(x-m),\;s^2M^{-1}\bigr).
# $$ (eq-vae-ppca-posterior)
#
# Note two things. The posterior's mean is *linear* in $x$ and its covariance does not depend on $x$
# at all. So a linear encoder with a constant covariance can be exactly right (with one
# latent number, a constant $\sigma$), and by
# {eq}`eq-vae-gap` the bound can touch the truth. Will training find that? Below, a linear VAE with
# one latent number learns from 500 points in the plane, with the reparameterised gradient and
# nothing else. The best log-likelihood there is comes from an eigenvalue decomposition.

# %%
torch.manual_seed(0)
mixing = torch.tensor([[1.5, 0.0], [0.9, 0.4]])
points = torch.randn(500, 2) @ mixing.T + torch.tensor([1.0, -0.5])
best = models.PPCA.maximum_likelihood(points.double(), latent_dim=1)
ceiling = best.log_prob(points.double()).mean().item()

linear = models.PPCA(
    dim=2, latent_dim=1
)  # the decoder and its noise, now learnt by gradient
encoder = nn.Linear(2, 1)  # mean of q(z | x)
log_std = nn.Parameter(
    torch.zeros(1)
)  # log standard deviation of q(z | x), one for all x
parameters = [*linear.parameters(), *encoder.parameters(), log_std]
adam = torch.optim.Adam(parameters, lr=0.02)
decay = torch.optim.lr_scheduler.CosineAnnealingLR(adam, 1500)

bounds, truths = [], []
for _ in range(1500):
    q = Normal(encoder(points), log_std.exp())
    z = q.rsample()  # mean + std · noise
    x_given_z = Normal(
        linear.mean + z @ linear.weight.T, linear.log_noise_std.exp()
    )
    elbo = x_given_z.log_prob(points).sum(1) - kl_divergence(
        q, Normal(0.0, 1.0)
    ).sum(1)
    adam.zero_grad()
    (-elbo.mean()).backward()
    adam.step()
    decay.step()
    with torch.no_grad():
        bounds.append(elbo.mean().item())
        truths.append(linear.log_prob(points).mean().item())

print(f"best possible  {ceiling:.2f} nats a point")
print(f"exact log p(x) {truths[-1]:.2f}")
print(f"the bound      {sum(bounds[-100:]) / 100:.2f}")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Left: the bound and the exact log-likelihood against training step; the bound starts far below, both rise to a dashed line, the best possible value, and stay there. Right: a slanted cloud of points with a line through its long axis, the learned direction, lying on the principal axis."}, "figure": {"caption": "A linear VAE against the exact answer. Left: bound and exact log-likelihood while training; the dashed line is the best that any such model can reach. Right: the points, with the direction learned by the VAE (solid) on the one from the eigenvalue decomposition (dashed).", "name": "fig-vae-linear"}}
figure, (left, right) = viz.subplots(1, 2, height=2.7)
left.plot(truths, label="exact $\\log p(x)$", color=viz.style.ORANGE)
left.plot(bounds, label="bound, one draw", color=viz.style.BLUE, lw=0.6)
left.axhline(ceiling, ls="--", color="black", lw=1, label="best possible")
left.set(
    xlabel="training step",
    ylabel="nats per point",
    ylim=(ceiling - 2.5, ceiling + 0.4),
)
left.legend(loc="lower right")
right.scatter(*points.T, s=3, color="grey")
span = torch.tensor([[-2.5], [2.5]])
with torch.no_grad():
    right.plot(
        *(linear.mean + span @ linear.weight.T).T, lw=3, color=viz.style.SKY
    )
    right.plot(
        *(best.mean + span.double() @ best.weight.T).T,
        "--",
        lw=1,
        color="black",
    )
right.set(xlabel="$x_1$", ylabel="$x_2$", aspect="equal")
figure

# %% [markdown]
# The three numbers agree: the decoder found the best line, *and* the encoder found the exact
# posterior, though nobody showed it one. And since every integral is known here, the gap equation
# {eq}`eq-vae-gap` can be checked to rounding, for an encoder that is right and for one that
# is not:

# %%
x = points[:5].double()
exact = best.posterior(x)
shifted = torch.distributions.MultivariateNormal(
    exact.mean + 0.5, 2 * exact.covariance_matrix
)
for name, q in {"exact": exact, "shifted and widened": shifted}.items():
    gap = best.log_prob(x) - best.elbo(x, q)
    torch.testing.assert_close(gap, kl_divergence(q, exact))
    print(f"{name:19} posterior: {abs(gap.mean()):.3f} nats below log p(x)")

# %% [markdown]
# In a deeper model neither is guaranteed. The true posterior need not be Gaussian, and one encoder
# network must serve all images. We measure their sum below, for digits, and ask which of the two it is.
#
# (sec-vae-algorithm)=
# ## The algorithm
#
# ````{prf:algorithm} Variational autoencoder
# :label: alg-vae
#
# **Input** images $x_n$, networks for $\mu_\phi(x)$, $\log\sigma_\phi(x)$ and $p_\theta(x\mid z)$
#
# Repeat until the bound on validation images stops rising:
#
# 1. Draw a batch of images $x$.
# 2. Encode: $\mu,\log\sigma\leftarrow$ encoder$(x)$.
# 3. Draw $\varepsilon\sim\mathcal{N}(0,I)$ and set $z\leftarrow\mu+\sigma\varepsilon$, by
#    {eq}`eq-vae-reparameterised`.
# 4. Decode, and evaluate $\log p_\theta(x\mid z)$, **summed** over all pixels.
# 5. Subtract the rate {eq}`eq-vae-gaussian-kl`, **summed** over all code dimensions. This is one
#    unbiased estimate of the bound for each image.
# 6. Take a gradient step on the mean of the negative bound over the batch, for $\theta$ and $\phi$
#    together.
#
# **To generate**, forget the encoder: draw $z\sim\mathcal{N}(0,I)$, then $x\sim p_\theta(x\mid z)$.
# ````
#
# ```{erratum} E16
# ```
#
# There is one objective and one optimiser, and both networks climb the same bound. During training
# codes come from $q(z\mid x)$; only for generating do they come from the prior.
#
# (sec-vae-pixel)=
# ### What is $p(x\mid z)$ for a pixel?
#
# Our pixels are whole numbers from 0 to 16. So the likelihood should be a probability of these 17
# values: for each pixel the decoder gives 17 logits, and a softmax makes a **categorical**
# distribution of them. Given the code, pixels are independent; whatever they have in common must
# pass through $z$. The result is a probability *mass*. It is at most one, so $\log p(x)\le0$, and it
# converts to **bits per dimension**, what an ideal coder would spend on each pixel:
#
# $$
# \text{bits per dimension} = -\frac{\log p(x)}{C\cdot H\cdot W\cdot\log 2}.
# $$ (eq-vae-bits)
#
# A model that knows nothing needs $\log_2 17\approx4.09$ bits for each of our pixels. (Many programs
# use a Bernoulli likelihood on grey pixels instead. That is no probability of grey values: it does
# not sum to one, and its "nats" compare with nothing {cite:p}`loaiza2019`. Chapter 06 sets four
# honest likelihoods side by side.)
#
# ```{erratum} E17
# ```
#
# (sec-vae-scratch)=
# ## From scratch
#
# Here is {prf:ref}`alg-vae` with nothing hidden. Type it; that is the point of its size.


# %%
class SmallVAE(nn.Module):
    def __init__(self, pixels=64, levels=17, hidden=256, latent=16):
        super().__init__()
        self.pixels, self.levels, self.latent = pixels, levels, latent
        self.encoder = nn.Sequential(
            nn.Linear(pixels, hidden), nn.SiLU(), nn.Linear(hidden, 2 * latent)
        )
        self.decoder = nn.Sequential(
            nn.Linear(latent, hidden),
            nn.SiLU(),
            nn.Linear(hidden, pixels * levels),
        )

    def elbo(self, x, noise):
        """x: (N, 64), whole numbers; noise: (N, 16); returns nats, (N,)."""
        scaled = 2 * x / (self.levels - 1) - 1
        mean, log_std = self.encoder(scaled).chunk(2, dim=1)  # (N, 16) each
        z = mean + log_std.exp() * noise
        log_probs = self.logits(z).log_softmax(2)  # (N, 64, 17)
        reconstruction = log_probs.gather(2, x.unsqueeze(2)).sum(
            (1, 2)
        )  # log p(x | z)
        rate = 0.5 * (mean**2 + (2 * log_std).exp() - 1 - 2 * log_std).sum(1)
        return reconstruction - rate

    def logits(self, z):
        return self.decoder(z).unflatten(1, (self.pixels, self.levels))

    def sample(self, n):
        probs = self.logits(torch.randn(n, self.latent)).softmax(2)
        return torch.multinomial(probs.flatten(0, 1), 1).view(n, self.pixels)


# %% [markdown]
# The library's {py:class}`genlearn.models.VAE` says the same in terms of distributions. Are they
# the same model? Copy the weights, feed both the same images and the same noise, and compare. The
# library's KL comes from `torch.distributions`, ours from {eq}`eq-vae-gaussian-kl`, so this is also
# a test of the formula.

# %%
torch.manual_seed(0)
mine = SmallVAE()
theirs = models.VAE.mlp(
    digits.shape, digits.levels, latent_dim=16, hidden=(256,)
)
theirs.load_state_dict(
    dict(zip(theirs.state_dict(), mine.state_dict().values(), strict=True))
)

images = digits.train.images[:100]
noise = torch.randn(100, 16)
torch.testing.assert_close(
    mine.elbo(images.flatten(1).long(), noise),
    theirs.elbo(images, noise),
    rtol=1e-5,
    atol=1e-3,
)
print("both give the same bound for each of 100 images")

# %% [markdown]
# ## Training on digits
#
# Now with {py:func}`genlearn.training.fit`, which is steps 1 and 6 of the algorithm and knows
# nothing of VAEs. Two settings differ from the small version. Every pixel gets four features from
# the decoder, and one little network, *shared by all pixels*, turns them into 17 logits; this saves
# most of the weights. And dropout disturbs the networks while they train. Both fight the same
# enemy, which we meet in a moment.

# %%
config = recipes.vae.config("digits")
torch.manual_seed(0)
vae = models.VAE.mlp(
    digits.shape,
    digits.levels,
    latent_dim=config.latent_dim,
    hidden=config.hidden,
    pixel_features=config.pixel_features,
    dropout=config.dropout,
)
adam = torch.optim.AdamW(vae.parameters(), lr=config.learning_rate)
schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, config.steps)


def loss(step):
    terms = vae.terms(step.batch[0])
    return {"loss": -terms.elbo.mean(), "rate": terms.rate.mean()}


history = fit(
    {"vae": vae},
    [Objective("vae", loss, adam, schedule=schedule)],
    data.Batches(digits.train, config.batch_size),
    config.steps,
    device="cpu",
    log_every=10,
)

# %% [markdown]
# ```{admonition} Predict, then run
# :class: tip
# The loss is the negative bound, the mean over a batch. Where does it start? (Before training,
# nothing is known: 64 pixels at $\log 17$ each.) And which of the two terms will move first?
# ```

# %% tags=["hide-input"] mystnb={"image": {"alt": "The negative bound falls steeply from about 180 to 95 nats within a few hundred steps, then slowly towards 85. The rate starts near zero, jumps to several nats, drops below three within sixty steps, then rises slowly to about twelve."}, "figure": {"caption": "Training the VAE. The loss is the negative bound; the rate is the part of it that pays for the code.", "name": "fig-vae-curves"}}
viz.curves(history, unit="nats per image")

# %% [markdown]
# It starts near $64\log 17\approx181$ nats, as a model must that gives every level the same
# probability. Most of the fall in the first fifty steps is what all digits share: dark borders, a bright
# middle. On the way the rate overshoots: while the decoder is still rough, codes look worth several
# nats, and soon after under three. From there the rate climbs, as finer codes begin to pay.

# %%
first, last = history.rows[0], history.rows[-1]
assert 160 < first["vae/loss"] < 185 and last["vae/loss"] < 90
assert last["vae/rate"] > 10
early = history.series("vae/rate")[1][:10]
assert max(early[:5]) > 4 and min(early[4:]) < 3  # up, and down again

bound = metrics.mean_elbo(vae, digits.test)
bits = metrics.bits_per_dim(bound.mean, vae)
assert -bound.mean < 91.5 and bits < 2.07
glue("vae-test-nats", f"{math.ceil(-bound.mean)}", display=False)
glue("vae-test-images", str(bound.images), display=False)
assert 0.4 < bound.standard_error < 0.7
glue("vae-test-bits", f"{bits:.1f}", display=False)
print(
    f"test: below {math.ceil(-bound.mean)} nats, {bits:.1f} bits per dimension"
)

# %% [markdown]
# On test images the negative bound is below {glue:text}`vae-test-nats` nats (standard error about
# half a nat over {glue:text}`vae-test-images` images), or {glue:text}`vae-test-bits` bits per
# dimension. Say *bound* when you report such a number: the true
# $-\log p(x)$ is lower. Say also of which data: the set is not shuffled and seems to be
# sorted by writer, so the test images most likely come from other hands than the training images.
#
# What can it do? It rebuilds test images from their codes, and it invents new ones.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Four blocks of sixteen images each in a row. Test images; their reconstructions, smooth and recognisable; means of new images, smooth and mostly clear digits; draws of new images, the same digits with grainy pixels."}, "figure": {"caption": "Above: test images and the mean image of their codes. Below: new images from codes drawn from the prior, as the decoder's mean and as a full draw from $p(x\\mid z)$, pixel noise included.", "name": "fig-vae-samples"}}
torch.manual_seed(2)
with evaluating(vae):
    test = digits.test.images[:16]
    code = vae.posterior(test).mean
    fresh = vae.prior(16).sample()
    drawn = vae.likelihood(fresh).sample()
viz.grid(
    [test, vae.mean_image(code), vae.mean_image(fresh), drawn],
    digits.levels,
    titles=[
        "test images",
        "reconstructions",
        "new: mean given the code",
        "new: drawn",
    ],
)

# %% [markdown]
# The third row looks better than the fourth, and only the fourth is a draw from the model. Many
# papers show means and call them samples. The grain is no accident: given the code, pixels are
# independent, so whatever the code does not fix comes out as noise, pixel by pixel. Chapters 11 to
# 13 build models whose pixels see each other.
#
# ### Which code dimensions speak?
#
# The rate {eq}`eq-vae-gaussian-kl` is a sum over the sixteen dimensions, so we can ask each what it
# contributes.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Bar chart of the mean rate of each of the sixteen code dimensions, sorted: about nine bars falling from two nats to half a nat, then bars that are almost nothing."}, "figure": {"caption": "Mean rate of each code dimension over test images, sorted. A dimension near zero is ignored: its posterior is the prior.", "name": "fig-vae-rates"}}
with evaluating(vae):
    q = vae.posterior(digits.test.images).base_dist
    rates = (
        kl_divergence(q, Normal(0.0, 1.0)).mean(0).sort(descending=True).values
    )
active = (rates > 0.1).sum().item()
assert 6 <= active <= 13
assert 11 < rates.sum() < 13.5  # e^11 is 60,000
figure, axes = viz.subplots(height=2.0)
axes.bar(range(1, len(rates) + 1), rates)
axes.set(xlabel="code dimension, sorted", ylabel="rate, nats")
figure

# %% [markdown]
# A VAE prunes itself. A dimension that would cost more nats than it saves is switched off, and its
# posterior returns to the prior. Too large a code does little harm; chapter 05 looks at what
# happens when too much is switched off.
#
# The sum of the bars, about twelve nats, also says what the encoder's hint is worth. If
# $q$ were the prior cut down to a share $s$ of it, its rate would be $\log(1/s)$. So the codes that
# suit a given image fill about one part in $e^{12}$ of the prior: tens of thousands of blind draws,
# or more, for each useful one. That is why we could not just average over draws from the prior.
#
# ## An experiment: what overfits in a VAE?
#
# A thousand images are few. We train three models alike but for two choices: the plain one of *From
# scratch*, where each pixel has its *own weights* for 17 logits; one with the *shared* output
# network; and the shared one with *dropout*.
#
# ```{admonition} Predict, then run
# :class: tip
# Order the three by their bound on *validation* images after 1,000 steps. Then guess how far apart
# best and worst are: 1 nat, 10 nats, or 40?
# ```


# %%
def trained_history(**choice):
    """Train for 1,000 steps; look at the validation images every 100."""
    torch.manual_seed(0)
    model = models.VAE.mlp(digits.shape, digits.levels, **choice)
    adam = torch.optim.AdamW(model.parameters(), lr=2e-3)

    def look():
        bound = metrics.mean_elbo(model, digits.valid, repeats=2)
        return {"valid": -bound.mean}

    def loss(step):
        return -model.elbo(step.batch[0]).mean()

    return fit(
        {"vae": model},
        [Objective("vae", loss, adam)],
        data.Batches(digits.train, 128),
        1000,
        device="cpu",
        callbacks=[Evaluate(look, every=100)],
    )


histories = {
    "own weights": trained_history(),
    "shared": trained_history(pixel_features=4),
    "shared, dropout": trained_history(pixel_features=4, dropout=0.2),
}
valid = {name: h.series("valid")[1] for name, h in histories.items()}
ordered = sorted(valid, key=lambda name: valid[name][-1])
print("best to worst:", "; ".join(ordered))

own = valid["own weights"]
apart = own[-1] - valid["shared, dropout"][-1]
assert 25 < apart < 60
assert valid["shared"][-1] - valid["shared, dropout"][-1] > 0.3
glue("vae-apart", f"{round(apart, -1):.0f}", display=False)
assert own[-1] - min(own) > 5  # it was better once
_, training_loss = histories["own weights"].series("vae/loss")
assert training_loss[-1] < training_loss[5] - 10  # yet the loss kept falling

# %% tags=["hide-input"] mystnb={"image": {"alt": "Negative bound on validation images against training step for three models. The one with own weights for each pixel falls and then climbs steeply; the shared one stays lower and rises slightly; the shared one with dropout keeps falling and ends lowest."}, "figure": {"caption": "Negative bound on validation images (lower is better). The model with its own weights for each pixel gets worse from an early step on, while its training loss keeps falling.", "name": "fig-vae-overfitting"}}
figure, axes = viz.subplots(height=2.6)
for name, curve in valid.items():
    axes.plot(range(100, 1001, 100), curve, marker="o", ms=3, label=name)
axes.set(xlabel="training step", ylabel="nats per image (validation)")
axes.legend()
figure

# %% [markdown]
# Best and worst are about {glue:text}`vae-apart` nats apart. What overfits is the decoder's last
# layer: with weights of their own for each pixel and level it holds most of the parameters, and the
# model learns a thousand images by heart. Sharing it removes most of the loss, dropout a nat or so
# more. The bound is on the log-likelihood of *each image given to it*, and a VAE can learn its training
# images by heart like any other network. Always stop, or choose, by a validation bound.
#
# ## Looking at the gap
#
# By {eq}`eq-vae-gap` the bound lies below $\log p(x)$ by $\KL{q(z\mid x)}{p(z\mid x)}$. With a code
# of two dimensions we can see both distributions, because {eq}`eq-vae-marginal` becomes a sum over
# a grid again. We train such a VAE, evaluate the decoder on a fine grid of codes, and get for any
# image the exact $\log p(x)$ and the exact posterior.

# %%
torch.manual_seed(0)
flat = models.VAE.mlp(
    digits.shape,
    digits.levels,
    latent_dim=2,
    hidden=(256,),
    pixel_features=4,
    dropout=0.1,
)
adam = torch.optim.AdamW(flat.parameters(), lr=2e-3)
schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, 1500)
objective = Objective(
    "vae",
    lambda step: -flat.elbo(step.batch[0]).mean(),
    adam,
    schedule=schedule,
)
flat_history = fit(
    {"vae": flat},
    [objective],
    data.Batches(digits.train, 128),
    1500,
    device="cpu",
)

# %% [markdown]
# The grid reaches five standard deviations of the prior in each direction, in steps of 0.05. Is that
# fine enough? Leave out three of four points, and see whether the integral changes.

# %%
side, extent = 201, 5.0
codes = viz.plane(side, extent)  # (40401, 2)
cell = (2 * extent / (side - 1)) ** 2
with torch.no_grad():
    log_probs = flat.decoder(codes).log_softmax(-1)  # (40401, 1, 8, 8, 17)
    log_prior = flat.prior(len(codes)).log_prob(codes)


def on_grid(image):
    """log p(x, z) for one image and each code of the grid, shape (40401,)."""
    index = image.long()[None, ..., None].expand(len(codes), -1, -1, -1, -1)
    return log_probs.gather(-1, index).sum((1, 2, 3, 4)) + log_prior


def evidence_and_gap(images):
    """Exact log p(x) and divergence of q from p(z | x), each (N,)."""
    with evaluating(flat):
        q = flat.posterior(images).base_dist
    rows = []
    for image, mean, std in zip(images, q.loc, q.scale, strict=True):
        log_joint = on_grid(image)
        log_evidence = log_joint.logsumexp(0) + math.log(cell)  # an integral
        log_q = Normal(mean, std).log_prob(codes).sum(1)
        gap = (log_q.exp() * (log_q - (log_joint - log_evidence))).sum() * cell
        rows.append((log_evidence, gap))
    return torch.tensor(rows).T


shown = digits.test.images[:60]
exact, gaps = evidence_and_gap(shown)

for k in range(10):
    coarse = on_grid(shown[k]).view(side, side)[::2, ::2].flatten()
    assert abs(coarse.logsumexp(0) + math.log(4 * cell) - exact[k]) < 0.01

torch.manual_seed(0)
with evaluating(flat):
    draws = torch.stack([flat.elbo(shown) for _ in range(500)])
error = (draws.mean(0) + gaps - exact).abs()
scatter = draws.std(0) / math.sqrt(500)
assert (error < 5 * scatter + 0.01).all()  # for each image
assert error.mean() < 0.3 and (gaps > 0).all()
print("for each of 60 test images: bound + divergence = log p(x)")

# %% [markdown]
# The two sides were computed in different ways, by 500 random codes and by a grid, and agree. Now
# look at four images: the true posterior as a heat map, the encoder's Gaussian as an ellipse.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Four small images of digits; below each, the true posterior of its code as a bright spot on a dark plane, with the ellipse of the encoder's Gaussian over it. In the first two the ellipse covers the spot, in the others it sits beside it and is too round for a slanted, elongated spot."}, "figure": {"caption": "Four test images, from the smallest to the largest gap among sixty. Below each: its true posterior $p(z\\mid x)$ (bright), and the encoder's Gaussian $q(z\\mid x)$ (ellipse, two standard deviations).", "name": "fig-vae-posteriors"}}
figure, axes = viz.subplots(2, 4, height=3.6, height_ratios=[1, 2])
angle = torch.linspace(0, 2 * math.pi, 100)
with evaluating(flat):
    q = flat.posterior(shown).base_dist
picks = gaps.argsort()[[0, 25, 50, 59]]
for (top, bottom), k in zip(axes.T, picks, strict=True):
    viz.show_images(top, shown[k : k + 1], digits.levels)
    log_posterior = on_grid(shown[k]) - exact[k]
    bottom.imshow(
        log_posterior.exp().view(side, side),
        cmap="cividis",
        extent=(-extent, extent) * 2,
    )
    mean, std = q.loc[k], q.scale[k]
    bottom.plot(
        mean[0] + 2 * std[0] * angle.cos(),
        mean[1] + 2 * std[1] * angle.sin(),
        color="white",
        lw=1.2,
    )
    peak = codes[log_posterior.argmax()]
    centre = (peak + mean) / 2
    reach = max(0.8, 1.3 * (peak - mean).abs().max().item())
    bottom.set(
        xlim=(centre[0] - reach, centre[0] + reach),
        ylim=(centre[1] - reach, centre[1] + reach),
    )
    bottom.set(
        title=f"gap {gaps[k]:.0f} nats" if gaps[k] >= 1 else "gap below 1 nat"
    )
    bottom.set(xticks=[], yticks=[])
figure

# %% [markdown]
# Two kinds of error are visible {cite:p}`cremer2018`. Sometimes the *family* is too poor: a
# slanted posterior under an upright ellipse. Sometimes the *network* is off: a good ellipse exists,
# but the encoder, which must serve all images with one set of weights, puts it beside the spot. If
# that is so, images that the encoder practised on should fare better. Do they?

# %%
practised = evidence_and_gap(digits.train.images[:60])[1]
assert gaps.mean() > 1.5 * practised.mean()
assert 1.5 < gaps.mean() < 3.5
print("mean gap: test images more than 1.5 times training images")

# %% [markdown]
# They do. The mean gap of test images, two or three nats, is more than one and a half times that
# of training images. So a good part of it is the network's, not the family's.
#
# ### The plane of codes
#
# Compare the codes with those of the autoencoder in {numref}`fig-vae-autoencoder`. The prior is now
# where the codes are, because the rate put them there.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Left: training images drawn as their labels at their mean codes; the cloud has gaps, but most of it lies inside or near the dashed circle that holds 95 percent of the prior. Right: a map of decoded digits over the same plane; neighbouring digits change smoothly into each other."}, "figure": {"caption": "The two-dimensional VAE. Left: mean codes of the training images, with the circle that holds 95 % of the prior. Right: the decoder's mean image at each point of the same plane, from $-2.5$ to $2.5$.", "name": "fig-vae-plane"}}
figure, (left, right) = viz.subplots(1, 2, height=3.6)
with evaluating(flat):
    training_codes = flat.posterior(digits.train.images).mean
draw_codes(left, training_codes, digits.train.labels)
draw_circle(left)
viz.show_images(
    right, flat.mean_image(viz.plane(15, 2.5)), digits.levels, columns=15
)
figure

# %% [markdown]
# Every point of the plane decodes to something like a digit, and neighbours are alike. Walk through
# it: the slider moves $z_2$; each strip shows $z_1$ from $-2.5$ to $2.5$. (It works without a
# kernel; the frames are part of the page.)

# %%
rows = flat.mean_image(viz.plane(21, 2.5)).unflatten(0, (21, 21))
heights = torch.linspace(2.5, -2.5, 21).tolist()
viz.slider(
    [viz.tile(row, digits.levels, columns=21) for row in rows],
    [f"z₂ = {height:+.2f}" for height in heights],
    "z₂",
)

# %% [markdown]
# (sec-vae-failure)=
# ## A failure, made on purpose
#
# `reduction="mean"` is the default of most loss functions. A mean over pixels looks harmless: it
# only divides by 64. Let us use it for the reconstruction, keep the sum in the rate, and train.

# %%
torch.manual_seed(0)
broken = models.VAE.mlp(
    digits.shape, digits.levels, pixel_features=4, dropout=0.2
)
adam = torch.optim.AdamW(broken.parameters(), lr=2e-3)


def averaged_loss(step):
    terms = broken.terms(step.batch[0])
    return -(
        terms.reconstruction / 64 - terms.rate
    ).mean()  # the mistake is the 64


objective = Objective("vae", averaged_loss, adam)
fit(
    {"vae": broken},
    [objective],
    data.Batches(digits.train, 128),
    600,
    device="cpu",
)

with evaluating(broken, vae):
    broken_rate = broken.terms(digits.test.images).rate.mean().item()
    good_rate = vae.terms(digits.test.images).rate.mean().item()
    broken_loss = averaged_loss(
        Step(0, (digits.test.images,), torch.default_generator)
    ).item()
assert broken_rate < 0.1 and good_rate > 10
assert broken_loss < 3 < 85 < -bound.mean  # what the two losses look like
print("rate of the broken model below 0.1 nats, of the good one above 10")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Three rows of sixteen images. Test images; their reconstructions by the broken model, all the same grey blot; new images drawn from it, shapeless noise in the middle of the image."}, "figure": {"caption": "A collapsed VAE: whatever the image, the reconstruction is the same average, and new images are noise around it.", "name": "fig-vae-collapse"}}
with evaluating(broken):
    blots = broken.mean_image(broken.posterior(test).mean)
torch.manual_seed(0)
viz.grid(
    [test, blots, broken.sample(16)],
    digits.levels,
    titles=["test images", "reconstructions: all the same", "new images"],
)

# %% [markdown]
# ```{admonition} Symptom, diagnosis, cure
# :class: warning
#
# **Symptom.** The loss falls and looks good (below 3 on the test images, where the right loss is above 85). All
# reconstructions are the same blurred average, whatever the image; samples are noise. The rate is
# zero.
#
# **Diagnosis.** Dividing the reconstruction by 64 is, up to a factor, multiplying the rate by 64.
# {eq}`eq-vae-elbo-rate` allows no such weight: a code must now save 64 nats of reconstruction for
# each nat it costs, and none does. So every dimension is switched off: the posterior has
# *collapsed* to the prior.
#
# **Cure.** Sum the reconstruction over pixels and the rate over dimensions, then take the mean over
# images. Watch rate and reconstruction separately, never the loss alone. A training loss whose
# value at the start is not near (number of pixels) × log(levels) is in the wrong unit.
# ```
#
# (sec-vae-distrust)=
# ## Sentences to distrust
#
# VAEs are explained in many places, and some sentences about them do not survive the derivation.
# Six of them stand in the boxes "Reading the sources" of this chapter; {doc}`/reading_sources`
# collects them, each with a test. One is quickly tried: does the rate train the decoder?

# %%
terms = vae.terms(digits.train.images[:100])
vae.zero_grad()
terms.rate.mean().backward()
assert all(p.grad is None for p in vae.decoder.parameters())
assert all(p.grad.abs().sum() > 0 for p in vae.encoder.parameters())
print("the rate moves the encoder, and leaves the decoder alone")

# %% [markdown]
# ## Exercises
#
# ```{exercise} The last free lunch
# :label: ex-vae-zero
# Which $q(z\mid x)$ makes the rate zero for every image? What does the bound say then, and which
# model is best under it?
# ```
#
# ````{solution} ex-vae-zero
# :class: dropdown
# $q(z\mid x)=p(z)$. Then $\ELBO(x)=\E_{p(z)}[\log p(x\mid z)]$: the code knows nothing of the image,
# so the decoder does best to ignore it. Every pixel then gets its own distribution over the
# training set, and the bound is exact: without a dependence on $z$, $p(x\mid z)=p(x)$. This is the
# collapsed model of {ref}`sec-vae-failure`.
# ````
#
# ```{exercise} What squared error assumes
# :label: ex-vae-mse
# Someone minimises $\lVert x-\hat x(z)\rVert^2+\beta\,\KL{q(z\mid x)}{p(z)}$ for real-valued $x$ of
# $D$ dimensions. Show that for *every* $\beta>0$ this is, up to a factor and a constant, the
# negative bound of a decoder $\mathcal{N}(\hat x(z),\sigma^2I)$. Which $\sigma^2$?
# ```
#
# ````{solution} ex-vae-mse
# :class: dropdown
# The negative bound of that decoder is
#
# $$
# \tfrac{1}{2\sigma^2}\,\E_q\lVert x-\hat x(z)\rVert^2+\tfrac{D}{2}\log(2\pi\sigma^2)
#   +\KL{q(z\mid x)}{p(z)}.
# $$
#
# Multiply by $2\sigma^2$: the squared error has weight one and the divergence $2\sigma^2$. So
# $\beta=2\sigma^2$, or $\sigma^2=\beta/2$, and the constant does not depend on the networks. With
# squared error, choosing $\beta$ *is* choosing the variance of the pixel noise. In particular
# $\beta=1$ on pixels in $[0,1]$ assumes a standard deviation of $0.71$, almost three quarters of the way from
# black to white: blurred images follow.
# ````
#
# ```{exercise} A better estimate
# :label: ex-vae-many
# Our estimate of the bound uses one code an image. Average $w_k=p(x,z_k)/q(z_k\mid x)$ over several codes *before*
# taking the logarithm. Is $\log\frac1K\sum_k w_k$ still a lower bound on average? Try it with
# $K=1,10,100$ on the two-dimensional model, where you know the exact answer.
# ```
#
# ````{solution} ex-vae-many
# :class: dropdown
# Yes: the mean of the $w_k$ has expectation $p(x)$, and Jensen's inequality applies to it as before.
# The more codes, the smaller the scatter of the mean, and the smaller the loss in Jensen's
# inequality {cite:p}`burda2015`. In code:
#
# ```python
# def many_codes(model, x, k):
#     q = model.posterior(x)
#     z = q.sample((k,))                                       # (k, N, 2)
#     log_x = torch.stack([model.likelihood(c).log_prob(x.float()) for c in z])
#     log_w = log_x + model.prior(len(x)).log_prob(z) - q.log_prob(z)
#     return log_w.logsumexp(0) - math.log(k)
# ```
#
# Its mean over the sixty images of {numref}`fig-vae-posteriors` climbs from the bound towards
# `exact.mean()` as $k$ grows, and does not pass it by more than its own scatter. Chapter 06 uses it
# for training.
# ````
#
# ```{exercise} The score function, after all
# :label: ex-vae-baseline
# Show that $\E_q[\nabla\log q(z)]=0$, so that any constant $b$ may be subtracted from $f$ in
# {eq}`eq-vae-score`. In the setting of {prf:ref}`thm-vae-variance`, how much does $b=\E[f]$ help at
# $L=16$?
# ```
#
# ````{solution} ex-vae-baseline
# :class: dropdown
# $\int q\,\nabla\log q\,\mathrm{d}z=\nabla\int q\,\mathrm{d}z=\nabla1=0$. With $b=\E[f]=2L$, write
# $z_j^2-2=(z_j^2-\E z_j^2)$: the sum $S'$ of the other coordinates has mean zero and variance $6n$,
# so the second moment becomes $\E[S'^2]+2\,\E[S']\,(\ldots)+\E[(z_1^2-2)^2\varepsilon_1^2]
# =6n+34-4\cdot4+4=6n+22$, and the variance $6n+18$. At $L=16$ that is $108$ instead of $1260$: much
# better, and still $27$ times that of the reparameterised estimate. (You can draw it:
# `gradients.score_function_gradient` takes a `baseline`.)
# ````
#
# ```{exercise} Codes and the prior
# :label: ex-vae-aggregate
# After training, encode all training images and *draw* one code from each $q(z\mid x)$. Compare
# their distribution with $\mathcal{N}(0,I)$, dimension by dimension. Then do the same with the
# *means* instead of draws. Which agrees better, and why?
# ```
#
# ````{solution} ex-vae-aggregate
# :class: dropdown
# Over all sixteen dimensions the draws agree better. By {eq}`eq-vae-joint-kl` training brings the
# distributions of pairs together, so draws, mixed over all images, should follow the prior. In a busy
# dimension there is hardly a difference: $\sigma^2$ is a few hundredths. The less a dimension says,
# the more the means shrink, and where it is switched off they lie close to zero while the draws keep
# their spread. Compare `vae.posterior(images).sample().std(0)` with
# `vae.posterior(images).mean.std(0)`.
# ````
#
# ## Summary
#
# - A VAE is a latent-variable model {eq}`eq-vae-marginal` with an encoder that proposes codes. The
#   encoder is a tool for training; to generate, you need only the prior and the decoder.
# - The bound {eq}`eq-vae-elbo` lies below $\log p(x)$ by exactly $\KL{q(z\mid x)}{p(z\mid x)}$
#   {eq}`eq-vae-gap`. It is reconstruction minus rate {eq}`eq-vae-elbo-rate`, both in nats, weight
#   one to one.
# - The reparameterised gradient {eq}`eq-vae-reparameterised` goes through the draw. In our
#   example its scatter does not grow with the dimension of the code; that of the score function grows
#   with its square.
# - A likelihood is a probability of the data's own levels. Report a bound as a bound, in nats per
#   image or bits per dimension {eq}`eq-vae-bits`, with its test set and its standard error.
# - Sum over pixels, sum over dimensions, mean over images.
#
# ## Further reading
#
# {cite:t}`kingma2013` and, independently, {cite:t}`rezende2014` introduced the model;
# {cite:t}`kingma2019` is the long introduction by its authors. {cite:t}`lucas2019` study the linear
# VAE of {numref}`fig-vae-linear` and show what collapse does and does not have to do with the
# bound. {cite:t}`cremer2018` take the gap apart. {cite:t}`hoffman2016` split the mean rate
# into what the code tells about the image and how far the codes of all images together lie from the
# prior. {cite:t}`tomczak2022` treats the same digits in a book of its own.
