# %% [markdown]
# (ch-beta)=
# # 05 β-VAE: rate, distortion, disentanglement
#
# **Reading** 60 minutes · **Running** under 90 seconds on one CPU thread · **Difficulty** ●●○ ·
# **You need** {doc}`04_variational_autoencoder`
#
# **What would you say about a picture if each word cost you?** With no words, nothing. With two or
# three, you would say where the thing is; with a few more, how large. A VAE is in the same
# position: its rate is what it pays, in nats. So far a nat of rate had to save a nat of
# reconstruction, no more and no less. This chapter puts a *price* on the nat, called β, turns it up
# and down, and watches what the code says, what it leaves out, and when it falls silent.
#
# After this chapter you can
#
# - say what the objective with a weight β is, when it is a bound, and when it is not;
# - find the β that hides in somebody's choice of sums and means;
# - read a rate–distortion plot, and say which part of the plane no model can reach;
# - split the rate into what the code tells, how its dimensions hang together, and how far each of
#   them is from the prior;
# - measure disentanglement in two ways, and say why the bound cannot ask for it;
# - recognise a VAE that collapsed while it was trained, and cure it in two ways.
#
# ```{admonition} Five questions first
# :class: tip
#
# 1. Which two terms make up the bound of a VAE, and what is the unit of each?
# 2. For which encoder is the bound equal to $\log p(x)$?
# 3. What is the entropy of a fair die with $N$ faces?
# 4. What is the mutual information of two independent variables? Of a variable with itself?
# 5. What does a Lagrange multiplier measure?
#
# If three of them come easily, read on. The answers follow.
# ```
#
# ```{admonition} Answers
# :class: dropdown
#
# 1. Reconstruction minus rate, {eq}`eq-vae-elbo-rate`, both in nats per image.
# 2. For the true posterior, $q(z\mid x)=p(z\mid x)$: the gap {eq}`eq-vae-gap` is then zero.
# 3. $\log N$ nats.
# 4. Zero. With itself: its entropy.
# 5. The price of a constraint: by how much the optimum improves for each unit that the constraint
#    is relaxed.
# ```

# %%
import itertools
import math

import torch
from myst_nb import glue
from torch import nn
from torch.distributions import MultivariateNormal, Normal, kl_divergence

from genlearn import data, losses, metrics, models, viz
from genlearn.distributions import GaussianPixels
from genlearn.training import Objective, evaluating, fit

torch.set_num_threads(1)  # models this small are fastest on one thread

# %% [markdown]
# (sec-beta-world)=
# ## A world of which we know everything
#
# The data set `shapes` draws images from five factors. We hold two of them fixed, which shape and
# how it is turned, and take **all** combinations of the other three: size and place. The images are
# reduced to 16×16 pixels, black or white. No two of them are alike.

# %%
sizes = torch.linspace(4, 8, 5)  # radius, pixels of the large image
places = 2 * torch.arange(8.0) + 9
factors = torch.cartesian_prod(
    torch.tensor([2.0]),  # an angle iron,
    sizes,
    torch.tensor([math.pi / 6]),  # turned by 30 degrees
    places,
    places,
)
drawn = data.render_shapes(factors)  # 32 x 32 pixels, 256 levels
small = nn.functional.avg_pool2d(drawn.float(), 2)
world = data.Split(
    (small >= 127.5).to(torch.uint8),
    labels=None,
    levels=2,
    name="world",
    factors=factors[:, [1, 3, 4]],
    factor_names=("size", "x", "y"),
)
count = len(world.images.flatten(1).unique(dim=0))
assert count == len(world) == 320
entropy = math.log(count)  # of p_data, which gives each the same probability
glue("beta-images", f"{count:,}", display=False)
glue("beta-entropy", f"{entropy:.2f}", display=False)
print(f"{count} images, all different: entropy {entropy:.2f} nats")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Two rows of sixteen small images: a white bent bar on black, tilted, in different sizes and places."}}
torch.manual_seed(0)
viz.grid(world.images[torch.randperm(len(world))[:32]], 2)

# %% [markdown]
# Let these {glue:text}`beta-images` images, each as likely as any other, be the whole of
# $p_\text{data}$. Then its entropy is known: $\log{}$of their number, {glue:text}`beta-entropy`
# nats. No code needs to say more than that, and no model can spend less on average. Few data sets
# let you write down such a number; it will be a wall in a plot below. (We ask nothing about images
# that the model has not seen. That question has its place in chapter 04.)
#
# (sec-beta-knob)=
# ## One knob
#
# Here is the experiment of the chapter. Seven VAEs are trained alike, on the same images. They
# differ in one number, the weight β on the rate.


# %%
def train(
    beta=1.0,
    *,
    seed=0,
    hidden=(128, 128),
    steps=800,
    batch=64,
    lr=5e-3,
    warm=200,
    floor=0.0,
):
    """Train a VAE on the world from scratch; return it with its history."""
    torch.manual_seed(seed)
    vae = models.VAE.mlp(world.shape, world.levels, latent_dim=6, hidden=hidden)
    adam = torch.optim.Adam(vae.parameters(), lr=lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)

    def loss(step):
        terms = vae.terms(step.batch[0])
        rate = losses.free_bits(terms.rates, floor) if floor else terms.rate
        weight = beta * losses.warm_up(step.index, warm)
        return {
            "loss": losses.beta_vae_loss(terms.reconstruction, rate, weight),
            "rate": terms.rate.mean(),
        }

    history = fit(
        {"vae": vae},
        [Objective("vae", loss, adam, schedule=schedule)],
        data.Batches(world, batch, seed),
        steps,
        device="cpu",
        seed=seed,
        log_every=10,
    )
    return vae, history


betas = [0.25, 0.5, 1, 2, 4, 8, 16]
trained = {beta: train(beta)[0] for beta in betas}

# %% [markdown]
# ```{admonition} Predict, then run
# :class: tip
# The larger β, the dearer each nat of code. What will the models give up first as β grows: size, or
# place? And what will the last one draw, for which a nat costs sixteen?
# ```

# %% tags=["hide-input"] mystnb={"image": {"alt": "Eight rows of twelve small images. Top: white bent bars. Below, from beta 0.25 to 16: sharp blobs of the right size and place, then blurred ones of the right place, then faint smears, at last the same grey square everywhere."}, "figure": {"caption": "What is left of an image. Top: twelve images of the world. Below: the mean image of their codes, for seven values of β.", "name": "fig-beta-knob"}}
torch.manual_seed(3)
shown = world.images[torch.randperm(len(world))[:12]]
figure, axes = viz.subplots(8, 1, height=5.4)
viz.show_images(axes[0], shown, 2, columns=12)
axes[0].text(-6, 8, "image", ha="right", va="center")
for axis, (beta, vae) in zip(axes[1:], trained.items(), strict=True):
    with evaluating(vae):
        rebuilt = vae.mean_image(vae.posterior(shown).mean)
    viz.show_images(axis, rebuilt, 2, columns=12)
    axis.text(-6, 8, f"β = {beta:g}", ha="right", va="center")
figure

