"""Turn a trained Keras image classifier into verified TFLite model files for the edge."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.cli import command
from edge.cli.output import write_line
from edge.cli.terminal import quiet_native_stderr, say
from edge.errors import LesionEdgeError
from edge.files import printable, write_atomically

from .about import read_about
from .errors import ConvertError, ParityError, UsageError
from .options import VARIANTS, make_parser

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from convert.verify.parity import Budget
    from convert.verify.pictures import SamplePicture
    from convert.weights.file import Weights

    from .job import Job
    from .pipeline import Outcome

_DEFAULT_WEIGHTS = Path(__file__).resolve().parent.parent / "models" / "model.h5"
"""In a checkout; an installed package has none."""
_EXTRA = ("tensorflow", "keras", "h5py", "ai_edge_quantizer", "gdown")
"""What the extra ``convert`` brings; a device does without."""


def main(arguments: Sequence[str] | None = None, prog: str = "python -m convert") -> int:
    """Run the command and return its exit status."""
    return command.run("convert", lambda: _work(make_parser(prog, __doc__).parse_args(arguments)))


def _work(options: argparse.Namespace) -> int:
    """Convert; what native code wrote is shown with a traceback only."""
    # TensorFlow and its libraries write to file descriptor 2 from C++: kept, shown on a crash.
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # its sums differ from run to run
    try:
        with tempfile.TemporaryFile() as native:
            try:
                with quiet_native_stderr(native):
                    return _convert(options)
            except (LesionEdgeError, KeyboardInterrupt, MemoryError, OSError, ImportError):
                raise
            except BaseException:
                native.seek(0)
                sys.stderr.write(native.read().decode(errors="replace"))
                raise
    except LesionEdgeError:
        raise
    except ImportError as error:
        package = str(error.name).split(".")[0]
        missing = isinstance(error, ModuleNotFoundError)
        if missing and package not in _EXTRA:
            raise
        text = _how_to_add(package) if missing else _how_to_load(error, package)
        raise ConvertError(text) from error
    except OSError as error:
        what = printable(error.filename) if isinstance(error.filename, str) else "a file"
        raise ConvertError(
            f"{what} can't be read or written: {error.strerror or error}; if there is no room, "
            "make some, or set TMPDIR to a folder that has it"
        ) from error


def _how_to_load(error: ImportError, package: str) -> str:
    from edge.libraries import explain

    text = str(error)
    if "failed to map segment" in text or "cannot allocate memory" in text.lower():
        return (
            f"not enough memory is free to load a library ({text.strip()}); close other programs, "
            "see ulimit -v, or use a larger computer"
        )
    # TensorFlow's own libraries are called otherwise.
    wheels = {"cv2": "opencv-python-headless", **{name: name for name in (*_EXTRA, "numpy")}}
    wheel = wheels.get(package, "tensorflow")
    reason, fix = explain(text, wheel)
    return f"{wheel} can't be loaded: {reason}; try: {fix}"


def _how_to_add(missing: str) -> str:
    from edge.libraries import extra

    if sys.version_info >= (3, 14):
        return (
            f"{missing} is missing: TensorFlow is not there for Python 3.14 yet; use 3.10 to 3.13"
        )
    how = extra("convert")
    return f"{missing} is missing, which converting needs and a device doesn't: {how}"


def _convert(options: argparse.Namespace) -> int:
    if options.tflite:
        from .pack import pack

        return pack(
            options,
            budgets=_change_budgets(options),
            read_reference=lambda: _read_weights(options)[1],
            about=read_about(options),
        )
    if options.contract_file:
        raise UsageError("--contract goes with --tflite FILE; with --weights, options say it all")
    from . import pipeline
    from .verify import report

    job = _plan(options)
    outcome = pipeline.run(job, say)
    about = {
        "weights": {"file": job.weights.name, "sha256": job.weights.sha256},
        **({"outline": job.outline.source()} if job.outline else {}),
        "contract": job.preprocessing(),
        "labels": list(job.meaning.labels),
        "positive": job.meaning.positive,
        "threshold": job.meaning.threshold,
        **job.meaning.thresholds,
        "calibration_pictures": len(job.calibration),
        "held_out_pictures": len(job.held_out),
        "notes": list(outcome.notes),
    }
    failed = [f"{row.variant}: {over}" for row in outcome.rows for over in row.over]
    if not failed:
        _write(options.out, options.file_name, outcome, about)
    if sys.stdout is not None:  # without a reader of the table the files are the answer
        document = report.to_dict(outcome.rows, about)
        with contextlib.suppress(BrokenPipeError):
            write_line(
                json.dumps(document, indent=2, ensure_ascii=False)
                if options.json
                else report.to_text(outcome.rows, outcome.notes)
            )
    if failed:
        within = ",".join(row.variant for row in outcome.rows if not row.over)
        raise ParityError(
            f"nothing is written to {printable(options.out)}: {'; '.join(failed)}. Leave a variant "
            f"out with --variants {within}".rstrip()
            + ", or give another budget with --max-delta, --mean-delta, --flips or "
            "--outline-jaccard"
        )
    return 0


def _read_weights(options: argparse.Namespace, *, outline: bool = False) -> tuple[Path, Weights]:
    """Return the classifier's file and model, or those of the network that outlines the lesion."""
    # Imported here, so that --help and wrong usage answer at once.
    import logging
    import warnings

    warnings.filterwarnings("ignore")
    logging.getLogger("absl").setLevel(logging.ERROR)
    import keras

    from convert.weights.fetch import resolve_weights
    from convert.weights.file import read_weights

    # Whatever ~/.keras/keras.json says.
    keras.config.set_floatx("float32")
    keras.config.set_image_data_format("channels_last")
    keras.config.set_dtype_policy("float32")
    spec = options.outline if outline else options.weights
    if spec is None and not _DEFAULT_WEIGHTS.is_file():
        raise UsageError(
            "an installed package has no weights to convert: give --weights FILE, or "
            "--weights upstream for the notebook's own (needs gdown and the internet)"
        )
    sha256 = None if outline else options.sha256
    path = resolve_weights(
        str(_DEFAULT_WEIGHTS) if spec is None else spec,
        sha256=sha256,
        cache_dir=options.cache,
        timeout_s=options.timeout,
        say=say,
    )
    architecture = None if outline else options.architecture
    weights = read_weights(
        path,
        sha256=sha256,
        architecture=architecture,
        to_map=outline,
        familiar=options.familiar is not None and not outline,
        say=say,
    )
    say(f"{'outline' if outline else 'weights'}: {printable(path)}, SHA-256 {weights.sha256}")
    return path, weights


