"""What is shown is what is reckoned with, and no answer is lost."""

import json
import math
import os

import pytest
import torch

from genlearn.errors import DataError
from genlearn.metrics import HumanTest, interval_from_pairs, interval_from_rates

REAL = torch.arange(12, dtype=torch.uint8).view(12, 1, 1, 1)
MADE = torch.arange(100, 115, dtype=torch.uint8).view(15, 1, 1, 1)


def made(**options) -> HumanTest:
    return HumanTest(REAL, MADE, 256, **options)


def is_real(image: torch.Tensor) -> bool:
    return image.item() < 100


def look(test: HumanTest) -> str:
    """The right answer, by one who knows the images."""
    if test.kind == "single":
        return "real" if is_real(test.shown[0]) else "made"
    left, right = test.shown
    assert is_real(left) != is_real(right)
    return "left" if is_real(left) else "right"


def finish(test: HumanTest, mistakes: int = 0) -> HumanTest:
    while test.question is not None:
        right = look(test)
        if mistakes:
            mistakes -= 1
            (wrong,) = set(test.choices) - {right}
            assert test.answer(wrong) is False
        else:
            assert test.answer(right) is True
    return test


# --- The questions.


@pytest.mark.parametrize(("kind", "trials"), [("pairs", 12), ("single", 24)])
def test_every_image_comes_at_most_once(kind, trials):
    test = made(kind=kind)
    assert test.trials == trials
    seen = []
    while test.question is not None:
        seen += test.shown.flatten().tolist()
        test.answer(test.choices[0])
    assert len(set(seen)) == len(seen) == 24
    assert sum(value < 100 for value in seen) == 12


@pytest.mark.parametrize("kind", ["pairs", "single"])
def test_a_seed_gives_one_order_and_another_seed_another(kind):
    assert made(kind=kind).questions == made(kind=kind).questions
    assert made(kind=kind).questions != made(kind=kind, seed=1).questions


def test_the_real_image_stands_on_either_side_about_equally_often():
    image = torch.zeros(2000, 1, 1, 1, dtype=torch.uint8)
    sides = [question.truth for question in HumanTest(image, image, 2).questions]
    assert abs(sides.count("left") - 1000) < 4 * math.sqrt(500)


# --- The result.


def test_pairs_are_reckoned_with_root_two():
    result = finish(made(), mistakes=4).result()
    assert (result.answers, result.right.value) == (12, 8 / 12)
    assert result.d_prime == interval_from_pairs(8, 12)
    assert math.isnan(result.criterion)


def test_single_images_are_reckoned_by_hits_and_false_alarms():
    test = made(kind="single")
    for place in range(24):  # calls all made images real but the last, and 9 of the real ones
        truth, before = test.question.truth, [q.truth for q in test.questions[:place]]
        limit = 9 if truth == "real" else 11
        test.answer("real" if before.count(truth) < limit else "made")
    result = test.result()
    assert result.d_prime == interval_from_rates(9, 12, 11, 12)
    assert result.right.value == (9 + 1) / 24
    assert result.criterion < 0


def test_before_an_answer_there_is_no_result():
    with pytest.raises(ValueError, match="no answer yet"):
        made().result()


def test_while_one_kind_is_missing_d_prime_is_unknown():
    test = made(kind="single")
    test.answer("real")
    result = test.result()
    assert math.isnan(result.d_prime.value)
    assert result.d_prime.low == -math.inf


# --- The file.


def test_a_test_goes_on_where_its_file_ends(tmp_path):
    path = tmp_path / "answers.jsonl"
    first = made(path=path)
    assert not path.exists()  # nothing is written before there is an answer
    for _ in range(5):
        first.answer(look(first))
    second = made(path=path)
    assert second.answers == first.answers
    assert second.question == first.question
    finish(second, mistakes=1)
    third = made(path=path)
    assert third.question is None
    assert third.result() == second.result()


def test_each_line_says_what_was_shown(tmp_path):
    path = tmp_path / "answers.jsonl"
    test = finish(made(path=path, kind="single"))
    header, *lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert (header["kind"], header["trials"], header["seed"]) == ("single", 24, 0)
    assert lines == [
        {"trial": k, **test.questions[k]._asdict(), "answer": test.answers[k]} for k in range(24)
    ]


