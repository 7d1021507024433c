# %% [markdown]
# # Problem set 2: the variational autoencoder
#
# Eight tasks, 20 points, from a formula to an experiment. They need chapter 04, *The variational
# autoencoder*, and the library; nothing is downloaded, and the whole notebook runs in seconds.
#
# **How to work.** Replace `raise NotImplementedError()` by your answer, and run the cell with tests
# below it. Add cells wherever you like. Leave the cells with tests as they are: they are put back
# before your work is graded.
#
# **How it is graded.** The tests that you see help you: they check shapes and easy cases. The tests
# that decide stand in the same cells when your work is graded, and use inputs that you have not
# seen. A cell gives its points if all its tests pass. No task builds on your answer to another, so
# a mistake costs its points once. Any way of writing that gives the right values is right.
#
# **Units.** Everything is in nats unless a name says otherwise. $N$ images, $L$ dimensions of the
# code. Before you hand in: restart the kernel and run all cells.

# %% nbgrader={"grade_id": "setup"}
import torch

from genlearn import data, models

torch.set_num_threads(1)  # models this small are fastest on one thread

# %% [markdown]
# ## Task 1: the rate, dimension by dimension (2 points)
#
# The encoder proposes $q(z\mid x)=\mathcal{N}(\mu,\operatorname{diag}(\sigma^2))$. How far is each
# coordinate from its prior $\mathcal{N}(0,1)$? The networks of the book return $\mu$ and
# $\log\sigma$, so that is what you get.


# %% nbgrader={"grade_id": "t1-kl", "solution": true}
def gaussian_kl(mean, log_std):
    """KL(N(mean, std²) ‖ N(0, 1)) of each dimension, nats.

    mean, log_std: shape (N, L). Returns shape (N, L); nothing is summed yet.
    """
    ### BEGIN SOLUTION
    return (mean.square() + (2 * log_std).exp() - 1 - 2 * log_std) / 2
    ### END SOLUTION


# %% nbgrader={"grade_id": "t1-kl-tests", "grade": true, "points": 2}
def test_gaussian_kl():
    import torch

    zeros = torch.zeros(3, 2)
    kl = gaussian_kl(zeros, zeros)
    assert kl.shape == (3, 2), "one number for each image and dimension"
    assert kl.abs().max() < 1e-6, "q is the prior here: the divergence is 0"
    grid = torch.linspace(-2, 2, 41)
    kl = gaussian_kl(*torch.meshgrid(grid, grid, indexing="ij"))
    assert kl.min() > -1e-6, "a divergence is never negative"
    ### BEGIN HIDDEN TESTS
    from torch.distributions import Normal

    random = torch.Generator().manual_seed(41)
    mean, log_std = torch.randn(2, 5, 3, generator=random).double()
    unit = torch.linspace(-12, 12, 6001, dtype=torch.float64)[:, None, None]
    q = Normal(mean, log_std.exp())
    z = mean + log_std.exp() * unit
    log_ratio = q.log_prob(z) - Normal(0, 1).log_prob(z)
    step = log_std.exp() * (unit[1] - unit[0])
    integral = (q.log_prob(z).exp() * log_ratio).sum(0) * step
    mine = gaussian_kl(mean, log_std)
    assert torch.allclose(mine, integral, atol=1e-5), (
        "not what the integral of q log(q / p) gives, for means and standard"
        " deviations drawn at random"
    )
    ### END HIDDEN TESTS


test_gaussian_kl()

# %% [markdown]
# ## Task 2: how probable is an image, given its code? (2 points)
#
# For each of $D$ pixels the decoder gives $K$ logits, one for each grey level, and given the code
# the pixels are independent. What is $\log p(x\mid z)$ for a whole image?


# %% nbgrader={"grade_id": "t2-likelihood", "solution": true}
def log_likelihood(logits, x):
    """Log p(x | z) of whole images, nats.

    logits: shape (N, D, K). x: whole numbers 0 … K - 1, shape (N, D).
    Returns shape (N,).
    """
    ### BEGIN SOLUTION
    log_probs = logits.log_softmax(2)
    return log_probs.gather(2, x.unsqueeze(2)).sum((1, 2))
    ### END SOLUTION