def _plan(options: argparse.Namespace) -> Job:
    from .job import Job
    from .meaning import find_meaning
    from .outline import plan_outline

    path, weights = _read_weights(options)
    about = read_about(options, weights.declared)
    for layer in weights.notebook.front if weights.notebook else ():
        say(f"{layer} of the file scales the input; it is folded in, too")
    if not (weights.described or weights.declared):
        say(
            f"{weights.name} holds weights only and doesn't say what network they are for: taken "
            "for the notebook's by their shapes"
        )
    if weights.bare:
        say(
            f"{weights.name} names the classes of its layers, not where they come from: taken for "
            "Keras' own; a .keras file says it"
        )
    if weights.notebook and options.float_until is not None:
        raise UsageError("--float-until: the notebook's network is int8 from its first layer on")
    meaning = find_meaning(options, weights)
    calibration, held_out, notes = _find_pictures(options, meaning.labels)
    name = options.name or (weights.declared or {}).get("name") or path.stem
    return Job(
        weights=weights,
        meaning=meaning,
        name=printable(str(name)),
        variants=tuple(variant for variant in VARIANTS if variant in options.variants),
        calibration=calibration,
        held_out=held_out,
        seed=options.seed,
        budgets=_change_budgets(options),
        rounds=options.rounds,
        notes=notes,
        compact=options.compact,
        rewrite=options.rewrite,
        tune_for=options.tune_for,
        float_until=options.float_until,
        outline=plan_outline(options, _read_weights(options, outline=True)[1], weights, meaning)
        if options.outline
        else None,
        familiar=options.familiar,
        about=about,
    )


def _find_pictures(
    options: argparse.Namespace, labels: tuple[str, ...]
) -> tuple[list[SamplePicture], list[SamplePicture], tuple[str, ...]]:
    """Return the pictures to calibrate on, those to judge on, and what is to be said of them."""
    from convert.verify.pictures import SHIPPED, choose, load_set, notes_on

    def load(given: Path | None, shipped: str) -> list[SamplePicture]:
        # That our own pictures have other labels is a note, and nothing to mend.
        return load_set(given or SHIPPED / shipped, labels, say if given else None)

    calibration = choose(
        load(options.calibration, "calibration"), options.calibration_count, options.seed
    )
    held_out = load(options.held_out, "held_out")
    instead = None if options.held_out else "--held-out"
    notes = notes_on("parity was judged", held_out, labels, instead)
    if "int8" in options.variants:
        instead = None if options.calibration else "--calibration"
        notes += notes_on("int8 was calibrated", calibration, labels, instead)
    return calibration, held_out, tuple(notes)


def _change_budgets(options: argparse.Namespace) -> dict[str, Budget]:
    from convert.verify.parity import DEFAULT_BUDGETS

    budgets = dict(DEFAULT_BUDGETS)
    for field in ("max_delta", "mean_delta", "flips"):
        for variant, value in getattr(options, field):
            budgets[variant] = dataclasses.replace(budgets[variant], **{field: value})
    return budgets


def _write(folder: Path, name: str, outcome: Outcome, about: dict[str, Any]) -> None:
    from .verify import report

    text = json.dumps(report.to_dict(outcome.rows, about), indent=2, ensure_ascii=False) + "\n"
    source = about["weights"]
    line = (
        f"Weights `{source['file']}`, SHA-256 `{source['sha256']}`; compared with Keras on "
        f"{about['held_out_pictures']} held-out pictures; one thread."
    )
    lines = [line, *about["notes"], *report.passes_as_markdown(outcome.rows)]
    files = {f"{name}-{variant}.tflite": data for variant, data in outcome.files.items()}
    reports = "report" if name == "lesion" else f"{name}-report"
    files[f"{reports}.json"] = text.encode()
    files[f"{reports}.md"] = report.to_markdown(outcome.rows, lines).encode()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for each, data in files.items():
            write_atomically(folder / each, data)
    except OSError as error:
        raise ConvertError(
            f"{printable(folder)}: can't be written: {error.strerror or error}"
        ) from error
    say(f"wrote {', '.join(files)} to {printable(folder)}")
    best = folder / f"{name}-{report.recommend(outcome.rows)}.tflite"
    say(f"use it: python -m edge.run PICTURES --model {printable(best)}")


if __name__ == "__main__":
    sys.exit(main())
