# %% [markdown]
# (ch-learn)=
# # 03 Learning a distribution
#
# **Reading** 60 minutes · **Running** under 90 seconds on one CPU thread · **Difficulty** ●●○ ·
# **You need** probability densities, derivatives, a little Python
#
# **You are given points, and nobody tells you the rule by which they came about. Can you make
# more?** That is the whole task of this book. Here the points lie in a plane, and we know the
# rule: so whatever a model claims to have learned, we can check.
#
# After this chapter you can
#
# - tell three questions apart that are often mixed up: how probable is this, which kind is it, and
#   is it real;
# - write a small neural network, and the derivative of its loss, by hand;
# - show that the likeliest model is the nearest one, and name the bar that no model can pass;
# - predict what a model does that *cannot* be right: cover everything, or settle for a part;
# - train a VAE, a GAN and an autoregressive model on the same points, and judge each by what it
#   lets you measure.
#
# ```{admonition} Five questions first
# :class: tip
#
# 1. What is the derivative of $\log(1+e^a)$ with respect to $a$?
# 2. Can a probability density be larger than one?
# 3. How is $p(a,b)$ made of $p(a)$ and $p(b\mid a)$?
# 4. For a density $p$, what does $\mathbb{E}_p[f(x)]$ mean, and how would you estimate it from draws?
# 5. Which line touches the curve $\log u$ at $u=1$, and on which side of the curve does it lie?
#
# If three of them come easily, read on. The answers follow.
# ```
#
# ```{admonition} Answers
# :class: dropdown
#
# 1. $e^a/(1+e^a)=1/(1+e^{-a})$, the logistic function. It returns in {eq}`eq-learn-logistic`.
# 2. Yes. Only its integral is one. A Gaussian with $\sigma=0.1$ reaches almost four.
# 3. $p(a,b)=p(a)\,p(b\mid a)$. One of the three families is made of this line.
# 4. $\int p(x)\,f(x)\,\mathrm{d}x$; the mean of $f$ over the draws.
# 5. The line $u-1$, and it lies above: $\log u\le u-1$. It proves {eq}`eq-learn-gibbs`.
# ```
#
# The rule behind our points: eight round Gaussians, equally likely, on a circle.

# %%
import math

import torch
from myst_nb import glue
from torch import nn
from torch.distributions import (
    Categorical,
    MixtureSameFamily,
    Normal,
    kl_divergence,
)
from torch.nn.functional import softplus

from genlearn import data, nets, viz
from genlearn.callbacks import Evaluate
from genlearn.training import Objective, evaluating, fit

torch.set_num_threads(1)  # models this small are fastest on one thread
truth = data.Gaussians()  # eight modes, radius 2, standard deviation 0.2
torch.manual_seed(0)
points = truth.sample(400)
print("400 points in the plane, of shape", tuple(points.shape))

# %% tags=["hide-input"] mystnb={"image": {"alt": "Left: four hundred dots in eight round clumps, evenly spaced on a circle. Right: the density behind them, eight equal round spots on the same circle."}, "figure": {"caption": "The task. Left: what a model is shown. Right: what it should find out, the density that the points were drawn from.", "name": "fig-learn-task"}}
side = 161
axis = torch.linspace(-truth.extent, truth.extent, side, dtype=torch.float64)
plane = torch.cartesian_prod(axis, axis)  # (25921, 2)
cell = (axis[1] - axis[0]).item() ** 2


def draw_map(axes, values, colours="Blues", **options):
    """Draw one value for each point of the plane, (25921,), as a heat map."""
    axes.imshow(
        values.view(side, side).T,
        origin="lower",
        extent=(-truth.extent, truth.extent) * 2,
        cmap=colours,
        **options,
    )
    axes.set(xticks=[-2, 0, 2], yticks=[-2, 0, 2], aspect="equal")


log_truth = truth.log_prob(plane)
assert abs(log_truth.exp().sum() * cell - 1) < 1e-6  # it is a density
figure, (left, right) = viz.subplots(1, 2, height=3.0)
left.scatter(*points.T, s=2, color="black")
left.set(
    xlim=(-truth.extent, truth.extent),
    ylim=(-truth.extent, truth.extent),
    xticks=[-2, 0, 2],
    yticks=[-2, 0, 2],
    aspect="equal",
    title="given: points",
)
draw_map(right, log_truth.exp())
right.set(title="wanted: their density")
figure

# %% [markdown]
# For images the plane has 64, or 3,072, or a million axes instead of two, and nobody knows the
# right picture. Everything else in this chapter stays as it is.
#
# (sec-learn-kinds)=
# ## Three questions to ask of a point
#
# **How probable is it?** This is $p(x)$, and a model that answers it, or at least draws from it, is
# called **generative**. **Which kind is it?** This is $p(y\mid x)$ for some label $y$, such as "a
# seven". A model which answers only this is called **discriminative**; every classifier is one.
#
# A generative model of points *and* labels can answer both. It knows $p(y)$ and $p(x\mid y)$, and
# Bayes' rule does the rest:
#
# $$
# p(y\mid x)=\frac{p(y)\,p(x\mid y)}{\sum_{y'}p(y')\,p(x\mid y')} .
# $$ (eq-learn-bayes)
#
# ```{erratum} E18
# ```
#
# The way back does not exist. The right side is a *ratio*: multiply $p(x\mid y)$, for all $y$ at
# once, by any positive function of $x$, and it cancels. So $p(y\mid x)$ says nothing about how
# probable $x$ is.
#
# There is a third question. Mix real points and points made by a model $q$, half and half. **Was
# this one real?** Here $y$ is not a kind of point, it is where the point comes from. Put
# $p(x\mid\text{real})=p(x)$, $p(x\mid\text{made})=q(x)$ and both prior probabilities $\tfrac12$ into
# {eq}`eq-learn-bayes`. Then $p(\text{real}\mid x)$ is
#
# $$
# D^*(x)=\frac{p(x)}{p(x)+q(x)} .
# $$ (eq-learn-discriminator)
#
# That is what the **discriminator** of a GAN tries to learn. It is a classifier, but of two sources,
# and its right answer moves whenever $q$ does. For our toy all three answers can be drawn.
#
# ```{admonition} Predict, then run
# :class: tip
# Let the label say whether a point comes from an even or an odd Gaussian. Far outside the circle
# there are no points at all. How certain will the classifier be there?
# ```

# %%
modes = truth.means.double()
distances = (plane[:, None] - modes).square().sum(2)  # (25921, 8)
posterior = (-distances / (2 * truth.std**2)).softmax(1)  # eq-learn-bayes
p_even = posterior[:, ::2].sum(1)

variance = truth.radius**2 / 2 + truth.std**2  # of the truth, on each axis
log_q = Normal(0.0, math.sqrt(variance)).log_prob(plane).sum(1)
real = (log_truth - log_q).sigmoid()  # p / (p + q)

far = (plane - torch.tensor([3.0, 0.0])).square().sum(1).argmin()  # near (3, 0)
assert log_truth[far].exp() < 1e-5
assert p_even[far] > 0.999
assert real[far] < 0.01
print("far outside: the density is below 0.00001,")
print("the classifier more than 99.9 % sure of its label,")
print("and the discriminator less than 1 % ready to call it real")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Three maps of the plane, each with a cross at the right, outside the circle. The density: eight spots, nothing at the cross. The classifier: a pie of eight wedges in alternating full colours that reach to the edges, the cross within one of them. The discriminator: eight spots near one, zero elsewhere and at the cross."}, "figure": {"caption": "Three questions, three answers. Left: how probable is $x$? Middle: is it of an even Gaussian (brown) or an odd one (purple)? Right: is it real, or made by a single broad Gaussian? The cross is a place where no point ever falls.", "name": "fig-learn-kinds"}}
figure, axes = viz.subplots(1, 3, height=2.7)
draw_map(axes[0], log_truth.exp())
draw_map(axes[1], p_even, "PuOr_r", vmin=0, vmax=1)
draw_map(axes[2], real, vmin=0, vmax=1)
titles = ["density $p(x)$", "$p(\\mathrm{even}\\mid x)$", "$D^*(x)$"]
for panel, title in zip(axes, titles, strict=True):
    panel.plot(*plane[far], "x", color="black", ms=7)
    panel.set(title=title)
