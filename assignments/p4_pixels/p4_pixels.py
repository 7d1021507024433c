# %% [markdown]
# # Problem set 4: pixel by pixel
#
# Eight tasks, 100 points: masks that keep the future out, probes that find it where it leaked in,
# draws, and samplers that do no work twice. They need chapters 11 to 14; nothing is downloaded, no
# GPU is used, and the whole notebook runs in seconds.
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
# **Words and units.** The values of an image $(C,H,W)$ stand in the *order of reading*: row by row
# from the top, in a row from left to right, and in a pixel red before green before blue. A model gives
# each value a distribution, given all values *before* it in this order. Logarithms of probabilities
# are in nats unless bits are asked for. Before you hand in: restart the kernel and run all cells.

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
# ## Task 1: masks (14 points)
#
# A convolution looks at all pixels around it. A *masked* one has its weights multiplied by 0 where
# they would look at what comes later in the order of reading. Mask *A* also hides the pixel in the
# centre; mask *B* shows it.
#
# Write the mask of a kernel of any odd height and any odd width, for images of one channel
# (6 points).


# %% nbgrader={"grade_id": "t1-mask", "solution": true}
def mask(height, width, kind):
    """1 where the kernel may look, 0 elsewhere; shape (height, width).

    height, width: of the kernel, both odd. kind: "A" or "B".
    """
    ### BEGIN SOLUTION
    seen = torch.zeros(height * width)
    centre = height * width // 2  # in the order of reading
    seen[: centre + (kind == "B")] = 1
    return seen.view(height, width)
    ### END SOLUTION