# %% [markdown]
# Each nat that a row pays less is missing somewhere. First the outline goes, then the size of a
# faint blot; at $\beta=8$ only a rough idea of the place is left, and at $\beta=16$ nothing: every
# image gets the same grey average. The codes did not get worse at random. They gave up what saved
# the fewest nats of reconstruction first.
#
# (The weight grows from zero to β during the first 200 of 800 steps. {ref}`sec-beta-failure` says
# why.)
#
# (sec-beta-weight)=
# ## What the weight means
#
# Give the two terms of the bound names of their own, both in nats, both better when smaller:
#
# ```{math}
# :label: eq-beta-objective
# \begin{aligned}
# \text{distortion}\quad D(x) &= -\E_{q(z\mid x)}\bigl[\log p(x\mid z)\bigr], \\
# \text{rate}\quad R(x) &= \KL{q(z\mid x)}{p(z)}, \\
# \text{minimise}\quad &\E_{p_\text{data}(x)}\bigl[D(x)+\beta R(x)\bigr].
# \end{aligned}
# ```
#
# This is the **β-VAE** {cite:p}`higgins2017`. With $\beta=1$ it is the negative bound of chapter
# 04.
#
# ```{erratum} E7
# ```
#
# Where does β come from? One answer is a budget. Ask for the best reconstruction under the
# condition that the code spends no more than $c$ nats:
#
# $$
# \text{minimise } D \quad\text{subject to}\quad R\le c .
# $$ (eq-beta-constrained)
#
# Its Lagrangian is $D+\beta(R-c)$ with a multiplier $\beta\ge0$, and for a fixed β the constant
# $\beta c$ moves nothing. So β is the **price of a nat** that belongs to some budget: whoever
# chooses β chooses a budget without knowing its size, and whoever wants a certain rate must search
# for the β.
#
# ### Is it still a bound?
#
# Take $D$ and $R$ at one image $x$. By {eq}`eq-vae-gap`, $-D-R=\log p(x)-\KL{q(z\mid x)}{p(z\mid
# x)}$. Subtract the rest of the weighted rate, $(\beta-1)R$, from both sides:
#
# ```{math}
# :label: eq-beta-bound
# \begin{aligned}
# -D(x)-\beta R(x) &= \log p(x) - \KL{q(z\mid x)}{p(z\mid x)} \\
#   &\quad - (\beta-1)\,R(x).
# \end{aligned}
# ```
#
# - At $\beta>1$ the last term is a surcharge. The left side is still a lower bound on $\log p(x)$,
#   and a looser one.
# - At $\beta<1$ it is a rebate. As soon as the rebate $(1-\beta)R$ is larger than the gap, the left
#   side lies *above* $\log p(x)$. It is not a bound any more.
#
# How far do things go once training has done its best? Divide by β and put the likelihood's weight
# inside its logarithm:
#
# ```{math}
# :label: eq-beta-tempered
# \begin{aligned}
# D+\beta R
#   &= \beta\,\E_q\Bigl[\log q(z\mid x)-\log p(z)-\tfrac1\beta\log p(x\mid z)\Bigr] \\
#   &= \beta\,\KL{q(z\mid x)}{q_\beta(z\mid x)} - \beta\log Z_\beta(x), \\
# q_\beta(z\mid x) &= \frac{p(z)\,p(x\mid z)^{1/\beta}}{Z_\beta(x)}, \qquad
# Z_\beta(x) = \E_{p(z)}\bigl[p(x\mid z)^{1/\beta}\bigr].
# \end{aligned}
# ```
#
# The divergence is the only term with $q$ in it, so the best encoder is $q_\beta$: the posterior of
# a likelihood raised to the power $1/\beta$. At $\beta>1$ the evidence of the image counts for less
# than it should; at $\beta<1$ it is counted more than once. And the best value,
# $\beta\log\E_{p(z)}[p(x\mid z)^{1/\beta}]$, can be compared with $\log p(x)=\log\E_{p(z)}[p(x\mid
# z)]$. By Jensen's inequality for the function $t^{1/\beta}$ it is larger at $\beta<1$, where this
# function bends upwards, and smaller at $\beta>1$. Let us see it, in the world of four images and
# three codes of chapter 04, where all sums can be done.

# %%
p_z = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
p_x_given_z = torch.tensor(  # one row a code, one column an image
    [[0.7, 0.1, 0.1, 0.1], [0.1, 0.6, 0.2, 0.1], [0.2, 0.2, 0.1, 0.5]],
    dtype=torch.float64,
).T
log_evidence = (p_x_given_z @ p_z).log()

print(f"log p(x) of image 0: {log_evidence[0]:.3f}")
for beta in [0.25, 0.5, 1.0, 2.0, 4.0]:
    tempered = p_z * p_x_given_z ** (1 / beta)
    q = tempered / tempered.sum(1, keepdim=True)  # q_β(z | x)
    distortion = -(q * p_x_given_z.log()).sum(1)
    rate = (q * (q / p_z).log()).sum(1)
    best = -distortion - beta * rate
    torch.testing.assert_close(best, beta * tempered.sum(1).log())
    assert ((best > log_evidence) == (beta < 1)).all() or beta == 1
    assert ((best < log_evidence) == (beta > 1)).all() or beta == 1
    print(
        f"β = {beta:4}: -D - βR = {best[0]:.3f}   "
        f"rate {rate[0]:.3f}   bound -D - R = {-(distortion + rate)[0]:.3f}"
    )

# %% [markdown]
# The second column falls below $\log p(x)$ or rises above it as {eq}`eq-beta-tempered` says. The
# last column is the true bound of the same encoder. It touches $\log p(x)$ at $\beta=1$ alone, and
# is lower on both sides: **whatever β you train with, report $D+R$**.
#
# (sec-beta-variance)=
# ## With squared error, β is a variance
#
# Many programs minimise a squared error plus a weighted divergence. Exercise {ref}`ex-vae-mse`
# found that this is an honest bound in disguise ({ref}`E17 <erratum-e17>`). Now the full statement.
# Let the decoder be $\mathcal{N}(\hat x(z),\sigma^2I)$ over $P$ pixel values, and write out the
# objective:
#
# ```{math}
# :label: eq-beta-variance
# \begin{aligned}
# D+\beta R
#   &= \frac{1}{2\sigma^2}\,\E_q\lVert x-\hat x(z)\rVert^2 + \beta R + \frac P2\log 2\pi\sigma^2 \\
#   &= \beta\,\Bigl(\frac{1}{2\beta\sigma^2}\,\E_q\lVert x-\hat x(z)\rVert^2 + R\Bigr) + \text{const}.
# \end{aligned}
# ```
#
# In brackets stands the negative bound of a decoder with variance $\beta\sigma^2$, up to a
# constant. So for a Gaussian decoder of fixed variance **only the product $\beta\sigma^2$
# matters**: a β of four and a standard deviation twice as large are the same thing to both
# networks. That also gives β a meaning that $\beta\ne1$ seemed to have lost: the model is a VAE
# like any other, of pixels with more noise. With a categorical or Bernoulli likelihood there is no
# such way out: what $p(x\mid z)^{1/\beta}$ sums to over all images changes with $z$.
#
# If this is right, two trainings should go through the same weights. Adam divides each gradient by
# its own size, so it does not even notice the factor β in front of the brackets.


# %%
def train_gaussian(std, beta, steps=150):
    """Train with squared error: black is -1, white is 1."""
    torch.manual_seed(0)
    pixels = GaussianPixels(2, noise="fixed", std=std)
    vae = models.VAE.mlp(
        world.shape, 2, latent_dim=6, hidden=(64,), likelihood=pixels
    )
    adam = torch.optim.Adam(vae.parameters(), lr=3e-3)

    def loss(step):
        terms = vae.terms(step.batch[0])
        return losses.beta_vae_loss(terms.reconstruction, terms.rate, beta)

    objective = Objective("vae", loss, adam)
    fit({"vae": vae}, [objective], data.Batches(world, 64), steps, device="cpu")
    with evaluating(vae):
        q = vae.posterior(world.images)
        rate = kl_divergence(q, vae.prior(len(world))).mean().item()
        return rate, vae.mean_image(q.mean)


