"""Real processes that are killed, interrupted, lose their folder, or run out of disk."""

import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from common import disturbed

from genlearn import recipes
from genlearn.files import PREFIX

COMMAND = [sys.executable, "-m", "genlearn.cli"]
needs_limits = pytest.mark.skipif(
    sys.platform != "linux", reason="another program's limit of file size is set on Linux alone"
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Return the folder of a run that is left alone; each recipe is trained once."""
    folder = tmp_path_factory.mktemp("whole")

    def train(recipe: str) -> Path:
        if not (folder / recipe).exists():
            assert disturbed.train(recipe, folder / recipe).wait() == 0
        return folder / recipe

    return train


@pytest.mark.parametrize(
    ("recipe", "kind", "while_writing"),
    [
        ("vae", "SIGKILL", True),  # which no program can answer
        ("gan", "SIGTERM", False),
        ("pixel", "SIGINT", True),
        pytest.param("vae", "full disk", False, marks=needs_limits),
        ("pixel", "removed folder", False),
    ],
)
def test_a_run_disturbed_at_a_random_moment_ends_as_if_it_had_not_been(
    tmp_path, whole, recipe, kind, while_writing
):
    """All its files, byte by byte; none is torn at any time. benchmarks/kill.py does more."""
    rng, folder = random.Random(f"{recipe} {kind}"), tmp_path / "run"
    outcome = disturbed.disturb(recipe, kind, folder, whole(recipe), rng, while_writing)
    assert (outcome.torn, outcome.different) == ([], [])


def test_ctrl_c_ends_the_command_with_one_line_and_its_code(tmp_path):
    """The command itself, as a shell starts it."""
    words = ["train", "vae", *disturbed.RECIPES["vae"], "--steps", "100000", "--out", "run"]
    process = subprocess.Popen(
        [*COMMAND, *words],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Where the tests run in the background, Ctrl-C is ignored, and children inherit this.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    while not (before := list(tmp_path.glob("run/checkpoint-*"))):
        assert process.poll() is None, "the run ended before it could be interrupted"
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    last = err.splitlines()[-1]
    stopped = re.fullmatch(
        r"genlearn: stopped by SIGINT after step (\d+) \(continue with --resume\)", last
    )
    (left,) = tmp_path.glob("run/checkpoint-*")
    assert left.name == f"checkpoint-{int(stopped[1]):06d}" > before[0].name
    assert not list(tmp_path.glob(f"run/{PREFIX}*"))
    recipes.vae.load(tmp_path / "run")


def test_a_reader_that_has_seen_enough_is_no_error():
    process = subprocess.Popen(
        [*COMMAND, "data", "list"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(60) == 1