figure

# %% [markdown]
# A classifier divides the plane and is sure of itself almost everywhere, also where it never saw
# anything. It was asked *which*, and never *whether*.
#
# (sec-learn-network)=
# ## What you must know about networks
#
# A neural network is a function with many adjustable numbers. The smallest useful one has two
# **layers**. The first maps the input $x$ to a list $h$ of hidden values, the second maps $h$ to an
# output $a$:
#
# $$
# h=\tanh(W_1x+b_1),\qquad a=W_2h+b_2 .
# $$ (eq-learn-network)
#
# The matrices $W_1,W_2$ (**weights**) and the vectors $b_1,b_2$ (**biases**) are the adjustable
# numbers; together we call them $\theta$. Between the two layers stands the **activation**, a bent
# function of one number, applied to each hidden value by itself. Without it nothing is gained: then
# $a=W_2W_1x+(W_2b_1+b_2)$, which is one layer. With it, and with enough hidden values, such a
# function comes as close as you like to any continuous function on a bounded region
# {cite:p}`cybenko1989`. (That it *can* does not say that training finds it.) *Deep* means more than
# two layers: the output of each is the input of the next, so later layers work on what earlier ones
# found.
#
# ```{erratum} E30
# ```
#
# (The word *neural* goes back to {cite:t}`mcculloch1943`, who asked which logical functions idealised
# nerve cells could compute. What follows is calculus.)
#
# A network needs a task. Ours is the third question of the last section, in one dimension: real
# points come from two bumps, made ones from a single Gaussian with the same mean and variance.
# The output $a$ becomes a probability by the logistic function, $D=\sigma(a)=1/(1+e^{-a})$. For a
# real point ($y=1$) the loss is $-\log D$, for a made one ($y=0$) it is $-\log(1-D)$. Since
# $-\log\sigma(a)=\log(1+e^{-a})=\log(1+e^a)-a$ and $-\log(1-\sigma(a))=\log(1+e^a)$, both are
#
# $$
# \ell=\log(1+e^a)-y\,a,\qquad \frac{\partial\ell}{\partial a}=\sigma(a)-y .
# $$ (eq-learn-logistic)
#
# The derivative is what one would wish for: answer minus right answer.
#
# ### Backwards through the network
#
# How does the loss change with each weight? The chain rule answers from the end to the beginning.
# Write $\delta=\sigma(a)-y$ for the derivative at the output. The output depends on $W_2$ through
# $W_2h$ and on $h$ through the same product; $h$ depends on $u=W_1x+b_1$ with slope
# $\tanh'(u)=1-h^2$. So
#
# ```{math}
# :label: eq-learn-backward
# \begin{aligned}
# \frac{\partial\ell}{\partial W_2} &= \delta\,h^\top, &
# \frac{\partial\ell}{\partial b_2} &= \delta, \\
# g &= (W_2^\top\delta)\odot(1-h^2), \\
# \frac{\partial\ell}{\partial W_1} &= g\,x^\top, &
# \frac{\partial\ell}{\partial b_1} &= g,
# \end{aligned}
# ```
#
# where $\odot$ multiplies entry by entry and $g=\partial\ell/\partial u$. This is
# **backpropagation** {cite:p}`rumelhart1986`: one pass forward to get the values, one backward to
# get all derivatives, for about twice the price of the first.
#
# Then move every number a little against its derivative. With $L$ the mean loss over the points,
#
# $$
# \theta\leftarrow\theta-\eta\,\nabla_\theta L .
# $$ (eq-learn-descent)
#
# That is **gradient descent**, and $\eta$ is the learning rate. If $L$ is taken over a random
# **batch** of points instead of all, its gradient is right on average and much cheaper.
# Optimisers such as Adam {cite:p}`kingma2014`, used everywhere below, choose the step of each number
# from its past gradients.
#
# ### From scratch
#
# Here is all of it. (A row is a point, so the products stand the other way round than above.)


# %%
def loss_and_gradients(x, y, W1, b1, W2, b2, bend=True):
    """x, y: (N, 1); returns the mean loss, and its gradients by hand."""
    u = x @ W1 + b1  # (N, hidden)
    h = u.tanh() if bend else u
    a = h @ W2 + b2  # (N, 1)
    loss = (softplus(a) - y * a).mean()  # softplus(a) is log(1 + e^a)
    delta = (a.sigmoid() - y) / len(x)  # (N, 1)
    g = delta @ W2.T * (1 - h**2 if bend else 1)  # (N, hidden)
    return loss, (x.T @ g, g.sum(0), h.T @ delta, delta.sum(0))


def two_bumps(n):
    """Real points, (n, 1): 0.6 N(-1.5, 0.25) + 0.4 N(1.5, 0.25)."""
    left = torch.rand(n, 1) < 0.6
    return torch.where(left, -1.5, 1.5) + 0.5 * torch.randn(n, 1)


made = Normal(-0.3, math.sqrt(0.25 + 1.5**2 - 0.3**2))  # same mean, variance


def real_and_made(n):
    """Return n points of each kind, and their labels: x and y, (2n, 1)."""
    x = torch.cat([two_bumps(n), made.sample((n, 1))])
    return x, torch.cat([torch.ones(n, 1), torch.zeros(n, 1)])


torch.manual_seed(0)
x, y = real_and_made(1000)
start = [
    torch.randn(1, 32),
    2 * torch.randn(32),
    torch.randn(32, 1) / math.sqrt(32),
    torch.zeros(1),
]

# %% [markdown]
# PyTorch finds the same gradients by itself: it remembers every operation on the way forward and
# applies the chain rule to each on the way back. Do we agree? Below is the same network from
# PyTorch's parts, with our numbers in it.

# %%
library = nn.Sequential(nn.Linear(1, 32), nn.Tanh(), nn.Linear(32, 1))
with torch.no_grad():
    for parameter, mine in zip(library.parameters(), start, strict=True):
        parameter.copy_(mine.t())  # nn.Linear keeps its matrix the other way

bce = nn.functional.binary_cross_entropy_with_logits(library(x), y)
bce.backward()
loss, gradients = loss_and_gradients(x, y, *start)
torch.testing.assert_close(loss, bce)
for parameter, mine in zip(library.parameters(), gradients, strict=True):
    torch.testing.assert_close(parameter.grad, mine.t(), rtol=1e-4, atol=1e-6)
print("loss and gradients by hand are those of PyTorch")

# %% [markdown]
# ```{admonition} Predict, then run
# :class: tip
# We descend twice: once as above, once with the activation taken out (`bend=False`). Real points lie
# in two bumps, made ones everywhere between. What is the best that the straight network can do?
# ```


# %%
def descend(bend):
    """Take 2,000 steps down the slope; return the trained numbers."""
    numbers = start
    for _ in range(2000):
        _, gradients = loss_and_gradients(x, y, *numbers, bend=bend)
        numbers = [w - 0.5 * g for w, g in zip(numbers, gradients, strict=True)]
    return numbers


def answer(x, numbers, bend):
    """D(x) of a trained network."""
    W1, b1, W2, b2 = numbers
    u = x @ W1 + b1
    return ((u.tanh() if bend else u) @ W2 + b2).sigmoid()


bent, straight = descend(bend=True), descend(bend=False)