rate_a, images_a = train_gaussian(std=0.25, beta=4)
rate_b, images_b = train_gaussian(std=0.5, beta=1)
rate_c, images_c = train_gaussian(std=0.25, beta=1)
assert abs(rate_a / rate_b - 1) < 0.02
assert (images_a - images_b).abs().max() < 0.05
assert rate_c > 1.5 * rate_b
print("std 0.25 with β = 4 and std 0.5 with β = 1: the same model")
print("std 0.25 with β = 1: another, with a larger rate")

# %% [markdown]
# (sec-beta-hidden)=
# ## Sums, means, and the β that nobody chose
#
# The failure of chapter 04 averaged the reconstruction over pixels. Now we can say what it did: it
# trained a β-VAE. Let $a=P$ if a program averages the distortion over the $P$ pixel values of an
# image, and $a=1$ if it sums; likewise $b=L$ or $1$ for the rate and its $L$ dimensions. If it
# multiplies the rate by $\beta$, then it minimises
#
# $$
# \frac1a\,D+\frac{\beta}{b}\,R = \frac1a\Bigl(D+\frac{a\,\beta}{b}\,R\Bigr),
# \qquad\text{so}\qquad \beta_\text{eff}=\frac{a}{b}\,\beta .
# $$ (eq-beta-hidden)
#
# ```{admonition} Predict, then run
# :class: tip
# A program for 64×64 colour images with 128 code dimensions writes `mse_loss(...)` and `kl.mean()`,
# both with their default means, and `beta = 1`. Is its effective β below 1, about 1, or far above?
# ```

# %%
sizes_of = {  # values of an image, dimensions of the code
    "digits 8×8": (64, 16),
    "our world 16×16": (256, 6),
    "MNIST 28×28": (784, 20),
    "colour 64×64": (3 * 64 * 64, 128),
}
print("effective β of programs with β = 1")
print("pixels:            sum      mean       sum      mean")
print("code:              sum       sum      mean      mean")
for name, (P, L) in sizes_of.items():
    effective = [1, P, 1 / L, P / L]
    row = "".join(f"{value:10.5g}" for value in effective)
    print(f"{name:15}{row.removeprefix(' ' * 3)}")
assert effective[-1] == 96

# %% [markdown]
# Far above: the two means, each harmless by itself, make it 96. A paper's β means nothing without
# this convention. {cite:t}`higgins2017` quote a *normalised* $\beta_\text{norm}=\beta L/P$, which
# is exactly the weight between two means. To carry a β from one program to another, compute
# $\beta_\text{eff}$ for both. Squared errors bring a second conversion: pixels from 0 to 255
# instead of 0 to 1 multiply the error by $255^2$, and so divide the effective β by it.
#
# Check one row with a gradient. If two losses are proportional, so are their gradients.

# %%
P, L = 256, 6
torch.manual_seed(0)
vae = models.VAE.mlp(world.shape, 2, latent_dim=L, hidden=(32,))
batch, noise = world.images[:64], torch.randn(64, L)

q = vae.posterior(batch).base_dist
logits = vae.decoder(q.loc + q.scale * noise).squeeze(-1)
error = nn.functional.binary_cross_entropy_with_logits(logits, batch.float())
kl = kl_divergence(q, Normal(0.0, 1.0)).mean()
theirs = torch.autograd.grad(error + kl, vae.parameters())

terms = vae.terms(batch, noise)
loss = losses.beta_vae_loss(terms.reconstruction, terms.rate, beta=P / L)
ours = torch.autograd.grad(loss, vae.parameters())
for a, b in zip(theirs, ours, strict=True):
    torch.testing.assert_close(P * a, b, rtol=1e-3, atol=1e-4)
print("two means: the gradient of a β-VAE with β = P / L")

# %% [markdown]
# (sec-beta-plane)=
# ## Rate and distortion in one picture
#
# Each trained model is a point in a plane: its mean rate $R$ to the right, its mean distortion $D$
# upwards {cite:p}`alemi2018`. Where can such points lie? Ask what the code $z$ tells about the
# image $x$ when images are drawn from the data and codes from the encoder: the **mutual
# information** $I(x;z)$ of the pair. All codes together are distributed like the **aggregate
# posterior** $q(z)=\E_{p_\text{data}(x)}[q(z\mid x)]$. From above, the rate:
#
# ```{math}
# :label: eq-beta-surgery
# \begin{aligned}
# R &= \E\Bigl[\log\frac{q(z\mid x)}{p(z)}\Bigr]
#    = \E\Bigl[\log\frac{q(z\mid x)}{q(z)}\Bigr] + \E\Bigl[\log\frac{q(z)}{p(z)}\Bigr] \\
#   &= I(x;z) + \KL{q(z)}{p(z)} \;\ge\; I(x;z).
# \end{aligned}
# ```
#
# We pay for what the code tells, and on top for codes that are not distributed like the prior
# {cite:p}`hoffman2016`. From below, the distortion. Let $q(x\mid z)=p_\text{data}(x)\,q(z\mid
# x)/q(z)$ be the true way back from codes to images. The decoder is at best as good, because a
# divergence is never negative:
#
# ```{math}
# \begin{aligned}
# I(x;z) &= H(p_\text{data}) + \E\bigl[\log q(x\mid z)\bigr] \\
#   &= H(p_\text{data}) + \E\bigl[\log p(x\mid z)\bigr]
#      + \E_{q(z)}\bigl[\KL{q(x\mid z)}{p(x\mid z)}\bigr] \\
#   &\ge H(p_\text{data}) - D .
# \end{aligned}
# ```
#
# Together,
#
# $$
# H(p_\text{data}) - D \;\le\; I(x;z) \;\le\; R .
# $$ (eq-beta-information)
#
# So $R+D\ge H(p_\text{data})$: below the line from $(0,H)$ to $(H,0)$ there is no model of any
# kind. On it lie the perfect ones, and they differ in where the knowledge sits. At $(H,0)$ the code
# tells everything; at $(0,H)$ nothing, and the decoder alone is a perfect model of the images. The
# bound, $-(R+D)$, is the same for all of them. **It does not say how much the code shall tell.**
# This is the gap in the bound's account that β fills.
#
# (sec-beta-slope)=
# ### β is a slope
#
# ````{prf:theorem} What a larger β does
# :label: thm-beta-monotone
#
# Among any set of models, let $(R_1,D_1)$ be one that minimises $D+\beta_1R$ and $(R_2,D_2)$ one
# that minimises $D+\beta_2R$, where $\beta_1<\beta_2$. Then
#
# $$
# R_2\le R_1 \qquad\text{and}\qquad D_2\ge D_1 .
# $$ (eq-beta-monotone)
#
# Where the best points change smoothly with β, the slope of the curve that they draw is
#
# $$
# \frac{\mathrm dD}{\mathrm dR} = -\beta .
# $$ (eq-beta-slope)
# ````
#
# ````{prf:proof}
# Each is best at its own price: $D_1+\beta_1R_1\le D_2+\beta_1R_2$ and $D_2+\beta_2R_2\le
# D_1+\beta_2R_1$. Add the two lines and cancel $D_1+D_2$: $(\beta_2-\beta_1)(R_2-R_1)\le0$, so
# $R_2\le R_1$. The first line then says $D_1-D_2\le\beta_1(R_2-R_1)\le0$. For the slope, write
# $D(b)$ and $R(b)$ for the point that is best at the price $b$. As a function of $b$, $D(b)+\beta
# R(b)$ is smallest at $b=\beta$, so its derivative is zero there: $D'(\beta)+\beta R'(\beta)=0$.
# ````
#
# Lines of constant bound, $R+D=\text{const}$, have slope $-1$. The model with the best bound is
# where the curve touches the lowest of them: at $\beta=1$. Before we look at the seven models, let
# us see a curve that can be computed.
#
# (sec-beta-water)=
# ### The yardstick: a linear VAE
#
# Take data with covariance eigenvalues $\lambda_1\ge\lambda_2\ge\dots$, a linear decoder with noise
# of fixed variance $s^2$, and a linear encoder. By {eq}`eq-beta-variance`, training it with weight
# β is training it with weight one and noise $\theta=\beta s^2$. That is probabilistic PCA with its
# noise given, where the exact posterior is Gaussian, so the bound can touch the log-likelihood.
# Along one eigenvector, the model says that $x$ has variance $v=w^2+\theta$, where $w$ is the
# decoder's weight. The mean log-likelihood, up to a constant, is $-\frac12(\log v+\lambda/v)$; its
# derivative is positive for $v<\lambda$ and negative beyond. So $v=\lambda$ is best, if that is
# allowed: $v$ cannot be less than $\theta$. Hence $w^2=\max(\lambda-\theta,0)$. (That the axes of
# the code should be eigenvectors at all is shown by {cite:t}`tipping1999`.)
#
# Where $\lambda>\theta$, {eq}`eq-vae-ppca-posterior` gives the posterior mean $(w/\lambda)\,x$ and
# variance $\theta/\lambda$. Its rate {eq}`eq-vae-gaussian-kl` averages to
# $\frac12\bigl(\frac{w^2}{\lambda}+\frac\theta\lambda-1-\log\frac\theta\lambda\bigr)
# =\frac12\log\frac\lambda\theta$, and the mean squared error to
# $(1-\frac{w^2}{\lambda})^2\lambda+w^2\frac\theta\lambda
# =\frac{\theta^2}{\lambda}+\theta-\frac{\theta^2}{\lambda}=\theta$. Where $\lambda\le\theta$ the
# code is silent and the squared error is all of $\lambda$. Over all directions:
#
# ```{math}
# :label: eq-beta-water
# \begin{aligned}
# R &= \sum_j\tfrac12\max\Bigl(0,\;\log\frac{\lambda_j}{\beta s^2}\Bigr), \\
# D &= \frac{1}{2s^2}\sum_j\min\bigl(\lambda_j,\,\beta s^2\bigr)+\frac P2\log2\pi s^2 .
# \end{aligned}
# ```
#
# It is as if water stood at the level $\beta s^2$. What rises above it is told, everything is known
# up to the level, and what lies below drowns. Turn up β, and direction after direction falls
# silent, the weakest first. (Information theory knows this as reverse water-filling: no code of any
# kind does better on Gaussian data {cite:p}`cover2006`.) Does training by gradient find it?

