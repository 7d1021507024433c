# %% [markdown]
# (ch-game)=
# # 07 The adversarial game
#
# **Reading** 70 minutes · **Running** under 90 seconds on one CPU thread · **Difficulty** ●●○ ·
# **You need** {ref}`discriminators <sec-learn-kinds>`, the Jensen–Shannon divergence
# {eq}`eq-learn-js`, complex eigenvalues
#
# **Can you learn to forge a banknote if nobody ever shows you one?** You print a note and hand it to
# a clerk. The clerk, who has a drawer of real ones, tells you how suspicious yours looks, and which
# small change would make it look less so. You print another. If the clerk learns from your notes as
# you learn from the clerk's answers, this can end in notes that nobody can tell apart. It can also
# end with a clerk so sharp that you hear only "no", or with two players who chase each other for
# ever. This chapter works out when each of the three happens.
#
# After this chapter you can
#
# - write down the game of a GAN with every sign right, and derive its best discriminator and the
#   value that it reaches;
# - say what each of the two generator losses makes smaller, and when one of them has no slope left;
# - solve a small game by hand, and find the same answer by training;
# - derive why two players who descend at the same time spiral out, why taking turns makes them
#   circle, and what a penalty on the discriminator's slope does about it;
# - write a GAN in forty lines, and find the three mistakes in one that looks like it.
#
# ```{admonition} Five questions first
# :class: tip
#
# 1. A point is real or made, with even chances before you look. What is the probability that it is
#    real once you have seen it?
# 2. Where is $p\log t+q\log(1-t)$ largest, for positive $p$ and $q$?
# 3. How large can a Jensen–Shannon divergence be, and for which pairs of densities?
# 4. With $\sigma(a)=1/(1+e^{-a})$, what is the derivative of $\log(1+e^a)$?
# 5. A map of the plane is $x\mapsto Ax$. What do the eigenvalues of $A$ say about $A^nx$ for large
#    $n$?
#
# If three of them come easily, read on. The answers follow.
# ```
#
# ```{admonition} Answers
# :class: dropdown
#
# 1. $p/(p+q)$, by Bayes' rule: {eq}`eq-learn-discriminator`.
# 2. At $t=p/(p+q)$, where the derivative $p/t-q/(1-t)$ is zero.
# 3. $\log2$, for densities that live in different places: {eq}`eq-learn-js-bounds`.
# 4. $\sigma(a)$. It is the only derivative that you need for the losses of this chapter.
# 5. If all have modulus below one, $A^nx$ goes to zero; if one has modulus above one, almost every
#    $A^nx$ runs away. On the circle between, nothing is decided by them alone.
# ```

# %%
import math
from dataclasses import dataclass

import torch
from torch import nn
from torch.distributions import Normal
from torch.func import grad, jacrev
from torch.nn.functional import softplus

from genlearn import data, losses, models, nets, viz
from genlearn.losses import ADVERSARIAL_LOSSES
from genlearn.training import Callback, Objective, fit

torch.set_num_threads(1)  # models this small are fastest on one thread

# %% tags=["hide-input"] mystnb={"image": {"alt": "Three panels with the same grey bump of real data at zero. Left: the bump of the made points lies two units to the left; the discriminator's curve rises from zero to one between the two, and arrows at the made points lead to the right, the longer the further left they are. Middle: the made points are nearer, the curve is less steep, the arrows shorter. Right: both bumps are the same, the curve is a flat line at one half, and there are no arrows."}, "figure": {"caption": "The idea. Grey: real points. Blue: made points, and which way each is told to go. Dashed: the discriminator, from 0 (surely made) to 1 (surely real). When both densities are the same, it has nothing left to say.", "name": "fig-game-idea"}}
x = torch.linspace(-6, 5, 400)
p = Normal(0.0, 1.0)
figure, axes = viz.subplots(1, 3, height=2.3, sharey=True)
for panel, mean in zip(axes, [-2.0, -1.0, 0.0], strict=True):
    q = Normal(mean, 1.0)
    panel.fill_between(x, p.log_prob(x).exp(), color="lightgrey")
    panel.plot(x, q.log_prob(x).exp())
    best = (p.log_prob(x) - q.log_prob(x)).sigmoid()
    panel.plot(x, best, "--", color=viz.style.ORANGE)
    starts = q.icdf(torch.linspace(0.05, 0.95, 5))
    pull = -mean * (1 - (p.log_prob(starts) - q.log_prob(starts)).sigmoid())
    heights = torch.tensor([-0.06, -0.12, -0.06, -0.12, -0.06])
    for start, length, y in zip(starts, 0.6 * pull, heights, strict=True):
        panel.plot(start, y, ".", color=viz.style.BLUE, ms=5)
        if length > 0:
            panel.annotate(
                "",
                (start + length, y),
                (start, y),
                arrowprops={"arrowstyle": "->", "color": viz.style.BLUE},
            )
    panel.set(xlabel="$x$", xlim=(-5.5, 4.5), ylim=(-0.17, 1.05))
axes[0].set(ylabel="density, and $D(x)$")
figure

# %% [markdown]
# (sec-game-value)=
# ## The game
#
# Two players, each a function with adjustable numbers.
#
# - The **generator** $G$ turns noise $z$, from a fixed distribution such as $\mathcal{N}(0,I)$, into
#   a point $G(z)$. It never sees a real one. The density of its points is called $q$. Nobody can
#   evaluate $q$; one can only draw from it.
# - The **discriminator** $D$ gives each point $x$ a number between 0 and 1: its probability that $x$
#   is real, that is, comes from the data's density $p$, and was not made by $G$.
#
# Let the discriminator be paid as a weather forecaster is: $\log D(x)$ for a real point,
# $\log(1-D(x))$ for a made one. Both are at most zero, and zero only for a forecast which was sure
# and right. Its mean pay is the **value** of the game {cite:p}`goodfellow2014`:
#
# $$
# V(D,G)=\E_{x\sim p}\bigl[\log D(x)\bigr]+\E_{z}\bigl[\log\bigl(1-D(G(z))\bigr)\bigr] .
# $$ (eq-game-value)
#
# The discriminator wants it large, the generator wants it small:
#
# $$
# \min_G\;\max_D\;V(D,G) .
# $$
#
# ```{erratum} E1
# ```
#
# Three remarks on reading this line. The value is in nats, as $\log$ is the natural logarithm. The
# second mean runs over the *noise*, and equally over the made points,
# $\E_z[f(G(z))]=\E_{x\sim q}[f(x)]$: a point is a point, whether you call it $G(z)$ or $x$. And
# only that second mean contains $G$.
#
# A discriminator that always says $\tfrac12$ gets $V=-2\log2\approx-1.39$, whatever the points are.
# A perfect one comes near 0.
#
# ```{erratum} E12
# ```
#
# (sec-game-optimal)=
# ## The best discriminator
#
# Hold the generator still. What should the discriminator answer at a point $x$? Write the value as
# an integral over all points:
#
# $$
# V(D,G)=\int\bigl[\,p(x)\log D(x)+q(x)\log(1-D(x))\,\bigr]\,\mathrm{d}x .
# $$
#
# Suppose that $D$ may be any function. Then what it says at one point does not bind it at another,
# and we may make the bracket as large as possible at each $x$ by itself. With $t=D(x)$ the bracket
# has the derivative $p/t-q/(1-t)$, which is zero at $t=p/(p+q)$ and nowhere else, and the second
# derivative $-p/t^2-q/(1-t)^2$, which is negative. So the zero is the maximum. In terms of the
# **logit** $a=\log\frac{D}{1-D}$, the number that a network computes before the logistic function
# squeezes it, $D=\sigma(a)$, it reads even simpler:
#
# $$
# D^*(x)=\frac{p(x)}{p(x)+q(x)},\qquad a^*(x)=\log\frac{p(x)}{q(x)} .
# $$ (eq-game-optimal)
#
# Chapter 03 found the same answer by Bayes' rule, {eq}`eq-learn-discriminator`. The new part is
# that the *pay* makes a player find it who knows neither $p$ nor $q$. Mind that the pay rewards
# being right about both kinds of points.
#
# ```{erratum} E20
# ```
#
# (sec-game-js)=
# ## The value it reaches
#
# With $m=\tfrac12(p+q)$ we have $D^*=\tfrac12\,p/m$ and $1-D^*=\tfrac12\,q/m$. Put both into
# {eq}`eq-game-value`; each logarithm gives off a $-\log2$, and what stays are two divergences from
# the mixture:
#
# ```{math}
# :label: eq-game-js
# \begin{aligned}
# V(D^*,G)
#   &= \E_p\Bigl[\log\frac{p(x)}{m(x)}\Bigr]+\E_q\Bigl[\log\frac{q(x)}{m(x)}\Bigr]-2\log2 \\
#   &= 2\operatorname{JS}(p,q)-2\log2 .
# \end{aligned}
# ```
#
# So a generator that faces the best discriminator at each moment descends a divergence. It is never
# negative, and zero only for $q=p$. The solution of the game is therefore known: **$q=p$,
# $D=\tfrac12$ everywhere, $V=-2\log2$.** No density had to be evaluated to state the game, and its
# solution is the right density.
#
# What if the discriminator is not the best? At a point $x$ it loses, against $D^*$,
# $p\log\frac{D^*}{D}+q\log\frac{1-D^*}{1-D}$. With $p=2mD^*$ and $q=2m(1-D^*)$ this is $2m$ times the
# divergence between two coins, one that shows heads with probability $D^*$ and one with $D$:
#
# $$
# V(D^*,G)-V(D,G)=2\,\E_{m}\bigl[\KL{D^*(x)}{D(x)}\bigr]\ge0 .
# $$ (eq-game-gap)
#
# A poor discriminator never makes the two densities look further apart than they are. (Chapter 04
# has the same sentence about a poor encoder: there too, a helper is trained to make a bound tight.)
#
# In a world of six possible points all of this can be added up. The discriminator is a table of six
# logits, and we let it climb $V$ by its gradient, with no formula for $D^*$.

# %%
p6 = torch.tensor([0.30, 0.25, 0.20, 0.15, 0.07, 0.03], dtype=torch.float64)
q6 = torch.tensor([0.05, 0.10, 0.15, 0.20, 0.25, 0.25], dtype=torch.float64)


def value(logits):
    """V of a table of logits; log D and log(1 - D) without overflow."""
    return -(p6 * softplus(-logits)).sum() - (q6 * softplus(logits)).sum()


logits = torch.zeros(6, dtype=torch.float64)
early = value(logits + 0.5 * grad(value)(logits))
for _ in range(2000):
    logits = logits + 0.5 * grad(value)(logits)

