"""Every claim of the book has a test, and every test that says so checks an equation."""

from pathlib import Path

import built_pages
import equations
import pytest
import records
import yaml

ROOT = Path(__file__).resolve().parents[2]


def test_the_book():
    assert equations.complaints(ROOT) == []


def test_the_index_names_every_equation_with_its_formula_code_and_test():
    index = equations.index(ROOT)
    assert [e.label for e in equations.find_equations(ROOT) if f"`{e.label}`" not in index] == []
    assert "$$\np_\\theta(x) = \\int p_\\theta(x\\mid z)" in index
    assert "{py:obj}`VAE.terms <genlearn.models.VAE.terms>`" in index
    assert "`test_gaussian_kl_by_quadrature`" in index


# The checks, on a toy book

CHAPTER = r"""
# A toy

$$
a = b
$$ (eq-toy-name)

No label, no number:

$$
b = a
$$

```{math}
:label: eq-toy-claim
\begin{aligned} a &= b \end{aligned}
```

````{prf:algorithm} Do nothing
:label: alg-toy

1. Stop.
````
"""
KINDS = {"eq-toy-name": "definition", "eq-toy-claim": "claim", "alg-toy": "algorithm"}
TESTS = """
import pytest

@pytest.mark.equation("eq-toy-claim", "alg-toy")
@pytest.mark.parametrize("a", [1, 2])
def test_toy(a):
    assert a == a
"""
CODE = '"""Do what eq-toy-claim says."""\n'


@pytest.fixture
def toy(tmp_path) -> Path:
    for folder in ["book/part", "tests/part", "genlearn"]:
        (tmp_path / folder).mkdir(parents=True)
    toc = {"root": "part/01_toy"}
    (tmp_path / "book" / "_toc.yml").write_text(yaml.safe_dump(toc), "utf-8")
    (tmp_path / "book" / "part" / "01_toy.md").write_text(CHAPTER, "utf-8")
    (tmp_path / "book" / "equations.yml").write_text(yaml.safe_dump(KINDS), "utf-8")
    (tmp_path / "tests" / "part" / "test_toy.py").write_text(TESTS, "utf-8")
    (tmp_path / "genlearn" / "toy.py").write_text(CODE, "utf-8")
    return tmp_path


def test_a_sound_book_passes(toy):
    assert equations.complaints(toy) == []
    assert [e.label for e in equations.find_equations(toy)] == list(KINDS)


CHAPTER_FILE = "book/part/01_toy.md"
TEST_FILE = "tests/part/test_toy.py"


@pytest.mark.parametrize(
    ("file", "old", "new", "complaint"),
    [
        (TEST_FILE, '"eq-toy-claim", ', "", "eq-toy-claim: claim without a test"),
        (TEST_FILE, ', "alg-toy"', "", "alg-toy: algorithm without a test"),
        (
            TEST_FILE,
            '"alg-toy"',
            '"alg-toy", "eq-toy-gone"',
            f"{TEST_FILE}::test_toy: marked with eq-toy-gone, which is not in the book",
        ),
        (
            CHAPTER_FILE,
            "No label, no number:",
            r"\begin{align}" "\na &= b\n" r"\end{align}",
            r"part/01_toy: an equation gets a number and has no label: \begin{align}",
        ),
        (
            CHAPTER_FILE,
            "b = a\n$$",
            "b = a\n$$ (eq-toy-more)",
            "eq-toy-more: not in equations.yml",
        ),
        (
            CHAPTER_FILE,
            "b = a\n$$",
            "b = a\n$$ (eq-toy-name)",
            "eq-toy-name: stands twice in the book",
        ),
        (
            CHAPTER_FILE,
            "$$ (eq-toy-name)",
            "$$",
            "eq-toy-name: in equations.yml, and not in the book",
        ),
        (
            "book/equations.yml",
            "definition",
            "lemma",
            "eq-toy-name: 'lemma' is none of algorithm, claim, definition",
        ),
        (
            "genlearn/toy.py",
            "eq-toy-claim",
            "eq-toy-clam",
            "genlearn/toy.py: names eq-toy-clam, which is not in the book",
        ),
    ],
)
def test_a_fault_is_found(file, old, new, complaint, toy):
    text = (toy / file).read_text("utf-8")
    assert text.count(old) == 1
    (toy / file).write_text(text.replace(old, new), "utf-8")
    assert equations.complaints(toy) == [complaint]


def test_a_label_of_another_form_is_found(toy):
    chapter, record = toy / CHAPTER_FILE, toy / "book" / "equations.yml"
    chapter.write_text(CHAPTER.replace("eq-toy-name", "toy_name"), "utf-8")
    record.write_text(record.read_text("utf-8").replace("eq-toy-name", "toy_name"), "utf-8")
    assert equations.complaints(toy) == ["part/01_toy: label toy_name is not eq-… or alg-…"]


@pytest.mark.parametrize("idle", ["skip", "skipif(True, reason='')", "xfail"])
def test_a_test_that_does_not_count_is_none(idle, toy):
    (toy / TEST_FILE).write_text(TESTS.replace("def", f"@pytest.mark.{idle}\ndef"), "utf-8")
    assert records.marked_tests(toy, "equation") == {}


def test_a_place_that_names_nothing_stops_the_build(toy):
    assert built_pages.fill("no place: {{ }}, {x}") == "no place: {{ }}, {x}"
    with pytest.raises(AttributeError):
        built_pages.fill("{{ equations.gone }}")