line = torch.linspace(-10, 10, 401, dtype=torch.float64)
step = line[1] - line[0]
log_p = torch.logaddexp(
    math.log(0.6) + Normal(-1.5, 0.5).log_prob(line),
    math.log(0.4) + Normal(1.5, 0.5).log_prob(line),
)
exact = (log_p - made.log_prob(line)).sigmoid()  # eq-learn-discriminator
by_bent = answer(line[:, None].float(), bent, True)[:, 0]
by_straight = answer(line[:, None].float(), straight, False)[:, 0]

middle = line.abs() < 3
error = (by_bent - exact).abs()[middle].mean()
worst = (by_straight - exact).abs()[middle].mean()
assert error < 0.07 and worst > 0.2
print("mean error between -3 and 3:")
print("with activation below 0.07, without it above 0.2")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Left: four activation functions of one number: the logistic function and tanh, which level off on both sides, and ReLU and SiLU, which are near zero on the left and rise on the right. Right: the probability of being real against x; a dashed exact curve with two humps at minus and plus 1.5, a solid curve of the network close to it, and an almost flat line of the network without activation."}, "figure": {"caption": "Left: common activations. Right: the discriminator in one dimension. Dashed: the exact {eq}`eq-learn-discriminator`. Solid: our network after 2,000 steps; and the same network without its activation.", "name": "fig-learn-network"}}
figure, (left, right) = viz.subplots(1, 2, height=2.6, width_ratios=[1, 1.5])
u = torch.linspace(-3, 3, 200)
for name, values in {
    "logistic": u.sigmoid(),
    "tanh": u.tanh(),
    "ReLU": u.relu(),
    "SiLU": nn.functional.silu(u),
}.items():
    left.plot(u, values, label=name)
left.set(ylim=(-1.1, 2.2), xlabel="$u$", title="activations")
left.legend()
shown = line.abs() < 4
right.plot(
    line[shown], by_bent[shown], label="with activation", color=viz.style.BLUE
)
right.plot(
    line[shown], by_straight[shown], label="without", color=viz.style.ORANGE
)
right.plot(
    line[shown], exact[shown], "--", color="black", lw=1, label="exact $D^*$"
)
right.set(xlabel="$x$", ylabel="probability of being real", ylim=(0, 1.25))
right.legend(loc="upper center", ncols=3)
figure

# %% [markdown]
# Nobody showed the network a density. It saw points and labels, and yet it found a *ratio of
# densities*. Keep this in mind: it is the trick on which GANs are built. The straight network can
# only say "rather left" or "rather right", and settles near one half.
#
# (sec-learn-likelihood)=
# ## The likeliest model is the nearest
#
# Back to the first question. We have a family of densities $p_\theta$, say all that a network can
# express. Which of them is best? The classical answer: the one under which the given points are
# most probable. It maximises the mean log-likelihood $\frac1N\sum_n\log p_\theta(x_n)$.
#
# That sounds as if it favoured the points at hand. What does it say about the distribution behind
# them? For that we need a measure of how far one distribution is from another. The
# **Kullback–Leibler divergence** {cite:p}`kullback1951`, named after its authors, is
#
# $$
# \KL{p}{q}=\E_{p}\bigl[\log p(x)-\log q(x)\bigr].
# $$ (eq-learn-kl)
#
# Points are drawn from $p$, and we ask on average how much more probable $p$ finds them than $q$
# does. It is no distance: exchange $p$ and $q$, and it changes. But it has the property that matters
# most:
#
# $$
# \KL{p}{q}\ge0,\quad\text{with equality only if } p=q .
# $$ (eq-learn-gibbs)
#
# (Equal almost everywhere, to be exact: a density may be changed at single points.)
#
# *Proof.* The line $u-1$ lies above $\log u$ and touches it only at $u=1$. Put $u=q(x)/p(x)$, where
# $p(x)>0$:
#
# $$
# \begin{aligned}
# -\KL{p}{q}&=\E_p\Bigl[\log\frac{q(x)}{p(x)}\Bigr]
#   \le\E_p\Bigl[\frac{q(x)}{p(x)}-1\Bigr] \\
#   &=\int_{p>0}q(x)\,\mathrm{d}x-1\le0 .
# \end{aligned}
# $$
#
# Equality in the first step needs $q=p$ wherever $p>0$. $\square$
#
# Now look at the two means in {eq}`eq-learn-kl` one by one. $-\E_p[\log p]$ is the **entropy** $H(p)$:
# it belongs to the data alone. $-\E_p[\log q]$, the mean *negative* log-likelihood of the model, is the
# **cross-entropy**. The divergence is the second minus the first, or
#
# $$
# -\E_p[\log q(x)]=H(p)+\KL{p}{q} .
# $$ (eq-learn-cross-entropy)
#
# Read it twice. On the left is what one can estimate from points, without knowing $p$. On the right
# is a constant plus the divergence that we want small. So with $p=p_\text{data}$ and $q=p_\theta$
#
# $$
# \operatorname*{arg\,max}_\theta\,\E_{p_\text{data}}[\log p_\theta(x)]
#   =\operatorname*{arg\,min}_\theta\,\KL{p_\text{data}}{p_\theta} :
# $$ (eq-learn-ml)
#
# **the likeliest model is the nearest one**, as Kullback and Leibler measure nearness. And the entropy
# is a **bar that no model can pass**: on fresh points, the mean of $-\log p_\theta$ is at least
# $H(p_\text{data})$, up to chance. For images nobody knows the bar. For our toys we do.
#
# (With finitely many points, the mean over them stands in for the expectation. On *training* points
# it can fall below the bar, because the model was fitted to just these points. That is overfitting.)

# %%
entropy = -(log_p.exp() * log_p).sum() * step
torch.manual_seed(0)
fresh = two_bumps(200_000)[:, 0].double()
for name, q in {
    "same mean and variance": made,
    "too narrow": Normal(-0.3, 0.8),
    "too wide": Normal(0.0, 4.0),
}.items():
    cross_entropy = -(log_p.exp() * q.log_prob(line)).sum() * step
    divergence = (log_p.exp() * (log_p - q.log_prob(line))).sum() * step
    torch.testing.assert_close(cross_entropy, entropy + divergence)
    from_points = -q.log_prob(fresh).mean()  # needs no density of the points
    assert abs(from_points - cross_entropy) < 0.02
    print(
        f"{name:23}{cross_entropy:.3f} = {entropy:.3f} + {divergence:.3f} nats"
    )

