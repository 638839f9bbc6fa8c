"""What convert.weights.file promises.  The numbers are those of the faults each promise answers."""

from __future__ import annotations

import hashlib
import io
import json
import os
import sys
import time
import zipfile
from functools import partial
from operator import methodcaller
from typing import TYPE_CHECKING, Any

import pytest

np = pytest.importorskip("numpy")
h5py = pytest.importorskip("h5py")
keras = pytest.importorskip("keras")

from convert.errors import ConvertError, WeightsError  # noqa: E402
from convert.network import LAYERS, build_network  # noqa: E402
from convert.weights import child  # noqa: E402
from convert.weights.file import read_weights, write_weights  # noqa: E402
from edge.errors import LesionEdgeError  # noqa: E402
from tests.support.weights import notebook_weights  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.slow

DECLARED = {
    "contract": {"channel_order": "rgb", "scale": [1 / 255] * 3, "offset": [0.0, 0.0, 0.0]},
    "labels": ["benign", "malignant"],
    "threshold": 0.5,
    "name": "test weights",
}


class Kept:
    """Files made once for all tests of the module, and the arrays they hold."""

    def __init__(self, folder: Path) -> None:
        """Make a network with weights of its own."""
        self.folder = folder
        self.model = build_network()
        generator = np.random.default_rng(7)
        self.arrays = {
            spec.name: (
                generator.standard_normal(spec.kernel, np.float32),
                generator.standard_normal(spec.bias, np.float32),
            )
            for spec in LAYERS
        }
        for name, arrays in self.arrays.items():
            self.model.get_layer(name).set_weights(list(arrays))
        self.legacy = folder / "legacy.h5"
        write_weights(self.legacy, self.arrays, DECLARED)

    def check(self, path: Path) -> None:
        """Assert that the file holds our very arrays."""
        weights = read_weights(path)
        notebook = weights.notebook
        assert notebook is not None
        for name, arrays in self.arrays.items():
            for got, expected in zip(notebook.arrays[name], arrays, strict=True):
                assert got.dtype == np.float32
                np.testing.assert_array_equal(got, expected)
        assert weights.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        assert weights.name == path.name


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    return Kept(tmp_path_factory.mktemp("weights"))


def custom_named(kept: Kept, extra: Callable[[Any], Any] | None = None) -> Any:
    """Build the same network with names and an optimizer that are not ours."""
    image = keras.Input((500, 500, 3), name="zz_in")
    x = keras.layers.Conv2D(32, 4, activation="relu", name="zebra")(image)
    x = keras.layers.MaxPooling2D(2)(x)
    x = keras.layers.Conv2D(16, 4, activation="relu", name="aardvark_10")(x)
    x = keras.layers.MaxPooling2D(2)(x)
    x = keras.layers.Flatten()(x)
    x = keras.layers.Dropout(0.5)(x)
    x = keras.layers.Dense(10, activation="relu", name="mole_2")(x)
    x = keras.layers.Dense(1, activation="sigmoid", name="bat")(x)
    model = keras.Model(image, extra(x) if extra else x)
    ours = [layer for layer in model.layers if layer.weights]
    for layer, arrays in zip(ours, kept.arrays.values(), strict=False):
        layer.set_weights(list(arrays))
    model.compile("sgd", "binary_crossentropy")
    return model


def spoil(kept: Kept, tmp_path: Path, change: Callable[[Any], None]) -> Path:
    """Return a copy of the good file that ``change`` has been at."""
    path = tmp_path / "spoilt.h5"
    path.write_bytes(kept.legacy.read_bytes())
    with h5py.File(path, "r+") as file:
        change(file)
    return path


def replace(file: Any, name: str, **how: Any) -> None:
    del file[name]
    file.create_dataset(name, **how)


# Every layout that Keras has used.


@pytest.mark.parametrize("name", ["whole.h5", "whole.keras", "only.weights.h5"])
@pytest.mark.parametrize("named", ["ours", "custom"])
def test_reads_what_keras_saves(kept: Kept, tmp_path: Path, name: str, named: str) -> None:
    model = kept.model if named == "ours" else custom_named(kept)
    save = model.save_weights if name.endswith(".weights.h5") else model.save
    save(tmp_path / name)
    kept.check(tmp_path / name)


