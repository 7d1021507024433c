# %% [markdown]
# # Problem set 3: the game and its stabilisers
#
# Eight tasks, 20 points: a game solved on paper, losses that survive large numbers, and what keeps
# the two players from running away. They need chapters 07 to 09; nothing is downloaded, and the
# whole notebook runs in seconds.
#
# **How to work.** Replace `raise NotImplementedError()` by your answer, and run the cell with tests
# below it. Add cells wherever you like. Leave the cells with tests as they are: they are put back
# before your work is graded.
#
# **How it is graded.** The tests that you see help you: they check shapes and easy cases. The tests
# that decide stand in the same cells when your work is graded, and use inputs that you have not
# seen. A cell gives its points if all its tests pass. No task builds on your answer to another, so
# a mistake costs its points once. Any way of writing that gives the right values is right, as long as
# it is yours: use all that `torch` offers, but not `genlearn`, which holds several of the answers.
#
# **Words and units.** $D(x)$ is the probability that $x$ is real, in the discriminator's view. Its
# network gives a *logit* $a$, and $D=\sigma(a)=1/(1+e^{-a})$. A *loss* is what its player
# makes small; all are in nats. Before you hand in: restart the kernel and run all cells.

# %% nbgrader={"grade_id": "setup"}
import functools
import sys

import torch

from genlearn import data

torch.set_num_threads(1)  # models this small are fastest on one thread


def on_its_own(answer):
    """The same function, but it fails if it leaves its work to the library."""

    def watch(frame, event, _):
        module = frame.f_globals.get("__name__") or ""
        assert not module.startswith("genlearn"), (
            "write this one with torch alone: it calls the library"
        )

    @functools.wraps(answer)
    def watched(*arguments):
        before = sys.getprofile()
        sys.setprofile(watch)
        try:
            return answer(*arguments)
        finally:
            sys.setprofile(before)

    return watched


# %% [markdown]
# ## Task 1: the game on paper (3 points)
#
# Let $x$ take only $K$ values, so that every expectation is a sum. The players share one number,
#
# $$V(D,G)=\mathbb{E}_{p_\mathrm{real}}\log D(x)+\mathbb{E}_{p_\mathrm{fake}}\log(1-D(x)).$$
#
# The discriminator makes it large and the generator makes it small. First: which $D$ makes it
# largest (1 point)?


# %% nbgrader={"grade_id": "t1-best", "solution": true}
def best_discriminator(p_real, p_fake):
    """The D that makes V largest; 1/2 where neither puts any mass.

    p_real, p_fake: probabilities, shape (K,). Returns D(x), shape (K,).
    """
    ### BEGIN SOLUTION
    total = p_real + p_fake
    return torch.where(total > 0, p_real / total, 0.5)
    ### END SOLUTION


# %% nbgrader={"grade_id": "t1-best-tests", "grade": true, "points": 1}
def test_best_discriminator():
    import torch

    same = torch.tensor([0.2, 0.3, 0.5])
    best = best_discriminator(same, same)
    assert best.shape == (3,), "one probability for each value of x"
    assert torch.allclose(best, torch.full((3,), 0.5)), (
        "the two are the same here: nothing tells them apart"
    )
    ### BEGIN HIDDEN TESTS
    random = torch.Generator().manual_seed(61)
    p, q = torch.randn(2, 7, generator=random).double().softmax(1)
    d = torch.linspace(0, 1, 5001, dtype=torch.float64)[1:-1, None]
    tried = p * d.log() + q * (1 - d).log()  # the part of V at each x
    best = d[tried.argmax(0), 0]
    assert (best_discriminator(p, q) - best).abs().max() < 1e-3, (
        "for probabilities drawn at random, another D gives a larger V"
    )
    p = torch.tensor([0.5, 0.5, 0.0, 0.0])
    assert torch.allclose(
        best_discriminator(p, p.roll(1)), torch.tensor([1.0, 0.5, 0.0, 0.5])
    ), "not right where one of the two, or neither, puts any mass"
    ### END HIDDEN TESTS


test_best_discriminator()

# %% [markdown]
# What is the game worth for a given $D$, whether or not it is the best (1 point)?


# %% nbgrader={"grade_id": "t1-value", "solution": true}
def value(d, p_real, p_fake):
    """V(D, G), nats; what never happens adds nothing.

    d: D(x) for each x, shape (K,). p_real, p_fake: probabilities, shape (K,).
    Returns one number, shape ().
    """
    ### BEGIN SOLUTION
    of_real, of_fake = torch.xlogy(p_real, d), torch.xlogy(p_fake, 1 - d)
    return (of_real + of_fake).sum()
    ### END SOLUTION


# %% nbgrader={"grade_id": "t1-value-tests", "grade": true, "points": 1}
def test_value():
    import torch

    p_real, p_fake = torch.tensor([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]])
    worth = value(torch.full((3,), 0.5), p_real, p_fake)
    assert worth.shape == (), "one number for the whole game"
    assert torch.allclose(worth, -torch.tensor(4.0).log()), (
        "whoever always says 1/2 has -log 4"
    )
    ### BEGIN HIDDEN TESTS
    random = torch.Generator().manual_seed(62)
    p, q = torch.randn(2, 6, generator=random).double().softmax(1)
    d = torch.rand(6, generator=random).double()
    truth = torch.tensor([1.0] * 6 + [0.0] * 6).double()
    entropy = torch.nn.functional.binary_cross_entropy(
        torch.cat([d, d]), truth, torch.cat([p, q]), reduction="sum"
    )
    assert torch.allclose(value(d, p, q), -entropy), (
        "for a D drawn at random, not the expectation of log D over what is"
        " real, plus that of log(1 - D) over what is not"
    )
    sure = torch.tensor([1.0, 1.0, 0.0])
    never_wrong = value(sure, sure / 2, 1 - sure)
    assert abs(never_wrong) < 1e-5, (
        "a D that is sure and never wrong has V = 0: a value of x that never"
        " happens adds nothing, whatever D says of it"
    )
    ### END HIDDEN TESTS