# %%
eigenvalues = torch.tensor([4.0, 2.0, 1.0, 0.5])
noise_variance = 0.1


def exact_point(beta):
    """R and D of the best linear VAE, D without its constant."""
    level = beta * noise_variance
    rate = 0.5 * (eigenvalues / level).log().clamp(min=0).sum()
    error = eigenvalues.clamp(max=level).sum()
    return rate.item(), error.item() / (2 * noise_variance)


def trained_point(beta, steps=400):
    """The same by gradient; all expectations are sums over moments."""
    torch.manual_seed(0)
    covariance = eigenvalues.diag()
    decoder = (torch.randn(4, 4) / 3).requires_grad_()
    encoder = (torch.randn(4, 4) / 3).requires_grad_()
    log_var = torch.zeros(4, requires_grad=True)
    adam = torch.optim.Adam([decoder, encoder, log_var], lr=0.05)
    for _ in range(steps):
        left_over = torch.eye(4) - decoder @ encoder
        error = (left_over @ covariance @ left_over.T).trace()
        error = error + (decoder.square().sum(0) * log_var.exp()).sum()
        means = (encoder @ covariance @ encoder.T).diagonal()
        rate = 0.5 * (means + log_var.exp() - 1 - log_var).sum()
        distortion = error / (2 * noise_variance)
        adam.zero_grad()
        (distortion + beta * rate).backward()
        adam.step()
    return rate.item(), distortion.item()


prices = [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0]
found = [trained_point(beta) for beta in prices]
for beta, (rate, distortion) in zip(prices, found, strict=True):
    exact_rate, exact_distortion = exact_point(beta)
    objective = distortion + beta * rate
    assert abs(objective - exact_distortion - beta * exact_rate) < 0.05
    assert abs(rate - exact_rate) < 0.05
print("seven linear VAEs, each within 0.05 nats of the formula")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Left: a convex falling curve of distortion against rate; seven dots from training lie on it, and short line pieces through three of them, the steepest for the largest weight on the left, touch the curve. Right: the rate of four directions against beta on a logarithmic axis; four parallel falling lines reach zero one after the other."}, "figure": {"caption": "The linear VAE. Left: the curve {eq}`eq-beta-water`, seven trainings (dots), and tangents of slope $-\\beta$ at $\\beta=1$, $8$ and $16$. Right: the rate of each direction; dotted, where $\\beta s^2$ reaches its eigenvalue.", "name": "fig-beta-linear"}}
many = torch.logspace(math.log10(0.4), math.log10(60), 300).tolist()
curve = torch.tensor([exact_point(beta) for beta in many])
figure, (left, right) = viz.subplots(1, 2, height=2.8)
left.plot(*curve.T, color=viz.style.BLUE)
left.scatter(*zip(*found, strict=True), s=18, color="black", zorder=3)
for beta in [1.0, 8.0, 16.0]:
    rate, distortion = exact_point(beta)
    reach = 5 / beta if beta > 1 else 1.2
    step = torch.tensor([-min(reach, 0.45 + rate), reach])
    left.plot(
        rate + step, distortion - beta * step, "--", color=viz.style.RED, lw=1
    )
    left.annotate(
        f"β = {beta:g}",
        (rate, distortion),
        xytext=(7, 5),
        textcoords="offset points",
    )
left.set(xlabel="rate, nats", ylabel="distortion, nats", ylim=(0, None))
for k, value in enumerate(eigenvalues.tolist()):
    rates = [
        max(0.0, 0.5 * math.log(value / (b * noise_variance))) for b in many
    ]
    right.semilogx(many, rates, label=f"$\\lambda_{k + 1} = {value:g}$")
    right.axvline(value / noise_variance, ls=":", color="grey", lw=1)
right.set(xlabel="β", ylabel="rate of the direction, nats", xlim=(0.35, 500))
right.legend(loc="upper right")
figure

# %% [markdown]
# Directions that are switched off here are no failure. They carry less than a nat is worth. Keep
# this in mind for {ref}`sec-beta-failure`, where codes fall silent that *would* have paid.
#
# ### The seven models
#
# ```{admonition} Predict, then run
# :class: tip
# Draw the two axes on paper, with the wall $R+D=H$. Where will the models with $\beta=0.25$ and
# $\beta=16$ be? Which comes closest to the wall?
# ```


# %%
def measure(vae):
    """Mean rate and distortion over the world, nats; 20 codes an image."""
    torch.manual_seed(0)
    with evaluating(vae):
        draws = [vae.terms(world.images) for _ in range(20)]
    distortion = -torch.stack([t.reconstruction for t in draws]).mean()
    return draws[0].rate.mean().item(), distortion.item()