def test_reads_the_legacy_weights_only_file(kept: Kept, tmp_path: Path) -> None:
    legacy = pytest.importorskip("keras.src.legacy.saving.legacy_h5_format")
    with h5py.File(tmp_path / "legacy.h5", "w") as file:
        legacy.save_weights_to_hdf5_group(file, custom_named(kept))
    kept.check(tmp_path / "legacy.h5")


def test_reads_the_names_of_keras_2(kept: Kept, tmp_path: Path) -> None:
    """Weights are called ``conv2d_9/kernel:0``; long lists of layers are split over attributes."""
    path = tmp_path / "model.h5"
    with h5py.File(path, "w") as file:
        group = file.create_group("model_weights")
        names = ["conv2d_9", "conv2d_10", "dense_9", "dense_10"]
        group.attrs["layer_names0"] = np.array(["input_5", *names[:2]], dtype="S")
        group.attrs["layer_names1"] = np.array(names[2:], dtype="S")
        group.create_group("input_5").attrs["weight_names"] = np.array([])
        for name, arrays in zip(names, kept.arrays.values(), strict=True):
            weights = [f"{name}/kernel:0", f"{name}/bias:0"]
            layer = group.create_group(name)
            layer.attrs["weight_names"] = np.array(weights, dtype="S")
            for weight, array in zip(weights, arrays, strict=True):
                layer.create_dataset(weight, data=array)
        file.create_group("optimizer_weights").create_dataset("iter:0", data=np.int64(3))
    kept.check(path)


def test_reads_the_layout_of_keras_2_13(kept: Kept, tmp_path: Path) -> None:
    inner = io.BytesIO()
    with h5py.File(inner, "w") as file:
        names = ["conv2d", "conv2d_1", "dense", "dense_1"]
        for name, arrays in zip(names, kept.arrays.values(), strict=True):
            for index, array in enumerate(arrays):
                file[f"_layer_checkpoint_dependencies/{name}/vars/{index}"] = array
        file["optimizer/vars/0"] = np.int64(3)
        state = "_layer_checkpoint_dependencies/dropout/seed_generator/vars/0"
        file[state] = np.zeros(2, np.uint32)
    config = io.StringIO()
    json.dump(keras.saving.serialize_keras_object(custom_named(kept)), config)
    with zipfile.ZipFile(tmp_path / "m.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", config.getvalue())
        archive.writestr("model.weights.h5", inner.getvalue())
    kept.check(tmp_path / "m.keras")


def test_the_name_of_the_file_does_not_matter(kept: Kept, tmp_path: Path) -> None:
    (tmp_path / "no extension").write_bytes(kept.legacy.read_bytes())
    kept.check(tmp_path / "no extension")


def test_double_precision_is_taken(kept: Kept, tmp_path: Path) -> None:
    bias = kept.arrays["conv1"][1].astype(">f8")
    kept.check(spoil(kept, tmp_path, lambda f: replace(f, "conv1/conv1/bias", data=bias)))


# What it writes.


def test_what_is_written_comes_back(kept: Kept) -> None:
    kept.check(kept.legacy)
    assert read_weights(kept.legacy).declared == DECLARED


def test_the_same_weights_give_the_same_bytes(kept: Kept, tmp_path: Path) -> None:
    reordered = {name: kept.arrays[name] for name in sorted(kept.arrays, reverse=True)}
    write_weights(tmp_path / "again.h5", reordered, dict(reversed(DECLARED.items())))
    assert (tmp_path / "again.h5").read_bytes() == kept.legacy.read_bytes()


def test_keras_itself_loads_what_is_written(kept: Kept) -> None:
    model = build_network()
    model.load_weights(kept.legacy)
    for name, arrays in kept.arrays.items():
        for got, expected in zip(model.get_layer(name).get_weights(), arrays, strict=True):
            np.testing.assert_array_equal(got, expected)


def test_weights_that_were_read_cannot_be_changed(kept: Kept) -> None:
    arrays = notebook_weights(kept.legacy).arrays
    with pytest.raises(ValueError, match="read-only"):
        arrays["conv1"][0][0, 0, 0, 0] = 1
    with pytest.raises(TypeError):
        arrays["conv1"] = arrays["conv2"]  # type: ignore[index]