test_value()

# %% [markdown]
# Against the best discriminator, the generator plays against a divergence: the Jensen–Shannon
# divergence $\mathrm{JS}=\frac12\mathrm{KL}(p_\mathrm{real}\Vert m)+\frac12\mathrm{KL}
# (p_\mathrm{fake}\Vert m)$ with $m=\frac12(p_\mathrm{real}+p_\mathrm{fake})$. How do you read it off
# the value (1 point)?


# %% nbgrader={"grade_id": "t1-js", "solution": true}
def jensen_shannon(best_value):
    """JS(p_real, p_fake), nats, from V(D, G) of the best D.

    best_value: any shape, which is kept.
    """
    ### BEGIN SOLUTION
    return (best_value + torch.log(torch.tensor(4.0))) / 2
    ### END SOLUTION


# %% nbgrader={"grade_id": "t1-js-tests", "grade": true, "points": 1}
def test_jensen_shannon():
    import torch

    worth = -torch.tensor([4.0, 3.0]).log()
    divergence = jensen_shannon(worth)
    assert divergence.shape == (2,), "one number for each value"
    assert divergence[0].abs() < 1e-6, "-log 4: the two are the same"
    assert divergence[1] > 0, "a divergence is never negative"
    ### BEGIN HIDDEN TESTS
    random = torch.Generator().manual_seed(63)
    p, q = torch.randn(2, 5, 6, generator=random).double().softmax(2)
    m = (p + q) / 2
    best = (p * (p / (2 * m)).log() + q * (q / (2 * m)).log()).sum(1)
    entropies = [torch.special.entr(of).sum(1) for of in (p, q, m)]
    right = entropies[2] - (entropies[0] + entropies[1]) / 2
    assert torch.allclose(jensen_shannon(best), right, atol=1e-6), (
        "not the entropy of the mixture minus the mean entropy of the two,"
        " which is another form of JS"
    )
    ### END HIDDEN TESTS


test_jensen_shannon()

# %% [markdown]
# ## Task 2: a judge may be sure, and wrong (2 points)
#
# From here on the discriminator is a network, and gives logits. Its loss on one image is the
# negative log probability that it gives to the truth. Early in training logits of some hundreds
# occur. Does your loss survive them, and does its gradient?


# %% nbgrader={"grade_id": "t2-loss", "solution": true}
def discriminator_loss(logits, is_real):
    """-log of the probability that the discriminator gives to the truth.

    logits: shape (N,), float32. is_real: True or False, shape (N,).
    Returns the loss of each image, nats, shape (N,).
    """
    ### BEGIN SOLUTION
    towards_truth = torch.where(is_real, logits, -logits)
    return torch.nn.functional.softplus(-towards_truth)
    ### END SOLUTION


# %% nbgrader={"grade_id": "t2-loss-tests", "grade": true, "points": 2}
def test_discriminator_loss():
    import torch

    logits = torch.tensor([0.0, 2.0, -2.0])
    losses = discriminator_loss(logits, torch.tensor([True, True, True]))
    assert losses.shape == (3,), "one number for each image"
    assert losses[1] < losses[0] < losses[2], (
        "all three are real: the surer of it, the smaller the loss"
    )
    losses = discriminator_loss(torch.zeros(2), torch.tensor([True, False]))
    assert torch.allclose(losses, torch.tensor(2.0).log()), (
        "at a logit of 0 both answers have probability 1/2"
    )
    ### BEGIN HIDDEN TESTS
    mine = on_its_own(discriminator_loss)
    random = torch.Generator().manual_seed(64)
    logits = 3 * torch.randn(9, generator=random)
    is_real = torch.rand(9, generator=random) < 0.5
    d = 1 / (1 + (-logits.double()).exp())
    right = -torch.where(is_real, d, 1 - d).log()
    assert torch.allclose(mine(logits, is_real).double(), right, rtol=1e-4), (
        "for logits drawn at random, not -log of the probability given to the"
        " truth"
    )
    logits = torch.tensor([1000.0, -1000.0, 150.0, 1000.0, -1000.0])
    logits.requires_grad_()
    is_real = torch.tensor([False, True, False, True, False])
    losses = mine(logits, is_real)
    right = torch.tensor([1000.0, 1000.0, 150.0, 0.0, 0.0])
    assert torch.allclose(losses, right), (
        "a discriminator that is wrong at a logit of 1000 has lost 1000 nats,"
        " and one that is right has lost none"
    )
    slope = torch.autograd.grad(losses.sum(), logits)[0]
    right = torch.tensor([1.0, -1.0, 1.0, 0.0, 0.0])
    assert torch.allclose(slope, right), (
        "at logits of some hundreds the loss is right and its gradient is not"
    )
    ### END HIDDEN TESTS


test_discriminator_loss()

# %% [markdown]
# ## Task 3: what the generator feels (2 points)
#
# The generator may make $\log(1-D)$ small, its part of $V$: the *saturating* loss. Or it may make
# $-\log D$ small: the *non-saturating* one. Both want $D$ to rise. Whatever the generator learns
# arrives through one number an image, the derivative of its loss by the logit. Give that derivative
# for the saturating loss (1 point) and for the non-saturating one (1 point), for logits of any
# size.


