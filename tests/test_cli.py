"""The command as a user meets it: what it says, and how it refuses."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from genlearn import __version__, data
from genlearn.cli import COMMANDS, main
from genlearn.errors import DataError
from genlearn.recipes import pixel, vae

TINY = [
    "--hidden", "8", "--latent-dim", "2", "--pixel-features", "0", "--steps", "4",
    "--batch-size", "16", "--evaluate-every", "4", "--checkpoint-every", "2",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    """Each test in its own empty folder, where the default folder of runs would be made."""
    monkeypatch.chdir(tmp_path)


def without_what_is_on(err: str) -> str:
    """A training says in its first line what makes it fast; return what else is said."""
    first, end, others = err.partition("\n")
    return others if first.startswith("training on ") and end else err


@pytest.fixture
def refused(capsys):
    """Run a command that must fail; return the one line that it says."""

    def call(*arguments: object, code: int = 2) -> str:
        assert main([str(argument) for argument in arguments]) == code
        out, err = capsys.readouterr()
        assert out == ""
        err = without_what_is_on(err)
        assert err.startswith("genlearn: ")
        assert err.endswith("\n")
        assert err.count("\n") == 1
        return err.removeprefix("genlearn: ").rstrip()

    return call


@pytest.fixture
def said(capsys):
    """Run a command that must succeed; return what it prints."""

    def call(*arguments: object) -> str:
        assert main([str(argument) for argument in arguments]) == 0
        out, err = capsys.readouterr()
        assert without_what_is_on(err) == ""
        return out

    return call


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A finished run."""
    folder = tmp_path_factory.mktemp("runs") / "vae-digits"
    assert main(["train", "vae", *TINY, "--out", str(folder)]) == 0
    return folder


def everything() -> list[str]:
    return sorted(str(path) for path in Path().rglob("*"))


# --- help --------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"], ["train", "--help"]], ids=str)
def test_help_names_every_command(said, arguments):
    text = said(*arguments)
    assert all(f"genlearn {name} " in text for name in COMMANDS)
    assert set(COMMANDS) == {
        "train vae", "train vqvae", "train gan", "train pixel", "sample", "evaluate", "compare",
        "bench", "data list", "data fetch", "data show",
    }  # fmt: skip


def test_the_version_is_printed(said):
    assert said("--version") == f"genlearn {__version__}\n"


