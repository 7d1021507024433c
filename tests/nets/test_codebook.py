"""A codebook against the same written out, and against k-means."""

import copy
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from sklearn.cluster import KMeans
from torch import Tensor

from genlearn.nets import Codebook, perplexity


def vectors(count: int, dim: int = 3, seed: int = 0) -> Tensor:
    return torch.randn(count, dim, generator=torch.Generator().manual_seed(seed))


def codebook(codes: int = 5, dim: int = 3, **options) -> Codebook:
    torch.manual_seed(1)
    return Codebook(codes, dim, **options)


def settled(**options) -> Codebook:
    """A codebook that has seen much, so that no word of it is dead."""
    book = codebook(**options)
    for seed in range(30):
        book(vectors(200, seed=100 + seed))
        book.update()
    return book


def test_codes_name_the_nearest_codeword():
    book, v = codebook(), vectors(60).view(4, 5, 3, 3)
    expected = cdist(v.reshape(-1, 3), book.words).argmin(1).reshape(4, 5, 3)
    assert np.array_equal(book.nearest(v), expected)
    assert np.array_equal(book(v).codes, expected)


def test_the_first_of_equally_near_codewords_is_chosen():
    book = codebook()
    book.words.copy_(book.words[:1].expand(5, 3))
    assert book.nearest(vectors(9)).tolist() == [0] * 9


def test_quantised_vectors_are_the_codewords_to_the_last_bit():
    book, v = codebook(), 1e3 * vectors(60)
    assert torch.equal(book(v).vectors, book.words[book.nearest(v)])


def test_the_straight_through_gradient_is_that_of_the_identity():
    book, v, upstream = codebook(), vectors(60).requires_grad_(), vectors(60, seed=2)
    (gradient,) = torch.autograd.grad(book(v).vectors, v, upstream)
    assert torch.equal(gradient, upstream)


def test_the_distance_pulls_the_vector_to_its_codeword():
    book, v = codebook(), vectors(60).requires_grad_()
    distance = book(v).distance
    away = (v - book.words[book.nearest(v)]).detach()
    torch.testing.assert_close(distance, away.square().sum(1))
    assert distance.requires_grad
    (gradient,) = torch.autograd.grad(distance.sum(), v)
    torch.testing.assert_close(gradient, 2 * away)
    assert not list(book.parameters())  # nothing else could be pulled


@pytest.mark.parametrize("smoothing", [0.0, 0.5])
def test_codewords_are_moving_means(smoothing):
    """Counts, sums and smoothing as in the papers, over five updates, in NumPy."""
    book = codebook(decay=0.9, smoothing=smoothing, restart=0)
    words = book.words.double().numpy()
    counts, sums = np.zeros(5), np.zeros((5, 3))
    for seed in range(5):
        v = vectors(40, seed=seed)
        chosen = np.eye(5)[cdist(v, words).argmin(1)]
        counts = 0.9 * counts + 0.1 * chosen.sum(0)
        sums = 0.9 * sums + 0.1 * chosen.T @ v.double().numpy()
        total = counts.sum()
        smooth = (counts + smoothing) / (total + 5 * smoothing) * total
        words = np.where(counts[:, None] > 0, sums / np.maximum(smooth, 1e-300)[:, None], words)
        book(v)
        book.update()
        np.testing.assert_allclose(book.counts, counts, rtol=1e-5)
        np.testing.assert_allclose(book.words, words, rtol=1e-4, atol=1e-6)


def test_two_passes_and_one_update_are_one_pass_over_both():
    """So gradients may be accumulated: nothing moves before the update."""
    parts = settled()
    whole = copy.deepcopy(parts)
    v = vectors(80)
    before = parts.words.clone()
    codes = torch.cat([parts(half).codes for half in v.chunk(2)])
    assert torch.equal(parts.words, before)
    assert torch.equal(codes, whole(v).codes)
    parts.update()
    whole.update()
    for name in ("words", "counts", "sums"):
        torch.testing.assert_close(getattr(parts, name), getattr(whole, name))
    assert not torch.equal(parts.words, before)


def test_without_memory_updates_are_lloyds_algorithm():
    """Full batches of fixed vectors end where scikit-learn's k-means ends from the same start."""
    centres = torch.tensor([[0.0, 0.0], [4, 0], [0, 4], [4, 4]])
    v = (vectors(400, 2) + centres.repeat(100, 1)).double().float()
    book = Codebook(4, 2, decay=0.0, smoothing=0.0, restart=0.0)
    book.words.copy_(v[:4] + 0.5)
    theirs = KMeans(4, init=book.words.numpy(), n_init=1, tol=0, algorithm="lloyd").fit(v.numpy())
    errors = []
    for _ in range(theirs.n_iter_ + 1):
        errors.append(book(v).distance.mean().item())
        book.update()
    np.testing.assert_allclose(book.words, theirs.cluster_centers_, atol=1e-5)
    assert all(later <= earlier + 1e-6 for earlier, later in pairwise(errors))
    assert errors[-1] < errors[0] - 0.1