# %% nbgrader={"grade_id": "t3-saturating", "solution": true}
def saturating_slope(logits):
    """The derivative of log(1 - D) by the logit, for each fake.

    logits: shape (N,), float32. Returns shape (N,).
    """
    ### BEGIN SOLUTION
    return -torch.sigmoid(logits)
    ### END SOLUTION


# %% nbgrader={"grade_id": "t3-saturating-tests", "grade": true, "points": 1}
def test_saturating_slope():
    import torch

    slope = saturating_slope(torch.zeros(4))
    assert slope.shape == (4,), "one number for each fake"
    assert torch.allclose(slope, torch.full((4,), -0.5)), (
        "at a logit of 0 the slope is -1/2"
    )
    ### BEGIN HIDDEN TESTS
    random = torch.Generator().manual_seed(65)
    logits = 3 * torch.randn(8, generator=random)
    step = 1e-4
    near = torch.stack([logits.double() + step, logits.double() - step])
    losses = (1 - 1 / (1 + (-near).exp())).log()
    right = (losses[0] - losses[1]) / (2 * step)
    mine = on_its_own(saturating_slope)
    assert torch.allclose(mine(logits).double(), right, rtol=1e-3), (
        "not the rise of log(1 - D) between two logits close together"
    )
    sure = mine(torch.tensor([200.0, -200.0]))
    assert torch.allclose(sure, torch.tensor([-1.0, 0.0])), (
        "at a logit of 200, or of -200, this is no slope of log(1 - D)"
    )
    ### END HIDDEN TESTS


test_saturating_slope()


# %% nbgrader={"grade_id": "t3-other", "solution": true}
def non_saturating_slope(logits):
    """The derivative of -log D by the logit, for each fake.

    logits: shape (N,), float32. Returns shape (N,).
    """
    ### BEGIN SOLUTION
    return -torch.sigmoid(-logits)
    ### END SOLUTION


# %% nbgrader={"grade_id": "t3-other-tests", "grade": true, "points": 1}
def test_non_saturating_slope():
    import torch

    slope = non_saturating_slope(torch.zeros(4))
    assert slope.shape == (4,), "one number for each fake"
    assert torch.allclose(slope, torch.full((4,), -0.5)), (
        "at a logit of 0 the slope is -1/2"
    )
    ### BEGIN HIDDEN TESTS
    random = torch.Generator().manual_seed(66)
    logits = 3 * torch.randn(8, generator=random)
    step = 1e-4
    near = torch.stack([logits.double() + step, logits.double() - step])
    losses = -(1 / (1 + (-near).exp())).log()
    right = (losses[0] - losses[1]) / (2 * step)
    mine = on_its_own(non_saturating_slope)
    assert torch.allclose(mine(logits).double(), right, rtol=1e-3), (
        "not the rise of -log D between two logits close together"
    )
    sure = mine(torch.tensor([200.0, -200.0]))
    assert torch.allclose(sure, torch.tensor([0.0, -1.0])), (
        "at a logit of 200, or of -200, this is no slope of -log D"
    )
    ### END HIDDEN TESTS


test_non_saturating_slope()

# %% [markdown]
# ## Task 4: a game of two numbers (3 points)
#
# The smallest GAN there is. All data lie at 0. The generator puts all it makes at one point,
# $\theta$. The discriminator's logit is $a(x)=\psi x$, so
#
# $$V(\theta,\psi)=\log\sigma(0)+\log(1-\sigma(\psi\theta)).$$
#
# The generator goes down the slope of $V$ in $\theta$. The discriminator goes up that of
# $V-\frac\gamma2\psi^2$ in $\psi$: the last term is the R1 penalty here, and $\gamma=0$ switches it
# off. Both rest at $(0,0)$. Do they get there?
#
# Write one step with plain gradients (2 points). In *simultaneous* order both look at where they
# were before the step. In *alternating* order the discriminator moves first, and the generator
# looks at where it is now.


# %% nbgrader={"grade_id": "t4-step", "solution": true}
def play(theta, psi, rate, gamma, alternating):
    """One step of each player; returns the new theta and the new psi.

    theta, psi: tensors of one shape, many games at once. rate: the learning
    rate. gamma: the weight of R1. alternating: True or False.
    """
    ### BEGIN SOLUTION
    uphill = -theta * torch.sigmoid(psi * theta) - gamma * psi
    new_psi = psi + rate * uphill
    seen = new_psi if alternating else psi
    new_theta = theta + rate * seen * torch.sigmoid(seen * theta)
    return new_theta, new_psi
    ### END SOLUTION


# %% nbgrader={"grade_id": "t4-step-tests", "grade": true, "points": 2}
def test_play():
    import torch

    at = torch.tensor([0.0, 1.0])
    for alternating in (False, True):
        theta, psi = play(at, torch.zeros(2), 0.1, 0.0, alternating)
        assert theta.shape == psi.shape == (2,), "the shape that was given"
        assert theta[0] == psi[0] == 0, "at (0, 0) both rest"
        assert psi[1] < 0, "whatever lies to the right of 0 is a fake"
    ### BEGIN HIDDEN TESTS
    random = torch.Generator().manual_seed(67)
    theta, psi = torch.randn(2, 6, generator=random).double()
    rate, size = 0.3, 1e-5

    def slope(f, at):
        return (f(at + size) - f(at - size)) / (2 * size)

    def game(theta, psi, gamma=0.0):
        return -(1 + (psi * theta).exp()).log() - gamma / 2 * psi**2

    up = psi + rate * slope(lambda at: game(theta, at), psi)
    found = play(theta, psi, rate, 0.0, False)
    down = theta - rate * slope(lambda at: game(at, psi), theta)
    assert torch.allclose(torch.stack(found), torch.stack([down, up])), (
        "simultaneous, without R1: not where the slopes of V at the old point"
        " lead"
    )
    found = play(theta, psi, rate, 0.0, True)
    down = theta - rate * slope(lambda at: game(at, up), theta)
    assert torch.allclose(torch.stack(found), torch.stack([down, up])), (
        "alternating, without R1: the generator has to look at the point which"
        " the discriminator has just moved to"
    )
    up = psi + rate * slope(lambda at: game(theta, at, 0.7), psi)
    found = play(theta, psi, rate, 0.7, False)
    down = theta - rate * slope(lambda at: game(at, psi), theta)
    assert torch.allclose(torch.stack(found), torch.stack([down, up])), (
        "with R1: not where the slopes lead; whose slope has the penalty in it?"
    )
    ### END HIDDEN TESTS


