"""What a file is that was refused, and what to do with it: pictures, weights and models alike.

Read only where something is refused.  A file is named by its content, never by its own name, and
only where that is certain: what nothing here fits stays unnamed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of file, in words for a message: ``f"{path}: {kind.name}; {kind.way_out}"``."""

    name: str
    """What the file is, with its article: ``a HEIC picture``."""
    way_out: str
    """What to do, in one clause without a full stop; FILE stands for the file."""


def identify(data: bytes) -> Kind | None:
    """Return what kind of file ``data`` is the whole content of, or None if that isn't certain."""
    finders = (_by_emptiness, _by_magic, _by_pattern, _by_brand, _by_member, _by_frame, _by_text)
    return next((kind for find in finders if (kind := find(data))), None)


def _picture(name: str, command: str) -> Kind:
    return Kind(f"{name} picture", f"save it as JPEG or PNG, as with: {command}")


def _archive(name: str, command: str) -> Kind:
    return Kind(name, f"unpack it and give the file that is in it: {command}")


def _keras(name: str) -> Kind:
    return Kind(name, "make a model file of it: python -m convert --weights FILE")


def _foreign(name: str) -> Kind:
    way_out = "give the Keras file (.keras or .h5) that it was made from to: python -m convert"
    return Kind(name, f"{way_out} --weights FILE")


_TAKEN = "give it as a picture, not as a model or weights"
_BY_ITS_PROGRAM = "save it as JPEG or PNG with the program that made it"
_HEIC = Kind(
    "a HEIC picture",
    "save it as JPEG, as with: heif-convert FILE OUT.jpg; on an iPhone choose Settings, Camera, "
    "Formats, Most Compatible",
)
_RAW = Kind(
    "a camera's raw picture",
    "give the JPEG that the camera saved beside it, or develop it: darktable-cli FILE OUT.jpg",
)
_JPEG_2000 = _picture("a JPEG 2000", "opj_decompress -i FILE -o OUT.png")
_DICOM = Kind("a DICOM file", "export its picture as PNG, as with: dcmj2pnm +on FILE OUT.png")
_VIDEO = Kind("a video or sound file", "take a picture out: ffmpeg -i FILE -frames:v 1 OUT.png")
_NUMPY = _foreign("a numpy file")
_PYTORCH = _foreign("a PyTorch file")
_ONNX = _foreign("an ONNX model")
_OFFICE = Kind("an office document", "save the picture in it as JPEG or PNG")