best = p6 / (p6 + q6)  # eq-game-optimal
torch.testing.assert_close(logits.sigmoid(), best, atol=1e-6, rtol=0)
for found, exact in zip(logits.sigmoid(), best, strict=True):
    print(f"D climbed to {found:.4f}, and p / (p + q) is {exact:.4f}")

m6 = (p6 + q6) / 2
js6 = ((p6 * (p6 / m6).log()).sum() + (q6 * (q6 / m6).log()).sum()) / 2
torch.testing.assert_close(value(logits), 2 * js6 - 2 * math.log(2))
assert early < value(logits)  # a poor discriminator says too little
print(f"V = {value(logits):.4f} and 2 JS - 2 log 2 = ", end="")
print(f"{2 * js6 - 2 * math.log(2):.4f}")

# %% [markdown]
# (sec-game-measured)=
# ### Measured, from points alone
#
# In a larger world $D$ is a network, and a network learns from draws. Does it get there? We take two
# densities on the line that we know, two bumps for the data and one bump for the generator, put the
# latter at several distances, and train a small discriminator against each until it no longer
# improves. It sees points only. {eq}`eq-game-js` then turns its value, on fresh points, into a
# divergence: $\operatorname{JS}\approx\tfrac12V+\log2$. For comparison we integrate the divergence.
#
# ```{admonition} Predict, then run
# :class: tip
# The made bump moves away to the right, from 0 to 7. How will the divergence grow: like the distance,
# like its square, or otherwise? And on which side of the exact curve will the measured dots lie?
# ```


# %%
@dataclass(frozen=True)
class Bumps:
    """0.6 N(-1.5, 0.25) + 0.4 N(1.5, 0.25): the data."""

    def sample(self, n, generator=None):
        left = torch.rand(n, 1, generator=generator) < 0.6
        noise = torch.randn(n, 1, generator=generator)
        return torch.where(left, -1.5, 1.5) + 0.5 * noise

    def log_prob(self, x):
        return torch.logaddexp(
            math.log(0.6) + Normal(-1.5, 0.5).log_prob(x),
            math.log(0.4) + Normal(1.5, 0.5).log_prob(x),
        )


line = torch.linspace(-12, 16, 5601, dtype=torch.float64)
width = line[1] - line[0]
log_p = Bumps().log_prob(line)


def exact_js(log_q):
    """Jensen–Shannon divergence from the data, by integration, nats."""
    log_m = torch.logaddexp(log_p, log_q) - math.log(2)
    of_p = (log_p.exp() * (log_p - log_m)).sum()
    return (of_p + (log_q.exp() * (log_q - log_m)).sum()) * width / 2


def trained_discriminator(made):
    """Train a discriminator between the bumps and a fixed density."""
    torch.manual_seed(0)
    net = nets.mlp((1, 32, 32, 1))
    adam = torch.optim.Adam(net.parameters(), 1e-2)
    steps = 500
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)

    def loss(step):
        fake = made.sample((len(step.batch[0]), 1))
        return losses.cross_entropy_discriminator_loss(
            net(step.batch[0]), net(fake)
        )

    objective = Objective("discriminator", loss, adam, schedule=decay)
    stream = data.Draws(Bumps(), 1024)
    fit({"d": net}, [objective], stream, steps, device="cpu")
    return net


distances = [0.0, 1.0, 2.0, 3.0, 4.0, 5.5, 7.0]
measured, gaps, judges = [], [], {}
torch.manual_seed(1)
for distance in distances:
    made = Normal(distance, 0.8)
    net = judges[distance] = trained_discriminator(made)
    real, fake = Bumps().sample(50_000), made.sample((50_000, 1))
    with torch.no_grad():
        ours = -softplus(-net(real)).mean() - softplus(net(fake)).mean()
        ratios = [Bumps().log_prob(x) - made.log_prob(x) for x in (real, fake)]
        best = -softplus(-ratios[0]).mean() - softplus(ratios[1]).mean()
    measured.append((ours / 2 + math.log(2)).item())
    gaps.append((best - ours).item())  # eq-game-gap, on the same points

js = [exact_js(Normal(d, 0.8).log_prob(line)).item() for d in distances]
assert all(-0.005 < gap < 0.02 for gap in gaps)
assert all(abs(a - b) < 0.02 for a, b in zip(measured, js, strict=True))
assert min(js[-2:]) > 0.99 * math.log(2)
print("seven divergences, from points alone: each within 0.02 nats")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Left: the data's two grey bumps, the made bump in blue at two, and two curves of the discriminator that lie on each other where points fall: the dashed exact one and the solid learned one; both are near one over the left bump, dip between the bumps, where they part a little, and fall to zero right of the second. Right: the Jensen–Shannon divergence against the distance; a curve that stays near 0.28 up to distance one and a half, then climbs, and becomes flat just below a dashed line at log 2 from five on; seven dots lie on it."}, "figure": {"caption": "A discriminator trained on draws. Left: with the made bump at 2; solid: what it learned, dashed: {eq}`eq-game-optimal`. Right: divergence against distance. Line: by integration; dots: $\\tfrac12V+\\log2$ of seven trained discriminators. The dashed line is $\\log2$.", "name": "fig-game-measured"}}
figure, (left, right) = viz.subplots(1, 2, height=2.6)
shown = (line > -4) & (line < 5)
log_q = Normal(2.0, 0.8).log_prob(line)
with torch.no_grad():
    learned = judges[2.0](line[:, None].float())[:, 0].sigmoid()
left.fill_between(line[shown], log_p.exp()[shown], color="lightgrey")
left.plot(line[shown], log_q.exp()[shown])
left.plot(line[shown], learned[shown], color=viz.style.ORANGE, lw=2.5)
left.plot(line[shown], (log_p - log_q).sigmoid()[shown], "--k", lw=1)
left.set(xlabel="$x$", ylabel="density, and $D(x)$")
fine = torch.linspace(0, 7, 71)
right.plot(fine, [exact_js(Normal(d, 0.8).log_prob(line)) for d in fine])
right.scatter(distances, measured, s=22, color="black", zorder=3)
right.axhline(math.log(2), ls="--", lw=1, color="black")
right.set(xlabel="distance", ylabel="divergence, nats", ylim=(0, 0.75))
figure

# %% [markdown]
# The dots lie on the curve: a classifier has measured an integral. (A hair below it, as
# {eq}`eq-game-gap` promises, were it not for the scatter of the fresh points.)
#
# Now look at the right end. From a distance of five on, the curve is flat at $\log2$. The two
# densities are perfectly told apart there, and further away they cannot be told apart any better. A
# generator that stands there and descends this curve has nothing to go by. That is the first thing
# that can go wrong, and the reason why GANs are hardly ever trained as we wrote the game down.
#
# (sec-game-generator)=
# ## Two losses for the generator
#
# The generator's part of the value is its second mean. Written as a loss, it is called
# **saturating**, for a reason that we see in a moment:
#
# $$
# L_\text{sat}=\E_z\bigl[\log\bigl(1-D(G(z))\bigr)\bigr] .
# $$ (eq-game-saturating)
#
# "Make it unlikely that I am caught." One may as well ask "make it likely that I am taken for real".
# That is the **non-saturating** loss, which {cite:t}`goodfellow2014` already recommend:
#
# $$
# L_\text{ns}=-\E_z\bigl[\log D(G(z))\bigr] .
# $$ (eq-game-non-saturating)
#
# Both go down when $D(G(z))$ goes up. How steeply? The generator moves $D$ through its logit $a$. In
# terms of it, $\log(1-\sigma(a))=-\log(1+e^a)$ and $-\log\sigma(a)=\log(1+e^{-a})$, so that
#
# ```{math}
# :label: eq-game-slopes
# \begin{aligned}
# \frac{\partial}{\partial a}\log(1-\sigma(a)) &= -\sigma(a)=-D, \\
# \frac{\partial}{\partial a}\bigl(-\log\sigma(a)\bigr) &= -\sigma(-a)=-(1-D).
# \end{aligned}
# ```
#
# | | caught, $D\to0$ | a tie, $D=\tfrac12$ | taken for real, $D\to1$ |
# | --- | --- | --- | --- |
# | slope of the saturating loss | $0$ | $-\tfrac12$ | $-1$ |
# | slope of the non-saturating loss | $-1$ | $-\tfrac12$ | $0$ |
#
# There is the name: a loss saturates where it has no slope left, and this one saturates where the
# generator is *worst*. Early in training every made point is caught.
#
# ```{erratum} E15
# ```
#
# (A trap in many texts: differentiate $\log(1-D)$ with respect to $D$ and you get $-1/(1-D)$, which
# is $-1$ at $D=0$ and does not vanish. But nothing moves $D$ directly. The missing factor is
# $\mathrm{d}D/\mathrm{d}a=D(1-D)$, and that vanishes.)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Left: two losses against D. The saturating one starts flat at zero for D near zero and plunges as D approaches one. The non-saturating one comes from far above near D zero, falls steeply, and is flat near one. Right: the size of their slopes in the logit against D: two straight lines that cross at one half, the saturating one rising from zero to one, the other falling from one to zero, with dots on both."}, "figure": {"caption": "The two losses of the generator. Left: as functions of $D(G(z))$. Right: the size of their slopes with respect to the logit, {eq}`eq-game-slopes`. Lines: the formulas; dots: automatic differentiation of the library's losses.", "name": "fig-game-slopes"}}
D = torch.linspace(0.002, 0.998, 499)
dots = torch.linspace(0.05, 0.95, 10)
figure, (left, right) = viz.subplots(1, 2, height=2.6)
for name, curve, slope in [
    ("saturating", (1 - D).log(), D),
    ("non-saturating", -D.log(), 1 - D),
]:
    (drawn,) = left.plot(D, curve, label=name)
    right.plot(D, slope, color=drawn.get_color(), label=name)
    by_autograd = torch.stack(
        [grad(ADVERSARIAL_LOSSES[name].generator)(a) for a in dots.logit()]
    )
    exact = dots if name == "saturating" else 1 - dots
    torch.testing.assert_close(-by_autograd, exact)
    right.scatter(dots, -by_autograd, s=14, color=drawn.get_color())
left.set(xlabel="$D(G(z))$", ylabel="loss, nats", ylim=(-5, 5))
right.set(xlabel="$D(G(z))$", ylabel="size of the slope")
left.legend()
figure