# %% nbgrader={"grade_id": "t2-likelihood-tests", "grade": true, "points": 2}
def test_log_likelihood():
    import torch

    logits = torch.tensor([0.0, 0.5, 3.0]).expand(4, 6, 3)
    x = torch.full((4, 6), 2)
    log_prob = log_likelihood(logits, x)
    assert log_prob.shape == (4,), "one number for each image"
    assert (log_prob <= 0).all(), "a probability is at most 1"
    ### BEGIN HIDDEN TESTS
    random = torch.Generator().manual_seed(42)
    pixels = [torch.arange(4)] * 3
    images = torch.cartesian_prod(*pixels)  # every image of 3 pixels, 4 levels
    logits = torch.randn(3, 4, generator=random).double().expand(64, 3, 4)
    total = log_likelihood(logits, images).exp().sum()
    assert abs(total - 1) < 1e-5, (
        "the probabilities of all images with 3 pixels of 4 levels do not add"
        " up to 1"
    )
    logits = 3 * torch.randn(5, 7, 6, generator=random).double()
    x = torch.randint(6, (5, 7), generator=random)
    by_torch = torch.distributions.Categorical(logits=logits).log_prob(x)
    assert torch.allclose(log_likelihood(logits, x), by_torch.sum(1)), (
        "not the joint probability of the pixels, for logits drawn at random"
    )
    ### END HIDDEN TESTS


test_log_likelihood()

# %% [markdown]
# ## Task 3: a draw that lets the gradient through (2 points)
#
# Turn standard normal noise into a draw from $q(z\mid x)$, so that the gradient reaches $\mu$ and
# $\log\sigma$.


# %% nbgrader={"grade_id": "t3-draw", "solution": true}
def reparameterise(mean, log_std, noise):
    """Draw z from N(mean, std²) with the given noise.

    mean, log_std: shape (N, L). noise: standard normal, shape (N, L), or
    (k, N, L) for k draws of each code. Returns the shape of noise.
    """
    ### BEGIN SOLUTION
    return mean + log_std.exp() * noise
    ### END SOLUTION


# %% nbgrader={"grade_id": "t3-draw-tests", "grade": true, "points": 2}
def test_reparameterise():
    import torch

    mean, log_std = torch.tensor([[0.3, -1.0]]), torch.zeros(1, 2)
    z = reparameterise(mean, log_std, torch.zeros(1, 2))
    assert z.shape == (1, 2), "one code for each image"
    assert torch.allclose(z, mean), "without noise, z is the mean"
    ### BEGIN HIDDEN TESTS
    random = torch.Generator().manual_seed(43)
    mean, log_std = torch.randn(2, 6, 3, generator=random).double()
    noise = torch.randn(6, 3, generator=random).double()
    z = reparameterise(mean, log_std, noise)
    back = (z - mean) / noise  # the standard deviation that was used
    assert torch.allclose(back, log_std.exp()), (
        "z is not the mean plus one standard deviation for each unit of noise"
    )
    mean.requires_grad_()
    log_std.requires_grad_()
    z = reparameterise(mean, log_std, noise)
    assert z.requires_grad, "the gradient does not get through the draw"
    slopes = torch.autograd.grad(z.sum(), [mean, log_std], allow_unused=True)
    assert all(slope is not None for slope in slopes), (
        "the gradient does not reach both the mean and log_std"
    )
    many = torch.randn(4, 6, 3, generator=random).double()
    assert torch.allclose(
        reparameterise(mean, log_std, many)[2],
        reparameterise(mean, log_std, many[2]),
    ), "several draws of each code: noise of shape (k, N, L)"
    ### END HIDDEN TESTS


test_reparameterise()

# %% [markdown]
# ## Task 4: the bound, its sign and its unit (3 points)
#
# Put the two terms together (2 points). Then say the result in a unit in which images of all sizes
# can be compared (1 point).


# %% nbgrader={"grade_id": "t4-elbo", "solution": true}
def elbo(reconstruction, kl):
    """Lower bound on log p(x), nats per image; it goes up as models improve.

    reconstruction: log p(x | z), shape (N,).
    kl: divergence of each dimension of the code, shape (N, L).
    Returns shape (N,).
    """
    ### BEGIN SOLUTION
    return reconstruction - kl.sum(1)
    ### END SOLUTION


