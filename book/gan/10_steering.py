# %% [markdown]
# (ch-steer)=
# # 10 Steering a GAN
#
# **Reading** 60 minutes · **Running** under 90 seconds on one CPU thread · **Difficulty** ●●○ ·
# **You need** {ref}`ch-game`, a little of {ref}`ch-stable`
#
# **Can you ask a GAN for a seven?** So far you could not ask it for anything. You drew noise, and
# took what came. This chapter gives the generator a handle, then finds handles that it had all
# along: which digit, how bold, how slanted, how ordinary. At the end it goes the other way, from a
# picture back to the noise that would make it.
#
# After this chapter you can
#
# - write the game of a conditional GAN, and say what its solution is;
# - derive the projection discriminator, and say when its form is exact;
# - trade variety for quality by truncation, and measure both sides of the trade;
# - walk between two noise vectors, and say how long the vectors on the way are;
# - find directions in noise space, with labels and without, and take one out of another;
# - invert a generator, by search and by an encoder, and tell when it has failed;
# - recognise a conditional GAN that ignores its labels.
#
# ```{admonition} Five questions first
# :class: tip
#
# 1. What does the best discriminator answer at a point $x$?
# 2. How does Bayes' rule split $p(x,y)$ into two factors, in two ways?
# 3. If $z$ has ten independent standard normal coordinates, what is $\E\lVert z\rVert^2$?
# 4. What is the variance of $\tfrac12(a+b)$ for independent $a$ and $b$ of variance 1?
# 5. What are the principal components of a cloud of points?
#
# If three of them come easily, read on. The answers follow.
# ```
#
# ```{admonition} Answers
# :class: dropdown
#
# 1. $D^*(x)=p(x)/(p(x)+q(x))$, so its logit is $\log p(x)/q(x)$: {eq}`eq-game-optimal`.
# 2. $p(x,y)=p(y)\,p(x\mid y)=p(x)\,p(y\mid x)$. Both will be used.
# 3. Ten: each square has mean one.
# 4. One half. This innocent line returns in {ref}`sec-steer-paths`.
# 5. The directions, at right angles, along which it is widest: eigenvectors of its covariance.
# ```

# %%
import copy
import math

import torch
from myst_nb import glue
from torch import nn
from torch.nn.functional import cosine_similarity, one_hot, softplus

from genlearn import data, losses, models, nets, viz
from genlearn.callbacks import Average
from genlearn.training import Objective, fit

torch.set_num_threads(1)  # models this small are fastest on one thread
digits = data.load("digits")
labels = digits.train.labels
print("classes:", *labels.unique().tolist())

# %% [markdown]
# (sec-steer-inputs)=
# ## Two inputs: what, and how
#
# Give the generator two inputs. The **label** $y$ says *what* to draw, the **noise** $z$ says
# *how*: $x=G(z,y)$. This is a **conditional GAN** {cite:p}`mirza2014`. Before we ask how it is
# trained, look at what we are after. The cell below trains one on the digits; all you need to know
# for now is that both players are small networks, and that the discriminator is given the label as
# well.


# %%
def train(gan, steps=2000, seed=0):
    """Train a conditional GAN; its generator ends as an average."""
    average = copy.deepcopy(gan.generator)
    adam, schedule = {}, {}
    for name, player in gan.players.items():
        adam[name] = torch.optim.Adam(
            player.parameters(), lr=2e-3, betas=(0.5, 0.99)
        )
        schedule[name] = torch.optim.lr_scheduler.CosineAnnealingLR(
            adam[name], steps
        )

    def discriminator_loss(step):
        gamma = 5 * 0.1 ** (step.index / steps)  # from 5 down to 0.5

        def r1(critic, real, fake):
            return gamma * losses.zero_centred_penalty(critic, real)

        return gan.discriminator_loss(step, r1)

    loss = {
        "discriminator": discriminator_loss,
        "generator": gan.generator_loss,
    }
    fit(
        gan.players | {"average": average},
        [
            Objective(name, loss[name], adam[name], schedule=schedule[name])
            for name in ["discriminator", "generator"]
        ],
        data.Batches(digits.train, 128, seed),
        steps,
        device="cpu",
        seed=seed,
        callbacks=[Average(gan.generator, average, 0.995)],
    )
    gan.generator.load_state_dict(average.state_dict())
    return gan


torch.manual_seed(0)
gan = train(models.ConditionalGAN.mlp(digits.shape, digits.levels, classes=10))

# %% [markdown]
# (The recipe is that of {ref}`sec-stable-decay`: the non-saturating loss, R1 with a weight that
# falls, and the running average of the generator's weights.)
#
# ```{admonition} Predict, then run
# :class: tip
# The figure has ten columns, one for each label, and six rows, one for each noise vector. All
# pictures of a row share their noise. What else will they have in common?
# ```

# %% tags=["hide-input"] mystnb={"image": {"alt": "A table of small digits. Each of the ten columns holds one digit, from zero to nine. Six rows show it in six hands; within a row the strokes are alike in boldness and slant."}, "figure": {"caption": "What and how. A column shares its label, a row its noise.", "name": "fig-steer-table"}}
torch.manual_seed(4)
ten = torch.arange(10)
hands = gan.noise(6)  # six ways to write
table = gan.sample(ten.repeat(6), hands.repeat_interleave(10, 0))
viz.grid(table, digits.levels, columns=10)

