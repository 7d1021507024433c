# %% [markdown]
# (ch-judges)=
# # 17 People and tasks as judges
#
# **Reading** 60 minutes · **Running** under 90 seconds on one CPU thread · **Difficulty** ●●○ ·
# **You need** the normal distribution, a binomial, {ref}`ch-samples` for the Fréchet distance
#
# **Below are twelve pairs of digits. In each, one was written by a person and one was made by a
# model. Which is real?** Write twelve letters on a piece of paper, L or R, before you read on. You
# have now done what a good part of the literature does: you have measured a model with a person.
# This chapter asks what your twelve letters are worth, and what one learns when the judge is no
# person but a *task*.
#
# After this chapter you can
#
# - turn answers of people into a number that does not depend on how cautious they are, and say
#   where the $\sqrt2$ in it comes from;
# - put an honest interval around a share of right answers, even around "all of them", and say how
#   many answers a question costs;
# - score a conditional model by what a classifier learns from its samples, and say what that score
#   cannot see;
# - expose a model that only repeats its training images, though it wins on the Fréchet distance;
# - notice that a test of people measures a file format.
#
# ```{admonition} Five questions first
# :class: tip
#
# 1. Two independent variables have variance 1 each. What is the variance of their difference?
# 2. $\Phi$ is the distribution function of $\mathcal{N}(0,1)$. What are $\Phi(0)$ and
#    $\Phi^{-1}(0.975)$?
# 3. What is the variance of the share of heads in $n$ throws of a coin?
# 4. Twenty answers of twenty are right. Is the true share 1?
# 5. Which classifier has the highest accuracy of all?
#
# If three of them come easily, read on. The answers follow.
# ```
#
# ```{admonition} Answers
# :class: dropdown
#
# 1. It is 2: variances of independent variables add up, also in a difference.
# 2. $\tfrac12$, and about $1.96$.
# 3. $p(1-p)/n$, at most $1/(4n)$.
# 4. Nobody knows. Even with a true share of $0.9$ it happens in one series of eight.
# 5. The one that names the most probable class given the image. Its accuracy is Bayes' accuracy,
#    and it need not be 1.
# ```

# %%
import copy
import io
import math
from dataclasses import replace

import numpy as np
import torch
from myst_nb import glue
from PIL import Image
from torch import nn
from torch.distributions import Binomial, Normal

from genlearn import data, losses, metrics, models, viz
from genlearn.callbacks import Average
from genlearn.recipes.classification_score import (
    classification_accuracy_score,
)
from genlearn.training import Objective, evaluating, fit

torch.set_num_threads(1)  # models this small are fastest on one thread

# %% [markdown]
# Two conditional models sit the tests of this chapter: a VAE (chapter 06) and a GAN (chapter 10),
# both told which digit to make. One thing is new. The digits come sorted by writer, so that the
# usual test images are by other hands than the training images. When we ask whether a model
# *copies*, held-out images must differ from the training images in nothing but not having been
# shown. So we shuffle the whole set first, and then cut it.

# %%
published = data.load("digits")
splits = [published.train, published.valid, published.test]
images = torch.cat([split.images for split in splits])
labels = torch.cat([split.labels for split in splits])
generator = torch.Generator().manual_seed(0)
order = torch.randperm(len(images), generator=generator)


def part(name, first, last):
    places = order[first:last]
    return data.Split(images[places], labels[places], published.levels, name)


digits = replace(
    published,
    train=part("train", 0, 1000),
    valid=part("valid", 1000, 1397),  # held out
    test=part("test", 1397, 1797),
)


def train_vae(steps=1000):
    torch.manual_seed(0)
    vae = models.ConditionalVAE.mlp(
        digits.shape,
        digits.levels,
        classes=10,
        latent_dim=12,
        pixel_features=4,
        dropout=0.2,
    )
    adam = torch.optim.AdamW(vae.parameters(), 2e-3)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)

    def loss(step):
        return -vae.elbo(*step.batch).mean()

    objective = Objective("vae", loss, adam, schedule=decay)
    batches = data.Batches(digits.train, 128)
    fit({"vae": vae}, [objective], batches, steps, device="cpu")
    return vae


def train_gan(steps=2000):
    torch.manual_seed(0)
    gan = models.ConditionalGAN.mlp(digits.shape, digits.levels, classes=10)
    average = copy.deepcopy(gan.generator)

    def discriminator_loss(step):
        gamma = 5 * 0.1 ** (step.index / steps)

        def penalty(critic, real, fake):
            return gamma * losses.zero_centred_penalty(critic, real)

        return gan.discriminator_loss(step, penalty)

    objectives = []
    for name, loss in [
        ("discriminator", discriminator_loss),
        ("generator", gan.generator_loss),
    ]:
        parameters = gan.players[name].parameters()
        adam = torch.optim.Adam(parameters, 2e-3, betas=(0.5, 0.99))
        decay = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
        objectives.append(Objective(name, loss, adam, schedule=decay))
    fit(
        gan.players | {"average": average},
        objectives,
        data.Batches(digits.train, 128),
        steps,
        device="cpu",
        callbacks=[Average(gan.generator, average, 0.995)],
    )
    gan.generator.load_state_dict(average.state_dict())
    return gan


vae, gan = train_vae(), train_gan()
asked = torch.arange(1000) % 10  # labels of the samples: all digits in turn


def of_vae():
    with evaluating(vae):
        return vae.sample(asked)


def of_gan(scale=1.0):
    with evaluating(gan):
        return gan.sample(asked, scale * torch.randn(1000, gan.latent_dim))


torch.manual_seed(1)
samples = {"VAE": of_vae(), "GAN": of_gan()}

# %% [markdown]
# And here are your twelve pairs. {py:class}`genlearn.metrics.HumanTest` drew which images are shown
# and which side the real one is on.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Twelve numbered pairs of digits, eight by eight pixels, six pairs a row. In each pair one is real and one was made by a VAE; the made ones have slightly more grain."}, "figure": {"caption": "Twelve pairs. In each, one image was written by a person, the other drawn from a VAE.", "name": "fig-judges-pairs"}}
twelve = metrics.HumanTest(
    digits.test.images, samples["VAE"], digits.levels, trials=12, seed=3
)
figure, axes = viz.subplots(2, 6, height=1.9)
for k, panel in enumerate(axes.flat):
    question = twelve.questions[k]
    pair = [
        digits.test.images[question.real],
        samples["VAE"][question.made],
    ]
    shown = torch.stack(pair if question.truth == "left" else pair[::-1])
    viz.show_images(panel, shown, digits.levels, columns=2, title=f"{k + 1}")
key = " ".join(question.truth[0].upper() for question in twelve.questions)
glue("judges-key", key, display=False)
figure

# %% [markdown]
# ```{admonition} The key
# :class: dropdown
# {glue:text}`judges-key`. Count your right answers. Seven of twelve? Ten? Keep the number: in
# {ref}`sec-judges-wilson` you will find out what it says about you, and it will be less than you
# think.
# ```
#
# (sec-judges-evidence)=
# ## What lies behind an answer
#
# Show somebody one image and ask: real, or made? There are four outcomes. Of the real images a
# share $H$ is called real, the **hit rate**. Of the made ones a share $F$ is called real as well,
# the **false-alarm rate**. It is tempting to report the share of right answers. But think of two
# people with the same eyes. One has been told that made images are rare, and says *made* only when
# sure. The other has been told that they are everywhere. They see the same and answer differently.
# We want a number for what they *see*.
#
# **Signal detection theory** {cite:p}`green1966` takes an answer apart. An image leaves an
# impression, a single number $u$ of "realness". It varies from image to image and from moment to
# moment, and real images leave higher impressions on average. The observer compares it with a
# threshold $\lambda$, and says *real* above. The picture is the theory:

