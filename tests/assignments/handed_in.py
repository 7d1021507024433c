"""What students hand in: right, wrong, tampered with, broken."""

import ast
import copy
import json
from pathlib import Path

from answers import ProblemSet, answered, cell_of, solutions
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

LOOP = "def reparameterise(mean, log_std, noise):\n    while True:\n        pass\n"
HOG = """\
def iwae(log_weights):
    hoard = []
    while True:
        hoard.append(torch.ones(25_000_000))
"""
CHATTER = "def elbo(reconstruction, kl):\n    for _ in range(5000):\n        print('x' * 99)\n"
QUITTER = "import os\n\ndef beta_at(step, warmup):\n    os._exit(0)\n"
CHEAT = "def test_gaussian_kl():\n    pass\n\n\ntest_gaussian_kl()\n"


def hog(answer: str) -> str:
    """The answer, but its function hoards memory."""
    return f"""\
{answer}


def {function_of(answer)}(*arguments):
    hoard = []
    while True:
        hoard.append(torch.ones(25_000_000))
"""


def loop_when_watched(answer: str) -> str:
    """The answer, but its function loops for ever where the hidden tests watch what it calls."""
    name = function_of(answer)
    return f"""\
{answer}


its_own = {name}


def {name}(*arguments):
    while sys.getprofile():
        pass
    return its_own(*arguments)
"""


def function_of(answer: str) -> str:
    """The name of the function that an answer defines."""
    (found,) = (node.name for node in ast.parse(answer).body if isinstance(node, ast.FunctionDef))
    return found


def save(notebook: NotebookNode, file: Path) -> None:
    """Write a notebook as it is; nbformat would mend it first."""
    file.write_text(json.dumps(notebook), "utf-8")


def make_with_wrong(folder: Path, problem_set: ProblemSet, wrong: dict[str, list[str]]) -> None:
    """Write submissions with misconceptions: name of each → which ones."""
    for name, kinds in wrong.items():
        notebook = answered(problem_set.release, problem_set.with_wrong(*kinds))
        save(notebook, folder / f"{name}.ipynb")


def make(folder: Path, p2: ProblemSet, file_mb: int) -> None:
    """Write all submissions of P2."""
    release, reference = p2.release, solutions(p2.source)

    def put(name: str, answers: dict[str, str]) -> None:
        save(answered(release, answers), folder / f"{name}.ipynb")

    put("reference", reference)
    put("right_distributions", p2.right["distributions"])
    put("empty", {})
    put("a_loop", {**reference, "t3-draw": LOOP})
    put("a_hog", {**reference, "t5-iwae": HOG})
    put("chatter_and_quitter", {**reference, "t4-elbo": CHATTER, "t7-warmup": QUITTER})
    wrong = {
        "kl_without_half": ["kl_without_half"],
        "mean_for_sum": [
            "likelihood_mean_over_pixels",
            "elbo_with_the_mean_over_dimensions",
            "loss_with_the_mean_over_dimensions",
        ],
        "mean_of_logs": ["iwae_mean_of_logs", "gap_reversed"],
    }
    make_with_wrong(folder, p2, wrong)

    edited = answered(release, p2.with_wrong("kl_without_half"))
    cell_of(edited, "t1-kl-tests").source = CHEAT
    cell_of(edited, "t1-kl-tests").metadata.nbgrader.points = 100
    cell_of(edited, "t2-likelihood-tests").cell_type = "markdown"
    edited.cells[-1].metadata.tags = ["skip-execution"]
    bonus = new_code_cell("1 + 1")
    bonus.metadata.nbgrader = {**edited.cells[-1].metadata.nbgrader, "grade_id": "t9-bonus"}
    edited.cells.append(bonus)
    save(edited, folder / "edited_tests.ipynb")

    deleted = answered(release, p2.with_wrong("kl_without_half", "gap_reversed"))
    gone = {"setup", "t1-kl-tests", "t3-draw-tests", "t6-gap-tests", "t8-given", "t8-answer-tests"}
    deleted.cells = [
        cell
        for cell in deleted.cells
        if cell.metadata.get("nbgrader", {}).get("grade_id") not in gone
    ]
    save(deleted, folder / "deleted_tests.ipynb")

    copies = answered(release, p2.with_wrong("iwae_without_log_k"))
    first = cell_of(copies, "t1-kl")
    draft = copy.deepcopy(first)
    draft.source = "def gaussian_kl(mean, log_std):\n    return mean  # a draft\n"
    passing = copy.deepcopy(cell_of(copies, "t5-iwae-tests"))
    passing.source = "print('fine')"
    copies.cells.insert(copies.cells.index(first), draft)
    copies.cells.append(passing)
    save(copies, folder / "copies.ipynb")

    put("exception", {**reference, "t6-posterior": "1 / 0", "t6-gap": "import no_such_module"})

    lost = answered(release, reference)
    for cell in lost.cells:
        cell.metadata = {}
    save(lost, folder / "names_lost.ipynb")

    text = json.dumps(lost)
    (folder / "truncated.ipynb").write_text(text[: len(text) // 2])
    (folder / "no_notebook.ipynb").write_text("I could not do it, sorry.")
    (folder / "list_of_cells.ipynb").write_text(json.dumps([{"cell_type": "code"}]))
    (folder / "picture.ipynb").write_bytes(b"\x89PNG\r\n\x1a\n\xff\xfe")
    lost.cells[0].source = "x" * (file_mb * 2**20)
    save(lost, folder / "huge.ipynb")
    (folder / "essay.docx").write_text("An essay.")
    (folder / "nothing").mkdir()
    (folder / "two_files").mkdir()
    for name in ("first", "second"):
        save(release, folder / "two_files" / f"{name}.ipynb")
    # One student's notebook lies where nbgrader collects it.
    (folder / "mean_of_logs" / "p2_vae").mkdir(parents=True)
    collected = folder / "mean_of_logs" / "p2_vae" / "p2_vae.ipynb"
    (folder / "mean_of_logs.ipynb").rename(collected)