@pytest.mark.parametrize("fault", ["missing", "extra", "shape", "nan", "declared", "not json"])
def test_fault_32_nothing_is_written_of_what_could_not_be_read(
    kept: Kept,
    tmp_path: Path,
    fault: str,
) -> None:
    """32."""
    arrays: dict[str, Any] = dict(kept.arrays)
    declared: dict[str, object] = dict(DECLARED)
    kernel, bias = arrays["dense2"]
    if fault == "missing":
        del arrays["dense2"]
    elif fault == "extra":
        arrays["dense3"] = (kernel, bias)
    elif fault == "shape":
        arrays["dense2"] = (kernel.T, bias)
    elif fault == "nan":
        arrays["dense2"] = (kernel * np.nan, bias)
    elif fault == "declared":
        del declared["threshold"]
    else:
        declared["name"] = object()
    path = tmp_path / "model.h5"
    path.write_bytes(b"the old one")
    with pytest.raises(WeightsError, match=r"dense2|declare"):
        write_weights(path, arrays, declared)
    assert path.read_bytes() == b"the old one"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_without_declaration_declares_nothing(kept: Kept, tmp_path: Path) -> None:
    write_weights(tmp_path / "plain.h5", kept.arrays, None)
    assert read_weights(tmp_path / "plain.h5").declared is None


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "{}",
        (
            '{"contract": {"channel_order": "rgb", "scale": [1, 1, 1], "offset": [0, 0]}, '
            '"labels": ["a", "b"], "threshold": 0.5, "name": "x"}'
        ),
        (
            '{"contract": {"channel_order": "rgb", "scale": [1, 1, NaN], "offset": [0, 0, 0]}, '
            '"labels": ["a", "b"], "threshold": 0.5, "name": "x"}'
        ),
        (
            '{"contract": {"channel_order": "rgb", "scale": [1, 1, 1], "offset": [0, 0, 0]}, '
            '"labels": "ab", "threshold": 0.5, "name": "x"}'
        ),
    ],
)
def test_a_corrupt_declaration_is_an_error(kept: Kept, tmp_path: Path, text: str) -> None:
    path = spoil(kept, tmp_path, lambda f: f.attrs.__setitem__("lesion_edge", np.bytes_(text)))
    with pytest.raises(WeightsError, match="lesion_edge"):
        read_weights(path)