_MAGIC = (
    (0, (b"\xff\xd8\xff",), Kind("a JPEG picture", _TAKEN)),
    (0, (b"\x89PNG\r\n\x1a\n",), Kind("a PNG picture", _TAKEN)),
    (
        0,  # PNG 5.2: its signature tells whether line ends were changed.
        (b"\x89PNG", b"\xef\xbf\xbdPNG", b"\xef\xbf\xbd" * 3),
        Kind("a picture that was copied as text", "copy the original again, in binary mode"),
    ),
    (0, (b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51"), _JPEG_2000),
    (0, (b"\0\0\0\x0cJXL \r\n\x87\n", b"\xff\x0a"), _picture("a JPEG XL", "djxl FILE OUT.png")),
    (128, (b"DICM",), _DICOM),
    (8, (b"CR\2\0",), _RAW),
    (0, (b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"IIU\0", b"FOVb"), _RAW),
    (0, (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), _picture("a TIFF", "convert 'FILE[0]' OUT.png")),
    (0, (b"II\xbc\1",), Kind("a JPEG XR picture", _BY_ITS_PROGRAM)),
    (0, (b"GIF87a", b"GIF89a"), _picture("a GIF", "convert 'FILE[0]' OUT.png")),
    (0, (b"8BPS\0",), _picture("a Photoshop", "convert 'FILE[0]' OUT.png")),
    (0, (b"gimp xcf",), Kind("a GIMP picture", _BY_ITS_PROGRAM)),
    (0, (b"v/1\1",), _picture("an OpenEXR", "convert FILE OUT.png")),
    (0, (b"#?RADIANCE", b"#?RGBE"), _picture("a Radiance HDR", "convert FILE OUT.png")),
    (0, (b"%PDF-",), Kind("a PDF document", "take its pictures out: pdfimages -png FILE OUT")),
    (0, (b"\x1f\x8b\x08",), _archive("a gzip archive", "gunzip FILE, or: tar -xzf FILE")),
    (0, (b"\xfd7zXZ\0",), _archive("an xz archive", "unxz FILE, or: tar -xJf FILE")),
    (0, (b"\x28\xb5\x2f\xfd",), _archive("a Zstandard archive", "unzstd FILE")),
    (0, (b"7z\xbc\xaf\x27\x1c",), _archive("a 7z archive", "7z x FILE")),
    (0, (b"Rar!\x1a\7",), _archive("a RAR archive", "unrar x FILE")),
    (257, (b"ustar",), _archive("a tar archive", "tar -xf FILE")),
    (0, (b"\x89HDF\r\n\x1a\n",), _keras("an HDF5 file (.h5)")),
    (0, (b"MATLAB ",), Kind("a MATLAB file", "give the picture or the Keras model itself")),
    (
        4,
        (b"TFL3",),
        Kind(
            "a TFLite model",
            "run it with: python -m edge.run --model FILE PICTURE; to convert, give the Keras "
            "file that it was made from",
        ),
    ),
    (0, (b"\x80\2\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.",), _PYTORCH),  # torch.save before 1.6
    (0, (b"\x93NUMPY",), _NUMPY),
    (0, (b"7767517\n",), _foreign("an ncnn model")),
    # Matroska and WebM, Ogg, MP3, FLV, MPEG; QuickTime without a brand.
    (0, (b"\x1aE\xdf\xa3", b"OggS", b"ID3", b"FLV\1", b"\0\0\1\xba"), _VIDEO),
    (4, (b"moov\0\0", b"wide\0\0"), _VIDEO),
    (0, (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",), _OFFICE),
    (
        0,
        (b"\0\5\x16\7", b"\0\5\x16\0"),
        Kind(
            "what macOS keeps beside a file (AppleDouble)",
            "give the file of the same name without '._' in front",
        ),
    ),
    (0, (b"version https://git-lfs", b"version https://hawser"),
     Kind("a Git LFS pointer, which stands for the file", "fetch the file itself: git lfs pull")),
    (0, (b"/annex/objects/",),
     Kind("a git-annex pointer, which stands for the file", "fetch it: git annex get FILE")),
)  # fmt: skip

# Where a few bytes at one place would be too little to be sure.
_PATTERNS = tuple(
    (re.compile(pattern, re.DOTALL), kind)
    for pattern, kind in (
        (rb"RIFF....WEBP", _picture("a WebP", "dwebp FILE -o OUT.png")),
        (rb"RIFF....(AVI |WAVE)", _VIDEO),
        (
            rb"BM.{4}\x00{4}.{4}[\x0c\x28\x34\x38\x40\x6c\x7c]\x00{3}",
            _picture("a BMP", "convert FILE OUT.png"),
        ),
        (
            rb"\x00\x00\x01\x00[\x01-\x40]\x00...\x00",
            _picture("an ICO", "convert 'FILE[0]' OUT.png"),
        ),
        (rb"P[1-7Ff]\s", _picture("a PNM or PFM", "convert FILE OUT.png")),
        (rb"BZh[1-9](1AY&SY|\x17rE8P\x90)", _archive("a bzip2 archive", "bunzip2 FILE")),
        # DICOM PS3.5, 7.1: without its preamble, group 0002 or 0008 comes first.
        (rb"[\x02\x08]\x00.\x00(UL\x04\x00|CS|UI|DA|LO)", _DICOM),
        (rb"\x08\x00\x05\x00.\x00{3}ISO", _DICOM),
        # Protocol buffers (onnx.proto3, saved_model.proto, node_def.proto): the first fields.
        (rb"\x08[\x01-\x1e]\x12[\x01-\x40][ -~]{1,64}[\x1a\x22\x28\x32\x3a\x42]", _ONNX),
        (rb"\x08[\x03-\x1e]\x3a[\x80-\xff]{0,4}[\x00-\x7f]\n[\x80-\xff]{0,3}[\x00-\x7f]\n", _ONNX),
        (
            rb"\x08\x01\x12[\x80-\xff]{1,4}[\x00-\x7f]\n",
            Kind(
                "a TensorFlow SavedModel (.pb)",
                "load its folder in the program that made it, save that as .keras or .h5, and "
                "give it to: python -m convert --weights FILE",
            ),
        ),
        (
            rb"\n[\x80-\xff]?[\x00-\x7f]\n[\x01-\x7f][\w./-]{1,127}\x12[\x03-\x20][A-Z]\w+[\x1a\x22*]",
            _foreign("a frozen TensorFlow graph (.pb)"),
        ),
        (
            rb"(\xef\xbb\xbf)?\s*<(svg|[?!].*<svg)",
            _picture("an SVG", "rsvg-convert FILE -o OUT.png"),
        ),
        (
            rb"(\xef\xbb\xbf)?\s*<(?i:!doctype|html|head|body|meta|script|title|!--|\?xml)",
            Kind(
                "a web page (HTML or XML)",
                "a page came in place of the file: open its address in a browser and save the "
                "file itself",
            ),
        ),
        (
            rb"data:image/[\w+-]*;base64,|/9j/[\w+/]{20}|iVBORw0KGgo",
            Kind("a picture in base64 text", "decode it: base64 -d FILE > OUT.jpg"),
        ),
    )
)  # fmt: skip

# ISO 14496-12, 4.3; the brands are those of ISO 23008-12, B and of AVIF 1.1, 6.
_BRANDS = {
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm"), _HEIC),
    **dict.fromkeys((b"avif", b"avis"), _picture("an AVIF", "avifdec FILE OUT.png")),
    b"crx ": _RAW,
}


def _by_emptiness(data: bytes) -> Kind | None:
    if not data:
        return Kind("an empty file", "copy it again, or fetch it again")
    if data.count(data[:1]) < max(len(data), 16):
        return None
    way_out = "it was recovered, or never written to its end: copy it again from its source"
    return Kind("a blank file (zeros or one other byte throughout)", way_out)


def _by_magic(data: bytes) -> Kind | None:
    found = (kind for offset, magic, kind in _MAGIC if data.startswith(magic, offset))
    return next(found, None)


def _by_pattern(data: bytes) -> Kind | None:
    head = data[:4096]
    return next((kind for pattern, kind in _PATTERNS if pattern.match(head)), None)


def _by_brand(data: bytes) -> Kind | None:
    if data[4:8] != b"ftyp":
        return None
    end = min(int.from_bytes(data[:4], "big"), 256, len(data))
    brands = [data[8:12], *(data[start : start + 4] for start in range(16, end, 4))]
    general = _HEIC if {b"mif1", b"msf1"} & set(brands) else _VIDEO
    return next((_BRANDS[brand] for brand in brands if brand in _BRANDS), general)


def _by_member(data: bytes) -> Kind | None:
    """Tell a zip by the names in it, which its first bytes and its directory at the end hold."""
    if not data.startswith(b"PK\3\4"):
        return None
    names = data[:4096] + data[-65536:]
    for mark, kind in (
        (rb"model\.weights\.h5", _keras("a Keras file (.keras)")),
        (rb"/data\.pkl", _PYTORCH),
        (rb"\[Content_Types\]\.xml|mimetypeapplication/vnd\.oasis", _OFFICE),
        (rb"PK\x03\x04.{26}[\w./-]+\.npy", _NUMPY),
    ):
        if re.search(mark, names, re.DOTALL):
            return kind
    return _archive("a zip archive", "unzip FILE")


def _by_frame(data: bytes) -> Kind | None:
    """Tell what shows by its two ends together, or by a length that fits."""
    if data.endswith(b"\x57\xfb\x80\x8b\x24\x75\x47\xdb"):  # LevelDB's table_format.md
        return _foreign("a TensorFlow checkpoint's index")
    if data[:1] == b"\x80" and data[1:2] in b"\2\3\4\5" and data.endswith(b"."):
        return _foreign("a Python pickle")
    if data[8:9] == b"{" and 2 <= int.from_bytes(data[:8], "little") <= len(data) - 8:
        return _foreign("a safetensors file")
    return None


def _by_text(data: bytes) -> Kind | None:
    encoding = "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    head = data[:1024]
    # A character may be cut where the head ends.
    text = head.decode(encoding, "ignore")
    lost = len(head) - len(text.encode(encoding))
    if lost > 3 or not all(character.isprintable() or character.isspace() for character in text):
        return None
    if re.match(r'\s*(\{\s*["}]|\[\s*["{\[\]\d-])', text):
        return Kind("a JSON file", "give a contract with --contract, and its model with --model")
    lines = text.splitlines()[:2]
    if len(lines) == 2 and any(lines[0].count(mark) == lines[1].count(mark) > 0 for mark in ",;\t"):
        return Kind("a table (CSV)", "give the picture or the model itself")
    way_out = "read it (head FILE): where it is the message of a failed download, fetch it again"
    return Kind("a text file", way_out)
