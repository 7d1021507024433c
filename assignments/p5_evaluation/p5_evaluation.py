# %% [markdown]
# # Problem set 5: figures that can be trusted
#
# Eight tasks, 25 points: the figures by which models are compared, written so that they say what they
# seem to say; and sets of images made to fool them. They need chapters 15 to 18; nothing is
# downloaded, no GPU is used, and the whole notebook runs in seconds.
#
# **How to work.** Replace `raise NotImplementedError()` by your answer, and run the cell with tests
# below it. Add cells wherever you like. Leave the cells with tests as they are: they are put back
# before your work is graded.
#
# **How it is graded.** The tests that you see help you: they check shapes and easy cases. The tests
# that decide stand in the same cells when your work is graded, and use inputs that you have not
# seen. A cell gives its points if all its tests pass. No task builds on your answer to another, so
# a mistake costs its points once. Any way of writing that gives the right values is right, as long as
# it is yours: use all that `torch`, `numpy` and Python itself offer, but not `genlearn`, `scipy` or
# another library that holds several of the answers.
#
# **Words and units.** Log densities are in nats per image. *Features* are numbers that describe an
# image, one row for each image; a *distance* between two sets of images is taken between their
# features. Before you hand in: restart the kernel and run all cells.

# %% nbgrader={"grade_id": "setup"}
import functools
import sys

import torch

from genlearn import data, metrics

torch.set_num_threads(1)  # work this small is fastest on one thread
LIBRARIES = {"genlearn", "scipy", "skimage", "sklearn", "torchmetrics"}