points = {beta: measure(vae) for beta, vae in trained.items()}
rates, distortions = zip(*points.values(), strict=True)
assert list(rates) == sorted(rates, reverse=True)
assert list(distortions) == sorted(distortions)
sums = {beta: rate + distortion for beta, (rate, distortion) in points.items()}
best = min(sums, key=sums.get)
for (a, (r, d)), (b, (s, e)) in itertools.pairwise(points.items()):
    assert a / 1.8 < (e - d) / (r - s) < 1.8 * b  # a chord's slope
assert best in (0.5, 1, 2) and sums[1] < sums[best] + 1
assert sums[0.25] > sums[1] + 1 and sums[16] > sums[1] + 15
assert rates[0] > 1.3 * entropy and rates[-1] < 0.3
assert min(sums.values()) > entropy + 5
print("as β grows, every rate falls and every distortion rises")
print("the bound is best, to within a nat, at β = 1")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Distortion against rate. Seven dots fall along a convex curve from upper left, beta 16 with rate zero, to lower right, beta 0.25 with a rate near twelve. A short line through each dot, steep on the left and flat on the right, follows the curve. A grey triangle in the lower left corner stays empty."}, "figure": {"caption": "Seven models in the plane of rate and distortion. Grey: $R+D<H$, where no model can be. Dotted: lines of constant bound, of slope $-1$, ten nats apart. Short lines: slope $-\\beta$ at each model.", "name": "fig-beta-plane"}}
figure, axes = viz.subplots(height=3.6)
reach = torch.tensor([0.0, 14.0])
axes.fill_between(
    [0, entropy], [entropy, 0], color="lightgrey", label="no model: $R+D<H$"
)
for total in range(10, 60, 10):
    axes.plot(reach, total - reach, ":", color="grey", lw=0.8)
axes.plot(rates, distortions, color=viz.style.SKY, lw=1)
for beta, (rate, distortion) in points.items():
    run = 1.2 / math.hypot(1, beta / 3)
    axes.plot(
        [rate - run, rate + run],
        [distortion + beta * run, distortion - beta * run],
        color=viz.style.RED,
        lw=1,
    )
    axes.annotate(
        f"β = {beta:g}",
        (rate, distortion),
        xytext=(8, 4),
        textcoords="offset points",
    )
axes.scatter(rates, distortions, s=22, color=viz.style.BLUE, zorder=3)
axes.set(
    xlabel="rate $R$, nats per image",
    ylabel="distortion $D$, nats per image",
    xlim=(-0.3, 14),
    ylim=(0, 44),
)
axes.legend()
figure

# %% [markdown]
# The seven trainings know nothing of each other, and still they draw one curve, and from one to the
# next it falls with a slope that lies, nearly, between their two prices. The theorem holds for the
# best models, and training is not perfect, so take it as a check of both. Three things can be read
# off:
#
# - The dotted line of the best bound is touched near $\beta=1$. Both ends are worse: the left one
#   says too little, the right one pays for more than it tells. With $\beta=0.25$ the rate is far
#   beyond the entropy $H$, though no code can *tell* more than $H$.
# - The curve stays more than five nats away from the wall. This is what a better decoder, a better
#   encoder, or longer training can still gain. No choice of β gains it.
# - Models on one dotted line have the same bound and different codes. Which of them is the better
#   *encoder* is for you to say; the bound does not know.
#
# (sec-beta-parts)=
# ## What the rate is made of
#
# Equation {eq}`eq-beta-surgery` splits the rate in two. The second part can be split again
# {cite:p}`chen2018`. Besides $q(z)$ look at its marginals $q(z_j)$, one for each dimension of the
# code, and put their product in between. The prior is a product too:
#
# ```{math}
# :label: eq-beta-decomposition
# \begin{aligned}
# R &= \E\Bigl[\log\frac{q(z\mid x)}{q(z)}
#      +\log\frac{q(z)}{\prod_jq(z_j)}
#      +\log\frac{\prod_jq(z_j)}{\prod_jp(z_j)}\Bigr] \\
#   &= \underbrace{I(x;z)}_{\text{index-code information}}
#    + \underbrace{\KL{q(z)}{\textstyle\prod_jq(z_j)}}_{\text{total correlation}} \\
#   &\quad + \underbrace{\textstyle\sum_j\KL{q(z_j)}{p(z_j)}}_{\text{dimension-wise}} .
# \end{aligned}
# ```
#
# Inside the logarithm everything cancels but the two ends, at every single code; and each part is a
# divergence, so none is negative.
#
# - The **index-code information** is what the code tells about which image it came from.
# - The **total correlation** is zero if and only if the dimensions of the code, over all images,
#   are independent.
# - The **dimension-wise** part is what is left if each dimension is compared with the prior alone.
#
# ```{erratum} E27
# ```
#
# Larger β presses on all three alike, though one may want to press on the second only: that is the
# β-TC-VAE of {cite:t}`chen2018` and the FactorVAE of {cite:t}`kim2018`. To measure them we need
# $\log q(z)$, and $q(z)$ is the mean of $q(z\mid x)$ over the images. Our world is small enough to
# take that mean. Here it is in eight lines, and the library's
# {py:func}`genlearn.losses.rate_parts`.


# %%
def parts_by_hand(z, mean, std):
    """Index-code information, total correlation, dimension-wise: (N,) each."""
    own = Normal(mean, std).log_prob(z)  # (N, L): log q(z_j | x)
    every = Normal(mean, std).log_prob(z[:, None])  # (N, N, L): all images
    log_n = math.log(len(z))
    log_q = every.sum(2).logsumexp(1) - log_n  # (N,): log q(z)
    log_q_each = (every.logsumexp(1) - log_n).sum(1)  # Σ log q(z_j)
    log_p = Normal(0.0, 1.0).log_prob(z).sum(1)
    return own.sum(1) - log_q, log_q - log_q_each, log_q_each - log_p


measured = {}
for beta, vae in trained.items():
    with evaluating(vae):
        q = vae.posterior(world.images).base_dist
    torch.manual_seed(0)
    draws = []
    for _ in range(10):
        z = q.sample()
        parts = losses.rate_parts(z, q.loc, q.scale)
        draws.append(torch.stack(parts).mean(1))
        by_hand = parts_by_hand(z, q.loc, q.scale)
        for mine, theirs in zip(by_hand, parts, strict=True):
            torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-3)
        whole = q.log_prob(z) - Normal(0.0, 1.0).log_prob(z)
        torch.testing.assert_close(sum(parts), whole.sum(1), rtol=0, atol=1e-3)
    measured[beta] = torch.stack(draws).mean(0)
    assert abs(measured[beta].sum() - points[beta][0]) < 0.1
    assert measured[beta][0] < entropy + 0.05
assert measured[0.25][0] > 0.9 * entropy and measured[0.25][1] > 1
assert all(measured[b][0] > 0.85 * measured[b].sum() for b in (2, 4, 8))
print("at each code the parts add up; their means add up to the rate")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Stacked bars for seven values of beta. At 0.25 a first part of almost six nats, as high as the dashed line of the entropy, then four nats of total correlation and two of the dimension-wise part. With larger beta both shrink to nothing, and the first part falls to zero at 16."}, "figure": {"caption": "The rate of the seven models, by {eq}`eq-beta-decomposition`. Dashed: the entropy of the data, which the first part cannot exceed.", "name": "fig-beta-parts"}}
figure, axes = viz.subplots(height=2.7)
bottom = torch.zeros(len(betas))
names = ["index-code information", "total correlation", "dimension-wise"]
for name, heights in zip(
    names, torch.stack(list(measured.values())).T, strict=True
):
    heights = heights.clamp(min=0)
    axes.bar(
        [f"{beta:g}" for beta in betas], heights, bottom=bottom, label=name
    )
    bottom = bottom + heights
