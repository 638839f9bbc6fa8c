"""What is known to make Keras run code, read files or take all memory is refused by name.

Each file is what an attacker would send, whole and well formed, around the trick of an advisory.
"""

from __future__ import annotations

import base64
import json
import marshal
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

np = pytest.importorskip("numpy")
h5py = pytest.importorskip("h5py")
keras = pytest.importorskip("keras")

from convert.errors import WeightsError  # noqa: E402
from convert.weights.file import read_weights  # noqa: E402
from tests.support.pictures import ROOT  # noqa: E402
from tests.support.weights import read_here  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.slow

L = keras.layers


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Code that ran would leave its mark all the same."""
    monkeypatch.setattr("convert.weights.file.read_apart", read_here)


def model() -> Any:
    image = keras.Input((8, 8, 3), name="image")
    x = L.Flatten(name="flatten")(L.Conv2D(2, 3, name="conv")(image))
    return keras.Model(image, L.Dense(2, activation="softmax", name="dense")(x))


def function(module: str, name: str, registered: str | None = "function") -> dict[str, Any]:
    return {
        "module": module,
        "class_name": "function",
        "config": name,
        "registered_name": registered,
    }


def of(module: str, kind: str, registered: str | None = None, **config: Any) -> dict[str, Any]:
    return {"module": module, "class_name": kind, "config": config, "registered_name": registered}


def marked_lambda(mark: Path) -> dict[str, Any]:
    """Code as Keras 2 and 3 write it, which leaves a mark when it is run."""
    code = compile(f"open({str(mark)!r}, 'w')", "", "exec")
    text = base64.b64encode(marshal.dumps(code)).decode()
    return {"class_name": "__lambda__", "config": {"code": text, "defaults": None, "closure": None}}


def instead(kind: str, module: str = "keras.layers", **config: Any) -> Callable[[Any, Path], None]:
    """Return a change that puts a layer of a class into the place of the second."""

    def change(document: Any, mark: Path) -> None:
        layer = layer_of(document, "flatten")
        layer.update(module=module, class_name=kind, registered_name=None)
        layer["config"].update({key: marked(value, mark) for key, value in config.items()})

    return change


def marked(value: Any, mark: Path) -> Any:
    return json.loads(json.dumps(value).replace("MARK", str(mark)))


def setting(layer: str, key: str, value: Any) -> Callable[[Any, Path], None]:
    def change(document: Any, mark: Path) -> None:
        layer_of(document, layer)["config"][key] = marked(value, mark)

    return change


def layer_of(document: Any, name: str) -> Any:
    return next(each for each in document["config"]["layers"] if each["name"] == name)


def python_lambda(document: Any, mark: Path) -> None:
    instead("Lambda")(document, mark)
    layer_of(document, "flatten")["config"]["function"] = marked_lambda(mark)


def unsafe_first(document: Any, mark: Path) -> None:
    """A layer that is a call of a function, in front of a Lambda."""
    layers = document["config"]["layers"]
    call = of("keras.config", "function", None)
    call.update(function("keras.config", "enable_unsafe_deserialization"), name="x")
    layers.insert(0, {**call, "inbound_nodes": []})
    python_lambda(document, mark)


def pickled(document: Any, mark: Path) -> None:
    instead("TorchModuleWrapper")(document, mark)
    layer_of(document, "flatten")["config"]["module"] = "gASVHgAAAA"


def call_argument(document: Any, mark: Path) -> None:
    node = layer_of(document, "flatten")["inbound_nodes"][0]
    node["kwargs"] = {"mask": function("os", "system"), "inputs": str(mark)}


def gadget_operand(document: Any, mark: Path) -> None:
    node = layer_of(document, "flatten")["inbound_nodes"][0]
    node["args"].append(of("subprocess", "Popen", args=["touch", str(mark)]))


def nested_lambda(document: Any, mark: Path) -> None:
    inner = json.loads(model().to_json())
    python_lambda(inner, mark)
    inner["config"]["name"] = "backbone"
    layer = layer_of(document, "flatten")
    layer.update({key: inner[key] for key in ("module", "class_name", "registered_name", "config")})


ATTACKS: dict[str, tuple[Callable[[Any, Path], None], str]] = {
    # CVE-2024-3660, CVE-2025-9905: code in a Lambda layer; an .h5 knows no safe mode.
    "lambda": (python_lambda, r"layer 'flatten' \(Lambda\): it runs code"),
    "lambda in a model inside": (nested_lambda, r"'flatten' \(Lambda\) in 'flatten': it runs code"),
    "lambda of a function": (
        instead("Lambda", function=function("os", "system"), arguments={"command": "touch MARK"}),
        r"\(Lambda\): it runs code",
    ),
    # CVE-2025-1550: any module and any function.
    "any module": (instead("Popen", "subprocess", args=["touch", "MARK"]), "none of Keras itself"),
    "builtins": (instead("exec", "builtins", source="open('MARK', 'w')"), "none of Keras itself"),
    "in a call": (call_argument, "'flatten' is called with"),
    "as an operand": (gadget_operand, "'flatten' is called on"),
    # CVE-2025-8747, CVE-2025-12060: Keras' own functions as gadgets; a download is unpacked.
    "get_file": (
        instead("Lambda", function=function("keras.utils", "get_file"), arguments={"x": "MARK"}),
        r"\(Lambda\): it runs code",
    ),
    "get_file as a layer": (
        instead("get_file", "keras.utils", origin="file:MARK", extract=True),
        r"\(get_file\): it is not among",
    ),
    "load_model as a layer": (
        instead("load_model", "keras.models", filepath="MARK", safe_mode=False),
        r"\(load_model\): it is not among",
    ),
    # CVE-2025-9906: safe mode is turned off by the file.
    "unsafe first": (unsafe_first, r"\(function\): it is not among|runs code|none of Keras"),
    # CVE-2025-12058: a layer reads a file, or an address, of the file's choosing.
    "vocabulary": (
        instead("StringLookup", vocabulary="/etc/passwd"),
        r"\(StringLookup\): it is not among",
    ),
    "vocabulary of numbers": (instead("IntegerLookup", vocabulary="/etc/passwd"), "not among"),
    "vocabulary of text": (
        instead("TextVectorization", vocabulary="http://127.0.0.1/"),
        "it is not among",
    ),
    # CVE-2025-49655: a pickle inside a layer.
    "torch": (
        pickled,
        r"\(TorchModuleWrapper\): it runs code",
    ),
    # keras-team/keras pull requests 22035 and 23654: a SavedModel of the file's choosing.
    "saved model": (
        instead("TFSMLayer", filepath="MARK", call_endpoint="serve"),
        r"\(TFSMLayer\): it is not among",
    ),
    "wrapper": (
        instead("TimeDistributed", layer=of("keras.layers", "Lambda", function="x")),
        r"\(TimeDistributed\): it is not among",
    ),
    "random crop of a gadget": (
        instead("RandomFlip", mode=function("os", "system"), data_format="MARK"),
        "",
    ),
    # Where Keras looks for an object of some kind, it takes any.
    "activation": (
        setting("conv", "activation", function("keras.utils", "get_file")),
        "activation should be one of",
    ),
    "activation of a module": (
        setting("conv", "activation", function("os", "system", "system")),
        "activation should be one of",
    ),
    "activation that is code": (
        setting("conv", "activation", {"class_name": "__lambda__", "config": {"value": "4wEA"}}),
        "activation should be one of",
    ),
    "type": (
        setting(
            "conv",
            "strides",
            {
                "class_name": "__typespec__",
                "spec_name": "Popen",
                "module": "subprocess",
                "config": ["touch", "MARK"],
                "registered_name": None,
            },
        ),
        "strides should be",
    ),
    "precision": (
        setting("conv", "dtype", of("subprocess", "Popen", args=["touch", "MARK"])),
        "should compute in float32",
    ),
    "initialiser": (
        setting("conv", "kernel_initializer", of("subprocess", "Popen", args=["touch", "MARK"])),
        "",
    ),
    "regulariser": (
        setting("dense", "kernel_regularizer", function("keras.utils", "get_file")),
        "",
    ),
    "build": (
        lambda document, mark: layer_of(document, "conv").update(
            build_config=of("subprocess", "Popen", args=["touch", str(mark)])
        ),
        "",
    ),
    "compile": (
        lambda document, mark: document.update(
            compile_config={"optimizer": of("subprocess", "Popen", args=["touch", str(mark)])}
        ),
        "",
    ),
}


@pytest.mark.parametrize("suffix", ["keras", "h5"])
@pytest.mark.parametrize("name", ATTACKS)
def test_fault_31_no_code_of_a_file_is_run(name: str, suffix: str, tmp_path: Path) -> None:
    """31: refused by name; what no answer depends on isn't even read."""
    change, says = ATTACKS[name]
    path, mark, good = tmp_path / f"model.{suffix}", tmp_path / "mark", model()
    good.save(path)
    document = json.loads(good.to_json())
    change(document, mark)
    if suffix == "keras":
        rewrite(path, {"config.json": json.dumps(document).encode()})
    else:
        with h5py.File(path, "r+") as file:
            file.attrs["model_config"] = np.bytes_(json.dumps(document).encode())
    if says:
        with pytest.raises(WeightsError, match=says) as caught:
            read_weights(path)
        assert str(caught.value).isprintable()
    else:
        image = np.ones((1, 8, 8, 3), np.float32)
        if name.startswith("random"):  # it stands where flatten did
            with pytest.raises(WeightsError, match=r"don't fit|its output is"):
                read_weights(path)
        else:
            np.testing.assert_array_equal(read_weights(path).model(image), good(image))
    assert not mark.exists()


