# %% [markdown]
# (ch-samples)=
# # 16 Measuring samples
#
# **Reading** 70 minutes · **Running** under 90 seconds on one CPU thread · **Difficulty** ●●○ ·
# **You need** means and covariances, {ref}`ch-learn`, a little PyTorch
#
# **Seven programs hand you two thousand pictures each. Which of them has learnt the data?** You may
# not look inside: some have a likelihood, some have none. You may only look at what they drew. A
# glance finds the clumsy ones. It does not find the one that never draws a 7, nor the one that hands
# out its training images.
#
# So people compute a number from the two sets of images, the real and the made. There are a dozen
# such numbers in use. Each is blind to something, each can be had too cheaply, and most of them
# depend on things that are not printed beside them. This chapter takes them apart.
#
# After this chapter you can
#
# - write Inception Score as mutual information, and reach its maximum with ten pictures;
# - derive the Fréchet distance between Gaussians, and draw two different sets at distance zero;
# - say how much of a reported distance is sample size, and take it away;
# - estimate a kernel distance without bias, with its standard error;
# - tell a model that drops modes from one that blurs;
# - say why SSIM judges a pair of images and not a model;
# - make somebody else's number agree with yours, digit by digit.
#
# ```{admonition} Five questions first
# :class: tip
#
# 1. Which distribution over $K$ classes has the largest entropy, and how large is it?
# 2. Two random vectors have the same mean and the same covariance. Are they distributed alike?
# 3. How far, in squared distance, does the mean of $N$ independent draws lie from the true mean?
# 4. What is the trace of the square root of a positive matrix, in terms of its eigenvalues?
# 5. Why does the sample covariance divide by $N-1$?
#
# If three of them come easily, read on. The answers follow.
# ```
#
# ```{admonition} Answers
# :class: dropdown
#
# 1. The uniform one, with $\log K$ nats.
# 2. Not in general; among Gaussians, yes. {numref}`fig-samples-zero` lives on this.
# 3. On average by $\operatorname{tr}(C)/N$, where $C$ is the covariance of one draw.
# 4. The sum of their square roots.
# 5. Because deviations are taken from the sample's own mean, which lies closer to the points than
#    the true one does. On average the sum of squares is $(N-1)\,C$.
# ```

# %%
import math

import torch
from myst_nb import glue
from torch.nn import functional as F

from genlearn import data, metrics, models, viz
from genlearn.recipes import judge as judging
from genlearn.training import Objective, evaluating, fit

torch.set_num_threads(1)  # models this small are fastest on one thread


def printed_digits(n, seed):
    """Draw fresh digits in fourteen fonts: 14x14 pixels, 17 grey levels."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(10, (n,), generator=generator)
    low = torch.tensor([0.0, 14.0, -0.3, -0.2])  # font, size, slant, weight
    high = torch.tensor([14.0, 20.0, 0.3, 0.5])
    factors = low + (high - low) * torch.rand(n, 4, generator=generator)
    factors[:, 0].floor_()
    large = data.render_glyphs(labels, factors).float()  # 28x28, 256 levels
    levels = (F.avg_pool2d(large, 2) * (16 / 255)).round().to(torch.uint8)
    return data.Split(levels, labels, 17, "printed digits")


train, real = printed_digits(2000, seed=0), printed_digits(2000, seed=1)
pool, fresh = printed_digits(4000, seed=2), printed_digits(2000, seed=3)
dataset = data.Dataset("printed digits", train=train, valid=pool, test=real)
print(len(train), "images to train with,", len(real), "to compare with")

# %% [markdown]
# Printed digits have one great advantage here. Their source is a program, so we can always draw
# more. **Fresh draws from the source are what a perfect model would produce.** Whatever a measure
# says of *them* is its zero, and no measure should prefer anything else.
#
# (sec-samples-lineup)=
# ## A line-up
#
# Here are the seven suspects. One is perfect. The training set itself stands for a model that has
# learnt it by heart. Four were made with a known fault: one model draws only six of the ten digits,
# one blurs a little, one leaves grain, one has just ten pictures and shows them again and again. The
# last is a small VAE, as in {ref}`ch-vae`, trained while you wait, which shows its mean images.


# %%
def blurred(images, weight):
    """Mix each pixel with its eight neighbours."""
    line = torch.tensor([weight, 1 - 2 * weight, weight])
    kernel = torch.outer(line, line)[None, None]
    soft = F.conv2d(images.float(), kernel, padding=1)
    return soft.round().to(torch.uint8)


def grainy(images, std, seed=0):
    """Add noise of so many levels, round, and stay within the levels."""
    generator = torch.Generator().manual_seed(seed)
    noise = std * torch.randn(images.shape, generator=generator)
    return (images + noise).round().clamp(0, 16).to(torch.uint8)


torch.manual_seed(0)
vae = models.VAE.mlp(
    train.shape, 17, latent_dim=12, hidden=(256,), pixel_features=4
)
adam = torch.optim.AdamW(vae.parameters(), lr=2e-3)
objective = Objective("vae", lambda s: -vae.elbo(s.batch[0]).mean(), adam)
fit({"vae": vae}, [objective], data.Batches(train, 64), 500, device="cpu")
torch.manual_seed(1)
with evaluating(vae):
    vae_means = vae.mean_image(vae.prior(2000).sample())  # not yet rounded

# %% [markdown]
# To choose its ten pictures, the sixth suspect asks a classifier which ones look most like what they
# are. The same classifier, a small convolutional network trained on the training images, serves us
# throughout: its class probabilities for the first measure, and its last hidden layer, 64 numbers,
# as **features** in which images are compared. Why not in pixels? That has a section of its own,
# {ref}`sec-samples-features`.

# %%
judge = judging.train_judge(dataset, steps=300, channels=(8, 16), device="cpu")
judge.eval()
assert judging.accuracy(judge, real) > 0.97


@torch.no_grad()
def features(images):
    """The judge's hidden layer: levels, whole or not, to (N, 64), float64."""
    return F.silu(judge.encoder(images.float() * (2 / 16) - 1)).double()


@torch.no_grad()
def log_probs(images):
    """Log p(y | x) of each image, (N, 10)."""
    return judge.head(features(images).float()).double().log_softmax(1)


torch.testing.assert_close(
    features(real.images[:50]).float(), judge.features(real.images[:50])
)
certain = log_probs(pool.images).amax(1)
best = [
    torch.where(pool.labels == k, certain, -torch.inf).argmax().item()
    for k in range(10)
]
lineup = {
    "fresh draws": fresh.images,
    "training set": train.images,
    "six kinds": pool.images[pool.labels < 6][:2000],
    "blurred": blurred(pool.images[:2000], 0.08),
    "grainy": grainy(pool.images[:2000], 1.0),
    "ten pictures": pool.images[best].repeat(200, 1, 1, 1),
    "VAE": vae_means.round().to(torch.uint8),
}
assert {len(images) for images in lineup.values()} == {2000}

# %% [markdown]
# ```{admonition} Predict, then run
# :class: tip
# Look at the figure for as long as you look at samples in a paper, and order the seven from best to
# worst. Which two could you not have told apart?
# ```

# %% tags=["hide-input"] mystnb={"image": {"alt": "Seven blocks of two rows of sixteen images of printed digits. Fresh draws and the training set look alike. In six kinds there is no 6, 7, 8 or 9. The blurred ones are a little soft, the grainy ones have grey specks. The ten pictures are the digits 0 to 9, again and again. The VAE's are soft, and some are mixtures of digits."}, "figure": {"caption": "The line-up: 32 images of each suspect.", "name": "fig-samples-lineup"}}
viz.grid([images[:32] for images in lineup.values()], 17, titles=list(lineup))

# %% [markdown]
# Nobody can tell the first from the second, and two rows are too few to notice what is missing in
# the third. Looking is not enough.
#
# Call $p$ the distribution of the real images and $q$ that of the model. All that follows is an
# answer to one question: *from $N$ draws of $p$ and $M$ draws of $q$, how far apart are the two?*
#
# (sec-samples-inception)=
# ## Inception Score
#
# The first number that was widely used asks two things {cite:p}`salimans2016`. Does each image look
# like *something*? Then a classifier is sure of its class, and $p(y\mid x)$ is concentrated. And is
# there *variety*? Then the average over all images, $p(y)=\E_{x\sim q}[p(y\mid x)]$, is spread out.
# So measure how far the first lies from the second:
#
# $$
# \text{IS} = \exp\Bigl(\E_{x\sim q}\,\KL{p(y\mid x)}{p(y)}\Bigr).
# $$ (eq-samples-inception)
#
# The exponential turns nats into a number of classes; it is taken once, *after* the mean. What is
# the mean? Write the divergence out and sort the logarithms:
#
# ```{math}
# :label: eq-samples-information
# \begin{aligned}
# \log\text{IS}
#   &= \E_x\sum_y p(y\mid x)\log p(y\mid x) \\
#   &\quad- \sum_y \E_x\bigl[p(y\mid x)\bigr]\log p(y) \\
#   &= H(y) - H(y\mid x) = I(x;y).
# \end{aligned}
# ```
#
# In the second sum $\log p(y)$ does not depend on $x$, so the mean over $x$ goes past it and turns
# $p(y\mid x)$ into $p(y)$. What remains is an entropy less a mean entropy: the **mutual information**
# of image and class. The score asks how many nats the classifier learns about the class when it is
# shown the image.
#
# That settles its range. A divergence is never negative, so $\log\text{IS}\ge0$. And
# $H(y)\le\log K$ while $H(y\mid x)\ge0$, so $\log\text{IS}\le\log K$:
#
# $$
# 1 \le \text{IS} \le K .
# $$ (eq-samples-bounds)
#
# It is 1 exactly when all images are told alike, and $K$ exactly when every image is told with
# certainty and all classes are equally frequent. Here it is, from scratch.


# %%
def inception_score(log_probs):
    """log p(y | x), (N, K), to a number from 1 to K."""
    marginal = log_probs.logsumexp(0) - math.log(len(log_probs))
    divergence = (log_probs.exp() * (log_probs - marginal)).sum(1)
    return divergence.mean().exp().item()


unsure = torch.full((40, 10), 0.1).log()
sure = (torch.eye(10).repeat(4, 1) + 1e-12).log()
assert abs(inception_score(unsure) - 1) < 1e-5
assert abs(inception_score(sure) - 10) < 1e-4