# %% tags=["hide-input"] mystnb={"image": {"alt": "Left: two bell curves of equal width, made images around 0 and real ones around 1.5, with a vertical line at the threshold 0.5. The area to the right of the line is shaded orange under the made curve, the false alarms, and blue under the real curve, the hits. Right: three curves of hit rate against false-alarm rate for distances 0, 0.75 and 1.5; the first is the diagonal, the others bend towards the upper left corner. Dots mark four thresholds on each curve."}, "figure": {"caption": "Left: impressions of made and of real images, and a threshold. Right: as the threshold moves, hit and false-alarm rate run along a curve that depends on the distance $d'$ alone; dots are thresholds $-0.5$, $0.25$, $1$ and $1.75$.", "name": "fig-judges-densities"}}
normal = Normal(0.0, 1.0)
u = torch.linspace(-3.5, 5, 400)


def draw_densities(axes, d_prime, threshold):
    """Impressions of made and real images, what lies above a threshold shaded."""
    for mean, name, share, colour in [
        (0.0, "made", "false alarms", viz.style.ORANGE),
        (d_prime, "real", "hits", viz.style.BLUE),
    ]:
        density = normal.log_prob(u - mean).exp()
        axes.plot(u, density, color=colour, label=name)
        axes.fill_between(
            u,
            density,
            where=u >= threshold,
            alpha=0.35,
            color=colour,
            label=share,
            lw=0,
        )
    axes.axvline(threshold, color="black", lw=1)
    axes.set(xlabel="impression $u$", yticks=[], ylim=(0, 0.48))
    axes.legend(fontsize=8, loc="upper right")


def rates(d_prime, threshold):
    """Hit and false-alarm rate of an observer."""
    threshold = torch.as_tensor(threshold)
    return normal.cdf(d_prime - threshold), normal.cdf(-threshold)


def draw_curves(axes, distances):
    """Hit rate against false-alarm rate over all thresholds."""
    for d_prime, style in zip(distances, [":", "--", "-"], strict=True):
        hit, false_alarm = rates(d_prime, u)
        axes.plot(
            false_alarm, hit, style, label=f"$d'={d_prime}$", color="black"
        )
    axes.set(
        xlabel="false-alarm rate $F$", ylabel="hit rate $H$", aspect="equal"
    )
    axes.legend(loc="lower right", fontsize=8)


figure, (left, right) = viz.subplots(1, 2, height=2.7, width_ratios=[1.5, 1])
draw_densities(left, 1.5, 0.5)
draw_curves(right, [0.0, 0.75, 1.5])
for d_prime in [0.0, 0.75, 1.5]:
    hit, false_alarm = rates(d_prime, [-0.5, 0.25, 1.0, 1.75])
    right.scatter(false_alarm, hit, s=14, color=viz.style.RED, zorder=3)
figure

# %% [markdown]
# Let impressions of made images be $\mathcal{N}(0,1)$ and of real ones $\mathcal{N}(d',1)$. The
# zero and the unit of $u$ are free, so this assumes two things only: both are normal, and both are
# equally wide. The distance $d'$ (say: *d prime*) is what the observer sees. It is counted in
# standard deviations of one impression. Both rates are areas to the right of $\lambda$. With
# $P(\mathcal{N}(0,1)>a)=\Phi(-a)$,
#
# ```{math}
# :label: eq-judges-evidence
# \begin{aligned}
# H &= P(u>\lambda\mid\text{real})=\Phi(d'-\lambda), \\
# F &= P(u>\lambda\mid\text{made})=\Phi(-\lambda).
# \end{aligned}
# ```
#
# Two equations, two unknowns. Apply $\Phi^{-1}$ to both: $\Phi^{-1}(H)=d'-\lambda$ and
# $\Phi^{-1}(F)=-\lambda$. Their difference knows nothing of $\lambda$:
#
# $$
# d' = \Phi^{-1}(H)-\Phi^{-1}(F) .
# $$ (eq-judges-rates)
#
# And half their sum, with a minus sign, says where the threshold stands, counted from the middle
# between both means:
#
# $$
# c = -\tfrac12\bigl(\Phi^{-1}(H)+\Phi^{-1}(F)\bigr) = \lambda-\tfrac12 d' .
# $$ (eq-judges-criterion)
#
# This is the **criterion**. At $c>0$ the observer is reluctant to say *real*, at $c<0$ reluctant to
# say *made*. What about the share of right answers? If half of the images are real it is
#
# ```{math}
# :label: eq-judges-right
# \begin{aligned}
# P(\text{right}) &= \tfrac12 H+\tfrac12(1-F)
#   = \tfrac12\bigl[\Phi(\tfrac12d'-c)+\Phi(\tfrac12d'+c)\bigr] \\
#   &\le \Phi(\tfrac12d') .
# \end{aligned}
# ```
#
# (Put $\lambda=c+\frac12d'$ into {eq}`eq-judges-evidence`, and $1-\Phi(-a)=\Phi(a)$.) For a fixed
# $d'>0$ the derivative by $c$ is $\tfrac12[\varphi(\tfrac12d'+c)-\varphi(\tfrac12d'-c)]$ with the
# density $\varphi$: positive below $c=0$, negative above. So an impartial observer is right most
# often, and *every* prejudice costs right answers, though the eyes are the same.
#
# ```{admonition} Predict, then move
# :class: tip
# Two people look at the same images with $d'=1.5$. One is impartial, the other has $\lambda=2.5$:
# an image must be very convincing to be called real. By how much do their shares of right answers
# differ? Guess, then move the slider there.
# ```

# %%
thresholds = torch.linspace(-1.0, 2.5, 8)
frames, captions = [], []
for threshold in thresholds:
    figure, (left, right) = viz.subplots(
        1, 2, height=2.5, width_ratios=[1.5, 1]
    )
    draw_densities(left, 1.5, threshold)
    draw_curves(right, [0.0, 0.75, 1.5])
    hit, false_alarm = rates(1.5, threshold)
    right.scatter(false_alarm, hit, s=40, color=viz.style.RED, zorder=3)
    frames.append(figure)
    captions.append(
        f"λ = {threshold:.2f}: hits {100 * hit:.0f} %, false alarms "
        f"{100 * false_alarm:.0f} %, right {50 * (1 + hit - false_alarm):.0f} %"
    )
    found = metrics.d_prime_from_rates(hit.item(), false_alarm.item())
    assert abs(found - 1.5) < 1e-3  # wherever the threshold stands
impartial, strict = rates(1.5, 0.75), rates(1.5, 2.5)
assert round(50 * (1 + impartial[0] - impartial[1]).item()) == 77
assert round(50 * (1 + strict[0] - strict[1]).item()) == 58
viz.slider(frames, captions, "threshold")