# %% [markdown]
# Two more facts about the divergence. It does not depend on the **units**. If $y=f(x)$ for an
# invertible, differentiable $f$, then both densities change by the same factor,
# $p_y(y)=p_x(x)/\lvert\det f'(x)\rvert$ and likewise $q_y$, and in the difference of logarithms it
# cancels:
#
# $$
# \KL{p_y}{q_y}=\KL{p_x}{q_x} .
# $$ (eq-learn-invariance)
#
# Cross-entropy and entropy *do* depend on units, both by the same amount ({eq}`eq-image-units` says
# by how much). So a log-likelihood means something only beside another one in the same units. A
# difference of two always does.
#
# And for a Gaussian model the minimum can be found by hand. Let $p$ have mean $\mu$ and variance
# $v$. Since $\E_p[(x-m)^2]=v+(\mu-m)^2$,
#
# $$
# -\E_p\bigl[\log\mathcal{N}(x;m,s^2)\bigr]
#   =\tfrac12\log(2\pi s^2)+\frac{v+(\mu-m)^2}{2s^2} .
# $$
#
# It is least in $m$ at $m=\mu$. Then the derivative with respect to $s^2$, which is
# $\frac{1}{2s^2}-\frac{v}{2s^4}$, is zero at $s^2=v$, negative before and positive after:
#
# $$
# \operatorname*{arg\,min}_{m,s}\,\KL{p}{\mathcal{N}(m,s^2)}:\qquad
# m=\E_p[x],\quad s^2=\operatorname{Var}_p[x] .
# $$ (eq-learn-moments)
#
# **The likeliest Gaussian matches mean and variance, whatever the shape of $p$.** Whether that is
# good news is our next question.
#
# (sec-learn-divergences)=
# ## Three divergences, three opinions
#
# As long as the right density is in the family, every sensible divergence finds it. But models are
# never quite right. Then the divergence decides *how* to be wrong. Here are three candidates. First
# $\KL{p}{q}$, which is maximum likelihood. Second, with the roles exchanged, the **reverse**
# divergence $\KL{q}{p}$. Third, the symmetric **Jensen–Shannon divergence** {cite:p}`lin1991`,
# which compares both with their mixture:
#
# $$
# \operatorname{JS}(p,q)=\tfrac12\KL{p}{m}+\tfrac12\KL{q}{m},\qquad m=\tfrac12(p+q) .
# $$ (eq-learn-js)
#
# It cannot be infinite. As a mean of two divergences it is at least zero, and zero only if $p=m=q$.
# And since $m\ge\tfrac12p$ and $m\ge\tfrac12q$, both logarithms $\log(p/m)$ and $\log(q/m)$ are at
# most $\log2$. So
#
# $$
# 0\le\operatorname{JS}(p,q)\le\log2 ,
# $$ (eq-learn-js-bounds)
#
# and the upper end is reached exactly when $p$ and $q$ live in different places.
#
# We fit a single Gaussian to two bumps, $0.6\,\mathcal{N}(-d,0.5^2)+0.4\,\mathcal{N}(d,0.5^2)$, under
# each of the three. The integrals are sums over a grid, so nothing is random. Each fit starts from
# five places, and the best one counts.
#
# ```{admonition} Predict, then run
# :class: tip
# Draw two separate bumps on paper, and one Gaussian that shall stand for both. Where would you put
# it if *missing* a place where points fall were expensive? Where, if putting mass *where no point
# falls* were?
# ```


# %%
def bumps(d):
    """Log density of the two bumps on the grid, (401,)."""
    return torch.logaddexp(
        math.log(0.6) + Normal(-d, 0.5).log_prob(line),
        math.log(0.4) + Normal(d, 0.5).log_prob(line),
    )


def forward_kl(log_p, log_q):
    """KL(p ‖ q) on the grid: (…, 401) each, to (…)."""
    return (log_p.exp() * (log_p - log_q)).sum(-1) * step


def reverse_kl(log_p, log_q):
    """KL(q ‖ p) on the grid."""
    return forward_kl(log_q, log_p)


def js(log_p, log_q):
    """Jensen–Shannon divergence on the grid, eq-learn-js."""
    log_m = torch.logaddexp(log_p, log_q) - math.log(2)
    return (forward_kl(log_p, log_m) + forward_kl(log_q, log_m)) / 2


def fit_gaussians(divergence, separations):
    """Fit one Gaussian for each separation; return means, stds, values."""
    log_p = torch.stack([bumps(d) for d in separations])[:, None]  # (S, 1, 401)
    d = torch.tensor(separations, dtype=torch.float64)[:, None]
    mean = d * torch.tensor([-1, -1, 0, 0, 1], dtype=torch.float64)  # (S, 5)
    log_std = torch.tensor([0.5, 2, 0.5, 2, 0.5], dtype=torch.float64).log()
    log_std = log_std.repeat(len(d), 1)
    numbers = [mean.requires_grad_(), log_std.requires_grad_()]
    adam = torch.optim.Adam(numbers, lr=0.05)
    for _ in range(400):
        q = Normal(mean[..., None], log_std.exp()[..., None])
        values = divergence(log_p, q.log_prob(line))  # (S, 5)
        adam.zero_grad()
        values.sum().backward()
        adam.step()
    best = values.argmin(1, keepdim=True)
    chosen = [mean, log_std.exp(), values]
    return [t.detach().gather(1, best)[:, 0] for t in chosen]


divergences = {
    "KL(p ‖ q)": forward_kl,
    "KL(q ‖ p), reverse": reverse_kl,
    "Jensen–Shannon": js,
}
separations = [0.5, 1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0]
fitted = {
    name: fit_gaussians(divergence, separations)
    for name, divergence in divergences.items()
}

forward_mean, forward_std, _ = fitted["KL(p ‖ q)"]
for d, mean, std in zip(separations, forward_mean, forward_std, strict=True):
    assert abs(mean - (0.4 - 0.6) * d) < 1e-3  # eq-learn-moments
    assert abs(std - math.sqrt(0.25 + d**2 - (0.2 * d) ** 2)) < 1e-3
print("KL(p ‖ q): mean and variance of the two bumps, at every separation")

for name in ["KL(q ‖ p), reverse", "Jensen–Shannon"]:
    on_one_bump = (fitted[name][1] < 0.6) & (torch.tensor(separations) > 0.5)
    first = separations[on_one_bump.long().argmax()]
    assert on_one_bump[separations.index(first) :].all()
    print(f"{name}: settles on one bump from d = {first} on")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Three panels with the same two grey bumps, the left one larger. Under KL(p, q) the fitted Gaussian is low and broad and spans both bumps, with its top in the gap between them. Under the reverse divergence it sits exactly on the larger bump. Under Jensen–Shannon as well."}, "figure": {"caption": "One Gaussian (line) for two bumps (grey, $d=2.5$), fitted under three divergences. The first covers both and is highest where nothing is. The others choose the larger bump and forget the other.", "name": "fig-learn-divergences"}}


def draw_fits(k):
    """Draw the three fits at separation number k."""
    figure, axes = viz.subplots(1, 3, height=1.9, sharey=True)
    for panel, (name, (means, stds, values)) in zip(
        axes, fitted.items(), strict=True
    ):
        p = bumps(separations[k]).exp()
        q = Normal(means[k], stds[k]).log_prob(line).exp()
        shown = line.abs() < 6
        panel.fill_between(line[shown], p[shown], color="lightgrey")
        panel.plot(line[shown], q[shown], color=viz.style.BLUE)
        panel.set(title=name, ylim=(0, 1), xlabel="$x$")
        panel.text(-5.8, 0.86, f"{abs(values[k]):.2f} nats")
    return figure


draw_fits(separations.index(2.5))

# %% [markdown]
# The two directions of one divergence disagree completely, and the definition says why.
#
# - $\KL{p}{q}$ averages $\log(p/q)$ over *the data's* points. Where $p$ has points and $q$ has almost
#   no density, the logarithm explodes. So $q$ must **cover** all modes, at the price of mass where
#   nothing is. Samples from such a model include impossible ones.
# - $\KL{q}{p}$ averages $\log(q/p)$ over *the model's own* points. Now it is mass where $p$ has none
#   that explodes, and a mode that $q$ never visits is never even looked at. So $q$ **seeks** one mode
#   {cite:p}`minka2005`. Its samples are all fine, and the rest of the world is missing.
# - Jensen–Shannon stands between. It tolerates a wider gap, then lets go as well.
#
# Slide the bumps apart and watch each let go. (It works without a kernel; the frames are part of the
# page.)

# %%
viz.slider(
    [draw_fits(k) for k in range(len(separations))],
    [f"bumps at ±{d:.2f}" for d in separations],
    "distance",
)