# %% [markdown]
# The column is *what* we asked for. And the row is a *hand*: bold or thin, upright or slanted, in
# several columns at once. Nobody told the networks about hands. The label took over what a label
# can say, and so it paid to use the noise for what all digits share.
#
# (sec-steer-game)=
# ## The game with labels
#
# Real data are now pairs: an image and its label, of joint density $p(x,y)=p(y)\,p(x\mid y)$. The
# generator makes pairs as well: take a label from the data, $y\sim p(y)$, draw noise, and let
# $x=G(z,y)$. Write $q(x\mid y)$ for the density of these images, so that the made pairs have
# $q(x,y)=p(y)\,q(x\mid y)$. The discriminator judges *pairs*: is this image real, **and is this its
# label**?
#
# ```{math}
# :label: eq-steer-game
# \begin{aligned}
# V(D,G) &= \E_{p(x,y)}\bigl[\log D(x,y)\bigr] \\
#   &\quad+\E_{p(y)}\,\E_z\bigl[\log\bigl(1-D(G(z,y),y)\bigr)\bigr] .
# \end{aligned}
# ```
#
# Nothing new is needed to solve it. Call the pair a point, and the derivation of
# {eq}`eq-game-optimal` and {eq}`eq-game-js` holds as it stands: the best discriminator is
# $D^*(x,y)=p(x,y)/(p(x,y)+q(x,y))$, and the value it reaches is $2\operatorname{JS}-2\log2$ of the
# two joint densities. In both the factor $p(y)$ is the same. It cancels in each logarithm $\log
# p(x,y)/m(x,y)$ of the divergence, where $m=\tfrac12(p+q)$, and stays in front as a weight:
#
# ```{math}
# :label: eq-steer-value
# \begin{aligned}
# D^*(x,y) &= \frac{p(x\mid y)}{p(x\mid y)+q(x\mid y)}, \\
# V(D^*,G) &= 2\sum_y p(y)\operatorname{JS}(p_y,q_y)-2\log2 ,
# \end{aligned}
# ```
#
# where $p_y$ and $q_y$ are short for the densities $p(x\mid y)$ and $q(x\mid y)$ of one class.
#
# A conditional GAN plays **one game for each class, all with the same two networks**. The value is
# least when every class is right: $q(x\mid y)=p(x\mid y)$ wherever $p(y)>0$.
#
# Mind where the labels of made images come from. Had we drawn them from some other $\pi(y)$, then
# $p(y)/\pi(y)$ would not cancel, and the discriminator could tell pairs apart by the label alone,
# without a look at the image. The simplest way to be safe: **the made images of a batch get the
# labels of its real ones.**
#
# ````{prf:algorithm} Conditional GAN
# :label: alg-steer
#
# **Input** images with labels, networks $G(z,y)$ and $a(x,y)$, the discriminator's logit
#
# Repeat:
#
# 1. Draw a batch of images $x$ *with their labels* $y$, and noise $z$.
# 2. Take a step for the discriminator on the mean of
#    $-\log\sigma(a(x,y))-\log\bigl(1-\sigma(a(G(z,y),y))\bigr)$, plus a penalty. $G$ gets no gradient.
# 3. Draw labels $y$ and noise $z$ afresh.
# 4. Take a step for the generator on the mean of $-\log\sigma\bigl(a(G(z,y),y)\bigr)$. The
#    discriminator stays as it is.
#
# **To generate** an image of class $y$, draw $z$ and compute $G(z,y)$.
# ````
#
# (sec-steer-label)=
# ## How a label gets in
#
# A label is a number, but not a quantity: eight is not twice four. So write it as a **one-hot**
# vector $e_y$, with a one at place $y$ and zeros elsewhere. How does it enter a network?
#
# **By concatenation.** Put it behind the input. The first layer multiplies both with its matrix,
# and a matrix times $e_y$ is one of its columns:
#
# $$
# \begin{pmatrix}W_x & W_y\end{pmatrix}\begin{pmatrix}x\\e_y\end{pmatrix}+b
#   = W_x\,x+\bigl(w_y+b\bigr),
# $$ (eq-steer-concatenation)
#
# with $w_y$ the column of class $y$. To concatenate a label is **to choose the bias of the first
# layer by class**. That is all, and for the generator it is a fine way: ours uses it.
#
# For the discriminator it asks much. Its logit should be the log-ratio of {eq}`eq-steer-value`, a
# different function of $x$ for each class, and it has to build all ten of them out of ten biases.
# Can we give it a form that is closer to the answer?
#
# **By projection** {cite:p}`miyatokoyama2018`. Start from the answer. The best logit is the
# log-ratio of the joint densities, and each joint density can be taken apart the *other* way,
# $p(x,y)=p(x)\,p(y\mid x)$:
#
# ```{math}
# :label: eq-steer-ratio
# \begin{aligned}
# a^*(x,y) &= \log\frac{p(x,y)}{q(x,y)} \\
#   &= \underbrace{\log\frac{p(y\mid x)}{q(y\mid x)}}_{\text{does the label fit?}}
#    +\underbrace{\log\frac{p(x)}{q(x)}}_{\text{is it an image?}} .
# \end{aligned}
# ```
#
# The first term compares two classifiers: what label the real world would give this image, against
# what label the generator was asked for when it made it. And about classifiers we know something.
# The usual one is a network $\varphi$ with a softmax on top, that is, **log-linear** in some
# features:
#
# ```{math}
# :label: eq-steer-log-linear
# \begin{aligned}
# \log p(y\mid x) &= v^p_y\cdot\varphi(x)-\log Z^p(x), \\
# Z^p(x) &= \sum_{k}\exp\bigl(v^p_k\cdot\varphi(x)\bigr),
# \end{aligned}
# ```
#
# and likewise for $q$ with vectors $v^q_y$ and the same features. Subtract the two:
#
# ```{math}
# :label: eq-steer-projection
# \begin{aligned}
# a^*(x,y) &= \bigl(v^p_y-v^q_y\bigr)\cdot\varphi(x) \\
#   &\quad-\log\frac{Z^p(x)}{Z^q(x)}+\log\frac{p(x)}{q(x)} \\
#   &= v_y\cdot\varphi(x)+\psi(x) .
# \end{aligned}
# ```
#
# Everything that does not depend on $y$ went into $\psi$, also the two normalisers, which no
# network ever has to compute. What is left of the label is **one inner product**: the features of
# the image are projected onto a vector of the class. In practice $\psi$ is one more linear layer on
# the same features, and $v_y$ a row of a table that is learned.
#
# When is the form exact? If both class models are log-linear in $\varphi$, and $\psi$ can be any
# function. Let us see it in a world of six images and three labels.

# %%
torch.manual_seed(0)
torch.set_default_dtype(torch.float64)
phi = torch.randn(6, 2)  # two features of each of six images
v_p, v_q = torch.randn(3, 2), torch.randn(3, 2)  # of each of three labels
p_x, q_x = torch.randn(2, 6).softmax(1)  # any densities of the images
p = p_x[:, None] * (phi @ v_p.T).softmax(1)  # p(x, y), six rows
q = q_x[:, None] * (phi @ v_q.T).softmax(1)
torch.set_default_dtype(torch.float32)

# The best discriminator, from the tables alone: climb the value.
logits = torch.zeros_like(p, requires_grad=True)
for _ in range(200):  # Newton's method: each entry is a problem of its own
    value = -(p * softplus(-logits) + q * softplus(logits)).sum()
    (slope,) = torch.autograd.grad(value, logits)
    with torch.no_grad():
        d = logits.sigmoid()
        logits += (slope / ((p + q) * d * (1 - d))).clamp(-1, 1)

normalisers = (phi @ v_p.T).logsumexp(1) - (phi @ v_q.T).logsumexp(1)
psi = (p_x / q_x).log() - normalisers
projected = phi @ (v_p - v_q).T + psi[:, None]
torch.testing.assert_close(logits.detach(), projected)
print("climbing the value ends at the projection form, for 6 x 3 pairs")

# %% [markdown]
# Does the form restrict anything, then? Take the mean over the labels away from both sides of
# {eq}`eq-steer-projection`: $\psi$ is gone, and what stays is a product of two narrow matrices. So
# with $d$ features, the table of all logits, centred in this way, has a rank of at most $d$; and
# $K-1$ features are enough for *any* table of $K$ classes ({ref}`ex-steer-rank`). With 128 features
# and ten classes the form forbids nothing. What it changes is what is *easy* to learn.
#
# (sec-steer-scratch)=
# ## From scratch
#
# The two networks, and both losses of {prf:ref}`alg-steer`, with R1 {eq}`eq-stable-zero`:


# %%
class SmallGenerator(nn.Module):
    def __init__(self, latent=32, hidden=128):
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(latent + 10, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, 64),
            nn.Tanh(),
        )

    def forward(self, z, y):
        return self.net(torch.cat([z, one_hot(y, 10).float()], 1))  # (N, 64)


class SmallDiscriminator(nn.Module):
    def __init__(self, hidden=128):
        super().__init__()
        self.phi = nn.Sequential(
            nn.Linear(64, hidden),
            nn.LeakyReLU(0.2),
            nn.Linear(hidden, hidden),
            nn.LeakyReLU(0.2),
        )
        self.psi = nn.Linear(hidden, 1)
        self.v = nn.Embedding(10, hidden)  # one vector a class

    def forward(self, x, y):
        features = self.phi(x)
        return self.psi(features)[:, 0] + (self.v(y) * features).sum(1)