axes.axhline(entropy, ls="--", color="black", lw=1)
axes.set(xlabel="β", ylabel="nats per image")
axes.legend()
figure

# %% [markdown]
# At $\beta=0.25$ the first part has all but reached the dashed line: the code tells the images
# apart, and all that is paid beyond buys nothing. It is the price of codes that do not fill the
# prior. From $\beta=2$ on the rate is almost information alone.
#
# On a large data set the mean over all images is too dear. A batch of $M$ out of $N$ images has to
# do, and it needs care: the posterior of the image that a code was drawn from is in the batch for
# certain, every other one only by chance. Weights that make up for it are
#
# $$
# \hat q(z_i) = \frac1N\,q(z_i\mid x_i)
#   + \frac{N-1}{N}\,\frac{1}{M-1}\sum_{k\ne i}q(z_i\mid x_k),
# $$ (eq-beta-weights)
#
# because each of the other $N-1$ images is equally likely to be in the batch, so that the second
# term is on average what they contribute to $q(z_i)$. (The *minibatch-weighted sampling* of
# {cite:t}`chen2018` gives all $M$ of them the weight $1/NM$, which is simpler, and biased.)

# %% [markdown]
# (sec-beta-disentangle)=
# ## Does one dimension mean one thing?
#
# Our images have three causes, and the code has six dimensions. It would be pleasant if one
# dimension were the size, a second one $x$, a third one $y$, and the others silent. Such a code is
# called **disentangled**. {cite:t}`higgins2017` observed that $\beta>1$ brings codes closer to it,
# and {cite:t}`burgess2018` offered a reason: when nats are scarce, the code spends them where they
# save most, one direction at a time. Look for yourself. Each column below moves one dimension and
# leaves the others at zero; the slider moves all columns at once.

# %%
chosen = [0.5, 2, 4]
values = torch.linspace(-2.5, 2.5, 21)


def by_rate(vae):
    """Dimensions of the code, the one that says most first."""
    with evaluating(vae):
        return vae.terms(world.images).rates.mean(0).argsort(descending=True)


orders = {beta: by_rate(trained[beta]) for beta in chosen}
frames = []
for value in values:
    rows = []
    for beta in chosen:
        codes = torch.zeros(6, 6)
        codes[range(6), orders[beta]] = value
        with evaluating(trained[beta]):
            rows.append(trained[beta].mean_image(codes))
    frames.append(viz.tile(torch.cat(rows), 2, columns=6))
captions = [
    f"z = {value:+.2f} in one dimension a column, the busiest first. "
    "Rows: β = 0.5, 2, 4"
    for value in values
]
viz.slider(frames, captions, "z")

# %% [markdown]
# Some columns move the shape, some change its size, some do nothing. With larger β fewer columns do
# anything. But look closely: few of them move it straight to the right or straight up.
#
# Looking is not measuring. Two scores are in use, and both need to know the causes.
#
# **The mutual-information gap** {cite:p}`chen2018`. For each factor $f_k$, compute the mutual
# information with every dimension of the code, and take the difference between the largest and the
# second largest, as a share of the factor's entropy:
#
# $$
# \text{MIG} = \frac1F\sum_{k=1}^{F}
#   \frac{I(z_{(1)};f_k)-I(z_{(2)};f_k)}{H(f_k)} .
# $$ (eq-beta-mig)
#
# It is one if each factor has a dimension that tells it completely and no other dimension tells
# anything of it. It is zero for a code that says nothing, *and* for a code in which two dimensions
# share each factor equally.
#
# ````{prf:algorithm} Factor score
# :label: alg-beta-factor-score
#
# **Input** codes $z_n$ and factors $f_n$ of all images
#
# 1. Divide each dimension of the code by its standard deviation over all images. Leave out those
#    that hardly vary.
# 2. Draw a factor $k$, one of its values, and a batch of images that share this value.
# 3. The dimension whose variance within the batch is least casts a vote for factor $k$.
# 4. Repeat. Each dimension then stands for the factor that it got most votes for.
# 5. The score is the share of right votes, on votes that were not used in step 4.
# ````
#
# This is the score of {cite:t}`kim2018`. Chance gives one third with three factors. Both on codes
# made by hand, where we know what must come out:

# %%
truth = world.factors
a, b = truth[:, 1], truth[:, 2]  # x and y
s, t = (a - a.mean()) / a.std(), (b - b.mean()) / b.std()
hand_made = {  # code, and the two scores that it must have
    "the factors themselves": (truth, 1, 1),
    "size and x alone": (truth[:, :2], 2 / 3, 2 / 3),
    "x and y turned by 45°": (
        torch.stack([truth[:, 0], s + t, s - t], 1),
        1 / 3,
        2 / 3,
    ),
    "noise": (torch.randn(len(world), 6), 0, 1 / 3),
}


def scores(codes):
    """MIG and factor score."""
    gap = metrics.mutual_information_gap(codes, truth, bins=9)
    votes = metrics.factor_score(codes, truth, votes=500)
    return gap.score, votes.accuracy


print(f"{'':24}  MIG   factor score")
for name, (codes, gap, accuracy) in hand_made.items():
    found_gap, found_accuracy = scores(codes)
    assert abs(found_gap - gap) < 0.05
    assert abs(found_accuracy - accuracy) < 0.1  # a vote is a random thing
    print(f"{name:24} {gap:.2f}   {accuracy:.2f}")

# %% [markdown]
# Turned codes hold the same information, and lose points in both. A wish for axes is built into
# both scores.
#
# ## An experiment: does a larger β disentangle?
#
# One question, one change: β. To see whether a difference is one of β or of luck, each β gets four
# trainings that differ in nothing but their seed.
#
# ```{admonition} Predict, then run
# :class: tip
# Within one β, how far apart will the best and the worst seed be: a hundredth, or as far as the
# averages of two β?
# ```

# %%
compared = [0.5, 1, 4]
seeds = range(4)
results = {}  # β → (MIG, factor score) of each seed
kept = {}
for beta in compared:
    results[beta] = []
    for seed in seeds:
        vae = trained[beta] if seed == 0 else train(beta, seed=seed)[0]
        with evaluating(vae):
            codes = vae.posterior(world.images).mean
        results[beta].append(scores(codes))
        kept[beta, seed] = vae
table = torch.tensor([results[beta] for beta in compared])  # (β, seed, score)
spread = table.amax(1) - table.amin(1)  # (β, score), over seeds
means = table.mean(1)
between = means.amax(0) - means.amin(0)  # of the averages of two β
assert spread[:, 0].mean() > between[0]
assert spread[:, 1].mean() > between[1]
assert table[..., 0].max() < 0.6 and table[..., 1].min() > 0.4
print("seeds of one β differ by more than the averages of two β")
print("no model has a mutual-information gap of 0.6")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Two panels of dots. Mutual-information gaps of twelve models lie between almost 0 and about 0.25, factor scores between 0.5 and 1. In both panels the four dots of one beta are spread more widely than the three mean bars differ."}, "figure": {"caption": "Two scores of twelve models: three values of β, four seeds each. The bar is the mean over seeds. Dashed: chance for the factor score.", "name": "fig-beta-scores"}}
figure, panels = viz.subplots(1, 2, height=2.6)
titles = ["mutual-information gap", "factor score"]
for k, (axes, title) in enumerate(zip(panels, titles, strict=True)):
    for position in range(len(compared)):
        mine = table[position, :, k]
        axes.plot(
            [position - 0.25, position + 0.25],
            [mine.mean()] * 2,
            color="black",
            lw=1.2,
        )
        axes.scatter(
            position + torch.linspace(-0.12, 0.12, len(mine)),
            mine,
            s=20,
            color=viz.style.CYCLE[position],
        )
    axes.set_xticks(
        range(len(compared)), [f"β = {beta:g}" for beta in compared]
    )
    axes.set(title=title, ylim=(0, 1.05))