told = {name: log_probs(images) for name, images in lineup.items()}
scores = {name: inception_score(rows) for name, rows in told.items()}
for name, rows in told.items():
    library = metrics.inception_score(rows).value
    assert abs(scores[name] / library - 1) < 1e-9

assert max(scores, key=scores.get) == "ten pictures"
assert scores["ten pictures"] > 9.99 > scores["fresh draws"]
assert scores["six kinds"] < 6.1
print("highest Inception Score: ten pictures, shown again and again")

# %% [markdown]
# (sec-samples-fooled)=
# ### How it is fooled
#
# The winner is the suspect with *ten pictures*. One image of each class, which the classifier is
# certain of, is all that {eq}`eq-samples-bounds` asks for. It beats the perfect model, whose images
# are sometimes hard to read and whose classes are never exactly even. Variety *within* a class adds
# nothing.
#
# And look at the arguments of the function. Where are the real images? There are none.
#
# ```{erratum} E19
# ```
#
# The score knows about the data only what the classifier happens to remember. So let us make images
# for the classifier alone. We begin with noise, and change it so that the classifier calls the first
# image a 0, the second a 1, and so on.

# %%
torch.manual_seed(0)
canvas = (16 * torch.rand(100, 1, 14, 14)).requires_grad_()
wanted = torch.arange(100) % 10
adam = torch.optim.Adam([canvas], lr=0.3)
for _ in range(100):
    hidden = F.silu(judge.encoder(canvas.clamp(0, 16) * (2 / 16) - 1))
    loss = F.cross_entropy(judge.head(hidden), wanted)
    adam.zero_grad()
    loss.backward()
    adam.step()
nonsense = canvas.detach().clamp(0, 16).round().to(torch.uint8)

score = inception_score(log_probs(nonsense))
assert score > 9.5
print("Inception Score of the nonsense: above 9.5 of 10")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Two rows of sixteen images that are nothing but noise in all shades of grey, without any digit to be seen."}, "figure": {"caption": "An almost perfect score: images made from noise to please the classifier. It is certain that they are, from left to right, 0, 1, 2, …", "name": "fig-samples-nonsense"}}
viz.grid(nonsense[:32], 17)

# %% [markdown]
# {cite:t}`barratt2018` list more. The score depends on the weights of the classifier, and on how many
# images it is computed from. A classifier of other classes than those of your data asks a question
# about your images that they do not answer. What the score measures is real, the information
# in {eq}`eq-samples-information`; it is just not a comparison with the data. For that, the data must
# be among the arguments.
#
# (sec-samples-frechet)=
# ## The Fréchet distance
#
# Describe each set of images by the mean and the covariance of its features. How far apart are two
# such descriptions? One could add up differences, but of what, and with what weights? There is a
# better way to ask. Take each set as a heap of sand, and ask for the least work that turns one heap
# into the other, if moving a grain costs its squared distance:
#
# $$
# W_2^2(p,q) = \inf_{\text{couplings}}\ \E\lVert a-b\rVert^2,
# \qquad a\sim p,\ b\sim q .
# $$ (eq-samples-transport)
#
# A **coupling** is a joint distribution of $a$ and $b$ with the right two margins: a plan that says
# which grain goes where. (You met its cousin with an unsquared distance in {ref}`ch-stable`.) For
# Gaussians the best plan can be found by hand. In one dimension it is plain: stretch and shift.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Left: a narrow bell curve around minus one and a wide one around two; thin lines connect points of the first with points of the second, spreading out like a fan. Right: a half plane with the mean on the horizontal and the standard deviation on the vertical axis; the two curves are two dots, joined by a straight line."}, "figure": {"caption": "Two Gaussians on a line. Left: the best plan sends each quantile to the same quantile. Right: each Gaussian is a point with its mean and standard deviation as coordinates; the Fréchet distance is the squared length of the line between them.", "name": "fig-samples-line"}}
one, two = torch.distributions.Normal(-1, 0.4), torch.distributions.Normal(2, 1)
figure, (left, right) = viz.subplots(1, 2, height=2.5)
x = torch.linspace(-3, 5, 400)
for bell, name, base in [(one, "first", 1.5), (two, "second", 0.0)]:
    height = base + bell.log_prob(x).exp()
    left.fill_between(x, base, height, alpha=0.4, label=name)
    right.scatter(bell.mean, bell.stddev, s=40, zorder=3)
quantiles = torch.linspace(0.04, 0.96, 12)
for a, b in zip(one.icdf(quantiles), two.icdf(quantiles), strict=True):
    left.plot([a, b], [1.5, two.log_prob(b).exp()], color="grey", lw=0.7)
left.set(xlabel="one feature", yticks=[])
left.legend()
right.plot([-1, 2], [0.4, 1], color="black", lw=1)
right.set(xlabel="mean", ylabel="standard deviation", ylim=(0, 1.4))
right.set_aspect("equal")
figure

# %% [markdown]
# If each quantile goes to the same quantile, $b=m_2+\tfrac{\sigma_2}{\sigma_1}(a-m_1)$. The
# difference $a-b$ has mean $m_1-m_2$ and standard deviation $\lvert\sigma_1-\sigma_2\rvert$, so the
# cost is
#
# $$
# d^2 = (m_1-m_2)^2+(\sigma_1-\sigma_2)^2 .
# $$ (eq-samples-line)
#
# In many dimensions covariances need not have the same axes, and the question becomes which plan
# aligns them best.
#
# ````{prf:theorem} The distance of two Gaussians
# :label: thm-samples-frechet
#
# Let $a$ and $b$ have means $m_1,m_2$ and covariances $C_1,C_2$. For every coupling
#
# ```{math}
# :label: eq-samples-frechet
# \begin{aligned}
# \E\lVert a-b\rVert^2 &\ge d^2, \\
# d^2 &= \lVert m_1-m_2\rVert^2+\operatorname{tr}(C_1+C_2) \\
#   &\quad-2\operatorname{tr}\bigl(C_1^{1/2}C_2\,C_1^{1/2}\bigr)^{1/2},
# \end{aligned}
# ```
#
# and if $a$ and $b$ are Gaussian, some coupling reaches it: $W_2^2=d^2$.
# ````
#
# ````{prf:proof}
# *What a plan can change.* Centre both vectors and expand the square. With the cross-covariance
# $K=\E[(a-m_1)(b-m_2)^\top]$,
#
# ```{math}
# :label: eq-samples-coupling
# \begin{aligned}
# \E\lVert a-b\rVert^2 &= \lVert m_1-m_2\rVert^2 \\
#   &\quad+\operatorname{tr}C_1+\operatorname{tr}C_2-2\operatorname{tr}K .
# \end{aligned}
# ```
#
# Only $K$ depends on the plan. We want the largest $\operatorname{tr}K$.
#
# *Which $K$ are possible.* The covariance of the pair $(a,b)$ must be positive semidefinite. Suppose
# $C_1$ and $C_2$ are invertible (otherwise add a small multiple of the identity to both, and let it go to
# zero at the end), and write $K=C_1^{1/2}WC_2^{1/2}$. Multiplying the rows and columns of the pair's
# covariance by $C_1^{-1/2}$ and $C_2^{-1/2}$ does not change its sign, and leaves
# $\bigl(\begin{smallmatrix}I&W\\W^\top&I\end{smallmatrix}\bigr)$. That is positive semidefinite exactly
# if $\lVert u\rVert^2+\lVert v\rVert^2+2u^\top Wv\ge0$ for all $u,v$, which means
# $\lvert u^\top Wv\rvert\le1$ for all unit vectors: $W$ never lengthens a vector.
#
# *The largest trace.* By the cyclic rule $\operatorname{tr}K=\operatorname{tr}(WB)$ with
# $B=C_2^{1/2}C_1^{1/2}$. Let $B=\sum_i s_i\,u_iv_i^\top$ be its singular value decomposition. Then
#
# $$
# \operatorname{tr}(WB)=\sum_i s_i\,v_i^\top Wu_i\le\sum_i s_i,
# $$
#
# and $W=\sum_i v_iu_i^\top$, which never lengthens a vector, reaches it. The $s_i$ are the roots of
# the eigenvalues of $B^\top B=C_1^{1/2}C_2C_1^{1/2}$, so their sum is the trace in
# {eq}`eq-samples-frechet`.
#
# *Gaussians reach it.* For this $K$ the joint Gaussian with the two margins and cross-covariance $K$
# exists, since its covariance is positive semidefinite. It is a coupling, and costs $d^2$.
# ````
#
# {cite:t}`dowson1982` found the formula. With the features of a particular network it became the
# standard measure of image generators {cite:p}`heusel2017`. Two things to keep from the proof: for
# features that are *not* Gaussian, $d^2$ is a lower bound of the true cost; and it is already a
# *squared* distance. (The name fits the square root, but everyone calls $d^2$ the Fréchet distance,
# and so do we.)
#
# In code one need not take a matrix root. The matrices $C_1^{1/2}C_2C_1^{1/2}$ and $C_1C_2$ have
# the same eigenvalues, so the last trace is the sum of the roots of the eigenvalues of $C_1C_2$.


# %%
def frechet_distance(first, second):
    """Features (N, F) and (M, F), float64, to one number."""
    apart = (first.mean(0) - second.mean(0)).square().sum()
    one, two = first.T.cov(), second.T.cov()  # divided by N - 1
    overlap = torch.linalg.eigvals(one @ two).real.clamp(min=0).sqrt().sum()
    return (apart + one.trace() + two.trace() - 2 * overlap).item()


seen = {name: features(images) for name, images in lineup.items()}
truth = features(real.images)
for vectors in seen.values():
    ours = frechet_distance(vectors, truth)
    library = metrics.frechet_distance(vectors, truth)
    assert abs(ours - library) < 1e-6 * library
print("both agree for each suspect, to one part in a million")

# %% [markdown]
# The library works with symmetric matrices only, whose eigenvalues are real by construction, and
# takes batches: `metrics.Moments` gathers means and covariances of any number of images in
# bounded memory.
#
# (sec-samples-zero)=
# ### What zero means
#
# A distance of zero means equal means and equal covariances, *and nothing else*. Two examples, both
# made by hand. On a circle of radius $\sqrt2$ each coordinate has mean 0 and variance 1, and the two
# are uncorrelated, because $\E[\cos\varphi\sin\varphi]=0$: the same moments as the standard
# Gaussian. And for images: take the mean and the covariance of the real *pixels*, draw from the
# Gaussian that has them, and adjust the draws so that they match exactly.