def both_losses(G, D, x, y, z, gamma):
    """x: (N, 64) in [-1, 1]; y: (N,); z: (N, 32); returns two scalars."""
    fake = G(z, y)  # the labels of the real images
    x = x.clone().requires_grad_()
    real_logits = D(x, y)
    (slope,) = torch.autograd.grad(real_logits.sum(), x, create_graph=True)
    r1 = gamma / 2 * slope.square().sum(1).mean()
    d_loss = softplus(-real_logits).mean() + r1
    d_loss = d_loss + softplus(D(fake.detach(), y)).mean()
    g_loss = softplus(-D(fake, y)).mean()
    return d_loss, g_loss


# %% [markdown]
# The library's {py:class}`genlearn.models.ConditionalGAN` hands its labels to a plain
# {py:class}`genlearn.models.GAN`: for given labels, a conditional GAN *is* one. Copy the weights,
# use the same noise, and compare both losses and all gradients.

# %%
torch.manual_seed(0)
G, D = SmallGenerator(), SmallDiscriminator()
theirs = models.ConditionalGAN.mlp(digits.shape, digits.levels, classes=10)
for mine, their in [(G, theirs.generator), (D, theirs.discriminator)]:
    names = their.state_dict()
    their.load_state_dict(
        dict(zip(names, mine.state_dict().values(), strict=True))
    )

batch = digits.train.images[:100], labels[:100]
x = batch[0].flatten(1) / 8 - 1
torch.manual_seed(1)
noise = torch.randn(100, 32)
ours = both_losses(G, D, x, batch[1], noise, gamma=3.0)


class Step:  # what a loss of the library is given
    batch = batch


def r1(critic, real, fake):
    return 3.0 * losses.zero_centred_penalty(critic, real)


torch.manual_seed(1)  # the same noise
library_d = theirs.discriminator_loss(Step, r1)["loss"]
torch.manual_seed(1)
library_g = theirs.generator_loss(Step)["loss"]

for our_loss, their_loss, mine, their in [
    (ours[0], library_d, D, theirs.discriminator),
    (ours[1], library_g, G, theirs.generator),
]:
    torch.testing.assert_close(our_loss, their_loss)
    torch.testing.assert_close(
        torch.autograd.grad(our_loss, mine.parameters(), retain_graph=True),
        torch.autograd.grad(their_loss, their.parameters(), retain_graph=True),
        rtol=1e-4,
        atol=1e-6,
    )
print("both players have the same loss, and the same gradient")

# %% [markdown]
# (sec-steer-obey)=
# ## Does it obey?
#
# Ask for each class two hundred times, and let a judge read the answers. Our judge is a simple one:
# the five nearest training images vote. It is not infallible, so first let it read real test
# images.
#
# ```{admonition} Predict, then run
# :class: tip
# A second GAN gets its discriminator's labels by concatenation. All else is equal. Which of the two
# obeys better? And can a GAN obey better than *real images* do, by this judge?
# ```


# %%
def scaled(images):
    """Levels to the networks' range, flat, (N, 64)."""
    return images.flatten(1) / 8 - 1


def judge(x):
    """Let the five nearest training images vote; x scaled, (N, …)."""
    distance = torch.cdist(x.flatten(1), scaled(digits.train.images))
    nearest = distance.topk(5, largest=False).indices
    return labels[nearest].mode(1).values


def answers(gan, noise, y):
    """Make scaled images, flat, for noise and labels."""
    with torch.no_grad():
        return gan.generate(noise, y).flatten(1)


torch.manual_seed(0)
beside = train(
    models.ConditionalGAN.mlp(
        digits.shape, digits.levels, classes=10, label="concatenation"
    )
)

asked = torch.arange(2000) % 10
torch.manual_seed(1)
noise = gan.noise(2000)
right = {
    name: (judge(answers(model, noise, asked)) == asked).float().mean().item()
    for name, model in {"projection": gan, "concatenation": beside}.items()
}
test, test_labels = scaled(digits.test.images), digits.test.labels
right["real"] = (judge(test) == test_labels).float().mean().item()
glue("steer-judge", f"{100 * right['real']:.0f} %", display=False)
assert right["projection"] > 0.95 and right["concatenation"] > 0.85
assert right["projection"] > right["concatenation"] + 0.01
assert right["projection"] > right["real"]
print("the judge agrees with the label:")
print(f"  real test images  {100 * right['real']:.0f} %")
print("  projection        more than 95 %, and more than real images")
print("  concatenation     more than 85 %, and less than projection")

# %% [markdown]
# Both obey, and the projection obeys better. It even beats reality: the judge agrees with
# {glue:text}`steer-judge` of the real test labels. That is no triumph. The generator learned from
# the judge's own training images, while the test images come from other hands; and it may leave out
# the odd cases that a real hand produces. **A high class accuracy says that a model obeys, not that
# it is good.** A model with one perfect picture for each class would get 100 %. We come back to
# this in a moment, with a measure of variety.
#
# (sec-steer-truncation)=
# ## An experiment: quality against variety
#
# Some noise is more usual than other noise: a coordinate is more often small than large. What if we
# ask for the usual alone? {cite:t}`brock2018` draw each coordinate of $z$ anew until it lies within
# $\pm\tau$: the **truncation trick**. The coordinates then follow a *truncated* normal
# distribution. Its mean is zero, by symmetry, and its variance smaller than one. With the density
# $\phi$ and the distribution function $\Phi$ of $\mathcal{N}(0,1)$, and $c=2\Phi(\tau)-1$ for the
# share that is kept, integrate by parts; $z\,\phi(z)=-\phi'(z)$, so
#
# ```{math}
# :label: eq-steer-truncated
# \begin{aligned}
# \operatorname{Var}[z_j]
#   &= \frac1c\int_{-\tau}^{\tau}z\cdot z\,\phi(z)\,\mathrm{d}z \\
#   &= \frac1c\bigl[-z\,\phi(z)\bigr]_{-\tau}^{\tau}
#    + \frac1c\int_{-\tau}^{\tau}\phi(z)\,\mathrm{d}z \\
#   &= 1-\frac{2\tau\,\phi(\tau)}{2\Phi(\tau)-1} .
# \end{aligned}
# ```
#
# A relative of the trick works on the activations $h$ of some layer instead: keep a share $s$ of
# each one's way from their mean {cite:p}`karras2018`,
#
# $$
# h' = \bar h+s\,(h-\bar h) .
# $$ (eq-steer-towards)
#
# What does it buy, and what does it cost? Quality: how far is a generated image from the nearest
# training image of the class that was asked for? Variety: the **coverage** {cite:p}`naeem2020`, the
# share of real test images that have a generated image nearby, nearer than their own fifth
# neighbour.
#
# ```{admonition} Predict, then run
# :class: tip
# Sketch both curves against $\tau$, from 0.1 to no truncation at all. Does one of them have a
# maximum in between?
# ```


# %%
def distance_to_class(x, y):
    """Mean distance to the nearest training image of the class asked for."""
    every = torch.cdist(x, scaled(digits.train.images))
    every[y[:, None] != labels] = math.inf
    return every.amin(1).mean().item()


def coverage(x):
    """Share of test images that have one of x nearby."""
    radius = torch.cdist(test, test).kthvalue(6, dim=1).values  # itself is one
    return (torch.cdist(test, x).amin(1) < radius).float().mean().item()


thresholds = [0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, math.inf]
torch.manual_seed(2)
cut = {
    tau: answers(gan, models.truncated_noise(2000, 32, tau), asked)
    for tau in thresholds
}
quality = [distance_to_class(x, asked) for x in cut.values()]
variety = [coverage(x) for x in cut.values()]
obeyed = [(judge(x) == asked).float().mean().item() for x in cut.values()]