# %% [markdown]
# By the chain rule the slope then passes through the discriminator to the point, and through the
# generator to its parameters $\theta$:
#
# ```{math}
# :label: eq-game-chain
# \begin{aligned}
# -\nabla_\theta L
#   &= \E_z\Bigl[\,w\cdot\Bigl(\frac{\partial G(z)}{\partial\theta}\Bigr)^{\!\top}\nabla_x\,a(x)\Bigr]
#   \quad\text{at }x=G(z), \\
# w &= \begin{cases}D(x)&\text{for the saturating loss,}\\
#   1-D(x)&\text{for the non-saturating loss.}\end{cases}
# \end{aligned}
# ```
#
# Each made point is told the same *direction* by both: uphill on the discriminator's logit. Only its
# weight differs. The saturating loss listens to points that already pass, the non-saturating one to
# those that are caught.
#
# (sec-game-divergences)=
# ### What does each of them make smaller?
#
# Let the discriminator be the best one for the generator of this moment, and hold it still while
# the generator takes its step. Write $q_\theta$ for the generator's density, $\theta_0$ for its
# parameters now, $q=q_{\theta_0}$, and $\partial$ for a derivative with respect to $\theta$ at
# $\theta_0$. Two facts are used in every line:
# $\int\partial q_\theta=\partial\!\int q_\theta=\partial1=0$, and
# $\partial\,\E_{q_\theta}[f]=\int f\,\partial q_\theta$ for a fixed $f$.
#
# **The saturating loss.** Differentiate $2\operatorname{JS}=\int p\log\frac pm+\int q\log\frac qm$,
# remembering that $m$ moves too, with $\partial m=\tfrac12\partial q$:
#
# ```{math}
# :label: eq-game-envelope
# \begin{aligned}
# \partial\,2\operatorname{JS}(p,q_\theta)
#   &= \int\partial q\,\log\frac qm+\int\partial q-\int\frac{p+q}{m}\,\partial m \\
#   &= \int\partial q\,\log\frac qm
#    = \int\partial q\,\log\bigl(2(1-D^*)\bigr) \\
#   &= \partial\,\E_{q_\theta}\bigl[\log(1-D^*(x))\bigr] .
# \end{aligned}
# ```
#
# The last two integrals of the first line are $0$ and $\int2\,\partial m=\int\partial q=0$. So its
# gradient *is* that of $2\operatorname{JS}$, although $D^*$ is held still: that $D^*$ would move
# with $\theta$ does not matter to first order, because it sits at a maximum.
#
# **The non-saturating loss.** Split $-\log D^*=\log\frac{p+q}{p}=\log\frac qp-\log\frac q{p+q}$. The
# first part has the derivative of $\KL{q_\theta}{p}$, since
# $\partial\!\int q_\theta\log\frac{q_\theta}p=\int\partial q\,\log\frac qp+\int\partial q$, and the
# second is the line above. Hence {cite:p}`arjovsky2017a`
#
# $$
# \partial\,\E_{q_\theta}\bigl[-\log D^*(x)\bigr]
#   =\partial\,\bigl[\KL{q_\theta}{p}-2\operatorname{JS}(p,q_\theta)\bigr] .
# $$ (eq-game-reverse)
#
# A strange thing to minimise: a divergence *minus* another. Does the generator try to get away from
# the data, a little? Put the parts together before you worry. Since
# $\log\frac qp-\log\frac qm=\log\frac mp$,
#
# ```{math}
# :label: eq-game-softened
# \begin{aligned}
# \KL{q}{p}-2\operatorname{JS}(p,q)
#   &= \E_q\Bigl[\log\frac mp\Bigr]-\E_p\Bigl[\log\frac pm\Bigr] \\
#   &= \E_q\Bigl[\log\frac mp\Bigr]+\E_p\Bigl[\log\frac mp\Bigr]
#    = 2\KL{m}{p} .
# \end{aligned}
# ```
#
# It *is* a divergence, never negative, and zero only for $q=p$; {cite:t}`shannon2020` study it as a
# softened reverse divergence. Its nature can be read off. Where $q$ has mass and $p$ has none, it
# is infinite: every made point must be plausible. Where $p$ has mass and $q$ has none,
# $m=\tfrac12p$, and nothing explodes. Leaving out one half of the data costs about a quarter of a
# nat (the cell below adds it up), less still than the $\log2$ of the reverse divergence
# {eq}`eq-learn-lost`. So a GAN with this loss leans towards dropping modes. (Leans: this is about a
# discriminator that is always the best one. Real ones are not.)

# %%
means = torch.linspace(-2, 3, 6, dtype=torch.float64)
z = torch.linspace(-8, 8, 2001, dtype=torch.float64)
weight = Normal(0, 1).log_prob(z).exp() * (z[1] - z[0])  # of a mean over z


def kl_from_mixture(mean, std):
    """2 KL(m ‖ p), by integration over the line."""
    log_m = torch.logaddexp(log_p, Normal(mean, std).log_prob(line)) - math.log(
        2
    )
    return 2 * (log_m.exp() * (log_m - log_p)).sum() * width


def generator_value(loss, mean, std, frozen):
    """The generator's loss against D* of ``frozen``, as a mean over z."""
    made = mean + std * z
    logit = Bumps().log_prob(made) - frozen.log_prob(made)
    return (weight * (-softplus(logit) if loss else softplus(-logit))).sum()


for mean in means:
    now = Normal(mean, 0.8)
    here = (mean, torch.tensor(0.8, dtype=torch.float64))
    pairs = [
        (True, lambda m, s: 2 * exact_js(Normal(m, s).log_prob(line))),
        (False, kl_from_mixture),
    ]
    for saturating, divergence in pairs:
        ours = grad(generator_value, (1, 2))(saturating, *here, now)
        torch.testing.assert_close(
            ours, grad(divergence, (0, 1))(*here), atol=1e-6, rtol=1e-5
        )
print("at six places of the made bump, for its mean and for its width:")
print("slope of the saturating loss     = slope of 2 JS(p, q)")
print("slope of the non-saturating loss = slope of 2 KL(m ‖ p)")

halves, one_half = torch.tensor([0.5, 0.5]), torch.tensor([1.0, 0.0])
mixed = (halves + one_half) / 2
cost = 2 * (mixed * (mixed / halves).log()).sum()  # 2 KL(m ‖ p)
assert 0.25 < cost < 0.27
print(f"price of leaving out one half: {cost:.2f} nats")

# %% [markdown]
# (sec-game-far)=
# ### Far away
#
# How little is left of the saturating slope, in numbers? Take $p=\mathcal{N}(0,1)$ and a generator
# that can only shift, $G(z)=\theta+z$. The best logit $\log\frac pq$ is
# $\tfrac12(x-\theta)^2-\tfrac12x^2$, which is $\tfrac12\theta^2-\theta x$: a straight line, falling
# by $\theta$ for each unit. So {eq}`eq-game-chain` needs only the mean weight, and
#
# ```{math}
# :label: eq-game-far
# \begin{aligned}
# \frac{\partial L_\text{sat}}{\partial\theta} &= \theta\,\E_q[D^*]
#   \;\le\; \tfrac12\,\theta\,e^{-\theta^2/8}, \\
# \frac{\partial L_\text{ns}}{\partial\theta} &= \theta\,\bigl(1-\E_q[D^*]\bigr) .
# \end{aligned}
# ```
#
# The bound comes from $p+q\ge2\sqrt{pq}$, so that $\E_q[D^*]=\int\frac{pq}{p+q}$ is at most
# $\tfrac12\int\!\sqrt{pq}$, and that integral is $\tfrac12e^{-\theta^2/8}$. One slope dies like the
# tail of a bell curve. The other becomes $\theta$, which is that of $\KL{q}{p}=\tfrac12\theta^2$:
# the further away, the stronger the pull.

# %%
for theta in [2.0, 4.0, 8.0]:
    share = (weight * (-(theta**2) / 2 - theta * z).sigmoid()).sum()
    bound = math.exp(-(theta**2) / 8) / 2
    assert share <= bound
    print(
        f"θ = {theta:.0f}: saturating {theta * share:7.4f}, at most "
        f"{theta * bound:.4f};   non-saturating {theta * (1 - share):.4f}"
    )

# %% tags=["hide-input"] mystnb={"image": {"alt": "Slope against the distance theta from 0 to 10, on a logarithmic axis. The non-saturating slope rises to about ten along a dashed line. The saturating slope rises to about one third near one and a half and then falls ever faster, below one hundred-thousandth at ten, just below a dotted curve, its bound."}, "figure": {"caption": "The pull on a generator at distance $\\theta$ from the data, against the best discriminator. Dashed: the slope $\\theta$ of $\\KL{q}{p}$. Dotted: the bound of {eq}`eq-game-far`.", "name": "fig-game-far"}}
theta = torch.linspace(0.05, 10, 200, dtype=torch.float64)
share = (
    weight * (-(theta[:, None] ** 2) / 2 - theta[:, None] * z).sigmoid()
).sum(1)
figure, axes = viz.subplots(height=2.5)
axes.semilogy(theta, theta * share, label="saturating")
axes.semilogy(theta, theta * (1 - share), label="non-saturating")
axes.semilogy(theta, theta, "--k", lw=1)
axes.semilogy(theta, theta * (-(theta**2) / 8).exp() / 2, ":k", lw=1)
axes.set(xlabel="distance θ", ylabel="slope of the loss", ylim=(1e-6, 30))
axes.legend(loc="lower left")
figure

# %% [markdown]
# (sec-game-solved)=
# ## A game solved by hand
#
# Let the data be $\mathcal{N}(\mu,s^2)$ and the generator linear, $G(z)=m+\sigma z$ with $z$ standard
# normal, so that $q=\mathcal{N}(m,\sigma^2)$. Which discriminator does this game need? By
# {eq}`eq-game-optimal`,
#
# $$
# a^*(x)=\log\frac\sigma s+\frac{(x-m)^2}{2\sigma^2}-\frac{(x-\mu)^2}{2s^2} .
# $$ (eq-game-gaussian)
#
# This is a quadratic function of $x$, with three coefficients. So a discriminator whose logit is
# $w_0+w_1x+w_2x^2$ is *enough*: it contains the best one for every generator of the family. And the
# right generator is in the family, $m=\mu$, $\sigma=s$, with $w=0$ as the answer to it. The game has
# five numbers and a known solution.
#
# First the inner half, by hand and by code: hold the generator at $m=-1$, $\sigma=0.5$, and train the
# three coefficients on draws from it and from $\mathcal{N}(1,1.5^2)$.


# %%
@dataclass(frozen=True)
class Gaussian:
    """Points of the line, (n, 1), from one Gaussian."""

    mean: float
    std: float

    def sample(self, n, generator=None):
        return self.mean + self.std * torch.randn(n, 1, generator=generator)


class Linear(nn.Module):
    """Noise (n, 1) to points m + σ z, (n, 1)."""

    def __init__(self, mean, std):
        super().__init__()
        self.mean = nn.Parameter(torch.tensor(mean))
        self.std = nn.Parameter(torch.tensor(std))

    def forward(self, z):
        return self.mean + self.std * z


