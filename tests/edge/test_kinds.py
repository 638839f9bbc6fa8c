"""What a file is, told by its content, and what to do with it: FAULTS 62."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import shutil
import struct
import subprocess
import sys
import tarfile
import zipfile
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge import Analyzer, ModelError, PictureError, decode
from edge.picture.kinds import identify, identify_folder
from tests.conftest import run_module
from tests.support.pictures import MODELS

if TYPE_CHECKING:
    from pathlib import Path

NOISE = np.random.default_rng(0).bytes(3000)


def box(kind: bytes, *brands: bytes) -> bytes:
    body = brands[0] + bytes(4) + b"".join(brands[1:])
    return (8 + len(body)).to_bytes(4, "big") + kind + body + NOISE


def zipped(*names: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in names:
            archive.writestr(name, NOISE)
    return stream.getvalue()


def tarred() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("picture.jpg"))
    return stream.getvalue()


def field(number: int, body: bytes) -> bytes:
    """Return a length-delimited field of a protocol buffer of up to 16,383 bytes."""
    size = len(body)
    length = bytes([size]) if size < 128 else bytes([size & 0x7F | 0x80, size >> 7])
    return bytes([number << 3 | 2]) + length + body


def encoded(suffix: str) -> bytes:
    image = np.full((20, 30, 3), 90, np.uint8)
    return cv2.imencode(suffix, image)[1].tobytes()


def tiff(*tags: int, order: str = "<") -> bytes:
    """TIFF 6.0, section 2: a header, and a directory of long values that are all 1."""
    mark = b"II" if order == "<" else b"MM"
    entries = b"".join(struct.pack(f"{order}2H2L", tag, 4, 1, 1) for tag in tags)
    return mark + struct.pack(f"{order}HLH", 42, 8, len(tags)) + entries + bytes(4)


NODE = field(1, b"x") + field(2, b"Placeholder") + field(5, field(1, b"dtype"))
TENSOR = json.dumps({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()

# By each: its bytes, what it is called, and what its way out names.  The bytes at the front are
# those of each format's own specification.
FILES = {
    "heic": (box(b"ftyp", b"heic", b"mif1"), "HEIC", "heif-convert"),
    "heic, compatible only": (box(b"ftyp", b"MiPr", b"miaf", b"heix"), "HEIC", "heif-convert"),
    "heif": (box(b"ftyp", b"mif1", b"miaf"), "HEIC", "heif-convert"),
    "avif": (box(b"ftyp", b"avif", b"mif1"), "AVIF", "avifdec"),
    "avif, compatible only": (box(b"ftyp", b"mif1", b"avif"), "AVIF", "avifdec"),
    "cr3": (box(b"ftyp", b"crx ", b"isom"), "raw picture", "JPEG"),
    "mp4": (box(b"ftyp", b"mp42", b"isom"), "video", "ffmpeg"),
    "mov": (box(b"ftyp", b"qt  "), "video", "ffmpeg"),
    "avi": (b"RIFF" + bytes(4) + b"AVI LIST" + NOISE, "video", "ffmpeg"),
    "mkv": (b"\x1aE\xdf\xa3" + NOISE, "video", "ffmpeg"),
    "jp2": (b"\x00\x00\x00\x0cjP  \r\n\x87\n" + NOISE, "JPEG 2000", "opj_decompress"),
    "j2k": (b"\xff\x4f\xff\x51" + NOISE, "JPEG 2000", "opj_decompress"),
    "jxl": (b"\x00\x00\x00\x0cJXL \r\n\x87\n" + NOISE, "JPEG XL", "djxl"),
    "jxl, bare": (b"\xff\x0a" + NOISE, "JPEG XL", "djxl"),
    "dicom": (bytes(128) + b"DICM\x02\x00\x00\x00UL\x04\x00" + NOISE, "DICOM", "dcmj2pnm"),
    "dicom, no preamble": (b"\x08\x00\x05\x00CS\x0a\x00ISO_IR 100" + NOISE, "DICOM", "dcmj2pnm"),
    "webp": (b"RIFF\x0c\x00\x00\x00WEBPVP8 " + NOISE, "WebP", "dwebp"),
    "tiff": (b"II*\x00\x08\x00\x00\x00" + NOISE, "TIFF", "convert"),
    "bigtiff": (b"MM\x00+\x00\x08\x00\x00" + NOISE, "TIFF", "convert"),
    "cr2": (b"II*\x00\x10\x00\x00\x00CR\x02\x00" + NOISE, "raw picture", "JPEG"),
    "gif": (b"GIF89a" + NOISE, "GIF", "convert"),
    "bmp": (encoded(".bmp"), "BMP", "convert"),
    "ppm": (encoded(".ppm"), "PNM", "convert"),
    "pfm": (b"PF\n30 20\n-1.0\n" + NOISE, "PFM", "convert"),
    "psd": (b"8BPS\x00\x01" + NOISE, "Photoshop", "convert"),
    "exr": (b"v/1\x01" + NOISE, "OpenEXR", "convert"),
    "ico": (b"\0\0\1\0\1\0\x20\x20\0\0\1\0\x20\0" + NOISE, "ICO", "convert"),
    "svg": (b'<?xml version="1.0"?>\n<svg xmlns="a"></svg>', "SVG", "rsvg-convert"),
    "jpeg": (encoded(".jpg"), "JPEG picture", "as a picture"),
    "png": (encoded(".png"), "PNG picture", "as a picture"),
    "jpeg, as text": (b"\xef\xbf\xbd" * 4 + b"\0\x10JFIF" + NOISE, "copied as text", "binary"),
    "png, as text": (b"\x89PNG\n\x1a\n" + NOISE, "copied as text", "binary mode"),
    "jpeg, Latin-1 to UTF-8": (
        encoded(".jpg").decode("latin-1").encode(),
        "copied as text",
        "binary",
    ),
    "png, Latin-1 to UTF-8": (
        encoded(".png").decode("latin-1").encode(),
        "copied as text",
        "binary",
    ),
    "dng": (tiff(254, 271, 50706), "raw picture", "darktable-cli"),
    "dng, other order": (tiff(50706, order=">"), "raw picture", "darktable-cli"),
    "nef": (tiff(254, 271, 330, order=">"), "raw picture", "darktable-cli"),
    "tiff of a camera": (tiff(256, 271), "TIFF", "convert"),
    "no beginning": (bytes(4096) + NOISE, "beginning is blank", "again"),
    "prose with commas": (b"Sorry, not found.\nPlease, try again.\n", "text", "head FILE"),
    "jpeg, base64": (b"/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAUDBAQEAwUE", "base64", "base64 -di"),
    "pdf": (b"%PDF-1.7\n" + NOISE, "PDF", "pdfimages"),
    "page": (b"<!DOCTYPE html>\n<html><svg></svg></html>", "web page", "address"),
    "page, upper case": (b"\xef\xbb\xbf\r\n <HTML>\xe9" + NOISE, "web page", "address"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "LFS", "git lfs pull"),
    "annex": (b"/annex/objects/SHA256E-s10--0.h5\n", "git-annex", "git annex get"),
    "openvino": (b'<?xml version="1.0"?>\n<net name="m" version="11">', "OpenVINO", "-m convert"),
    "pmml": (b'<?xml version="1.0"?>\n<PMML version="4.4">', "PMML", "-m convert"),
    "tfjs": (b'{"format": "layers-model", "modelTopology": {}}', "TensorFlow.js", "-m convert"),
    "tfjs, graph": (b'{"format":"graph-model","signature":{}}', "TensorFlow.js", "-m convert"),
    "keras index": (
        b'{"metadata": {}, "weight_map": {"/a": ["m_00000.weights.h5"]}}',
        "in several",
        "save(",
    ),
    "core ml": (
        b"\x08\x04" + field(2, field(1, field(1, b"image") + field(3, b"x"))) + NOISE,
        "Core ML",
        "-m convert",
    ),
    "saved model, zipped": (zipped("m/saved_model.pb", "m/variables/x"), "SavedModel", "unzip"),
    "zip": (zipped("pictures/a.jpg"), "zip archive", "unzip"),
    "keras": (zipped("metadata.json", "config.json", "model.weights.h5"), "Keras", "-m convert"),
    "pytorch": (zipped("archive/data.pkl", "archive/data/0"), "PyTorch", "-m convert"),
    "pytorch, old": (pickle.dumps(0x1950A86A20F9469CFC6C, 2) + NOISE, "PyTorch", "-m convert"),
    "npz": (zipped("conv1.npy"), "numpy", "-m convert"),
    "docx": (zipped("[Content_Types].xml", "word/document.xml"), "office", "save the picture"),
    "gz": (gzip.compress(NOISE), "gzip", "gzip -dc < FILE > OUT"),
    "bz2": (b"BZh91AY&SY" + NOISE, "bzip2", "bzip2 -dc < FILE"),
    "xz": (b"\xfd7zXZ\x00" + NOISE, "xz archive", "xz -dc < FILE > OUT"),
    "zst": (b"\x28\xb5\x2f\xfd" + NOISE, "Zstandard", "zstd -dc < FILE"),
    "7z": (b"7z\xbc\xaf\x27\x1c" + NOISE, "7z", "7z x"),
    "rar": (b"Rar!\x1a\x07\x01\x00" + NOISE, "RAR", "unrar"),
    "tar": (tarred(), "tar archive", "tar -xf"),
    "saved model": (b"\x08\x01" + field(2, field(1, NODE) + NOISE), "SavedModel", "-m convert"),
    "frozen graph": (field(1, NODE) + NOISE, "frozen TensorFlow graph", "-m convert"),
    "checkpoint": (NOISE + b"\x57\xfb\x80\x8b\x24\x75\x47\xdb", "checkpoint", "-m convert"),
    "onnx": (b"\x08\x08" + field(2, b"pytorch") + field(3, b"2.1"), "ONNX", "-m convert"),
    "onnx, no maker": (b"\x08\x0a" + field(7, field(1, field(1, b"x"))), "ONNX", "-m convert"),
    "safetensors": (
        len(TENSOR).to_bytes(8, "little") + TENSOR + bytes(4),
        "safetensors",
        "convert",
    ),
    "npy": (b"\x93NUMPY\x01\x00" + NOISE, "numpy", "-m convert"),
    "pickle": (pickle.dumps([{"a": 1}]), "pickle", "-m convert"),
    "hdf5": (b"\x89HDF\r\n\x1a\n" + NOISE, "HDF5", "-m convert --weights"),
    "tflite": (MODELS["int8"].read_bytes(), "TFLite", "--model FILE"),
    "apple double": (b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X" + NOISE, "AppleDouble", "'._'"),
    "office": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + NOISE, "office", "save the picture"),
    "json": (b'{\n  "schema": 1}', "JSON", "--contract"),
    "csv": (b"image,label\na.jpg,1\n", "CSV", "itself"),
    "text": (b"404: Not Found", "text", "head FILE"),
    "text, utf-16": ("Zugriff verweigert\r\n".encode("utf-16"), "text", "head FILE"),
    "text, a letter across the 1,024th byte": (b"x" + "é".encode() * 600, "text", "head FILE"),
    "empty": (b"", "empty", "again"),
    "zeros": (bytes(5000), "zeros", "again"),
    "erased flash": (b"\xff" * 5000, "blank", "again"),
}


@pytest.mark.parametrize("kind", FILES)
def test_fault_62_a_file_is_named_by_its_content_with_what_to_do(kind: str) -> None:
    """FAULTS 62: one table for pictures, weights and models."""
    data, name, way_out = FILES[kind]
    found = identify(data)
    assert found is not None
    assert name in found.name
    assert way_out in found.way_out


@pytest.mark.parametrize(
    "data",
    [
        NOISE,  # as an encrypted file
        b"\x08\x01\x12\x03abc\xff" + NOISE,
        b"\x08\x63\x12\x07pytorch\x1a" + NOISE,
        b"BM" + b"\xfe" * 5 + NOISE,
        b"RIFF\x00\x00\x00\x00ABCD" + NOISE,
        b"\x80\x04" + NOISE,
        b"\x00\x00\x01\x00" + b"\xff" * 9 + NOISE,
        b"P5\xff\xfe" + NOISE,
        b"{\xff\xfe" + NOISE,
    ],
)
def test_fault_62_what_only_begins_like_a_kind_isnt_given_its_name(data: bytes) -> None:
    """FAULTS 62."""
    assert identify(data) is None


def test_fault_62_what_is_said_to_unpack_a_file_does(tmp_path: Path) -> None:
    """FAULTS 62: whatever the file's ending; gunzip takes none but its own."""
    import base64
    import bz2
    import lzma

    data = encoded(".jpg")
    text = base64.encodebytes(data)
    for number, packed in enumerate(
        [
            gzip.compress(data),
            bz2.compress(data),
            lzma.compress(data),
            text,
            b"data:image/jpeg;base64," + text.replace(b"\n", b""),
            text.replace(b"\n", b"\r\n"),
        ]
    ):
        (tmp_path / "FILE").write_bytes(packed)
        found = identify(packed)
        assert found is not None
        command = (
            found.way_out.split(": ")[1].split(", or")[0] if number < 3 else found.way_out[11:]
        )
        if shutil.which(command.split()[0]) is None:
            continue
        subprocess.run(["sh", "-c", command], cwd=tmp_path, check=True)  # noqa: S607
        assert (tmp_path / ("OUT" if number < 3 else "OUT.jpg")).read_bytes() == data


