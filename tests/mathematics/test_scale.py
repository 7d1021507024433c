"""The equations of chapter 25, each against something independent of its derivation."""

import itertools
import math
import queue
import threading

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.checkpoint import checkpoint, set_checkpoint_early_stop
from torch.utils.flop_counter import FlopCounterMode

from genlearn import models, nets
from genlearn.bench import Ceilings, Cost
from genlearn.data import Batches, Split
from genlearn.training import Objective, fit

DOUBLE = {"dtype": torch.float64}


def flops(run) -> int:
    """FLOPs as PyTorch counts them, attention in its plain form."""
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


def nearest(x):
    """Rounded to bfloat16."""
    return x.bfloat16().double()


# --- operations ----------------------------------------------------------------


@pytest.mark.equation("eq-scale-amdahl")
@pytest.mark.parametrize("workers", [1, 2, 5, 30])
def test_a_part_that_is_shared_out_speeds_up_the_whole_as_far_as_the_rest_lets_it(workers):
    """Sixty equal tasks handed to whoever is free, after forty that only one can do."""
    alone, shared = 40, 60
    free = [float(alone)] * workers
    for _ in range(shared):
        earliest = min(range(workers), key=free.__getitem__)
        free[earliest] += 1
    p = shared / (alone + shared)
    speed_up = (alone + shared) / max(free)
    assert speed_up == pytest.approx(1 / (1 - p + p / workers))
    assert speed_up <= 1 / (1 - p)


@pytest.mark.equation("eq-scale-linear", "eq-scale-backward")
@pytest.mark.parametrize("sizes", [(1, 2, 3), (7, 5, 4)])
def test_a_linear_layer_costs_two_operations_a_weight_and_its_way_back_twice_that(sizes):
    """One operation at a time, and by PyTorch's counter, which knows no layers."""
    n, a, b = sizes
    x, w = torch.randn(n, a, **DOUBLE), torch.randn(a, b, **DOUBLE)
    operations, y = 0, torch.zeros(n, b, **DOUBLE)
    for i, j, k in itertools.product(range(n), range(b), range(a)):
        y[i, j] += x[i, k] * w[k, j]
        operations += 2
    torch.testing.assert_close(y, x @ w)
    assert operations == 2 * n * a * b == flops(lambda: x @ w)

    x.requires_grad_()
    w.requires_grad_()
    assert flops(lambda: (x @ w).sum().backward()) == 3 * operations
    upstream = torch.randn(n, b, **DOUBLE)
    of_x, of_w = torch.autograd.grad(x @ w, (x, w), upstream)
    torch.testing.assert_close(of_x, upstream @ w.T)
    torch.testing.assert_close(of_w, x.T @ upstream)
    x = x.detach()  # pixels: nobody asks for their derivative
    assert flops(lambda: (x @ w).sum().backward()) == 2 * operations