class Quadratic(nn.Module):
    """Points (n, 1) to logits w0 + w1 x + w2 x², (n,)."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.zeros(3))

    def forward(self, x):
        return torch.cat([torch.ones_like(x), x, x**2], dim=1) @ self.w


truth, start = Gaussian(1.0, 1.5), (-1.0, 0.5)
torch.manual_seed(0)
gan = models.GAN(Linear(*start), Quadratic(), latent_dim=1)
newton = torch.optim.LBFGS(
    gan.discriminator.parameters(), max_iter=200, line_search_fn="strong_wolfe"
)
real, fake = truth.sample(200_000), gan.sample(200_000)


def closure():
    newton.zero_grad()
    loss = gan.loss.discriminator(*gan.judge(real, fake))
    loss.backward()
    return loss


newton.step(closure)
m, s = start
by_hand = torch.tensor(
    [
        math.log(s / 1.5) + m**2 / (2 * s**2) - 1 / (2 * 1.5**2),
        1 / 1.5**2 - m / s**2,
        1 / (2 * s**2) - 1 / (2 * 1.5**2),
    ]
)
by_code = gan.discriminator.w.detach()
torch.testing.assert_close(by_code, by_hand, rtol=0.03, atol=0.03)
print("by hand:", ", ".join(f"{w:.2f}" for w in by_hand))
print("by code: each of the three within 3 %")

# %% [markdown]
# Now the whole game. We let the generator descend three times from the same start: twice with the
# *exact* best discriminator in every step, once with each loss, and once in earnest, with both
# players learning from draws, turn by turn. {py:class}`genlearn.models.GAN` holds the two players
# and knows their losses; {py:func}`genlearn.training.fit` lets each move its own numbers.
#
# ```{admonition} Predict, then run
# :class: tip
# The start is narrow and far to the left of the data. What will the generator change first, its mean
# or its width? Will the two losses take the same road?
# ```


# %%
class Path(Callback):
    """Write down numbers after each step."""

    def __init__(self, read):
        self.read, self.points = read, [read()]

    def after_step(self, training):
        self.points.append(self.read())

    def tensor(self):
        """All of them, one row a step."""
        return torch.tensor(self.points)


def with_best_discriminator(saturating, steps=400, rate=0.1):
    """Descend one loss, the discriminator exact in each step."""
    here = torch.tensor(start, dtype=torch.float64)
    points = [here]

    def loss(here, now):
        x = here[0] + here[1] * z
        logit = Normal(1.0, 1.5).log_prob(x) - Normal(*now).log_prob(x)
        return (
            weight * (-softplus(logit) if saturating else softplus(-logit))
        ).sum()

    for _ in range(steps):
        here = here - rate * grad(loss)(here, here.detach())
        points.append(here)
    return torch.stack(points)


def adam_and_decay(module, rate, steps):
    """Adam as GANs like it, with little momentum; the rate goes to zero."""
    adam = torch.optim.Adam(module.parameters(), rate, betas=(0.5, 0.99))
    return adam, torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)


def objectives_of(gan, rate, steps, discriminator_loss=None):
    """Two objectives, one for each player; the discriminator goes first."""
    both = []
    for name, loss in {
        "discriminator": discriminator_loss or gan.discriminator_loss,
        "generator": gan.generator_loss,
    }.items():
        adam, decay = adam_and_decay(gan.players[name], rate, steps)
        both.append(Objective(name, loss, adam, schedule=decay))
    return both


torch.manual_seed(0)
gan = models.GAN(Linear(*start), Quadratic(), latent_dim=1)
path = Path(lambda: (gan.generator.mean.item(), gan.generator.std.item()))
fit(
    gan.players,
    objectives_of(gan, 0.02, 1000),
    data.Draws(truth, 512),
    1000,
    device="cpu",
    callbacks=[path],
)
roads = {
    "saturating, best $D$": with_best_discriminator(True),
    "non-saturating, best $D$": with_best_discriminator(False),
    "both learn": path.tensor(),
}
for name, road in roads.items():
    tolerance = 0.05 if name == "both learn" else 0.01
    assert (road[-1] - torch.tensor([1.0, 1.5])).abs().max() < tolerance
assert gan.discriminator.w.abs().max() < 0.05  # nothing left to say
print("three roads, one end: mean 1.0, width 1.5, and a discriminator")
print("whose logit is zero everywhere")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Contours of the Jensen–Shannon divergence over the plane of the generator's mean and width, closing around a cross at mean 1 and width 1.5. From a dot at mean minus 1 and width one half, three roads lead to the cross: two smooth ones with the best discriminator, which differ a little, and a third, taken by two learning players, which swings around before it ends there."}, "figure": {"caption": "A game with a known solution (cross). Grey: contours of $\\operatorname{JS}$ over the generator's two numbers. The roads of the generator: against the best discriminator with either loss, and against one that learns.", "name": "fig-game-gaussian"}}
figure, axes = viz.subplots(height=2.6)
log_target = Normal(1.0, 1.5).log_prob(line)
grid_m, grid_s = torch.linspace(-1.6, 2.4, 41), torch.linspace(0.3, 2.6, 41)
log_q = Normal(
    grid_m.double()[None, :, None], grid_s.double()[:, None, None]
).log_prob(line[::10])
log_m = torch.logaddexp(log_target[::10], log_q) - math.log(2)
contours = (
    (log_target[::10].exp() * (log_target[::10] - log_m)).sum(2)
    + (log_q.exp() * (log_q - log_m)).sum(2)
) * (5 * width)
levels = torch.linspace(0.1, 0.7, 7) ** 2
axes.contour(grid_m, grid_s, contours, levels, colors="lightgrey")
for name, road in roads.items():
    axes.plot(*road.T, label=name)
axes.plot(*start, "o", color="black", ms=5)
axes.plot(1.0, 1.5, "x", color="black", ms=8, mew=2)
axes.set(xlabel="mean $m$", ylabel="width $\\sigma$")
axes.legend(loc="upper left")
figure

# %% [markdown]
# All three arrive. The road with the saturating loss follows the slope of the divergence; the
# non-saturating one is another road downhill, {eq}`eq-game-softened`. The third swings, because the
# discriminator is always a little behind, and arrives all the same. Remember this swing.
#
# (sec-game-algorithm)=
# ## The algorithm
#
# ````{prf:algorithm} Generative adversarial network
# :label: alg-game
#
# **Input** data $x$, a generator $G$, a discriminator with logit $a$, an optimiser for each
#
# Repeat until the samples are good, or the budget is spent:
#
# 1. **The discriminator's turn.** Draw a batch of real points and as many noise vectors. Make points
#    $G(z)$, and treat them as given: no gradient into $G$. Step down $-V$, which is the mean of
#    $\log(1+e^{-a(x)})$ over the real points plus the mean of $\log(1+e^{a(G(z))})$, with the
#    numbers of $D$.
# 2. **The generator's turn.** Draw fresh noise. Step down $L_\text{ns}$, the mean of
#    $\log(1+e^{-a(G(z))})$, with the numbers of $G$. The gradient passes *through* $D$ and leaves $D$
#    unchanged.
#
# **To generate**, forget the discriminator: draw $z$, return $G(z)$.
# ````
#
# ```{erratum} E21
# ```
#
# There are two objectives and two optimisers, and neither loss need ever become small. At the
# solution the discriminator's loss is $2\log2$ and the generator's $\log2$; but both have these
# values also when neither player can do anything. A GAN's losses say who is ahead, not how good the
# samples are.
#
# (sec-game-losses)=
# ### The losses as code
#
# In {py:mod}`genlearn.losses` each loss is a function from the discriminator's outputs, of shape
# `(N,)`, to one number that its player makes smaller, in nats. `ADVERSARIAL_LOSSES` pairs them by
# name.
#
# | name | discriminator's loss | generator's loss | both at a tie |
# | --- | --- | --- | --- |
# | `"saturating"` | $-V$ | {eq}`eq-game-saturating` | $2\log2$, $-\log2$ |
# | `"non-saturating"` | $-V$ | {eq}`eq-game-non-saturating` | $2\log2$, $\log2$ |
#
# (Its others, `"least-squares"`, `"hinge"` and `"wasserstein"`, play other games; chapter 09 is
# theirs.) Why logits, and not probabilities? Try the obvious way in single precision.

# %%
a = torch.tensor([20.0], requires_grad=True)
naive = (1 - a.sigmoid()).log()  # log(1 - D), with D rounded to 1
assert naive.item() == -math.inf
whole = losses.saturating_generator_loss(a)
whole.backward()
assert abs(whole.item() + 20) < 1e-5 and abs(a.grad.item() + 1) < 1e-5
tie = torch.zeros(8)
for name in ["saturating", "non-saturating"]:
    pair = ADVERSARIAL_LOSSES[name]
    of_d, of_g = pair.discriminator(tie, tie), pair.generator(tie)
    print(f"{name:15} at a tie: {of_d:.3f} and {of_g:+.3f} nats")
print("at logit 20: log(1 - D) is -inf by way of D, and -20 by the logit")

# %% [markdown]
# ### Label smoothing
#
# A discriminator that is sure of itself has large logits and a generator with bad advice. One
# remedy is to ask for less: let the target of a real point be $1-\alpha$ instead of 1, the option
# `smoothing`. Step by step as above, the bracket is now
# $(1-\alpha)\,p\log t+(\alpha p+q)\log(1-t)$, and its maximum is at
#
# $$
# D^*_\alpha(x)=(1-\alpha)\,\frac{p(x)}{p(x)+q(x)} .
# $$ (eq-game-smoothing)
#
# The same function of $x$, capped at $1-\alpha$; every logit is below $\log\frac{1-\alpha}\alpha$.
# Why smooth only the one side {cite:p}`salimans2016`? With a target $\beta$ for made points the
# numerator becomes $(1-\alpha)p+\beta q$: where $p$ is almost zero the answer would be about
# $\beta$, flat, and the generator would be told nothing just where it is wrong.
# {ref}`ex-game-smoothing` works it out.
#
# (sec-game-scratch)=
# ## From scratch
#
# Here is {prf:ref}`alg-game`, whole, for points around a circle. The circle is one connected thing,
# as the noise is, and the generator need not tear anything apart.

# %%
circle = data.Rings(radii=(2.0,), std=0.2)


def network(inputs, outputs):
    return nn.Sequential(
        nn.Linear(inputs, 64),
        nn.ReLU(),
        nn.Linear(64, 64),
        nn.ReLU(),
        nn.Linear(64, outputs),
    )


torch.manual_seed(0)
G, D = network(2, 2), network(2, 1)
adam_G = torch.optim.Adam(G.parameters(), 2e-3, betas=(0.5, 0.99))
adam_D = torch.optim.Adam(D.parameters(), 2e-3, betas=(0.5, 0.99))


def move_discriminator(real, z):
    """real: points (n, 2), scaled; z: noise (n, 2)."""
    with torch.no_grad():
        fake = G(z)
    loss = softplus(-D(real)).mean() + softplus(D(fake)).mean()
    adam_D.zero_grad()
    loss.backward()
    adam_D.step()


def move_generator(z):
    loss = softplus(-D(G(z))).mean()
    adam_G.zero_grad()
    loss.backward()
    adam_G.step()


def play(rounds):
    for _ in range(rounds):
        move_discriminator(circle.sample(256) / 2, torch.randn(256, 2))
        move_generator(torch.randn(256, 2))


# %% [markdown]
# The library's model of the same size is `models.GAN.mlp`, and it is trained by `fit`. Are they the
# same? Copy the weights. `fit` seeds each draw by its number, so we can hand our two functions the
# same points and the same noise, and compare all weights after twenty rounds.

# %%
gan = models.GAN.mlp(latent_dim=2, hidden=(64, 64), unit=2.0)
for ours, theirs in [(G, gan.generator), (D, gan.discriminator)]:
    theirs.load_state_dict(
        dict(zip(theirs.state_dict(), ours.state_dict().values(), strict=True))
    )
objectives = [
    Objective(
        name,
        loss,
        torch.optim.Adam(gan.players[name].parameters(), 2e-3, (0.5, 0.99)),
    )
    for name, loss in [
        ("discriminator", gan.discriminator_loss),
        ("generator", gan.generator_loss),
    ]
]
stream = data.Draws(circle, 256)
fit(gan.players, objectives, stream, 20, device="cpu", seed=0)


def noise_of(draw):
    torch.manual_seed(data.derive_seed(0, draw))
    return torch.randn(256, 2)


for turn in range(20):
    (real,) = stream.at(2 * turn)
    move_discriminator(real / 2, noise_of(2 * turn))
    move_generator(noise_of(2 * turn + 1))

for ours, theirs in [(G, gan.generator), (D, gan.discriminator)]:
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-5)
print("after twenty rounds all weights agree")

# %% [markdown]
# Forty lines, and they agree with the library. Now let them play.
#
# ```{admonition} Predict, then run
# :class: tip
# The circle is easy: noise is connected, the circle is connected, the networks are large enough.
# After a thousand rounds, will the points lie all around it?
# ```


# %%
class Snapshots(Callback):
    """Keep what the generator makes of the same noise, at some steps."""

    def __init__(self, gan, steps):
        self.gan, self.steps, self.samples = gan, steps, {}
        self.noise = torch.randn(600, gan.latent_dim)

    def after_step(self, training):
        if training.step in self.steps:
            self.samples[training.step] = self.gan.sample(600, self.noise)


def train_on_circle(seed, gamma=0.0, steps=1000, snapshots=()):
    """Train a GAN of points; with γ > 0, R1 with that weight."""
    torch.manual_seed(seed)
    gan = models.GAN.mlp(latent_dim=2, hidden=(64, 64), unit=2.0)

    def penalty(critic, real, fake):
        return gamma * losses.zero_centred_penalty(critic, real)

    def discriminator_loss(step):
        return gan.discriminator_loss(step, penalty if gamma else None)

    kept = Snapshots(gan, snapshots)
    fit(
        gan.players,
        objectives_of(gan, 2e-3, steps, discriminator_loss),
        data.Draws(circle, 256, seed),
        steps,
        seed=seed,
        device="cpu",
        callbacks=[kept],
    )
    return gan, kept.samples


def sectors(points):
    """How evenly points lie around: shares of twelve sectors, times 12."""
    angle = torch.atan2(points[:, 1], points[:, 0]) / (2 * math.pi) + 0.5
    sector = (12 * angle).long().clamp(max=11)
    return sector.bincount(minlength=12) * 12 / len(points)


times = [500, 520, 540, 560, 580]
plain, snapshots = train_on_circle(seed=0, snapshots=times)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Five snapshots of the made points over a pale ring, twenty rounds apart. In none do the points fill the ring: they lie in a streak across it, then at its lower right, then in a streak again."}, "figure": {"caption": "The plain GAN, twenty rounds between one picture and the next. The same noise each time.", "name": "fig-game-chase"}}


def draw_circle(axes, points, title):
    """Draw made points over the ring that they should fill."""
    angle = torch.linspace(0, 2 * math.pi, 200)
    ring = torch.stack([angle.cos(), angle.sin()], dim=1)
    axes.plot(*(2 * ring).T, color="lightgrey", lw=9)
    axes.scatter(*points.T, s=1.5, color="black", zorder=3)
    axes.set(xlim=(-3.2, 3.2), ylim=(-3.2, 3.2), xticks=[], yticks=[])
    axes.set(aspect="equal", title=title)


figure, axes = viz.subplots(1, 5, height=1.8)
for panel, (when, points) in zip(axes, snapshots.items(), strict=True):
    draw_circle(panel, points, f"round {when}")
figure

# %% [markdown]
# They know where the circle is, and they do not stay. The points crowd where the discriminator
# misses them; by the time they arrive, it has learned to expect them there, and they leave. Nothing
# is broken: the losses are right, the code is right, the networks are large enough, and the solution
# is where {eq}`eq-game-js` says. The players just do not walk into it.
#
# (sec-game-order)=
# ## Two numbers that chase each other
#
# To see why, take the smallest GAN which has the ailment, the **Dirac-GAN** of
# {cite:t}`mescheder2018`. All real points are at 0. The generator puts all of its points at one place
# $\theta$, whatever the noise. The discriminator's logit is a straight line, $a(x)=\psi x$. The
# right answer is $\theta=0$, and then nothing is left to tell: $\psi=0$. Up to a constant the value
# is
#
# $$
# V(\theta,\psi)=-f(\psi\theta)+\text{const},\qquad
# f(t)=\begin{cases}\log(1+e^t)&\text{cross-entropy,}\\t&\text{Wasserstein,}\end{cases}
# $$ (eq-game-dirac)
#
# where the second line is the game of chapter 09, in which the discriminator, then called a critic,
# is paid $\E_p[a]-\E_q[a]$. The slope of $f$ at zero will be needed all the time: call it $c$. It is
# $\tfrac12$ for the first and $1$ for the second.
#
# **Infinitely small steps.** Let both walk along their slopes, $\theta$ down and $\psi$ up:
#
# ```{math}
# :label: eq-game-flow
# \begin{aligned}
# \dot\theta &= f'(\psi\theta)\,\psi,\qquad \dot\psi=-f'(\psi\theta)\,\theta, \\
# \frac{\mathrm{d}}{\mathrm{d}t}\bigl(\theta^2+\psi^2\bigr) &= 2\theta\dot\theta+2\psi\dot\psi=0 .
# \end{aligned}
# ```
#
# They stay at one distance from the solution for ever, and go round it. The discriminator leans
# against the generator, the generator runs over to the other side, the discriminator turns round.
#
# **Both at the same time** (`order="simultaneous"` in `fit`). Now take steps of size $h$, both from
# the same position: $\theta\leftarrow\theta+hf'\psi$ and $\psi\leftarrow\psi-hf'\theta$, with
# $f'=f'(\psi\theta)$. Square and add; the mixed terms cancel:
#
# $$
# \theta^2+\psi^2\;\longleftarrow\;\bigl(1+h^2f'(\psi\theta)^2\bigr)\bigl(\theta^2+\psi^2\bigr) .
# $$ (eq-game-simultaneous)
#
# Every step leads outwards, from everywhere, however small $h$ is. Near the solution, with $k=hc$,
# the step is the matrix $\begin{pmatrix}1&k\\-k&1\end{pmatrix}$ with eigenvalues $1\pm ik$, of
# modulus $\sqrt{1+k^2}$.
#
# **In turns** (`order="alternating"`, the default). The discriminator moves first and the generator
# answers its *new* position, which is what {prf:ref}`alg-game` does. Near the solution
# $\psi\leftarrow\psi-k\theta$, and then
# $\theta\leftarrow\theta+k\psi=\theta+k(\psi_\text{old}-k\theta)$. As a matrix on $(\theta,\psi)$:
#
# $$
# A=\begin{pmatrix}1-k^2&k\\-k&1\end{pmatrix},\qquad
# \lambda=1-\tfrac12k^2\pm ik\sqrt{1-\tfrac14k^2} .
# $$ (eq-game-alternating)
#
# The eigenvalues solve $\lambda^2-(2-k^2)\lambda+1=0$: the trace is $2-k^2$, and the determinant is
# $(1-k^2)+k^2=1$. For $k<2$ they are conjugate, so their product $|\lambda|^2$ is that
# determinant: **the modulus is exactly one.** Taking turns no longer spirals out, and does not
# spiral in either. (For $k>2$ both are real, and one of them is below $-1$.) A modulus of one
# decides nothing about what a bent $f$ does further out; the portraits below show that. For
# $f(t)=t$ the matrix is the whole truth, and one can name the curve that the players stay on:
#
# $$
# Q(\theta,\psi)=\theta^2+\psi^2-h\,\theta\psi
# \quad\text{is the same after every round.}
# $$ (eq-game-invariant)
#
# To check it, let $\psi'=\psi-h\theta$ be the new slope and $\theta'=\theta+h\psi'$. Put
# $\psi=\psi'+h\theta$ into $Q$ before the round and $\theta'$ into $Q$ after it: both times the
# result is $\theta^2+\psi'^2+h\theta\psi'$. For $h<2$ the curve $Q=\text{const}$ is an ellipse.
#
# (sec-game-r1)=
# ### A brake
#
# What is missing is friction. Charge the discriminator for the *slope* of its logit at the real
# points: subtract $\tfrac\gamma2\,\E_p\lVert\nabla a(x)\rVert^2$ from its pay. This penalty is called
# **R1** {cite:p}`mescheder2018`; chapter 09 studies it and its relatives. In the Dirac-GAN the slope
# is $\psi$ everywhere, so the penalty is $\tfrac\gamma2\psi^2$ and the discriminator's step gets one
# more term: $\psi\leftarrow\psi-k\theta-h\gamma\psi$. The two matrices become
#
# ```{math}
# :label: eq-game-r1
# \begin{aligned}
# \text{same time:}\quad&
#   \begin{pmatrix}1&k\\-k&1-h\gamma\end{pmatrix}, &
#   \det&=1-h\gamma+k^2, \\
# \text{in turns:}\quad&
#   \begin{pmatrix}1-k^2&k(1-h\gamma)\\-k&1-h\gamma\end{pmatrix}, &
#   \det&=1-h\gamma .
# \end{aligned}
# ```
#
# Wherever the eigenvalues are complex, the modulus is $\sqrt{\det}$. In turns that is
# $\sqrt{1-h\gamma}<1$: *any* $\gamma>0$ leads inwards. If both move at the same time, the brake must
# beat the spiral, $h\gamma>k^2$. A real $2\times2$ matrix with trace $T$ and determinant $\Delta$ has
# both eigenvalues inside the unit circle exactly if $\Delta<1$ and $|T|<1+\Delta$. Put in both:
#
# ```{math}
# :label: eq-game-range
# \begin{aligned}
# \text{same time:}\quad& h<\frac{\gamma}{c^2}\quad\text{and}\quad 2h\gamma-h^2c^2<4, \\
# \text{in turns:}\quad& 2h\gamma+h^2c^2<4 .
# \end{aligned}
# ```
#
# Let us not trust a page of algebra. Below, one round is computed by automatic differentiation of the
# game itself, and so is its Jacobian.


# %%
def one_round(players, h, order="alternating", gamma=0.0, f=softplus):
    """Move both players once; players: θ and ψ, shape (2,)."""

    def game(theta, psi):
        return -f(psi * theta)  # eq-game-dirac

    theta, psi = players
    new_psi = psi + h * (grad(game, 1)(theta, psi) - gamma * psi)
    seen = new_psi if order == "alternating" else psi
    new_theta = theta - h * grad(game, 0)(theta, seen)
    return torch.stack([new_theta, new_psi])


def identity(t):
    """The Wasserstein game's f."""
    return t