# %% [markdown]
# What has this to do with the three families? Autoregressive models maximise the likelihood, so they
# descend the first divergence. VAEs maximise a bound on it. And a GAN's discriminator is tied to the
# third. Write $p/m=2D^*$ and $q/m=2(1-D^*)$ with {eq}`eq-learn-discriminator`, and put both into
# {eq}`eq-learn-js`:
#
# $$
# \operatorname{JS}(p,q)=\log2+\tfrac12\,\E_p\bigl[\log D^*(x)\bigr]
#   +\tfrac12\,\E_q\bigl[\log(1-D^*(x))\bigr] .
# $$ (eq-learn-js-discriminator)
#
# The right side is $\log2$ minus the mean loss of a perfect discriminator. No density appears: a
# *classifier measures the divergence*, from points alone. A discriminator that is not perfect has a
# larger loss, so it measures too little. Our network of {ref}`sec-learn-network`, on fresh points:

# %%
by_quadrature = js(log_p, made.log_prob(line))
torch.manual_seed(1)
loss, _ = loss_and_gradients(*real_and_made(50_000), *bent)
by_network = math.log(2) - loss
assert by_quadrature - 0.02 < by_network < by_quadrature + 0.005
glue("learn-js", f"{by_quadrature:.2f}", display=False)
print(f"by quadrature {by_quadrature:.3f} nats; the network is within 0.02")

# %% [markdown]
# The exact divergence is {glue:text}`learn-js` nats, and a network that saw nothing but points comes
# within 0.02 of it. Chapter 07 builds the game on this equation. One warning in advance: it is tempting to explain
# everything that a GAN does by its divergence, for example that it drops modes. But GANs trained with
# other divergences drop modes too, also with $\KL{p}{q}$, so the game itself must have a share in it
# {cite:p}`goodfellow2016`.
#
# (sec-learn-failure)=
# ## A failure, made on purpose
#
# Perhaps a single Gaussian was unfair. Give the model *two* Gaussians, with weights, means and widths
# of their own. Now the truth is in the family, and every divergence is zero there. Both components
# start near the left bump. We descend the reverse divergence, as one does who can evaluate the
# density and draws from the model only.
#
# ```{admonition} Predict, then run
# :class: tip
# The truth can be expressed exactly. Will the reverse divergence find it? And $\KL{p}{q}$, from the
# same start?
# ```

# %%
target = bumps(3.0)


def mixture(numbers):
    """Log density of two weighted Gaussians on the grid, (401,)."""
    logits, means, log_stds = numbers
    parts = Normal(means[:, None], log_stds.exp()[:, None]).log_prob(line)
    return (logits.log_softmax(0)[:, None] + parts).logsumexp(0)


def fit_mixture(divergence):
    """Fit both Gaussians from a start near the left bump."""
    starts = [[0.0, 0.0], [-4.0, -2.0], [0.0, 0.0]]
    numbers = [
        torch.tensor(s, dtype=torch.float64, requires_grad=True) for s in starts
    ]
    adam = torch.optim.Adam(numbers, lr=0.05)
    losses = []
    for _ in range(1000):
        loss = divergence(target, mixture(numbers))
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    return mixture(numbers).detach(), losses


covering, covering_losses = fit_mixture(forward_kl)
seeking, seeking_losses = fit_mixture(reverse_kl)

right_mass = {
    "KL(p ‖ q)": (covering.exp()[line > 0].sum() * step).item(),
    "reverse": (seeking.exp()[line > 0].sum() * step).item(),
}
assert abs(right_mass["KL(p ‖ q)"] - 0.4) < 1e-3 and covering_losses[-1] < 1e-4
assert right_mass["reverse"] < 1e-6
assert abs(seeking_losses[-1] - math.log(1 / 0.6)) < 1e-3
assert max(seeking_losses[500:]) - min(seeking_losses[500:]) < 1e-3
held_out = forward_kl(target, seeking)
assert 20 < held_out < 40
glue("learn-stuck", f"{math.log(1 / 0.6):.2f}", display=False)
print(f"KL(p ‖ q) puts {right_mass['KL(p ‖ q)']:.1f} of its mass on the right,")
print("the reverse divergence nothing at all, and its loss stays", end=" ")
print(f"at {seeking_losses[-1]:.2f} nats")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Left: two divergences against the training step; KL(p, q) falls to zero within a few hundred steps, the reverse one falls quickly to a dashed line at 0.51 and stays on it. Right: two grey bumps; the model fitted under KL(p, q) lies on both, the one fitted under the reverse divergence only on the left one, too high."}, "figure": {"caption": "A model that could be right. Left: both divergences while descending, each on its own; dashed, $\\log(1/0.6)$. Right: the densities at the end.", "name": "fig-learn-lost"}}
figure, (left, right) = viz.subplots(1, 2, height=2.5)
left.plot(covering_losses, label="KL(p ‖ q)")
left.plot(seeking_losses, label="reverse")
left.axhline(math.log(1 / 0.6), ls="--", lw=1, color="black")
left.set(xlabel="step", ylabel="divergence, nats", ylim=(-0.1, 2))
left.legend()
shown = line.abs() < 6
right.fill_between(line[shown], target.exp()[shown], color="lightgrey")
right.plot(line[shown], covering.exp()[shown], label="KL(p ‖ q)")
right.plot(line[shown], seeking.exp()[shown], label="reverse")
right.set(xlabel="$x$", ylabel="density")
right.legend()
figure

# %% [markdown]
# The number at which the loss stops is no accident. Let $p=w\,p_1+(1-w)\,p_2$, with $p_1$ and $p_2$ in
# different places, and let the model be exactly $p_1$. Where its points fall, $p=w\,p_1$, so
#
# $$
# \KL{p_1}{p}=\E_{p_1}\Bigl[\log\frac{p_1(x)}{w\,p_1(x)}\Bigr]=\log\frac1w .
# $$ (eq-learn-lost)
#
# Losing 40 % of the world costs $\log(1/0.6)\approx$ {glue:text}`learn-stuck` nats, once. Losing half
# of a thousand kinds of images would cost 0.69. And there is no slope that leads out: between the
# bumps $p$ is almost zero, so every component that sets out for the other bump is pushed back.
#
# ```{admonition} Symptom, diagnosis, cure
# :class: warning
#
# **Symptom.** The loss falls fast, then stands perfectly still, a little above zero. Every sample is
# convincing. A whole kind of data never comes, and another start gives another kind. The mean log
# density of *held-out data* is terrible.
#
# **Diagnosis.** The loss is an average over the model's own samples, as in {eq}`eq-learn-lost`. It asks whether
# what the model makes is plausible, and never whether what exists is made. A lost mode costs only
# $\log(1/w)$ and leaves no gradient behind.
#
# **Cure.** Judge a model on held-out data, not only on its own samples: by likelihood where there is
# one, by coverage where there is none. Train with an average over the data if you can; if not, start
# wide, and from several places.
# ```
#
# (sec-learn-ways)=
# ## Three ways to write down a density
#
# A network can compute almost any function. But a density must be positive and integrate to one, and
# nobody can integrate a network over a million axes. The three families of this book are three ways
# around that integral.
#
# **One coordinate at a time.** Any density of many coordinates is a product of densities of *one*:
#
# $$
# p(x_1,\dots,x_D)=p(x_1)\,p(x_2\mid x_1)\cdots p(x_D\mid x_1,\dots,x_{D-1}) .
# $$ (eq-learn-chain)
#
# The product telescopes: $p(x_i\mid x_1,\dots,x_{i-1})$ is $p(x_1,\dots,x_i)/p(x_1,\dots,x_{i-1})$, so
# every numerator meets the next denominator. Integrals over one coordinate are easy. This is an
# **autoregressive** model, and its likelihood is exact. Any order will do; sampling takes one step
# for each coordinate. A recurrent network may carry the past along in a state $h$; the state is
# computed, not drawn, so it adds no randomness and there is nothing to maximise over it.
#
# ```{erratum} E3
# ```
#
# (sec-learn-latent)=
# **A hidden cause.** Draw a code $z$ from something simple, turn it into a simple density $p(x\mid z)$,
# and add up over all codes: $p(x)=\int p(x\mid z)\,p(z)\,\mathrm{d}z$, {eq}`eq-vae-marginal`. Our
# truth is of this kind: its hidden cause is the number of the Gaussian. If $z$ has few values the
# integral is a sum; if it has many dimensions, one climbs a bound. That is the **VAE**, and
# {ref}`ch-vae` derives it. Here we borrow its bound, {eq}`eq-vae-elbo-rate`.
#
# **No density at all.** Let a network turn noise into a point, and never ask how probable that point
# was. Such a model is called **implicit**. It can be drawn from, and {eq}`eq-learn-js-discriminator`
# compares its draws with the data's. That is the **GAN** {cite:p}`goodfellow2014`.
#
# (sec-learn-families)=
# ## All three on one toy
#
# Here they are, each short enough to type. The autoregressive model writes $p(x_1)$ and
# $p(x_2\mid x_1)$ as mixtures of eight Gaussians; a network that outputs the numbers of a mixture is
# called a mixture density network {cite:p}`bishop1994`.