@pytest.mark.equation("eq-scale-conv")
@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (3, 1), (4, 2)])
def test_a_convolution_is_a_linear_layer_at_each_place(kernel, stride):
    x, layer = torch.randn(2, 3, 8, 8), nn.Conv2d(3, 5, kernel, stride, padding=kernel // 2)
    y = layer(x)
    pieces = F.unfold(x, kernel, padding=kernel // 2, stride=stride)  # (N, k²C, places)
    weight = layer.weight.flatten(1).T
    by_hand = pieces.movedim(1, 2) @ weight + layer.bias
    torch.testing.assert_close(y.flatten(2).movedim(1, 2), by_hand)
    expected = 2 * 2 * y.shape[2] * y.shape[3] * kernel**2 * 3 * 5
    assert flops(lambda: layer(x)) == flops(lambda: pieces.movedim(1, 2) @ weight) == expected
    back = nn.ConvTranspose2d(5, 3, kernel, stride)
    assert flops(lambda: back(y)) == expected


@pytest.mark.equation("eq-scale-causal")
@pytest.mark.parametrize("kernel", [3, 5, 7])
def test_the_useful_share_of_a_causal_convolution(kernel):
    """Which weights the library's mask keeps, and how many multiplications it does for them."""
    places = {}
    for kind in "AB":
        layer = nets.MaskedConv2d(1, 1, kernel, kind)
        x = torch.zeros(1, 1, 6, 6)
        assert flops(lambda layer=layer, x=x: layer(x)) == 2 * 36 * layer.weight.numel()
        places[kind] = int((layer.masked_weight() != 0).sum()) / layer.weight.numel()
        assert layer.weight.numel() == kernel * (kernel + 1) / 2
    assert places["A"] == pytest.approx((kernel - 1) / kernel)
    assert places["B"] == pytest.approx((kernel**2 + 1) / (kernel * (kernel + 1)))


@pytest.mark.equation("eq-scale-lstm")
def test_a_step_of_an_lstm_is_four_gates():
    n, d, h = 3, 5, 7
    cell = nn.LSTMCell(d, h)
    x, state, memory = torch.randn(n, d), torch.randn(n, h), torch.randn(n, h)

    def by_hand():
        gates = F.linear(x, cell.weight_ih, cell.bias_ih) + F.linear(
            state, cell.weight_hh, cell.bias_hh
        )
        i, f, g, o = gates.chunk(4, 1)
        kept = f.sigmoid() * memory + i.sigmoid() * g.tanh()
        return o.sigmoid() * kept.tanh()

    torch.testing.assert_close(by_hand(), cell(x, (state, memory))[0])
    assert flops(by_hand) == 8 * n * h * (d + h)


@pytest.mark.equation("eq-scale-attention")
@pytest.mark.parametrize("heads", [1, 2, 4])
def test_attention_is_linear_and_square_in_the_places(heads):
    d = 8
    layer = nn.MultiheadAttention(d, heads, batch_first=True)
    for n in (3, 16, 40):
        x = torch.randn(1, n, d)
        count = flops(lambda x=x: layer(x, x, x, need_weights=False))
        assert count == 8 * n * d**2 + 4 * n**2 * d
        assert (4 * n**2 * d > 8 * n * d**2) == (n > 2 * d)


# --- bytes -----------------------------------------------------------------------


@pytest.mark.equation("eq-scale-roofline")
@pytest.mark.parametrize("intensity", [0.3, 1.0, 4.0, 20.0])
def test_no_order_of_loads_and_products_beats_the_roof(intensity):
    """A machine that loads one tile while it computes another, tile by tile."""
    peak, bandwidth, total = 8.0, 2.0, 1000.0  # FLOPs and bytes a second; bytes
    work = intensity * total
    reached = []
    for tiles in (1, 10, 1000):
        loaded = computed = 0.0
        for _ in range(tiles):
            loaded += total / tiles / bandwidth
            computed = max(loaded, computed) + work / tiles / peak
        reached.append(work / computed)
    roof = min(peak, bandwidth * intensity)
    least = Ceilings(peak, bandwidth).least_seconds(Cost(work, total, {}))
    assert least == pytest.approx(work / roof)
    assert all(speed <= roof * (1 + 1e-9) for speed in reached)
    assert reached == sorted(reached)
    assert reached[-1] == pytest.approx(roof, rel=0.01)


@pytest.mark.equation("eq-scale-intensity", "eq-scale-conv-intensity")
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_intensity_is_counted_operations_over_the_bytes_of_the_tensors(kind):
    n, a, b = 6, 10, 4
    x, w = torch.ones(n, a, dtype=kind), torch.ones(a, b, dtype=kind)
    size = kind.itemsize
    measured = flops(lambda: x @ w) / sum(t.nbytes for t in (x, w, x @ w))
    assert measured == pytest.approx(2 / size / (1 / n + 1 / a + 1 / b))
    assert measured < 2 / size * min(n, a, b)

    image, layer = torch.ones(2, 3, 8, 8), nn.Conv2d(3, 5, 3, padding=1, bias=False)
    moved = sum(t.nbytes for t in (image, layer.weight, layer(image)))
    formula = 2 / 4 / (1 / 128 + 1 / (9 * 3) + 1 / (9 * 5))
    assert flops(lambda: layer(image)) / moved == pytest.approx(formula)


@pytest.mark.equation("eq-scale-state")
@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW])
def test_training_keeps_sixteen_bytes_a_parameter(kind):
    network = nets.mlp((30, 50, 20))
    adam = kind(network.parameters())
    network(torch.randn(2, 30)).sum().backward()
    adam.step()
    weights = list(network.parameters())
    kept = [*weights, *(w.grad for w in weights)]
    kept += [t for state in adam.state.values() for t in state.values() if t.ndim]
    assert sum(t.nbytes for t in kept) == 16 * sum(w.numel() for w in weights)