solution, h = torch.zeros(2, dtype=torch.float64), 0.5
for order in ["simultaneous", "alternating"]:
    for gamma in [0.0, 0.2]:
        jacobian = jacrev(one_round)(solution, h, order, gamma)
        k, brake = h / 2, h * gamma
        if order == "simultaneous":
            derived = [[1, k], [-k, 1 - brake]]
        else:
            derived = [[1 - k**2, k * (1 - brake)], [-k, 1 - brake]]
        torch.testing.assert_close(jacobian, torch.tensor(derived).double())
        modulus = torch.linalg.eigvals(jacobian).abs()
        torch.testing.assert_close(modulus[0], modulus[1])  # a complex pair
        print(f"{order:12} γ = {gamma}: modulus {modulus[0]:.4f}")

# %% tags=["hide-input"] mystnb={"image": {"alt": "The larger modulus of the two eigenvalues against the step size h from 0 to 5, four curves. Simultaneous: above one from the start and rising. Alternating: exactly one up to h equal to 4, then rising steeply. Simultaneous with R1: below one up to h equal to 1.2, then above. Alternating with R1: below one for all steps up to about 3, then rising steeply. Dotted vertical lines mark the two limits."}, "figure": {"caption": "How far one round brings the players from the solution, as a factor, against the size of their steps ($c=\\tfrac12$, $\\gamma=0.3$). Below one they arrive. Dotted: the limits of {eq}`eq-game-range`.", "name": "fig-game-range"}}
sizes = torch.linspace(0.01, 5, 300, dtype=torch.float64)
figure, axes = viz.subplots(height=2.7)
for order in ["simultaneous", "alternating"]:
    for gamma in [0.0, 0.3]:
        jacobians = torch.stack(
            [jacrev(one_round)(solution, s, order, gamma) for s in sizes]
        )
        largest = torch.linalg.eigvals(jacobians).abs().amax(1)
        axes.plot(sizes, largest, label=order + (", R1" if gamma else ""))