# %%
torch.manual_seed(0)


def matched(draws, target):
    """Give draws (N, F) exactly the mean and covariance of the target."""
    values, vectors = torch.linalg.eigh(target.T.cov())
    root = vectors * values.clamp(min=0).sqrt()
    centred = draws - draws.mean(0)
    white = torch.linalg.solve_triangular(
        torch.linalg.cholesky(centred.T.cov()), centred.T, upper=False
    )
    return target.mean(0) + white.T @ root.T


pixels = real.images.flatten(1).double()
ghosts = matched(torch.randn(2000, 196).double(), pixels)
angle = 2 * math.pi * torch.rand(2000, 1).double()
circle = math.sqrt(2) * torch.cat([angle.cos(), angle.sin()], 1)
cloud = matched(torch.randn(2000, 2).double(), circle)

fresh_pixels = lineup["fresh draws"].flatten(1).double()
of_ghosts = metrics.frechet_distance(ghosts, pixels)
of_fresh = metrics.frechet_distance(fresh_pixels, pixels)
assert metrics.frechet_distance(circle, cloud) < 1e-9
assert of_ghosts < 1e-6 < 10 < of_fresh
print("pixels: ghosts at distance 0, fresh real images above 10")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Left: points on a circle, and beside it a round cloud of points. Right: two rows of real digits and two rows of grey smudges in the middle of the image, a few of which recall a digit."}, "figure": {"caption": "Two pairs at Fréchet distance zero. Left: a circle and a Gaussian cloud. Right: real images, and draws of a Gaussian over their pixels.", "name": "fig-samples-zero"}}
ghost_images = ghosts.view(-1, 1, 14, 14).round().clamp(0, 16)
figure, panels = viz.subplot_mosaic(
    [["circle", "cloud", "real"], ["circle", "cloud", "ghosts"]],
    height=2.2,
    width_ratios=[1, 1, 2.2],
)
for name, points in [("circle", circle), ("cloud", cloud)]:
    panels[name].scatter(*points[:600].T, s=2)
    panels[name].set(xlim=(-3, 3), ylim=(-3, 3), aspect="equal", title=name)
for name, images in [("real", real.images), ("ghosts", ghost_images)]:
    viz.show_images(panels[name], images[:20], 17, columns=10, title=name)
figure

# %% [markdown]
# The ghosts are at distance zero from the real images, and a perfect model is not! The first is how
# we built them; the second needs an explanation, and gets it in a moment. A better feature space
# would see through this fraud: in the judge's features the ghosts are more than ten times as far away
# as a perfect model. But no feature space removes the blind spot, it only moves it.

# %%
in_features = frechet_distance(features(ghost_images), truth)
assert in_features > 10 * frechet_distance(seen["fresh draws"], truth)
print("in the judge's features: ghosts ten times as far as fresh draws")

# %% [markdown]
# (sec-samples-bias)=
# ## How many images? The bias of the Fréchet distance
#
# ```{admonition} Predict, then run
# :class: tip
# Draw two sets of 100 images from the *same* source, and compute their Fréchet distance. Then two
# sets of 1,000. Will the distances be zero, scatter around zero, or neither?
# ```
#
# The distance of two *samples* is never negative, and is zero only if their moments agree to the last
# digit. So for samples of one source it is always too large. By how much? Let $\hat m$ and
# $\hat C=C+\Delta$ be estimated from $N$ draws, and compare with the true $m$ and $C$. The means are
# easy: $\E\lVert\hat m-m\rVert^2=\operatorname{tr}(C)/N$, which is the third of the five questions.
#
# For the covariances expand the root. Choose axes along which $C$ is diagonal, with eigenvalues
# $\lambda_i$. We look for $R$ with $R^2=C^{1/2}\hat C\,C^{1/2}=C^2+E$, where
# $E_{ij}=\sqrt{\lambda_i\lambda_j}\,\Delta_{ij}$. Put $R=C+R_1+R_2+\dots$, sorted by powers of
# $\Delta$, square it, and compare the orders one by one:
#
# ```{math}
# \begin{aligned}
# CR_1+R_1C &= E, &
# (R_1)_{ij} &= \frac{E_{ij}}{\lambda_i+\lambda_j}, \\
# CR_2+R_2C &= -R_1^2, &
# (R_2)_{ii} &= -\frac{1}{2\lambda_i}\sum_j(R_1)_{ij}^2 .
# \end{aligned}
# ```
#
# The traces of both are
#
# ```{math}
# \begin{aligned}
# \operatorname{tr}R_1 &= \tfrac12\operatorname{tr}\Delta, \\
# \operatorname{tr}R_2 &= -\frac12\sum_{i,j}
#   \frac{\lambda_j\,\Delta_{ij}^2}{(\lambda_i+\lambda_j)^2}
#   = -\frac14\sum_{i,j}\frac{\Delta_{ij}^2}{\lambda_i+\lambda_j} .
# \end{aligned}
# ```
#
# (In the last step the terms $ij$ and $ji$ are taken together: $\lambda_j$ and $\lambda_i$ add up, so each
# may be replaced by half their sum.) In the distance,
# $\operatorname{tr}C+\operatorname{tr}\hat C-2\operatorname{tr}R$, everything of first order cancels,
# and what remains is
#
# $$
# d^2(C,C+\Delta)\approx\frac12\sum_{i,j}\frac{\Delta_{ij}^2}{\lambda_i+\lambda_j} .
# $$ (eq-samples-second)
#
# It is a square: errors of either sign make the distance larger, so they do not average out. For
# Gaussian features $\E[\Delta_{ij}^2]=\lambda_i\lambda_j(1+\delta_{ij})/(N-1)$, where $\delta_{ij}$
# is 1 on the diagonal and 0 elsewhere. Both parts together:
#
# ```{math}
# :label: eq-samples-bias
# \begin{aligned}
# \E[d^2] &\approx \frac{c}{N}, \\
# c &= \sum_i\lambda_i
#   +\frac12\sum_{i,j}\frac{\lambda_i\lambda_j(1+\delta_{ij})}{\lambda_i+\lambda_j}.
# \end{aligned}
# ```
#
# If the other set is a sample too, of $M$ draws, its errors are independent of ours and their
# squares add: $c/N+c/M$. For $F$ features of variance 1, $c=F+\tfrac14F(F+1)$. It grows
# with the *square* of the number of features. With the 2,048 of the usual network this is about a
# million, so that 10,000 images of a perfect model with such features would be at a distance of about a
# hundred. (Real features have few large variances, so the actual figure is smaller. It is not small.)

# %%
torch.manual_seed(0)
dim, repeats = 16, 100
sizes = [5, 10, 20, 40, 80, 160, 320, 640, 1280]


def mean_distance(n):
    """Mean over many pairs of samples of one Gaussian, and its error."""
    found = torch.tensor(
        [
            metrics.frechet_distance(*torch.randn(2, n, dim).double())
            for _ in range(repeats)
        ]
    )
    return found.mean().item(), found.std().item() / math.sqrt(repeats)


measured = [mean_distance(n) for n in sizes]
constant = dim + dim * (dim + 1) / 4
predicted = [2 * constant / n for n in sizes]  # both sets are samples
for (value, _), expected, n in zip(measured, predicted, sizes, strict=True):
    if n >= 160:
        assert abs(value / expected - 1) < 0.05 + 10 / n
million = round((2048 + 2048 * 2049 / 4) / 1e6, 1)
assert million == 1.1
print("from 160 draws on, the distance is c/N + c/M to a few per cent")

# %% [markdown]
# The formula fits as soon as $\Delta$ is small beside $C$. It cannot when $N\le F$: a covariance
# from $N$ draws has rank $N-1$ at most, so it calls $F-N+1$ directions flat that are not. Programs
# which take the root of $C_1C_2$ without symmetry run into trouble there: eigenvalues that should be
# zero come out slightly negative or complex. Some add $10^{-6}$ to the diagonal, some drop the imaginary
# part, and each gets another number. Do not mend it, take more images.
#
# (sec-samples-infinity)=
# ### Taking the bias away
#
# A bias of the form $c/N$ can be removed without knowing $c$. Compute the distance at several sizes,
# draw it against $1/N$, and read the straight line off at zero {cite:p}`chong2020`:
#
# $$
# \E[d^2_N] \approx d^2_\infty+\frac{c}{N} .
# $$ (eq-samples-infinity)


# %%
def at_infinity(first, second, sizes=(200, 250, 333, 500, 1000, 2000)):
    """Straight line through mean distances against 1/N; value at 1/N = 0."""
    generator = torch.Generator().manual_seed(0)
    means = []
    for n in sizes:
        order = torch.randperm(len(first), generator=generator)
        parts = [rows for rows in order.split(n) if len(rows) == n]
        found = [metrics.frechet_distance(first[r], second) for r in parts]
        means.append(sum(found) / len(found))
    table = torch.stack(
        [torch.ones(len(sizes)), 1 / torch.tensor(sizes)], dim=1
    ).double()
    line = torch.linalg.lstsq(table, torch.tensor(means).double()[:, None])
    intercept, slope = line.solution.flatten().tolist()
    return intercept, slope, means


shown = {
    "fresh draws": seen["fresh draws"],
    "blurred": seen["blurred"],
    "blurred more": features(blurred(pool.images[:2000], 0.15)),
}
lines = {name: at_infinity(made, truth) for name, made in shown.items()}
for name, made in shown.items():
    library = metrics.frechet_at_infinity(made, truth)
    assert abs(lines[name][0] - library.value) < library.high - library.low
raw, limit = lines["fresh draws"][2][0], lines["fresh draws"][0]
assert raw > 2 * limit and raw > 4