assert (torch.tensor(quality[2:6]).diff() > 0.03).all()
assert abs(quality[2] - quality[0]) < 0.15
assert quality[-1] - quality[0] > 0.3
assert variety[0] < 0.6 and variety[-1] > 0.75
assert variety[3] > 0.8 * max(variety)
assert min(obeyed[:4]) > 0.99
real_distance = distance_to_class(test, test_labels)
assert quality[0] < real_distance - 0.3
assert quality[-1] < real_distance < quality[-1] + 0.5
print("from no truncation to ±0.1:")
print("  nearer to the training images, by more than 0.3")
print("  coverage from above 75 % to below 60 %")
print("  at ±1 and less, the judge agrees on more than 99 %")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Above left: the distance to the nearest training image against the threshold, flat up to one half and then rising, below a dashed line. Above right: coverage, climbing steeply up to a threshold of one and then about level. Below: threes and sevens; with threshold 0.25 all look alike, without truncation they differ in shape and slant."}, "figure": {"caption": "Truncation. Above: distance to the nearest training image of the class (lower is better), with that of real test images dashed, and coverage (higher is better). Below: threes and sevens at $\\tau=0.25$ and without truncation.", "name": "fig-steer-truncation"}}
figure, panels = viz.subplot_mosaic(
    [["quality", "variety"], ["tight"] * 2, ["loose"] * 2],
    height=5.0,
    height_ratios=[2.2, 1, 1],
)
ticks = range(len(thresholds))
names = [f"{tau:g}" for tau in thresholds[:-1]] + ["none"]
panels["quality"].plot(ticks, quality, marker="o", ms=3)
panels["quality"].axhline(real_distance, ls="--", color="black", lw=1)
panels["quality"].set(title="distance", xlabel="threshold τ")
panels["variety"].plot(ticks, variety, marker="o", ms=3, color=viz.style.ORANGE)
panels["variety"].set(title="coverage", xlabel="threshold τ", ylim=(0, 1))
for name in ["quality", "variety"]:
    panels[name].set_xticks(ticks, names, fontsize=7)
pair = torch.tensor([3, 7]).repeat_interleave(14)
torch.manual_seed(3)
for name, tau in {"tight": 0.25, "loose": math.inf}.items():
    drawn = gan.sample(pair, models.truncated_noise(28, 32, tau))
    title = "no truncation" if math.isinf(tau) else f"τ = {tau}"
    viz.show_images(panels[name], drawn, digits.levels, 14, title)
figure

# %% [markdown]
# As the noise is let out, variety rises steeply at first, and most of it is there at $\tau=1$.
# Quality hardly changes up to one half; from there on it falls. Between the two lies the bargain.
# Neither end is "the" quality of the model. **A score without the truncation it was taken at says
# little**, and a sample sheet with truncation shows the best, not the usual.
#
# (A small distance to training images can also mean copying. So the dashed line stands beside: real
# test images, from other hands, lie somewhat farther from the training images than what the
# generator makes untruncated. It stays near what it has seen.)
#
# (sec-steer-paths)=
# ## From one noise vector to another
#
# Take two noise vectors and walk from one to the other. Straight, one would think. But how long are
# noise vectors? The square of the length is a sum of $L$ independent squares, each of mean one and
# variance $\E[z_j^4]-1=3-1=2$:
#
# $$
# \E\lVert z\rVert^2=L,\qquad \operatorname{Var}\lVert z\rVert^2=2L .
# $$ (eq-steer-shell)
#
# The mean grows like $L$, the scatter like $\sqrt L$. So for large $L$ nearly all noise vectors
# have nearly the same length $\sqrt L$: standard normal noise lies in a thin **shell**, with almost
# nothing in the middle, though the density is largest there. (There is so little room in the
# middle.) And the straight path? A point on it, $(1-t)\,a+t\,b$, has independent coordinates of
# variance $(1-t)^2+t^2$:
#
# $$
# \E\bigl\lVert(1-t)\,a+t\,b\bigr\rVert^2=\bigl((1-t)^2+t^2\bigr)\,L,
# $$ (eq-steer-straight)
#
# and halfway only half of $L$. The middle of a straight path lies inside the shell, where the
# generator has hardly ever been. The **spherical** path turns instead {cite:p}`white2016`. With
# $\omega$ for the angle between $a$ and $b$,
#
# $$
# s(t)=\frac{\sin((1-t)\,\omega)}{\sin\omega}\,a+\frac{\sin(t\,\omega)}{\sin\omega}\,b .
# $$ (eq-steer-slerp)
#
# If $a$ and $b$ are equally long, every $s(t)$ is. To see it, divide by the length, and write
# $b=\cos\omega\,a+\sin\omega\,c$ with a unit vector $c$ at a right angle to $a$. The factor of $c$
# is $\sin t\omega$. The factor of $a$ is $\bigl(\sin((1-t)\omega)+\sin
# t\omega\,\cos\omega\bigr)/\sin\omega$, and $\sin(\omega-t\omega)=\sin\omega\cos
# t\omega-\cos\omega\sin t\omega$ turns it into $\cos t\omega$. So $s(t)=\cos t\omega\;a+\sin
# t\omega\;c$, a point of the unit circle at the angle $t\omega$.

# %%
print("share of noise vectors as short as the middle of a straight path:")
for dims in [2, 8, 32, 128, 512]:
    # ‖z‖² has the chi-squared distribution; a middle has ‖z‖² = L/2 on average
    half = torch.tensor([dims / 2, dims / 4], dtype=torch.float64)
    share = torch.special.gammainc(*half).item()
    print(f"{dims:5} dimensions: {share:.1g}")

torch.manual_seed(5)
a, b = gan.noise(2000), gan.noise(2000)
middle = {
    "straight": models.linear_path(a, b, 3)[1],
    "spherical": models.spherical_path(a, b, 3)[1],
}
square = {k: (m.square().sum(1).mean() / 32).item() for k, m in middle.items()}
assert abs(square["straight"] - 0.5) < 0.02
assert abs(square["spherical"] - 1) < 0.04
half_distance = {
    k: distance_to_class(answers(gan, m, asked), asked)
    for k, m in middle.items()
}
apart = half_distance["spherical"] - half_distance["straight"]
assert apart > 0.1 and abs(half_distance["spherical"] - quality[-1]) < 0.1
print("squared length halfway: 0.5 L (straight), 1.0 L (spherical)")
print("images halfway: nearer to training images on the straight path,")
print("as far as any other sample on the spherical one")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Three strips of eleven digits. In the first two an eight changes its hand gradually, in almost the same way. In the third a three turns into an eight."}, "figure": {"caption": "Three walks. The same label and two noise vectors, straight and spherical; and one noise vector, with the label's one-hot vector going straight from three to eight.", "name": "fig-steer-paths"}}
a, b = hands[1], hands[0]  # two rows of the first figure
eights = torch.full((11,), 8)
straight = gan.sample(eights, models.linear_path(a, b, 11))
spherical = gan.sample(eights, models.spherical_path(a, b, 11))
ends = one_hot(torch.tensor([3, 8]), 10).float()
between = models.linear_path(ends[0], ends[1], 11)  # not a label any more
with torch.no_grad():
    inside = torch.cat([a.expand(11, -1), between], 1)
    blend = gan.gan.unscaled(gan.generator.net(inside))
viz.grid(
    [straight, spherical, blend],
    digits.levels,
    columns=11,
    titles=["straight", "spherical", "from label 3 to label 8"],
)