test_play()

# %% [markdown]
# Near $(0,0)$ a step is a linear map, a matrix of two rows and two columns. If its eigenvalues lie
# inside the unit circle, the players come to rest; on the circle they go round for ever; outside
# they drift apart. What is the largest modulus (1 point)?


# %% nbgrader={"grade_id": "t4-growth", "solution": true}
def growth(rate, gamma, alternating):
    """Largest modulus of an eigenvalue of a step near (0, 0), a float.

    The arguments are those of play. They are numbers.
    """
    ### BEGIN SOLUTION
    # sigmoid(0) = 1/2; rows and columns: theta, psi
    keep, pull = 1 - rate * gamma, rate / 2
    if alternating:
        step = [[1 - pull**2, pull * keep], [-pull, keep]]
    else:
        step = [[1, pull], [-pull, keep]]
    step = torch.tensor(step, dtype=torch.float64)
    return torch.linalg.eigvals(step).abs().max().item()
    ### END SOLUTION


# %% nbgrader={"grade_id": "t4-growth-tests", "grade": true, "points": 1}
def test_growth():
    at_rest = growth(0.0, 0.0, False)
    assert abs(at_rest - 1) < 1e-6, "a learning rate of 0: nothing moves"
    assert growth(0.2, 0.0, False) > 1, (
        "simultaneous, without R1: each round leads further out"
    )
    ### BEGIN HIDDEN TESTS
    import math

    def settled(rate, gamma, alternating, steps=5000):
        """The mean growth of a step, from a game that is played for long."""
        theta, psi, logs = 1.0, 0.3, 0.0
        for _ in range(steps):
            new = psi + rate * (-theta / 2 - gamma * psi)
            theta, psi = theta + rate * (new if alternating else psi) / 2, new
            size = (theta**2 + psi**2) ** 0.5
            theta, psi = theta / size, psi / size
            logs += math.log(size)
        return math.exp(logs / steps)

    for rate in (0.4, 1.3):
        assert abs(growth(rate, 0.0, False) - settled(rate, 0, False)) < 1e-3, (
            "simultaneous, without R1: a long game grows by another factor"
        )
    for rate in (0.4, 1.3, 5.0):
        assert abs(growth(rate, 0.0, True) - settled(rate, 0, True)) < 1e-3, (
            "alternating, without R1: a long game grows by another factor"
        )
    for alternating in (False, True):
        right = settled(0.4, 0.8, alternating)
        assert abs(growth(0.4, 0.8, alternating) - right) < 1e-3, (
            "with R1: a long game grows, or shrinks, by another factor"
        )
    ### END HIDDEN TESTS


test_growth()

# %% [markdown]
# ## Task 5: a critic that is not too steep (4 points)
#
# Three ways to keep the slope of a critic $f$ in bounds. A critic maps points $(N,\dots)$ to one
# number each, $(N,)$, and no point's number depends on another point.
#
# **WGAN-GP** asks for slope 1 on the way from fakes to real images: the mean of
# $(\lVert\nabla f(\hat x)\rVert-1)^2$, with $\hat x=t\,x_\mathrm{real}+(1-t)\,x_\mathrm{fake}$ and a
# $t$ of its own for each pair (2 points).


# %% nbgrader={"grade_id": "t5-between", "solution": true}
def penalty_between(critic, real, fake, share):
    """The penalty of WGAN-GP, one number, shape (); without its weight.

    critic: (N, ...) → (N,). real, fake: shape (N, ...).
    share: t, of the real image in each pair, shape (N,).
    """
    ### BEGIN SOLUTION
    share = share.view(-1, *[1] * (real.dim() - 1))
    points = share * real + (1 - share) * fake
    points = points.detach().requires_grad_()
    total = critic(points).sum()
    (slope,) = torch.autograd.grad(total, points, create_graph=True)
    return (slope.flatten(1).norm(dim=1) - 1).square().mean()
    ### END SOLUTION