def test_help_for_training_explains_every_option_in_80_columns(monkeypatch, capsys):
    """With the defaults of the data set on the same line."""
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as stop:
        main(["train", "vae", "--help", "--data", "binarized-mnist", "--profile", "full"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    for name in vae.Config.__dataclass_fields__:
        assert f"--{name.replace('_', '-')}" in text
    for words in ("--out", "--resume", "Images a batch;", "200000", "32 64 128"):
        assert words in text
    assert max(map(len, text.splitlines())) <= 80
    assert "MISSING" not in text


@pytest.mark.parametrize("command", ["sample", "data list"])
def test_help_for_other_commands(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([*command.split(), "--help"])
    assert stop.value.code == 0
    assert f"genlearn {command}" in capsys.readouterr().out


def test_the_command_is_installed():
    command = Path(sys.executable).with_name("genlearn")
    done = subprocess.run([command, "data", "list"], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert "1,797 handwritten digits" in done.stdout


# --- doing something ---------------------------------------------------------


def test_the_data_list_says_what_is_at_hand(said, tmp_path, monkeypatch):
    monkeypatch.setenv(data.FOLDER_VARIABLE, str(tmp_path))
    (tmp_path / "mnist").mkdir()
    lines = said("data", "list").splitlines()
    state = {line.split()[0]: line for line in lines[::2]}
    assert list(state) == data.names()
    assert all("at hand" in state[name] for name in ("digits", "mnist"))
    assert all("set GENLEARN_DATA" in state[name] for name in ("fashion-mnist", "binarized-mnist"))


def test_training_prints_bounds_with_their_units(said):
    """In the default folder. Two steps of a tiny model know little: 64 ln 17 nats are uniform."""
    text = said("train", "vae", *TINY)
    valid, test, samples = text.splitlines()
    for line, count in [(valid, 350), (test, 447)]:
        words = line.split()
        assert float(words[2]) == pytest.approx(64 * np.log(17), rel=0.05)
        assert "nats per image (± 0." in line
        assert f"4.{line.split('4.')[1][:3]} bits per dimension, 17 levels, {count} images" in line
    assert samples == "samples: runs/vae-digits/samples.png"
    assert Path("runs/vae-digits/samples.png").is_file()


def test_training_a_vq_vae_prints_how_many_codes_it_uses(said):
    """And samples can be drawn from its run."""
    tiny = ["--channels", "2", "3", "--codes", "5", "--code-dim", "2", "--steps", "4"]
    tiny += ["--prior-steps", "2"]
    text = said("train", "vqvae", *tiny, "--evaluate-every", "4", "--out", "run")
    valid, _, test, _, samples = text.splitlines()
    assert "nats per image (± " in valid
    assert "nats per image (± " in test
    for split in ("valid", "test"):
        (line,) = [line for line in text.splitlines() if line.startswith(f"{split}: perplexity ")]
        assert 1 <= float(line.split()[2]) <= 5
        assert " of 5 codes, " in line
    assert samples == "samples: run/samples.png"
    assert said("sample", "run", "--n", 2) == "2 images: run/samples-seed0.png\n"


def test_training_a_gan_prints_what_a_classifier_says_of_its_samples(said):
    """And samples can be drawn from its run."""
    tiny = ["--channels", "2", "3", "--steps", "4", "--samples", "20", "--judge-steps", "2"]
    text = said("train", "gan", *tiny, "--judge-channels", "2", "--evaluate-every", "4")
    judge, shares, distance, samples = text.splitlines()
    assert judge.startswith("classifier: ")
    assert "of 447 test images right" in judge
    assert "of 10 classes the rarest, " in shares
    assert "Fréchet distance " in distance
    assert samples == "samples: runs/gan-digits/samples.png"
    drawn = "2 images: runs/gan-digits/samples-seed0.png\n"
    assert said("sample", "runs/gan-digits", "--n", 2) == drawn


def test_training_a_pixel_cnn_prints_an_exact_likelihood(said):
    """In a folder that is named after the model, whose samples can be drawn."""
    tiny = ["--features", "4", "--layers", "1", "--head", "4", "--steps", "4", "--moved", "0"]
    text = said("train", "pixel", "--model", "pixel-cnn", *tiny, "--evaluate-every", "2")
    valid, test, samples = text.splitlines()
    for line, count in [(valid, 350), (test, 447)]:
        assert float(line.split()[1]) == pytest.approx(64 * np.log(17), rel=0.1)
        assert line.endswith(f"bits per dimension, exact, 17 levels, {count} images")
    assert samples == "samples: runs/pixel-pixel-cnn-digits/samples.png"
    drawn = "2 images: runs/pixel-pixel-cnn-digits/samples-seed0.png\n"
    assert said("sample", "runs/pixel-pixel-cnn-digits", "--n", 2) == drawn


def test_the_model_decides_the_defaults_shown(monkeypatch, capsys):
    """As data set and profile do, in whatever order they stand."""
    monkeypatch.setenv("COLUMNS", "80")
    for order in (["--model", "pixel-lstm", "--help"], ["--help", "--model=pixel-lstm"]):
        with pytest.raises(SystemExit) as stop:
            main(["train", "pixel", *order])
        assert stop.value.code == 0
        text = capsys.readouterr().out
        for name in pixel.Config.__dataclass_fields__:
            assert f"--{name.replace('_', '-')}" in text
        features = pixel.config("digits", "quick", "pixel-lstm").features
        assert features != pixel.config("digits", "quick").features
        for words in (f"(default: {features})", "(default: pixel-lstm)"):
            assert words in text
        assert max(map(len, text.splitlines())) <= 80


def test_the_profile_may_come_from_the_environment(monkeypatch, said):
    monkeypatch.setenv("GENLEARN_PROFILE", "full")
    said("train", "vae", *TINY, "--network", "mlp", "--importance-samples", "2")
    assert 'profile = "full"' in Path("runs/vae-digits/config.toml").read_text()


def test_processes_that_cannot_train_together_are_refused_before_they_start(refused, monkeypatch):
    several = ("train", "vae", "--devices", "2", "--device")
    assert (
        refused(*several, "mps") == "--device mps is not for several processes; choose cpu or cuda"
    )
    assert refused("train", "vae", "--devices", "0") == "devices must be at least 1, got 0"
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "any")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert refused(*several, "cpu").startswith("--devices 2 contradicts torchrun, which started 4 ")


def test_samples_are_saved_where_one_asks_and_depend_on_the_seed(said, run):
    for name, seed in [("a", 1), ("b", 1), ("c", 2)]:
        text = said("sample", run, "--n", 9, "--seed", seed, "--out", f"deep/{name}.png")
        assert text == f"9 images: deep/{name}.png\n"
    a, b, c = (Path(f"deep/{name}.png").read_bytes() for name in "abc")
    assert a == b != c
    with Image.open("deep/a.png") as picture:  # 3 x 3 images of 8 with gaps, enlarged 20 times
        assert picture.size == (26 * 20, 26 * 20)
    assert said("sample", run, "--n", 2) == f"2 images: {run / 'samples-seed0.png'}\n"


def test_samples_are_drawn_from_the_best_weights_where_there_are_some(said, refused, run):
    """This run was validated once, after its last step: its newest weights are the best."""
    out = run / "samples-best-seed0.png"
    assert said("sample", run, "--best") == f"64 images from the best weights, of step 4: {out}\n"
    said("sample", run)
    assert out.read_bytes() == (run / "samples-seed0.png").read_bytes()
    shutil.copytree(run, "early")
    Path("early/history.jsonl").write_text('{"step": 2, "vae/loss": 1.0}\n')
    assert "there are no best weights yet" in refused("sample", "early", "--best")
    Path("early/history.jsonl").write_text("cut off")
    assert "history.jsonl: damaged" in refused("sample", "early", "--best")


def test_a_finished_run_can_be_resumed(said, run):
    before = (run / "result.json").read_bytes()
    said("train", "vae", *TINY, "--out", run, "--resume")
    assert (run / "result.json").read_bytes() == before


# --- refusing ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["paint"],
            "there is no command 'paint'; there are: train vae, train vqvae, train gan",
        ),
        (["train"], "there is no command 'train'"),
        (["train", "flow"], "there is no command 'train flow'"),
        (["data"], "there is no command 'data'"),
        (["train", "vae", "--data", "cifar11"], "'cifar11' is unknown; choose one of: digits"),
        (["train", "vae", "--data=cifar11"], "'cifar11' is unknown; choose one of: digits"),
        (["train", "vae", "--profile", "huge"], "no profile 'huge'"),
        (["train", "vae", "--data", "mnist"], "set GENLEARN_DATA"),
        (["train", "pixel", "--model", "rnn"], "there is no model 'rnn'; there are: pixel-lstm"),
        (["train", "pixel", "--classes", "3"], "digits has 10 classes"),
        (["train", "vae", "--steps", "0"], "steps must be at least 1, got 0"),
        (["train", "vae", "--hidden", "-5"], "hidden must be widths"),
        (["train", "vae", "--device", "gpu"], "choose auto, cpu, cuda or mps"),
        (["train", "vae", "--device", "cuda:99"], "'cuda:99' cannot be used"),
        (["sample", "nowhere"], "nowhere: holds no run"),
        (["sample", "nowhere", "--n", "0"], "--n must be at least 1, got 0"),
        (["sample", "nowhere", "--seed", "-1"], "--seed must be"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_answered_in_one_line_and_leaves_nothing(
    refused, no_local_data, arguments, words
):
    assert words in refused(*arguments)
    assert everything() == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "vae", "--bogus", "3"],
        ["train", "vae", "--steps", "many"],
        ["train", "vae", "--precision", "fp8"],
        ["train", "vae", "--data"],
        ["train", "vae", "--profile"],
        ["train", "pixel", "--model"],
        ["sample"],
        ["sample", "run", "--n", "some"],
        ["data", "list", "mnist"],
    ],
    ids=" ".join,
)
def test_options_that_do_not_exist_are_explained(arguments, capsys):
    """By tyro, in a box that names the option."""
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert arguments[2 if len(arguments) > 2 else 0].lstrip("-") in err
    assert "Traceback" not in err
    assert everything() == []