limits = [0.3 / 0.25, 4 * (math.sqrt(0.3**2 + 1) - 0.3)]
for limit in limits:
    axes.axvline(limit, ls=":", color="black", lw=1)
axes.axhline(1, color="black", lw=0.6)
axes.set(xlabel="step size $h$", ylabel="largest modulus", ylim=(0.4, 2))
axes.legend(loc="upper left")
figure

# %% [markdown]
# ### Phase portraits
#
# Now with the library: the same `GAN` and the same `fit` that train networks, on players of one
# number each, with plain gradient descent.
#
# ```{admonition} Predict, then run
# :class: tip
# Four games start at $\theta=1$, $\psi=0$. Draw the four paths of $(\theta,\psi)$ before you look:
# both at the same time; in turns; the Wasserstein game in turns, with $\psi$ cut off at $\pm0.5$
# after each step (as the first Wasserstein GAN did); and with R1.
# ```


# %%
@dataclass(frozen=True)
class Fixed:
    """Always the same points, (n, 1)."""

    points: torch.Tensor

    def sample(self, n, generator=None):
        return self.points


class Spot(nn.Module):
    """A generator that puts the same points at θ, whatever the noise."""

    def __init__(self, points, theta):
        super().__init__()
        self.points, self.theta = points, nn.Parameter(torch.tensor(theta))

    def forward(self, z):
        return self.theta + self.points


class Slope(nn.Module):
    """A discriminator with the logit ψ x."""

    def __init__(self):
        super().__init__()
        self.psi = nn.Parameter(torch.zeros(()))

    def forward(self, x):
        return self.psi * x[:, 0]


def chase(
    h,
    steps,
    order="alternating",
    loss="saturating",
    gamma=0.0,
    limit=None,
    points=None,
    start=1.0,
):
    """Play through ``fit``; return θ and ψ after each round, (steps + 1, 2)."""
    points = torch.zeros(1, 1) if points is None else points
    gan = models.GAN(
        Spot(points, start),
        Slope(),
        latent_dim=1,
        loss=ADVERSARIAL_LOSSES[loss],
    )

    def penalty(critic, real, fake):
        return gamma * losses.zero_centred_penalty(critic, real)

    def clip():
        if limit is not None:
            losses.clip_weights(gan.discriminator, limit)

    players = {
        "discriminator": lambda step: gan.discriminator_loss(step, penalty),
        "generator": gan.generator_loss,
    }
    objectives = [
        Objective(
            name,
            loss,
            torch.optim.SGD(gan.players[name].parameters(), h),
            after_step=clip if name == "discriminator" else None,
        )
        for name, loss in players.items()
    ]
    path = Path(
        lambda: (gan.generator.theta.item(), gan.discriminator.psi.item())
    )
    stream = data.Draws(Fixed(points), len(points))
    fit(
        gan.players,
        objectives,
        stream,
        steps,
        order=order,
        device="cpu",
        callbacks=[path],
    )
    return path.tensor()


portraits = {
    "same time": chase(0.3, 150, "simultaneous"),
    "in turns": chase(0.3, 150),
    "Wasserstein, cut off": chase(0.15, 150, loss="wasserstein", limit=0.5),
    "in turns, R1": chase(0.3, 150, gamma=0.3),
}
radius = {name: path.norm(dim=1) for name, path in portraits.items()}
outward = radius["same time"]
assert (outward.diff() > 0).all() and outward[-1] > 2
theta, psi = portraits["same time"].T
growth = (1 + 0.3**2 * (psi * theta).sigmoid() ** 2).sqrt()
torch.testing.assert_close(outward[1:], (outward * growth)[:-1])
assert radius["in turns"].min() > 0.8 and radius["in turns"].max() < 1.2
assert radius["Wasserstein, cut off"][-60:].max() > 0.5
assert radius["in turns, R1"][-1] < 0.01
exact = chase(0.15, 150, loss="wasserstein")
invariant = exact.square().sum(1) - 0.15 * exact.prod(1)
torch.testing.assert_close(invariant, torch.ones(151), atol=1e-4, rtol=0)
print("same time: every round outwards, by the derived factor")
print("in turns: round and round;  Wasserstein: on its ellipse")
print("with R1: within 0.01 of the solution")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Four planes of theta and psi with small arrows that circle clockwise around a cross at zero, and a path from the point (1, 0) in each. Same time: a spiral outwards. In turns: a closed round curve. Wasserstein with the critic cut off: the path goes down to minus one half, runs along that limit, and then circles inside it for ever. R1: the arrows lean inwards and the path is a short spiral that ends in the cross."}, "figure": {"caption": "Four games on the Dirac-GAN, each from the dot; the solution is the cross. Arrows: the way infinitely small steps would take.", "name": "fig-game-portraits"}}


def draw_field(axes, reach, gamma=0.0, slope=torch.sigmoid):
    """Draw the directions of eq-game-flow, with the brake of R1."""
    ticks = torch.linspace(-0.9 * reach, 0.9 * reach, 7)
    theta, psi = torch.meshgrid(ticks, ticks, indexing="xy")
    strength = slope(psi * theta)
    u, v = strength * psi, -strength * theta - gamma * psi
    length = torch.hypot(u, v).clamp(min=1e-6)
    axes.quiver(
        theta,
        psi,
        u / length,
        v / length,
        color="darkgrey",
        pivot="mid",
        scale=11,
        width=0.008,
    )
    axes.plot(0, 0, "+", color="black", ms=9, mew=1.5)
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    axes.set(xlabel="$\\theta$")


figure, axes = viz.subplots(1, 4, height=2.3)
for panel, (name, path) in zip(axes, portraits.items(), strict=True):
    reach = 2.6 if name == "same time" else 1.4
    draw_field(
        panel,
        reach,
        gamma=0.3 if "R1" in name else 0.0,
        slope=torch.ones_like if "Wasserstein" in name else torch.sigmoid,
    )
    panel.plot(*path.T, lw=1.1)
    panel.plot(*path[0], "o", color=viz.style.BLUE, ms=5)
    panel.set(title=name)
axes[0].set(ylabel="$\\psi$")
figure

# %% [markdown]
# Cutting off the critic does not help either: whatever the limit, the players end up circling inside
# it. The brake is what brings them home.
#
# Step through three of these games yourself. They are Wasserstein games, with $h=2\sin(\pi/8)$. By
# {eq}`eq-game-alternating` the eigenvalues are then $e^{\pm i\pi/4}$: eight rounds are one full turn,
# *exactly*, and nobody has learned anything. (It works without a kernel; the frames are part of the
# page.)

# %%
eighth = 2 * math.sin(math.pi / 8)
games = {
    "same time": ("simultaneous", 0.0),
    "in turns": ("alternating", 0.0),
    "in turns, R1": ("alternating", 0.5),
}
paths = {}
for title, (order, gamma) in games.items():
    path = [torch.tensor([0.5, 0.0], dtype=torch.float64)]
    for _ in range(8):
        path.append(one_round(path[-1], eighth, order, gamma, identity))
    paths[title] = torch.stack(path)