# %% [markdown]
# The share of right answers falls from 77 % to below 60 %, while $d'$ is 1.5 throughout. A paper
# that reports "people were right in 58 % of the cases" has told you almost nothing.
#
# (sec-judges-pairs)=
# ## Two at once, and no criterion
#
# The other way out is to leave the observer no threshold. Show a real and a made image side by
# side, and ask which is real: **two-alternative forced choice**. Both leave an impression,
# $u_r\sim\mathcal{N}(d',1)$ and $u_m\sim\mathcal{N}(0,1)$, independent of each other. The observer
# picks the larger. Their difference is normal with mean $d'$ and variance $1+1=2$, so
#
# ```{math}
# :label: eq-judges-pairs
# \begin{aligned}
# p &= P(u_r-u_m>0) = \Phi\Bigl(\frac{d'}{\sqrt2}\Bigr), \\
# d' &= \sqrt2\,\Phi^{-1}(p) .
# \end{aligned}
# ```
#
# There is the $\sqrt2$. A pair brings *two* noises into the answer. It also brings the whole
# distance $d'$ into play, where the impartial observer of single images has only half of it on
# either side of the threshold: $\Phi(d'/\sqrt2)$ against $\Phi(d'/2)$ in {eq}`eq-judges-right`. The
# same eyes are right more often with pairs. If you forget the factor, all your $d'$ are too small
# by 29 %, and the two kinds of test seem to contradict each other.
#
# The threshold has gone from the question. What remains of prejudice is a fondness for one *side*.
# Tossing a coin for the side makes that harmless on average, and {ref}`ex-judges-side` shows what
# it costs.
#
# ### What if impressions are not normal?
#
# Then $d'$ is a name for a number, but $p$ keeps a meaning of its own. Let $H(\lambda)$ and
# $F(\lambda)$ be the rates at the threshold $\lambda$, for impressions with any densities $f_r$ and
# $f_m$. Fix the impression $u_m=\lambda$ of the made image. The pair is answered rightly if the
# real one lies above, with probability $H(\lambda)$. Average over $u_m$, and note that
# $f_m(\lambda)\,\mathrm{d}\lambda=-\mathrm{d}F$:
#
# $$
# p = \int H(\lambda)\,f_m(\lambda)\,\mathrm{d}\lambda = \int_0^1 H\,\mathrm{d}F .
# $$ (eq-judges-area)
#
# **The share right with pairs is the area under the curve** of hit rate against false-alarm rate.
# It averages over all the thresholds that somebody might have had. (This is the "area under the ROC
# curve" by which classifiers are compared. A GAN's discriminator, or any classifier of real against
# made, can sit this test too: it prefers the image with the higher logit.)
#
# (sec-judges-scratch)=
# ## From scratch: an observer whose eyes we know
#
# Nobody knows the $d'$ of a person. So we build an observer with $d'=1.2$ and a strong prejudice,
# put both tests to it, and see what the formulas say.


# %%
def pairs_test(d_prime, n):
    """Share right when the larger impression of two is called real."""
    real = d_prime + torch.randn(n)
    made = torch.randn(n)
    return (real > made).double().mean()


def single_test(d_prime, threshold, n):
    """Hit and false-alarm rate with n real and n made images."""
    hit = (d_prime + torch.randn(n) > threshold).double().mean()
    false_alarm = (torch.randn(n) > threshold).double().mean()
    return hit, false_alarm


def quantile(share):
    """The inverse of Φ, by bisection."""
    low, high = -10.0, 10.0
    for _ in range(60):
        middle = (low + high) / 2
        below = math.erfc(-middle / math.sqrt(2)) / 2 < share
        low, high = (middle, high) if below else (low, middle)
    return (low + high) / 2


torch.manual_seed(0)
share = pairs_test(1.2, 400_000).item()
hit, false_alarm = (x.item() for x in single_test(1.2, 1.8, 400_000))
by_pairs = math.sqrt(2) * quantile(share)
by_rates = quantile(hit) - quantile(false_alarm)
print(f"pairs:  {100 * share:.0f} % right,  d' = {by_pairs:.2f}")
print(
    f"single: {50 * (1 + hit - false_alarm):.0f} % right,  d' = {by_rates:.2f}"
)
assert abs(by_pairs - 1.2) < 0.015 and abs(by_rates - 1.2) < 0.015
assert abs(quantile(share) - 1.2) > 0.3  # without the root

# The library's functions give the same.
assert abs(metrics.d_prime_from_pairs(share) - by_pairs) < 1e-9
assert abs(metrics.d_prime_from_rates(hit, false_alarm) - by_rates) < 1e-9

# %% [markdown]
# One number for the eyes, from two tests with very different shares of right answers.
#
# (sec-judges-wilson)=
# ## How sure is a share?
#
# You had, say, ten of twelve right. Call the true share $p$: what you would reach in endlessly many
# pairs. The count $k$ of $n$ independent answers is binomial, and $\hat p=k/n$ has mean $p$ and
# variance $p(1-p)/n$. For $n$ not too small it is nearly normal, so with probability 95 %
#
# $$
# |\hat p-p| \le z\,\sqrt{\frac{p(1-p)}{n}}, \qquad z=\Phi^{-1}(0.975)\approx1.96 .
# $$ (eq-judges-score)
#
# The trouble is that $p$ stands on both sides. The quick way out puts $\hat p$ for $p$ under the
# root. This is **Wald's interval**:
#
# $$
# \hat p \pm z\,\sqrt{\hat p(1-\hat p)/n} .
# $$ (eq-judges-wald)
#
# Try it on 20 of 20: $\hat p=1$, the root is 0, and the interval is the single point 1. After
# twenty answers you would be *certain* that the observer never errs. **Wilson's interval**
# {cite:p}`wilson1927` does not replace anything. It takes {eq}`eq-judges-score` at its word: which
# $p$ fulfil it? Square it, and sort by powers of $p$:
#
# $$
# (n+z^2)\,p^2-(2n\hat p+z^2)\,p+n\hat p^2\le0 .
# $$
#
# The left side is a parabola that opens upwards, so the inequality holds between its two zeros:
#
# ```{math}
# :label: eq-judges-wilson
# p \in \frac{1}{n+z^2}\Bigl[\,n\hat p+\tfrac12z^2
#   \pm z\sqrt{n\hat p(1-\hat p)+\tfrac14z^2}\,\Bigr] .
# ```
#
# (The zeros of $ap^2-2bp+e$ are $(b\pm\sqrt{b^2-ae})/a$; here $b^2-ae$ is
# $(n\hat p+\frac12z^2)^2-(n+z^2)\,n\hat p^2=z^2\,[n\hat p(1-\hat p)+\frac14z^2]$.) Its middle is
# the share with about two right and two wrong answers added, for $\frac12z^2\approx2$. At 20 of 20
# it reaches from $n/(n+z^2)$ to 1.
#
# ```{admonition} Predict, then run
# :class: tip
# "95 %" promises that in 95 of 100 experiments the interval holds the true share. With $n=20$ this
# can be computed exactly: a sum over the 21 possible counts. For a true share of $0.95$, how often
# does Wald's interval keep the promise: 95 %, 85 %, 65 %?
# ```