# --- eight bits --------------------------------------------------------------------


@pytest.fixture(scope="module")
def numbers():
    """All positive normal numbers of bfloat16, by their bits, in order."""
    bits = torch.arange(2**7, 255 * 2**7, dtype=torch.int32) << 16
    return bits.view(torch.float32).double()


@pytest.mark.equation("eq-scale-spacing", "eq-scale-rounding")
def test_every_interval_between_powers_of_two_has_128_numbers(numbers):
    exponent = torch.frexp(numbers).exponent - 1
    assert torch.equal(exponent.unique(return_counts=True)[1], torch.full((254,), 128))
    spacing = numbers.diff()
    torch.testing.assert_close(spacing, torch.exp2(exponent[:-1].double() - 7), rtol=0, atol=0)
    torch.manual_seed(0)
    between = numbers[:-1] + spacing * torch.rand(len(spacing), **DOUBLE)
    for x in (between, numbers[:-1] + spacing / 2):  # anywhere, and where the error is largest
        x = x.float().double()
        error = (nearest(x) - x).abs()
        assert (error <= spacing / 2).all()
        assert (error <= 2.0**-8 * x).all()
    assert (error / x).max() > 0.99 * 2.0**-8  # and no better bound holds


@pytest.mark.equation("eq-scale-lost")
def test_an_update_below_a_part_in_512_is_lost_for_every_weight(numbers):
    weights = numbers[2000:-2000]
    for sign in (1, -1):
        lost = weights + sign * weights * 2.0**-9 * (1 - 2.0**-10)
        assert torch.equal(nearest(lost), weights)
    powers = weights[torch.frexp(weights).mantissa == 0.5]
    assert (nearest(powers - powers * 2.0**-9 * (1 + 2.0**-8)) < powers).all()  # it is sharp


@pytest.mark.equation("eq-scale-lost")
def test_fit_in_bf16_keeps_updates_that_bfloat16_would_lose():
    """A thousandth of half a spacing a step, for every weight; the products are rounded."""
    torch.manual_seed(0)
    split, kinds = Split(torch.zeros(8, 1, 1, 1, dtype=torch.uint8), None, 2), set()
    layer = nn.Linear(4, 4, bias=False)
    with torch.no_grad():
        layer.weight.fill_(1.0)
    sgd = torch.optim.SGD(layer.parameters(), lr=2.0**-20)

    def loss(step):
        out = layer(torch.ones(1, 4))
        kinds.add(out.dtype)
        return out.float().sum()

    fit({"net": layer}, [Objective("net", loss, sgd)], Batches(split, 2), 8, precision="bf16",
        device="cpu")  # fmt: skip
    assert kinds == {torch.bfloat16}
    assert layer.weight.dtype == torch.float32
    assert (layer.weight == 1 - 8 * 2.0**-20).all()
    assert (layer.weight.bfloat16() == 1).all()


def test_the_sum_of_ones_in_bfloat16_stays_at_256():
    total = torch.tensor(0.0, dtype=torch.bfloat16)
    seen = [float(total := total + 1) for _ in range(600)]
    assert seen[:256] == list(range(1, 257))
    assert set(seen[256:]) == {256.0}


@pytest.mark.equation("eq-scale-stochastic")
def test_all_sixteen_bits_of_chance_together_are_the_number_itself():
    """Every random number that can be added to the bits to be cut off, once each."""
    chance = torch.arange(2**16, dtype=torch.int32)
    for value in (1.003, 86.26, 257.0, 3e-5):
        x = torch.tensor(value)
        rounded = ((x.view(torch.int32) + chance) & -(2**16)).view(torch.float32).double()
        low, high = rounded.min(), rounded.max()
        assert low < x < high
        assert torch.equal(rounded, nearest(rounded.float()))
        assert torch.equal(nearest(torch.stack([low, high]).float()), torch.stack([low, high]))
        x = x.double()
        assert float((rounded == high).double().mean()) == pytest.approx(
            float((x - low) / (high - low))
        )
        torch.testing.assert_close(rounded.mean(), x)
        torch.testing.assert_close(rounded.var(correction=0), (x - low) * (high - x))


