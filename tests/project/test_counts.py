"""The figures of the page "How this book is tested" are those of the tree."""

from pathlib import Path

import counts

ROOT = Path(__file__).resolve().parents[2]


def test_figures_are_counted():
    record = (ROOT / "book" / "equations.yml").read_text("utf-8")
    assert f"{record.count(': claim')} claims" in counts.kinds(ROOT)
    catalogue = (ROOT / "tests" / "mutations" / "vae.toml").read_text("utf-8")
    assert counts.mutations(ROOT) >= catalogue.count("\nwhy = ") > 0
    answers = (ROOT / "tests" / "assignments").glob("*.toml")
    wrong = [path.read_text("utf-8").count("\n[wrong.") for path in answers]
    assert counts.misconceptions(ROOT) == sum(wrong)
    assert min(wrong) > 0
    assert counts.tests(ROOT) > counts.equation_tests(ROOT) > 0
