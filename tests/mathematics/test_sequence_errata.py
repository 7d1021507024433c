"""Errata of chapter 11: what a source says fails, and what is right holds, on the same case."""

import re
from itertools import permutations, product
from pathlib import Path

import pytest
import torch

from genlearn.models import pixel_lstm

REFERENCES = Path(__file__).resolve().parents[2] / "book" / "references.bib"


@pytest.fixture
def model():
    torch.manual_seed(0)
    return pixel_lstm((1, 2, 2), 2, hidden=6).double().eval()


@pytest.mark.erratum("E3")
def test_the_states_of_the_library_follow_from_the_pixels(model):
    """No draw, no search: run twice, the states are the same, and only the weights can improve."""
    x, states = torch.tensor([[[[0, 1], [1, 0]]]], dtype=torch.uint8), []
    model.network.rnn.register_forward_hook(lambda module, inputs, out: states.append(out[0]))
    log_prob = model.log_prob(x)
    model.log_prob(x)
    assert torch.equal(*states)
    gradients = torch.autograd.grad(log_prob.sum(), list(model.parameters()))
    assert all(gradient.abs().sum() > 0 for gradient in gradients)
    assert (
        states[0].grad_fn is not None
    )  # the state is an outcome of the weights, not a free choice


@pytest.mark.erratum("E3")
def test_states_chosen_for_each_image_leave_no_probability(model):
    """The most favourable state for each pixel: all sixteen images become nearly certain."""
    images = torch.tensor(list(product([0, 1], repeat=4)), dtype=torch.uint8).view(16, 1, 2, 2)
    with torch.no_grad():
        computed = model.log_prob(images).exp().sum().item()
    torch.manual_seed(1)
    states = (20 * torch.randn(4000, 6, dtype=torch.float64)).tanh()  # those a state could be
    with torch.no_grad():
        white = model.network.head(states).sigmoid()  # p(pixel is white | state)
    best = torch.stack([1 - white.min(), white.max()])  # of black, of white
    chosen = sum(best[list(image)].prod().item() for image in product([0, 1], repeat=4))
    assert computed == pytest.approx(1)
    assert chosen > 1.05


@pytest.mark.erratum("E29")
def test_no_order_of_the_pixels_is_that_of_the_image():
    """One distribution of images, 24 sequences: what comes first is not in the images."""
    torch.manual_seed(0)
    table = torch.rand(2, 2, 2, 2).double()
    table /= table.sum()
    likelihoods = []
    for order in permutations(range(4)):
        as_sequence = table.permute(order)
        log_prob, past = 0.0, torch.ones((), dtype=torch.float64)
        for i in range(4):
            joint = as_sequence.sum(tuple(range(i + 1, 4))) if i < 3 else as_sequence
            factor = (joint / past).log()
            log_prob = log_prob + factor[(...,) + (None,) * (3 - i)]
            past = joint[..., None]
        likelihoods.append((as_sequence * log_prob).sum())
    entropy = (table * table.log()).sum()
    torch.testing.assert_close(torch.stack(likelihoods), entropy.expand(24))


def entries() -> dict[str, dict[str, str]]:
    """The bibliography: fields by key."""
    found = {}
    for key, body in re.findall(
        r"^@\w+\{(\w+),\n(.*?)^\}", REFERENCES.read_text("utf-8"), re.M | re.S
    ):
        found[key] = dict(re.findall(r"^\s*(\w+)\s*=\s*\{(.*)\},?$", body, re.M))
    return found


@pytest.mark.erratum("E6")
@pytest.mark.parametrize(
    ("key", "number", "authors"),
    [
        ("kingma2013", "1312.6114", ["Kingma", "Welling"]),
        ("larsen2015", "1512.09300", ["Larsen", "Larochelle", "Winther"]),
        ("oord2016", "1601.06759", ["Oord", "Kalchbrenner", "Kavukcuoglu"]),
        ("oord2016wavenet", "1609.03499", ["Oord", "Dieleman", "Kavukcuoglu"]),
    ],
)
def test_the_bibliography_has_the_right_authors_and_numbers(key, number, authors):
    entry = entries()[key]
    assert entry["eprint"] == number
    assert all(name in entry["author"] for name in authors)
    assert entry["year"] == f"20{number[:2]}"  # a number begins with year and month


@pytest.mark.erratum("E6")
def test_the_number_of_the_source_is_no_paper_of_2014():
    assert "1312.6114".startswith("13")  # December 2013
    numbers = [entry["eprint"] for entry in entries().values() if "eprint" in entry]
    assert len(set(numbers)) == len(numbers)  # one number, one paper
    assert "1606.03492" not in numbers  # the number that the source gives to WaveNet