# %%
def wald(k, n, z=1.96):
    share = k / n
    half = z * math.sqrt(share * (1 - share) / n)
    return share - half, share + half


def wilson(k, n, z=1.96):
    share = k / n
    middle = n * share + z**2 / 2
    half = z * math.sqrt(n * share * (1 - share) + z**2 / 4)
    return (middle - half) / (n + z**2), (middle + half) / (n + z**2)


def coverage(interval, share, n):
    """Probability that the interval of a count holds the true share."""
    k = torch.arange(n + 1.0)
    probability = Binomial(n, torch.tensor(share)).log_prob(k).exp()
    bounds = [interval(int(count), n) for count in k]
    holds = [low <= share <= high for low, high in bounds]
    return (probability * torch.tensor(holds)).sum().item()


for k, n in [(20, 20), (7, 12), (0, 3)]:
    ours, theirs = wilson(k, n, quantile(0.975)), metrics.wilson(k, n)
    assert max(abs(ours[0] - theirs.low), abs(ours[1] - theirs.high)) < 1e-9
print(f"true share 0.95, n = 20: Wald  {100 * coverage(wald, 0.95, 20):.0f} %")
print(
    f"                       Wilson  {100 * coverage(wilson, 0.95, 20):.0f} %"
)

torch.manual_seed(0)  # and by simulation
counts = torch.distributions.Binomial(20, 0.95).sample((20_000,)).int()
kept = [wald(k, 20)[0] <= 0.95 <= wald(k, 20)[1] for k in counts.tolist()]
assert abs(sum(kept) / 20_000 - coverage(wald, 0.95, 20)) < 0.015

# %% tags=["hide-input"] mystnb={"image": {"alt": "Probability that the interval holds the true share, against the true share from 0.5 to 1, for 20 answers. Wilson's is a jagged line around the dashed line at 0.95. Wald's is jagged too, mostly below it, and falls to nearly 0 as the true share nears 1."}, "figure": {"caption": "How often a 95 % interval from 20 answers holds the true share: exact sums over all counts.", "name": "fig-judges-coverage"}}
shares = torch.linspace(0.5, 0.995, 199).tolist()
figure, axes = viz.subplots(height=2.5)
for name, interval in [("Wilson", wilson), ("Wald", wald)]:
    axes.plot(
        shares,
        [coverage(interval, share, 20) for share in shares],
        label=name,
        lw=1.2,
    )
axes.axhline(0.95, ls="--", color="black", lw=1)
axes.set(xlabel="true share", ylabel="interval holds it", ylim=(0, 1.02))
axes.legend(loc="lower left")
wilsons = [coverage(wilson, share, 20) for share in shares]
assert sum(wilsons) / len(wilsons) > 0.94 and min(wilsons) > 0.83
assert coverage(wald, 0.995, 20) < 0.15
figure

# %% [markdown]
# Wald's interval fails where it matters most: when a model is easily told from the real thing, or a
# test is nearly perfect. Wilson's wavers, because counts are whole numbers, but around the promised
# value {cite:p}`brown2001`.
#
# **From the share to $d'$** is one step for pairs. $\sqrt2\,\Phi^{-1}$ grows with its argument, so
# it takes the ends of Wilson's interval to the ends of one for $d'$, with the same promise: the
# first holds $p$ exactly when the second holds $d'$. For single images there are *two* shares, and
# $d'$ is a difference. Let $a$ and $b$ be $\Phi^{-1}$ of both rates and $[a_-,a_+]$, $[b_-,b_+]$
# the images of their Wilson intervals. Adding the ends, $a_--b_+$ to $a_+-b_-$, would be too
# careful: both would have to err to the worst side at once. The errors of independent variables add
# in squares, on each side with its own length {cite:p}`zou2008`:
#
# ```{math}
# :label: eq-judges-combined
# \begin{aligned}
# \text{low} &= a-b-\sqrt{(a-a_-)^2+(b_+-b)^2}, \\
# \text{high} &= a-b+\sqrt{(a_+-a)^2+(b-b_-)^2} .
# \end{aligned}
# ```

# %%
for right in [7, 10, 12]:
    pairs = metrics.interval_from_pairs(right, 12)
    print(
        f"{right:2} of 12 pairs: d' = {pairs.value:.1f}, "
        f"interval {pairs.low:.1f} to {pairs.high:.1f}"
    )
single = metrics.interval_from_rates(42, 50, 17, 50)
print(
    f"hits 42, false alarms 17 of 50: d' = {single.value:.1f}, "
    f"interval {single.low:.1f} to {single.high:.1f}"
)

# %% [markdown]
# Look up your own twelve answers. Even ten of twelve leaves everything open between "hardly sees
# it" and "sees it at once". And all of twelve gives an infinite $d'$, as it must, with a finite
# lower end: that end is the result.
#
# (sec-judges-answers)=
# ### How many answers?
#
# Turn Wilson's formula around. Its width is $w=\frac{2z}{n+z^2}\sqrt{n\hat p(1-\hat p)+z^2/4}$.
# Square it, and with $q=\hat p(1-\hat p)$ and $\nu=n/z^2$ it reads $w^2(\nu+1)^2=4q\nu+1$, a
# quadratic equation in $\nu$ with the positive solution
#
# $$
# n=\frac{z^2}{w^2}\Bigl[2q-w^2+\sqrt{(2q-w^2)^2+w^2(1-w^2)}\,\Bigr] .
# $$ (eq-judges-trials)
#
# At $\hat p=\tfrac12$ this is $z^2(1/w^2-1)$: half the width, four times the answers.

# %%
for width in [0.4, 0.2, 0.1, 0.05]:
    needed = metrics.trials_for_width(width)
    half = quantile(0.5 + width / 2) * math.sqrt(2)
    print(
        f"share known to ±{width / 2:.3f}: {needed:5} pairs;"
        f"  d' near 0 known to ±{half:.2f}"
    )
assert metrics.trials_for_width(0.1) == 381
likely = 40 * normal.cdf(torch.tensor(0.4 / math.sqrt(2))).item()
assert metrics.wilson(round(likely), 40).low < 0.5  # 0.5 is d' = 0

# %% [markdown]
# So 40 pairs do not tell a perfect model from one with $d'=0.4$. Is a single image cheaper than a
# pair? Near $d'=0$ it can be derived. The slope of $\Phi^{-1}$ at $\tfrac12$ is
# $1/\varphi(0)=\sqrt{2\pi}$, so a share with variance $v$ becomes a quantile with variance
# $2\pi v$. With $n$ pairs, $v=\frac1{4n}$ and the factor $\sqrt2$ doubles the variance. With $n$
# single images, $\frac n2$ of each kind, both rates have $v=\frac1{2n}$, and two variances add:
#
# ```{math}
# :label: eq-judges-cost
# \begin{aligned}
# \operatorname{Var}[d'\text{ of }n\text{ pairs}] &\approx 2\cdot2\pi\cdot\frac1{4n}=\frac{\pi}{n}, \\
# \operatorname{Var}[d'\text{ of }n\text{ single images}] &\approx 2\cdot2\pi\cdot\frac1{2n}=\frac{2\pi}{n} .
# \end{aligned}
# ```
#
# A pair is worth two single images: as much for each *image*, twice as much for each *question*.
# And pairs have no criterion that one must assume to stand still. Prefer them.
#
# (sec-judges-test)=
# ### The library's test
#
# {py:class}`genlearn.metrics.HumanTest` draws the order from a seed and shows no image twice. Give
# it a `path`, and every answer is on the disk before the next question is asked; the test goes on
# where it was left. {py:func}`genlearn.viz.human_test` puts it on the screen. Here the feedback is
# off, as in a measurement: who is told the truth after each answer gets better, and one measures a
# learner.