panels[1].axhline(1 / 3, ls="--", color="black", lw=1)
figure

# %% [markdown]
# The seeds of one β lie further apart than the averages of different β. Twelve models do not show
# that a larger β disentangles, nor that it does not; and whoever shows one model of each could have
# shown the opposite. All of them are far from a gap of one, although the world has only three
# causes, independent of each other. Is that bad luck? No.
#
# (sec-beta-locatello)=
# ## Why the bound cannot ask for it
#
# Take any VAE and turn its code. Let $Q$ be a rotation, $Q^\top Q=I$, and let a second decoder undo
# it: $p'(x\mid z)=p(x\mid Q^\top z)$. The standard normal prior looks the same from all sides,
# $p(Qu)=p(u)$, and a rotation does not stretch, so with $z=Qu$
#
# ```{math}
# :label: eq-beta-rotation
# \begin{aligned}
# p'(x) &= \int p(x\mid Q^\top z)\,p(z)\,\mathrm dz \\
#   &= \int p(x\mid u)\,p(Qu)\,\mathrm du = \int p(x\mid u)\,p(u)\,\mathrm du = p(x)
# \end{aligned}
# ```
#
# for every image. If the encoder is turned along, so that it proposes $Qu$ where it proposed $u$,
# its reconstruction and its rate stay what they were as well, because a divergence does not care
# how the points are named. So **two models can agree in every probability and every bound, and one
# is disentangled and the other is not.** No amount of data decides between them.
# {cite:t}`locatello2019` prove it for far more general changes of the code, and add a study of
# thousands of models in which seeds mattered more than methods. To disentangle, something beyond
# the likelihood must be put in: known factors, pairs of images, or an encoder that is not free.
#
# Try it on the model of the highest gap. We turn the plane of its two busiest dimensions by 45
# degrees.

# %%
beta, seed = max(kept, key=lambda key: results[key[0]][key[1]][0])
vae = kept[beta, seed]
i, j = by_rate(vae)[:2].tolist()
turn = torch.eye(6)  # the matrix Q
turn[i, i] = turn[j, j] = turn[j, i] = math.sqrt(0.5)
turn[i, j] = -math.sqrt(0.5)

with evaluating(vae):
    q = vae.posterior(world.images).base_dist
    u = q.sample()
    z = u @ turn.T  # the same codes, as the turned model names them
    first = vae.likelihood(u).log_prob(world.images.float())
    second = vae.likelihood(z @ turn).log_prob(world.images.float())
turned = MultivariateNormal(
    q.loc @ turn.T, turn @ torch.diag_embed(q.variance) @ turn.T
)
prior = MultivariateNormal(torch.zeros(6), torch.eye(6))
torch.testing.assert_close(first, second, rtol=0, atol=1e-2)
torch.testing.assert_close(
    kl_divergence(q, Normal(0.0, 1.0)).sum(1),
    kl_divergence(turned, prior),
    rtol=0,
    atol=1e-2,
)
before, after = scores(q.loc)[0], scores(turned.mean)[0]
assert after < 0.8 * before
print("the same bound at each of the images; the gap is lower than before")

# %% [markdown]
# Then why do β-VAEs favour axes at all, if only a little? Because our encoder is *not* free. It
# proposes Gaussians with independent coordinates, and the turned posterior would have correlated
# ones, which it cannot say. Along which axes independence costs least, the code will lie
# {cite:p}`rolinek2019`. It is the restriction of the encoder that breaks the symmetry, and whether
# its axes are yours is luck.
#
# (sec-beta-explorer)=
# ## Walk through the codes yourself
#
# Until now you saw one dimension at a time. To get a feeling for a code, move all of them: in
# {ref}`the latent-space explorer <sec-explorer>` a VAE of the digits runs in your browser, shows
# what each dimension costs for the image you choose, and follows your sliders. Two of its twelve
# dimensions are silent. Which?
#
# (sec-beta-failure)=
# ## A failure, made on purpose
#
# Every training of this chapter began with the weight of the rate at zero. Why? Take the model with
# $\beta=8$. It kept some nats, so at this price a nat can pay. Now train such a model three times,
# with a smaller learning rate: with the full price from the first step; with a **warm-up**
# {cite:p}`bowman2015`, in which the weight grows from zero,
#
# $$
# \beta_t = \beta\,\min(1,\,t/T) \quad\text{at step } t ;
# $$ (eq-beta-warm-up)
#
# and with **free bits** {cite:p}`kingma2016`, where each dimension may spend $\kappa$ nats, in the
# mean over a batch, before it is charged:
#
# $$
# D+\beta\sum_{j=1}^{L}\max\bigl(\kappa,\;R_j\bigr),
# \qquad R_j=\text{mean rate of dimension } j .
# $$ (eq-beta-free)

# %%
slower = {"lr": 3e-3, "steps": 500}
attempts = {
    "full price": train(8, warm=0, **slower),
    "warm-up": train(8, warm=375, **slower),
    "free bits": train(8, warm=0, floor=0.1, **slower),
}
at_work, spent, totals = {}, {}, {}  # dimensions, R, D + R
for name, (vae, _) in attempts.items():
    with evaluating(vae):
        means = vae.posterior(world.images).mean
    at_work[name] = metrics.active_dimensions(means).sum().item()
    spent[name], distortion = measure(vae)
    totals[name] = spent[name] + distortion

assert spent["full price"] < 0.1 and at_work["full price"] == 0
for name in ["warm-up", "free bits"]:
    assert spent[name] > 0.25 and at_work[name] >= 1
    assert totals[name] < totals["full price"] - 2
objective = {name: totals[name] + 7 * spent[name] for name in attempts}
assert objective["warm-up"] < objective["full price"] - 0.5
print("full price: a rate below 0.1 nats, and no dimension at work")
print("warm-up, free bits: both above 0.25 nats, bound 2 nats better or more")
print("warm-up: a better value of the same objective, D + 8R")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Left: the rate against the training step. At full price it falls to zero within fifty steps and stays there. With warm-up it comes down from above the scale, and with free bits it dips and rises again; both end near half a nat. Right: bars of the negative bound: about 40 nats at full price, about 36 for the two others."}, "figure": {"caption": "The same network at $\\beta=8$, trained in three ways. Left: the rate; early in the warm-up it is off the scale. Right: the negative bound $D+R$ after training; lower is better.", "name": "fig-beta-collapse"}}
figure, (left, right) = viz.subplots(1, 2, height=2.7, width_ratios=[1.6, 1])
for name, (_, history) in attempts.items():
    left.plot(*history.series("vae/rate"), label=name)
left.set(xlabel="training step", ylabel="rate, nats per image", ylim=(-0.05, 2))
left.legend()
for position, name in enumerate(attempts):
    right.bar(position, totals[name], color=viz.style.CYCLE[position])
right.set_xticks(range(3), list(attempts))
right.set(ylabel="$D+R$, nats per image")
figure

