"""The start-up file of `make portability` really moves the weights, and nothing else."""

import json
import shutil
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

PROFILE = Path(__file__).parent / "ipython"

PROBE = """
import json

import torch

torch.manual_seed(0)
models = [torch.nn.Linear(200, 100), torch.nn.Linear(200, 100)]
models[1].load_state_dict(models[0].state_dict())
before = models[0].weight.detach().clone()
for model in models:
    torch.optim.Adam(model.parameters())
after = [model.weight.detach() for model in models]
print(json.dumps({
    "spread": ((after[0] - before) / before).std().item(),
    "alike": torch.equal(*after),
    "next random number": torch.rand(()).item(),
}))
"""


@pytest.fixture
def probe(tmp_path, monkeypatch):
    """Run PROBE in a kernel that starts from an IPython folder; return what it printed."""

    def run(folder):
        monkeypatch.setenv("IPYTHONDIR", str(folder))
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(PROBE)])
        NotebookClient(notebook, kernel_name="python3").execute()
        return json.loads(notebook.cells[0].outputs[0].text)

    return run


def test_weights_move_by_one_part_in_a_million(probe, tmp_path):
    plain = probe(tmp_path / "plain")
    perturbed = probe(shutil.copytree(PROFILE, tmp_path / "perturbed"))

    assert plain["spread"] == 0
    assert perturbed["spread"] == pytest.approx(1e-6, rel=0.1)
    assert perturbed["alike"], "two equal models must stay equal, as on other hardware"
    assert perturbed["next random number"] == plain["next random number"]