# %% nbgrader={"grade_id": "t5-between-tests", "grade": true, "points": 2}
def test_penalty_between():
    import torch

    real, fake, share = torch.ones(5, 1), torch.zeros(5, 1), torch.rand(5)
    penalty = penalty_between(lambda x: 3 + x.sum(1), real, fake, share)
    assert penalty.shape == (), "one number for the whole batch"
    assert penalty < 1e-8, "the slope of 3 + x is 1 everywhere"
    flat = penalty_between(lambda x: 3 + 0 * x.sum(1), real, fake, share)
    assert abs(flat - 1) < 1e-6, "a slope of 0 misses 1 by 1"
    ### BEGIN HIDDEN TESTS
    mine = on_its_own(penalty_between)
    random = torch.Generator().manual_seed(68)
    real, fake, weight = torch.randn(3, 4, 2, 3, 3, generator=random)
    share, weight = torch.rand(4, generator=random), weight[0].requires_grad_()
    steepness = weight.square().sum().sqrt()
    penalty = mine(lambda x: (x * weight).sum((1, 2, 3)), real, fake, share)
    assert torch.allclose(penalty, (steepness - 1) ** 2), (
        "the slope of a linear critic is the same at each image: the length of"
        " its weights, over all channels and pixels"
    )
    slope = [None]
    if penalty.requires_grad:
        slope = torch.autograd.grad(penalty, weight, allow_unused=True)
    right = (2 * (steepness - 1) * weight / steepness).detach()
    assert slope[0] is not None and torch.allclose(slope[0], right), (
        "the critic's weights learn nothing from this penalty, or something"
        " else than to mend its slope"
    )
    lengths = [
        (float(u) * a + (1 - float(u)) * b).square().sum().sqrt()
        for u, a, b in zip(share, real, fake, strict=True)
    ]
    right = (torch.stack(lengths) - 1).square().mean()

    def curved(x):
        return x.square().sum((1, 2, 3)) / 2  # its gradient is x

    assert torch.allclose(mine(curved, real, fake, share), right), (
        "for a curved critic: the slope counts at the points between, each pair"
        " with its own share"
    )
    ### END HIDDEN TESTS


test_penalty_between()

# %% [markdown]
# **R1** asks for slope 0 at real images: $\frac\gamma2$ times the mean of
# $\lVert\nabla f(x_\mathrm{real})\rVert^2$ (1 point).


# %% nbgrader={"grade_id": "t5-real", "solution": true}
def penalty_at_real(critic, real, gamma):
    """The R1 penalty, one number, shape (); with its weight.

    critic: (N, ...) → (N,). real: shape (N, ...). gamma: a number.
    """
    ### BEGIN SOLUTION
    points = real.detach().clone().requires_grad_()
    total = critic(points).sum()
    (slope,) = torch.autograd.grad(total, points, create_graph=True)
    return gamma / 2 * slope.square().flatten(1).sum(1).mean()
    ### END SOLUTION


# %% nbgrader={"grade_id": "t5-real-tests", "grade": true, "points": 1}
def test_penalty_at_real():
    import torch

    real = torch.randn(5, 1, generator=torch.Generator().manual_seed(0))
    penalty = penalty_at_real(lambda x: 3 + x.sum(1), real, 2.0)
    assert penalty.shape == (), "one number for the whole batch"
    assert abs(penalty - 1) < 1e-6, "γ = 2, and the slope of 3 + x is 1"
    ### BEGIN HIDDEN TESTS
    mine = on_its_own(penalty_at_real)
    random = torch.Generator().manual_seed(69)
    real = torch.randn(4, 2, 3, 3, generator=random)
    weight = torch.rand(2, 3, 3, generator=random).requires_grad_()
    penalty = mine(lambda x: (weight * x**2).sum((1, 2, 3)) / 2, real, 0.6)
    right = 0.3 * (weight * real).square().sum() / 4
    assert torch.allclose(penalty, right), (
        "for a curved critic and images: not γ/2 times the squared length of"
        " the gradient, over all channels and pixels, in the mean over images"
    )
    slope = [None]
    if penalty.requires_grad:
        slope = torch.autograd.grad(penalty, weight, allow_unused=True)
    right = (0.15 * weight * real.square().sum(0)).detach()
    assert slope[0] is not None and torch.allclose(slope[0], right), (
        "the critic's weights learn nothing from this penalty, or something"
        " else than to flatten it"
    )
    assert not real.requires_grad and real.grad is None, (
        "the images that were handed in are not what they were: they collect"
        " gradients now"
    )
    ### END HIDDEN TESTS


test_penalty_at_real()

# %% [markdown]
# **Spectral normalisation** divides each weight matrix by its largest singular value. To know that
# one number, a full decomposition is too dear; *power iteration* multiplies a vector with the
# matrix and its transpose in turn (1 point). The gradient has to reach the weight.


# %% nbgrader={"grade_id": "t5-spectral", "solution": true}
def spectral_norm(weight, start, steps):
    """The largest singular value by power iteration, shape ().

    weight: shape (out, ...), for example of a convolution; everything after
    the first dimension counts as one. start: a vector as long as that.
    steps: how many times it is multiplied with the matrix, and then with the
    transpose; at least 1.
    """
    ### BEGIN SOLUTION
    matrix = weight.flatten(1)
    v = start
    with torch.no_grad():
        for _ in range(steps):
            u = torch.nn.functional.normalize(matrix @ v, dim=0)
            v = torch.nn.functional.normalize(matrix.T @ u, dim=0)
    return u @ matrix @ v
    ### END SOLUTION