def on_its_own(answer):
    """The same function, but it fails if it leaves its work to a library."""

    def watch(frame, event, _):
        module = frame.f_globals.get("__name__") or ""
        assert module.partition(".")[0] not in LIBRARIES, (
            "write this one with torch alone: it calls a library"
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
# ## Task 1: likelihoods that can be compared (3 points)
#
# A model of real numbers has a *density*, and a density has a unit: stretch the range of the data,
# and it falls. Levels $k=0,\dots,L-1$ become real numbers in two steps. Noise $u$, uniform in $[0,1)$,
# is added; then the range $[0,L)$ is mapped in a straight line onto $[a,b)$, onto $[0,1)$ for example.
# How many bits per dimension does a density of such images amount to (2 points)? They are to be
# comparable with the bits of a model of the levels, whatever the range.


# %% nbgrader={"grade_id": "t1-bits", "solution": true}
def bits_per_dim(log_density, shape, levels, low, high):
    """Bits for each of the C·H·W values, shape (N,).

    log_density: nats per image, shape (N,). shape: of an image, (C, H, W).
    levels: how many there are, L. low, high: the ends of the range, a and b.
    """
    ### BEGIN SOLUTION
    values = torch.tensor(shape).prod()
    width = torch.tensor((high - low) / levels)  # of a level, in the range
    return -(log_density / values + width.log()) / torch.tensor(2.0).log()
    ### END SOLUTION


# %% nbgrader={"grade_id": "t1-bits-tests", "grade": true, "points": 2}
def test_bits_per_dim():
    import torch

    nats = -torch.tensor([1.0, 2.0]) * torch.tensor(2.0).log() * 6
    bits = bits_per_dim(nats, (1, 2, 3), 16, 0.0, 16.0)
    assert bits.shape == (2,), "one number for each image"
    assert torch.allclose(bits.double(), torch.tensor([1.0, 2.0]).double()), (
        "in the range 0 … 16 each of the 16 levels is one unit wide, and a"
        " density of 1/2 for each value costs one bit"
    )
    ### BEGIN HIDDEN TESTS
    from torch.distributions import Categorical, MixtureSameFamily, Uniform

    mine = on_its_own(bits_per_dim)
    random = torch.Generator().manual_seed(101)
    for levels, shape, low, high in [
        (256, (1, 3, 4), 0.0, 1.0),
        (16, (3, 2, 2), -1.0, 1.0),
        (5, (2, 1, 3), 2.0, 42.0),
    ]:
        logits = torch.randn(*shape, levels, generator=random).double()
        border = torch.linspace(low, high, levels + 1).double()
        even = Uniform(border[:-1], border[1:], validate_args=False)
        of_levels = Categorical(logits=logits)
        images = torch.randint(levels, (4, *shape), generator=random)
        noise = 0.1 + 0.8 * torch.rand(4, *shape, generator=random).double()
        where = border[images] + noise * (high - low) / levels
        density = MixtureSameFamily(of_levels, even, validate_args=False)
        density = density.log_prob(where)
        right = -of_levels.log_prob(images).sum((1, 2, 3))
        right = right / (logits[..., 0].numel() * torch.tensor(2.0).log())
        bits = mine(density.sum((1, 2, 3)), shape, levels, low, high)
        assert torch.allclose(bits.double(), right), (
            f"a density that is even within each of {levels} levels, in the"
            f" range {low:g} … {high:g}: these are not the bits per dimension of"
            " the levels themselves"
        )
    ### END HIDDEN TESTS


test_bits_per_dim()

# %% [markdown]
# A model may have a high likelihood though nearly all it draws is bad. Let $p$ be a good model and $q$
# one of pure noise, and draw from $p$ with probability $s$, else from $q$. What is the log density
# of this mixture (1 point)? For $s=1/100$ it is at most $\log 100$ nats below $\log p$, for images
# whose $\log p$ may be −3000 nats.


# %% nbgrader={"grade_id": "t1-mixture", "solution": true}
def log_mixture(log_p, log_q, share):
    """The log density of the mixture, nats, shape (N,).

    log_p, log_q: of each image, shape (N,). share: s, between 0 and 1.
    """
    ### BEGIN SOLUTION
    share = torch.tensor(share)
    return torch.logaddexp(log_p + share.log(), log_q + (1 - share).log())
    ### END SOLUTION


# %% nbgrader={"grade_id": "t1-mixture-tests", "grade": true, "points": 1}
def test_log_mixture():
    import torch

    logs = torch.tensor([-1.0, -2.0, -3.0])
    found = log_mixture(logs, logs, 0.25)
    assert found.shape == (3,), "one number for each image"
    assert torch.allclose(found.double(), logs.double()), (
        "two models that agree, mixed"
    )
    ### BEGIN HIDDEN TESTS
    from decimal import Decimal

    mine = on_its_own(log_mixture)

    def exact(log_p, log_q, share):
        """With numbers that can be as small as they like."""
        p, q = Decimal(log_p).exp(), Decimal(log_q).exp()
        return float((Decimal(share) * p + (1 - Decimal(share)) * q).ln())

    random = torch.Generator().manual_seed(102)
    log_p, log_q = torch.randn(2, 5, generator=random).double()
    for share in (0.5, 0.125):
        found = mine(log_p, log_q, share).tolist()
        pairs = zip(log_p.tolist(), log_q.tolist(), strict=True)
        right = [exact(p, q, share) for p, q in pairs]
        assert all(
            abs(f - r) < 1e-4 for f, r in zip(found, right, strict=True)
        ), (
            "for densities near 1, not the logarithm of what the two densities"
            f" mix to with the share {share:g} of p"
        )
    for p, q in [(-3000.0, -2998.0), (-3000.0, -9000.0), (2000.0, 2001.0)]:
        found = mine(torch.tensor([p]), torch.tensor([q]), 0.25)
        assert abs(found.item() - exact(p, q, 0.25)) < 1e-2, (
            "right for densities near 1, wrong for those of whole images: their"
            " logarithms lie in the thousands, below 0 or above"
        )
    ### END HIDDEN TESTS


test_log_mixture()

# %% [markdown]
# ## Task 2: a score and how to fool it (3 points)
#
# A classifier gives image $n$ the probabilities $p_n(k)$ of $K$ classes; $\bar p(k)$ is their mean over
# the images. The *Inception Score* is
#
# $$\exp\Bigl(\frac1N\sum_{n=1}^N\sum_{k=1}^K p_n(k)\,\log\frac{p_n(k)}{\bar p(k)}\Bigr),$$
#
# from 1 (all images say the same to the classifier) to $K$. Write it (2 points).


# %% nbgrader={"grade_id": "t2-score", "solution": true}
def inception_score(log_probs):
    """The Inception Score, one number.

    log_probs: log p_n(k), natural logarithms, some may be -inf, shape (N, K).
    """
    ### BEGIN SOLUTION
    p = log_probs.double().exp()
    terms = torch.special.xlogy(p, p) - torch.special.xlogy(p, p.mean(0))
    return terms.sum(1).mean().exp().item()
    ### END SOLUTION


# %% nbgrader={"grade_id": "t2-score-tests", "grade": true, "points": 2}
def test_inception_score():
    import torch

    unsure = torch.full((8, 4), 0.25).log()
    assert abs(float(inception_score(unsure)) - 1) < 1e-4, (
        "the classifier says the same of all images"
    )
    sure = (40 * torch.eye(4)).log_softmax(1).repeat(2, 1)
    assert abs(float(inception_score(sure)) - 4) < 1e-3, (
        "two images of each of 4 classes, of which it is sure"
    )
    ### BEGIN HIDDEN TESTS
    mine = on_its_own(inception_score)
    random = torch.Generator().manual_seed(103)

    def entropy(p):
        return -torch.special.xlogy(p, p).sum(-1)

    logits = 2 * torch.randn(30, 5, generator=random).double()
    logits[:, 1] += 2
    p = logits.softmax(1)
    right = (entropy(p.mean(0)) - entropy(p).mean()).exp()
    assert abs(float(mine(p.log())) - right) < 1e-4, (
        "for probabilities drawn at random, not the score: of what is each mean"
        " taken, and where does the exponential stand?"
    )
    p[:9, 2:], p[9:, 4] = 0, 0
    p = p / p.sum(1, keepdim=True)
    right = (entropy(p.mean(0)) - entropy(p).mean()).exp()
    assert abs(float(mine(p.log())) - right) < 1e-4, (
        "some classes are impossible for some images, and one for all: what has"
        " the probability 0 adds 0"
    )
    ### END HIDDEN TESTS


test_inception_score()

# %% [markdown]
# Now fool it. You have a pool of images, and the classifier's opinion of each. Choose $K$ different
# ones, so that a generator that knows nothing but these $K$ images, and draws each equally often, gets
# more than nine tenths of the highest score that there is (1 point).


# %% nbgrader={"grade_id": "t2-fool", "solution": true}
def fool(log_probs):
    """The numbers of K different images, K ints.

    log_probs: of the pool, shape (N, K).
    """
    ### BEGIN SOLUTION
    return log_probs.argmax(0).tolist()
    ### END SOLUTION


# %% nbgrader={"grade_id": "t2-fool-tests", "grade": true, "points": 1}
def test_fool():
    import torch

    pool = (40 * torch.eye(3)).log_softmax(1)
    chosen = [int(number) for number in fool(pool)]
    assert sorted(chosen) == [0, 1, 2], "three images are all there are"
    ### BEGIN HIDDEN TESTS
    mine = on_its_own(fool)
    random = torch.Generator().manual_seed(104)
    logits = torch.randn(300, 7, generator=random).double()
    logits[torch.arange(40, 61), torch.arange(21) % 7] += 9  # sure of these
    logits[torch.arange(70, 79), 4] += 14  # very sure that they are of class 4
    pool = logits.log_softmax(1)[torch.randperm(300, generator=random)]
    chosen = [int(number) for number in mine(pool)]
    assert len(chosen) == len(set(chosen)) == 7 and set(chosen) < set(
        range(300)
    ), "7 classes: 7 different numbers are asked for, each of an image"
    p = pool[chosen].exp()
    score = (p * (p / p.mean(0)).log()).sum(1).mean().exp()
    assert score > 0.9 * 7, (
        f"a generator that draws only these images has the score {score:.1f}; in"
        " this pool are 7 that give it more than 6.3"
    )
    ### END HIDDEN TESTS


test_fool()

# %% [markdown]
# ## Task 3: the Fréchet distance, and how much of it is noise (4 points)
#
# Two sets of features, seen as two Gaussians with their means $m_1$, $m_2$ and their covariances
# $C_1$, $C_2$ (the unbiased ones, with $n-1$), have the squared distance
#
# $$\lVert m_1-m_2\rVert^2+\operatorname{tr}\bigl(C_1+C_2-2\,(C_1C_2)^{1/2}\bigr).$$
#
# Write it (3 points). $C_1C_2$ is not symmetric; which symmetric matrix has the same eigenvalues?


# %% nbgrader={"grade_id": "t3-frechet", "solution": true}
def frechet(first, second):
    """The squared Fréchet distance, one number.

    first, second: features, float32 or float64, shapes (N, F) and (M, F).
    """
    ### BEGIN SOLUTION
    first, second = first.double(), second.double()
    one, two = first.T.cov(), second.T.cov()
    values, vectors = torch.linalg.eigh(one)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    overlap = torch.linalg.eigvalsh(root @ two @ root).clamp(min=0).sqrt()
    apart = (first.mean(0) - second.mean(0)).square().sum()
    return (apart + one.trace() + two.trace() - 2 * overlap.sum()).item()
    ### END SOLUTION


# %% nbgrader={"grade_id": "t3-frechet-tests", "grade": true, "points": 3}
def test_frechet():
    import torch

    random = torch.Generator().manual_seed(0)
    x = torch.randn(50, 3, generator=random).double()
    assert abs(float(frechet(x, x))) < 1e-4, (
        "a set is as near as can be to itself"
    )
    moved = x + torch.tensor([3.0, 0.0, 0.0])
    assert abs(float(frechet(x, moved)) - 9) < 1e-4, (
        "the same set, 3 units further on"
    )
    ### BEGIN HIDDEN TESTS
    mine = on_its_own(frechet)
    random = torch.Generator().manual_seed(105)

    def features(count, size):
        mixing = torch.randn(size, size, generator=random).double()
        return torch.randn(count, size, generator=random).double() @ mixing

    x = features(9, 4) + 1
    half = features(5, 4)
    move = half.T @ half / 4  # symmetric, no eigenvalue below 0
    moved = x @ move - 2
    # Such a map is the cheapest way from one Gaussian to the other.
    ways = x - moved
    spread = (ways - ways.mean(0)).square().sum() / (len(x) - 1)
    right = ways.mean(0).square().sum() + spread
    assert abs(float(mine(x, moved)) - right) < 1e-4 * right, (
        "not the squared distance of the two Gaussians: it is what the cheapest"
        " way from one to the other costs, in the mean over its points"
    )

    def by_singular_values(one, two):
        one, two = one.double(), two.double()
        apart = (one.mean(0) - two.mean(0)).square().sum()
        one = (one - one.mean(0)) / (len(one) - 1) ** 0.5
        two = (two - two.mean(0)) / (len(two) - 1) ** 0.5
        overlap = torch.linalg.svdvals(one @ two.T).sum()
        return apart + one.square().sum() + two.square().sum() - 2 * overlap

    for one, two in [(6, 9), (40, 7)]:
        x, y = features(one, 12), features(two, 12)
        right = by_singular_values(x, y)
        assert abs(float(mine(x, y)) - right) < 1e-4 * right, (
            f"features of few images, {one} and {two} with 12 features each: some"
            " eigenvalues of a covariance are 0, and rounding makes of them what"
            " it likes"
        )
    x, y = (2000 + features(60, 4)).float(), (2001 + features(50, 4)).float()
    right = by_singular_values(x, y)
    assert abs(float(mine(x, y)) - right) < 1e-3 * right, (
        "float32 features near 2000 that differ by a few units: their distance"
        " is lost in rounding"
    )
    ### END HIDDEN TESTS


test_frechet()

# %% [markdown]
# Take two sets of $n$ images from the *same* source: their distance is not 0. With few images it is
# too large by about a constant times $1/n$. So measure it for several $n$, lay the straight line of
# least squares through the distances as a function of $1/n$, and read off what it says of infinitely
# many images (1 point).


# %% nbgrader={"grade_id": "t3-infinity", "solution": true}
def at_infinity(sizes, distances):
    """What the line says of infinitely many images, one number.

    sizes: list of ints, n. distances: list of floats, one for each n.
    """
    ### BEGIN SOLUTION
    x = 1 / torch.tensor(sizes).double()
    y = torch.tensor(distances).double()
    slope = ((x - x.mean()) * y).sum() / (x - x.mean()).square().sum()
    return (y.mean() - slope * x.mean()).item()
    ### END SOLUTION


# %% nbgrader={"grade_id": "t3-infinity-tests", "grade": true, "points": 1}
def test_at_infinity():
    found = at_infinity([100, 200, 500], [8.0, 6.5, 5.6])
    assert abs(float(found) - 5) < 1e-3, "these are 5 + 300/n"
    ### BEGIN HIDDEN TESTS
    import numpy

    mine = on_its_own(at_infinity)
    random = numpy.random.default_rng(106)
    for sizes in ([50, 80, 200, 1000], [5000, 7500, 10000, 20000, 50000]):
        noise = random.normal(size=len(sizes))
        distances = 20 + 3 * sizes[0] / numpy.array(sizes) + noise
        right = numpy.polyfit(1 / numpy.array(sizes), distances, 1)[1]
        assert abs(float(mine(sizes, distances.tolist())) - right) < 0.05, (
            "for distances that scatter, not where the line of least squares"
            " through all of them meets 1/n = 0"
        )
    ### END HIDDEN TESTS


test_at_infinity()

# %% [markdown]
# ## Task 4: a distance without bias (3 points)
#
# With the kernel $k(x,y)=(x^\top y/F+1)^3$ of $F$ features, the *squared kernel distance* of two
# distributions is
#
# $$\mathbb{E}\,k(x,x')+\mathbb{E}\,k(y,y')-2\,\mathbb{E}\,k(x,y),$$
#
# where $x$ and $x'$ are drawn from the first, independently, and $y$ and $y'$ from the second. Estimate
# it from a set of each, without bias: in the mean over all sets that might have been drawn, the
# estimate is to be the distance itself. Let each image of a set meet all *others* of its set, and each
# image of the other set (3 points).


# %% nbgrader={"grade_id": "t4-kernel", "solution": true}
def kernel_distance(first, second):
    """The estimate of the squared kernel distance, one number.

    first, second: features, shapes (N, F) and (M, F), N and M at least 2.
    """

    ### BEGIN SOLUTION
    def kernel(x, y):
        return (x @ y.T / x.shape[1] + 1) ** 3

    def among(x):
        k = kernel(x, x)
        return (k.sum() - k.trace()) / (len(x) * (len(x) - 1))

    across = kernel(first, second).mean()
    return (among(first) + among(second) - 2 * across).item()
    ### END SOLUTION


# %% nbgrader={"grade_id": "t4-kernel-tests", "grade": true, "points": 3}
def test_kernel_distance():
    import torch

    first, second = torch.zeros(4, 3), torch.ones(5, 3)
    found = float(kernel_distance(first, second))
    assert abs(found - 7) < 1e-4, "1 in the first, 8 in the second, 1 across"
    ### BEGIN HIDDEN TESTS
    mine = on_its_own(kernel_distance)
    random = torch.Generator().manual_seed(107)

    def k(x, y):
        pairs = zip(x.tolist(), y.tolist(), strict=True)
        return (sum(a * b for a, b in pairs) / len(x) + 1) ** 3

    x, y = torch.randn(2, 6, generator=random).double()
    right = k(x, x) + k(y, y) - 2 * k(x, y)
    found = float(mine(x.repeat(4, 1), y.repeat(3, 1)))
    assert abs(found - right) < 1e-6 * abs(right), (
        "all images of a set are alike: not k(x, x) + k(y, y) - 2 k(x, y)"
    )
    xs, ys = torch.randn(2, 3, 2, generator=random).double()
    two = torch.cartesian_prod(torch.arange(3), torch.arange(3))
    every = [float(mine(xs[i], ys[j])) for i in two for j in two]

    def mean(first, second):
        return sum(k(a, b) for a in first for b in second) / 9

    right = mean(xs, xs) + mean(ys, ys) - 2 * mean(xs, ys)
    assert abs(sum(every) / 81 - right) < 1e-6, (
        "an image is one of three, each as probable as the others: the mean of"
        " the estimate over all pairs of sets of two images is not the squared"
        " distance of the two distributions"
    )
    xs, ys = torch.randn(2, 5, 3, generator=random).double()
    among = [
        sum(k(z[i], z[j]) for i in range(5) for j in range(5) if i != j) / 20
        for z in (xs, ys)
    ]
    right = sum(among) - 2 * sum(k(a, b) for a in xs for b in ys) / 25
    assert abs(float(mine(xs, ys)) - right) < 1e-6, (
        "without bias, but not the estimate from all pairs of different images"
        " of a set and all pairs across"
    )
    ### END HIDDEN TESTS


test_kernel_distance()

# %% [markdown]
# ## Task 5: precision and recall (3 points)
#
# Around each image of a set lies a ball that reaches to its $k$-th nearest *other* image of the same
# set. *Precision* is the share of made images that lie in the ball of at least one real image.
# *Recall* is the share of real images that lie in the ball of at least one made image.
#
# Write both (3 points). With 50,000 images a table of all distances would need 20 GB. So have at most
# `rows` rows of such a table at a time: no tensor may hold more than `rows` · max(N, M) numbers.


# %% nbgrader={"grade_id": "t5-shares", "solution": true}
def precision_recall(real, made, k, rows):
    """Precision and recall, two numbers.

    real, made: features, shapes (N, F) and (M, F); F is less than rows.
    k: which neighbour a ball reaches to, at least 1.
    rows: how many rows of a table of distances may be in memory at a time.
    """

    ### BEGIN SOLUTION
    def radii(points):
        found = [
            torch.cdist(block, points).kthvalue(k + 1, dim=1).values
            for block in points.split(rows)  # the nearest is the point itself
        ]
        return torch.cat(found)

    def share(points, centres):
        reach = radii(centres)
        inside = [
            (torch.cdist(block, centres) <= reach).any(1)
            for block in points.split(rows)
        ]
        return torch.cat(inside).double().mean().item()

    return share(made, real), share(real, made)
    ### END SOLUTION


# %% nbgrader={"grade_id": "t5-shares-tests", "grade": true, "points": 3}
def test_precision_recall():
    import torch

    real = torch.tensor([[0.0], [1.0], [10.0], [11.0]])
    made = torch.tensor([[0.25], [0.75], [0.5]])
    precision, recall = precision_recall(real, made, 1, 4)
    assert float(precision) == 1, "all made images lie among real ones"
    assert float(recall) == 0.5, "two real images lie far from all made ones"
    ### BEGIN HIDDEN TESTS
    import math

    from torch.overrides import TorchFunctionMode

    mine = on_its_own(precision_recall)
    random = torch.Generator().manual_seed(108)

    def brute(points, centres, k):
        points, centres = points.tolist(), centres.tolist()
        reach = [sorted(math.dist(c, d) for d in centres)[k] for c in centres]
        balls = list(zip(centres, reach, strict=True))
        inside = [any(math.dist(p, c) <= r for c, r in balls) for p in points]
        return sum(inside) / len(inside)

    for k, spread in [(1, 1.0), (3, 0.6), (4, 1.3)]:
        real = torch.randn(45, 4, generator=random).double()
        real[:30] *= 0.3  # many in the middle, so that balls differ in size
        made = spread * torch.randn(38, 4, generator=random).double()
        precision, recall = map(float, mine(real, made, k, 8))
        assert abs(precision - brute(made, real, k)) < 1e-6, (
            "the precision is not what one finds by looking at each made image"
            f" and each ball of a real image, with k = {k}"
        )
        assert abs(recall - brute(real, made, k)) < 1e-6, (
            "the recall is not what one finds by looking at each real image and"
            f" each ball of a made image, with k = {k}"
        )

    class Watched(TorchFunctionMode):
        """Notes how many numbers the largest tensor holds that was computed."""

        largest = 0

        def __torch_function__(self, function, types, args=(), kwargs=None):
            result = function(*args, **(kwargs or {}))
            for one in result if isinstance(result, tuple | list) else [result]:
                if isinstance(one, torch.Tensor):
                    self.largest = max(self.largest, one.numel())
            return result

    real, made = torch.randn(2, 200, 4, generator=random)
    with Watched() as watched:
        mine(real, made[:150], 2, 8)
    assert watched.largest <= 8 * 200, (
        "right, but at some time a tensor holds more numbers than `rows` rows of"
        " the table"
    )
    ### END HIDDEN TESTS


test_precision_recall()

# %% [markdown]
# ## Task 6: asking people (4 points)
#
# Of `trials` answers, `successes` were right. How often are they right in the long run? *Wilson's*
# interval holds each chance $p$ for which the share that was found lies within $z$ standard deviations of
# what is expected. The standard deviation is that of a share *if $p$ is true*, and $z$ is such that a
# standard normal number lies within $\pm z$ with the probability `level`. Write it (2 points).


# %% nbgrader={"grade_id": "t6-wilson", "solution": true}
def wilson(successes, trials, level):
    """The lower and the upper end of Wilson's interval, two numbers.

    successes: 0 … trials. trials: at least 1. level: 0.95 for example.
    """
    ### BEGIN SOLUTION
    share = successes / trials
    z = torch.special.ndtri(torch.tensor((1 + level) / 2).double()).item()
    centre = (share + z**2 / (2 * trials)) / (1 + z**2 / trials)
    inner = share * (1 - share) / trials + (z / (2 * trials)) ** 2
    half = z * inner**0.5 / (1 + z**2 / trials)
    return centre - half, centre + half
    ### END SOLUTION


# %% nbgrader={"grade_id": "t6-wilson-tests", "grade": true, "points": 2}
def test_wilson():
    low, high = map(float, wilson(30, 40, 0.95))
    assert low < 0.75 < high, "what was found is not excluded"
    less, more = map(float, wilson(300, 400, 0.95))
    assert low < less < more < high, "more answers, a narrower interval"
    ### BEGIN HIDDEN TESTS
    from math import sqrt
    from statistics import NormalDist

    mine = on_its_own(wilson)

    def tail(p, share, trials):
        """How often would a share lie as far off, on this side, if p is true?"""
        return NormalDist().cdf(-abs(share - p) / sqrt(p * (1 - p) / trials))

    def end(share, trials, level, outside):
        """Halve the interval between what was found and what cannot be."""
        inside = share
        for _ in range(60 * (outside != share)):
            p = (inside + outside) / 2
            if tail(p, share, trials) > (1 - level) / 2:
                inside = p
            else:
                outside = p
        return inside

    for successes, trials, level in [
        (33, 50, 0.95),
        (7, 9, 0.9),
        (3, 200, 0.99),
        (0, 12, 0.95),
        (25, 25, 0.8),
    ]:
        found = sorted(map(float, mine(successes, trials, level)))
        share = successes / trials
        ends = [end(share, trials, level, outside) for outside in (0.0, 1.0)]
        assert all(
            abs(f - e) < 1e-4 for f, e in zip(found, ends, strict=True)
        ), (
            "an end of the interval is not a chance that lies z standard"
            " deviations, those of that chance, from what was found:"
            f" {successes} of {trials} with the level {level:g}"
        )
    ### END HIDDEN TESTS


test_wilson()

# %% [markdown]
# How well can an observer tell two kinds of images apart, however they like to answer? Think of an
# impression, one number: of made images it is drawn from $\mathcal N(0,1)$, of real ones from
# $\mathcal N(d',1)$. The larger $d'$, the easier the task.
#
# Two images are shown, one of each kind, and the observer calls that one real which makes the larger
# impression. From the share of right answers, find $d'$ (1 point).


# %% nbgrader={"grade_id": "t6-pairs", "solution": true}
def d_prime_from_pairs(share):
    """d' from the share of right answers, above 0 and below 1; one number."""
    ### BEGIN SOLUTION
    right = torch.tensor(share).double()
    return 2**0.5 * torch.special.ndtri(right).item()
    ### END SOLUTION


# %% nbgrader={"grade_id": "t6-pairs-tests", "grade": true, "points": 1}
def test_d_prime_from_pairs():
    assert abs(float(d_prime_from_pairs(0.5))) < 1e-6, (
        "whoever guesses has d' = 0"
    )
    assert d_prime_from_pairs(0.9) > d_prime_from_pairs(0.6) > 0, (
        "better is more"
    )
    ### BEGIN HIDDEN TESTS
    import torch

    mine = on_its_own(d_prime_from_pairs)
    of_real = torch.linspace(-12, 12, 4801).double()
    for right in (0.3, 1.0, 2.2, -0.8):
        density = torch.exp(-((of_real - right) ** 2) / 2) / 6.283185307**0.5
        smaller = (1 + torch.erf(of_real / 2**0.5)) / 2  # that of a made image
        share = torch.trapezoid(density * smaller, of_real).item()
        assert abs(float(mine(share)) - right) < 1e-3, (
            f"an observer with d' = {right:g} is right with a share of"
            f" {share:.3f}, from which another d' is found"
        )
    ### END HIDDEN TESTS


test_d_prime_from_pairs()

# %% [markdown]
# One image is shown, and the observer says "real" if the impression is above a limit, which they choose
# as they like. From the share of real images that are called real, the *hit rate*, and the share of
# made ones that are, the *false-alarm rate*, find $d'$ (1 point).


# %% nbgrader={"grade_id": "t6-rates", "solution": true}
def d_prime_from_rates(hit, false_alarm):
    """d' from two rates, each above 0 and below 1; one number."""
    ### BEGIN SOLUTION
    both = torch.tensor([hit, false_alarm]).double()
    of_hits, of_alarms = torch.special.ndtri(both).tolist()
    return of_hits - of_alarms
    ### END SOLUTION


# %% nbgrader={"grade_id": "t6-rates-tests", "grade": true, "points": 1}
def test_d_prime_from_rates():
    assert abs(float(d_prime_from_rates(0.3, 0.3))) < 1e-6, (
        "whoever calls both kinds real equally often tells nothing apart"
    )
    assert d_prime_from_rates(0.8, 0.3) > d_prime_from_rates(0.6, 0.3) > 0, (
        "more hits with as many false alarms is better"
    )
    ### BEGIN HIDDEN TESTS
    import torch

    mine = on_its_own(d_prime_from_rates)
    for right, limit in [(1.0, 0.5), (1.0, 1.7), (2.5, 0.0), (-0.7, -0.4)]:
        impression = torch.linspace(limit, limit + 16, 4001).double()
        rates = []
        for centre in (right, 0.0):
            density = torch.exp(-((impression - centre) ** 2) / 2)
            density = density / 6.283185307**0.5
            rates.append(torch.trapezoid(density, impression).item())
        assert abs(float(mine(*rates)) - right) < 1e-3, (
            f"an observer with d' = {right:g} and the limit {limit:g} has the"
            f" rates {rates[0]:.3f} and {rates[1]:.3f}, from which another d' is"
            " found"
        )
    ### END HIDDEN TESTS


test_d_prime_from_rates()

# %% [markdown]
# ## Task 7: how sure is a figure? (2 points)
#
# The *bootstrap* asks how a figure would scatter if the images had come out otherwise. It draws sets of
# as many images from the set itself, with replacement, and takes the figure of each. The middle part of
# these figures, `level` of them, is the interval; what is left out is shared equally by both ends.
#
# Each row of `sample` is an image, or what two models say of one image, so it stays whole. And whoever
# runs it again with the same seed must get the same interval (2 points).


# %% nbgrader={"grade_id": "t7-bootstrap", "solution": true}
def bootstrap(statistic, sample, resamples, level, generator):
    """The lower and the upper end of the interval, two numbers.

    statistic: rows → one number. sample: rows, shape (N, ...).
    resamples: how many sets to draw. level: 0.95 for example.
    generator: a torch.Generator, for all draws.
    """
    ### BEGIN SOLUTION
    shape = (resamples, len(sample))
    rows = torch.randint(len(sample), shape, generator=generator)
    found = torch.tensor([float(statistic(sample[one])) for one in rows])
    cut = (1 - level) / 2
    low, high = found.quantile(torch.tensor([cut, 1 - cut])).tolist()
    return low, high
    ### END SOLUTION


# %% nbgrader={"grade_id": "t7-bootstrap-tests", "grade": true, "points": 2}
def test_bootstrap():
    import torch

    def mean(rows):
        return rows.mean()

    random = torch.Generator().manual_seed(0)
    low, high = bootstrap(mean, torch.full((9,), 2.5), 20, 0.9, random)
    assert low == high == 2.5, "all rows are alike, so nothing can scatter"
    ### BEGIN HIDDEN TESTS
    mine = on_its_own(bootstrap)
    drawn = []

    def noted(rows):
        drawn.append(rows.flatten().tolist())
        return rows.mean()

    random = torch.Generator().manual_seed(109)
    mine(noted, torch.arange(30.0)[:, None], 100, 0.9, random)
    different = sum(len(set(rows)) for rows in drawn) / len(drawn)
    assert all(len(rows) == 30 for rows in drawn) and 18 < different < 20, (
        "a set that is drawn from 30 rows has 30 rows, of which about 19 are"
        " different: the others come more than once"
    )
    pairs = torch.arange(12.0)[:, None] * torch.tensor([1.0, -1.0])

    def most(rows):
        return rows.sum(1).abs().max()

    ends = mine(most, pairs, 50, 0.9, random)
    assert list(map(float, ends)) == [0, 0], (
        "the two numbers of each row add up to 0; those of the rows that are"
        " drawn do not, so rows have been mixed"
    )
    again = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        random.manual_seed(110)
        again.append(mine(mean, torch.arange(40.0), 30, 0.9, random))
    assert list(map(float, again[0])) == list(map(float, again[1])), (
        "the same generator with the same seed, another interval"
    )
    values = torch.tensor([0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 3, 16])
    one = torch.bincount(values).double() / len(values)
    total = torch.ones(1).double()  # probability of each sum of rows drawn
    for _ in values:
        padded = torch.nn.functional.pad(total, (16, 16)).view(1, 1, -1)
        total = torch.conv1d(padded, one.flip(0).view(1, 1, -1)).flatten()
    sums = torch.arange(len(total))

    def whole(rows):
        return rows.sum()

    for level in (0.9, 0.6):
        ends = mine(whole, values.float(), 3000, level, random)
        cut = (1 - level) / 2
        for end, right in zip(ends, (cut, 1 - cut), strict=True):
            below = total[sums < float(end)].sum()
            up_to = total[sums <= float(end)].sum()
            assert below < right + 0.04 and up_to > right - 0.04, (
                f"a level of {level:g}: below one end of the interval lie"
                f" {below:.0%} of what there is to be drawn, and not"
                f" {right:.0%}"
            )
    ### END HIDDEN TESTS


test_bootstrap()

# %% [markdown]
# ## Task 8: an experiment: a winner that has learned by heart (3 points)
#
# Four models of the digits have each drawn 350 images. All you have are these images, and those which
# the models were trained on, and others that no model has seen. Which model would you choose?

# %% nbgrader={"grade_id": "t8-given"}
digits = data.load("digits")
trained_on, unseen = (
    part.images.flatten(1).double() / 16 for part in (digits.train, digits.test)
)


def draw_from_four_models():
    """Name of a model → images, shape (350, 64); brightness from 0 to 1."""
    random = torch.Generator().manual_seed(0)

    def noise(strength):
        return strength * torch.randn(350, 64, generator=random).double()

    drawn = torch.randperm(len(trained_on), generator=random)[:350]
    fresh = digits.valid.images.flatten(1).double() / 16
    mean = trained_on.mean(0)
    _, _, directions = torch.linalg.svd(trained_on - mean, full_matrices=False)
    rough = directions[:6].T @ directions[:6]
    sets = {
        "ant": fresh[:12].repeat(30, 1)[:350] + noise(0.02),
        "bee": fresh + noise(0.06),
        "cat": trained_on[drawn] + noise(0.02),
        "dog": mean + (fresh - mean) @ rough + noise(0.02),
    }
    return {name: images.clamp(0, 1) for name, images in sets.items()}


made = draw_from_four_models()

# %% [markdown]
# Whoever has learned images by heart draws images that lie nearer to those than fresh images of the
# same kind do. So take the distance of each image from the nearest one of the training. Compare each
# image that was made with each one that is held out: in what share of all these pairs is the made one
# nearer (1 point)? If both are equally near, the pair counts one half. About 1/2 is well; 1 is by heart.


# %% nbgrader={"grade_id": "t8-by-heart", "solution": true}
def by_heart(images, training, held_out):
    """In what share of the pairs is the made image nearer; one number.

    images, training, held_out: shapes (N, F), (M, F) and (K, F).
    """
    ### BEGIN SOLUTION
    of_made = torch.cdist(images, training).amin(1)[:, None]
    of_held_out = torch.cdist(held_out, training).amin(1)
    wins = (of_made < of_held_out).double()
    ties = (of_made == of_held_out).double()
    return (wins + ties / 2).mean().item()
    ### END SOLUTION


# %% nbgrader={"grade_id": "t8-by-heart-tests", "grade": true, "points": 1}
def test_by_heart():
    import torch

    training = torch.tensor([[0.0], [10.0]])
    near, far = torch.tensor([[1.0], [9.0]]), torch.tensor([[3.0], [7.0]])
    assert by_heart(near, training, far) == 1, "all made images are nearer"
    assert by_heart(far, training, near) == 0, "no made image is nearer"
    ### BEGIN HIDDEN TESTS
    import math

    mine = on_its_own(by_heart)
    random = torch.Generator().manual_seed(111)
    training = torch.randn(9, 3, generator=random).double()
    images = 0.8 * torch.randn(11, 3, generator=random).double()
    held_out = torch.randn(7, 3, generator=random).double()

    def nearest(image):
        return min(math.dist(image, one) for one in training.tolist())

    wins = [
        nearest(one) < nearest(other)
        for one in images.tolist()
        for other in held_out.tolist()
    ]
    assert (
        abs(float(mine(images, training, held_out)) - sum(wins) / 77) < 1e-6
    ), (
        "for images drawn at random, not the share of pairs in which the made"
        " image is nearer to its nearest image of the training"
    )
    training = torch.tensor([[0.0], [20.0]])
    images = torch.tensor([[1.0], [2.0], [17.0], [25.0]])
    held_out = torch.tensor([[18.0], [23.0]])  # 2 and 3 away
    assert float(mine(images, training, held_out)) == 0.5, (
        "at distances of 1, 2, 3, 5 and of 2, 3: three pairs are won, two are"
        " equal, three are lost"
    )
    ### END HIDDEN TESTS


test_by_heart()

# %% [markdown]
# Now measure, with `made`, `trained_on` and `unseen` (2 points): the Fréchet distance of each model's
# images from `unseen`, by `metrics.frechet_distance`, which you may use here; and how much each has
# learned by heart, with `unseen` held out. Which model has learned its images by heart? And which one
# would you choose?

# %% nbgrader={"grade_id": "t8-answer", "solution": true}
# distances: name of a model → Fréchet distance, of pixels as they are
# hearts: name of a model → what by_heart says of it
# copyist: name of the model that has learned images by heart
# best: of the others, the name of the one whose images are nearest to unseen
### BEGIN SOLUTION
distances = {
    name: metrics.frechet_distance(images, unseen)
    for name, images in made.items()
}
hearts = {
    name: by_heart(images, trained_on, unseen) for name, images in made.items()
}
copyist = max(hearts, key=hearts.get)
best = min(set(made) - {copyist}, key=distances.get)
### END SOLUTION


# %% nbgrader={"grade_id": "t8-answer-tests", "grade": true, "points": 2}
def test_answer():
    assert set(distances) == set(made), "one distance for each model"
    assert set(hearts) == set(made), "one share for each model"
    assert {copyist, best} <= set(made), "name models by their names"
    ### BEGIN HIDDEN TESTS
    from genlearn import metrics

    for name, images in made.items():
        right = metrics.frechet_distance(images, unseen)
        assert abs(float(distances[name]) - right) < 0.01 * right, (
            "not the Fréchet distance of this model's images from those that no"
            " model has seen"
        )
        right = float(by_heart(images, trained_on, unseen))
        assert abs(float(hearts[name]) - right) < 0.01, (
            "not what your function finds for this model, with the images that"
            " no model has seen held out"
        )
    assert copyist == max(hearts, key=lambda name: float(hearts[name])), (
        "one model's images lie nearer to those of the training than any other's"
    )
    others = set(made) - {copyist}
    assert best == min(others, key=lambda name: float(distances[name])), (
        "look at both tables: whoever only repeats what it was shown is no model"
        " of anything else, however near"
    )
    ### END HIDDEN TESTS


test_answer()