torch.testing.assert_close(paths["in turns"][8], paths["in turns"][0])


def draw_round(k):
    """Above: the paths so far. Below: what the two players look like."""
    figure, axes = viz.subplots(2, 3, height=2.7, height_ratios=[1, 0.45])
    figure.set_size_inches(5.4, 2.7)
    for above, below, (title, path) in zip(*axes, paths.items(), strict=True):
        reach = 3 if title == "same time" else 1
        above.plot(0, 0, "+", color="black", ms=9, mew=1.5)
        above.plot(*path[: k + 1].T, ".-", lw=1, ms=4)
        theta, psi = path[k].tolist()
        above.plot(theta, psi, "o", color=viz.style.BLUE, ms=6)
        ends = torch.tensor([-reach, reach])
        below.plot(ends, psi * ends, "--", color=viz.style.ORANGE)
        below.plot(0, 0, "s", color="grey", ms=7)
        below.plot(theta, 0, "o", color=viz.style.BLUE, ms=6)
        for panel in (above, below):
            panel.set(xlim=1.1 * ends, ylim=1.1 * ends)
            panel.set(xticks=[-reach, 0, reach], yticks=[-reach, 0, reach])
        above.set(title=title, aspect="equal")
    return figure


viz.slider(
    [draw_round(k) for k in range(9)],
    [
        f"after round {k}: points at θ = "
        + ", ".join(f"{path[k, 0]:+.1f}" for path in paths.values())
        for k in range(9)
    ],
    "round",
)

# %% [markdown]
# Above, the plane of the two players, $\theta$ to the right and $\psi$ upwards; below, the line on
# which they play: real points (grey square), made points (blue), the critic $\psi x$ (dashed). Mind
# the scale of the first column.
#
# (sec-game-spread)=
# ## Why did the Gaussian game arrive?
#
# In {numref}`fig-game-gaussian` two players took turns, without any penalty, and arrived. Something
# must have braked them. It was the *spread* of the points. Let the data have mean 0 and variance
# $s^2$, let the generator make points of the same shape around $\theta$, and keep the logit $\psi x$.
# At $\psi=0$ the second derivatives of the value are
#
# ```{math}
# :label: eq-game-spread
# \begin{aligned}
# \frac{\partial^2V}{\partial\psi^2} &= -\tfrac14\,\E_p[x^2]-\tfrac14\,\E_q[x^2]=-\tfrac12s^2, \\
# \frac{\partial^2V}{\partial\theta\,\partial\psi} &= -\tfrac12,\qquad
# \frac{\partial^2V}{\partial\theta^2}=0
# \end{aligned}
# ```
#
# at the solution, because $\sigma'(0)=\tfrac14$ and the slopes of both logarithms at logit 0 are
# $\tfrac12$ and $-\tfrac12$. Compare with the Dirac-GAN under R1, where they are $-\gamma$, $-c$
# and $0$. **Spread brakes exactly like R1 with $\gamma=\tfrac12s^2$.** A discriminator that must be
# right about points on both sides cannot afford a steep line. So all of {eq}`eq-game-r1` and
# {eq}`eq-game-range` holds with that $\gamma$.

# %%
ticks = (torch.arange(64) + 0.5) / 64
shape = Normal(0.0, 1.0).icdf(ticks)[:, None]
shape = shape / shape.square().mean().sqrt()  # 64 points, variance 1
h, rounds = 0.5, 80
for spread in [0.0, 0.5, 1.0]:
    path = chase(h, rounds, points=spread * shape, start=0.01)
    k, left = h / 2, 1 - h * spread**2 / 2  # left of ψ by the brake
    A = torch.tensor([[1 - k**2, k * left], [-k, left]])
    linear = [path[0]]
    for _ in range(rounds):
        linear.append(A @ linear[-1])
    linear = torch.stack(linear)
    torch.testing.assert_close(path, linear, atol=2e-5, rtol=0)
    print(f"spread {spread}: modulus {math.sqrt(left):.3f}, ", end="")
    if left < 1:
        halved = math.log(0.5) / math.log(math.sqrt(left))
        print(f"the distance halves in {halved:.0f} rounds")
    else:
        print("the distance never halves")

# %% [markdown]
# Each round of the played game agrees with the matrix, spread or none. So plain GANs *can* arrive
# {cite:p}`nagarajan2017`, if in every direction in which the discriminator can lean there are
# points that make leaning costly. For a line and a spread of points there are. For a network with
# thousands of numbers, and points on a thin ring, or images, which fill a thin set among all arrays
# of pixels, many ways to lean cost next to nothing. There the brake has to be put in by hand. (Note
# also that the argument is about a neighbourhood of the solution; nobody guarantees that one gets
# there.)
#
# (sec-game-experiment)=
# ## An experiment: the brake on the circle
#
# One question: does what cures two numbers cure two networks? One change: $\gamma=0.5$ instead of
# 0. Same circle, same seeds, same number of rounds as in {numref}`fig-game-chase`.
#
# ```{admonition} Predict, then run
# :class: tip
# Three seeds without R1, three with it. In how many of the six will the points lie all around?
# ```

# %%
runs = {0.0: [plain], 0.5: []}
for gamma, models_of_it in runs.items():
    for seed in range(len(models_of_it), 3):
        models_of_it.append(train_on_circle(seed, gamma)[0])

torch.manual_seed(0)
drawn = {g: [gan.sample(4000) for gan in gans] for g, gans in runs.items()}
poorest = {
    gamma: [sectors(points).min().item() for points in samples]
    for gamma, samples in drawn.items()
}
assert min(poorest[0.0]) < 0.1  # at least one leaves a twelfth empty
assert min(poorest[0.5]) > 0.6
for points in drawn[0.5]:
    assert ((points.norm(dim=1) - 2).abs() < 0.6).float().mean() > 0.93
print("of twelve equal sectors, in how many runs has each more than 60 %")
print("of its share?  with R1: in all three;  without: not in all")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Six panels of made points over a pale ring. Upper row, without R1: in two panels the points lie in a streak across the ring and beside it, in one they fill it. Lower row, with R1: in all three panels they fill the whole ring evenly."}, "figure": {"caption": "The same GAN after a thousand rounds, three seeds. Above: as it is. Below: with R1, $\\gamma=0.5$.", "name": "fig-game-brake"}}
figure, axes = viz.subplots(2, 3, height=3.4)
for row, (gamma, samples) in zip(axes, drawn.items(), strict=True):
    for panel, points in zip(row, samples, strict=True):
        name = f"R1, γ = {gamma}" if gamma else "plain"
        draw_circle(panel, points[:400], name)
figure

# %% [markdown]
# (The few points inside the ring are no failure: the noise has a middle, the ring has none, and a
# continuous map cannot tear.) Without R1 it depends on the seed, and on when you stop. One number
# in the discriminator's loss, derived on a game of two numbers, decides. It is no proof: between
# $\psi x$ and a network there is a wide gap, and chapter 09 measures how far the idea carries, on
# harder densities and against its rivals.
#
# (sec-game-failure)=
# ## A failure, made on purpose
#
# Now for the first thing that can go wrong: a discriminator which is *too* good. We let the
# generator begin far from the circle, give the discriminator a head start of 300 rounds, and then
# play. The generator descends by plain gradient descent, once with each loss.
#
# ```{admonition} Predict, then run
# :class: tip
# What will the two losses show after 600 rounds with the saturating loss? If you saw only them, what
# would you conclude?
# ```


# %%
def head_start(loss, make_optimizer):
    """Let the discriminator train first; then both. Return the histories."""
    torch.manual_seed(0)
    gan = models.GAN.mlp(
        latent_dim=2,
        hidden=(64, 64),
        unit=2.0,
        loss=ADVERSARIAL_LOSSES[loss],
    )
    with torch.no_grad():
        gan.generator[-1].bias.copy_(torch.tensor([5.0, 0.0]))
    adam = torch.optim.Adam(
        gan.discriminator.parameters(), 2e-3, betas=(0.5, 0.99)
    )
    judge = Objective("discriminator", gan.discriminator_loss, adam)
    forger = Objective(
        "generator",
        gan.generator_loss,
        make_optimizer(gan.generator.parameters()),
    )
    stream = data.Draws(circle, 256)
    fit(gan.players, [judge], stream, 300, device="cpu")
    noise = torch.randn(2000, 2)
    before = gan.sample(2000, noise)
    history = fit(
        gan.players, [judge, forger], stream, 600, device="cpu", log_every=10
    )
    return before, gan.sample(2000, noise), history


def descent(parameters):
    return torch.optim.SGD(parameters, 0.05)


def adam(parameters):
    return torch.optim.Adam(parameters, 2e-3, betas=(0.5, 0.99))


stuck = head_start("saturating", descent)
moved = head_start("non-saturating", descent)
disguised = head_start("saturating", adam)
distance = {
    name: (after - before).norm(dim=1).mean().item()
    for name, (before, after, _) in {
        "saturating": stuck,
        "non-saturating": moved,
        "saturating, Adam": disguised,
    }.items()
}
assert distance["saturating"] < 0.1
assert distance["non-saturating"] > 4 and distance["saturating, Adam"] > 4
for player in ["discriminator", "generator"]:
    assert abs(stuck[2].series(f"{player}/loss")[1][-1]) < 1e-3
print("saturating loss: points moved by less than 0.1 in 600 rounds,")
print("both losses within 0.001 of zero")
print("non-saturating loss: points moved by more than 4")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Left: the two losses with the saturating loss against the round, on a logarithmic axis of their size; both fall steadily below one ten-thousandth. Right: the plane with the pale ring at the left and far to the right of it a small cloud, the made points before and after, which lie on each other; the points of the non-saturating loss have arrived at the ring."}, "figure": {"caption": "A discriminator with a head start. Left: both losses go to zero, the generator's from below. Right: where the points began and where they are after 600 rounds, with either loss.", "name": "fig-game-stuck"}}
figure, (left, right) = viz.subplots(1, 2, height=2.7, width_ratios=[1, 1.4])
for player in ["discriminator", "generator"]:
    when, curve = stuck[2].series(f"{player}/loss")
    left.semilogy(when, [abs(v) for v in curve], label=player)
left.set(xlabel="round", ylabel="size of the loss, nats")
left.legend()
angle = torch.linspace(0, 2 * math.pi, 200)
right.plot(2 * angle.cos(), 2 * angle.sin(), color="lightgrey", lw=9)
for name, points in [
    ("at the start", stuck[0]),
    ("saturating", stuck[1]),
    ("non-saturating", moved[1]),
]:
    right.scatter(*points[:400].T, s=3, label=name)
right.set(xlim=(-3, 13), ylim=(-4, 4), aspect="equal")
right.legend(loc="upper right")
figure