# %% nbgrader={"grade_id": "t5-spectral-tests", "grade": true, "points": 1}
def test_spectral_norm():
    import torch

    weight = torch.outer(torch.tensor([3.0, 0.0]), torch.tensor([0.0, 1.0, 0]))
    norm = spectral_norm(weight, torch.ones(3), 5)
    assert norm.shape == (), "one number for the whole matrix"
    assert abs(norm - 3) < 1e-5, "this matrix stretches one direction, by 3"
    ### BEGIN HIDDEN TESTS
    random = torch.Generator().manual_seed(70)
    for shape in [(5, 3), (3, 5)]:
        weight = torch.randn(shape, generator=random).double()
        largest = torch.linalg.svdvals(weight)[0]
        start = torch.randn(shape[1], generator=random).double()
        assert torch.allclose(spectral_norm(weight, start, 500), largest), (
            "after 500 steps, not what a singular value decomposition gives for"
            " a matrix drawn at random"
        )
    weight = torch.diag(torch.tensor([3.0, 2.0, 1.0])).double()
    poor = spectral_norm(weight, torch.tensor([0.1, 1.0, 1.0]).double(), 1)
    assert 1 < poor < 2.9, (
        "one step from a poor start cannot find the largest singular value, but"
        " it finds something between the smallest and that"
    )
    weight = torch.randn(4, 3, 2, 2, generator=random).double()
    weight.requires_grad_()
    start = torch.randn(12, generator=random).double()
    norm = spectral_norm(weight, start, 500)
    u, s, v = torch.linalg.svd(weight.detach().reshape(4, 12))
    assert torch.allclose(norm, s[0]), (
        "the weight of a convolution is a matrix too: (out, in x height x"
        " width)"
    )
    slope = [None]
    if norm.requires_grad:
        slope = torch.autograd.grad(norm, weight, allow_unused=True)
    right = torch.outer(u[:, 0], v[0]).view_as(weight)
    assert slope[0] is not None and torch.allclose(slope[0], right), (
        "not the gradient of the largest singular value by the weight"
    )
    ### END HIDDEN TESTS


test_spectral_norm()

# %% [markdown]
# ## Task 6: who moves when (2 points)
#
# In a Wasserstein GAN the critic is updated several times for each update of the generator. The
# critic makes the mean of $f$ over fakes minus the mean of $f$ over real points small; the
# generator makes minus the mean of $f$ over fakes small. Write a round: `repeats` updates of the
# critic, each with fresh points, then one update of the generator with fresh noise.
#
# Two players share one graph, so take care whose gradients go where. When the critic learns, nothing
# needs to be computed for the generator's weights.


# %% nbgrader={"grade_id": "t6-round", "solution": true}
def play_round(
    generator, critic, of_generator, of_critic, draw_real, draw_noise, repeats
):
    """Update the critic `repeats` times, then the generator once.

    generator: a module, noise → points (N, 2). critic: a module, points → (N,).
    of_generator, of_critic: their optimisers.
    draw_real, draw_noise: each call gives a fresh batch. Returns nothing.
    """
    ### BEGIN SOLUTION
    for _ in range(repeats):
        with torch.no_grad():
            fake = generator(draw_noise())
        loss = critic(fake).mean() - critic(draw_real()).mean()
        of_critic.zero_grad()
        loss.backward()
        of_critic.step()
    loss = -critic(generator(draw_noise())).mean()
    of_generator.zero_grad()
    loss.backward()
    of_generator.step()
    ### END SOLUTION


# %% nbgrader={"grade_id": "t6-round-tests", "grade": true, "points": 2}
def test_play_round():
    import torch
    from torch import nn

    generator = nn.Linear(3, 2)
    critic = nn.Sequential(nn.Linear(2, 1), nn.Flatten(0))
    players = [generator, critic]
    before = [nn.utils.parameters_to_vector(p.parameters()) for p in players]
    play_round(
        generator,
        critic,
        torch.optim.SGD(generator.parameters(), lr=0.1),
        torch.optim.SGD(critic.parameters(), lr=0.1),
        lambda: torch.randn(7, 2),
        lambda: torch.randn(7, 3),
        2,
    )
    after = [nn.utils.parameters_to_vector(p.parameters()) for p in players]
    assert not torch.allclose(before[0], after[0]), "the generator did not move"
    assert not torch.allclose(before[1], after[1]), "the critic did not move"
    ### BEGIN HIDDEN TESTS
    # Both players are linear, so each update can be written down.
    random = torch.Generator().manual_seed(71)
    real = 1 + torch.randn(2, 3, 7, 2, generator=random).double()
    noise = 1 + torch.randn(2, 4, 7, 3, generator=random).double()
    generator = nn.Linear(3, 2, bias=False).double()
    critic = nn.Sequential(nn.Linear(2, 1, bias=False), nn.Flatten(0)).double()
    for weight in (generator.weight, critic[0].weight):
        with torch.no_grad():
            weight.copy_(torch.randn(weight.shape, generator=random))
    w, a = critic[0].weight[0].detach().clone(), generator.weight.detach()
    a = a.clone()
    of_generator = torch.optim.SGD(generator.parameters(), lr=0.3)
    of_critic = torch.optim.SGD(critic.parameters(), lr=0.2)
    reached = []  # one entry for each time that gradients reach the generator
    generator.weight.register_hook(lambda slope: reached.append(1))

    def stream(batches, drawn):
        def draw():
            drawn.append(1)
            return batches[(len(drawn) - 1) % len(batches)]

        return draw

    for number in range(2):
        drawn = [[], []]
        play_round(
            generator,
            critic,
            of_generator,
            of_critic,
            stream(real[number], drawn[0]),
            stream(noise[number], drawn[1]),
            3,
        )
        for k in range(3):
            fake = (noise[number, k] @ a.T).mean(0)
            w = w - 0.2 * (fake - real[number, k].mean(0))
        a = a + 0.3 * torch.outer(w, noise[number, 3].mean(0))
        assert [len(calls) for calls in drawn] == [3, 4], (
            "in a round with 3 repeats, real points are drawn 3 times and noise"
            " 4 times"
        )
        first = number == 0
        critic_is_right = torch.allclose(critic[0].weight[0], w)
        assert critic_is_right or not first, (
            "after a round, the critic is not where the slopes of its loss lead"
        )
        assert torch.allclose(generator.weight, a) or not first, (
            "after a round, the generator is not where the slope of its loss"
            " leads, with the critic that has just learned"
        )
        assert critic_is_right, (
            "in the second round the critic goes elsewhere: is a gradient of"
            " the first one left over?"
        )
    assert len(reached) <= 2, (
        "right, but with wasted work: gradients reach the generator's weights"
        " in the critic's updates too"
    )
    ### END HIDDEN TESTS


