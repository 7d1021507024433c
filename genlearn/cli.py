"""The command ``genlearn``. Options are made from dataclasses and signatures by tyro."""

import argparse
import inspect
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType

import tyro

from genlearn import __version__, data
from genlearn.errors import GenlearnError, Interrupted, RunError
from genlearn.processes import devices_here, launch
from genlearn.recipes import RECIPES
from genlearn.recipes.bench_command import bench
from genlearn.recipes.evaluation import FeatureName, known_head, load_model
from genlearn.signals import sigterm_raises

BAD_INPUT = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return 0, or another code after one line that says what is wrong.

    The code is 2 where it is something that the user can put right, and 128 + number of the signal
    where one ended the command.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    # Only training takes long enough to be continued.
    hint = " (continue with --resume)" if arguments[:1] == ["train"] else ""
    try:
        with sigterm_raises():
            _dispatch(arguments)
        sys.stdout.flush()  # a pipe that nobody reads shows here, not while Python shuts down
    except Interrupted as error:
        return _complain(f"{error}{hint}", 128 + error.number)
    except GenlearnError as error:
        return _complain(str(error))
    except BrokenPipeError:
        # Who read our output, such as head, has seen enough. Nothing is left to say, nor to flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        what = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        return _complain(f"{what}; choose another --out, or make room{hint}")
    except KeyboardInterrupt as error:
        number = signal.Signals(error.args[0] if error.args else signal.SIGINT)
        return _complain(f"stopped by {number.name}{hint}", 128 + number)
    return 0


def sample(
    run: tyro.conf.Positional[Path],
    n: int = 64,
    seed: int = 0,
    best: bool = False,
    out: Path | None = None,
) -> None:
    """Draw images from a trained model and save them as one PNG.

    Args:
        run: folder of the run, for example runs/vae-digits.
        n: number of images.
        seed: another seed gives other images.
        best: take the weights with the best figure on the validation split, not the newest.
        out: the PNG; by default RUN/samples-seed0.png, with the seed's number.
    """
    from genlearn import viz  # matplotlib is slow to import

    if n < 1:
        raise RunError(f"--n must be at least 1, got {n}")
    if not 0 <= seed < 2**63:
        raise RunError(f"--seed must be 0 … 2^63 - 1, got {seed}")
    head = known_head(run)
    trained, step, _ = load_model(run, best)
    images = RECIPES[head.recipe].sample(trained, n, seed)
    out = out or run / f"samples-{'best-' if best else ''}seed{seed}.png"
    viz.save_png(viz.tile(images, head.levels), out)
    weights = f" from the best weights, of step {step}" if best else ""
    print(f"{n} images{weights}: {out}")


def evaluate(
    run: tyro.conf.Positional[Path],
    samples: int | None = None,
    features: FeatureName = "classifier",
    weights: Path | None = None,
    seed: int = 0,
    device: str = "auto",
    best: bool = False,
) -> None:
    """Measure the samples of a trained model: evaluation.json and .png in its folder.

    Beside them stand training images, as if they were samples, to compare with.

    Args:
        run: folder of the run, for example runs/vae-digits.
        samples: how many to draw; by default as many as there are training images, at most 10,000.
        features: in which images are compared: those of a classifier that is trained on the data
            set once and kept, the pixels themselves, or those of Inception-v3.
        weights: the weights of Inception-v3, a file that you have; it is never downloaded.
        seed: another seed gives other samples.
        device: auto takes CUDA, then MPS, then the CPU.
        best: take the weights with the best figure on the validation split, not the newest.
    """
    from genlearn.recipes import evaluation, evaluation_report

    evaluation.check_writable(run)
    found = evaluation.evaluate(
        run,
        samples=samples,
        features=features,
        weights=weights,
        seed=seed,
        device=device,
        best=best,
        progress=True,
    )
    content = found.content
    picture = evaluation.write_evaluation(run, found)
    print(evaluation_report.heading(content))
    print("\n".join(evaluation_report.table(evaluation.columns(content), content)))
    print(f"picture: {picture}")


def compare(
    runs: tyro.conf.Positional[tuple[Path, ...]], out: Path = Path("runs/comparison")
) -> None:
    """Set evaluated runs side by side; `genlearn evaluate` evaluates one.

    Runs compare only where data, features and numbers of samples are the same.

    Args:
        runs: folders of two runs or more.
        out: folder for comparison.json and comparison.png.
    """
    from genlearn.recipes import comparison, evaluation_report

    content = comparison.compare(runs)
    picture = comparison.write_comparison(content, out)
    print("\n".join(evaluation_report.table(comparison.comparison_columns(content), content)))
    print(f"picture: {picture}")