# %%
yours = metrics.HumanTest(
    digits.test.images,
    samples["GAN"],
    digits.levels,
    trials=50,
    seed=5,
    path="my_answers.jsonl",  # made with the first answer
)
viz.human_test(yours, feedback=False)

# %% [markdown]
# The buttons need a kernel (`make lab`). Without one, {doc}`the judging desk <explorer>` puts the
# same test to you, with three models to choose from.
#
# An observer need not be a person. Let a small network learn to tell real images from samples, and
# put the test to it, with images that it has not seen {cite:p}`lopezpaz2016`.


# %%
def trained_observer(real, made, steps=300):
    """A network whose output is high for real images."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 1)
    )
    adam = torch.optim.AdamW(network.parameters(), 2e-3, weight_decay=0.1)
    both = torch.cat([real, made]) / 8 - 1
    truth = (torch.arange(len(both)) < len(real)).float()
    for _ in range(steps):
        batch = torch.randint(len(both), (128,))
        logit = network(both[batch])[:, 0]
        loss = nn.functional.binary_cross_entropy_with_logits(
            logit, truth[batch]
        )
        adam.zero_grad()
        loss.backward()
        adam.step()
    return network


def judged(made):
    """Result of a test of 400 pairs, by an observer who saw 397 others."""
    real = digits.valid.images
    network = trained_observer(real, made[: len(real)])
    test = metrics.HumanTest(
        digits.test.images, made[len(real) :], digits.levels, trials=400
    )
    while test.question is not None:
        left, right = network(test.shown / 8 - 1)[:, 0].tolist()
        test.answer("left" if left > right else "right")
    return test.result()


torch.manual_seed(1)
with evaluating(vae):
    codes = torch.randn(1000, vae.latent_dim)
    means = vae.mean_image(codes, asked).round().to(torch.uint8)
contestants = {
    "real images": digits.train.images,
    "GAN": samples["GAN"],
    "VAE": samples["VAE"],
    "VAE, means": means,
}
results = {name: judged(made) for name, made in contestants.items()}
control = results["real images"].d_prime
assert control.low < 0.2 and control.high > -0.2 and abs(control.value) < 0.5
assert results["GAN"].d_prime.high < results["VAE"].d_prime.low
assert results["VAE"].d_prime.high < results["VAE, means"].d_prime.low
print("hardest to tell from real images:", *list(results)[1:], sep="  ")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Four horizontal bars of intervals of d prime. Real images against real images: around 0. GAN: about 1. VAE: about 2. Means of the VAE: a bar that begins beyond 3 and runs to infinity."}, "figure": {"caption": "$d'$ of a network that tells real digits from others, with 95 % intervals from 400 pairs. In the first row both are real.", "name": "fig-judges-network"}}
figure, axes = viz.subplots(height=1.8)
for row, result in enumerate(results.values()):
    _, low, high, _ = result.d_prime
    axes.plot([low, min(high, 5.0)], [row, row], lw=4, solid_capstyle="butt")
    if high == math.inf:
        axes.annotate("∞", (5.05, row), va="center", annotation_clip=False)
    else:
        axes.scatter(result.d_prime.value, row, color="black", s=16, zorder=3)
axes.axvline(0, color="black", lw=0.8)
axes.set_yticks(range(len(results)), list(results))
axes.set(xlabel="$d'$", xlim=(-0.6, 5))
axes.set_ylim(len(results) - 0.5, -0.5)
figure

# %% [markdown]
# The first row is the most important one: an observer who is given real images in *both* roles must
# find nothing, and finds nothing. (With 95 % intervals, one such control in twenty finds something by
# chance. Repeat it before you believe it.) The last row is a lesson about pictures in papers. The
# mean images of a VAE look cleaner than its draws, and are told from real images *every time*: no
# real digit is so smooth.
#
# (sec-judges-task)=
# ## A task as judge
#
# People cost answers, and they do not see everything: nobody notices that a model never draws a
# certain kind of 7. So let the images be used for something. Take a conditional model, ask it for
# images of all classes, train a classifier on *nothing but these*, and test it on real images. The
# share that it names right is the **classification accuracy score** (CAS) {cite:p}`ravuri2019`; the
# idea is also known as *train on synthetic, test on real* {cite:p}`esteban2017` and as GAN-train
# {cite:p}`shmelkov2018`. With the classifier $\hat y_\theta$ that was trained on samples of
# $p_\theta(x\mid y)$,
#
# $$
# \mathrm{CAS}(\theta)=\E_{p_\text{data}(x,y)}\bigl[\mathbf 1\{\hat y_\theta(x)=y\}\bigr] .
# $$ (eq-judges-cas)
#
# What can it be at best? Write the mean as a sum over images (for a density it is an integral), and
# use that a sum has no term larger than its largest:
#
# $$
# \mathrm{CAS}(\theta) = \sum_x p_\text{data}\bigl(x,\hat y_\theta(x)\bigr)
#   \le \sum_x\max_y p_\text{data}(x,y),
# $$ (eq-judges-bayes)
#
# which is Bayes' accuracy. A classifier of unlimited power, taught with endlessly many samples,
# names $\arg\max_y p_\theta(x\mid y)\,p(y)$. If the model is right, that is the class with the
# largest $p_\text{data}(x,y)$, and the bound is reached. **But it is reached by every model that
# gets this one class right for each $x$**, whatever else is wrong with it. So the score looks at a
# model through a narrow window: it sees what moves a decision. Lost variety moves decisions. Grain,
# blur, a wrong background may not.
#
# From scratch it is a classifier and a mean. A fair yardstick is the same classifier, taught with
# real training images.


# %%
def scaled(images):
    return images / 8 - 1


def taught(images, labels, seed=0, steps=300):
    """A small classifier that has seen these images alone."""
    torch.manual_seed(seed)
    network = nn.Sequential(
        nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10)
    )
    adam = torch.optim.Adam(network.parameters(), 3e-3)
    for _ in range(steps):
        batch = torch.randint(len(images), (128,))
        logits = network(scaled(images[batch]))
        loss = nn.functional.cross_entropy(logits, labels[batch])
        adam.zero_grad()
        loss.backward()
        adam.step()
    return network


@torch.no_grad()
def named_right(network, images, labels):
    return (network(scaled(images)).argmax(1) == labels).double().mean().item()


def score(images, labels, repeats=3):
    """Classification accuracy score, the mean over first weights."""
    test = digits.test
    return (
        sum(
            named_right(taught(images, labels, seed), test.images, test.labels)
            for seed in range(repeats)
        )
        / repeats
    )


real_score = score(digits.train.images, digits.train.labels)
scores = {name: score(made, asked) for name, made in samples.items()}
assert 0.95 < real_score < 0.99
assert all(0.90 < share < real_score for share in scores.values())
print("taught by real images more than 95 %, by samples 90 % and more")

library = classification_accuracy_score(
    samples["GAN"], asked, digits, steps=200, device="cpu"
)
assert abs(library.samples.value - scores["GAN"]) < 0.05
assert abs(library.real.value - real_score) < 0.05
print("the library's score, with another network, is within 5 %")

# %% [markdown]
# Both models teach nearly as much as real images, and neither quite as much. With 400 test images
# the interval of such a share is two per cent wide to each side, {eq}`eq-judges-wilson`; do not
# rank models that are closer.
#
# (sec-judges-experiment)=
# ## An experiment: which judge misses variety?
#
# Shrink the noise of the GAN: feed it $s\,z$ instead of $z$. At $s<1$ its images become more
# typical, at $s=0$ there is one image a class. Three judges look at the samples:
#
# - **train on real, test on synthetic**: does a classifier, taught with real images, see the class
#   that was asked for?
# - **train on synthetic, test on real**: the classification accuracy score;
# - **pairs**: $d'$ of the network that tells real from made.
#
# ```{admonition} Predict, then run
# :class: tip
# Which $s$ does each judge like best: one near 0, near 1, or above?
# ```

# %%
scales = [0.0, 0.25, 0.5, 0.75, 1.0, 1.25]
reference = taught(digits.train.images, digits.train.labels, seed=7)
torch.manual_seed(2)
scaled_down = {scale: of_gan(scale) for scale in scales}
obeyed = [named_right(reference, x, asked) for x in scaled_down.values()]
learned = [score(x, asked) for x in scaled_down.values()]
seen = [judged(x).d_prime for x in scaled_down.values()]

assert min(obeyed[:3]) > 0.99 and obeyed[5] < obeyed[2] - 0.02
assert learned[4] > learned[0] + 0.05
assert learned[4] > learned[1] + 0.02
assert seen[4].high < seen[1].low and seen[4].value < 1.7
print("real to synthetic likes little noise, synthetic to real does not")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Left: against the scale of the noise, the share that a classifier taught with real images recognises starts at 1 and falls slightly beyond scale 0.75, while the classification accuracy score rises from about 0.85 to 0.95 at scale 1. Right: d prime of the network falls from very high values at small scales to about 1 at scale 1."}, "figure": {"caption": "Three judges of a GAN whose noise is multiplied by a scale. Left: shares of right names. Right: $d'$ of a network in 400 pairs with 95 % intervals; at scale 0 it is infinite, and only the lower end is drawn.", "name": "fig-judges-scales"}}
figure, (left, right) = viz.subplots(1, 2, height=2.6)
left.plot(scales, obeyed, "o--", ms=4, label="real → synthetic")
left.plot(scales, learned, "o-", ms=4, label="synthetic → real (CAS)")
left.axhline(real_score, color="black", lw=0.8, ls=":")
left.text(0.0, real_score + 0.004, "CAS of real images", fontsize=7)
left.set(xlabel="scale of the noise", ylabel="share right")
left.legend(fontsize=8, loc="lower right")
for scale, interval in zip(scales, seen, strict=True):
    right.plot(
        [scale, scale],
        [interval.low, min(interval.high, 6)],
        color=viz.style.BLUE,
        lw=3,
    )
right.set(xlabel="scale of the noise", ylabel="$d'$ of the network")
right.set(ylim=(0, 5))
figure

# %% [markdown]
# The first judge is happy with *one* image a class, and likes it best. It rewards what is typical,
# and never misses what is not there. The score that runs the other way does: a classifier that has
# seen one kind of 7 misses many of the others. The network that compares pairs likes scales near 1
# too: below, all images are alike, and that gives them away; above, some are no digits.
#
# (sec-judges-blind)=
# ### What the score does not see
#
# Now the reverse. Take the GAN's samples and paint one pixel white, the corner, in every image. A
# child sees it. A classifier that was taught with such images learns that the corner says nothing.

# %%
marked = samples["GAN"].clone()
marked[:, :, 0, 0] = 16
marked_score = score(marked, asked)
assert abs(marked_score - scores["GAN"]) < 0.03
marked_seen = judged(marked).d_prime
assert marked_seen.value == math.inf and marked_seen.low > 3
print("a marked corner: d' from finite to infinite, the score stays")

# %% [markdown]
# So the two judges complement each other: people see what is *wrong* with an image, the task
# notices what is *missing* from all images together. One fraud escapes both.
#
# (sec-judges-memory)=
# ## A model that only remembers
#
# Here is a "model" that beats ours. It has kept the training images. Asked for a 7 it takes one of
# its sevens at random and moves each grey pixel by one level up, down, or not at all.


# %%
torch.manual_seed(3)
fits = (digits.train.labels == asked[:, None]).float()  # (1000, 1000)
chosen = digits.train.images[fits.multinomial(1)[:, 0]].int()
step = torch.randint(-1, 2, chosen.shape)
grey = (chosen > 0) & (chosen < 16)  # a black background stays black
remembered = (chosen + step * grey).to(torch.uint8)


def flat(images):
    return images.flatten(1).float()


distances = {
    name: metrics.frechet_distance(flat(made), flat(digits.test.images))
    for name, made in {**samples, "memory": remembered}.items()
}
memory_score = score(remembered, asked)
assert distances["memory"] < 0.8 * distances["GAN"] < 0.8 * distances["VAE"]
assert memory_score > max(scores.values()) - 0.005
assert judged(remembered).d_prime.value < results["VAE"].d_prime.low
print(
    "Fréchet distance (pixels), best first:",
    *sorted(distances, key=distances.get),
)

# %% [markdown]
# The memory has the smallest Fréchet distance to the *test* images, by far, and nobody beats its
# classification accuracy score. Of course: its images are almost real ones, in all their variety.
# Neither figure asks where they come from. Has a model learned anything? For that we must ask how
# near its samples lie to the training set, and compare with images that had no chance to be copied.
#
# Let $t(x)$ be the distance of $x$ to its nearest training image. Take $m$ samples and $h$ held-out
# images. If samples were draws from the data's own distribution, then all $N=m+h$ distances would
# be draws of one kind, and **every order of them equally likely**. Count the pairs of a sample and
# a held-out image in which the sample lies nearer:
#
# ```{math}
# :label: eq-judges-nearer
# \begin{aligned}
# \hat\pi &= \frac{1}{mh}\sum_{i=1}^{m}\sum_{j=1}^{h}\mathbf 1\{t(x_i)<t(x'_j)\}, \\
# \E[\hat\pi] &= \tfrac12 .
# \end{aligned}
# ```
#
# (By symmetry, without ties.) How far from $\tfrac12$ may it be by chance? Rank all distances from
# 1 to $N$. The ranks of the samples add up to a sum $R$, and $mh\,(1-\hat\pi)=R-\tfrac12m(m+1)$,
# for the $k$-th of the samples, at rank $r$, has $r-k$ held-out images before it. So we need the
# variance of $R$. One rank has mean $\tfrac12(N+1)$ and variance $\tfrac1{12}(N^2-1)$. Two
# different ranks have covariance $-\tfrac1{12}(N+1)$, because all $N$ together have a constant sum:
# $0=N\cdot\tfrac1{12}(N^2-1)+N(N-1)\cdot\text{cov}$. Hence
#
# ```{math}
# :label: eq-judges-ranks
# \begin{aligned}
# \operatorname{Var}[R] &= m\,\frac{N^2-1}{12}-m(m-1)\,\frac{N+1}{12} = \frac{mh\,(N+1)}{12}, \\
# \operatorname{Var}[\hat\pi] &= \frac{N+1}{12\,mh} .
# \end{aligned}
# ```
#
# This is the test of Mann and Whitney, put to this use by {cite:t}`meehan2020`.


# %%
def distance_to(train, images):
    """Distance to the nearest training image, (N,)."""
    return torch.cdist(flat(images), flat(train)).min(1).values


def nearer(train, held_out, images):
    """Share of pairs in which the sample lies nearer, and its z."""
    near = distance_to(train, images)
    held = distance_to(train, held_out)
    below = (near[:, None] < held).double()
    ties = (near[:, None] == held).double()
    share = (below + ties / 2).mean().item()
    m, h = len(near), len(held)
    return share, (share - 0.5) / math.sqrt((m + h + 1) / (12 * m * h))


train, held_out = digits.train.images, digits.valid.images
suspects = {
    "test images": digits.test.images,
    **samples,
    "memory": remembered,
    "GAN, a quarter of the noise": scaled_down[0.25],
}
shares = {}
for name, images in suspects.items():
    shares[name], z = nearer(train, held_out, images)
    theirs = metrics.memorisation(flat(train), flat(held_out), flat(images))
    assert abs(theirs.nearer.value - shares[name]) < 1e-6
    assert abs(-theirs.z - z) < 0.02 * abs(z) + 0.01
assert abs(shares["test images"] - 0.5) < 0.06
assert shares["memory"] > 0.99
assert shares["VAE"] < 0.2 and shares["GAN"] < 0.5
assert shares["GAN, a quarter of the noise"] > 0.6
print("nearer than held-out images in more than 99 % of the pairs: the memory")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Left: histograms of distances to the nearest training image. The memory's is a narrow peak near 5; held-out images, GAN and VAE spread from 8 to 35, with the GAN's close to that of the held-out images and the VAE's further to the right. Right: for memory and GAN, the eight samples that lie nearest to a training image, and below each that image. The memory's pairs are alike up to faint grain, the GAN's are similar digits with different strokes."}, "figure": {"caption": "Left: distance to the nearest training image. Right: the most suspect samples of the memory (first row) and of the GAN (third row), each above its nearest training image.", "name": "fig-judges-memory"}}
figure, (left, right) = viz.subplots(1, 2, height=2.9, width_ratios=[1.2, 1])
bins = torch.linspace(0, 40, 41).tolist()
for name, images in {
    "memory": remembered,
    "held out": held_out,
    **{name: samples[name] for name in ("GAN", "VAE")},
}.items():
    left.hist(
        distance_to(train, images).tolist(),
        bins,
        density=True,
        histtype="step",
        lw=1.5,
        label=name,
    )
left.set(xlabel="distance to the nearest training image, levels", yticks=[])
left.legend(fontsize=8)
rows = []
for images in (remembered, samples["GAN"]):
    found = metrics.memorisation(flat(train), flat(held_out), flat(images))
    rows += [images[found.closest], train[found.nearest[found.closest]]]
viz.show_images(right, torch.cat(rows), digits.levels, columns=8)
figure

# %% [markdown]
# The memory is exposed at a glance, and by $\hat\pi$ without one. Honest models lie *further* from
# the training set than held-out images do, for the opposite reason: their images have more grain,
# and some are like no digit at all.
#
# Read $\hat\pi$ with care. The GAN at a quarter of its noise scores well above one half as well,
# and has copied nothing: typical images have near neighbours. A share above one half says *nearer
# than new data*, and no more. Whether it is copying, the pairs on the right of the figure decide.
# And a model that copies in one region can hide behind bad samples in another, so
# {cite:t}`meehan2020` compare region by region.
#
# (sec-judges-failure)=
# ## A failure, made on purpose
#
# A test of people is an experiment, and experiments leak. Suppose the made images come from a web
# demo that writes JPEG, and the real ones from our own array. To see what that does, let us use the
# *best possible model*: one whose images are real. Both roles are played by real digits, so the
# true $d'$ is 0. The observer looks at one thing: faint specks in the background.


# %%
def on_screen(images):
    """Levels 0 … 16 as grey values of 32 × 32 points."""
    grey = (images.float() * 255 / 16).round().to(torch.uint8)
    return grey.repeat_interleave(4, 2).repeat_interleave(4, 3)


def through_jpeg(images):
    """Written as JPEG at its usual quality, and read again."""
    found = []
    for image in images:
        file = io.BytesIO()
        Image.fromarray(image[0].numpy()).save(file, "JPEG", quality=75)
        found.append(torch.from_numpy(np.array(Image.open(file))))
    return torch.stack(found)[:, None]


def cleanness(images):
    """Minus the share of specks, nearly black, and a trembling hand, (N,)."""
    specks = ((images > 0) & (images < 12)).double().mean((1, 2, 3))
    return 0.02 * torch.randn(len(images)) - specks


def put_to(real, made):
    torch.manual_seed(5)
    test = metrics.HumanTest(real, made, 256, trials=300)
    while test.question is not None:
        left, right = cleanness(test.shown)
        test.answer("left" if left > right else "right")
    return test.result()


real = on_screen(digits.test.images)
model = on_screen(digits.train.images[:400])  # perfect: they are real, too
leaking = put_to(real, through_jpeg(model))
same_way = put_to(through_jpeg(real), through_jpeg(model))
assert leaking.right.low > 0.9 and leaking.d_prime.low > 2
assert same_way.d_prime.low < 0 < same_way.d_prime.high
print("one file format for each role: right in more than 90 % of the pairs")
print("one file format for both: the interval of d' holds 0")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Two rows of eight digits with dark tones made brighter. Above, straight from the array, the background is evenly black. Below, after JPEG, the background around the strokes is speckled with grey waves."}, "figure": {"caption": "Real digits, dark tones brightened eightfold. Above: as the array holds them. Below: after a JPEG file.", "name": "fig-judges-leak"}}
both = torch.stack([model[:8], through_jpeg(model[:8])])
bright = (both.int() * 8).clamp(max=255).to(torch.uint8)
viz.grid(list(bright), 256, columns=8, titles=["array", "after JPEG"])

# %% [markdown]
# ```{admonition} Symptom, diagnosis, cure
# :class: warning
#
# **Symptom.** People tell real from made images almost always; $d'$ is far above what the samples
# let you expect. It does not fall when the model gets better. Asked afterwards, they cannot say
# what was wrong with the digits, or they say: "the background".
#
# **Diagnosis.** Something other than the model tells the images apart: a file format, another way
# of resizing, a size, a colour space, the name of the file, the side of the screen, the order. The
# test has measured that.
#
# **Cure.** Send both kinds of images through the same code from the array to the screen. Then put
# real images in both roles, as a control: $d'$ must be 0 within its interval. Do the same for every
# automatic judge; it uses such leaks more readily than people do.
# ```
#
# Automatic judges fall for this too. The Fréchet distance of a data set to *itself* is anything but
# zero if one copy was resized or compressed by another program {cite:p}`parmar2022`.
#
# ## Who judges what
#
# One of our sources names three ways to judge images, by people, by tasks and by formulas, and
# leaves it at a sentence each. Here is what this chapter adds.
#
# | judge | sees | misses | costs |
# | --- | --- | --- | --- |
# | people, in pairs | whatever is wrong with one image | what is missing from all images; copies | hundreds of answers for each model |
# | a classifier, real to synthetic | images that are not of their class | lost variety; copies | one classifier |
# | CAS, synthetic to real | lost variety within and between classes | whatever moves no decision; copies | a classifier for each model, and labels |
# | distances to the training set | copies | everything else | held-out images |
#
# No row can replace another. Chapter 18 puts them side by side for all the models of this book.
#
# ## Exercises
#
# ```{exercise} A favourite side
# :label: ex-judges-side
# An observer of pairs adds $b$ to the impression of whatever stands on the left. The real image
# stands on either side equally often. Show that the share of right answers is
# $\tfrac12[\Phi(\frac{d'+b}{\sqrt2})+\Phi(\frac{d'-b}{\sqrt2})]$, and that $\sqrt2\,\Phi^{-1}$ of
# it is too small. How can $d'$ be found all the same?
# ```
#
# ````{solution} ex-judges-side
# :class: dropdown
# With the real image on the left, the difference left minus right is $\mathcal N(d'+b,2)$ and
# *left* is right: probability $\Phi(\frac{d'+b}{\sqrt2})$. With the real one on the right the
# difference is $\mathcal N(b-d',2)$ and must be negative: $\Phi(\frac{d'-b}{\sqrt2})$. As in
# {eq}`eq-judges-right`, the mean of $\Phi(a+e)$ and $\Phi(a-e)$ is largest at $e=0$ for $a>0$, so a
# favourite side lowers the share, and $d'$ by {eq}`eq-judges-pairs` with it. Treat it as a test of
# single images in which the question is "is the real one on the left?": with $H$ the share of
# *left* when it is there and $F$ the share of *left* when it is not,
# $\Phi^{-1}(H)-\Phi^{-1}(F)=\frac{d'+b}{\sqrt2}-\frac{b-d'}{\sqrt2}=\sqrt2\,d'$. So
# $d'=[\Phi^{-1}(H)-\Phi^{-1}(F)]/\sqrt2$, for any $b$.
# ````
#
# ```{exercise} The same eyes
# :label: ex-judges-eyes
# Somebody is right in 76 % of the pairs. How many single images, half of them real, will the same
# person judge rightly at best?
# ```
#
# ````{solution} ex-judges-eyes
# :class: dropdown
# By {eq}`eq-judges-pairs` $d'=\sqrt2\,\Phi^{-1}(0.76)\approx1.0$, and an impartial observer is
# right with probability $\Phi(d'/2)\approx0.69$ {eq}`eq-judges-right`. In general $\Phi^{-1}$ of
# the two shares differ by the factor $\sqrt2$. It is the person who is measured with pairs who
# looks better.
# ````
#
# ```{exercise} Which of two models?
# :label: ex-judges-compare
# Two models have $d'=0.5$ and $d'=0.8$. Each is judged in $n$ pairs. From which $n$ on is the
# expected difference of the shares larger than $1.96$ standard deviations of it?
# ```
#
# ````{solution} ex-judges-compare
# :class: dropdown
# The shares are $\Phi(0.5/\sqrt2)\approx0.638$ and $\Phi(0.8/\sqrt2)\approx0.714$. Their difference
# has variance $[0.638\cdot0.362+0.714\cdot0.286]/n\approx0.435/n$. From $0.076>1.96\sqrt{0.435/n}$
# follows $n\ge290$ or so, for each model, and even then the difference is missed in half of the
# experiments. If both models are judged by the same people with the same real images, the
# comparison can be paired and costs less.
# ````
#
# ```{exercise} All ways round
# :label: ex-judges-ways
# Train on real or on synthetic, test on real or on synthetic: that makes four scores. Which of them
# can a model fool that draws, for each class, a single perfect image? And what does the score say
# that is trained *and* tested on synthetic images?
# ```
#
# ````{solution} ex-judges-ways
# :class: dropdown
# *Real to real* does not see the model. *Real to synthetic* is fooled: the one image is recognised,
# share 1; that is scale 0 of {numref}`fig-judges-scales`. *Synthetic to real* is not: one example a
# class teaches far less than many. *Synthetic to synthetic* is fooled most of all. It says that the
# model's classes can be told apart by something that learned them from the model. A model that
# draws a 3 when asked for a 7, and always so, gets full marks. Held-out synthetic data are no test
# set: it is the failure of measuring on what one has made.
# ````
#
# ```{exercise} A cleverer thief
# :label: ex-judges-thief
# Let the memory shift each image by one pixel, to a random side, before it adds its noise. Compute
# $\hat\pi$ again. What has happened, and how do you catch it?
# ```
#
# ````{solution} ex-judges-thief
# :class: dropdown
# ```python
# def shifted(image):
#     side = torch.randint(4, ()).item()
#     return image.roll([(1, 0), (-1, 0), (0, 1), (0, -1)][side], (1, 2))
# thief = torch.stack([shifted(image) for image in remembered])
# print(nearer(train, held_out, thief))
# ```
#
# The distance between pixels is blind to what the eye calls the same: shifted by one pixel, a digit
# lies further from its original than from other digits, and $\hat\pi$ falls below one half. Compare
# with *shifted copies* of the training set as well (four more for each image), or measure distances
# in features that do not mind shifts, such as those of a classifier. Every such test finds only
# those copies that its distance calls near.
# ````
#
# ## Summary
#
# - An answer is an impression and a threshold. $d'=\Phi^{-1}(H)-\Phi^{-1}(F)$ {eq}`eq-judges-rates`
#   is free of the threshold; the share of right answers is not.
# - Pairs leave no threshold: $d'=\sqrt2\,\Phi^{-1}(p)$ {eq}`eq-judges-pairs`, with $\sqrt2$ for two
#   noises. Without normality, $p$ is the area under the curve {eq}`eq-judges-area`.
# - Give every share with Wilson's interval {eq}`eq-judges-wilson`, and plan for hundreds of answers
#   {eq}`eq-judges-trials`.
# - The classification accuracy score {eq}`eq-judges-cas` notices what is missing, and is blind to
#   what moves no decision. Its reverse is fooled by one image a class.
# - Fréchet distance and accuracy score applaud a memory. Held-out images {eq}`eq-judges-nearer` and
#   a look at the nearest pairs expose it.
# - Put real images in both roles: the control that every test of people needs.
#
# ## Further reading
#
# {cite:t}`green1966` is the classic on signal detection. {cite:t}`brown2001` compare intervals for
# a share, with all their jagged curves; {cite:t}`zou2008` explain how to combine intervals.
# {cite:t}`zhou2019` measure generative models with people under controlled conditions, and
# {cite:t}`salimans2016` report early how much feedback changes what people see.
# {cite:t}`ravuri2019` introduce the classification accuracy score and find that it disagrees with
# other figures; {cite:t}`shmelkov2018` run it in both directions. {cite:t}`meehan2020` test for
# copying, and {cite:t}`stein2023` hold many automatic figures against a large study with people,
# memorisation included.