test_play_round()

# %% [markdown]
# ## Task 7: what one keeps, and what one counts (2 points)
#
# The generator circles around its goal, so one draws from an average of its weights that runs along
# with the training. Parameters are averaged. Buffers, such as the statistics and the counter of a
# batch normalisation, are copied (1 point); chapter 09 says why the statistics are then measured anew
# before the average is used.


# %% nbgrader={"grade_id": "t7-average", "solution": true}
def follow(average, model, decay):
    """Set average to decay · average + (1 - decay) · model, in place.

    average, model: two modules of the same kind. Called after each step of
    training; decay is close to 1. Returns nothing.
    """
    ### BEGIN SOLUTION
    with torch.no_grad():
        its = dict(model.named_parameters())
        for name, parameter in average.named_parameters():
            parameter.lerp_(its[name], 1 - decay)
        its = dict(model.named_buffers())
        for name, buffer in average.named_buffers():
            buffer.copy_(its[name])
    ### END SOLUTION


# %% nbgrader={"grade_id": "t7-average-tests", "grade": true, "points": 1}
def test_follow():
    import torch
    from torch import nn

    average, model = nn.Linear(2, 1), nn.Linear(2, 1)
    nn.init.zeros_(average.weight)
    nn.init.ones_(model.weight)
    follow(average, model, 0.5)
    assert torch.allclose(average.weight, torch.full((1, 2), 0.5)), (
        "halfway between 0 and 1 with a decay of 1/2"
    )
    ### BEGIN HIDDEN TESTS
    mine = on_its_own(follow)
    random = torch.Generator().manual_seed(72)
    average, model = (
        nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)) for _ in range(2)
    )
    start = average[0].weight.detach().clone()
    weights = torch.randn(6, 2, 3, generator=random)
    for weight in weights:
        with torch.no_grad():
            model[0].weight.copy_(weight)
        model(torch.randn(5, 3, generator=random))
        mine(average, model, 0.8)
    shares = 0.2 * 0.8 ** torch.arange(5, -1, -1)  # of each step's weights
    right = 0.8**6 * start + torch.einsum("k,kij->ij", shares, weights)
    assert torch.allclose(average[0].weight, right, atol=1e-6), (
        "after 6 steps with decay 0.8, the newest weights do not count 0.2, and"
        " each earlier ones 0.8 times those that came after them"
    )
    copied = zip(average.buffers(), model.buffers(), strict=True)
    assert all(torch.equal(mine, its) for mine, its in copied), (
        "the statistics of batch normalisation are not those of the model"
    )
    assert torch.equal(model[0].weight, weights[-1]), (
        "the model that is still training has been changed"
    )
    ### END HIDDEN TESTS


test_follow()

# %% [markdown]
# How many modes of a known density does a generator find? Points count as *near* a mode if it is
# their nearest one and lies within three standard deviations. A mode is *found* if at least a fifth
# of its fair share $N/K$ of all $N$ points are near it. *High quality* is the share of all points
# which are near some mode (1 point).


# %% nbgrader={"grade_id": "t7-modes", "solution": true}
def count_modes(points, means, std):
    """How many modes are found, an int; and the share of high quality, a float.

    points: shape (N, 2). means: of the modes, shape (K, 2).
    std: of each mode in every direction, a number.
    """
    ### BEGIN SOLUTION
    distance, nearest = torch.cdist(points, means).min(1)
    near = distance <= 3 * std
    counts = torch.bincount(nearest[near], minlength=len(means))
    found = counts >= 0.2 * len(points) / len(means)
    return int(found.sum()), near.float().mean().item()
    ### END SOLUTION


# %% nbgrader={"grade_id": "t7-modes-tests", "grade": true, "points": 1}
def test_count_modes():
    import torch

    means = torch.tensor([[0.0, 0.0], [4.0, 0.0]])
    assert count_modes(means, means, 0.1) == (2, 1.0), "each mode has its point"
    far = torch.full((3, 2), 50.0)
    assert count_modes(far, means, 0.1) == (0, 0.0), "no point is near a mode"
    ### BEGIN HIDDEN TESTS
    mine = on_its_own(count_modes)
    means = torch.tensor([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0], [4.0, 4.0]])

    def crowd(*counts, offset=(0.0, 0.0), rest=0):
        """So many points beside each mode, and so many far from all."""
        numbers = torch.tensor(counts)
        beside = (means + torch.tensor(offset)).repeat_interleave(numbers, 0)
        return torch.cat([beside, torch.full((rest, 2), 50.0)])

    found, _ = mine(crowd(90, 6, 3, 1), means, 0.2)  # a fair share is 25
    assert found == 2, (
        "a mode is found at a fifth of its fair share, not before"
    )
    found, _ = mine(crowd(6, 6, 6, 2, rest=80), means, 0.2)
    assert found == 3, "the fair share is one of all points, near or far"
    offsets = [(0.5, 0.0), (0.5, 0.5), (0.0, -0.65), (-0.3, 0.3)]
    quality = [
        mine(crowd(9, 9, 9, 9, offset=o), means, 0.2)[1] for o in offsets
    ]
    assert quality == [1, 0, 0, 1], (
        "near means: at a distance of up to three standard deviations"
    )
    _, quality = mine(crowd(7, 7, 7, 4, rest=75), means, 0.2)
    assert abs(quality - 0.25) < 1e-6, (
        "high quality is a share of all points: those near any mode, found or"
        " not"
    )
    ### END HIDDEN TESTS