# Files that are no weights, or no longer.


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty"),
        (b"\xef\xbb\xbf\n <!DOCTYPE html><title>Quota exceeded</title>", "web page.*in a browser"),
        (b"<html><body>Sign in", "web page.*in a browser"),
        (b"version https://git-lfs", "LFS pointer.*git lfs pull"),
        (b"\x00" * 4000, "blank file"),
        (b"\x01\x02\x03 none that is known\xff\xfe", "starts with"),
        (b"PK\x03\x04 and then nothing", "archive is damaged"),
        (b"\x89HDF\r\n\x1a\n", "damaged"),
    ],
)
def test_fault_27_the_error_says_what_the_file_is(tmp_path: Path, data: bytes, says: str) -> None:
    """27."""
    path = tmp_path / "model.h5"
    path.write_bytes(data)
    with pytest.raises(WeightsError, match=says) as caught:
        read_weights(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_a_folder_and_a_fifo_are_errors(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "missing.h5", tmp_path, tmp_path / "fifo", tmp_path / "a\0b"):
        with pytest.raises(WeightsError, match="can't be read"):
            read_weights(path)


def test_every_error_is_one_of_the_package_and_a_value_error() -> None:
    assert issubclass(WeightsError, ConvertError)
    assert issubclass(ConvertError, LesionEdgeError)
    assert issubclass(WeightsError, ValueError)


@pytest.mark.parametrize("cut", [9, 96, 700, 2048, 5000, 0.1, 0.5, 0.9, -4096, -1])
def test_fault_27_a_cut_file_is_an_error(kept: Kept, tmp_path: Path, cut: float) -> None:
    """27."""
    data = kept.legacy.read_bytes()
    path = tmp_path / "cut.h5"
    path.write_bytes(data[: int(cut * len(data)) if isinstance(cut, float) else cut])
    with pytest.raises(WeightsError, match=r"cut\.h5.*(damaged|no weights)"):
        read_weights(path)


def test_a_cut_archive_is_an_error(kept: Kept, tmp_path: Path) -> None:
    kept.model.save(tmp_path / "m.keras")
    data = (tmp_path / "m.keras").read_bytes()
    for end in (40, 5000, len(data) // 2, len(data) - 1):
        (tmp_path / "cut.keras").write_bytes(data[:end])
        with pytest.raises(WeightsError, match=r"cut\.keras.*damaged"):
            read_weights(tmp_path / "cut.keras")
    spoilt = bytearray(data)
    spoilt[len(data) // 2] ^= 1  # the checksum in the archive tells
    (tmp_path / "bit.keras").write_bytes(spoilt)
    with pytest.raises(WeightsError, match="damaged"):
        read_weights(tmp_path / "bit.keras")


def test_random_damage_is_an_error_or_harmless(kept: Kept, tmp_path: Path) -> None:
    """Also where the HDF5 library crashes on it: never an exception of another kind."""
    data = kept.legacy.read_bytes()
    generator = np.random.default_rng(3)
    path = tmp_path / "damaged.h5"
    refused = 0
    for _ in range(12):
        spoilt = bytearray(data)
        for position in generator.integers(8, 3000, 12):
            spoilt[position] = generator.integers(256)
        path.write_bytes(spoilt)
        try:
            notebook = notebook_weights(path)
        except WeightsError:
            refused += 1
        else:
            assert set(notebook.arrays) == set(kept.arrays)
    assert refused


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_crash_of_the_library_is_an_error(
    kept: Kept,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    crash = tmp_path / "python"
    crash.write_text("#!/bin/sh\nkill -SEGV $$\n")
    crash.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(crash))
    with pytest.raises(WeightsError, match=r"crash.*fetch it again"):
        read_weights(kept.legacy)


@pytest.mark.skipif(os.name != "posix", reason="a script")
def test_a_library_that_never_ends_is_an_error(
    kept: Kept,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    endless = tmp_path / "python"
    endless.write_text("#!/bin/sh\nexec sleep 30\n")
    endless.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(endless))
    monkeypatch.setattr("convert.weights.apart._SILENCE_S", 0.1)
    monkeypatch.setattr("convert.weights.apart._TIMEOUT_S", 0.3)
    with pytest.raises(WeightsError, match="can't be read in"):
        read_weights(kept.legacy)


def test_a_process_that_is_slow_to_start_is_told_of_and_gets_the_whole_file(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("convert.weights.apart._SILENCE_S", 0.0)
    told: list[str] = []
    weights = read_weights(kept.legacy, say=told.append)
    assert weights.notebook is not None
    assert told == ["reading the model with Keras, in a process of its own"]


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_library_that_goes_round_for_ever_is_ended_by_its_processor_time(
    kept: Kept,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With no second left for it, so that the test needs none."""
    code = (
        "import itertools; from convert.weights import child; child.MAX_PARSE_S = 0; "
        "child.h5py.File = lambda *_: all(map(int, itertools.repeat(1))); "
        "child.serve()"
    )
    endless = tmp_path / "python"
    endless.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{code}"\n')
    endless.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(endless))
    with pytest.raises(WeightsError, match=r"come to no end; fetch it again"):
        read_weights(kept.legacy)


def test_the_process_that_reads_is_limited_in_memory_and_time(
    kept: Kept, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    resource = pytest.importorskip("resource")
    limits: dict[int, tuple[int, int]] = {}
    monkeypatch.setattr(resource, "setrlimit", limits.__setitem__)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (0, resource.RLIM_INFINITY))
    request = json.dumps(
        {"config": None, "version": None, "check": False, "map": False, "familiar": False}
    ).encode()
    data = request + b"\n" + kept.legacy.read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    child.serve()
    assert b"declared" in capsysbinary.readouterr().out[:100]
    assert limits[resource.RLIMIT_AS] == (1 << 30, resource.RLIM_INFINITY)
    used = time.process_time()
    assert limits[resource.RLIMIT_CPU][0] <= used + child.MAX_PARSE_S + 1


def test_fault_28_the_hash_tells_what_h5py_does_not(kept: Kept, tmp_path: Path) -> None:
    """28, 55."""
    data = bytearray(kept.legacy.read_bytes())
    good = hashlib.sha256(data).hexdigest()
    assert read_weights(kept.legacy, sha256=good.upper()).sha256 == good
    data[5_000_000:5_001_000] = bytes(1000)
    path = tmp_path / "zeroed.h5"
    path.write_bytes(data)
    bad = hashlib.sha256(data).hexdigest()
    assert read_weights(path).sha256 == bad
    with pytest.raises(WeightsError, match=f"{bad}.*{good}"):
        read_weights(path, sha256=good)


def test_a_file_over_the_cap_is_refused(
    kept: Kept,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bomb = tmp_path / "bomb.keras"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.weights.h5", bytes(3 << 20))
    monkeypatch.setattr("convert.weights.file.MAX_BYTES", 2 << 20)
    with pytest.raises(WeightsError, match="larger than 2 MiB"):
        read_weights(kept.legacy)
    with pytest.raises(WeightsError, match="unpacks to more than 2 MiB"):
        read_weights(bomb)


def test_fault_29_a_claim_of_a_million_million_floats_is_refused_at_once(tmp_path: Path) -> None:
    """29."""
    path = tmp_path / "claim.h5"
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = np.array(["conv1"], dtype="S")
        group = file.create_group("conv1")
        group.attrs["weight_names"] = np.array(["kernel", "bias"], dtype="S")
        group.create_dataset("kernel", (10**12,), "f4", chunks=(1024,))
        group.create_dataset("bias", (32,), "f4")
    assert path.stat().st_size < 20_000
    with pytest.raises(WeightsError, match=r"conv1 expects \(4, 4, 3, 32\).*\(1000000000000,\)"):
        read_weights(path)


# Ways out of the file.


@pytest.mark.parametrize("kind", ["external", "soft", "dangling", "group", "virtual", "storage"])
def test_fault_30_nothing_outside_the_dataset_is_followed(
    kept: Kept, tmp_path: Path, kind: str
) -> None:
    """30: the target is a good file, so that following it would succeed."""
    other = str(kept.legacy)
    raw = tmp_path / "raw.bin"
    raw.write_bytes(kept.arrays["conv1"][1].tobytes())

    def change(file: Any) -> None:
        if kind == "group":
            del file["conv1"]
            file["conv1"] = h5py.ExternalLink(other, "/conv1")
            return
        del file["conv1/conv1/bias"]
        if kind == "external":
            file["conv1/conv1/bias"] = h5py.ExternalLink(other, "/conv1/conv1/bias")
        elif kind in ("soft", "dangling"):
            if kind == "soft":
                file["elsewhere"] = kept.arrays["conv1"][1]
            file["conv1/conv1/bias"] = h5py.SoftLink("/elsewhere")
        elif kind == "virtual":
            layout = h5py.VirtualLayout((32,), "f4")
            layout[:] = h5py.VirtualSource(other, "conv1/conv1/bias", (32,))
            file["conv1/conv1"].create_virtual_dataset("bias", layout)
        else:
            where = [(str(raw), 0, 128)]
            file["conv1/conv1"].create_dataset("bias", (32,), "f4", external=where)

    path = spoil(kept, tmp_path, change)
    with h5py.File(path) as file:
        if kind != "dangling":  # h5py alone does follow it
            np.testing.assert_array_equal(file["conv1/conv1/bias"][()], kept.arrays["conv1"][1])
    with pytest.raises(WeightsError, match=r"conv1.*never (followed|opened)"):
        read_weights(path)


def test_fault_30_compressed_and_other_types_are_refused(kept: Kept, tmp_path: Path) -> None:
    """30."""
    bias = kept.arrays["conv1"][1]
    for how, says in (
        ({"data": bias.astype("i4")}, "int32"),
        ({"data": bias.astype("c8")}, "complex64"),
        ({"data": [b"x"] * 32}, "conv1 holds"),
        ({"data": bias, "compression": "gzip"}, "compressed"),
    ):
        path = spoil(kept, tmp_path, partial(replace, name="conv1/conv1/bias", **how))
        with pytest.raises(WeightsError, match=says):
            read_weights(path)


@pytest.mark.parametrize("name", ["lambda.h5", "lambda.keras"])
def test_fault_31_a_model_is_never_deserialised(kept: Kept, tmp_path: Path, name: str) -> None:
    """31: the layer would leave a mark as soon as Keras built it."""
    mark = tmp_path / "mark"
    # The code is saved with the model, so it has to bring its own imports.
    code = f"lambda x: (__import__('pathlib').Path({str(mark)!r}).touch(), x)[1]"
    layer = keras.layers.Lambda(eval(code))  # noqa: S307
    custom_named(kept, layer).save(tmp_path / name)
    mark.unlink(missing_ok=True)
    with pytest.raises(WeightsError, match=r"'lambda\w*' \(Lambda\): it runs code"):
        read_weights(tmp_path / name)
    assert not mark.exists()
    keras.models.load_model(tmp_path / name, compile=False, safe_mode=False)
    assert mark.exists(), "the layer is harmless, so this test proves nothing"


# Weights of another network.


def test_fault_32_a_missing_layer_is_named(kept: Kept, tmp_path: Path) -> None:
    """32."""

    def change(file: Any) -> None:
        names = [name for name in file.attrs["layer_names"] if name not in (b"conv2", "conv2")]
        file.attrs["layer_names"] = np.array(names, dtype="S")

    with pytest.raises(WeightsError, match=r"no weights for layer conv2, expected \(4, 4, 32, 16"):
        read_weights(spoil(kept, tmp_path, change))


def test_fault_32_a_listed_layer_or_weight_that_is_not_there_is_named(
    kept: Kept, tmp_path: Path
) -> None:
    """32."""
    for name in ("pool1", "dense1", "dense1/dense1/bias"):
        path = spoil(kept, tmp_path, methodcaller("__delitem__", name))
        with pytest.raises(WeightsError, match=f"{name.split('/')[0]}.* doesn't hold it"):
            read_weights(path)


def test_fault_32_a_wrong_shape_is_named_with_both_shapes(kept: Kept, tmp_path: Path) -> None:
    """32."""
    wrong = np.zeros((3, 3, 32, 16), np.float32)
    path = spoil(kept, tmp_path, lambda f: replace(f, "conv2/conv2/kernel", data=wrong))
    with pytest.raises(WeightsError, match=r"conv2 expects \(4, 4, 32, 16\).*\(3, 3, 32, 16\)"):
        read_weights(path)
    path = spoil(kept, tmp_path, lambda f: replace(f, "dense2/dense2/bias", data=np.float32(1)))
    with pytest.raises(WeightsError, match=r"dense2 expects \(10, 1\) and \(1,\)"):
        read_weights(path)


def test_fault_32_an_extra_layer_is_named(kept: Kept, tmp_path: Path) -> None:
    """32: a batch normalisation would change every answer, so it can't be left out."""
    model = custom_named(kept, keras.layers.BatchNormalization(name="norm"))
    model.save_weights(tmp_path / "more.weights.h5")
    with pytest.raises(WeightsError, match=r"no layer for: \S*norm\S* \(\(1,\), \(1,\)"):
        read_weights(tmp_path / "more.weights.h5")
    model.save(tmp_path / "more.h5")
    with pytest.raises(
        WeightsError, match=r"it ends with layer 'norm' \(BatchNormalization\), activation linear"
    ):
        read_weights(tmp_path / "more.h5")


@pytest.mark.parametrize(
    ("layer", "name"),
    [
        (keras.layers.LeakyReLU(), "leaky_re_lu"),
        (keras.layers.AveragePooling2D(1), "average_pooling2d"),
        (keras.layers.Rescaling(1 / 255), "rescaling"),
    ],
)
def test_fault_58_weights_alone_of_a_layer_that_is_not_ours_are_refused_by_its_name(
    kept: Kept, tmp_path: Path, layer: Any, name: str
) -> None:
    """58: such a layer has no weights, but a group of its own."""
    again = type(layer).from_config({**layer.get_config(), "name": f"{name}_7"})
    image = keras.Input((500, 500, 3))
    ours = custom_named(kept)
    inner = keras.Model(ours.inputs, ours.outputs)  # without an optimizer
    model = keras.Model(image, inner(again(image)))
    model.save_weights(tmp_path / "new.weights.h5")
    with pytest.raises(WeightsError, match=rf"its layer {name} is called.*model\.save"):
        read_weights(tmp_path / "new.weights.h5")
    model.save(tmp_path / "old.h5")
    with h5py.File(tmp_path / "old.h5", "r+") as file:
        del file.attrs["model_config"]
    with pytest.raises(WeightsError, match=rf"its layer {name}_7 is called.*model\.save"):
        read_weights(tmp_path / "old.h5")


def test_another_order_is_refused(kept: Kept, tmp_path: Path) -> None:
    def change(file: Any) -> None:
        names = ["dense1", "conv1", "conv2", "dense2"]
        file.attrs["layer_names"] = np.array(names, dtype="S")

    with pytest.raises(WeightsError, match=r"another order.*dense1, conv1, conv2, dense2"):
        read_weights(spoil(kept, tmp_path, change))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_fault_32_weights_that_are_no_number_are_refused(
    kept: Kept, tmp_path: Path, value: float
) -> None:
    """32: 1e300 is one as float64, but not as float32."""
    bias = kept.arrays["dense1"][1].astype("f8")
    bias[3] = value
    path = spoil(kept, tmp_path, lambda f: replace(f, "dense1/dense1/bias", data=bias))
    with pytest.raises(WeightsError, match="dense1 has 1 weights that are NaN or infinite"):
        read_weights(path)


def test_hdf5_without_keras_weights_says_what_it_holds(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["pictures"] = np.zeros(3)
    with pytest.raises(WeightsError, match="without Keras weights: it holds pictures"):
        read_weights(tmp_path / "data.h5")
    with zipfile.ZipFile(tmp_path / "data.npz", "w") as archive:
        archive.writestr("a.npy", b"")
    with pytest.raises(WeightsError, match=r"zip without model\.weights\.h5"):
        read_weights(tmp_path / "data.npz")


def test_names_in_the_file_cannot_break_the_line(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "evil.h5", "w") as file:
        file["\x1b[2J\nall is well"] = np.zeros(3)
    with pytest.raises(WeightsError) as caught:
        read_weights(tmp_path / "evil.h5")
    assert str(caught.value).isprintable()


def test_an_endless_group_ends(tmp_path: Path) -> None:
    """A group can hold itself by a hard link, which is no other kind of link."""
    with h5py.File(tmp_path / "loop.h5", "w") as file:
        group = file.create_group("layers")
        for name in "abcdef":
            group[name] = group
    with pytest.raises(WeightsError, match="too deep"):
        read_weights(tmp_path / "loop.h5")


# What else people give.


def test_fault_62_weights_that_are_something_else_are_named_with_a_way_out(tmp_path: Path) -> None:
    """62."""
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("archive/data.pkl", b"x")
    inside = io.BytesIO()
    with zipfile.ZipFile(inside, "w") as archive:
        archive.writestr("model/model.weights.h5", b"x")
        archive.writestr("model/config.json", b"{}")
    path = tmp_path / "model.h5"
    for data, says in (
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "LFS.*git lfs pull"),
        (b"\x1f\x8b\x08\0" + bytes(range(99)), "gzip.*gzip -dc"),
        (b"\x1c\0\0\0TFL3" + bytes(range(99)), "TFLite model.*Keras file"),
        (b"\xff\xd8\xff\xe0" + bytes(range(99)), "JPEG picture"),
        (b"\x08\x08\x12\x07pytorch\x1a\x05", "ONNX.*Keras file"),
        (zipped.getvalue(), "PyTorch.*Keras file"),
        (inside.getvalue(), r"zip of a folder.*zip \.\./model\.keras"),
    ):
        path.write_bytes(data)
        with pytest.raises(WeightsError, match=says):
            read_weights(path)
    checkpoint = tmp_path / "model.data-00000-of-00001"
    checkpoint.write_bytes(b"\x01\x02\x03 of no kind\xff\xfe")
    for name, holds, says in (
        ("saved", "saved_model.pb", r"SavedModel.*model\.save\('model\.keras'\)"),
        ("unpacked", "model.weights.h5", r"unpacked \.keras archive; pack"),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / holds).touch()
        with pytest.raises(WeightsError, match=says):
            read_weights(tmp_path / name)
    with pytest.raises(WeightsError, match=r"TensorFlow checkpoint.*save_weights"):
        read_weights(checkpoint)


@pytest.mark.parametrize("name", [b"m\xe9lanome.h5", b"a\n\"b'.h5", b"x" * 250 + b".h5"])
def test_fault_65_any_file_name_is_read_and_shown_in_one_line(
    kept: Kept, tmp_path: Path, name: bytes
) -> None:
    """65."""
    path = tmp_path / os.fsdecode(name)
    path.write_bytes(kept.legacy.read_bytes())
    weights = read_weights(path)
    assert weights.name.isprintable()
    assert weights.name.endswith(".h5")
    assert len(weights.name) >= len(name)
    path.write_bytes(b"")
    with pytest.raises(WeightsError) as caught:
        read_weights(path)
    assert str(caught.value).isprintable()