# %% nbgrader={"grade_id": "t1-mask-tests", "grade": true, "points": 6}
def test_mask():
    import torch

    a, b = (torch.as_tensor(mask(3, 3, kind)).float() for kind in "AB")
    assert a.shape == b.shape == (3, 3), "one number for each weight"
    assert a[0].min() == b[0].min() == 1, "the row above comes before"
    assert a[2].max() == b[2].max() == 0, "the row below comes after"
    assert not torch.equal(a, b), "the two kinds differ in the centre"
    ### BEGIN HIDDEN TESTS
    mine = on_its_own(mask)
    for height, width in [(3, 3), (5, 3), (1, 7), (7, 1), (1, 1), (5, 5)]:
        number = torch.arange(40 * 50).view(40, 50)  # of pixels, as they come
        window = number[20 - height // 2 :, 25 - width // 2 :]
        window = window[:height, :width]
        found = {k: torch.as_tensor(mine(height, width, k)) for k in "AB"}
        assert torch.equal(found["B"] > 0, window <= number[20, 25]), (
            "kind B: number the pixels of an image as they come; this mask does"
            " not show exactly those up to the centre. The kernel has"
            f" {height} x {width} weights"
        )
        assert torch.equal(found["A"] > 0, window < number[20, 25]), (
            "kind A: number the pixels of an image as they come; this mask does"
            " not show exactly those before the centre. The kernel has"
            f" {height} x {width} weights"
        )
        assert all(((m == 0) | (m == 1)).all() for m in found.values()), (
            "a mask says yes or no: what is shown is shown as it is"
        )
    ### END HIDDEN TESTS


test_mask()

# %% [markdown]
# With $C$ colour channels, the features of a layer are split into $C$ groups of equal size: the
# first group computes red, the next green, the last blue. In the centre of the kernel, a feature of
# colour $c$ may look at features of the colours before $c$ and, with mask B, also at those of
# its own. Write the whole mask of such a convolution (8 points).


# %% nbgrader={"grade_id": "t1-colour", "solution": true}
def colour_mask(outs, ins, channels, height, width, kind):
    """1 where a weight may be other than 0; shape (outs, ins, height, width).

    outs, ins: features of the layer and of the one before it; multiples of
    channels. height, width: of the kernel, both odd. kind: "A" or "B".
    """
    ### BEGIN SOLUTION
    of_outs = torch.arange(outs) * channels // outs
    of_ins = torch.arange(ins) * channels // ins
    above = torch.arange(height)[:, None] < height // 2
    level = torch.arange(height)[:, None] == height // 2
    left = torch.arange(width) < width // 2
    seen = (above | (level & left)).float().repeat(outs, ins, 1, 1)
    earlier = of_ins < of_outs[:, None]
    if kind == "B":
        earlier = of_ins <= of_outs[:, None]
    seen[:, :, height // 2, width // 2] = earlier.float()
    return seen
    ### END SOLUTION


# %% nbgrader={"grade_id": "t1-colour-tests", "grade": true, "points": 8}
def test_colour_mask():
    import torch

    seen = torch.as_tensor(colour_mask(3, 3, 3, 3, 3, "A")).float()
    assert seen.shape == (3, 3, 3, 3), "one number for each weight"
    assert seen[:, :, 0].min() == 1, "all colours of the row above come before"
    assert seen[:, :, 2].max() == 0, "the row below comes after"
    assert seen[2, 0, 1, 1] == 1, "blue is given the red of its own pixel"
    ### BEGIN HIDDEN TESTS
    mine = on_its_own(colour_mask)
    random = torch.Generator().manual_seed(81)

    def places(features, channels):
        """In the order of reading, of the values that the features compute."""
        pixel = torch.arange(4 * 6).view(1, 4, 6)
        colour = torch.arange(channels).repeat_interleave(features // channels)
        return (pixel * channels + colour[:, None, None]).flatten()

    for outs, ins, channels, height, width in [
        (3, 3, 3, 3, 3),
        (6, 3, 3, 3, 5),
        (4, 6, 2, 5, 3),
        (2, 3, 1, 3, 3),
    ]:
        shape = (outs, ins, height, width)
        weight = torch.rand(shape, generator=random).double() + 0.5
        pad = (height // 2, width // 2)

        def looks(weight, ins=ins, pad=pad):
            """Which outputs (rows) move with which inputs (columns)?"""
            one = torch.eye(ins * 24).double().view(-1, ins, 4, 6)
            return torch.conv2d(one, weight, padding=pad).flatten(1).T != 0

        of_out, of_in = places(outs, channels), places(ins, channels)
        near = looks(weight)  # without a mask
        for kind in "AB":
            found = mine(outs, ins, channels, height, width, kind)
            seen = looks(weight * torch.as_tensor(found))
            before = of_in < of_out[:, None]
            if kind == "B":
                before = of_in <= of_out[:, None]
            assert not (seen & ~before).any(), (
                "masked in this way, a feature sees what it may not, with kind"
                f" {kind} and {channels} channels"
            )
            assert (seen | ~(near & before)).all(), (
                "masked in this way, a feature does not see all that it may,"
                f" with kind {kind} and {channels} channels"
            )
    ### END HIDDEN TESTS


test_colour_mask()

# %% [markdown]
# ## Task 2: what the chain rule adds up (10 points)
#
# A network has given a logit to each level of each value, computed from the values before it. How
# probable is the whole image (6 points)? Logits may be of any size.


# %% nbgrader={"grade_id": "t2-log-prob", "solution": true}
def log_prob(logits, images):
    """log p(x), nats per image, shape (N,).

    logits: shape (N, C, H, W, levels). images: levels, uint8, (N, C, H, W).
    """
    ### BEGIN SOLUTION
    of_all = logits.log_softmax(-1)
    chosen = of_all.gather(-1, images.long().unsqueeze(-1))
    return chosen.flatten(1).sum(1)
    ### END SOLUTION


# %% nbgrader={"grade_id": "t2-log-prob-tests", "grade": true, "points": 6}
def test_log_prob():
    import torch

    images = torch.tensor([[[[0]]], [[[3]]]], dtype=torch.uint8)
    found = log_prob(torch.zeros(2, 1, 1, 1, 4), images)
    assert found.shape == (2,), "one number for each image"
    assert torch.allclose(found, -torch.tensor(4.0).log()), (
        "one value with four equally probable levels"
    )
    ### BEGIN HIDDEN TESTS
    mine = on_its_own(log_prob)
    random = torch.Generator().manual_seed(82)
    logits = 3 * torch.randn(3, 2, 2, 3, 5, generator=random)
    images = torch.randint(5, (3, 2, 2, 3), generator=random).byte()
    found = mine(logits, images).double()
    odds = logits.double().exp().flatten(1, 3)
    levels = images.long().flatten(1)
    for image, its, log in zip(levels, odds, found, strict=True):
        product = 1.0
        for level, of_all in zip(image, its, strict=True):
            product = product * of_all[level] / of_all.sum()
        assert abs(log - product.log()) < 1e-3, (
            "for logits drawn at random, not the logarithm of the product of"
            " all conditional probabilities of an image"
        )
    logits = torch.zeros(2, 1, 1, 2, 3)
    logits[0, ..., 1], logits[1, ..., 2] = 1000.0, -1000.0
    found = mine(logits, torch.tensor([[[[1, 0]]], [[[0, 2]]]]).byte())
    right = torch.tensor([-1000.0, -1000 - 2 * torch.tensor(2.0).log()])
    assert torch.allclose(found, right), (
        "with logits of 1000 and of -1000 it gives another number"
    )
    ### END HIDDEN TESTS


test_log_prob()

# %% [markdown]
# The chain rule also says *where* an image is hard to guess. A perfect coder spends
# $-\log_2 p$ bits on a value which had the probability $p$ before it was seen. Draw the map: what
# does each place of the image cost, in the mean over images (4 points)? The mean of this map is the
# model's *bits per dimension*.


# %% nbgrader={"grade_id": "t2-bits", "solution": true}
def cost(logits, images):
    """Bits that each value costs, in the mean over images, shape (C, H, W).

    logits: shape (N, C, H, W, levels). images: levels, uint8, (N, C, H, W).
    """
    ### BEGIN SOLUTION
    nats = torch.nn.functional.cross_entropy(
        logits.movedim(-1, 1), images.long(), reduction="none"
    )
    return nats.mean(0) / torch.log(torch.tensor(2.0))
    ### END SOLUTION


# %% nbgrader={"grade_id": "t2-bits-tests", "grade": true, "points": 4}
def test_cost():
    import torch

    found = cost(torch.zeros(5, 1, 2, 3, 4), torch.zeros(5, 1, 2, 3).byte())
    assert found.shape == (1, 2, 3), "one number for each place of an image"
    assert torch.allclose(found, torch.tensor(2.0)), (
        "one of four equally probable levels costs two bits"
    )
    ### BEGIN HIDDEN TESTS
    mine = on_its_own(cost)
    random = torch.Generator().manual_seed(83)
    logits = 2 * torch.randn(4, 3, 2, 2, 6, generator=random)
    images = torch.randint(6, (4, 3, 2, 2), generator=random).byte()
    found = mine(logits, images)
    odds = logits.double().exp()
    p = odds / odds.sum(-1, keepdim=True)
    for c, row, column in torch.cartesian_prod(*map(torch.arange, (3, 2, 2))):
        levels = images[:, c, row, column].long()
        its = [p[n, c, row, column, levels[n]] for n in range(4)]
        right = -sum(one.log2() for one in its) / 4
        assert abs(found[c, row, column] - right) < 1e-3, (
            "at some place, for logits drawn at random, not the mean number of"
            " bits that the levels found there cost"
        )
    ### END HIDDEN TESTS


test_cost()

# %% [markdown]
# ## Task 3: who sees what (14 points)
#
# Is a network causal? Its code may look so and leak. Ask its gradients: if output $i$ has a
# derivative other than 0 by value $j$, it has seen it. A derivative of 0 proves less: on a black image,
# for example, many vanish by chance. Write a probe that finds every leak (8 points).


# %% nbgrader={"grade_id": "t3-leaks", "solution": true}
def leaks(network, channels, height, width):
    """All pairs (i, j) with an output i that sees a value j at or after it.

    i, j: places in the order of reading, 0 … channels · height · width - 1. Returns a
    set of pairs of ints. network: (N, C, H, W) → (N, C, H, W), float64;
    output (c, row, column) is what it says of the value there.
    """
    ### BEGIN SOLUTION
    image = torch.randn(1, channels, height, width, dtype=torch.float64)
    slopes = torch.autograd.functional.jacobian(network, image)
    slopes = slopes[0, :, :, :, 0].permute(1, 2, 0, 4, 5, 3)
    places = channels * height * width
    seen = slopes.reshape(places, places).abs() > 1e-9
    return {(i, j) for i, j in seen.triu().nonzero().tolist()}
    ### END SOLUTION


# %% nbgrader={"grade_id": "t3-leaks-tests", "grade": true, "points": 8}
def test_leaks():
    import torch

    assert leaks(lambda x: 0 * x, 1, 2, 2) == set(), "this one sees nothing"
    found = leaks(lambda x: 2 * x, 1, 1, 2)
    assert found == {(0, 0), (1, 1)}, "each output sees its own value here"
    ### BEGIN HIDDEN TESTS
    random = torch.Generator().manual_seed(84)
    c, height, width = 3, 2, 3
    places = c * height * width

    def network(weight, bend=torch.tanh):
        """Output i sees value j if weight[i, j] is not 0; in the order of reading."""

        def run(x):
            values = bend(x.movedim(1, 3).flatten(1)) @ weight.T
            return values.view(-1, height, width, c).movedim(3, 1)

        return run

    weight = torch.randn(places, places, generator=random).double()
    causal = weight.tril(-1)
    assert leaks(network(causal), c, height, width) == set(), (
        "a causal network is accused: each of its outputs sees only values"
        " before it, as the words at the head of this problem set define them"
    )
    pairs = {(4, 4), (4, 5), (3, 9), (0, 17), (16, 17)}
    leaky = causal.clone()
    for i, j in pairs:
        leaky[i, j] = 1.0
    assert leaks(network(leaky), c, height, width) == pairs, (
        "a causal network with five weights too many: not exactly these five"
        " leaks are found, each with its two places in the order of reading"
    )
    squares = network(-0.1 * leaky, torch.square)
    assert leaks(squares, c, height, width) == pairs, (
        "five leaks whose derivatives are negative in places, and 0 where the"
        " image is black: not exactly these are found"
    )
    ### END HIDDEN TESTS


test_leaks()

# %% [markdown]
# The opposite fault: a causal network that does not see all it might. In a stack of masked
# convolutions the first has mask A, all others mask B; between them stand activations. Which pixels
# of the input can the output at one pixel depend on (6 points)? It is not all that come before it,
# however many layers you take.


# %% nbgrader={"grade_id": "t3-field", "solution": true}
def receptive_field(size, layers, height, width, row, column):
    """True where the input reaches the output at (row, column); (height, width).

    size: of all kernels, odd; they are square. layers: how many, at least 1.
    The image has one channel, and is padded with zeros in each layer.
    """
    ### BEGIN SOLUTION
    image = torch.zeros(1, 1, height, width, requires_grad=True)
    x, centre = image, size * size // 2
    for layer in range(layers):
        weight = torch.zeros(size * size)
        weight[: centre + (layer > 0)] = 1 / size**2
        weight = weight.view(1, 1, size, size)
        x = torch.conv2d(x, weight, padding=size // 2)
    x[0, 0, row, column].backward()
    return image.grad[0, 0] > 0
    ### END SOLUTION


# %% nbgrader={"grade_id": "t3-field-tests", "grade": true, "points": 6}
def test_receptive_field():
    import torch

    seen = torch.as_tensor(receptive_field(3, 1, 5, 5, 2, 2))
    assert seen.shape == (5, 5), "yes or no for each pixel of the input"
    assert seen[1, 3], "the neighbour above to the right is seen"
    assert not seen[2, 2], "a pixel is not predicted from itself"
    assert not seen[0, 2], "one layer of 3 x 3 does not look two rows up"
    ### BEGIN HIDDEN TESTS
    mine = on_its_own(receptive_field)
    for size, layers, row, column in [
        (3, 1, 4, 4),
        (5, 1, 5, 3),
        (3, 2, 6, 2),
        (3, 4, 7, 1),
        (5, 3, 7, 5),
    ]:
        reach = range(-(size // 2), size // 2 + 1)
        steps = [(i, j) for i in reach for j in reach if (i, j) < (0, 0)]
        ends = {(row, column)}
        for _ in range(layers - 1):  # a layer that shows the centre: or stay
            ends |= {(r + i, c + j) for r, c in ends for i, j in steps}
        ends = {(r + i, c + j) for r, c in ends for i, j in steps}
        right = torch.tensor(
            [[(i, j) in ends for j in range(8)] for i in range(8)]
        )
        found = torch.as_tensor(mine(size, layers, 8, 8, row, column)) > 0
        assert not (found & ~right).any(), (
            "a pixel is said to be seen that no chain of looks, one for each"
            f" layer, leads to; {layers} layers of {size} x {size} weights"
        )
        assert (found | ~right).all(), (
            "a pixel is said to be unseen that a chain of looks, one for each"
            f" layer, leads to; {layers} layers of {size} x {size} weights"
        )
    ### END HIDDEN TESTS


test_receptive_field()

# %% [markdown]
# ## Task 4: along the diagonals (16 points)
#
# A Diagonal LSTM computes a whole diagonal at once. *Skewing* makes columns of the diagonals: row
# $i$ moves $i$ places to the right, and an image $(H,W)$ becomes one of $(H,W+H-1)$, with zeros
# where no pixel comes to lie (3 points).


# %% nbgrader={"grade_id": "t4-skew", "solution": true}
def skew(x):
    """Row i, i places further to the right; (N, F, H, W) → (N, F, H, W + H - 1)."""
    ### BEGIN SOLUTION
    height, width = x.shape[2:]
    skewed = x.new_zeros(*x.shape[:3], width + height - 1)
    for i in range(height):
        skewed[:, :, i, i : i + width] = x[:, :, i]
    return skewed
    ### END SOLUTION


# %% nbgrader={"grade_id": "t4-skew-tests", "grade": true, "points": 3}
def test_skew():
    import torch

    found = skew(torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]))
    assert found.shape == (1, 1, 2, 3), "one column for each diagonal"
    assert found[0, 0, 0].tolist() == [1, 2, 0], "the first row does not move"
    ### BEGIN HIDDEN TESTS
    random = torch.Generator().manual_seed(85)
    for height, width in [(4, 3), (3, 5), (1, 4), (4, 1)]:
        x = torch.rand(2, 3, height, width, generator=random) + 1
        found = skew(x)
        assert found.shape == (2, 3, height, width + height - 1), (
            "an image that is not square: another number of diagonals"
        )
        for i in range(height):
            for j in range(width):
                assert torch.equal(found[..., i, i + j], x[..., i, j]), (
                    "a pixel is not in the column of its diagonal, or not in"
                    " the row that it had"
                )
        assert torch.count_nonzero(found) == x.numel(), (
            "where there is no pixel, there is a number other than 0"
        )
    ### END HIDDEN TESTS


test_skew()

# %% [markdown]
# And back (3 points). Where no pixel lies, the skewed states may hold anything by now.


# %% nbgrader={"grade_id": "t4-unskew", "solution": true}
def unskew(x):
    """The reverse of skew; (N, F, H, W + H - 1) → (N, F, H, W)."""
    ### BEGIN SOLUTION
    height = x.shape[2]
    width = x.shape[3] - height + 1
    rows = [x[:, :, i, i : i + width] for i in range(height)]
    return torch.stack(rows, 2)
    ### END SOLUTION


# %% nbgrader={"grade_id": "t4-unskew-tests", "grade": true, "points": 3}
def test_unskew():
    import torch

    found = unskew(torch.tensor([[[[1.0, 2.0, 0.0], [0.0, 3.0, 4.0]]]]))
    assert found.shape == (1, 1, 2, 2), "the size that the image had"
    assert found[0, 0, 0].tolist() == [1, 2], "the first row does not move"
    ### BEGIN HIDDEN TESTS
    random = torch.Generator().manual_seed(86)
    for height, width in [(4, 3), (3, 5), (1, 4), (4, 1)]:
        shape = (2, 3, height, width + height - 1)
        x = torch.rand(shape, generator=random) - 0.5
        found = unskew(x)
        assert found.shape == (2, 3, height, width), (
            "an image that is not square: it comes back in another size"
        )
        for i in range(height):
            for j in range(width):
                assert torch.equal(found[..., i, j], x[..., i, i + j]), (
                    "a pixel does not come from the column of its diagonal and"
                    " from the row that it has"
                )
    ### END HIDDEN TESTS


test_unskew()

# %% [markdown]
# Now one step, from a diagonal to the next. In the skewed image a pixel's left neighbour stands in
# its own row of the column before, and the neighbour above in the row above of the same column. The
# gates of a row are
#
# $$(o,f,i,g)=\text{inputs}+K_0\,h_\mathrm{above}+K_1\,h_\mathrm{left}$$
#
# with a sigmoid on $o$, $f$ and $i$ and a $\tanh$ on $g$. Then $c=f\odot c_\mathrm{left}+i\odot g$ and
# $h=o\odot\tanh c$. Above the first row there is nothing, so $h_\mathrm{above}=0$ (6 points).


# %% nbgrader={"grade_id": "t4-step", "solution": true}
def step(inputs, hidden, cell, weight):
    """The states (hidden, cell) of a diagonal, from those of the one before.

    inputs: of this diagonal, in the order o, f, i, g, shape (N, 4 F, H).
    hidden, cell: of the diagonal before, shape (N, F, H).
    weight: K_0 and K_1 in the last dimension, shape (4 F, F, 2).
    """
    ### BEGIN SOLUTION
    padded = torch.nn.functional.pad(hidden, (1, 0))
    gates = inputs + torch.conv1d(padded, weight)
    o, f, i, g = gates.chunk(4, 1)
    cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
    return o.sigmoid() * cell.tanh(), cell
    ### END SOLUTION


# %% nbgrader={"grade_id": "t4-step-tests", "grade": true, "points": 6}
def test_step():
    import torch

    nothing = torch.zeros(2, 3, 5)
    hidden, cell = step(
        torch.zeros(2, 12, 5), nothing, nothing + 1, torch.zeros(12, 3, 2)
    )
    assert hidden.shape == cell.shape == (2, 3, 5), "one state for each row"
    assert torch.allclose(cell, torch.full((2, 3, 5), 0.5)), (
        "all gates are half open, and the new content is 0"
    )
    ### BEGIN HIDDEN TESTS
    random = torch.Generator().manual_seed(87)
    n, features, height = 3, 2, 4
    inputs = 2 * torch.randn(n, 8, height, generator=random).double()
    state = torch.randn(2, n, features, height, generator=random).double()
    weight = torch.randn(8, features, 2, generator=random).double()

    def names(x):
        """From the order o, f, i, g to PyTorch's: i, f, g, o."""
        o, f, i, g = x.chunk(4, 0)
        return torch.cat([i, f, g, o])

    lstm = torch.nn.LSTMCell(8 + features, features, bias=False).double()
    with torch.no_grad():
        lstm.weight_hh.copy_(names(weight[:, :, 1]))
        same = torch.eye(8).double()
        lstm.weight_ih.copy_(names(torch.cat([same, weight[:, :, 0]], 1)))

    def right(row, hidden, cell):
        """By PyTorch's own cell, which is given the row above as an input."""
        above = hidden[:, :, row - 1] * (row > 0)
        given = torch.cat([inputs[:, :, row], above], 1)
        return torch.stack(lstm(given, (hidden[:, :, row], cell[:, :, row])))

    with torch.no_grad():
        silent = 0 * state[0], state[1]
        found = torch.stack(step(inputs, *silent, weight))
        for row in range(height):
            assert torch.allclose(found[..., row], right(row, *silent)), (
                "with a hidden state of 0, so from inputs and cell state alone:"
                " PyTorch's LSTM cell finds other states from these gates"
            )
        found = torch.stack(step(inputs, *state, weight))
        for row in range(1, height):
            assert torch.allclose(found[..., row], right(row, *state)), (
                "below the first row: PyTorch's LSTM cell finds other states,"
                " given the hidden states above and to the left"
            )
        assert torch.allclose(found[..., 0], right(0, *state)), (
            "in the first row: PyTorch's LSTM cell finds other states, given"
            " the one to the left alone"
        )
    ### END HIDDEN TESTS


test_step()

# %% [markdown]
# A *Bi*LSTM goes through the image twice, once from the left and once, mirrored, from the right. At
# $(r,c)$ the first pass has seen all $(r',c')$ with $r'\le r$ and $c'\le c$, and the second all with
# $r'\le r$ and $c'\ge c$. So the second has seen pixels of its row that come later. Move its states, all
# by the same step, to where they may be known, losing as little as you can, and add the two (4 points).


# %% nbgrader={"grade_id": "t4-join", "solution": true}
def join(left, right):
    """The states of both passes that each pixel may know, added; (N, F, H, W).

    left, right: the states of the two passes at each pixel, the second one
    mirrored back, shape (N, F, H, W).
    """
    ### BEGIN SOLUTION
    return left + torch.nn.functional.pad(right, (0, 0, 1, -1))
    ### END SOLUTION


# %% nbgrader={"grade_id": "t4-join-tests", "grade": true, "points": 4}
def test_join():
    import torch

    x = torch.rand(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    found = join(x, 0 * x)
    assert found.shape == (2, 3, 4, 5), "the shape of both"
    assert torch.allclose(found, x), "the second pass knows nothing here"
    ### BEGIN HIDDEN TESTS

    def joined(x):
        """Two passes that add up all they see, and the answer on top."""
        left = x.cumsum(2).cumsum(3)
        right = x.flip(3).cumsum(2).cumsum(3).flip(3)
        return join(left, right)

    image = torch.zeros(1, 1, 4, 5, dtype=torch.float64)
    seen = torch.autograd.functional.jacobian(joined, image).view(20, 20) != 0
    assert not seen.triu(1).any(), (
        "the gradients show a pixel that knows of a later one"
    )
    assert seen[torch.ones(20, 20).tril() > 0].all(), (
        "the gradients show a pixel that does not know all up to it, though the"
        " two passes have seen it"
    )
    random = torch.Generator().manual_seed(88)
    left, right = torch.randn(2, 2, 3, 4, 5, generator=random)
    found = join(left, right)
    for row in range(1, 4):
        both = left[:, :, row] + right[:, :, row - 1]
        assert torch.allclose(found[:, :, row], both), (
            "the right pixels are known, but this is not the sum of the states"
            " of the two passes"
        )
    ### END HIDDEN TESTS


test_join()

# %% [markdown]
# ## Task 5: a draw from one number (12 points)
#
# To compare two samplers pixel by pixel, both must be given the same chance. So a draw is a function
# of one number $u$, uniform in $[0,1)$: the *smallest level such that the probabilities of all levels
# up to it, itself included, add up to more than* $u$.
#
# First for levels that have a logit each (5 points). It must never give a level of probability 0, for
# no $u$ in $[0,1)$ that float32 can hold.


# %% nbgrader={"grade_id": "t5-level", "solution": true}
def draw(logits, uniform):
    """Draw levels, int64, shape (...).

    logits: float32, some may be -inf, shape (..., levels).
    uniform: float32 in [0, 1), shape (...).
    """
    ### BEGIN SOLUTION
    up_to = logits.double().softmax(-1).cumsum(-1)
    up_to = up_to / up_to[..., -1:]  # the last is 1, whatever was rounded
    return (up_to <= uniform.double().unsqueeze(-1)).sum(-1)
    ### END SOLUTION


# %% nbgrader={"grade_id": "t5-level-tests", "grade": true, "points": 5}
def test_draw():
    import torch

    logits = torch.tensor([0.5, 0.25, 0.25]).log()
    found = draw(logits.repeat(3, 1), torch.tensor([0.1, 0.6, 0.9]))
    assert found.dtype == torch.int64, "levels are whole numbers"
    assert found.tolist() == [0, 1, 2], (
        "the probabilities 1/2, 1/4, 1/4 add up to 1/2, 3/4, 1"
    )
    ### BEGIN HIDDEN TESTS
    mine = on_its_own(draw)
    random = torch.Generator().manual_seed(89)
    logits = 2 * torch.randn(3, 1, 6, generator=random)
    uniform = (torch.arange(4000) + 0.5).div(4000).repeat(3, 1)
    found = mine(logits.expand(3, 4000, 6), uniform)
    odds = logits.double().exp()
    for level in range(6):
        right = odds[..., level] / odds.sum(-1)
        share = (found == level).double().mean(1, keepdim=True)
        assert (share - right).abs().max() < 1e-3, (
            "for u spread evenly over 0 … 1, the shares of the levels are not"
            " their probabilities"
        )
    assert (found.diff(dim=1) >= 0).all(), (
        "the shares are right, but a larger u does not give a higher level"
    )
    logits = torch.randn(300, 256, generator=random)
    logits[:, :7], logits[:, -5:] = -torch.inf, -torch.inf
    found = mine(logits, torch.zeros(300))
    assert (found == 7).all(), (
        "u = 0, and the first seven levels have probability 0: something else"
        " is drawn than the first level that has more"
    )
    found = mine(logits, torch.full((300,), 1 - 2**-24))
    assert ((found > 6) & (found < 251)).all(), (
        "u just below 1: a level is drawn that does not exist, or that has"
        " probability 0. Do your rounded probabilities add up to 1?"
    )
    ### END HIDDEN TESTS


test_draw()

# %% [markdown]
# Now for levels that have an order. A logistic distribution with centre $m$ and width $s$ has the
# distribution function $F(z)=\sigma((z-m)/s)$. *Discretised*, level $k$ has the probability
# $F(k+\tfrac12)-F(k-\tfrac12)$; the lowest level also gets all that lies below it, and the highest all
# that lies above. Draw from it, in the sense said above (7 points).


# %% nbgrader={"grade_id": "t5-logistic", "solution": true}
def draw_logistic(mean, scale, uniform, levels):
    """Draw levels 0 … levels - 1, int64, shape (...).

    mean, scale: m and s, in levels; m may lie outside, s is above 0.
    uniform: in [0, 1). All three: float32, shape (...).
    """
    ### BEGIN SOLUTION
    place = mean + scale * torch.logit(uniform)
    return place.round().clamp(0, levels - 1).long()
    ### END SOLUTION


# %% nbgrader={"grade_id": "t5-logistic-tests", "grade": true, "points": 7}
def test_draw_logistic():
    import torch

    mean, scale = torch.full((2, 3), 4.0), torch.full((2, 3), 0.01)
    found = draw_logistic(mean, scale, torch.full((2, 3), 0.5), 9)
    assert found.dtype == torch.int64, "levels are whole numbers"
    assert found.tolist() == [[4, 4, 4]] * 2, "so narrow that all falls on one"
    ### BEGIN HIDDEN TESTS
    mine = on_its_own(draw_logistic)
    uniform = (torch.arange(4000) + 0.5) / 4000
    for m, s, levels in [
        (3.3, 0.6, 7),
        (6.8, 1.5, 16),
        (-1.0, 1.2, 5),
        (4.6, 2.0, 5),
        (0.2, 0.4, 2),
    ]:
        flat = torch.ones(4000)
        found = mine(m * flat, s * flat, uniform, levels)
        assert found.min() >= 0, "a level below the lowest is drawn"
        assert found.max() < levels, "a level above the highest is drawn"
        border = torch.arange(levels - 1).double() + 0.5
        below = 1 / (1 + ((m - border) / s).exp())
        ends = torch.tensor([0.0]).double(), torch.tensor([1.0]).double()
        right = torch.cat([ends[0], below, ends[1]]).diff()
        share = torch.bincount(found, minlength=levels) / 4000
        assert (share - right).abs().max() < 1e-3, (
            "for u spread evenly over 0 … 1, the shares of the levels are not"
            f" their probabilities; m = {m}, s = {s}, {levels} levels"
        )
        assert (found.diff() >= 0).all(), (
            "the shares are right, but a larger u does not give a higher level"
        )
    ends = torch.tensor([0.0, 1 - 2**-24])
    found = mine(torch.full((2,), 100.0), torch.full((2,), 10.0), ends, 256)
    assert found.tolist() == [0, 255], (
        "m = 100, s = 10, 256 levels: the smallest and the largest u there is"
        " give other levels than the lowest and the highest"
    )
    ### END HIDDEN TESTS


test_draw_logistic()

# %% [markdown]
# ## Task 6: two samplers (14 points)
#
# From here on images are black and white, 0 and 1, and a network says how probable white is at each
# pixel, given the pixels before it. A pixel with the uniform number $u$ is white if $u<p$.
#
# The naive sampler asks the whole network for each pixel (5 points).


# %% nbgrader={"grade_id": "t6-naive", "solution": true}
def sample(network, uniforms):
    """Draw images, of 0 and 1, float, shape (N, H, W).

    network: images → probability of white, both (N, H, W), causal. It takes a
    whole batch. Ask it once for each of the H · W places, not more.
    uniforms: u of each pixel, shape (N, H, W).
    """
    ### BEGIN SOLUTION
    images = torch.zeros_like(uniforms)
    with torch.no_grad():
        for row in range(uniforms.shape[1]):
            for column in range(uniforms.shape[2]):
                white = network(images)[:, row, column]
                chance = uniforms[:, row, column]
                images[:, row, column] = (chance < white).to(images.dtype)
    return images
    ### END SOLUTION


# %% nbgrader={"grade_id": "t6-naive-tests", "grade": true, "points": 5}
def test_sample():
    import torch

    uniforms = torch.tensor([[[0.1, 0.9], [0.6, 0.4]]])
    found = sample(lambda x: torch.full_like(x, 0.5), uniforms)
    assert found.shape == (1, 2, 2), "one number for each pixel"
    assert found.tolist() == [[[1, 0], [0, 1]]], "white where u < 1/2 here"
    ### BEGIN HIDDEN TESTS
    mine = on_its_own(sample)
    random = torch.Generator().manual_seed(90)
    n, height, width = 6, 3, 4
    places = height * width
    weight = torch.randn(places, places, generator=random).double().tril(-1)
    uniforms = torch.rand(n, height, width, generator=random).double()
    calls = []

    def network(x):
        calls.append(len(x))
        return torch.sigmoid(3 * (x - 0.4).flatten(1) @ weight.T).view_as(x)

    before = uniforms.clone()
    found = mine(network, uniforms)
    for image, its in zip(found, before.flatten(1).tolist(), strict=True):
        drawn = []
        for place, u in enumerate(its):
            logit = sum(
                3 * (value - 0.4) * float(weight[place, j])
                for j, value in enumerate(drawn)
            )
            drawn.append(float(u < torch.tensor(logit).sigmoid()))
        assert image.flatten().tolist() == drawn, (
            "for a causal network drawn at random: some pixel is not what its u"
            " and its probability, given the pixels drawn before it, say"
        )
    assert len(calls) <= places, (
        "right, but the network is asked more often than there are places"
    )
    assert torch.equal(uniforms, before), (
        "the uniform numbers that were handed in are not what they were"
    )
    ### END HIDDEN TESTS


test_sample()

# %% [markdown]
# That sampler does nearly all of its work again for each pixel. Here is a small causal network with
# two stacks, as in chapter 13: one looks at the two rows above, the other along the row.

# %% nbgrader={"grade_id": "t6-given"}
from torch.nn.functional import pad


class Small(torch.nn.Module):
    """Images (N, H, W) → probability of white at each pixel, (N, H, W)."""

    def __init__(self, features=4):
        super().__init__()
        self.above = torch.nn.Conv2d(1, features, (2, 3))
        self.left = torch.nn.Conv2d(1, features, (1, 2))
        self.next = torch.nn.Conv2d(features, features, (1, 2))
        self.last = torch.nn.Conv2d(features, 1, (1, 1))

    def forward(self, x):
        x = x.unsqueeze(1)
        # Pads of pad(): left, right, top, bottom; -1 cuts one off.
        vertical = self.above(pad(x, (1, 1, 2, -1)))
        first = torch.relu(vertical + self.left(pad(x, (2, -1, 0, 0))))
        second = torch.relu(self.next(pad(first, (1, 0, 0, 0))))
        return self.last(second).sigmoid().squeeze(1)


# %% [markdown]
# Draw from it without doing any work twice: the stack for the rows above once a row, the other one
# once a pixel, with what the next pixel will need kept (9 points). The images are those of the naive
# sampler, and the work for a pixel does not grow with the image, in either direction. The tests
# count it: the numbers that PyTorch writes.


# %% nbgrader={"grade_id": "t6-cached", "solution": true}
def sample_cached(network, uniforms):
    """Draw images, of 0 and 1, float, shape (N, H, W).

    network: of the class Small; use its layers above, left, next and last.
    uniforms: u of each pixel, of the network's dtype, shape (N, H, W).
    """
    ### BEGIN SOLUTION
    n, height, width = uniforms.shape
    features = network.next.in_channels
    padded = uniforms.new_zeros(n, 1, height + 2, width + 2)
    with torch.no_grad():
        for row in range(height):
            vertical = network.above(padded[:, :, row : row + 2])
            left = uniforms.new_zeros(n, 1, 1, 2)
            before = uniforms.new_zeros(n, features, 1, 1)
            for column in range(width):
                first = vertical[..., column : column + 1] + network.left(left)
                first = torch.relu(first)
                second = network.next(torch.cat([before, first], 3))
                white = network.last(torch.relu(second)).sigmoid()
                pixel = uniforms[:, row, column] < white[:, 0, 0, 0]
                padded[:, 0, row + 2, column + 1] = pixel.to(padded.dtype)
                left = torch.stack([left[..., 1], pixel.view(n, 1, 1)], 3)
                before = first
    return padded[:, 0, 2:, 1:-1].clone()
    ### END SOLUTION


# %% nbgrader={"grade_id": "t6-cached-tests", "grade": true, "points": 9}
def test_sample_cached():
    import torch

    network = Small()
    for weight in network.parameters():
        torch.nn.init.zeros_(weight)
    uniforms = torch.tensor([[[0.1, 0.9, 0.4], [0.6, 0.4, 0.7]]])
    found = sample_cached(network, uniforms)
    assert found.shape == (1, 2, 3), "one number for each pixel"
    assert torch.equal(found, (uniforms < 0.5).float()), (
        "all weights are 0, so white has probability 1/2 everywhere"
    )
    ### BEGIN HIDDEN TESTS
    from torch.overrides import TorchFunctionMode

    random = torch.Generator().manual_seed(104)
    network = Small(features=5).double()
    for weight in network.parameters():
        torch.nn.init.normal_(weight, generator=random)

    class Work(TorchFunctionMode):
        """Counts the numbers that PyTorch's functions write; views are free."""

        numbers = 0

        def __torch_function__(self, function, types, given=(), named=None):
            result = function(*given, **(named or {}))
            if isinstance(result, torch.Tensor):
                its, *of_given = (
                    t.untyped_storage().data_ptr()
                    for t in (result, *given)
                    if isinstance(t, torch.Tensor)
                )
                self.numbers += result.numel() if its not in of_given else 0
            return result

    def work_per_pixel(height, width):
        uniforms = torch.rand(2, height, width, generator=random).double()
        with Work() as work:
            sample_cached(network, uniforms)
        return work.numbers / (height * width)

    uniforms = torch.rand(32, 5, 6, generator=random).double()
    right = torch.zeros_like(uniforms)
    with torch.no_grad():
        for place in range(30):
            white = network(right).flatten(1)[:, place]
            drawn = uniforms.flatten(1)[:, place] < white
            right.view(32, 30)[:, place] = drawn.double()
    found = sample_cached(network, uniforms).double()
    assert torch.equal(found[:, 0], right[:, 0]), (
        "in the first row, so with nothing above, some pixels are not those of"
        " the naive sampler"
    )
    assert torch.equal(found[:, 1, 0], right[:, 1, 0]), (
        "the first row is right, but some pixels with which the second begins"
        " are not those of the naive sampler"
    )
    assert torch.equal(found, right), (
        "the first row is right, and so is the start of the second; further on,"
        " some pixels are not those of the naive sampler"
    )
    small = work_per_pixel(4, 4)
    assert work_per_pixel(16, 4) < 1.5 * small, (
        "the work for a pixel grows with the height of the image"
    )
    assert work_per_pixel(4, 16) < 1.5 * small, (
        "the work for a pixel grows with the width of the image"
    )
    ### END HIDDEN TESTS


test_sample_cached()

# %% [markdown]
# ## Task 7: completing an image (12 points)
#
# Some pixels are known, the others are to be drawn. If the known ones come first, this is sampling
# that starts later. If not, one can go through the image in the order of reading, *clamp* each known
# pixel to its value and draw each unknown one. But such a draw knows nothing of the known pixels that
# come later. A *particle* $x$, an image made in this way, comes up with a probability $q(x)$, where
# it should come up with one proportional to $p(x)$. Its *weight* $w=p(x)/q(x)$ says how far it is off.
#
# Draw many particles, and give the logarithm of each one's weight (6 points).


# %% nbgrader={"grade_id": "t7-clamp", "solution": true}
def clamped(network, image, known, uniforms):
    """Particles, of 0 and 1, shape (K, H, W), and their log weights, shape (K,).

    network: images → probability of white, both (K, H, W), causal.
    image: 0 and 1, shape (H, W); anything at all where it is not known.
    known: True or False, shape (H, W).
    uniforms: of each pixel of each particle, shape (K, H, W); an unknown pixel
    is white if u < p.
    """
    ### BEGIN SOLUTION
    drawn = torch.zeros_like(uniforms)
    log_weights = uniforms.new_zeros(len(uniforms))
    with torch.no_grad():
        for row in range(uniforms.shape[1]):
            for column in range(uniforms.shape[2]):
                white = network(drawn)[:, row, column]
                if known[row, column]:
                    is_white = image[row, column] > 0.5
                    p = white if is_white else 1 - white
                    log_weights = log_weights + p.log()
                    drawn[:, row, column] = float(is_white)
                else:
                    pixel = uniforms[:, row, column] < white
                    drawn[:, row, column] = pixel.to(drawn.dtype)
    return drawn, log_weights
    ### END SOLUTION


# %% nbgrader={"grade_id": "t7-clamp-tests", "grade": true, "points": 6}
def test_clamped():
    import torch

    image = torch.tensor([[1.0, 0.0]])
    known = torch.tensor([[True, False]])
    uniforms = torch.tensor([[[0.5, 0.1]], [[0.5, 0.9]], [[0.5, 0.2]]])
    drawn, weights = clamped(
        lambda x: torch.full_like(x, 0.5), image, known, uniforms
    )
    assert drawn.shape == (3, 1, 2), "one image for each particle"
    assert weights.shape == (3,), "one number for each particle"
    assert drawn.tolist() == [[[1, 1]], [[1, 0]], [[1, 1]]], (
        "the first pixel is known to be white; the other is white if u < 1/2"
    )
    ### BEGIN HIDDEN TESTS
    mine = on_its_own(clamped)
    random = torch.Generator().manual_seed(92)
    height, width = 2, 4
    places = height * width
    weight = torch.randn(places, places, generator=random).double().tril(-1)

    def network(x):
        logits = 0.3 + 2 * (x - 0.4).flatten(1) @ weight.T
        return logits.sigmoid().view_as(x)

    uniforms = torch.rand(40, height, width, generator=random).double()
    image = torch.tensor([[1, 0, 0, 1], [1, 0, 1, 0]]).double()
    known = torch.tensor([[0, 1, 0, 0], [1, 1, 0, 1]]) > 0
    drawn, weights = mine(network, image.where(known, 0.0), known, uniforms)
    assert torch.equal(drawn[:, known], image[known].expand(40, -1)), (
        "a pixel that is known comes out as another one"
    )
    white = network(drawn)  # causal: of each pixel given those before it
    assert torch.equal(drawn[:, ~known] > 0, (uniforms < white)[:, ~known]), (
        "an unknown pixel is not what its u and its probability say, given all"
        " pixels before it, known and drawn"
    )
    p = white.where(drawn > 0, 1 - white)
    q = p.where(~known, 1.0)  # a known pixel is not drawn
    right = p.flatten(1).prod(1) / q.flatten(1).prod(1)
    assert torch.allclose(weights.exp(), right), (
        "the weights are not p/q: how probable is a particle in the model, and"
        " how probable was it that these draws gave it?"
    )
    others = mine(network, image.where(known, 1.0), known, uniforms)
    assert torch.equal(others[0], drawn) and torch.equal(others[1], weights), (
        "what stands in the image where it is not known makes a difference"
    )
    ### END HIDDEN TESTS


test_clamped()

# %% [markdown]
# How many particles are as good as these? If all weights are the same, all $K$ count; if one is far
# larger than all others, only that one does. The *effective sample size* is
# $(\sum_k w_k)^2/\sum_k w_k^2$. Weights of whole images are far too small for float32, so only their
# logarithms are given (3 points).


# %% nbgrader={"grade_id": "t7-ess", "solution": true}
def effective_sample_size(log_weights):
    """The effective sample size, shape (...).

    log_weights: float32, some may be -inf, shape (..., K).
    """
    ### BEGIN SOLUTION
    return 1 / log_weights.softmax(-1).square().sum(-1)
    ### END SOLUTION


# %% nbgrader={"grade_id": "t7-ess-tests", "grade": true, "points": 3}
def test_effective_sample_size():
    import torch

    found = effective_sample_size(torch.zeros(2, 5))
    assert found.shape == (2,), "one number for each set of particles"
    assert torch.allclose(found, torch.tensor(5.0)), "all count the same here"
    ### BEGIN HIDDEN TESTS
    mine = on_its_own(effective_sample_size)
    random = torch.Generator().manual_seed(93)
    logs = 2 * torch.randn(4, 9, generator=random)
    weights = logs.double().exp().tolist()
    right = [sum(w) ** 2 / sum(one**2 for one in w) for w in weights]
    assert torch.allclose(mine(logs).double(), torch.tensor(right).double()), (
        "for weights drawn at random, another number than the formula gives"
    )
    lost = torch.tensor([[0.0, -torch.inf, 0.0], [0.0, 0.0, 0.0]])
    assert torch.allclose(mine(lost), torch.tensor([2.0, 3.0])), (
        "one of three particles is impossible: its weight is 0, and the two"
        " others count as before"
    )
    for shift in (-3000.0, 3000.0):
        found = mine(logs + shift).double()
        assert torch.allclose(found, torch.tensor(right).double(), rtol=1e-2), (
            "all weights times the same factor, very small or very large: the"
            " effective sample size must stay as it is"
        )
    ### END HIDDEN TESTS


test_effective_sample_size()

# %% [markdown]
# At last, turn weighted particles into completions: draw from the particles, each with a probability
# proportional to its weight (3 points). Which $u$ gives which particle is up to you.


# %% nbgrader={"grade_id": "t7-resample", "solution": true}
def resample(particles, log_weights, uniforms):
    """Draw M of the particles, with replacement; shape (M, H, W).

    particles: shape (K, H, W). log_weights: shape (K,).
    uniforms: one number in [0, 1) for each draw, shape (M,).
    """
    ### BEGIN SOLUTION
    up_to = log_weights.double().softmax(0).cumsum(0)
    up_to = up_to / up_to[-1].clone()
    return particles[torch.searchsorted(up_to, uniforms.double(), right=True)]
    ### END SOLUTION


# %% nbgrader={"grade_id": "t7-resample-tests", "grade": true, "points": 3}
def test_resample():
    import torch

    particles = torch.arange(3.0).view(3, 1, 1)
    sure = torch.tensor([-torch.inf, 0.0, -torch.inf])
    found = resample(particles, sure, torch.tensor([0.3, 0.7]))
    assert found.shape == (2, 1, 1), "one image for each draw"
    assert (found == 1).all(), "the others are impossible"
    ### BEGIN HIDDEN TESTS
    mine = on_its_own(resample)
    random = torch.Generator().manual_seed(94)
    particles = torch.arange(7.0).view(7, 1, 1).expand(7, 2, 2)
    logs = 2 * torch.randn(7, generator=random)
    right = logs.double().exp() / logs.double().exp().sum()
    uniforms = (torch.arange(4000) + 0.5) / 4000

    def worst(shift):
        """How far is a share from its probability, after so many draws?"""
        found = mine(particles, logs + shift, uniforms)[:, 1, 1].long()
        share = torch.bincount(found, minlength=7) / 4000
        return (share - right).abs().max()

    assert worst(0.0) < 1e-3, (
        "for u spread evenly over 0 … 1, the shares of the particles are not"
        " proportional to their weights"
    )
    assert worst(-3000.0) < 1e-3, (
        "right for large weights; for very small ones, as those of images are,"
        " the shares of the particles are not proportional to them"
    )
    ### END HIDDEN TESTS


test_resample()

# %% [markdown]
# ## Task 8: an experiment: too good to be true (8 points)
#
# Four models of black-and-white digits, all trained alike. Each predicts a pixel from some of the
# pixels around it. Which one is the best? Their log-likelihoods are easily compared. But not every
# function of an image that is called a probability is one.

# %% nbgrader={"grade_id": "t8-given"}
LOOKS = {  # at the pixel that lies so many rows up and so many columns left
    "ant": [(0, 1), (1, 0)],
    "bee": [(0, 1), (1, 0), (0, -1), (1, 1), (1, -1)],
    "cat": [(0, 0), (0, 1), (1, 0)],
    "dog": [(0, 1), (0, 2), (1, 0), (1, 1), (1, -1), (2, -1), (2, 0), (2, 1)],
}


class Model(torch.nn.Module):
    """Gives images of 0 and 1, (N, 1, H, W) of any size, a log_prob, (N,)."""

    def __init__(self, looks):
        super().__init__()
        self.looks = looks
        first = torch.nn.Conv2d(len(looks), 24, 1)
        last = torch.nn.Conv2d(24, 1, 1)
        self.body = torch.nn.Sequential(first, torch.nn.ReLU(), last)

    def log_prob(self, images):
        x = images.float()
        moved = [
            torch.nn.functional.pad(x, (left, -left, up, -up))
            for up, left in self.looks
        ]
        logits = self.body(torch.cat(moved, 1))
        wrong = torch.nn.functional.binary_cross_entropy_with_logits
        return -wrong(logits, x, reduction="none").sum((1, 2, 3))


def trained(looks, images):
    """A model that looks there, after 100 steps with batches of 50."""
    torch.manual_seed(0)
    model = Model(looks)
    adam = torch.optim.Adam(model.parameters(), lr=0.03)
    for _ in range(100):
        loss = -model.log_prob(images[torch.randint(len(images), (50,))])
        adam.zero_grad()
        loss.mean().backward()
        adam.step()
    return model.requires_grad_(False)


digits = data.load("digits")
seen_digits = (digits.train.images > 7).byte()
test_digits = (digits.test.images > 7).byte()
models = {name: trained(looks, seen_digits) for name, looks in LOOKS.items()}

# %% [markdown]
# The probabilities of all images that there can be sum to 1. For tiny images you can check it: write
# the sum (4 points).


# %% nbgrader={"grade_id": "t8-total", "solution": true}
def total_probability(log_prob, channels, height, width, levels):
    """The sum of exp(log_prob) over all images of this size, a float.

    log_prob: images, uint8 levels, (N, C, H, W) → nats, (N,).
    """
    ### BEGIN SOLUTION
    values = channels * height * width
    number = torch.arange(levels**values)[:, None]
    digit = number // levels ** torch.arange(values) % levels
    images = digit.view(-1, channels, height, width).byte()
    return log_prob(images).double().exp().sum().item()
    ### END SOLUTION


# %% nbgrader={"grade_id": "t8-total-tests", "grade": true, "points": 4}
def test_total_probability():
    import torch

    def fair(images):
        """Two levels, equally probable at each pixel."""
        assert images.dtype == torch.uint8, "levels are uint8"
        return -images[0].numel() * torch.tensor(2.0).log().expand(len(images))

    total = total_probability(fair, 1, 2, 2, 2)
    assert abs(total - 1) < 1e-4, "16 images of probability 1/16"
    ### BEGIN HIDDEN TESTS
    random = torch.Generator().manual_seed(95)
    for channels, height, width, levels in [
        (1, 2, 2, 3),
        (2, 1, 2, 3),
        (1, 1, 3, 5),
        (3, 1, 2, 2),
    ]:
        values = channels * height * width
        table = torch.randn([levels] * values, generator=random).double()
        table = table.flatten().log_softmax(0).view_as(table)

        def of_table(images, table=table):
            return table[tuple(images.flatten(1).long().T)]

        total = total_probability(of_table, channels, height, width, levels)
        assert abs(total - 1) < 1e-4, (
            "the probabilities of all images come from a table that sums to 1,"
            f" and yet another sum is found; {levels} levels, {channels}"
            f" channels, {height} x {width} pixels"
        )

        def bent(images, of_table=of_table):
            return of_table(images) + 0.5 * images[:, 0, 0, 0]

        total = total_probability(bent, channels, height, width, levels)
        first = table.exp().flatten(1).sum(1)
        right = (first * (0.5 * torch.arange(levels)).exp()).sum()
        assert abs(total - right) < 1e-3, (
            "these numbers are no probabilities and do not sum to 1; another sum"
            " is found than theirs"
        )
    ### END HIDDEN TESTS


test_total_probability()

# %% [markdown]
# Now measure, with `models` and `test_digits` (4 points): what does each model claim, in the mean over
# the test images? What do its probabilities of all images of 3 x 3 black or white pixels sum to? And
# which of the four would you choose?

# %% nbgrader={"grade_id": "t8-answer", "solution": true}
# claims: name of a model → mean of its log_prob over test_digits, nats per image
# totals: name of a model → sum of its probabilities of all 3 x 3 images
# best: name of the model that describes the digits best
### BEGIN SOLUTION
claims = {
    name: model.log_prob(test_digits).mean().item()
    for name, model in models.items()
}
totals = {
    name: total_probability(model.log_prob, 1, 3, 3, 2)
    for name, model in models.items()
}
honest = [name for name in models if abs(totals[name] - 1) < 0.01]
best = max(honest or models, key=claims.get)
### END SOLUTION


# %% nbgrader={"grade_id": "t8-answer-tests", "grade": true, "points": 4}
def test_answer():
    assert set(claims) == set(models), "one number for each model"
    assert set(totals) == set(models), "one sum for each model"
    assert best in models, "name one of the four models"
    ### BEGIN HIDDEN TESTS
    for name, model in models.items():
        right = float(model.log_prob(test_digits).mean())
        assert abs(float(claims[name]) - right) < 0.01, (
            "not the mean of what this model claims for the images of the test"
            " part"
        )
        right = total_probability(model.log_prob, 1, 3, 3, 2)
        assert abs(float(totals[name]) - right) < 0.01 * right + 1e-9, (
            "not what your function finds for this model, and black or white"
            " images of 3 x 3 pixels"
        )
    fair = [name for name in models if abs(float(totals[name]) - 1) < 0.01]
    assert not fair or best == max(
        fair, key=lambda name: float(claims[name])
    ), (
        "look at both tables: what a model claims counts only if it is a claim"
        " about probabilities"
    )
    ### END HIDDEN TESTS


test_answer()