# %% nbgrader={"grade_id": "t4-elbo-tests", "grade": true, "points": 2}
def test_elbo():
    import torch

    reconstruction = torch.tensor([-90.0, -80.0, -85.5])
    bound = elbo(reconstruction, torch.zeros(3, 4))
    assert bound.shape == (3,), "one number for each image"
    assert torch.allclose(bound, reconstruction), (
        "if codes say nothing, only the reconstruction is left"
    )
    ### BEGIN HIDDEN TESTS
    # Four images, and a code of two dimensions with three values each: all
    # sums can be done. q is the same product for every image.
    random = torch.Generator().manual_seed(44)
    p_z, q = torch.rand(2, 2, 3, generator=random).double().log_softmax(2)
    both = torch.cartesian_prod(torch.arange(3), torch.arange(3))  # (9, 2)
    log_prior = p_z[0, both[:, 0]] + p_z[1, both[:, 1]]
    log_q = q[0, both[:, 0]] + q[1, both[:, 1]]
    log_x = torch.randn(9, 4, generator=random).double().log_softmax(1)
    reconstruction = log_q.exp() @ log_x
    kl = (q.exp() * (q - p_z)).sum(1).expand(4, 2)
    evidence = (log_prior[:, None] + log_x).logsumexp(0)
    log_posterior = log_prior[:, None] + log_x - evidence
    gap = (log_q.exp()[:, None] * (log_q[:, None] - log_posterior)).sum(0)
    bound = elbo(reconstruction, kl)
    assert torch.allclose(bound + gap, evidence), (
        "bound plus divergence from the true posterior is not log p(x), in a"
        " world small enough to add everything up"
    )
    ### END HIDDEN TESTS


test_elbo()


# %% nbgrader={"grade_id": "t4-bits", "solution": true}
def bits_per_dim(log_prob, shape):
    """Turn log p(x), nats per image, into bits per dimension.

    log_prob: shape (N,). shape: (C, H, W) of one image. Returns shape (N,).
    """
    ### BEGIN SOLUTION
    channels, height, width = shape
    bits = -log_prob / torch.log(torch.tensor(2.0))
    return bits / (channels * height * width)
    ### END SOLUTION


# %% nbgrader={"grade_id": "t4-bits-tests", "grade": true, "points": 1}
def test_bits_per_dim():
    import torch

    bits = bits_per_dim(torch.tensor([-90.0, -80.0]), (1, 8, 8))
    assert bits.shape == (2,), "one number for each image"
    assert bits[0] > bits[1] > 0, "less probable images need more bits"
    ### BEGIN HIDDEN TESTS
    for levels, shape in [(256, (1, 3, 5)), (16, (3, 4, 2))]:
        size = torch.tensor(shape).prod()
        blind = -size * torch.tensor([levels]).double().log()
        right = torch.tensor([levels]).double().log2()
        assert torch.allclose(bits_per_dim(blind, shape), right), (
            f"a model that knows nothing of {levels} levels needs"
            f" {right.item():.0f} bits for each of the C·H·W values"
        )
    ### END HIDDEN TESTS


test_bits_per_dim()

# %% [markdown]
# ## Task 5: many codes for one image (2 points)
#
# Draw $k$ codes from $q(z\mid x)$, and let $w_i=p(x,z_i)/q(z_i\mid x)$. Their mean has expectation
# $p(x)$, so its logarithm is a bound too, and a better one. You get $\log w$, because $w$ itself is
# far too small for a computer: $e^{-1000}$ is 0 to it.


# %% nbgrader={"grade_id": "t5-iwae", "solution": true}
def iwae(log_weights):
    """Log of the mean weight, nats per image.

    log_weights: shape (k, N), k codes for each of N images. Returns (N,).
    """
    ### BEGIN SOLUTION
    k = torch.tensor(float(len(log_weights)))
    return log_weights.logsumexp(0) - k.log()
    ### END SOLUTION


# %% nbgrader={"grade_id": "t5-iwae-tests", "grade": true, "points": 2}
def test_iwae():
    import torch

    log_weights = torch.tensor([[-90.0, -80.0, -85.5]])
    bound = iwae(log_weights)
    assert bound.shape == (3,), "one number for each image"
    assert torch.allclose(bound, log_weights[0]), (
        "with one code it is log w of that code"
    )
    ### BEGIN HIDDEN TESTS
    random = torch.Generator().manual_seed(45)
    log_weights = 2 * torch.randn(50, 4, generator=random).double()
    mean = log_weights.exp().mean(0).log()
    bound = iwae(log_weights)
    assert torch.allclose(bound, mean), "not the logarithm of the mean weight"
    assert torch.allclose(iwae(log_weights - 1000), mean - 1000), (
        "log weights near -1000 must give a bound near -1000: add up without"
        " leaving the logarithm"
    )
    ### END HIDDEN TESTS


test_iwae()

