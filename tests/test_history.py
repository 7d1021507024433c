"""What was logged, as a file and as figures."""

import json

import pytest

from genlearn.history import History

ROWS = [
    {"step": 2, "vae/loss": 0.1 + 0.2},
    {"step": 4, "vae/loss": 1e-300, "valid/loss": 3.0},
    {"step": 6, "valid/loss": 1.0},
    {"step": 8, "valid/loss": 1.0},
]


def test_the_file_has_one_row_a_line(tmp_path):
    History(ROWS).write(tmp_path / "run" / "history.jsonl")
    lines = (tmp_path / "run" / "history.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == ROWS


def test_of_equal_lowest_values_the_first_counts():
    history = History(ROWS)
    assert history.lowest("valid/loss") == (6, 1.0)
    assert history.lowest("vae/loss") == (4, 1e-300)
    with pytest.raises(KeyError, match="'gan/loss' was not logged"):
        history.lowest("gan/loss")