# %% [markdown]
# Both losses went to zero, smoothly. In any other training that would be success. Here the
# discriminator's zero says that it is never wrong, and the generator's zero is the *largest* value
# its loss can have: $\log(1-D)\le0$.
#
# ```{admonition} Symptom, diagnosis, cure
# :class: warning
#
# **Symptom.** Within a few dozen steps both losses are close to zero and stay there, smooth as no
# GAN's losses should be. Samples do not change any more, and look like those of the start.
#
# **Diagnosis.** The discriminator is sure that every made point is made, and the generator
# descends $\log(1-D)$. The slope of that loss in the logit is $-D$, {eq}`eq-game-slopes`, so nothing
# of the discriminator's advice gets through. Zero is the worst value of this loss, not the best.
#
# **Cure.** Use the non-saturating loss, $-\log D$, whose slope is $-(1-D)$. Log the mean logit of
# real and of made points beside the losses: a gap that only grows means that the discriminator has
# won. Then hold *it* back: a penalty on its slope, fewer steps, a smaller learning rate.
# ```
#
# One warning. With Adam instead of plain descent the saturating loss got away in this experiment,
# too (the cell asserts it). Adam divides each slope by its recent size, so a tiny slope still makes
# a full step, as long as it is not lost in rounding. It hides the symptom, and amplifies whatever
# noise the tiny slope carries.
#
# (sec-game-wrong)=
# ## What is wrong here?
#
# A program from one of our sources, in our own words and in PyTorch. It runs. Its loss falls from
# about two, and settles at 1.386, which is $2\log2$: the value at the solution of the game! Find
# three mistakes before you read on.

# %%
torch.manual_seed(0)
G, D = network(2, 2), network(2, 1)
both = torch.optim.Adam([*G.parameters(), *D.parameters()], 2e-3)

for _ in range(600):
    real = torch.randn(256, 2)
    fake = G(torch.randn(256, 2))
    fooled = softplus(-D(fake)).mean()
    on_real = softplus(-D(real)).mean()
    on_fake = softplus(D(real)).mean()
    loss = fooled + on_real + on_fake
    both.zero_grad()
    loss.backward()
    both.step()

with torch.no_grad():
    fake = G(torch.randn(4000, 2))
    called_real = (D(fake).sigmoid() > 0.99).float().mean()
near = ((2 * fake.norm(dim=1) - 2).abs() < 0.6).float().mean()
assert abs(loss - 2 * math.log(2)) < 0.01
assert called_real > 0.99 and near < 0.05
print("loss within 0.01 of 2 log 2; nearly every made point is called real;")
print("fewer than 5 % of them lie near the circle")

# %% [markdown]
# ```{erratum} E11
# ```
#
# 1. **The data are noise.** The circle does not occur in the program. "Real" points are drawn from
#    a Gaussian, so the best that any training could do is to turn Gaussian noise into itself.
# 2. **The two losses of the discriminator contradict each other.** `on_real` and `on_fake` judge the
#    *same* batch, once with the answer "real" and once with "made". Their sum is smallest where $D$
#    says $\tfrac12$, and there it is $2\log2$, whatever the data. That is the 1.386.
# 3. **One optimiser moves both players.** `fooled` is the generator's loss, and the discriminator
#    descends it as well: it *helps*. Both agree that made points are to be called real, that term
#    goes to zero, and the generator may go wherever it likes.
#
# The program that learns is the one of {ref}`sec-game-scratch`: real points from the data, the two
# answers for two different batches, one optimiser for each player, and no gradient into the
# generator in the discriminator's turn. Side by side they differ in a handful of lines, and the loss
# alone would never tell.
#
# ## Exercises
#
# ```{exercise} More made points than real ones
# :label: ex-game-unequal
# In a batch there are $r$ times as many made points as real ones, and the loss is a *sum* over all of
# them. Which discriminator is best? Which direction does it give to the generator?
# ```
#
# ````{solution} ex-game-unequal
# :class: dropdown
# The bracket is $p\log t+rq\log(1-t)$, with its maximum at $p/(p+rq)$. Its logit is
# $\log\frac pq-\log r$: the old one, shifted by a constant. The slope $\nabla_xa$ in
# {eq}`eq-game-chain` does not notice. Only the weights do: at a tie $1-D$ is now $r/(1+r)$.
# ````
#
# ```{exercise} Smoothing both sides
# :label: ex-game-smoothing
# Give made points the target $\beta>0$ and real ones $1-\alpha$. Derive the best discriminator.
# What is the slope of its logit at a place where $p$ is negligible, and what with $\beta=0$?
# ```
#
# ````{solution} ex-game-smoothing
# :class: dropdown
# The bracket is $A\log t+B\log(1-t)$ with $A=(1-\alpha)p+\beta q$ and $B=\alpha p+(1-\beta)q$, and
# $A+B=p+q$. Its maximum is at
#
# $$
# t=\frac{(1-\alpha)p+\beta q}{p+q},\qquad
# \text{with logit }\ \log\frac{(1-\alpha)p+\beta q}{\alpha p+(1-\beta)q} .
# $$
#
# Where $p\ll q$ the logit is $\log\frac{\beta}{1-\beta}$, a constant: no slope, no advice. With
# $\beta=0$ it is $\log\frac pq+\log(1-\alpha)$ there, with the slope of $\log\frac pq$. Where
# $q\ll p$ it is $\log\frac{1-\alpha}\alpha$: flat as well, but no made point is there to miss the
# advice.
# ````
#
# ```{exercise} Several steps of the discriminator
# :label: ex-game-repeats
# In the Dirac-GAN let the discriminator take $n$ steps for each of the generator's (`repeat=n` of an
# `Objective`). Near the solution, what are the determinant and the trace of a round? For which
# $k=hc$ is the modulus one?
# ```
#
# ````{solution} ex-game-repeats
# :class: dropdown
# While $\theta$ is held still, each step adds $-k\theta$, so $\psi\leftarrow\psi-nk\theta$ and then
# $\theta\leftarrow\theta+k\psi$. The matrix is $\begin{pmatrix}1-nk^2&k\\-nk&1\end{pmatrix}$, with
# determinant 1 and trace $2-nk^2$. So the modulus is one for $nk^2\le4$: more steps make the
# players go round *faster*, and no nearer. Without a brake a better discriminator is no cure for
# the rotation.
# ````
#
# ```{exercise} The Dirac-GAN with the non-saturating loss
# :label: ex-game-dirac
# Give the generator $-\log D$ instead. Which are its infinitely small steps? Is the matrix near the
# solution another one? What happens to $\theta^2+\psi^2$?
# ```
#
# ````{solution} ex-game-dirac
# :class: dropdown
# With $t=\psi\theta$: $\dot\theta=\sigma(-t)\,\psi$ and still $\dot\psi=-\sigma(t)\,\theta$. At $t=0$
# both factors are $\tfrac12$, so the matrix is the same, and so is everything that was said about a
# neighbourhood of the solution. Further out,
#
# $$
# \tfrac12\frac{\mathrm d}{\mathrm dt}(\theta^2+\psi^2)
#   =t\,\bigl(\sigma(-t)-\sigma(t)\bigr)=-t\tanh\tfrac t2\le0 .
# $$
#
# The radius shrinks, but near the solution only like the *fourth* power of itself: about
# $-\tfrac12t^2$ with $t$ of the order of the radius squared. That is far too slow to beat a step of
# finite size that spirals out. (Try `chase(0.3, 2000, "simultaneous", loss="non-saturating")`: it
# ends on a circle that neither force can leave.)
# ````
#
# ```{exercise} Who moves first?
# :label: ex-game-order
# Hold the *discriminator* still and let the generator be as good as it can, for either of its losses.
# What does it do? Compare $\min_G\max_D V$ with $\max_D\min_GV$.
# ```
#
# ````{solution} ex-game-order
# :class: dropdown
# It puts *all* of its points where $D$ is largest: one place, whatever the data. So a generator
# that is always the best reply collapses. In the order $\max_D\min_GV$ the generator has the last
# word: the discriminator does best to be constant, $D=\tfrac12$, since any hill would be exploited,
# and the value is again $-2\log2$; but then *every* generator is a best reply. The value is the
# same and the solution is lost. Descending in turns favours neither order by itself, which is one
# way to see how a GAN can lose modes.
# ````
#
# ```{exercise} The sources' other programs
# :label: ex-game-keras
# A program stacks a *new* layer with one output on the generator, calls it "combined", trains it to
# answer "real", and freezes the discriminator while it does so. What does the generator learn?
# ```
#
# ````{solution} ex-game-keras
# :class: dropdown
# To please the new layer, which descends the same loss and has never seen a real point. As in
# {ref}`sec-game-wrong`, both agree quickly, and the discriminator, frozen or not, is not in the
# loop at all. The generator's loss must pass through *the* discriminator: $a(G(z))$, with $G$'s
# numbers alone to move.
# ````
#
# ## Summary
#
# - The game {eq}`eq-game-value` has the solution $q=p$, $D=\tfrac12$. Against the best discriminator
#   {eq}`eq-game-optimal` its value is $2\operatorname{JS}-2\log2$ {eq}`eq-game-js`; any other
#   discriminator shows less {eq}`eq-game-gap`.
# - The saturating loss has the slope $-D$ in the logit, the non-saturating one $-(1-D)$
#   {eq}`eq-game-slopes`. Against the best discriminator one descends $2\operatorname{JS}(p,q)$
#   {eq}`eq-game-envelope`, the other $2\KL{m}{p}$ {eq}`eq-game-reverse`, {eq}`eq-game-softened`.
# - Near the solution the players turn around each other. At the same time they spiral out
#   {eq}`eq-game-simultaneous`; in turns they circle, with modulus exactly one
#   {eq}`eq-game-alternating`; with a price on the discriminator's slope, or with points that spread,
#   they arrive {eq}`eq-game-r1`, {eq}`eq-game-spread`.
# - Losses on logits, one optimiser a player, no gradient into the other. The losses say who is
#   ahead, not how good the samples are.
#
# ## Further reading
#
# {cite:t}`goodfellow2014` is short and worth reading whole. {cite:t}`goodfellow2016` answers the
# questions that one has afterwards. {cite:t}`arjovsky2017a` derive what this chapter calls the two
# failures of the best discriminator, and {cite:t}`shannon2020` the divergence of the non-saturating
# loss. {cite:t}`mescheder2018` is the source of the Dirac-GAN, of R1, and of the eigenvalues;
# {cite:t}`nagarajan2017` show when the plain game converges near its solution. {cite:t}`fedus2017`
# show that GANs learn also where no divergence could guide them: a warning about
# {ref}`sec-game-divergences`.