# %% [markdown]
# ## Task 6: where everything is known (4 points)
#
# In the linear-Gaussian model $p(z)=\mathcal{N}(0,I)$, $p(x\mid z)=\mathcal{N}(Wz+m,\,s^2I)$ the
# posterior $p(z\mid x)$ is Gaussian. Compute it with linear algebra, not with
# `models.PPCA.posterior` (2 points). Then say how far below $\log p(x)$ the bound lies for a $q$ of
# your choice, in one divergence (2 points).


# %% nbgrader={"grade_id": "t6-posterior", "solution": true}
def exact_posterior(weight, mean, noise_std, x):
    """Mean and covariance of p(z | x) in the linear-Gaussian model.

    weight: W, shape (D, L). mean: m, shape (D,). noise_std: s, a number.
    x: shape (N, D). Returns the mean, (N, L), and the covariance, (L, L).
    """
    ### BEGIN SOLUTION
    identity = torch.eye(weight.shape[1], dtype=weight.dtype)
    m = weight.T @ weight + noise_std**2 * identity
    inverse = torch.linalg.inv(m)
    return (x - mean) @ weight @ inverse, noise_std**2 * inverse
    ### END SOLUTION


# %% nbgrader={"grade_id": "t6-posterior-tests", "grade": true, "points": 2}
def test_exact_posterior():
    import torch

    x = torch.ones(5, 3)
    centre, covariance = exact_posterior(
        torch.zeros(3, 2), torch.zeros(3), 1.0, x
    )
    assert centre.shape == (5, 2), "one mean for each image"
    assert covariance.shape == (2, 2), "one covariance for all images"
    assert centre.abs().max() < 1e-6, "W = 0: x says nothing about z"
    assert torch.allclose(covariance, torch.eye(2)), "W = 0: the prior is left"
    ### BEGIN HIDDEN TESTS
    from torch.distributions import Normal

    random = torch.Generator().manual_seed(46)
    weight = torch.randn(4, 2, generator=random).double()
    mean = torch.randn(4, generator=random).double()
    x = torch.randn(6, 4, generator=random).double()
    z = torch.randn(20, 1, 2, generator=random).double()
    std = 0.4
    centre, covariance = exact_posterior(weight, mean, std, x)
    likelihood = Normal(z @ weight.T + mean, std).log_prob(x).sum(2)  # (20, 6)
    joint = likelihood + Normal(0, 1).log_prob(z).sum(2)
    slopes = torch.linalg.inv(covariance)
    offset = z - centre
    square = torch.einsum("kni,ij,knj->kn", offset, slopes, offset)
    rest = joint + square / 2  # log p(x, z) without its part in z
    assert (rest.std(0) < 1e-6).all(), (
        "p(x, z) is not proportional to the Gaussian of your mean and"
        " covariance: compare it at several z"
    )
    ### END HIDDEN TESTS


test_exact_posterior()


# %% nbgrader={"grade_id": "t6-gap", "solution": true}
def gap(model, x, q):
    """How far the bound lies below log p(x) if the encoder says q, nats.

    model: a models.PPCA; model.posterior(x) is p(z | x).
    x: shape (N, D). q: a Gaussian over z for each x. Returns shape (N,).
    """
    ### BEGIN SOLUTION
    return torch.distributions.kl_divergence(q, model.posterior(x))
    ### END SOLUTION


# %% nbgrader={"grade_id": "t6-gap-tests", "grade": true, "points": 2}
def test_gap():
    import torch

    from genlearn import models

    points = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    model = models.PPCA.maximum_likelihood(points, latent_dim=2)
    nothing = gap(model, points[:7], model.posterior(points[:7]))
    assert nothing.shape == (7,), "one number for each x"
    assert nothing.abs().max() < 1e-4, "for the exact posterior there is no gap"
    ### BEGIN HIDDEN TESTS
    from torch.distributions import MultivariateNormal

    random = torch.Generator().manual_seed(47)
    points = torch.randn(50, 4, generator=random).double()
    model = models.PPCA.maximum_likelihood(points, latent_dim=2)
    x = points[:9]
    exact = model.posterior(x)
    shift = torch.randn(9, 2, generator=random).double()
    q = MultivariateNormal(exact.mean + shift, 2.5 * exact.covariance_matrix)
    right = model.log_prob(x) - model.elbo(x, q)
    assert torch.allclose(gap(model, x, q), right), (
        "not log p(x) minus the bound: which of the two does the expectation"
        " belong to?"
    )
    ### END HIDDEN TESTS


test_gap()