# %% tags=["hide-input"] mystnb={"image": {"alt": "Left: mean Fréchet distance of two samples of one Gaussian against sample size on logarithmic axes; dots follow a falling straight line and lie below it only to the left of a dotted line at 16. Right: distance to the real images against one over the number of images, for three models: points near rising straight lines; that of fresh draws meets the axis near zero, the others above."}, "figure": {"caption": "The bias. Left: two samples of one Gaussian with 16 features (dots: mean of 100 pairs; line: {eq}`eq-samples-bias`; dotted: $N=F$). Right: fresh draws and two degrees of blur against the 2,000 real images, in the judge's features; lines by {eq}`eq-samples-infinity`.", "name": "fig-samples-bias"}}
figure, (left, right) = viz.subplots(1, 2, height=2.8)
left.loglog(sizes, predicted, color="black", lw=1)
left.scatter(sizes, [value for value, _ in measured], s=18)
left.axvline(dim, ls=":", color="grey")
left.set(xlabel="images in each set", ylabel="Fréchet distance")
inverse = [0, 1 / 2000, 1 / 1000, 1 / 500, 1 / 333, 1 / 250, 1 / 200]
for name, (intercept, slope, means) in lines.items():
    (line,) = right.plot(
        inverse, [intercept + slope * x for x in inverse], lw=1, label=name
    )
    right.scatter(inverse[:0:-1], means, s=14, color=line.get_color())
right.set(xlabel="1 / images", ylim=(-1, None))
right.set_xticks(
    inverse[:4] + inverse[-1:], ["0", "", "1/1000", "1/500", "1/200"]
)
right.legend()
figure

# %% [markdown]
# At 200 images most of the distance of a perfect model is bias, and little is left where the line ends.
# Each model has a line of its own, and in general *its own slope*. What is left contains the share
# of the bias that the *real* set has; it is the same for all models that are compared with that set. The library's `frechet_at_infinity` does this with an interval.
#
# (sec-samples-kernel)=
# ## A distance without bias: the kernel distance
#
# The Fréchet distance is biased because it estimates first and squares afterwards. There is another
# distance whose square can be estimated directly. Choose a function $\psi$ that maps features to
# a long vector, and compare the means of the two sets there:
#
# ```{math}
# :label: eq-samples-mmd
# \begin{aligned}
# \text{MMD}^2 &= \lVert\E_p[\psi(a)]-\E_q[\psi(b)]\rVert^2 \\
#   &= \E[k(a,a')]+\E[k(b,b')]-2\,\E[k(a,b)],
# \end{aligned}
# ```
#
# where $k(u,v)=\psi(u)^\top\psi(v)$ and $a,a'$ are two *independent* draws of $p$, and $b,b'$ of $q$.
# The second line is the first, multiplied out: a product of two means is the mean of the product
# of independent draws. It is called the squared **maximum mean discrepancy**
# {cite:p}`gretton2012`, and needs $\psi$ no more: only the **kernel** $k$.
#
# Independent draws are what we have: any two *different* points of a set. So average over those.
#
# ```{math}
# :label: eq-samples-unbiased
# \begin{aligned}
# \widehat{\text{MMD}}{}^2
#   &= \frac{1}{N(N-1)}\sum_{i\ne j}k(a_i,a_j) \\
#   &\quad+\frac{1}{M(M-1)}\sum_{i\ne j}k(b_i,b_j) \\
#   &\quad-\frac{2}{NM}\sum_{i,j}k(a_i,b_j) .
# \end{aligned}
# ```
#
# Each sum is a mean of terms with the right expectation, so the estimate is **unbiased at every
# sample size**. The price: it may come out below zero. That is as it should be. An honest estimate
# of zero must sometimes fall below it.
#
# If you compare each point with itself too, the first sum becomes $\frac1{N^2}\sum_{ij}$, with $N$ terms
# $k(a,a)$ among the $N^2$, and the estimate is too large by
#
# $$
# \tfrac1N\,\E\bigl[k(a,a)-k(a,a')\bigr]+\tfrac1M\,\E\bigl[k(b,b)-k(b,b')\bigr].
# $$ (eq-samples-diagonal)
#
# For images the usual kernel is a polynomial of third degree {cite:p}`binkowski2018`,
# $k(u,v)=(u^\top v/F+1)^3$. What does it compare? Let $u^{\otimes j}$ be the table of all products
# of $j$ entries of $u$. Then $(u^\top v)^j$ is the inner product of $u^{\otimes j}$ and
# $v^{\otimes j}$, and by the binomial theorem
#
# $$
# \text{MMD}^2 = \sum_{j=1}^{3}\binom3j F^{-j}\,
#   \bigl\lVert\E[a^{\otimes j}]-\E[b^{\otimes j}]\bigr\rVert^2 .
# $$ (eq-samples-moments)
#
# All moments up to the third, with fixed weights: one more than the Fréchet distance has.


# %%
def kernel_distance(first, second):
    """The unbiased estimate, and the one with the diagonal left in."""

    def kernel(a, b):
        return (a @ b.T / a.shape[1] + 1) ** 3

    n, m = len(first), len(second)
    one, two = kernel(first, first), kernel(second, second)
    cross = kernel(first, second).mean()
    without = (one.sum() - one.trace()) / (n * (n - 1))
    without = without + (two.sum() - two.trace()) / (m * (m - 1))
    unbiased = without - 2 * cross
    return unbiased.item(), (one.mean() + two.mean() - 2 * cross).item()


for vectors in seen.values():
    library = metrics.kernel_distance(vectors, truth)
    ours = kernel_distance(vectors, truth)[0]
    assert abs(ours - library.value) < 1e-6 * (1 + abs(library.value))

perfect = metrics.kernel_distance(seen["fresh draws"], truth)
assert abs(perfect.value) < 4 * perfect.standard_error
for name in ["six kinds", "ten pictures", "VAE"]:
    guilty = metrics.kernel_distance(seen[name], truth)
    assert guilty.value > 5 * guilty.standard_error
print("fresh draws: zero within 4 standard errors; three others far from it")

# %% [markdown]
# Now the simulation. We have 6,000 perfect images, in `pool` and `real`. Take two sets of $N$ of
# them, disjoint and at random, and look at the three figures on average over many such pairs.

# %%
torch.manual_seed(0)
everyone = torch.cat([truth, features(pool.images)])
counts, draws = [25, 50, 100, 200, 400], 60
rows = []
for n in counts:
    found = []
    for _ in range(draws):
        chosen = everyone[torch.randperm(len(everyone))[: 2 * n]]
        halves = chosen[:n], chosen[n:]
        found.append(
            [metrics.frechet_distance(*halves), *kernel_distance(*halves)]
        )
    found = torch.tensor(found).double()
    rows.append(torch.stack([found.mean(0), found.std(0) / math.sqrt(draws)]))
means, errors = torch.stack(rows, 1)  # (sizes, 3 figures) each

assert (means[:, 1].abs() < 4 * errors[:, 1]).all()  # zero at every size
assert (means[:-1, 0] > 1.3 * means[1:, 0]).all()  # falling
assert (means[:-1, 2] > 1.5 * means[1:, 2]).all()
print("unbiased: zero at every size; the other two fall with N")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Three panels against the number of images, from 25 to 400. The Fréchet distance falls steeply towards zero. The kernel distance with the diagonal falls towards zero as well. The unbiased kernel distance stays at zero, with error bars that shrink."}, "figure": {"caption": "Two sets of perfect images: mean over 60 pairs of sets, with two standard errors. Only the right one says zero at every size.", "name": "fig-samples-unbiased"}}
figure, axes = viz.subplots(1, 3, height=2.3)
titles = ["Fréchet distance", "kernel, with diagonal", "kernel, unbiased"]
for axis, column, title in zip(axes, [0, 2, 1], titles, strict=True):
    axis.errorbar(
        counts, means[:, column], 2 * errors[:, column], marker="o", ms=3
    )
    axis.axhline(0, color="black", lw=0.6)
    axis.set(title=title, xlabel="images in each set", xscale="log")
    axis.set_xticks(counts, [str(n) for n in counts])
    axis.minorticks_off()
for axis in axes:
    axis.set_ylim(-20, 1.1 * (means + 2 * errors).max())
figure

# %% [markdown]
# What does the third moment buy? Take a *skewed* cloud, whose coordinates are exponentially
# distributed, and give it the mean and covariance of a round one. The Fréchet distance between the
# two is zero, and the kernel distance is not. The circle of {numref}`fig-samples-zero` is symmetric,
# so all its third moments are zero, like those of a Gaussian, and a polynomial of degree three has
# nothing to see. Nor do the ghosts give themselves away in pixels: in 196 dimensions the third
# moments that could convict them are lost in the scatter of 2,000 images. A kernel that
# contains all powers, such as a Gaussian bell, has no such blind spot in the limit of many points
# {cite:p}`gretton2012`; with few points, every measure has one.

# %%
torch.manual_seed(1)
gaussian = torch.randn(4000, 2).double()
skewed = matched(-torch.rand(4000, 2).double().log(), gaussian)
assert metrics.frechet_distance(skewed, gaussian) < 1e-9
caught = metrics.kernel_distance(skewed, gaussian)
missed = metrics.kernel_distance(circle, gaussian)
unseen = metrics.kernel_distance(ghosts, pixels)
assert caught.value > 4 * caught.standard_error
assert missed.value < 4 * missed.standard_error
assert unseen.value < 4 * unseen.standard_error
print("the third moment convicts the skewed cloud, and not the circle")

# %% [markdown]
# (sec-samples-neighbours)=
# ## Two numbers instead of one: precision and recall
#
# One number cannot say *what* is wrong. A model may draw few things well, or everything badly.
# {cite:t}`sajjadi2018` asked for two numbers; the following version {cite:p}`kynkaanniemi2019` is the
# one in use. Surround each point of a set by a ball that just reaches its $k$-th nearest neighbour in
# the same set. The union of the balls is an estimate of where the set lives. Then
#
# ```{math}
# :label: eq-samples-precision
# \begin{aligned}
# \text{precision} &= \text{share of made points in a real ball}, \\
# \text{recall} &= \text{share of real points in a made ball}.
# \end{aligned}
# ```
#
# Precision asks whether what is made is real, recall whether what is real is made. In the plane one
# can see it.


# %%
def distances(first, second):
    """All distances, (N, M), by differences: copies are at zero exactly."""
    return torch.cdist(
        first, second, compute_mode="donot_use_mm_for_euclid_dist"
    )


def radii(points, k):
    """Distance of each point to its k-th nearest neighbour, (N,)."""
    return distances(points, points).kthvalue(k + 1).values  # itself is 1st