# %% [markdown]
# So what is in the hole inside the shell? In our generator nothing bad. The middle of a straight
# path is distributed exactly like noise scaled by $\sqrt{1/2}$, so the walk passes through a
# *truncated* stretch: pictures halfway are more ordinary than those at the ends. With 32 dimensions
# that is mild. With 512 the middle is a place that the generator was never asked about, and you
# should turn rather than cut across. The third strip goes further still: between two one-hot
# vectors there is no training image at all, and yet the strokes move.
#
# (sec-steer-directions)=
# ## Directions
#
# A hand is bold or thin, slanted or upright. Is there a *direction* of $z$ that does this, and only
# this? We look with labels first, then without.
#
# ### From labels
#
# A label here is anything you can say about a picture. A person can say it ("smiling"), a
# classifier, or, simplest, a ruler. We measure two quantities: the **ink**, the mean level, and the
# **slant**, how far the strokes lean to the right for each row upwards.

# %%
rows = torch.arange(8.0) - 3.5


def ink(x):
    """Mean level, black 0, white 1; x scaled, (N, 64)."""
    return (x.unflatten(1, (8, 8)) + 1).mean((1, 2)) / 2


def slant(x):
    """Columns to the right for each row upwards, by least squares."""
    weight = (x.unflatten(1, (8, 8)) + 1) / 2
    weight = weight / weight.sum((1, 2), keepdim=True)
    down = rows[:, None] - (weight * rows[:, None]).sum((1, 2))[:, None, None]
    across = rows - (weight * rows).sum((1, 2))[:, None, None]
    return -(weight * down * across).sum((1, 2)) / (weight * down**2).sum(
        (1, 2)
    )


def within_class(values, y):
    """Take the mean of its class away from each."""
    means = torch.stack([values[y == k].mean(0) for k in range(10)])
    return values - means[y]


torch.manual_seed(6)
many = gan.noise(20_000)
many_y = torch.arange(20_000) % 10
made = answers(gan, many, many_y)
measured = {"ink": within_class(ink(made), many_y)}
measured["slant"] = within_class(slant(made), many_y)
direction = {
    name: models.slope_direction(many, values)
    for name, values in measured.items()
}

# %% [markdown]
# `slope_direction` fits the best linear guess at a quantity from $z$, by least squares, and takes
# its slope, scaled to length one. What *is* this slope, for a quantity $f(z)$ that is anything but
# linear? The coordinates of $z$ are uncorrelated with variance one, so the slope is $\E[z\,f(z)]$.
# For one coordinate, use $z\,\phi(z)=-\phi'(z)$ again, and integrate by parts:
#
# ```{math}
# :label: eq-steer-stein
# \begin{aligned}
# \E[z_j\,f(z)] &= -\E_{z_{i\ne j}}\!\int f(z)\,\phi'(z_j)\,\mathrm{d}z_j \\
#   &= \E_{z_{i\ne j}}\!\int \frac{\partial f}{\partial z_j}\,\phi(z_j)\,\mathrm{d}z_j
#    = \E\Bigl[\frac{\partial f}{\partial z_j}\Bigr]
# \end{aligned}
# ```
#
# (for $f$ that grows slowly enough for the boundary term to vanish). This is **Stein's lemma**
# {cite:p}`stein1981`: *the least-squares slope is the mean gradient*. So a linear direction is not
# a guess that needs the generator to be linear. It is the direction which raises the quantity most,
# **on average over all pictures**. We can check it against the generator's own derivatives:

# %%
z = many[:4000].clone().requires_grad_()
for name, quantity in {"ink": ink, "slant": slant}.items():
    picture = gan.generate(z, many_y[:4000]).flatten(1)
    (gradient,) = torch.autograd.grad(quantity(picture).sum(), z)
    agreement = cosine_similarity(gradient.mean(0), direction[name], 0)
    single = cosine_similarity(gradient, direction[name][None], 1).mean()
    assert agreement > 0.97 and single < 0.8
    print(f"{name}: slope and mean gradient: cosine above 0.97;")
    print("  a single picture's own gradient: below 0.8 on average")

# %% [markdown]
# With yes-or-no labels instead of a ruler one takes the difference of the two means, or the normal
# of the plane that a logistic regression puts between them. In noise space all three agree;
# {ref}`ex-steer-means` asks why, and when not.

# %%
for name, values in measured.items():
    for find in [models.mean_difference, models.separating_direction]:
        from_labels = find(many, values > 0)  # more than usual: yes or no
        assert cosine_similarity(from_labels, direction[name], 0) > 0.97
print("means, plane and slope: the same directions, cosine above 0.97")

# %% [markdown]
# Now move. Every digit, two steps down and two steps up:

# %%
quantities = {"ink": ink, "slant": slant}
y = many_y[:5000]


def ends(way, step=2.0):
    """Images of 5,000 noise vectors moved down and up along a direction."""
    shift = step * direction[way]
    return [answers(gan, many[:5000] + s * shift, y) for s in (-1, 1)]


def change(way, name):
    """By how much a quantity grows from 2 steps down to 2 steps up."""
    down, up = (quantities[name](x) for x in ends(way))
    return (up - down) / measured[name].std()  # in its standard deviations


for name in quantities:
    grown = change(name, name)
    assert grown.mean() > 1.5
    assert min(grown[y == k].mean() for k in range(10)) > 0.5
    assert min((judge(x) == y).float().mean() for x in ends(name)) > 0.85
    print(f"{name}: grows for each of the ten digits, by 1.5 or more of")
    print("  its standard deviations on average; the judge still agrees")
    print("  with the label on more than 85 %")

# %% [markdown]
# One direction serves all ten digits, since the generator uses its noise alike for all of them. But
# is it *only* slant that changes?
#
# If two quantities go together in the pictures, a direction for one drags the other along. The cure
# is geometry. Let $u$ and $w$ be the two directions. Take out of $u$ what it has of $w$
# {cite:p}`shen2019`:
#
# $$
# u' = u-\frac{u\cdot w}{w\cdot w}\,w .
# $$ (eq-steer-without)
#
# Then $u'\cdot w=0$: as far as the second quantity is linear in $z$, it stays where it was. The
# price: a step along $u'$ does less for the first.

# %%
direction["slant, no ink"] = models.without(
    direction["slant"], direction["ink"]
)
wanted, dragged = (
    [change(way, name).mean().item() for way in ["slant", "slant, no ink"]]
    for name in ["slant", "ink"]
)
assert wanted[1] > 1.2 and wanted[1] < wanted[0] + 0.1
assert abs(dragged[1]) < 0.15 and abs(dragged[1]) < abs(dragged[0])
print("along slant:            ink changes too")
print("along slant, no ink:    ink changes less, by under 0.15,")
print("                        slant still by more than 1.2")

# %% [markdown]
# ### Without labels
#
# Nobody may have said what to look for. Then ask the generator what it does with its noise.
# {cite:t}`harkonen2020` take the activations $h(z)$ of an early layer for many $z$, find their
# principal components, the unit vectors $u_k$ along which they vary most, and ask for the direction
# of $z$ that goes with each: the least-squares slope again, this time of the noise on the
# coordinate $c_k=u_k\cdot(h-\bar h)$,
#
# $$
# d_k\;\propto\;\E\bigl[c_k(z)\,z\bigr].
# $$ (eq-steer-components)
#
# What is this for a layer that is linear, $h=Wz+b$? Then $\E[c_k z]=\E[z z^\top]W^\top u_k=W^\top
# u_k$, and $h$ has the covariance $WW^\top$. Its eigenvectors $u_k$ are the left singular vectors
# of $W$, and $W^\top u_k$ is the singular value times the right one. So for a linear layer no
# sample is needed: **the directions are the right singular vectors of the weights**
# {cite:p}`shen2020`.
#
# We take the second hidden layer, with the mean of each class taken away, and look at the first
# four components. Do they know of slant and ink?