# %% [markdown]
# Why does it fall silent? At the start every code is noise. The decoder has much to learn that
# needs no code, such as that most pixels are dark, and of a noisy input it learns only to ignore
# it: its weights on $z$ shrink. Meanwhile the encoder is asked eight nats for each nat that it
# says, and nobody listens yet, so it stops. Now neither can learn from the other: with weights near
# zero, the decoder tells the encoder nothing about what would help, and codes that are pure noise
# teach the decoder nothing. With a warm-up, the two get to know each other while talk is cheap, and
# when the full price is asked, they keep what is worth it. With free bits there is no pull at all
# as long as a dimension stays below its $\kappa$ nats.
#
# Is this the same silence as that below the water level in {ref}`sec-beta-water`? No: after the
# warm-up the *same objective*, $D+8R$, has a better value, and training at full price missed it.
# {cite:t}`lucas2019` show for the linear VAE that the bound adds no such traps; what we see is the
# way there, not the goal. Free bits, on the other hand, change the goal: the first nats are a
# present. A dimension that has nothing to say is kept talking. Choose $L\kappa$ below the rate that
# you expect.
#
# ```{admonition} Symptom, diagnosis, cure
# :class: warning
#
# **Symptom.** After a few dozen steps the rate is near zero and stays there. No dimension of the
# code is at work: the posterior means of none have a variance above 0.01. All reconstructions are
# the same average. Every sum is a sum, and the weight is the one that was meant.
#
# **Diagnosis.** The price of the code was asked before the code was of use. The decoder learned to
# ignore its input, the encoder to say nothing, and neither can now learn from the other. It is a
# trap of the optimisation: the same objective has better values, which other trainings find.
#
# **Cure.** Let the weight of the rate grow from zero (warm-up), or do not charge the first nats of
# each dimension (free bits). Watch the rate by dimension from the first step on. Compare models by
# $D+R$, with weight one, whatever they were trained with.
# ```
#
# ## Exercises
#
# ```{exercise} Free, and unaffordable
# :label: ex-beta-limits
# By {eq}`eq-beta-tempered` the best value of $D+\beta R$ at one image is
# $-\beta\log\E_{p(z)}[p(x\mid z)^{1/\beta}]$. Where does it go as $\beta\to0$ and as
# $\beta\to\infty$, and what does the best encoder do there?
# ```
#
# ````{solution} ex-beta-limits
# :class: dropdown
# As $\beta\to0$ the largest $p(x\mid z)$ rules the mean, and the value goes to $-\max_z\log p(x\mid
# z)$: the encoder names the one best code, and pays nothing for it. As $\beta\to\infty$, expand
# $p^{1/\beta}=1+\frac1\beta\log p+\dots$: the value goes to $-\E_{p(z)}[\log p(x\mid z)]$, the
# encoder is the prior, and the decoder draws into the dark. The autoencoder and the collapsed VAE
# are the two ends of one family.
# ````
#
# ```{exercise} Somebody else's program
# :label: ex-beta-program
# A program for colour images of 64×64 pixels, scaled to $[0,1]$, minimises `mse_loss(rebuilt, x) +
# 0.00025 * kl.sum(1).mean()`. Which pixel noise does it assume?
# ```
#
# ````{solution} ex-beta-program
# :class: dropdown
# Let $w=0.00025$. The mean divides the squared error by $P=3\cdot64\cdot64=12288$. Times $P$, the
# loss is the squared error plus $wP$ times the rate, and {ref}`ex-vae-mse` says
# $\sigma^2=wP/2\approx1.54$: a standard deviation of about $1.24$, more than the way from black to
# white. The tiny weight is a large β.
# ````
#
# ```{exercise} A budget, set directly
# :label: ex-beta-budget
# {cite:t}`burgess2018` minimise $D+\gamma\,\lvert R-c\rvert$ with a large $\gamma$, and raise $c$
# slowly. Where on the curve of best models does this stop? When is $\gamma$ large enough?
# ```
#
# ````{solution} ex-beta-budget
# :class: dropdown
# Left of $R=c$ more rate lowers both terms. Right of it, a nat costs $\gamma$ and saves $-\mathrm
# dD/\mathrm dR$, which by {eq}`eq-beta-slope` is the β of that point. So it stops at $R=c$ as soon
# as $\gamma$ is larger than this β. It is {eq}`eq-beta-constrained` with the budget in our hands.
# ````
#
# ```{exercise} A batch cannot hold more
# :label: ex-beta-log
# Show that the index-code information is at most $\log N$ for $N$ images. You treat a batch of 64
# as if it were the whole data set, in `rate_parts(z, mean, std)`. What is the largest information
# that you can find, and what happens to the rest of the rate?
# ```
#
# ````{solution} ex-beta-log
# :class: dropdown
# $q(z)\ge\frac1Nq(z\mid x)$, since $q(z\mid x)$ is one of the $N$ terms of the mean. So
# $\log\frac{q(z\mid x)}{q(z)}\le\log N$ at every code. With 64 images that is $\log 64\approx4.16$
# nats. The sum of the parts is the rate all the same, so what is missing turns up as total
# correlation and as distance from the prior: 64 narrow posteriors are no smooth cloud. Parts of
# different batch sizes do not compare.
# ````
#
# ```{exercise} The angle
# :label: ex-beta-angle
# A code tells the angle of a shape perfectly, by two dimensions: its cosine and its sine. What do
# the two scores say of it? Is the code at fault?
# ```
#
# ````{solution} ex-beta-angle
# :class: dropdown
# Sine and cosine tell equally much of an angle that is uniform over the circle, so its gap is zero.
# The factor score is not troubled: with the angle fixed, both dimensions stand still, and a vote
# for either counts for the angle. The code is not at fault. No *continuous* code of one dimension
# can follow a full turn, because it must jump somewhere. A score carries assumptions about what a
# factor is.
# ````
#
# ## Summary
#
# - β is the price of a nat of rate {eq}`eq-beta-objective`. Only $\beta=1$ gives the bound; above,
#   it is looser, below, it need not be a bound {eq}`eq-beta-bound`. Report $D+R$.
# - With a Gaussian decoder only $\beta\sigma^2$ matters {eq}`eq-beta-variance`. Averages hide a β
#   of $P$, $1/L$ or $P/L$ {eq}`eq-beta-hidden`.
# - No model lies below $R+D=H$ {eq}`eq-beta-information`. Along the best models the slope is
#   $-\beta$ {eq}`eq-beta-slope`; in the linear case β is a water level {eq}`eq-beta-water`.
# - The rate is information, plus total correlation, plus distance from the prior
#   {eq}`eq-beta-decomposition`.
# - Scores of disentanglement need known factors and several seeds. The likelihood cannot ask for
#   axes: turning the code changes no probability {eq}`eq-beta-rotation`.
# - A rate of zero can be an optimum or a trap. Compare the objective; then warm up
#   {eq}`eq-beta-warm-up`, or leave some bits free {eq}`eq-beta-free`.
#
# ## Further reading
#
# {cite:t}`higgins2017` introduced the weight, {cite:t}`burgess2018` the explanation by capacity.
# {cite:t}`alemi2018` drew the plane of rate and distortion; {cite:t}`hoffman2016` and
# {cite:t}`chen2018` took the rate apart. {cite:t}`locatello2019` is the sober study that everyone
# who wants to disentangle should read first. On collapse, {cite:t}`bowman2015` for the warm-up,
# {cite:t}`kingma2016` for free bits, {cite:t}`lucas2019` for what is not the bound's fault.
# {cite:t}`cover2006` is the book on rate and distortion, from before there were VAEs.