# %%
class Autoregressive(nn.Module):
    """p(x1) p(x2 | x1), each a mixture of Gaussians; eq-learn-chain."""

    def __init__(self, components=8):
        super().__init__()
        self.first = nn.Parameter(torch.zeros(3 * components))
        self.second = nets.mlp((1, 64, 64, 3 * components))
        self.centres = (torch.arange(components) + 0.5) * 4 / components - 2

    def mixture(self, numbers):
        """Three numbers for each component, (…, 3K), to a distribution."""
        logits, shift, log_std = numbers.chunk(3, dim=-1)
        parts = Normal(self.centres + shift, log_std.exp())
        return MixtureSameFamily(Categorical(logits=logits), parts)

    def log_prob(self, x):
        """Points (N, 2) to exact log densities, (N,)."""
        first, second = x.unbind(1)
        given = self.second(first[:, None])
        return self.mixture(self.first).log_prob(first) + self.mixture(
            given
        ).log_prob(second)

    def sample(self, n):
        first = self.mixture(self.first).sample((n,))
        second = self.mixture(self.second(first[:, None])).sample()
        return torch.stack([first, second], dim=1)


# %% [markdown]
# The VAE has codes of two numbers. Its $p(x\mid z)$ is a round Gaussian whose width is learned, one
# number for the whole plane.