# %%
with torch.no_grad():
    h = gan.generator.net[:4](torch.cat([many, one_hot(many_y, 10).float()], 1))
components = models.principal_directions(many, within_class(h, many_y), 4)
found = {
    name: (components.noise @ direction[name]).abs().max().item()
    for name in ["slant", "ink"]
}
assert min(found.values()) > 0.5
chance = 1 / math.sqrt(32)  # the usual cosine of two random directions
glue("steer-chance", f"{chance:.2f}", display=False)
print("slant, ink: each has a cosine above 0.5 with one of the four;")
print(f"a random direction has about {chance:.2f}")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Six strips of eleven small digits, each a two walking along one direction. Along ink the strokes grow bold; along slant they lean from one side to the other; along the four components shape, slant or boldness change, in mixtures."}, "figure": {"caption": "One noise vector, moved by $-3$ to $3$ along six directions: two found from measurements, four without.", "name": "fig-steer-directions"}}
ways = {name: direction[name] for name in ["ink", "slant, no ink"]}
ways |= {f"component {k + 1}": components.noise[k] for k in range(4)}
shifts = torch.linspace(-3, 3, 11)
twos = torch.full((11,), 2)
viz.grid(
    [
        gan.sample(twos, hands[1] + shifts[:, None] * way)
        for way in ways.values()
    ],
    digits.levels,
    columns=11,
    titles=list(ways),
)

# %% [markdown]
# They do. Without a ruler, the generator's own habits led to much the same handles: the cosine of
# two random directions in 32 dimensions is about {glue:text}`steer-chance`. What no component comes
# with is a *name*: one must look. And principal components are at right angles by construction,
# which nobody promised of slant and ink. Look for yourself. (The frames are part of the page; no
# kernel is needed.)

# %%
torch.manual_seed(9)
two_hands = gan.noise(2).repeat_interleave(10, 0)  # (20, 32)
viz.tabs(
    {
        name: viz.slider(
            [
                viz.tile(
                    gan.sample(ten.repeat(2), two_hands + shift * way),
                    digits.levels,
                    columns=10,
                )
                for shift in shifts
            ],
            [f"two hands, moved by {shift + 0.0:+.1f}" for shift in shifts],
            name,
        )
        for name, way in ways.items()
    }
)

# %% [markdown]
# The page {doc}`explorer` has a generator of this kind with all its sliders at once. It computes in
# your browser.
#
# (sec-steer-inversion)=
# ## Back from a picture
#
# All of this moved pictures that the generator had made. To move *your* picture you need its noise.
# A GAN cannot tell you: it maps $z$ to $x$, and nothing maps $x$ to $z$. This is **inversion**, and
# there are two ways {cite:p}`creswell2016,zhu2016`.
#
# **Search.** Suppose that the picture is a generated one plus Gaussian pixel noise,
# $x=G(z,y)+\sigma\varepsilon$. By Bayes' rule $\log p(z\mid x,y)$ is, up to a constant, the sum of
# $\log p(x\mid z,y)$ and $\log p(z)$, so the most probable $z$ is
#
# $$
# \hat z=\arg\min_z\;\lVert x-G(z,y)\rVert^2+\sigma^2\lVert z\rVert^2 ,
# $$ (eq-steer-inversion)
#
# after multiplying by $-2\sigma^2$. Descend by gradient. For a linear generator $G(z)=Wz+m$ it is a
# parabola, and setting the gradient $-2W^\top(x-m-Wz)+2\sigma^2z$ to zero gives $\hat z=(W^\top
# W+\sigma^2I)^{-1}W^\top(x-m)$: the posterior mean of probabilistic PCA,
# {eq}`eq-vae-ppca-posterior`. For a real generator there are local minima, hence: **several starts,
# and keep the best**. And when you report a search, say how many.
#
# **Learn to guess.** The generator makes as many pairs of picture and noise as we like. Train an
# encoder $E$ on them, with the squared error. What does it learn, at best? At one picture $x$, take
# any guess $e$ apart around the mean $\bar z=\E[z\mid G(z)=x]$; the mixed term vanishes:
#
# ```{math}
# :label: eq-steer-encoder
# \begin{aligned}
# \E\bigl[\lVert e-z\rVert^2\mid x\bigr]
#   &= \lVert e-\bar z\rVert^2+\E\bigl[\lVert z-\bar z\rVert^2\mid x\bigr] , \\
# E^*(x) &= \E\bigl[z\mid G(z)=x\bigr] .
# \end{aligned}
# ```
#
# The best guess is the **mean of all noise that makes this picture**, and the error left is their
# scatter. If only one $z$ makes it, the error is zero.
#
# ```{admonition} Predict, then run
# :class: tip
# Our noise has 32 dimensions, so a guess that knows nothing has an error of 32. We train an encoder on the
# generator's own pictures, which it can make without end. Will the error fall to 0, to 5, or to 25?
# ```

# %%
torch.manual_seed(0)
encoder = nets.ConcatenatedLabel(nets.mlp((64 + 10, 128, 128, 32)), 10)
adam = torch.optim.Adam(encoder.parameters(), lr=3e-3)
schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, 1000)


def encoder_loss(step):
    y = step.batch[1]
    return models.noise_regression_loss(
        lambda x: encoder(x, y), gan.given(y).generator, gan.noise(len(y))
    )


history = fit(
    {"encoder": encoder},
    [Objective("encoder", encoder_loss, adam, schedule=schedule)],
    data.Batches(digits.train, 256),
    1000,
    device="cpu",
)
left_over = history.series("encoder/loss")[1][-1]
assert 20 < left_over < 30
print("error of the encoder: more than 20 of 32")

# %% [markdown]
# More than 20 of 32. That is not the encoder's fault. The generator lets few directions of its
# noise show in a picture, so a picture cannot betray the others: **many noise vectors make almost
# the same picture**. Look at the singular values of its first layer, and at what a search finds for
# pictures whose noise we know:

# %%
weights = gan.generator.net[0].weight[:, :32].detach()
singular = torch.linalg.svdvals(weights)
assert (singular > singular[0] / 2).sum() <= 12
assert singular[-1] < singular[0] / 10

torch.manual_seed(8)
true_noise, y_own = gan.noise(100), torch.arange(100) % 10
own = answers(gan, true_noise, y_own).unflatten(1, (1, 8, 8))
pictures = digits.test.images[:100]
y_test = digits.test.labels[:100]
real = gan.gan.scaled(pictures)


def search(x, y, starts, **options):
    """Invert scaled images (N, 1, 8, 8) of known labels."""
    return models.invert(gan.given(y).generator, x, starts, **options)


torch.manual_seed(11)
starts = gan.noise(8 * 100).view(8, 100, 32)
of_own = search(own, y_own, starts)
spread = (own - own.mean(0)).square().sum((1, 2, 3)).mean()
assert of_own.distances.mean() < 0.02 * spread
off = (of_own.noise - true_noise).square().sum(1).mean()
assert off > 16
print("own pictures, found again: less than 2 % of their spread is left;")
print("squared error of their noise: more than 16, of 32 dimensions")