# --- several processes ---------------------------------------------------------------


def small_gradient(images, weights):
    loss = (images @ weights).tanh().square().sum(1).mean()
    return torch.autograd.grad(loss, weights)[0]


@pytest.mark.equation("eq-scale-union")
@pytest.mark.parametrize("sizes", [(4, 4, 4), (1, 5, 2)])
def test_gradients_of_parts_are_averaged_with_their_sizes(sizes):
    torch.manual_seed(0)
    weights = torch.randn(6, 3, requires_grad=True, **DOUBLE)
    images = torch.randn(sum(sizes), 6, **DOUBLE)
    parts = [small_gradient(part, weights) for part in images.split(sizes)]
    union = small_gradient(images, weights)
    weighted = sum(n / sum(sizes) * g for n, g in zip(sizes, parts, strict=True))
    torch.testing.assert_close(weighted, union)
    plain = sum(parts) / len(parts)
    assert torch.allclose(plain, union) == (len(set(sizes)) == 1)


@pytest.mark.equation("eq-scale-union")
def test_accumulating_in_fit_is_the_step_of_the_union():
    """Two batches of 8 against one of 16: the stream of images is the same."""
    torch.manual_seed(0)
    split = Split(torch.randint(2, (64, 1, 4, 4)).to(torch.uint8), None, 2)
    after = []
    for size, accumulate in ((8, 2), (16, 1)):
        torch.manual_seed(0)
        network = nn.Linear(16, 3, **DOUBLE)
        sgd = torch.optim.SGD(network.parameters(), lr=0.1)

        def loss(step, network=network):
            return network(step.batch[0].flatten(1).double()).tanh().square().sum(1).mean()

        objective = Objective("loss", loss, sgd)
        fit(
            {"net": network}, [objective], Batches(split, size), 5, accumulate=accumulate,
            device="cpu",
        )  # fmt: skip
        after.append(network.weight.detach().clone())
    torch.testing.assert_close(*after)


@pytest.mark.equation("eq-scale-between")
@pytest.mark.parametrize("count", [2, 4])
def test_the_variance_of_a_union_has_the_scatter_of_the_means_in_it(count):
    torch.manual_seed(0)
    x = torch.randn(24, 5, **DOUBLE) * 2 + torch.arange(24, **DOUBLE)[:, None]
    layer = nn.BatchNorm1d(5, momentum=1.0).double()
    statistics = []
    for part in x.chunk(count):
        layer(part)
        n = len(part)
        statistics.append((layer.running_mean.clone(), layer.running_var * (n - 1) / n))
    means, variances = (torch.stack(values) for values in zip(*statistics, strict=True))
    mean = means.mean(0)
    torch.testing.assert_close(mean, x.mean(0))
    between = (means - mean).square().mean(0)
    torch.testing.assert_close(variances.mean(0) + between, x.var(0, correction=0))
    assert (between > 0.1).all()


def test_a_part_of_n_values_lacks_one_nth_of_the_variance_on_average():
    """All samples of two and of three values of a fair die."""
    die = torch.arange(6, **DOUBLE)
    for n in (2, 3):
        draws = torch.cartesian_prod(*[die] * n)
        found = draws.var(1, correction=0).mean()
        torch.testing.assert_close(found, (1 - 1 / n) * die.var(correction=0))