@pytest.mark.parametrize("data", [b"\xff\xd8", b"\xff", b"\x89PNG\r\n", b"\xff\xd8\xff"])
def test_fault_62_the_first_bytes_of_a_picture_alone_are_one_cut_short(data: bytes) -> None:
    """FAULTS 62: and no text."""
    with pytest.raises(PictureError, match=r"^a\.jpg: damaged or cut short: "):
        decode(data, "a.jpg")


@pytest.mark.parametrize(
    "text", ["BM is short for bitmap", "GIF it to me", "P1 is the first", "RIFF", "<3 you", "ID: 3"]
)
def test_fault_62_a_text_is_a_text_whatever_its_first_letters(text: str) -> None:
    """FAULTS 62."""
    found = identify(text.encode())
    assert found is not None
    assert found.name == "a text file"


@given(st.binary() | st.sampled_from([data for data, *_ in FILES.values()]), st.integers(0, 300))
def test_any_bytes_have_a_kind_in_one_line_or_none(data: bytes, end: int) -> None:
    found = identify(data[:end])
    if found is not None:
        assert f"{found.name}; {found.way_out}".isprintable()


@pytest.mark.parametrize("kind", sorted(FILES.keys() - {"jpeg", "png"}))
def test_fault_62_a_picture_of_another_kind_is_refused_before_decoding(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FAULTS 62: whatever its name says."""
    data, name, way_out = FILES[kind]
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("it was decoded"))
    with pytest.raises(PictureError) as caught:
        decode(data, "photo.jpg")
    text = str(caught.value)
    assert text.startswith("photo.jpg: ")
    assert name in text
    assert "not a JPEG or PNG" in text
    assert way_out in text
    assert text.isprintable()


@pytest.mark.parametrize("kind", sorted(FILES.keys() - {"tflite"}))
def test_fault_62_a_model_of_another_kind_is_refused_with_what_to_do(
    kind: str, tmp_path: Path
) -> None:
    """FAULTS 62."""
    data, name, way_out = FILES[kind]
    path = tmp_path / "model.tflite"
    path.write_bytes(data)
    with pytest.raises(ModelError) as caught:
        Analyzer(path)
    text = str(caught.value)
    assert text.startswith("model.tflite: not a TFLite model but ")
    assert name in text
    assert way_out in text
    assert "python -m convert" in text
    assert text.isprintable()


@pytest.mark.parametrize("kind", ["jpeg", "tflite", "page", "lfs", "hdf5", "empty", "zip"])
def test_fault_62_a_contract_of_another_kind_is_refused_by_its_own_path(
    kind: str, tmp_path: Path
) -> None:
    """FAULTS 62: the contract's path, not the model's."""
    data, name, way_out = FILES[kind]
    model, contract = tmp_path / "model.tflite", tmp_path / "contract.json"
    model.write_bytes(b"\x1c\x00\x00\x00TFL3")
    contract.write_bytes(data[:5000])
    with pytest.raises(ModelError, match="not JSON") as caught:
        Analyzer(model, contract=contract)
    text = str(caught.value)
    assert text.startswith(f"{contract}: ")
    assert name in text
    assert way_out in text


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (("checkpoint", "ckpt-1.index", "ckpt-1.data-00000-of-00001"), "checkpoint"),
        (("_METADATA", "manifest.ocdbt"), "checkpoint"),
        (("model.json", "group1-shard1of1.bin"), "TensorFlow.js"),
        (("Manifest.json", "Data"), "Core ML"),
    ],
)
def test_fault_62_a_folder_of_another_program_is_named(
    names: tuple[str, ...], kind: str, tmp_path: Path
) -> None:
    for name in names:
        (tmp_path / name).write_bytes(b"x")
    found = identify_folder(tmp_path)
    assert found is not None
    assert kind in found.name
    assert "-m convert" in found.way_out


def test_fault_62_a_folder_given_as_the_model_says_which_file_to_give(tmp_path: Path) -> None:
    """FAULTS 62: a SavedModel, an unpacked Keras file, a folder with the model in it."""
    for file, way_out in (
        ("saved_model.pb", "save that (model.save('model.keras'))"),
        ("model.weights.h5", "(cd FILE && zip ../model.keras *.json *.h5)"),
        ("lesion.tflite", "give the model file in it: FILE/lesion.tflite"),
    ):
        folder = tmp_path / file.replace(".", "-")
        folder.mkdir()
        assert identify_folder(folder) is None
        (folder / file).write_bytes(b"x")
        with pytest.raises(ModelError) as caught:
            Analyzer(folder)
        assert str(caught.value).startswith(f"{folder}: ")
        assert way_out in str(caught.value)
    assert identify_folder(tmp_path / "nowhere") is None


def test_the_table_isnt_loaded_where_nothing_is_refused(sample: Path) -> None:
    code = (
        "import sys; from edge import Analyzer; Analyzer().analyze(sys.argv[1]);"
        "sys.exit('edge.picture.kinds' in sys.modules or 'edge.picture.signatures' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(sample)], check=True)


def test_fault_62_the_command_says_it_in_one_line(tmp_path: Path) -> None:
    """FAULTS 62."""
    path = tmp_path / "IMG_0001.jpg"
    path.write_bytes(FILES["heic"][0])
    result = run_module("edge.run", path)
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "a HEIC picture, not a JPEG or PNG picture; save it as JPEG" in result.stderr