# %% [markdown]
# ## Task 7: a loss with warm-up (2 points)
#
# At first codes look expensive, and a model may give them up before the decoder has learned to read
# them. A remedy is to let the rate count little at first: with a weight $\beta$ that rises in a
# straight line from 0 at step 0 to 1 at step `warmup`, and stays there (1 point). What is then the
# loss of a batch, a number that the optimiser shall make small (1 point)?


# %% nbgrader={"grade_id": "t7-warmup", "solution": true}
def beta_at(step, warmup):
    """Weight of the rate at a training step, counted from 0.

    Without a warm-up (warmup = 0) it is 1 from the first step on.
    """
    ### BEGIN SOLUTION
    return min(1.0, step / warmup) if warmup else 1.0
    ### END SOLUTION


# %% nbgrader={"grade_id": "t7-warmup-tests", "grade": true, "points": 1}
def test_beta_at():
    assert beta_at(0, 100) == 0, "the first step does not count the rate"
    assert beta_at(100, 100) == 1, "at the end of the warm-up it counts fully"
    ### BEGIN HIDDEN TESTS
    import math

    for step, warmup in [(30, 120), (1, 7), (6, 7)]:
        assert math.isclose(beta_at(step, warmup), step / warmup), (
            "on the way it rises in a straight line"
        )
    assert beta_at(500, 120) == 1, "after the warm-up it stays at 1"
    assert beta_at(0, 0) == 1, "without a warm-up it is 1 from the start"
    ### END HIDDEN TESTS


test_beta_at()


# %% nbgrader={"grade_id": "t7-loss", "solution": true}
def training_loss(reconstruction, kl, beta):
    """Loss of a batch, nats per image; the optimiser makes it small.

    reconstruction: log p(x | z), shape (N,).
    kl: divergence of each dimension of the code, shape (N, L).
    beta: weight of the rate, a number. Returns one number, shape ().
    """
    ### BEGIN SOLUTION
    return (beta * kl.sum(1) - reconstruction).mean()
    ### END SOLUTION


# %% nbgrader={"grade_id": "t7-loss-tests", "grade": true, "points": 1}
def test_training_loss():
    import torch

    kl = torch.ones(3, 4)
    good = training_loss(torch.full((3,), -80.0), kl, 1.0)
    bad = training_loss(torch.full((3,), -90.0), kl, 1.0)
    assert good.shape == (), "one number for the whole batch"
    assert good < bad, "a better reconstruction makes the loss smaller"
    ### BEGIN HIDDEN TESTS
    random = torch.Generator().manual_seed(48)
    reconstruction = -80 + torch.randn(5, generator=random).double()
    kl = torch.rand(5, 3, generator=random).double()
    first = training_loss(reconstruction, kl, 0.0)
    assert torch.allclose(first, -reconstruction.sum() / 5), (
        "with β = 0 it is the negative reconstruction, the mean over images"
    )
    risen = training_loss(reconstruction, kl, 0.25) - first
    assert torch.allclose(risen, 0.25 * kl.sum() / 5), (
        "β times the rate is added: a sum over dimensions, a mean over images"
    )
    ### END HIDDEN TESTS


test_training_loss()

# %% [markdown]
# ## Task 8: an experiment: does the code matter? (3 points)
#
# Two models, alike but for one number. In the loss of the second the rate has weight 64, which is
# what happens by accident if you average the reconstruction over 64 pixels and sum the rate.
#
# Here is a way to ask a model whether its decoder listens: give each image the code of *another*
# image, and see how many nats that costs. If it costs nothing, the codes say nothing.

# %% nbgrader={"grade_id": "t8-given"}
digits = data.load("digits")
shown = digits.test.images[:200]  # (200, 1, 8, 8), levels 0 … 16
shown_noise = torch.randn(200, 16, generator=torch.Generator().manual_seed(3))


def train(beta, steps=150):
    """Train a VAE on digits with this weight of the rate; some seconds."""
    torch.manual_seed(0)
    model = models.VAE.mlp(digits.shape, digits.levels, latent_dim=16)
    adam = torch.optim.Adam(model.parameters(), lr=2e-3)
    for _ in range(steps):
        batch = digits.train.images[torch.randint(len(digits.train), (100,))]
        terms = model.terms(batch)
        loss = (beta * terms.rate - terms.reconstruction).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
    return model.eval()


trained = {beta: train(beta) for beta in (1, 64)}