# %%
class TinyVAE(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nets.mlp((2, 64, 64, 4))
        self.decoder = nets.mlp((2, 64, 64, 2))
        self.log_std = nn.Parameter(torch.zeros(()))

    def posterior(self, x):
        mean, log_std = self.encoder(x).chunk(2, dim=1)
        return Normal(mean, log_std.exp())

    def likelihood(self, z):
        return Normal(self.decoder(z), self.log_std.exp())

    def elbo(self, x):
        """Points (N, 2) to lower bounds on log p(x), (N,)."""
        q = self.posterior(x)
        rate = kl_divergence(q, Normal(0.0, 1.0)).sum(1)
        return self.likelihood(q.rsample()).log_prob(x).sum(1) - rate

    def sample(self, n):
        return self.likelihood(torch.randn(n, 2)).sample()


# %% [markdown]
# The GAN is two networks and two losses. The discriminator descends {eq}`eq-learn-logistic` on real
# and made points. The generator wants its points to be *taken for real*, so its loss is
# $-\log D=\log(1+e^{-a})$. (Chapter 07 says why it is this one.)

# %%
torch.manual_seed(0)
generator = nets.mlp((2, 64, 64, 2))
discriminator = nets.mlp((2, 128, 128, 1))


def discriminator_loss(step):
    real = step.batch[0]
    fake = generator(torch.randn(len(real), 2))
    return (
        softplus(-discriminator(real)).mean()
        + softplus(discriminator(fake)).mean()
    )


def generator_loss(step):
    fake = generator(torch.randn(len(step.batch[0]), 2))
    return softplus(-discriminator(fake)).mean()


# %% [markdown]
# A measure that needs no likelihood: what share of a model's samples lies in the smallest region that
# holds 95 % of the truth (here: eight discs), and which share falls to each mode? Only a toy
# lets us ask this, because we must know the truth.

# %%
radius = math.sqrt(-2 * math.log(0.05)) * truth.std  # of a disc with 95 %


def region_and_modes(x):
    """Share of samples in the 95 % region; shares of the eight modes."""
    nearest, mode = torch.cdist(x, truth.means).min(1)
    near = mode[nearest < 3 * truth.std]
    return (nearest < radius).float().mean(), near.bincount(minlength=8) / len(
        x
    )


assert abs(region_and_modes(truth.sample(100_000))[0] - 0.95) < 0.005

# %% [markdown]
# {py:func}`genlearn.training.fit` trains all three. It knows objectives, not models: a likelihood is
# one objective, a game is two, and each moves only its own network.


# %%
def train(modules, losses, steps, rate, callbacks=(), **options):
    """Descend each loss with the parameters of the module of its name."""
    objectives = []
    for name, loss in losses.items():
        adam = torch.optim.Adam(modules[name].parameters(), rate, **options)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
        objectives.append(Objective(name, loss, adam, schedule=schedule))
    stream = data.Draws(truth, 256)  # fresh points in every batch
    return fit(
        modules,
        objectives,
        stream,
        steps,
        device="cpu",
        log_every=25,
        callbacks=callbacks,
    )


def train_autoregressive(components):
    torch.manual_seed(0)
    model = Autoregressive(components)
    history = train(
        {"p": model},
        {"p": lambda step: -model.log_prob(step.batch[0]).mean()},
        steps=1000,
        rate=1e-2,
    )
    return model, history


autoregressive, autoregressive_history = train_autoregressive(components=8)

torch.manual_seed(0)
vae = TinyVAE()
vae_history = train(
    {"vae": vae},
    {"vae": lambda step: -vae.elbo(step.batch[0]).mean()},
    steps=2500,
    rate=3e-3,
)


def look():
    """The share of the generator's samples in the 95 % region."""
    share, _ = region_and_modes(generator(torch.randn(4000, 2)))
    return {"region": share.item()}


gan_history = train(
    {"discriminator": discriminator, "generator": generator},
    {"discriminator": discriminator_loss, "generator": generator_loss},
    steps=3000,
    rate=2e-3,
    betas=(0.5, 0.99),
    callbacks=[Evaluate(look, every=100)],
)

# %%
bar = -(log_truth.exp() * log_truth).sum().item() * cell  # entropy, nats
steps, loss = gan_history.series("discriminator/loss")
early = [v for k, v in zip(steps, loss, strict=True) if 500 <= k <= 800]
steps, share = gan_history.series("region")
then = [v for k, v in zip(steps, share, strict=True) if 500 <= k <= 900]
tie = 2 * math.log(2)
assert min(early) > tie - 0.05 and loss[-1] < tie - 0.1
assert sum(then) / len(then) < min(0.65, share[-1])
print("around step 700 the discriminator can tell next to nothing, while more")
print("than a third of the samples lie outside the discs, instead of 5 %;")
print("at the end it can tell more, and more of them lie inside")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Left: negative log-likelihood against training step for the autoregressive model and negative bound for the VAE; the first falls onto a dashed line, the entropy, at 1.7 nats, the second ends about one nat above it. Middle: the two losses of the GAN; for the first thousand steps they lie on dashed lines at 1.39 and 0.69, then they slowly move away from them. Right: the share of the GAN's samples in the 95 percent region; it stays a little above one half in the first thousand steps, then climbs to about 0.7, below a dashed line at 0.95."}, "figure": {"caption": "Which curve tells you that training is done? Left: mean $-\\log p$, or its bound, on fresh points; dashed: the entropy of the truth. Middle: both losses of the GAN; dashed: $2\\log2$ and $\\log2$, their values when real and made are told apart by guessing. Right: how many of the GAN's samples are where they should be.", "name": "fig-learn-curves"}}
figure, axes = viz.subplots(1, 3, height=2.5)
left, middle, right = axes
left.plot(*autoregressive_history.series("p/loss"), label="autoregressive")
left.plot(*vae_history.series("vae/loss"), label="VAE (bound)")
left.axhline(bar, ls="--", color="black", lw=1, label="entropy")
left.set(xlabel="training step", ylabel="nats per point", ylim=(1.2, 4.2))
for name in ["discriminator", "generator"]:
    middle.plot(*gan_history.series(f"{name}/loss"), label=name, lw=1)
for level in [tie, tie / 2]:
    middle.axhline(level, ls="--", color="black", lw=1)
middle.set(xlabel="training step", ylabel="loss, nats", ylim=(0.4, 2))
right.plot(*gan_history.series("region"), color=viz.style.GREEN)
right.axhline(0.95, ls="--", color="black", lw=1)
right.set(xlabel="training step", ylabel="share in the region", ylim=(0, 1))
left.legend()
middle.legend()
figure

# %% [markdown]
# A likelihood has a floor, and you see how far above it you are. The GAN's losses have none. In the
# first thousand steps they sit at the values of a tie, not because the samples are good but because
# the discriminator has not yet found out what is wrong with them. Then it finds out: *its loss falls, the
# generator's rises*, and the samples get better. A tie between two good players looks like a tie
# between two bad ones. So look at the samples.
#
# ```{admonition} Predict, then run
# :class: tip
# The VAE's decoder and the GAN's generator are *continuous* maps from one round cloud of codes. The
# truth has eight separate islands. What must happen between the islands?
# ```

# %% tags=["hide-input"] mystnb={"image": {"alt": "Three maps of the exact density, eight blue spots, each with eight hundred black dots. Autoregressive: the dots fill the spots and little else. VAE: most dots are in wide clouds around the spots, with many between neighbours. GAN: dots are crowded in the spots, with thin threads of dots that lead from spot to spot."}, "figure": {"caption": "Eight hundred samples of each model over the exact density.", "name": "fig-learn-families"}}
torch.manual_seed(0)
with evaluating(autoregressive, vae, generator):
    samples = {
        "autoregressive": autoregressive.sample(10_000),
        "VAE": vae.sample(10_000),
        "GAN": generator(torch.randn(10_000, 2)),
    }
figure, axes = viz.subplots(1, 3, height=2.7)
for panel, (name, drawn) in zip(axes, samples.items(), strict=True):
    draw_map(panel, log_truth.exp())
    panel.scatter(*drawn[:800].T, s=0.6, color="black")
    panel.set(title=name, xlim=(-3.2, 3.2), ylim=(-3.2, 3.2))
figure

# %% [markdown]
# Bridges. A continuous map cannot tear a cloud apart, so some codes must land between islands; the GAN
# makes the bridges thin, the VAE, whose width is the same everywhere, blurs them. A mixture
# can be as good as zero in between and has no such trouble.
#
# Now in numbers. A mode counts as found if it receives at least 2 % of the samples. For the
# *likelihood* each family allows something else:
#
# - the autoregressive model has $\log p_\theta(x)$, so its divergence from the truth is an integral
#   over the plane, or a mean over fresh points;
# - the VAE has a bound, so we get an *upper* bound on its divergence. With many codes for each
#   point the bound can be tightened (chapter 06); we use 300;
# - the GAN has none. With as many codes as coordinates one might still work out its density; with
#   fewer codes than pixels, its images fill so thin a set that there is no density to work out.

# %%
torch.manual_seed(1)
fresh = truth.sample(4000)
with evaluating(autoregressive, vae):
    log_model = autoregressive.log_prob(plane.float())
    by_integral = (log_truth.exp() * (log_truth - log_model)).sum() * cell
    differences = truth.log_prob(fresh) - autoregressive.log_prob(fresh)
    error = differences.std() / math.sqrt(len(fresh))
    assert abs(differences.mean() - by_integral) < 5 * error
    assert 0 < by_integral < 0.05

    vae_bound = (truth.log_prob(fresh) - vae.elbo(fresh)).mean()
    q = vae.posterior(fresh)
    z = q.sample((300,))  # (300, 4000, 2)
    log_weights = (
        vae.likelihood(z).log_prob(fresh)
        + Normal(0.0, 1.0).log_prob(z)
        - q.log_prob(z)
    ).sum(2)
    log_vae = log_weights.logsumexp(0) - math.log(300)
    vae_tight = (truth.log_prob(fresh) - log_vae).mean()
    assert 0.3 < vae_tight < 0.85 < vae_bound < 1.3

region, smallest = {}, {}
for name, drawn in samples.items():
    region[name], shares = region_and_modes(drawn)
    smallest[name] = shares.min()
    assert (shares > 0.02).all()
assert region["autoregressive"] > 0.9
assert 0.6 < region["GAN"] < 0.9 and 0.45 < region["VAE"] < 0.65
assert smallest["autoregressive"] > 0.09 > smallest["GAN"]
glue("learn-bar", f"{bar:.1f}", display=False)
glue("learn-eighth", f"{1 / 8:.1%}", display=False)
print(f"entropy of the truth: {bar:.2f} nats, the bar")
print("modes found: eight of eight, by each model")
print("in the 95 % region: autoregressive > 90 %, GAN > 60 %, VAE > 45 %")
print("KL(truth ‖ autoregressive) < 0.05 nats, by integral and by points")
print("KL(truth ‖ VAE) < 1.3 nats by the bound, < 0.85 with 300 codes a point")
print("KL(truth ‖ GAN): no likelihood, no answer")

# %% [markdown]
# All three found all modes. The autoregressive model is within a twentieth of a nat of the bar of
# {glue:text}`learn-bar` nats. The GAN's samples are more often in the right region than the VAE's, but
# its shares are uneven: each mode should get {glue:text}`learn-eighth`, and the poorest gets less
# than 9 %. No loss curve told us so, and no likelihood could. Part of the VAE's distance was the
# bound's, not the model's.
#
# Do not read this as a ranking of families. A plane is kind to autoregressive models: two coordinates,
# two steps. Budgets and sizes were not equal, and for images other things count; chapter 18 compares at equal budget.
# Read it as a list of *what can be known* about each.
#
# (sec-learn-experiment)=
# ## An experiment: how many components?
#
# The autoregressive model had eight components in each mixture. Change only their number.
#
# ```{admonition} Predict, then run
# :class: tip
# Look at {numref}`fig-learn-task`. How many bumps has the density of $x_1$ alone? How many spots does
# a vertical line meet? Guess the smallest number of components that brings the
# divergence below 0.1 nats, and what a model with *one* will do.
# ```

# %%
trained = {8: autoregressive}
for components in [1, 2, 3, 4]:
    trained[components], _ = train_autoregressive(components)
counts = [1, 2, 3, 4, 8]
distance = {}
with torch.no_grad():
    for components in counts:
        log_model = trained[components].log_prob(plane.float())
        gap = (log_truth.exp() * (log_truth - log_model)).sum() * cell
        distance[components] = gap.item()
assert 1.5 < distance[1] < 1.8 and 0.4 < distance[2] < 0.7
assert distance[3] < 0.1 and distance[4] < 0.1 and distance[8] < 0.05
enough = min(k for k in counts if distance[k] < 0.1)
print(f"below 0.1 nats from {enough} components on")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Left: the divergence from the truth against the number of components, on a logarithmic scale: 1.6 nats with one, 0.5 with two, about 0.05 with three and four, about 0.01 with eight. Middle: the density of the model with one component, a single pale cloud that fills the circle. Right: with two components, a ring in one piece, smeared along the spots."}, "figure": {"caption": "Left: $\\KL{\\text{truth}}{\\text{model}}$ by integration. Middle and right: the densities of the models with one and with two components.", "name": "fig-learn-components"}}
figure, axes = viz.subplots(1, 3, height=2.5, width_ratios=[1.3, 1, 1])
axes[0].semilogy(counts, [distance[k] for k in counts], "o-", ms=4)
axes[0].set_xticks(counts)
axes[0].set(xlabel="components", ylabel="divergence, nats")
with torch.no_grad():
    for panel, components in zip(axes[1:], [1, 2], strict=True):
        density = trained[components].log_prob(plane.float()).exp()
        draw_map(panel, density)
        panel.set(title="1 component" if components == 1 else "2 components")
figure

# %% [markdown]
# With one component each conditional is a Gaussian, and {eq}`eq-learn-moments` decides: mean and
# variance of each slice, so the empty middle is filled. That is mode covering again, now in a plane.
# Three components nearly suffice. The density of $x_1$ alone has five bumps, of which the outer two on
# each side run together. A vertical line can meet four spots at most, and where it does, between two
# columns, they run together in pairs and hardly a point falls. A model needs as much freedom as its *conditionals* have bumps, and that is far less than
# the eight modes of the whole.
#
# ## Exercises
#
# ```{exercise} The way back does not exist
# :label: ex-learn-classifier
# Write down two densities of points and labels on the line which have the same $p(y\mid x)$
# everywhere and different $p(x)$. Could any number of labelled test points tell their classifiers
# apart?
# ```
#
# ````{solution} ex-learn-classifier
# :class: dropdown
# Take any $p(y\mid x)$, for example $\sigma(x)$ for $y=1$, and multiply it once by
# $\mathcal{N}(0,1)$ and once by $\mathcal{N}(5,1)$. Both products are joint densities, and by
# construction both have the same classifier. Nothing can tell two equal functions apart. What differs
# is how often the classifier is *right*, because it is asked different questions.
# ````
#
# ```{exercise} Below the bar
# :label: ex-learn-bar
# A friend's model reports a mean of $-\log p$ on test data that is *below* the entropy of the source.
# Name three explanations which are not magic.
# ```
#
# ````{solution} ex-learn-bar
# :class: dropdown
# By {eq}`eq-learn-cross-entropy` the expectation cannot be below. So: the test sample is small, and the
# mean is below by chance (ask for the standard error); the test points were trained on; the density
# is in other units than the entropy, {eq}`eq-image-units`, or is a density on whole numbers, where a
# spike can be as high as you like (chapter 02); the "density" does not integrate to one.
# ````
#
# ```{exercise} How wrong is the best Gaussian?
# :label: ex-learn-gaussian
# Show that the least value of $\KL{p}{\mathcal{N}(m,s^2)}$ is $\tfrac12\log(2\pi e\,v)-H(p)$, where $v$
# is the variance of $p$. Conclude that among all densities with variance $v$ the Gaussian has the
# largest entropy.
# ```
#
# ````{solution} ex-learn-gaussian
# :class: dropdown
# Put $m=\mu$ and $s^2=v$ into the cross-entropy above {eq}`eq-learn-moments`:
# $\tfrac12\log(2\pi v)+\tfrac12=\tfrac12\log(2\pi e\,v)$. By {eq}`eq-learn-cross-entropy` the
# divergence is this minus $H(p)$. It is never negative, so $H(p)\le\tfrac12\log(2\pi e\,v)$, which is
# the Gaussian's own entropy. (In the cells above: `0.5 * math.log(2 * math.pi * math.e *
# made.variance) - entropy`, and compare with the first printed divergence.)
# ````
#
# ```{exercise} A straight stack
# :label: ex-learn-linear
# Someone stacks ten linear layers of width 64 on two inputs and one output, and forgets the
# activations. How many adjustable numbers has the stack, and how many has the simplest network that
# computes the same functions?
# ```
#
# ````{solution} ex-learn-linear
# :class: dropdown
# $2\cdot64+64$ for the first, eight times $64\cdot64+64$, and $64+1$ for the last: 33,537 numbers. The
# whole is one linear map of two inputs plus a bias: three numbers. (The *path* of gradient descent is
# not the same, so the stack is not quite useless, but its answers are straight.)
# ````
#
# ```{exercise} Why too little?
# :label: ex-learn-js-bound
# Show that for *every* discriminator $D$ the right side of {eq}`eq-learn-js-discriminator`, with $D$ in
# the place of $D^*$, is at most $\operatorname{JS}(p,q)$.
# ```
#
# ````{solution} ex-learn-js-bound
# :class: dropdown
# Under the even mixture $m$ of both sources, the label "real" has probability $D^*(x)$ given $x$. So
# the mean loss of $D$ is $\E_m$ of the cross-entropy between the distributions $(D^*,1-D^*)$ and
# $(D,1-D)$ of the label. By {eq}`eq-learn-cross-entropy` it exceeds that of $D^*$ by
# $\E_m[\KL{D^*}{D}]\ge0$. A larger loss is a smaller right side.
# ````
#
# ```{exercise} Rings
# :label: ex-learn-rings
# Train the autoregressive model on `data.Rings()` instead. How many components does $p(x_2\mid x_1)$
# need now? Find the bar by integration, and see how near you come.
# ```
#
# ````{solution} ex-learn-rings
# :class: dropdown
# A vertical line through the middle crosses three circles six times, so six or more. Replace
# `truth = data.Rings()` (its extent is larger: make `plane` and `cell` anew, with `side` about 400,
# because the rings are thin), widen `centres` to $\pm3$, and train with eight components for a few
# thousand steps. The slices near the edge of a circle, where two crossings run together, are the
# hardest.
# ````
#
# ```{exercise} The other direction
# :label: ex-learn-reverse
# All three models can be drawn from, and here the true density can be evaluated. Which part of
# $\KL{q}{p}$ can you estimate for the GAN, and which not? What does the part say by itself?
# ```
#
# ````{solution} ex-learn-reverse
# :class: dropdown
# $\KL{q}{p}=-H(q)-\E_q[\log p]$. The second mean is `truth.log_prob(samples["GAN"]).mean()`. The entropy
# of the GAN is out of reach. By itself the second mean is a measure of plausibility: a model that
# repeats the centre of one Gaussian for ever gets the best value there is. It must be paired with
# something that measures coverage.
# ````
#
# ## Summary
#
# - How probable, which kind, real or made: three questions. A classifier does not contain a density
#   {eq}`eq-learn-bayes`; a discriminator learns a ratio of two {eq}`eq-learn-discriminator`.
# - A network is linear layers with bends between them {eq}`eq-learn-network`. Its gradients come from
#   the chain rule, backwards {eq}`eq-learn-backward`; training walks down the slope
#   {eq}`eq-learn-descent`.
# - Maximum likelihood minimises $\KL{p_\text{data}}{p_\theta}$ {eq}`eq-learn-ml`, and the entropy is the
#   bar {eq}`eq-learn-cross-entropy`.
# - A model that cannot be right covers everything under $\KL{p}{q}$, settles on a part under
#   $\KL{q}{p}$. A lost mode costs only $\log(1/w)$ {eq}`eq-learn-lost`, and the samples do not show it.
# - Autoregressive models have a likelihood, VAEs a bound, GANs neither. Know which you are looking at
#   before you compare.
#
# ## Further reading
#
# {cite:t}`mackay2003` is the friendliest book on entropy, divergence and inference.
# {cite:t}`ng2001` compare a generative and a discriminative classifier on the same data.
# {cite:t}`minka2005` shows what each divergence does to an approximation, with pictures.
# {cite:t}`theis2016` show that likelihood and the looks of samples can part ways. {cite:t}`goodfellow2016` discusses
# maximum likelihood and the three families from the side of GANs.