def data_list() -> None:
    """List the data sets: which are on this machine, and where the others come from."""
    for name in data.names():
        entry = data.ENTRIES[name]
        state = "at hand" if data.is_at_hand(name) else f"set {data.FOLDER_VARIABLE}"
        size = f" {entry.source.size / 1e6:.0f} MB" if entry.source else ""
        print(f"{name:16} {state:18} {entry.description}")
        print(f"{'':16} {entry.origin + size:18} {entry.split}")


def data_fetch(name: tyro.conf.Positional[str]) -> None:
    """Download a data set into the cache, which GENLEARN_CACHE names; checksums are verified.

    Args:
        name: the set; `genlearn data list` says which can be downloaded.
    """
    print(f"{name}: {data.fetch(name)}")


def data_show(name: tyro.conf.Positional[str], out: Path | None = None) -> None:
    """Save a contact sheet as PNG: training images, a row for each class in the order of labels.

    Args:
        name: the set; `genlearn data list` says which there are.
        out: the PNG; by default NAME.png.
    """
    from genlearn import viz  # matplotlib is slow to import

    split = data.load(name).train
    out = out or Path(f"{name}.png")
    viz.save_png(viz.contact_sheet(split.images, split.labels, split.levels), out)
    print(f"{split.name}, {len(split):,} images of {' x '.join(map(str, split.shape))}: {out}")


def _train(recipe: ModuleType, arguments: list[str], prog: str) -> None:
    # What recipe.config asks for (data set, profile, perhaps a model) decides the defaults of all
    # other options, so it is read first.
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    deciding = inspect.signature(recipe.config).parameters
    for name, parameter in deciding.items():
        # A value that is missing is left to tyro, which says so more clearly.
        default = parameter.default
        first.add_argument(f"--{name}", nargs="?", default=default, const=default)
    known, _ = first.parse_known_args(arguments)
    if known.data not in data.names():
        data.load(known.data)  # says which names there are
    defaults = recipe.config(**vars(known))
    models = [name for name in deciding if name not in ("data", "profile")]

    def train(
        config: tyro.conf.OmitArgPrefixes[recipe.Config] = defaults,
        out: Path | None = None,
        resume: bool = False,
    ) -> None:
        """Train a model, evaluate it, and draw samples.

        The defaults shown are those of data set, profile and model on the same line.

        Args:
            config: settings.
            out: folder of the run; by default runs/NAME-DATA, or runs/NAME-MODEL-DATA.
            resume: go on with a run that was interrupted.
        """
        words = [recipe.NAME, *(getattr(config, name) for name in models), config.data]
        folder = out or Path("runs") / "-".join(words)
        config = replace(config, devices=devices_here(config.devices))
        run = partial(recipe.run, config, folder, resume=resume, progress=True)
        if (result := launch(run, config.devices, config.device)) is None:
            return  # the first of several processes says it
        print("\n".join(recipe.summary(result)))
        print(f"samples: {folder / 'samples.png'}")

    tyro.cli(train, args=arguments, prog=prog)


def _call(function: Callable, arguments: list[str], prog: str) -> None:
    tyro.cli(function, args=arguments, prog=prog)


COMMANDS: dict[str, tuple[Callable[[list[str], str], None], str]] = {
    **{
        f"train {name}": (partial(_train, recipe), recipe.__doc__.splitlines()[0])
        for name, recipe in RECIPES.items()
    },
    "sample": (partial(_call, sample), "Draw images from a trained model."),
    "evaluate": (partial(_call, evaluate), "Measure the samples of a trained model."),
    "compare": (partial(_call, compare), "Set evaluated runs side by side."),
    "bench": (partial(_call, bench), "Measure training steps: speed, ceilings, memory."),
    "data list": (partial(_call, data_list), "List the data sets."),
    "data fetch": (partial(_call, data_fetch), "Download a data set."),
    "data show": (partial(_call, data_show), "Save a picture of a data set."),
}


def _dispatch(arguments: list[str]) -> None:
    for name, (command, _) in COMMANDS.items():
        words = name.split()
        if arguments[: len(words)] == words:
            command(arguments[len(words) :], f"genlearn {name}")
            return
    width = max(map(len, COMMANDS))
    usage = "\n".join(f"  genlearn {name:{width}}  {text}" for name, (_, text) in COMMANDS.items())
    usage = f"Train, sample and measure deep generative models of images.\n\n{usage}\n\n"
    usage += "Each command explains its options with --help."
    if arguments == ["--version"]:
        print(f"genlearn {__version__}")
        return
    if not arguments or {"-h", "--help"} & set(arguments):
        print(usage)
        return
    raise RunError(
        f"there is no command {' '.join(arguments[:2])!r}; there are: {', '.join(COMMANDS)}"
    )


def _complain(message: str, code: int = BAD_INPUT) -> int:
    print(f"genlearn: {' '.join(message.split())}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