def test_an_answer_is_on_the_disk_before_the_next_question(tmp_path, monkeypatch):
    path = tmp_path / "answers.jsonl"
    test = made(path=path)
    test.answer("left")
    flushed = []
    monkeypatch.setattr(os, "fsync", lambda _: flushed.append(path.read_bytes().count(b"\n")))
    test.answer("left")
    assert flushed == [3]


def test_a_line_that_was_being_written_is_asked_again(tmp_path):
    path = tmp_path / "answers.jsonl"
    first = made(path=path)
    for _ in range(3):
        first.answer("left")
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    second = made(path=path)
    assert len(second.answers) == 2
    second.answer("left")
    assert path.read_bytes() == whole


def test_an_answer_that_cannot_be_kept_is_not_counted(tmp_path, monkeypatch):
    path = tmp_path / "answers.jsonl"
    test = made(path=path)
    test.answer("left")
    before = path.read_bytes()
    with monkeypatch.context() as full:

        def fail(_):
            raise OSError(28, "No space left on device")

        full.setattr(os, "fsync", fail)
        with pytest.raises(DataError, match="not kept: No space left"):
            test.answer("left")
    assert path.read_bytes() == before
    assert len(test.answers) == 1
    test.answer("right")
    assert made(path=path).answers == ["left", "right"]


def test_two_at_one_file_do_not_mix_their_answers(tmp_path):
    path = tmp_path / "answers.jsonl"
    one, other = made(path=path), made(path=path)
    one.answer("left")
    with pytest.raises(DataError, match="changed by another test"):
        other.answer("right")
    assert made(path=path).answers == ["left"]


@pytest.mark.parametrize(
    ("options", "key"),
    [({"seed": 1}, "seed"), ({"kind": "single"}, "kind"), ({"trials": 5}, "trials")],
)
def test_the_file_of_another_test_is_refused(options, key, tmp_path):
    path = tmp_path / "answers.jsonl"
    made(path=path).answer("left")
    with pytest.raises(DataError, match=f"answers to another test: its {key}"):
        made(path=path, **options)


def test_the_file_of_other_images_is_refused(tmp_path):
    path = tmp_path / "answers.jsonl"
    made(path=path).answer("left")
    with pytest.raises(DataError, match="its images_sha256"):
        HumanTest(REAL + 1, MADE, 256, path=path)


@pytest.mark.parametrize("content", [b"", b"hello", b"trial,answer\n1,left\n", b"\xff\x00\n"])
def test_a_foreign_file_is_refused_and_left_alone(content, tmp_path):
    path = tmp_path / "answers.jsonl"
    path.write_bytes(content)
    with pytest.raises(DataError, match="holds no answers"):
        made(path=path)
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("old", "new"),
    [(b'"trial": 1', b'"trial": 7'), (b'"answer": "left"', b'"answer": "real"'), (b"}", b"")],
)
def test_a_damaged_line_is_named(old, new, tmp_path):
    path = tmp_path / "answers.jsonl"
    test = made(path=path)
    for _ in range(3):
        test.answer("left")
    lines = path.read_bytes().split(b"\n")
    lines[2] = lines[2].replace(old, new)
    path.write_bytes(b"\n".join(lines))
    with pytest.raises(DataError, match="line 3, is no answer to question 2"):
        made(path=path)


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        made(path=tmp_path)


# --- What cannot be asked.


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "triples"}, "kind must be"),
        ({"trials": 13}, "1 … 12"),
        ({"trials": 0}, "1 … 12"),
        ({"kind": "single", "trials": 7}, "even"),
    ],
)
def test_a_test_that_cannot_be_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        made(**options)


@pytest.mark.parametrize(
    ("real", "others", "message"),
    [
        (REAL, MADE.float(), "uint8"),
        (REAL, MADE.expand(-1, 3, -1, -1), "alike"),
        (REAL[:0], MADE, "alike"),
        (REAL, torch.full_like(MADE, 200), "levels"),
    ],
)
def test_images_that_do_not_fit_are_refused(real, others, message):
    with pytest.raises(ValueError, match=message):
        HumanTest(real, others, 128)


def test_an_answer_that_is_none_of_the_choices_is_refused():
    test = made(trials=1)
    with pytest.raises(ValueError, match="must be one of"):
        test.answer("real")
    test.answer("left")
    with pytest.raises(ValueError, match="all questions"):
        test.answer("left")