# %% [markdown]
# The search hits the picture, and misses the noise. It found *a* preimage. For editing that is
# enough; as a *code* of the picture it is worth little.
#
# Now real test images, which the generator never saw. The encoder's guess can also be a start for
# the search.

# %%
with torch.no_grad():
    guess = encoder(real, y_test)
left = {}
for steps in [0, 10, 30, 100, 200]:
    for name, begin in {
        "one start": starts[:1],
        "eight starts": starts,
        "encoder": guess[None],
    }.items():
        end = search(real, y_test, begin, steps=steps)
        left.setdefault(name, []).append(end.distances.mean().item())
best = search(real, y_test, starts)

real_spread = (real - real.mean(0)).square().sum((1, 2, 3)).mean().item()
assert 0.05 * real_spread < left["eight starts"][-1] < 0.25 * real_spread
assert left["encoder"][0] < 0.5 * left["one start"][0]
assert left["encoder"][2] < left["one start"][2] - 0.5
assert left["encoder"][2] < left["eight starts"][2] + 0.3
assert left["eight starts"][-1] < left["one start"][-1]
print("real images: between 5 % and 25 % of their spread is left")
print("after 30 steps, one search from the encoder's guess is about as good")
print("as the best of eight from random starts")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Left: squared distance against search steps, falling for three kinds of start: one random start is highest, the best of eight lower, the encoder's guess starts far below both and meets the eight. Right: four rows of ten digits. Test images; the encoder's guess, roughly the same digits in a simpler hand; the search from there, close to the originals."}, "figure": {"caption": "Inversion of real images. Left: mean squared distance to 100 test images against the steps of the search. Right: ten of them, the picture of the encoder's guess, and of the best of eight searches.", "name": "fig-steer-inversion"}}
figure, panels = viz.subplot_mosaic(
    [["curve", "image"], ["curve", "guess"], ["curve", "search"]],
    height=2.6,
    width_ratios=[1, 1.7],
)
for name, curve in left.items():
    panels["curve"].plot(
        [0, 10, 30, 100, 200], curve, marker="o", ms=3, label=name
    )
panels["curve"].set(xlabel="steps", ylabel="squared distance", xscale="symlog")
panels["curve"].set_xticks([0, 10, 100], ["0", "10", "100"])
panels["curve"].set_ylim(bottom=0)
panels["curve"].legend()
for name, title, images in [
    ("image", "test images", pictures[:10]),
    ("guess", "encoder", gan.sample(y_test[:10], guess[:10])),
    ("search", "search", gan.gan.unscaled(best.images[:10])),
]:
    viz.show_images(panels[name], images, digits.levels, 10, title)
figure

# %% [markdown]
# When does inversion fail? When the picture is not one that the generator could have made *with
# this label*. The search does not say so; it returns a noise vector in any case. What tells is the
# distance left, and the length of the noise: it left the shell of {ref}`sec-steer-paths` to reach
# for what is out of reach.

# %%
wrong = (y_test + 1) % 10
cases = {
    "test images": (real, y_test),
    "with a wrong label": (real, wrong),
    "upside down": (real.flip(2), y_test),
    "moved by three": (real.roll(3, 3), y_test),
    "black for white": (-real, y_test),
}
rest, length = {}, {}
for name, (x, y) in cases.items():
    end = search(x, y, starts[:4], steps=100)
    rest[name] = end.distances.mean().item() / real_spread
    length[name] = end.noise.norm(dim=1).mean().item() / math.sqrt(32)
for name in list(cases)[1:]:
    assert rest[name] > 2 * rest["test images"]
    assert length[name] > max(1.2, 1.15 * length["test images"])
assert rest["black for white"] > 2  # worse than one grey picture for all
print("all four: more than twice the distance that test images leave,")
print("and noise longer than √32 by a fifth or more;")
print("black for white: more than twice the spread itself")

# %% [markdown]
# A wrong label leaves a large distance. That turns the generator into a *reader*: invert a picture
# under all ten labels, and see which one suits best, by {eq}`eq-steer-inversion`.

# %%
torch.manual_seed(10)
weight = 0.1  # σ²
every_label = ten.repeat(100)
end = search(
    real.repeat_interleave(10, 0),
    every_label,
    gan.noise(1000)[None],
    steps=100,
    prior_weight=weight,
)
cost = end.distances + weight * end.noise.square().sum(1)
read = cost.view(100, 10).argmin(1)
assert (read == y_test).float().mean() > 0.88
short = end.noise.view(100, 10, 32)[torch.arange(100), y_test]
assert short.norm(dim=1).mean() < 0.6 * math.sqrt(32)
print("test images read by inversion: more than 88 % right")

# %% [markdown]
# Nobody trained a classifier here. It is Bayes' rule with a generative model, as in chapter 03, for
# classes equally frequent, and with the best noise in place of all noise.
#
# (sec-steer-failure)=
# ## A failure, made on purpose
#
# The label must reach *both* players. Here is a conditional GAN whose discriminator takes the
# label, and drops it. Programs do this by accident: one-hot vectors go into the generator, and the
# discriminator was copied from an older file.


# %%
class Blind(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x, y):  # y is not used: this is the mistake
        return self.net(x)


torch.manual_seed(0)
broken = models.ConditionalGAN.mlp(digits.shape, digits.levels, classes=10)
features = broken.discriminator.features
broken.gan.discriminator = Blind(
    nn.Sequential(features, nn.Linear(128, 1), nn.Flatten(0))
)
train(broken)

broken_x = answers(broken, noise, asked)
broken_right = (judge(broken_x) == asked).float().mean().item()
assert broken_right < 0.3
assert coverage(broken_x) > 0.5
assert len(judge(broken_x).unique()) == 10
other = judge(answers(broken, noise, (asked + 5) % 10))
assert (other == judge(broken_x)).float().mean() > 0.7
print("judge and label agree on less than 30 %;")
print("all ten digits come, and more than half the test images are covered;")
print("another label, same noise: in more than 70 % still the same digit")

# %% tags=["hide-input"] mystnb={"image": {"alt": "A table of small digits in ten columns and four rows. Each row shows one and the same digit ten times, almost without a change."}, "figure": {"caption": "Ten columns for the labels 0 to 9, four noise vectors. The digits are good. The noise decides which digit comes; the label changes next to nothing.", "name": "fig-steer-blind"}}
viz.grid(
    broken.sample(ten.repeat(4), hands[:4].repeat_interleave(10, 0)),
    digits.levels,
    columns=10,
)

# %% [markdown]
# What does this discriminator see? Images without labels: $p(x)$ against the mixture
# $\bar q(x)=\sum_y p(y)\,q(x\mid y)$. So the game it plays has the value
#
# $$
# V(D^*,G)=2\operatorname{JS}(p,\bar q)-2\log2 .
# $$ (eq-steer-blind)
#
# Any generator with the right *mixture* solves it, whatever it does with its labels. For the
# network the label is ten more numbers of noise. Nothing punishes a seven under the label 2.
#
# ```{admonition} Symptom, diagnosis, cure
# :class: warning
#
# **Symptom.** Both losses look as they should. Samples are sharp and varied. Ask for a class, and any
# class comes: a classifier agrees with the label about as often as by chance.
#
# **Diagnosis.** The discriminator never sees the label, so the game is about the mixture of all classes
# alone. A generator that ignores its label loses nothing by it.
#
# **Cure.** Give the label to both players, and to the discriminator the *same* label that the generator
# was given. Test it: exchange the labels in a batch, and the discriminator's logits must change. Report the class
# accuracy of samples beside every other score.
# ```
#
# (sec-steer-features)=
# ## Does a GAN learn features?
#
# ```{erratum} E9
# ```
#
# The failed GAN is good for one more thing. Its discriminator has seen a thousand digits, and not
# one label: what does it know of them? {cite:t}`radford2015` read features off a discriminator's
# layers and trained a linear classifier on them. Do the same, and add what such a test needs: the
# same network, *untrained*.