def neighbours(real, made, k_balls=3, k_counts=5):
    """Precision, recall, density, coverage from (N, F) and (M, F)."""
    apart = distances(made, real)  # (M, N)
    inside = apart <= radii(real, k_balls)
    reach = radii(made, k_balls)
    around = apart.T.le(reach)
    counted = apart <= radii(real, k_counts)
    return {
        "precision": inside.any(1).double().mean().item(),
        "recall": around.any(1).double().mean().item(),
        "density": counted.double().sum(1).mean().item() / k_counts,
        "coverage": counted.any(0).double().mean().item(),
    }


torch.manual_seed(0)
ring = data.Gaussians()
plane_real, plane_fresh = ring.sample(300).double(), ring.sample(300).double()
many = ring.sample(2000).double()
suspects = {
    "perfect": plane_fresh,
    "drops modes": many[many[:, 0] < -0.7][:300],
    "blurs": plane_fresh + 0.5 * torch.randn(300, 2),
}
outlier = torch.tensor([[9.0, 0.0]]).double()
suspects["drops, one outlier"] = torch.cat(
    [suspects["drops modes"][:299], outlier]
)
plane = {
    name: neighbours(plane_real, points) for name, points in suspects.items()
}

# %% tags=["hide-input"] mystnb={"image": {"alt": "Four panels of made points on a ring of eight clusters of grey discs. Perfect: points in all clusters. Drops modes: only the three clusters on the left have points. Blurs: points in all clusters and between them. The last is like the second with a single point far to the right. Below each its precision, recall, density and coverage; the outlier raises the recall of the last from below a half to one."}, "figure": {"caption": "Eight Gaussians on a ring: the balls around 300 real points ($k=3$, grey), and the points of four models. P, R, D, C: precision, recall, density, coverage.", "name": "fig-samples-plane"}}
from matplotlib.collections import EllipseCollection

figure, axes = viz.subplots(1, 4, height=2.5)
figure.set_dpi(140)
widths = 2 * radii(plane_real, 3).numpy()
for axis, (name, points) in zip(axes, suspects.items(), strict=True):
    axis.add_collection(
        EllipseCollection(
            widths, widths, 0 * widths, units="xy", offsets=plane_real,
            offset_transform=axis.transData, facecolor="lightgrey",
        )
    )  # fmt: skip
    axis.scatter(*points.T, s=2, color=viz.style.RED)
    p, r, d, c = plane[name].values()
    axis.set(
        title=name,
        xlim=(-3, 9.6 if "outlier" in name else 3),
        ylim=(-3, 3),
        xlabel=f"P {p:.2f}  R {r:.2f}\nD {d:.2f}  C {c:.2f}",
        xticks=[],
        yticks=[],
        aspect="equal",
    )
figure

# %% [markdown]
# Dropping modes leaves precision high and takes recall away; blurring takes precision. That is
# what the pair was made for. But look at the last panel: *one* point far away lifts the recall of
# the model that drops modes to almost one. Its third neighbour is far, so its ball is huge, and swallows
# the whole ring.

# %%
assert plane["drops modes"]["precision"] > 0.85
assert plane["drops modes"]["recall"] < 0.45
assert plane["blurs"]["precision"] < 0.6
assert plane["drops, one outlier"]["recall"] > 0.95
for name in ["drops modes", "drops, one outlier"]:
    assert plane[name]["coverage"] < 0.45
print("one outlier makes the recall; the coverage does not move")

# %% [markdown]
# {cite:t}`naeem2020` repair this with one thought: trust only balls around *real* points.
#
# ```{math}
# :label: eq-samples-density
# \begin{aligned}
# \text{density} &= \frac1k\times\text{mean number of real balls} \\
#   &\qquad\text{around a made point}, \\
# \text{coverage} &= \text{share of real balls} \\
#   &\qquad\text{with a made point in them}.
# \end{aligned}
# ```
#
# Density counts balls instead of asking for one, so a single large ball around a real outlier weighs
# little; it may exceed one. Coverage asks each real point whether anything was made near it.
#
# They have a second advantage: for a perfect model their values are *known*. Take one real point,
# and order the $N-1$ other real points and the $M$ made ones by their distance from it. If both come
# from one source, every order is equally likely. The ball ends at the $k$-th real point. It is
# empty of made points if the first $k$ in the order are all real. So
#
# $$
# \E[\text{coverage}] = 1-\prod_{i=0}^{k-1}\frac{N-1-i}{N+M-1-i}
#   \approx 1-2^{-k},
# $$ (eq-samples-coverage)
#
# the latter for $N=M$, large. And the $N-1$ real points cut the order into $N$ gaps, into which the made
# ones fall evenly: $M/N$ in each, so $kM/N$ before the $k$-th real point. Summing over the $N$ balls
# and dividing by $kM$,
#
# $$
# \E[\text{density}] = 1 .
# $$ (eq-samples-density-one)
#
# For precision and recall there is no such value: it depends on the shape of the data and on the
# number of dimensions. A perfect model does not score one. *Measure* what it
# scores, with two halves of the real images, before you call a recall of 0.7 bad.

# %%
for vectors in seen.values():
    sets = truth[:400], vectors[:400]
    ours = neighbours(*sets).values()
    pair = metrics.precision_recall(*sets, k=3)
    both = metrics.density_coverage(*sets, k=5, resamples=20)
    library = [pair.precision, pair.recall, both.density, both.coverage]
    for mine, theirs in zip(ours, library, strict=True):
        assert abs(mine - theirs.value) < 1e-6

n, m, k = 1000, 1000, 5
empty = math.prod((n - 1 - i) / (n + m - 1 - i) for i in range(k))
fair = neighbours(truth[:1000], seen["fresh draws"][:1000])
assert abs(fair["coverage"] - (1 - empty)) < 0.02
assert abs(fair["density"] - 1) < 0.1
glue("samples-coverage", f"{1 - empty:.2f}", display=False)
print(f"coverage of a perfect model: {1 - empty:.3f} expected, and found")

# %% [markdown]
# (sec-samples-verdict)=
# ## The verdict on the line-up
#
# We now have eight figures. Which of them notices what? A figure by itself says little, so we ask how
# far it lies from what *perfect* models of the same size get. Eight sets of 500 fresh images tell
# us the mean and the scatter of each figure under innocence. A suspect is caught by a figure if it
# lies more than five such standard deviations on the bad side.


# %%
WORSE = {
    "Inception\nScore": -1,
    "Fréchet\nfeatures": 1,
    "Fréchet\npixels": 1,
    "kernel\nfeatures": 1,
    "precision": -1,
    "recall": -1,
    "density": -1,
    "coverage": -1,
}  # 1: a larger figure is a worse one
real_pixels = real.images.flatten(1).double()


def report(images):
    """The eight figures of 500 images against 1,000 real ones."""
    made = features(images)
    flat = images.flatten(1).double()
    figures = [
        metrics.inception_score(log_probs(images)).value,
        metrics.frechet_distance(made, truth[:1000]),
        metrics.frechet_distance(flat, real_pixels[:1000]),
        kernel_distance(made, truth[:1000])[0],
        *neighbours(truth[:1000], made).values(),
    ]
    return torch.tensor(figures).double()


innocent = torch.stack([report(part) for part in pool.images.split(500)])
usual, scatter = innocent.mean(0), innocent.std(0)
signs = torch.tensor(list(WORSE.values()))


def deviation(images):
    """Standard deviations on the bad side of what perfect models get."""
    return signs * (report(images) - usual) / scatter


verdict = {name: deviation(images[:500]) for name, images in lineup.items()}

# %% tags=["hide-input"] mystnb={"image": {"alt": "A table of seven suspects and eight figures. Fresh draws and the training set have only white cells. Six kinds is orange but under precision and density. Blurred is orange under Fréchet in pixels and density; grainy there and under precision and coverage. Ten pictures is orange but under Inception Score and precision. The VAE is orange everywhere."}, "figure": {"caption": "The line-up, judged with 500 images each. Orange: more than five standard deviations worse than perfect models; white: not noticed.", "name": "fig-samples-verdict"}}
figure, axes = viz.subplots(height=3.0)
figure.set_dpi(120)
colours = torch.ones(len(lineup), len(WORSE), 3)
for row, (name, z) in enumerate(verdict.items()):
    values = report(lineup[name][:500])
    for column, (value, far) in enumerate(zip(values, z, strict=True)):
        if far > 5:
            colours[row, column] = torch.tensor([0.96, 0.75, 0.4])
        text = f"{value:.1f}" if column < 4 else f"{value:.2f}"
        axes.text(column, row, text, ha="center", va="center")
axes.imshow(colours, aspect="auto")
axes.set_xticks(range(len(WORSE)), list(WORSE))
axes.set_yticks(range(len(lineup)), list(lineup))
axes.xaxis.tick_top()
axes.tick_params(length=0)
figure

# %% [markdown]
# Read the table by rows. The model that draws six kinds of digits is as precise as a perfect one;
# recall, coverage, the distances and the Inception Score convict it. Blur and grain hardly move the
# distances between features, for the judge has learnt to look past such things; density notices both,
# and so do the pixels. The ten pictures have the best Inception Score of all, and a recall of zero.
#
# And read the second row. **The training set, handed out as samples, is the best model of all.** No
# figure finds fault with it.

# %%
column = {name.replace("\n", " "): i for i, name in enumerate(WORSE)}
for name in ["fresh draws", "training set"]:
    assert (verdict[name].abs() < 5).all()
assert verdict["six kinds"][column["coverage"]] > 8
assert verdict["six kinds"][column["precision"]] < 4
assert verdict["grainy"][column["precision"]] > 6
assert verdict["grainy"][column["Fréchet features"]] < 5
for name in ["blurred", "grainy"]:
    assert verdict[name][column["density"]] > 3
    assert verdict[name][column["Fréchet pixels"]] > 8
print("nobody notices the training set")

# %% [markdown]
# (sec-samples-memory)=
# ## A memorising model wins
#
# This is no accident. All these figures ask whether two *sets* come from one distribution, and the
# training images do come from it. A model that has learnt them by heart has learnt nothing but
# them, and passes. It gets worse where the *training* images serve as the reference, as they often
# do: then its Fréchet distance is exactly zero, and a model that truly generalises has no chance.

# %%
learnt = features(train.images)
cheat = metrics.frechet_distance(seen["training set"], learnt)
honest = metrics.frechet_distance(seen["fresh draws"], learnt)
assert cheat < 1e-6 < 0.3 < honest