@pytest.mark.equation("alg-scale-ring", "eq-scale-ring")
@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_threads_in_a_ring_all_end_with_the_sum_and_send_less_than_twice_their_vector(count):
    """Each process a thread that knows its own vector and its neighbour's letter box alone."""
    length = 5 * count
    torch.manual_seed(0)
    vectors = torch.randn(count, length)
    boxes = [queue.Queue() for _ in range(count)]
    results, sent = [None] * count, [0] * count

    def process(r):
        chunks = list(vectors[r].clone().chunk(count))
        for t in range(count - 1):
            mine = chunks[(r - t) % count]
            sent[r] += mine.nbytes
            boxes[(r + 1) % count].put(mine)
            place = (r - 1 - t) % count
            chunks[place] = chunks[place] + boxes[r].get(timeout=10)
        for t in range(count - 1):
            mine = chunks[(r + 1 - t) % count]
            sent[r] += mine.nbytes
            boxes[(r + 1) % count].put(mine)
            chunks[(r - t) % count] = boxes[r].get(timeout=10)
        results[r] = torch.cat(chunks)

    threads = [threading.Thread(target=process, args=(r,)) for r in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    torch.testing.assert_close(results[0], vectors.sum(0))
    assert all(torch.equal(result, results[0]) for result in results)
    size = vectors[0].nbytes
    assert sent == [2 * (count - 1) / count * size] * count
    assert max(sent) < 2 * size


# --- noise -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def gradients():
    """Gradients of five images in three directions, and second derivatives."""
    torch.manual_seed(0)
    each = torch.randn(5, 3, **DOUBLE) + torch.tensor([1.0, 0.0, -1.0], **DOUBLE)
    root = torch.randn(3, 3, **DOUBLE)
    return each, root @ root.T + torch.eye(3, **DOUBLE)


def all_batches(each, size):
    """The mean gradients of all batches of a size, drawn with replacement, (5^size, 3)."""
    return torch.stack([each[list(b)].mean(0) for b in itertools.product(range(5), repeat=size)])


@pytest.mark.equation("eq-scale-noise")
@pytest.mark.parametrize("size", [1, 2, 4])
def test_the_scatter_of_a_batch_falls_with_its_size(gradients, size):
    each, _ = gradients
    trace = each.T.cov(correction=0).trace()
    batches = all_batches(each, size)
    torch.testing.assert_close(batches.mean(0), each.mean(0))
    torch.testing.assert_close((batches - each.mean(0)).square().sum(1).mean(), trace / size)


def best_step(batches, exact, hessian):
    """The length of a step with the largest mean decrease of a quadratic loss, by search."""

    def decrease(length):
        steps = length * batches
        curved = torch.einsum("ni,ij,nj->n", steps, hessian, steps)
        return (steps @ exact - curved / 2).mean()

    low, high = 0.0, 10.0
    for _ in range(200):  # ternary search: the mean decrease is a parabola
        a, b = low + (high - low) / 3, high - (high - low) / 3
        low, high = (a, high) if decrease(a) < decrease(b) else (low, b)
    return low, decrease(low).item()


@pytest.mark.equation("eq-scale-critical", "eq-scale-tradeoff")
def test_the_best_step_and_its_progress_saturate_at_the_noise_scale(gradients):
    """Over all batches there are, with the best length found by search."""
    each, hessian = gradients
    exact = each.mean(0)
    curvature = exact @ hessian @ exact
    scale = ((hessian @ each.T.cov(correction=0)).trace() / curvature).item()
    longest, most = best_step(exact[None], exact, hessian)
    assert longest == pytest.approx((exact @ exact / curvature).item(), rel=1e-6)
    assert most == pytest.approx(((exact @ exact) ** 2 / 2 / curvature).item())
    fewest_images = None
    for size in (1, 2, 4):
        length, progress = best_step(all_batches(each, size), exact, hessian)
        assert length == pytest.approx(longest / (1 + scale / size), rel=1e-6)
        assert progress == pytest.approx(most / (1 + scale / size))
        # What a fixed decrease takes, in steps and in images, as multiples of the least.
        steps = most / progress
        images = size / progress
        if fewest_images is None:  # E(1) = E_min (1 + 1 / scale)
            fewest_images = images / (1 + 1 / scale)
        assert (steps - 1) * (images / fewest_images - 1) == pytest.approx(1)
        assert images / fewest_images == pytest.approx(1 + size / scale)


@pytest.mark.equation("eq-scale-estimate")
@pytest.mark.parametrize("world", [2, 3])
def test_processes_measure_the_noise_scale_by_two_lengths(gradients, world):
    """Mean squared lengths over all that two or three processes can draw, two images each."""
    each, _ = gradients
    size = 2
    one = all_batches(each, size).square().sum(1).mean()
    together = all_batches(each, size * world).square().sum(1).mean()
    trace = (one - together) / (1 / size - 1 / (world * size))
    torch.testing.assert_close(trace, each.T.cov(correction=0).trace())
    length = (world * together - one) / (world - 1)
    torch.testing.assert_close(length, each.mean(0).square().sum())


# --- checkpoints -------------------------------------------------------------------------


def run_with_failures(work, writing, between, returning, intervals, generator):
    """Mean minutes for one interval, by a program that fails at random."""
    total = 0.0
    remaining = torch.full((intervals,), work + writing, **DOUBLE)
    while len(remaining):
        failure = torch.empty(len(remaining), **DOUBLE).exponential_(
            1 / between, generator=generator
        )
        through = failure >= remaining
        total += remaining[through].sum() + (failure[~through] + returning).sum()
        remaining = remaining[~through]
    return (total / intervals).item()


@pytest.mark.equation("eq-scale-interval")
@pytest.mark.parametrize("work", [20.0, 100.0, 300.0])
def test_the_time_for_an_interval_by_failing_at_random(work):
    generator = torch.Generator().manual_seed(0)
    drawn = run_with_failures(work, 5.0, 100.0, 7.0, 400_000, generator)
    assert drawn == pytest.approx((100 + 7) * math.expm1((work + 5) / 100), rel=0.02)


def overhead(work, writing, between):
    return math.expm1((work + writing) / between) * between / work - 1


@pytest.mark.equation("eq-scale-young", "eq-scale-daly")
@pytest.mark.parametrize("writing", [0.001, 0.01, 0.05])
def test_the_best_interval_found_by_search(writing):
    """Failures come every 1 on average; both rules, and the exact condition, at the minimum."""
    low, high = 1e-6, 3.0
    for _ in range(300):
        a, b = low + (high - low) / 3, high - (high - low) / 3
        low, high = (a, high) if overhead(a, writing, 1) > overhead(b, writing, 1) else (low, b)
    assert math.exp(low + writing) * (1 - low) == pytest.approx(1, abs=1e-6)
    first = math.sqrt(2 * writing)
    second = first - 2 * writing / 3
    assert abs(low - second) < writing**1.5 < abs(low - first) + writing**1.5
    assert abs(low - second) < 0.2 * abs(low - first)
    costs = [writing / t + t / 2 for t in (0.97 * first, first, 1.03 * first)]
    assert min(costs) == costs[1] == pytest.approx(math.sqrt(2 * writing))
    assert overhead(low, writing, 1) == pytest.approx(costs[1], rel=2 * first)


# --- exercises ---------------------------------------------------------------------------


def test_exercise_segments():
    """The most activations in memory, by going through a network of 100 layers."""

    def most(every, layers=100):
        return layers // every + every

    assert min((most(k), k) for k in (1, 2, 4, 5, 10, 20, 25, 50, 100)) == (20, 10)
    network = nets.mlp((8, 8, 8, 8))
    x = torch.randn(4, 8, requires_grad=True)
    once = flops(lambda: network(x))
    with set_checkpoint_early_stop(False):  # else the last layer is not computed twice
        again = flops(lambda: checkpoint(network, x, use_reentrant=False).sum().backward())
    assert again == 4 * once


def test_exercise_the_edge():
    def batch(width):
        """The least N with an intensity of 50, two bytes a number."""
        return next(n for n in range(1, 1000) if 1 / (1 / n + 2 / width) >= 50)

    assert batch(4096) == 52
    assert batch(9 * 64) == 61


def test_exercise_a_second_machine():
    def steps(share):  # batch as a share of the noise scale
        return 1 + 1 / share

    assert 1.1 * steps(2) / steps(1) == pytest.approx(0.825)
    assert 1.1 * steps(0.2) / steps(0.1) == pytest.approx(0.6)
    assert 2 * 1.1 * steps(0.2) / steps(0.1) == pytest.approx(1.2)


def test_a_gan_is_counted_at_any_size_without_computing():
    """Shapes alone: the device called meta gives the count that the CPU gives."""
    counts = []
    for device in ("cpu", "meta"):
        with torch.device(device):
            gan = models.GAN.dcgan((3, 16, 16), 256, latent_dim=8, channels=(8, 16))
            noise = torch.zeros(2, 8)
            counts.append(
                flops(lambda gan=gan, noise=noise: gan.discriminator(gan.generator(noise)))
            )
    assert counts[0] == counts[1] > 0