# %%
def probe(features, ridge=1.0):
    """Fit a linear classifier to features by least squares; test it."""
    with torch.no_grad():
        known, new = features(scaled(digits.train.images)), features(test)
    mean, std = known.mean(0), known.std(0) + 1e-6
    known, new = (
        torch.cat([(f - mean) / std, torch.ones(len(f), 1)], 1)
        for f in (known, new)
    )
    gram = known.T @ known + ridge * torch.eye(known.shape[1])
    weights = torch.linalg.solve(gram, known.T @ one_hot(labels, 10).float())
    return ((new @ weights).argmax(1) == test_labels).float().mean().item()


torch.manual_seed(0)
untrained = models.ConditionalGAN.mlp((1, 8, 8), 17, 10).discriminator.features
of_trained, of_untrained = probe(features), probe(untrained)
assert of_trained > 0.85 and of_untrained > 0.85
assert of_trained < of_untrained + 0.08
print("features of the trained discriminator: more than 85 % right")
print("features of an untrained one: as good, or less than 8 points below")

# %% [markdown]
# The first line alone would look like a discovery. The second takes it back: on these small images
# a random network gives features nearly as good. (On larger images, with convolutions, those of a
# discriminator could compete with the methods of their day.) So be exact. A plain GAN learns a map
# from noise to images. **Features of an image** come from its discriminator, where they must be
# compared with an untrained one, or by inversion, where they need not be unique.
#
# ## Exercises
#
# ```{exercise} How many features?
# :label: ex-steer-rank
# Let $A$ be any table of logits for $N$ images and $K$ classes. Show that $K-1$ features are enough to
# write it in the form {eq}`eq-steer-projection`. Can fewer be enough?
# ```
#
# ````{solution} ex-steer-rank
# :class: dropdown
# Let $\psi(x)=A(x,K)$, the logit of the last class. The features $\varphi_k(x)=A(x,k)-A(x,K)$ for
# $k<K$, with $v_k$ the $k$-th unit vector and $v_K=0$, give $v_y\cdot\varphi+\psi=A$. Fewer are
# enough exactly if the table of differences has a smaller rank, for instance if two classes always
# get the same logit. In code, for three classes:
#
# ```python
# A = torch.randn(6, 3)
# centred = A - A.mean(1, keepdim=True)   # no function of x alone is left
# torch.linalg.matrix_rank(centred)       # 2, never 3
# ```
# ````
#
# ```{exercise} Wrong labels for the generator
# :label: ex-steer-prior
# In a data set one class is nine times as frequent as the other. Somebody draws the labels of made images
# evenly. Both class densities are already right, $q(x\mid y)=p(x\mid y)$. What is the best
# discriminator, and the value? Does the generator get a gradient?
# ```
#
# ````{solution} ex-steer-prior
# :class: dropdown
# The joint densities are $p(y)\,p(x\mid y)$ and $\tfrac12\,p(x\mid y)$. The best logit is
# $\log2p(y)$: $\log1.8$ for the frequent class, $\log0.2$ for the rare one, whatever the image. The value
# is $2\operatorname{JS}\bigl((0.9,0.1),(0.5,0.5)\bigr)-2\log2>-2\log2$: the discriminator wins
# something, and for ever. Its logit does not depend on $x$, so the generator gets no gradient. Harmless at the
# solution, then. On the way there, capacity and gradient are spent on a difference that no image can mend.
# ````
#
# ```{exercise} Two means and a plane
# :label: ex-steer-means
# Points with $z\sim\mathcal{N}(0,\Sigma)$ are positive if $w\cdot z>0$. Show that the difference of
# the two means points along $\Sigma w$, while the plane that separates has the normal $w$. When do they agree, and what follows for
# directions in activation space?
# ```
#
# ````{solution} ex-steer-means
# :class: dropdown
# Write $s=w\cdot z$. Then $\E[z\mid s]=\Sigma w\,s/(w^\top\Sigma w)$, since for Gaussians the mean given
# $s$ is linear in $s$. So the mean over $s>0$ and that over $s<0$ both lie along $\Sigma w$. They agree
# for $\Sigma=I$, as in noise space (and when $w$ is an eigenvector). Activations are correlated: there the
# difference of means drags along whatever goes with the label in the data, and the normal does not. Which you
# want depends on the question. Try it: `models.mean_difference(h, measured["slant"] > 0)` against
# `models.separating_direction(h, measured["slant"] > 0)`.
# ````
#
# ```{exercise} The most probable noise is not typical
# :label: ex-steer-map
# Invert the test images with `prior_weight=0.1`. How long is the noise, compared with $\sqrt{32}$? Is
# that a bug?
# ```
#
# ````{solution} ex-steer-map
# :class: dropdown
# Less than six tenths of it. No bug: {eq}`eq-steer-inversion` asks for the most *probable* point, and
# the density of $z$ is largest at zero. Whatever a picture does not fix is set to zero. Draws from
# $p(z\mid x)$ would have these coordinates at random, and so a length near $\sqrt{32}$. The highest
# point of a density in many dimensions is seldom like its draws.
# ````
#
# ```{exercise} A game of your own
# :label: ex-steer-soft
# Give the generator labels that are no classes: `0.5 * one_hot(3) + 0.5 * one_hot(8)`, or `2 * one_hot(3)`, or
# zeros. What comes, and why may nobody complain?
# ```
#
# ````{solution} ex-steer-soft
# :class: dropdown
# Between two labels: something between two digits, as in {numref}`fig-steer-paths`. Twice a label
# moves the biases of {eq}`eq-steer-concatenation` twice as far: see whether the digit grows more
# pronounced or falls apart. Zeros: whatever the shared biases give. The game {eq}`eq-steer-game` asks
# for nothing at such inputs, so whatever comes is the network's habit, not its knowledge.
# ````
#
# ## Summary
#
# - A conditional GAN plays one game for each class {eq}`eq-steer-value` with shared networks. Made
#   images get the labels of real ones.
# - To concatenate a label is to choose a bias {eq}`eq-steer-concatenation`. The projection
#   {eq}`eq-steer-projection` follows from the log-ratio {eq}`eq-steer-ratio` with log-linear class
#   models.
# - Truncation trades variety for quality; report both. The middle of a straight path is noise made
#   smaller as well.
# - A least-squares direction is the mean gradient {eq}`eq-steer-stein`. Take out what it drags along
#   {eq}`eq-steer-without`. Principal components find directions that have no name yet.
# - Inversion finds a noise vector, not *the* noise vector. Say how many starts, and look at the
#   distance left.
# - If the discriminator does not see the label, nothing makes the generator obey it.
#
# ## Further reading
#
# {cite:t}`odena2016` give the discriminator a second task instead of a second input, to name the
# class. {cite:t}`brock2018` scale the projection discriminator up, with truncation, to a thousand
# classes. {cite:t}`radford2015` did arithmetic with noise vectors first. {cite:t}`donahue2016` and
# {cite:t}`dumoulin2016` train an encoder within the game, so that pairs of image and noise are
# judged. Chapters 19 and 22 use inversion to fill in missing pixels and to edit photographs.