others = ["six kinds", "blurred", "ten pictures", "VAE"]
to_test = {n: metrics.frechet_distance(v, truth) for n, v in seen.items()}
assert all(to_test["training set"] < to_test[name] for name in others)


def nearest(images):
    """Squared distance, in levels, to the nearest training image, (N,)."""
    flat = images.flatten(1).double()
    return torch.cdist(flat, train.images.flatten(1).double()).amin(1)


copies = {
    n: (nearest(x[:500]) == 0).double().mean().item() for n, x in lineup.items()
}
assert copies["training set"] == 1 and copies["fresh draws"] < 0.02
print("against the training images it is at distance zero")
print("and every one of its images is a training image")

# %% [markdown]
# The cure is to ask the other question: are the samples *nearer to the training images* than unseen
# real images are? A look at the nearest training image exposes our blunt cheat. A model that
# disturbs each copy a little needs a test, with a scatter and a threshold;
# {ref}`sec-judges-memory` has it. Run it beside every Fréchet distance that you report.
#
# (sec-samples-experiment)=
# ## An experiment: who notices what?
#
# The suspects were all made with one strength of one fault. The question of this experiment: **how
# strong must a fault be before a figure notices it?** Six faults, five strengths each, and nothing
# else is changed.
#
# ```{admonition} Predict, then run
# :class: tip
# Before you look: which figure will be the first to notice that a kind of digit is missing? Which
# will be the last to notice grain?
# ```


# %%
def with_kinds(images, labels, kinds):
    return images[labels < kinds][:500]


def junk(images, share):
    """Replace a share of the images by pure noise."""
    generator = torch.Generator().manual_seed(0)
    n = round(share * len(images))
    noise = torch.randint(0, 17, images[:n].shape, generator=generator)
    return torch.cat([noise.to(torch.uint8), images[n:]])