def test_a_folder_that_holds_a_run_is_not_overwritten(refused, run):
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    assert "holds a run; add --resume" in refused("train", "vae", *TINY, "--out", run)
    message = refused("train", "vae", *TINY, "--seed", "1", "--out", run, "--resume")
    assert "begun with seed = 0, not 1" in message
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before


@pytest.mark.parametrize(
    ("text", "words"), [("steps = \n", "damaged"), ("", "damaged"), ('recipe = "gan"', "damaged")]
)
def test_damaged_settings_are_refused(refused, text, words):
    Path("run").mkdir()
    Path("run/config.toml").write_text(text)
    assert words in refused("sample", "run")
    assert words in refused("train", "vae", "--out", "run", "--resume")


def test_a_run_of_an_unknown_recipe_is_refused(refused, run):
    Path("run").mkdir()
    text = (run / "config.toml").read_text().replace('recipe = "vae"', 'recipe = "flow"')
    Path("run/config.toml").write_text(text)
    assert "made by 'flow', which this version does not know" in refused("sample", "run")


def test_a_damaged_checkpoint_is_refused(refused, run):
    Path("run/checkpoint-000004").mkdir(parents=True)
    Path("run/config.toml").write_text((run / "config.toml").read_text())
    assert "vae.safetensors: no such file" in refused("sample", "run")
    for name in ("vae.safetensors", "state.pt"):
        whole = (run / "checkpoint-000004" / name).read_bytes()
        Path("run/checkpoint-000004", name).write_bytes(whole[:200])
    for arguments in (["sample", "run"], ["train", "vae", *TINY, "--out", "run", "--resume"]):
        assert "vae.safetensors: damaged" in refused(*arguments)
    for name in ("vae.safetensors", "best.safetensors"):
        whole = (run / "checkpoint-000004" / name).read_bytes()
        Path("run/checkpoint-000004", name).write_bytes(whole)
    assert "state.pt: damaged" in refused("train", "vae", *TINY, "--out", "run", "--resume")


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs a folder that nobody may write to")
def test_an_output_folder_that_cannot_be_written_is_named(refused, run):
    message = refused("train", "vae", *TINY, "--out", "/proc/run")
    assert message.startswith("/proc/run: ")
    assert "choose another --out" in message
    assert "/proc" in refused("sample", run, "--out", "/proc/x/samples.png")