def rewrite(path: Path, changed: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {**members, **changed}.items():
            archive.writestr(name, content)


def test_the_mark_is_left_where_code_is_run(tmp_path: Path) -> None:
    """Else the tests above would prove nothing: Keras, asked to trust the file, leaves it."""
    mark, path = tmp_path / "mark", tmp_path / "model.keras"
    code = f"lambda x: (__import__('pathlib').Path({str(mark)!r}).touch(), x)[1]"
    image = keras.Input((8, 8, 3))
    keras.Model(image, L.Lambda(eval(code))(image)).save(path)  # noqa: S307
    mark.unlink(missing_ok=True)
    with pytest.raises(WeightsError, match=r"\(Lambda\): it runs code"):
        read_weights(path)
    assert not mark.exists()
    keras.saving.load_model(path, compile=False, safe_mode=False)
    assert mark.exists()


# The HDF5 file itself: what Keras follows or allocates (CVE-2026-1669, CVE-2026-0897).


def replace(file: Any, name: str, **how: Any) -> None:
    del file[name]
    file.create_dataset(name, **how)


BIAS = "layers/conv2d/vars/1"


def external_link(file: Any, other: Path) -> None:
    del file[BIAS]
    file[BIAS] = h5py.ExternalLink(str(other), "/secret")


def external_group(file: Any, other: Path) -> None:
    del file["layers"]
    file["layers"] = h5py.ExternalLink(str(other), "/")


def soft_link(file: Any, _: Path) -> None:
    file["elsewhere"] = np.zeros(2, np.float32)
    del file[BIAS]
    file[BIAS] = h5py.SoftLink("/elsewhere")


def external_storage(file: Any, other: Path) -> None:
    del file[BIAS]
    file.create_dataset(BIAS, (2,), "f4", external=[(str(other), 0, 8)])


def virtual(file: Any, other: Path) -> None:
    layout = h5py.VirtualLayout((2,), "f4")
    layout[:] = h5py.VirtualSource(str(other), "secret", (2,))
    del file[BIAS]
    file.create_virtual_dataset(BIAS, layout)


def cycle(file: Any, _: Path) -> None:
    file["layers/conv2d/vars/conv2d"] = file["layers"]


HDF5: dict[str, tuple[Callable[[Any, Path], object], str]] = {
    "external link": (external_link, "is a link to another place, which is never followed"),
    "external group": (external_group, "is a link to another place, which is never followed"),
    "soft link": (soft_link, "is a link to another place, which is never followed"),
    "external storage": (external_storage, "keeps its data in another file"),
    "virtual": (virtual, "keeps its data in another file"),
    "cycle": (cycle, "by two names"),
    "shape bomb": (
        lambda file, _: replace(file, BIAS, shape=(10**12,), dtype="f4", chunks=(1024,)),
        r"claims \(1000000000000,\) values that the file doesn't hold",
    ),
    "unpacks": (
        lambda file, _: replace(file, BIAS, data=np.zeros(1 << 20, "f4"), compression="gzip"),
        "is compressed",
    ),
    "text": (lambda file, _: replace(file, BIAS, data=[b"x", b"y"]), r"holds object, not numbers"),
    "references": (
        lambda file, _: replace(file, BIAS, data=file.ref, dtype=h5py.ref_dtype),
        "holds object, not numbers",
    ),
    "attribute": (
        lambda file, _: [file["layers"].attrs.create(f"x{n}", n) for n in range(70)],
        "layers has 70 attributes, too many",
    ),
    "missing": (lambda file, _: file.__delitem__(BIAS), "weights don't fit"),
    "other shape": (lambda file, _: replace(file, BIAS, data=np.zeros(3, "f4")), "don't fit"),
    "nan": (
        lambda file, _: replace(file, BIAS, data=np.full(2, np.nan, "f4")),
        "2 weights that are NaN or infinite",
    ),
}


@pytest.mark.parametrize("name", HDF5)
def test_fault_30_a_file_of_weights_holds_all_itself_and_is_sound(
    name: str, tmp_path: Path
) -> None:
    """30: the other file is a good one, so that following it would succeed."""
    change, says = HDF5[name]
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["secret"] = np.ones(2, np.float32)
    path = tmp_path / "model.keras"
    model().save(path)
    with zipfile.ZipFile(path) as archive:
        (tmp_path / "inner.h5").write_bytes(archive.read("model.weights.h5"))
    with h5py.File(tmp_path / "inner.h5", "r+", libver="latest") as file:
        change(file, tmp_path / "other.h5")
    rewrite(path, {"model.weights.h5": (tmp_path / "inner.h5").read_bytes()})
    with pytest.raises(WeightsError, match=says) as caught:
        read_weights(path)
    assert str(caught.value).isprintable()


def test_a_link_in_the_place_of_all_weights_of_an_h5_is_not_followed(tmp_path: Path) -> None:
    """keras-team/keras pull request 22900."""
    path = tmp_path / "model.h5"
    model().save(tmp_path / "other.h5")
    model().save(path)
    with h5py.File(path, "r+") as file:
        del file["model_weights"]
        file["model_weights"] = h5py.ExternalLink("other.h5", "/model_weights")
    with pytest.raises(WeightsError, match="never followed"):
        read_weights(path)


def test_an_archive_unpacks_to_memory_only_and_within_bounds(tmp_path: Path) -> None:
    """Members by other names, also those that lead out of a folder, are not looked at."""
    path = tmp_path / "in" / "model.keras"
    path.parent.mkdir()
    model().save(path)
    rewrite(path, {"../out.txt": b"x", "assets/vocabulary.txt": b"x", "model.weights.json": b"{}"})
    assert read_weights(path).outputs == 2
    assert [each.name for each in tmp_path.iterdir()] == ["in"]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", b" " * (64 << 20))
        archive.writestr("model.weights.h5", b"\x89HDF\r\n\x1a\n")
    with pytest.raises(WeightsError, match="unpacks to more than"):
        read_weights(path)


# An architecture that somebody gives.

OWN = """
import keras
print("code is run")
def make():
    image = keras.Input((8, 8, 3))
    x = keras.layers.Lambda(lambda x: x / 255)(image)
    x = keras.layers.Conv2D(2, 3)(x)
    x = keras.layers.Flatten()(x)
    return keras.Model(image, keras.layers.Dense(2, activation="softmax")(x))
def other():
    return keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(),
                             keras.layers.Dense(2, activation="softmax")])
def wrong():
    return 3
def broken():
    raise RuntimeError("no\\nway")
"""


@pytest.mark.parametrize("legacy", [False, True])
def test_weights_alone_go_into_an_architecture_that_is_given(
    *, legacy: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = model()
    for variable in good.weights:
        variable.assign(np.random.default_rng(1).normal(size=variable.shape))
    path = tmp_path / ("model.h5" if legacy else "model.weights.h5")
    if legacy:
        good.save(path)
        with h5py.File(path, "r+") as file:
            del file.attrs["model_config"]
    else:
        good.save_weights(path)
    with pytest.raises(WeightsError, match=r"give the whole model.*or --architecture"):
        read_weights(path)
    described = tmp_path / "model.json"
    described.write_text(good.to_json())
    image = np.random.default_rng(0).uniform(0, 1, (1, 8, 8, 3)).astype(np.float32)
    weights = read_weights(path, architecture=str(described))
    assert weights.described
    np.testing.assert_array_equal(weights.model(image), good(image))

    (tmp_path / "own_model.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    said: list[str] = []
    weights = read_weights(path, architecture="own_model:make", say=said.append)
    np.testing.assert_allclose(weights.model(image * 255), good(image), rtol=1e-5)
    assert any("own_model:make, which is code" in line for line in said)
    assert weights.notebook is None
    for name, says in (
        ("other", r"don't fit|it holds [\d,]+ weights, the given architecture has"),
        ("wrong", "returned int, not"),
        ("broken", "own_model:broken failed: RuntimeError: no way"),
        ("nothing", "own_model:nothing failed: AttributeError"),
    ):
        with pytest.raises(WeightsError, match=says):
            read_weights(path, architecture=f"own_model:{name}")


def test_an_architecture_that_leaves_weights_of_the_file_out_is_refused(tmp_path: Path) -> None:
    """Keras takes those that it looks for, and says nothing of the others."""
    image = keras.Input((8, 8, 3))
    x = L.BatchNormalization()(L.Conv2D(2, 3)(image))
    whole = keras.Model(image, L.Dense(2, activation="softmax")(L.Flatten()(x)))
    whole.save_weights(tmp_path / "model.weights.h5")
    (tmp_path / "model.json").write_text(model().to_json())
    with pytest.raises(WeightsError, match=r"it holds 210 weights, the given architecture has 202"):
        read_weights(tmp_path / "model.weights.h5", architecture=str(tmp_path / "model.json"))


def test_an_architecture_that_can_not_be_read_is_an_error(tmp_path: Path) -> None:
    model().save_weights(tmp_path / "model.weights.h5")
    (tmp_path / "bad.json").write_bytes(b"\xff")
    for name, says in (("bad.json", "can't be read"), ("missing.json", "can't be read")):
        with pytest.raises(WeightsError, match=says):
            read_weights(tmp_path / "model.weights.h5", architecture=str(tmp_path / name))


def test_keras_is_not_started_for_a_file_that_is_refused_by_its_description() -> None:
    """The list comes first: nothing of Keras is even imported."""
    code = (
        "import sys, json; from convert.weights import child, plan, settings, allowed, storage; "
        "sys.exit(any(m.split('.')[0] in ('keras', 'tensorflow') for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