test_count_modes()

# %% [markdown]
# ## Task 8: an experiment: when the judge is too good (2 points)
#
# One generator that has learned nothing, and two discriminators. One is fresh. The other has been
# trained alone, until it knows every fake. How much of what it knows gets through to the generator?

# %% nbgrader={"grade_id": "t8-given"}
LOSSES = {  # of the generator, from the logits of its points
    "saturating": lambda logits: (1 - logits.sigmoid()).log().mean(),
    "non-saturating": lambda logits: -logits.sigmoid().log().mean(),
}
ring = data.Gaussians(modes=8, radius=2.0, std=0.05)
shown_noise = torch.randn(256, 4, generator=torch.Generator().manual_seed(5))


def make_generator():
    """A network that maps noise (N, 4) to points (N, 2), all near 0."""
    torch.manual_seed(0)
    middle = [torch.nn.Linear(4, 64), torch.nn.ReLU()]
    return torch.nn.Sequential(*middle, torch.nn.Linear(64, 2))


def make_judge(steps):
    """A network that maps points (N, 2) to logits (N,), trained so long."""
    torch.manual_seed(1)
    first, last = torch.nn.Linear(2, 64), torch.nn.Linear(64, 1)
    judge = torch.nn.Sequential(
        first, torch.nn.ReLU(), last, torch.nn.Flatten(0)
    )
    adam = torch.optim.Adam(judge.parameters(), lr=0.01)
    for _ in range(steps):
        with torch.no_grad():
            points = torch.cat([ring.sample(128), mover(torch.randn(128, 4))])
        is_real = (torch.arange(256) < 128).float()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(
            judge(points), is_real
        )
        adam.zero_grad()
        loss.backward()
        adam.step()
    return judge


mover = make_generator()
judges = {"fresh": make_judge(0), "trained": make_judge(200)}

# %% [markdown]
# What a generator learns from one batch is a gradient, one number for each of its weights. Write a
# measure of its size: the length of that vector, all weights of the generator together (1 point).
# Measuring must not disturb: afterwards no network holds a gradient that it did not hold before.


# %% nbgrader={"grade_id": "t8-signal", "solution": true}
def signal(generator, judge, loss, noise):
    """The length of the gradient of loss(judge(generator(noise))), a float.

    The gradient is by all weights of the generator together.
    generator: noise → points. judge: points → logits. loss: logits → ().
    """
    ### BEGIN SOLUTION
    weights = list(generator.parameters())
    slopes = torch.autograd.grad(loss(judge(generator(noise))), weights)
    return torch.cat([slope.flatten() for slope in slopes]).norm().item()
    ### END SOLUTION


# %% nbgrader={"grade_id": "t8-signal-tests", "grade": true, "points": 1}
def test_signal():
    import torch
    from torch import nn

    generator = nn.Linear(1, 1, bias=False)
    deaf = nn.Sequential(nn.Linear(1, 1), nn.Flatten(0))
    nn.init.zeros_(deaf[0].weight)
    nothing = signal(generator, deaf, torch.mean, torch.randn(9, 1))
    assert nothing == 0, "this judge says the same of every point"
    ### BEGIN HIDDEN TESTS
    random = torch.Generator().manual_seed(73)
    noise = torch.randn(9, 3, generator=random)
    generator, judge = nn.Linear(3, 2), nn.Linear(2, 1, bias=False)
    for weight in (generator.weight, generator.bias, judge.weight):
        nn.init.normal_(weight, generator=random)
    whole = nn.Sequential(judge, nn.Flatten(0))
    # Of a linear judge's mean: its weights, times the mean noise and times 1.
    square = judge.weight.square().sum() * (noise.mean(0).square().sum() + 1)
    found = signal(generator, whole, torch.mean, noise)
    assert abs(found - square.sqrt()) < 1e-4, (
        "not the length of the gradient, for a generator and a judge that are"
        " linear"
    )
    left = [*generator.parameters(), *judge.parameters()]
    assert all(w.grad is None or not w.grad.any() for w in left), (
        "gradients are left in the weights: the next update would add them to"
        " its own"
    )
    ### END HIDDEN TESTS


test_signal()

# %% [markdown]
# Now measure, with `mover` and `shown_noise` (1 point): what reaches the generator from each of the
# two judges, through each of the two losses? And with which loss can it still learn from the judge
# that was trained?

# %% nbgrader={"grade_id": "t8-answer", "solution": true}
# heard: (name of a loss, name of a judge) → length of the gradient; 4 entries
# learns: name of the loss with which the generator still learns
### BEGIN SOLUTION
heard = {
    (name, which): signal(mover, judge, loss, shown_noise)
    for name, loss in LOSSES.items()
    for which, judge in judges.items()
}
learns = max(LOSSES, key=lambda name: heard[name, "trained"])
### END SOLUTION


# %% nbgrader={"grade_id": "t8-answer-tests", "grade": true, "points": 1}
def test_answer():
    asked = {(name, which) for name in LOSSES for which in judges}
    assert set(heard) == asked, "one number for each loss and each judge"
    assert learns in LOSSES, "name one of the two losses"
    ### BEGIN HIDDEN TESTS
    for name, which in asked:
        right = signal(mover, judges[which], LOSSES[name], shown_noise)
        found = float(heard[name, which])
        assert abs(found - right) < 0.01 * right + 1e-9, (
            "not what your function finds for this loss and this judge, with"
            " the noise that is given"
        )
    assert learns == "non-saturating", (
        "compare what reaches the generator from the judge that was trained"
    )
    ### END HIDDEN TESTS


test_answer()