base = pool.images[:500]
faults = {
    "blur": (
        lambda s: blurred(base, s),
        [0.02, 0.04, 0.08, 0.15, 0.25],
        "weight {}",
    ),
    "grain": (
        lambda s: grainy(base, s),
        [0.25, 0.5, 1, 2, 4],
        "{} levels",
    ),
    "shift": (
        lambda s: data.transforms.affine(base, shift=(s, 0.0)),
        [0.125, 0.25, 0.5, 1, 2],
        "{} pixels",
    ),
    "missing kinds": (
        lambda s: with_kinds(pool.images, pool.labels, 10 - s),
        [1, 2, 3, 5, 8],
        "{} of 10",
    ),
    "copies": (
        lambda s: base[:s].repeat(-(-500 // s), 1, 1, 1)[:500],
        [250, 100, 50, 20, 10],
        "{} images, repeated",
    ),
    "junk": (
        lambda s: junk(base, s),
        [0.005, 0.01, 0.02, 0.1, 0.3],
        "a share of {}",
    ),
}
found = {
    fault: torch.stack([deviation(make(s)) for s in strengths])
    for fault, (make, strengths, _) in faults.items()
}  # of each fault, (5 strengths, 8 figures)

# %% tags=["hide-input"] mystnb={"image": {"alt": "A table of six faults and eight figures; each cell holds the smallest strength that is noticed, or a dash. Fréchet in pixels notices all faults early; Fréchet in features is late for blur, grain and junk. Precision and density have dashes for missing kinds and copies, recall for grain and junk, coverage for junk, Inception Score for blur."}, "figure": {"caption": "The smallest of five strengths at which a figure lies more than five standard deviations from perfect models, and does so for all greater strengths. The darker, the earlier; a dash: never.", "name": "fig-samples-notices"}}
figure, axes = viz.subplots(height=3.0)
figure.set_dpi(120)
first = torch.zeros(len(faults), len(WORSE))
for row, (fault, (_, strengths, _)) in enumerate(faults.items()):
    noticed = (found[fault] > 5).flip(0).int().cumprod(0).sum(0)  # how many
    for column_number, many_strengths in enumerate(noticed.tolist()):
        first[row, column_number] = many_strengths
        text = str(strengths[-many_strengths]) if many_strengths else "–"
        axes.text(
            column_number, row, text, ha="center", va="center",
            color="white" if many_strengths > 3 else "black",
        )  # fmt: skip
axes.imshow(first, cmap="cividis_r", vmin=0, vmax=6, aspect="auto")
axes.set_xticks(range(len(WORSE)), list(WORSE))
labels = [
    f"{name},\n{unit.format('…')}" for name, (_, _, unit) in faults.items()
]
axes.set_yticks(range(len(faults)), labels)
axes.xaxis.tick_top()
axes.tick_params(length=0)
figure

# %%
for fault in ["missing kinds", "copies"]:
    blind = found[fault][:3, [column["precision"], column["density"]]]
    assert (blind < 5).all()
    assert found[fault][2, column["recall"]] > 10
assert (found["grain"][:, column["recall"]] < 5).all()
assert found["grain"][2, column["density"]] > 5
assert found["junk"][1, column["Fréchet pixels"]] > 8
assert found["junk"][2, column["Fréchet features"]] < 5
print("no figure notices every fault early, and none is blind to all")

# %% [markdown]
# Precision and density never notice that something is *missing*, neither kinds nor variety, and
# recall never notices grain. The two Fréchet distances differ more between themselves than from
# anything else: same formula, other features. One image of noise in a hundred is a scandal for pixels,
# and nothing to the judge's features. No figure notices every fault early. Two that complement each
# other are worth more than the best single one.
#
# Try it yourself, with four of the faults: each tab is a fault, each position of its slider a strength. The bars show how many
# standard deviations each figure lies beyond what perfect models get, on the bad side.

# %% tags=["hide-input"]
SHORT = [
    "IS",
    "Fréchet",
    "F. pixels",
    "kernel",
    "prec.",
    "recall",
    "dens.",
    "cover.",
]


def frame(fault, k):
    make, strengths, _ = faults[fault]
    figure, (left, right) = viz.subplots(1, 2, height=2.1, width_ratios=[1, 2])
    viz.show_images(left, make(strengths[k])[-16:], 17, columns=4)
    heights = found[fault][k].clamp(0, 100)
    tints = [viz.style.ORANGE if z > 5 else viz.style.SKY for z in heights]
    right.bar(SHORT, heights, color=tints)
    right.axhline(5, color="black", lw=0.6, ls=":")
    right.set_yscale("symlog", linthresh=5)
    right.set(ylim=(0, 120), ylabel="standard deviations")
    right.set_yticks([0, 5, 20, 100], ["0", "5", "20", "100"])
    right.minorticks_off()
    right.tick_params(axis="x", labelsize=7)
    return figure


pages = {}
for fault in ["blur", "grain", "missing kinds", "copies"]:
    _, strengths, unit = faults[fault]
    frames = [frame(fault, k) for k in (1, 2, 4)]
    captions = [
        f"{fault}: {unit.format(strength)}; bars above the dotted line: noticed"
        for strength in (strengths[k] for k in (1, 2, 4))
    ]
    pages[fault] = viz.slider(frames, captions, "strength")
viz.tabs(pages)

# %% [markdown]
# (sec-samples-ssim)=
# ## Pairs, not sets: PSNR and SSIM
#
# Some lists of measures for generators contain the **structural similarity** SSIM. It is a good
# measure, of something else. It compares *two images*, one of which should be the other: a
# compressed photograph with the original, a reconstruction with its input. A model that invents
# images has no original to compare with.
#
# The oldest measure of a pair is the mean square error $\text{MSE}=\frac1P\sum_i(x_i-y_i)^2$ over
# the $P$ pixels. It is often written in decibels, relative to the square of the range of values $L$, which
# is 255 for bytes:
#
# $$
# \text{PSNR} = 10\log_{10}\frac{L^2}{\text{MSE}} .
# $$ (eq-samples-psnr)
#
# What is in it? Let $\mu_x,\sigma_x^2$ be mean and variance of the pixels of $x$, and $\sigma_{xy}$ their
# covariance with those of $y$, all divided by $P$. A mean square is the squared mean plus the variance, so
#
# ```{math}
# :label: eq-samples-mse
# \begin{aligned}
# \text{MSE} &= (\mu_x-\mu_y)^2 + (\sigma_x-\sigma_y)^2 \\
#   &\quad+ 2\,(\sigma_x\sigma_y-\sigma_{xy}),
# \end{aligned}
# ```
#
# because the variance of $x-y$ is $\sigma_x^2+\sigma_y^2-2\sigma_{xy}$. Three parts: brightness,
# contrast, and structure, simply added. The eye does not add them like that. A brighter copy is the
# same picture; a scrambled one is not. SSIM looks at the same three, each relative to
# what is there, and multiplies them {cite:p}`wang2004`:
#
# $$
# \text{SSIM} = \frac{2\mu_x\mu_y+c_1}{\mu_x^2+\mu_y^2+c_1}\cdot
#   \frac{2\sigma_{xy}+c_2}{\sigma_x^2+\sigma_y^2+c_2} .
# $$ (eq-samples-ssim)
#
# (The product of contrast and structure is already cancelled in the second factor;
# $c_1=(0.01L)^2$ and $c_2=(0.03L)^2$ avoid division by zero.) It is computed in a window of 11 pixels
# around each place and averaged over places, because a picture is not equally bright everywhere.
#
# The authors made their point with one picture: many damages, one MSE. Here it is with the cat
# that sits in the data set `patches`. Moving the picture by two pixels sets the error; the other damages
# are scaled until theirs is the same.

# %%
from skimage import data as photographs

cat = torch.tensor(photographs.chelsea()[60:188, 120:248]).double().mean(2)
cat = 60 + cat * (130 / 255)  # room at both ends, so that nothing is clipped


def blur(image, std):
    reach = torch.arange(-8, 9).double()
    line = (-(reach**2) / (2 * std**2)).exp()
    line = (line / line.sum()).view(1, 1, 1, -1)
    padded = F.pad(image[None, None], [8] * 4, mode="reflect")
    return F.conv2d(F.conv2d(padded, line), line.mT)[0, 0]


def scaled_to(error, damage):
    """Bisect the strength, 0 to 64, at which a damage has this MSE."""
    low, high = 0.01, 64.0
    for _ in range(40):
        middle = (low + high) / 2
        too_weak = (damage(middle) - cat).square().mean() < error
        low, high = (middle, high) if too_weak else (low, middle)
    return damage(low)


torch.manual_seed(0)
noise = torch.randn(cat.shape).double()
moved = torch.cat([cat[:, :1], cat[:, :1], cat[:, :-2]], dim=1)
target = (moved - cat).square().mean()
damaged = {
    "original": cat,
    "brighter": scaled_to(target, lambda s: cat + s),
    "more contrast": scaled_to(
        target, lambda s: cat.mean() + (1 + s / 64) * (cat - cat.mean())
    ),
    "moved": moved,
    "noise": scaled_to(target, lambda s: cat + s * noise),
    "blur": scaled_to(target, lambda s: blur(cat, s / 8)),
}
quality = {}
for name, image in damaged.items():
    pair = cat[None, None], image[None, None]
    error = (image - cat).square().mean()
    if name != "original":
        assert abs(error / target - 1) < 1e-6
    x, y = cat.flatten(), image.flatten()
    parts = (
        (x.mean() - y.mean()) ** 2,
        (x.std(correction=0) - y.std(correction=0)) ** 2,
        2 * (x.std(correction=0) * y.std(correction=0)
             - ((x - x.mean()) * (y - y.mean())).mean()),
    )  # fmt: skip
    assert abs(sum(parts) - error) < 1e-8  # brightness, contrast, structure
    quality[name] = metrics.ssim(*pair, 255).item()

for name in ["moved", "noise", "blur"]:
    assert quality[name] < quality["more contrast"] - 0.1
assert quality["more contrast"] < quality["brighter"]
decibels = metrics.psnr(cat[None, None], moved[None, None], 255).item()
assert abs(decibels - 10 * math.log10(255**2 / target)) < 1e-9
print(f"all five damages: PSNR {decibels:.1f} dB")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Six grey pictures of the eye of a cat: the original, a brighter one, one with more contrast, one moved by two pixels, one with noise and a blurred one."}, "figure": {"caption": "One mean square error, five damages. Above each picture its SSIM with the original.", "name": "fig-samples-cat"}}
figure, axes = viz.subplots(1, 6, height=1.55)
figure.set_dpi(100)
for axis, (name, image) in zip(axes, damaged.items(), strict=True):
    axis.imshow(image, vmin=0, vmax=255)
    axis.set_title(f"{name}\n{quality[name]:.2f}", fontsize=8)
    axis.set_axis_off()
figure

# %% [markdown]
# The mean square error cannot tell these apart. SSIM puts the brighter and the harder picture first,
# as you would, and noise and blur far behind. It has weaknesses of its own: the move by two pixels, which
# nobody sees, is punished as hard. ({cite:t}`nilsson2020` list more.) **Multi-scale SSIM** halves
# the picture again and again and takes a weighted geometric mean {cite:p}`wang2003`: with
# $\mathit{cs}_j$ the second factor of {eq}`eq-samples-ssim` at the $j$-th of $J$ scales,
#
# $$
# \text{MS-SSIM} = \text{SSIM}_J^{\,w_J}\prod_{j<J}\mathit{cs}_j^{\,w_j} .
# $$ (eq-samples-msssim)
#
# It is the measure of reconstructions and of super-resolution. For generators it
# has found *one* use, the other way round: pair the samples **among themselves**. If a
# class collapses to one picture, its samples are alike, and the mean MS-SSIM of random pairs is high
# {cite:p}`odena2016`. Low means variety. But whatever makes two images unlike lowers it, grain too.

# %%
large = {
    name: F.interpolate(images[:400].float(), scale_factor=2)
    for name, images in lineup.items()
}  # 28x28, for a window of 7 pixels at two scales
by_kind = {
    "fresh draws": fresh.labels[:400],
    "grainy": pool.labels[:400],
    "ten pictures": torch.arange(400) % 10,
}
alike = {}
for name, labels in by_kind.items():
    of_kind = [large[name][labels == k] for k in range(10)]
    pairs = [
        (x[: len(x) // 2], x[len(x) // 2 :][: len(x) // 2]) for x in of_kind
    ]
    first = torch.cat([a for a, _ in pairs])
    second = torch.cat([b for _, b in pairs])
    score = metrics.ms_ssim(first, second, 16, weights=(0.5, 0.5), window=7)
    alike[name] = score.mean().item()
assert alike["ten pictures"] > 0.999
assert alike["fresh draws"] < 0.9 * alike["ten pictures"]
assert alike["grainy"] < alike["fresh draws"]
print("most alike to least:", ", ".join(sorted(alike, key=alike.get)[::-1]))

# %% [markdown]
# The ten pictures are exposed at once. And the grainy model passes for *more* varied than the truth.
#
# (sec-samples-features)=
# ## Which features?
#
# All measures of sets began with features, and we have seen that they decide: in
# {numref}`fig-samples-notices`, the Fréchet distance in pixels and the one in features rank faults
# differently. Do they rank *models* differently?

# %%
by_pixels = {
    name: metrics.frechet_distance(images.flatten(1), pixels)
    for name, images in lineup.items()
}
assert to_test["six kinds"] > 1.2 * to_test["VAE"]
assert by_pixels["six kinds"] < by_pixels["VAE"] / 1.3
print("features: the VAE is better than six kinds; pixels: it is worse")

# %% [markdown]
# They do. Pixels see every sharp edge and know nothing of digits; the judge knows ten digits and has
# been *trained* to ignore how they are drawn. Neither is right. Features are the question that you ask.
# Three kinds are in use:
#
# - **Raw pixels**, for small images. Honest, dependent on nothing, and easily impressed by smoothness,
#   brightness and position.
# - **A classifier trained on the data at hand**, as here. Say how it was trained; figures compare only within
#   one judge. Above all, it has *seen the training set*, and looks for what distinguishes its classes.
# - **Inception-v3**, trained on the thousand classes of ImageNet {cite:p}`szegedy2015`: the standard
#   for photographs. It looks at what matters for ImageNet, which in a portrait need not be the
#   face: {cite:t}`kynkaanniemi2022` lower the distance of a model by matching its top classes only, without
#   making its images better.
#
# Two Fréchet distances with different features are in different units; multiply all features by ten, and
# the distance is multiplied by a hundred. So this book says **FID** (Fréchet Inception Distance)
# only where the features are Inception's, and otherwise names the features. The library keeps to it:
# `metrics.inception_features` needs the file with the weights, and says so if it is not there.
#
# (sec-samples-tools)=
# ## One model, three tools, three numbers
#
# You compute the Fréchet distance of a model, a colleague computes it with a script of her own, a third
# with a pipeline of his. The same model, the same real images, the same formula, the same features.
# Three numbers. Here are three ways to treat *the samples of our VAE*, each of which stands in
# somebody's program.


# %%
def tool(*, rounded=True, count=2000, minus_one=True, resized=False):
    """The Fréchet distance of the VAE's images, by one convention or other."""
    images = vae_means[:count]
    if rounded:  # an image file holds whole levels
        images = images.round()
    if resized:  # a gallery enlarges, the next program shrinks again
        images = F.interpolate(images, scale_factor=2, mode="bilinear")
        images = F.interpolate(images, scale_factor=0.5, mode="bilinear")
    sets = features(images), truth
    if not minus_one:  # np.cov(..., bias=True)
        sets = [
            x.mean(0) + (x - x.mean(0)) * math.sqrt(1 - 1 / len(x))
            for x in sets
        ]
    return metrics.frechet_distance(*sets)


stages = {
    "ours": {},
    "B: raw output, covariance over N": {"rounded": False, "minus_one": False},
    "B, rounded to levels": {"minus_one": False},
    "B, and covariance over N - 1": {},
    "C: 200 images, through a gallery": {"count": 200, "resized": True},
    "C, without the gallery": {"count": 200},
    "C, and 2,000 images": {},
}
numbers = {name: tool(**options) for name, options in stages.items()}
assert numbers["ours"] == to_test["VAE"]
c = numbers["C: 200 images, through a gallery"] / numbers["ours"]
assert c > 1.05
unlike = {
    "rounding": ("B: raw output, covariance over N", "B, rounded to levels"),
    "divisor": ("B, rounded to levels", "ours"),
    "images": ("C, without the gallery", "ours"),
}
size = {k: abs(numbers[i] / numbers[j] - 1) for k, (i, j) in unlike.items()}
assert 0 < size["divisor"] < 0.001 and 0 < size["rounding"] < 0.02
assert size["images"] > 0.03
assert numbers["B, and covariance over N - 1"] == numbers["ours"]
assert numbers["C, and 2,000 images"] == numbers["ours"]
print("three tools, three numbers; with one convention, one number")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Seven horizontal bars, one for ours, three for tool B and three for tool C, with their numbers. The first bars of B and C differ from ours; with each convention that is made the same they come closer, and the last of each equals ours."}, "figure": {"caption": "One model. Each tool starts from its own conventions (dark), and takes over ours one by one (light), until the numbers agree.", "name": "fig-samples-tools"}}
figure, axes = viz.subplots(height=2.6)
tints = ["BLUE", "RED", "ORANGE", "ORANGE", "RED", "ORANGE", "ORANGE"]
axes.barh(
    list(numbers),
    list(numbers.values()),
    color=[getattr(viz.style, tint) for tint in tints],
)
for row, value in enumerate(numbers.values()):
    axes.text(value, row, f" {value:.3f}", va="center")
axes.invert_yaxis()
axes.set(xlabel="Fréchet distance", xlim=(0, 1.25 * max(numbers.values())))
figure

# %% [markdown]
# Nobody has made a mistake. *B* takes the network's output as it is, and we round it to levels, as every image
# file does. *B* divides squares by $N$, we by $N-1$. *C* has 200 images, and they went through a
# gallery that enlarged them for the screen and shrank them again. Each difference has its size: the
# divisor moves a few parts in ten thousand, rounding up to two in a hundred, and the number of images
# and the resizing most. {cite:t}`parmar2022` measure what resizing and compression do to Inception's features; it is
# not little.
#
# (Ours are the conventions of torchmetrics, against which the library's tests hold it, with the matrix root
# of SciPy as a second witness.)
#
# Two models are compared by *one* tool, with one set of conventions, and a number from somebody
# else's table is not one of the two. Report, beside each figure: the features; how many samples and how
# many real images, and which; how images were rounded, resized and stored; the tool and its version.
#
# (sec-samples-failure)=
# ## A failure, made on purpose
#
# Two models are to be compared. *A* is slow, it draws pixel by pixel, so you have 100 images of it. *B*
# is fast, so you have 2,000. For each you compute the Fréchet distance to the same 2,000 real images,
# and keep the better one.

# %%
a = seen["fresh draws"]  # perfect, though nobody knows
b = features(blurred(pool.images[:2000], 0.12))
seen_of_a, seen_of_b = a[:100], b

careless = [metrics.frechet_distance(x, truth) for x in (seen_of_a, seen_of_b)]
assert careless[0] > 1.3 * careless[1]
print("A, 100 images, is further from the data than B, 2,000 images")

# %% [markdown]
# *B* wins, and *A* is the **perfect** model: fresh draws from the source. *B* is blurred, so much that
# you see it.

# %%
equal = [
    sum(metrics.frechet_distance(x, truth) for x in made.split(100)) / 20
    for made in (a, b)
]
assert equal[0] < equal[1]  # 100 images against 100
kernels = [metrics.kernel_distance(x, truth) for x in (seen_of_a, seen_of_b)]
assert metrics.frechet_distance(a, truth) < careless[1] / 2
low = [x.value - 2 * x.standard_error for x in kernels]
assert low[0] < 0 < low[1]  # A may be perfect; B is not

# %% tags=["hide-input"] mystnb={"image": {"alt": "Left: Fréchet distance against the number of images on logarithmic axes; the falling curve of A lies below that of B everywhere, but its left end, marked with a dot at 100 images, lies higher than the right end of B's, marked with a dot at 2,000. Right: kernel distances with error bars: A's reaches zero, B's does not."}, "figure": {"caption": "The failure. Left: the Fréchet distance of both models at every size; the dots are what was compared. Right: the unbiased kernel distance of the same images, with two standard errors.", "name": "fig-samples-failure"}}
figure, (left, right) = viz.subplots(1, 2, height=2.6)
curve = [100, 200, 400, 1000, 2000]
for name, made, at in [("A, perfect", a, 0), ("B, blurred", b, -1)]:
    distances_at = [
        sum(metrics.frechet_distance(x, truth) for x in made.split(n))
        / len(made.split(n))
        for n in curve
    ]
    distances_at[at] = careless[at]
    (line,) = left.loglog(curve, distances_at, label=name)
    left.scatter(
        curve[at], careless[at], s=50, color=line.get_color(), zorder=3
    )
left.set(xlabel="images", ylabel="Fréchet distance")
left.set_xticks(curve, [str(n) for n in curve])
left.set_yticks([2, 5, 10, 20], ["2", "5", "10", "20"])
left.minorticks_off()
left.legend()
for place, found_here in enumerate(kernels):
    right.errorbar(
        place,
        found_here.value,
        2 * found_here.standard_error,
        marker="o",
        capsize=4,
    )
right.axhline(0, color="black", lw=0.6)
right.set_xticks([0, 1], ["A, 100 images", "B, 2,000 images"])
right.set(xlim=(-0.6, 1.6), ylabel="kernel distance")
figure

# %% [markdown]
# ```{admonition} Symptom, diagnosis, cure
# :class: warning
#
# **Symptom.** A model whose samples look worse has the smaller Fréchet distance. The two figures
# come from different numbers of images. Drawing more images of one model makes it "better", without
# any training.
#
# **Diagnosis.** The distance of samples is too large by about $c/N$, {eq}`eq-samples-bias`, and $c$
# grows with the square of the number of features. With few images it is mostly bias.
#
# **Cure.** Compare at equal numbers of images, of the samples and of the reference, and print
# them. Where sizes must differ, extrapolate, {eq}`eq-samples-infinity`, or take the kernel distance,
# which has no bias, with its standard error. Before you believe a difference, compute the distance of two
# halves of the real images at the same size: this is your zero.
# ```
#
# Equal sizes are a cure for *this*, and not for everything. The constant $c$ belongs to the model, and a
# model with too little variance has a smaller one. {ref}`An exercise <ex-samples-shy>` makes use of it.
#
# ## Exercises
#
# ```{exercise} Splits
# :label: ex-samples-splits
# Inception Score is often computed on splits of the samples and averaged. Show that the score of $n$
# images is at most $n$, whatever $K$ is. What does this mean for 1,000 classes and splits of 500?
# ```
#
# ````{solution} ex-samples-splits
# :class: dropdown
# The score is the exponential of $I(x;y)$, where $x$ is one of the $n$ images, each with probability
# $1/n$. Mutual information is at most the entropy of either variable, so $I(x;y)\le H(x)\le\log n$. A split of
# 500 cannot score more than 500, and a perfect model of 1,000 classes cannot show what it has. The
# score, too, must be compared at equal sizes.
# ````
#
# ```{exercise} Equal axes
# :label: ex-samples-axes
# Show that if $C_1$ and $C_2$ have the same eigenvectors, the Fréchet distance is
# $\lVert m_1-m_2\rVert^2+\sum_i(\sqrt{\lambda_i}-\sqrt{\kappa_i})^2$ with their eigenvalues
# $\lambda_i,\kappa_i$. What becomes of the distance if all features are multiplied by $s$? If they
# are rotated?
# ```
#
# ````{solution} ex-samples-axes
# :class: dropdown
# In the common axes $C_1^{1/2}C_2C_1^{1/2}$ is diagonal with entries $\lambda_i\kappa_i$, so the last trace
# in {eq}`eq-samples-frechet` is $\sum_i\sqrt{\lambda_i\kappa_i}$; with $\sum_i(\lambda_i+\kappa_i)$ it
# completes the squares. Multiplying by $s$ multiplies $m$ by $s$ and $C$ by $s^2$, so the distance by
# $s^2$. A rotation changes traces and eigenvalues not at all. Any other linear map changes the
# distance, and may change who is nearer: the scale of each feature is part of the question.
# ````
#
# ```{exercise} A shy model wins
# :label: ex-samples-shy
# The data are $\mathcal{N}(0,I)$ in 16 dimensions, and their moments are known exactly. *A* draws from
# $\mathcal{N}(0,I)$, *B* from $\mathcal{N}(0,0.8\,I)$. Both are judged by the Fréchet distance with 30
# draws each. Who wins on average, and from how many draws on is it the other?
# ```
#
# ````{solution} ex-samples-shy
# :class: dropdown
# For *A*, {eq}`eq-samples-bias` gives $c=16+\tfrac14\cdot16\cdot17=84$. For *B* with variance $s^2$, the
# distance at infinity is $16\,(1-s)^2\approx0.18$, and its means add $16s^2/N$. For the covariance,
# expand $\operatorname{tr}\hat C-2\operatorname{tr}\hat C^{1/2}$ around $s^2I$: the second-order term is
# $\lVert\Delta\rVert^2/(4s^3)$, where $\lVert\Delta\rVert^2$ is the sum of all $\Delta_{ij}^2$. Its mean
# is $s^4\cdot16\cdot17/N$, so the term adds $68\,s/N$. Together $c=12.8+60.8=73.6$. So *A* is at $84/N$ and
# *B* at $0.18+73.6/N$: below about 58 draws the wrong model wins.
#
# ```python
# def distance(std, n):
#     draws = std * torch.randn(400, n, 16).double()
#     return sum(metrics.frechet_distance(x, reference) for x in draws) / 400
# ```
#
# with a `reference` of a hundred thousand draws shows it: `distance(0.8**0.5, 30) < distance(1, 30)`. The bias
# rewards models that dare less. Take many images, or extrapolate both.
# ````
#
# ```{exercise} What is a good coverage?
# :label: ex-samples-coverage
# A paper reports a coverage of 0.40 with $k=5$, for 1,000 samples against 10,000 real images. Is that bad?
# ```
#
# ````{solution} ex-samples-coverage
# :class: dropdown
# By {eq}`eq-samples-coverage` a perfect model has about $1-(10/11)^5\approx0.38$: the first five neighbours
# are all real with probability $(10/11)^5$. So 0.40 is as good as it can be. With as many samples as real
# images it would be $1-2^{-5}\approx0.97$.
# ````
#
# ```{exercise} A cheat for every figure
# :label: ex-samples-cheat
# Design a "model" without any training that does as well as a perfect one in all eight figures of
# {numref}`fig-samples-verdict`, although none of its images is *exactly* in the training set. How would you
# convict it?
# ```
#
# ````{solution} ex-samples-cheat
# :class: dropdown
# Take training images, and change one pixel of the border by one level. No figure in the table moves
# visibly, and no image is an exact copy. But each is far nearer to a training image than any fresh image
# is. Compare the distances to the nearest training image of your samples with those of *held-out* real
# images: `nearest` of this chapter does it, and {ref}`sec-judges-memory` makes a test of it.
# ````
#
# ## Summary
#
# - Inception Score is the information between image and class {eq}`eq-samples-information`, from 1 to
#   $K$. It never sees the data: ten pictures, or well-chosen noise, reach the top.
# - The Fréchet distance {eq}`eq-samples-frechet` is the cost of moving one Gaussian into
#   another. Zero means equal means and covariances, no more.
# - It is too large by about $c/N$ {eq}`eq-samples-bias`, so compare at equal sizes, or extrapolate.
# - The kernel distance {eq}`eq-samples-unbiased` has no bias, and a standard error. It may be below zero.
# - Precision and density ask whether what is made is real; recall and coverage whether what is real
#   is made. One outlier can buy recall, not coverage. Compare with what *perfect* models get.
# - SSIM and PSNR compare two images. Among samples, MS-SSIM is a rough measure of variety.
# - Features decide what is seen. A number without its features, sample sizes and conventions says nothing,
#   and only Inception's features make a FID.
# - All of them are fooled by the training set. Look for copies, always.
#
# ## Further reading
#
# {cite:t}`salimans2016` introduced the Inception Score, {cite:t}`heusel2017` the Fréchet distance of
# Inception's features, {cite:t}`binkowski2018` the kernel distance; the latter also show the bias of the
# former. {cite:t}`chong2020` extrapolate it. {cite:t}`gretton2012` is the theory of kernel distances.
# {cite:t}`sajjadi2018`, {cite:t}`kynkaanniemi2019` and {cite:t}`naeem2020` are three steps of one thought.
# {cite:t}`borji2018` reviews two dozen measures. {cite:t}`stein2023` compare seventeen of them with the
# judgement of people, on many models, and find Inception's features wanting;
# {cite:t}`jayasumana2024` propose others.