@pytest.mark.parametrize("out", ["file", "file/run", "file/deep/run"])
def test_an_output_folder_below_a_file_is_refused(refused, run, out):
    Path("file").write_text("mine")
    assert refused("train", "vae", *TINY, "--out", out).startswith("file")
    assert Path("file").read_text() == "mine"
    assert everything() == ["file"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_output_folder_is_named(refused):
    Path("run").mkdir(mode=0o500)
    assert refused("train", "vae", *TINY, "--out", "run").startswith("run/config.toml: Permission")


def test_a_folder_in_place_of_the_picture_is_named(refused, run):
    Path("taken.png").mkdir()
    assert refused("sample", run, "--out", "taken.png").startswith("taken.png: ")
    assert everything() == ["taken.png"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_every_command_with_one_line(refused, monkeypatch, number):
    """And with the code that shells give it. Before and after training there is no checkpoint."""
    before = signal.getsignal(number)

    def interrupted(*_, **__):
        signal.raise_signal(number)

    monkeypatch.setattr(vae, "run", interrupted)
    words = f"stopped by {number.name}"
    assert refused("train", "vae", *TINY, code=128 + number) == f"{words} (continue with --resume)"
    monkeypatch.setattr(data, "names", interrupted)
    assert refused("data", "list", code=128 + number) == words
    assert signal.getsignal(number) == before


def test_a_loss_that_is_not_finite_is_answered_in_one_line(refused):
    message = refused("train", "vae", *TINY, "--learning-rate", "1e30", "--out", "run")
    assert "vae/loss is " in message
    assert "lower the learning rate" in message
    # The checkpoint from before, if any, is whole; nothing half-written lies about.
    assert not [name for name in everything() if ".writing" in name]


def test_a_message_of_several_lines_becomes_one(refused, monkeypatch):
    def fails(*_, **__):
        raise DataError("first\n   second")

    monkeypatch.setattr(vae, "run", fails)
    assert refused("train", "vae", *TINY) == "first second"


def test_a_bug_keeps_its_traceback(monkeypatch):
    """An error that the user cannot put right must not be dressed up as one that can."""

    def bug(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr(vae, "run", bug)
    with pytest.raises(ZeroDivisionError):
        main(["train", "vae", *TINY])