# %% [markdown]
# Write the measure (2 points). `model.posterior(x).base_dist` has `loc` and `scale`, the mean and
# the standard deviation of $q(z\mid x)$, each `(N, L)`; `model.likelihood(z).log_prob(x.float())`
# is $\log p(x\mid z)$ of whole images, `(N,)`. Images take each other's codes in a circle:
# `z.roll(1, 0)` gives each the code of the one before it.


# %% nbgrader={"grade_id": "t8-worth", "solution": true}
def worth_of_code(model, x, noise):
    """Log p(x | own code) - log p(x | code of the image before), nats.

    x: images of levels, uint8, (N, C, H, W). noise: standard normal, (N, L),
    for drawing each code. Returns the mean over images, a float.
    """
    ### BEGIN SOLUTION
    with torch.no_grad():
        q = model.posterior(x).base_dist
        z = q.loc + q.scale * noise
        own = model.likelihood(z).log_prob(x.float())
        other = model.likelihood(z.roll(1, 0)).log_prob(x.float())
    return (own - other).mean().item()
    ### END SOLUTION


# %% nbgrader={"grade_id": "t8-worth-tests", "grade": true, "points": 2}
def test_worth_of_code():
    import torch

    from genlearn import models

    torch.manual_seed(0)
    deaf = models.VAE.mlp((1, 3, 3), 4, latent_dim=2).eval()
    for weight in deaf.decoder.parameters():
        torch.nn.init.zeros_(weight)
    x = torch.randint(4, (5, 1, 3, 3), dtype=torch.uint8)
    nothing = worth_of_code(deaf, x, torch.randn(5, 2))
    assert abs(nothing) < 1e-4, "this decoder does not look at its code"
    ### BEGIN HIDDEN TESTS
    torch.manual_seed(49)
    model = models.VAE.mlp((2, 3, 2), 5, latent_dim=3, hidden=(7,)).eval()
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.5)
    x = torch.randint(5, (11, 2, 3, 2), dtype=torch.uint8)
    noise = torch.randn(11, 3)
    with torch.no_grad():
        mean, log_std = model.encoder(x * (2 / 4) - 1).chunk(2, dim=1)
        z = mean + log_std.exp() * noise
        levels = x.long().unsqueeze(-1)
        nats = [
            model.decoder(z[[(n - shift) % 11 for n in range(11)]])
            .log_softmax(-1)
            .gather(-1, levels)
            .sum((1, 2, 3, 4))
            for shift in (0, 1)
        ]
    right = (nats[0] - nats[1]).mean().item()
    mine = worth_of_code(model, x, noise)
    assert abs(mine - right) < 1e-3 * abs(right) + 1e-4, (
        "not the difference in log p(x | z), in nats per image, between an"
        " image's own code and that of the image before it"
    )
    ### END HIDDEN TESTS


test_worth_of_code()

# %% [markdown]
# Now ask the two models, with `shown` and `shown_noise` (1 point). Fill in what you find, and say
# which of the two has given its codes up.

# %% nbgrader={"grade_id": "t8-answer", "solution": true}
# worth: β → worth of the code, nats per image
# rate:  β → mean rate over the same images, nats per image (model.terms)
# silent: the β of the model whose codes say nothing
### BEGIN SOLUTION
worth = {b: worth_of_code(m, shown, shown_noise) for b, m in trained.items()}
rate = {
    b: m.terms(shown, shown_noise).rate.mean().item()
    for b, m in trained.items()
}
silent = min(rate, key=rate.get)
### END SOLUTION


# %% nbgrader={"grade_id": "t8-answer-tests", "grade": true, "points": 1}
def test_answer():
    for found in (worth, rate):
        assert set(found) == {1, 64}, "one number for each of the two models"
    assert silent in (1, 64), "name one of the two models by its β"
    ### BEGIN HIDDEN TESTS
    import torch

    for beta, model in trained.items():
        with torch.no_grad():
            q = model.posterior(shown).base_dist
        variance = q.scale.square()
        kl = q.loc.square() + variance - 1 - variance.log()
        nats = (kl.sum(1) / 2).mean()
        assert abs(float(rate[beta]) - nats) < 0.01 * nats + 1e-3, (
            "the rate is not that of the trained model, on the images shown"
        )
        found = float(worth_of_code(model, shown, shown_noise))
        assert abs(float(worth[beta]) - found) < 0.01 * abs(found) + 1e-2, (
            "the worth is not what your function finds for the trained model,"
            " on the images shown"
        )
    assert silent == 64, "one model's codes cost nothing and are worth nothing"
    ### END HIDDEN TESTS


test_answer()