def test_a_moving_mean_of_fixed_vectors_comes_to_rest_where_lloyds_algorithm_does():
    """Codes that no longer change make a moving mean a mean."""
    v = torch.cat([vectors(50, 2), vectors(50, 2) + 20])
    book = Codebook(2, 2, decay=0.9, restart=0.0, smoothing=0.0)
    book.words.copy_(torch.tensor([[5.0, 5.0], [15.0, 15.0]]))
    for _ in range(20):
        book(v)
        book.update()
    expected = torch.stack([v[:50].mean(0), v[50:].mean(0)])
    torch.testing.assert_close(book.words, expected, rtol=1e-4, atol=1e-4)


# --- dead codewords ----------------------------------------------------------


def test_a_dead_codeword_begins_anew_at_a_vector_of_the_last_batch():
    book = settled()
    book.words[2], book.sums[2], book.counts[2] = 1e3, 0, 0
    v = vectors(80)
    assert 2 not in book(v).codes
    before = book.restarts.item()
    book.update()
    assert book.restarts == before + 1
    assert (book.words[2] == v).all(1).any()
    assert book.counts[2] == pytest.approx(book.counts.mean().item(), rel=0.3)
    assert 2 in book(v).codes  # the vector where it lies now, at least
    book.update()
    assert book.words[2].abs().max() < 10  # it moved on from there with its own mean


def test_a_restart_share_of_0_lets_the_dead_lie():
    book = settled(restart=0.0)
    book.words[2], book.sums[2], book.counts[2] = 1e3, 0, 0
    for seed in range(20):
        book(vectors(80, seed=seed))
        book.update()
    assert book.words[2].tolist() == [1e3] * 3
    assert book.restarts == 0


def test_the_first_update_takes_the_codebook_from_the_data():
    """However far away the words began, and however few of them were nearest to anything."""
    v = vectors(300) + 50
    book = codebook(20)
    assert perplexity(book(v).codes, 20) < 3
    book.update()
    assert perplexity(book(v).codes, 20) > 10
    assert len({tuple(word) for word in book.words.tolist()}) == 20


def test_a_batch_with_fewer_vectors_than_codewords_will_do():
    book = codebook(20)
    v = vectors(3)
    book(v)
    book.update()
    assert book(v).distance.max() < 1e-6


# --- what is kept ------------------------------------------------------------


def test_evaluation_takes_no_note():
    book = settled().eval()
    before = copy.deepcopy(book.state_dict())
    book(vectors(80))
    book.nearest(vectors(80))
    book.update()
    assert all(torch.equal(value, before[name]) for name, value in book.state_dict().items())


def test_an_update_without_a_pass_changes_nothing():
    book = settled()
    book.words[2], book.sums[2], book.counts[2] = 1e3, 0, 0
    before = copy.deepcopy(book.state_dict())
    book.update()
    assert all(torch.equal(value, before[name]) for name, value in book.state_dict().items())


def test_the_state_holds_all_that_an_update_needs():
    """Also between a pass and its update, and with a codeword to revive."""
    book, other = settled(), codebook()
    book.words[2], book.sums[2], book.counts[2] = 1e3, 0, 0
    book(vectors(80))
    other.load_state_dict(copy.deepcopy(book.state_dict()))
    book.update()
    other.update()
    assert torch.equal(book.words, other.words)


def test_bf16_changes_no_code_and_no_mean():
    book = settled()
    plain, v = copy.deepcopy(book), vectors(500)
    with torch.autocast("cpu", torch.bfloat16):
        quantised = book(v)
        book.update()
    assert torch.equal(quantised.codes, plain(v).codes)
    plain.update()
    assert torch.equal(book.words, plain.words)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"codes": 0}, "codes and dim must be at least 1, got 0 and 3"),
        ({"dim": 0}, "codes and dim"),
        ({"decay": 1.0}, "decay must be"),
        ({"decay": -0.1}, "decay must be"),
        ({"smoothing": -1.0}, "negative smoothing or restart"),
        ({"restart": -1.0}, "negative smoothing or restart"),
    ],
)
def test_settings_that_make_no_sense_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        codebook(**options)


# --- perplexity --------------------------------------------------------------


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ([0, 1, 2, 3], 4),
        ([2, 2, 2], 1),
        ([0, 0, 1, 3], 2**1.5),  # 1/2, 1/4, 1/4: an entropy of 1.5 bits
        ([[0, 1], [1, 0]], 2),
    ],
    ids=str,
)
def test_perplexity_is_the_effective_number_of_codes(codes, expected):
    assert perplexity(torch.tensor(codes), 4).item() == pytest.approx(expected, rel=1e-6)
