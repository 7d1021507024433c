"""Real processes that are killed, interrupted, or run out of disk."""

import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from genlearn import cli, recipes
from genlearn.files import PREFIX

COMMAND = [sys.executable, "-m", "genlearn.cli"]
SMALL = [
    "train", "vae", "--data", "digits", "--hidden", "8", "--latent-dim", "2",
    "--pixel-features", "0", "--batch-size", "8", "--evaluate-every", "1000",
]  # fmt: skip


def options(folder: Path, steps: int, every: int, *more: str) -> list[str]:
    length = ["--steps", str(steps), "--checkpoint-every", str(every)]
    return [*SMALL, *length, "--out", str(folder), *more]


def wait_for_checkpoint(folder: Path, process: subprocess.Popen, after: str = "") -> str:
    """Wait until there is a checkpoint newer than ``after``; return its name."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        newest = max((path.name for path in folder.glob("checkpoint-*")), default="")
        if newest > after:
            return newest
        assert process.poll() is None, "the run ended before it could be interrupted"
        time.sleep(0.005)
    raise TimeoutError("no checkpoint within a minute")


def test_a_run_killed_at_five_random_moments_ends_as_if_it_had_not_been(tmp_path, contents):
    """SIGKILL, which no program can answer. All files equal those of a run that was left alone."""
    steps, every, rng, newest = 1500, 10, random.Random(0), ""
    for attempt in range(5):
        resume = ["--resume"] if attempt else []
        process = subprocess.Popen(
            [*COMMAND, *options(tmp_path / "killed", steps, every, *resume)], stderr=subprocess.PIPE
        )
        newest = wait_for_checkpoint(tmp_path / "killed", process, newest)
        time.sleep(rng.uniform(0, 0.1))
        assert process.poll() is None, "the run ended before it could be killed"
        process.kill()
        assert process.wait() == -signal.SIGKILL
        assert process.stderr.read() == b""
        process.stderr.close()
    assert cli.main(options(tmp_path / "killed", steps, every, "--resume")) == 0
    assert cli.main(options(tmp_path / "whole", steps, every)) == 0
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


def test_ctrl_c_ends_a_run_with_one_line_and_it_can_go_on(tmp_path):
    process = subprocess.Popen(
        [*COMMAND, *options(tmp_path, 5000, 10)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Where the tests run in the background, Ctrl-C is ignored, and children inherit this.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    wait_for_checkpoint(tmp_path, process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert re.fullmatch(
        r"genlearn: stopped by SIGINT after step \d+ \(continue with --resume\)\n", err
    )
    assert not list(tmp_path.glob(f"{PREFIX}*"))
    recipes.vae.load(tmp_path)


def test_a_reader_that_has_seen_enough_is_no_error():
    process = subprocess.Popen(
        [*COMMAND, "data", "list"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(60) == 1


# After the first checkpoint no file may grow beyond 1,000 bytes: the disk is full.
FULL_DISK = """
import resource, sys
from genlearn import callbacks, cli

save = callbacks.save_checkpoint

def save_and_fill(folder, training):
    save(folder, training)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

callbacks.save_checkpoint = save_and_fill
sys.exit(cli.main(sys.argv[1:]))
"""


def test_a_full_disk_keeps_the_last_checkpoint(tmp_path, contents):
    pytest.importorskip("resource", reason="limits of file size need a POSIX system")
    run = options(tmp_path / "run", 30, 10)
    program = [sys.executable, "-c", FULL_DISK, *run]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"genlearn: {tmp_path / 'run' / 'checkpoint-000020'}: ")
    assert "make room (continue with --resume)" in done.stderr
    assert done.stderr.count("\n") == 1
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "checkpoint-000010",
        "config.toml",
    ]

    # With room again the run goes on, and ends as one that never was without.
    assert cli.main([*run, "--resume"]) == 0
    assert cli.main(options(tmp_path / "whole", 30, 10)) == 0
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")
