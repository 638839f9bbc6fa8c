"""The table behind :mod:`edge.picture.kinds`: a kind's first bytes, and its way out."""

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


def picture(name: str, command: str) -> Kind:
    """Return a kind of picture that ``command`` makes one of ours of."""
    return Kind(f"{name} picture", f"save it as JPEG or PNG, as with: {command}")


def archive(name: str, command: str) -> Kind:
    """Return a kind of archive that ``command`` unpacks."""
    return Kind(name, f"unpack it and give the file that is in it: {command}")


def keras(name: str) -> Kind:
    """Return a kind of file that the converter reads."""
    return Kind(name, "make a model file of it: python -m convert --weights FILE")


def foreign(name: str) -> Kind:
    """Return a kind of model that nothing here reads."""
    way_out = "give the Keras file (.keras or .h5) that it was made from to: python -m convert"
    return Kind(name, f"{way_out} --weights FILE")


_TAKEN = "give it as a picture, not as a model or weights"
_BY_ITS_PROGRAM = "save it as JPEG or PNG with the program that made it"
HEIC = Kind(
    "a HEIC picture",
    "save it as JPEG, as with: heif-convert FILE OUT.jpg; on an iPhone choose Settings, Camera, "
    "Formats, Most Compatible",
)
RAW = Kind(
    "a camera's raw picture",
    "give the JPEG that the camera saved beside it, or develop it: darktable-cli FILE OUT.jpg",
)
_JPEG_2000 = picture("a JPEG 2000", "opj_decompress -i FILE -o OUT.png")
_DICOM = Kind("a DICOM file", "export its picture as PNG, as with: dcmj2pnm +on FILE OUT.png")
VIDEO = Kind("a video or sound file", "take a picture out: ffmpeg -i FILE -frames:v 1 OUT.png")
NUMPY = foreign("a numpy file")
PYTORCH = foreign("a PyTorch file")
_ONNX = foreign("an ONNX model")
OFFICE = Kind("an office document", "save the picture in it as JPEG or PNG")
SAVED_MODEL = Kind(
    "a TensorFlow SavedModel",
    "load it in the program that made it, save that (model.save('model.keras')), and give it to: "
    "python -m convert --weights model.keras",
)
SAVED_MODEL_ZIP = Kind(
    "a zip of a TensorFlow SavedModel",
    f"unpack it (unzip FILE); then {SAVED_MODEL.way_out}",
)
CHECKPOINT = Kind("a folder with a checkpoint", SAVED_MODEL.way_out)
CORE_ML = foreign("a Core ML model")
TF_JS = foreign("a TensorFlow.js model")
KERAS_INDEX = Kind("the index of Keras weights in several files", SAVED_MODEL.way_out)

MAGIC: tuple[tuple[int, tuple[bytes, ...], Kind], ...] = (
    (0, (b"\xff\xd8\xff",), Kind("a JPEG picture", _TAKEN)),
    (0, (b"\x89PNG\r\n\x1a\n",), Kind("a PNG picture", _TAKEN)),
    (
        0,  # PNG 5.2: its signature tells whether line ends were changed.
        (
            *(b"\x89PNG", b"\xef\xbf\xbdPNG", b"\xef\xbf\xbd" * 3),
            # From Latin-1, or Windows-1252, to UTF-8.
            *(b"\xc3\xbf\xc3\x98\xc3\xbf", b"\xc2\x89PNG", b"\xe2\x80\xb0PNG"),
        ),
        Kind("a picture that was copied as text", "copy the original again, in binary mode"),
    ),
    (0, (b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51"), _JPEG_2000),
    (0, (b"\0\0\0\x0cJXL \r\n\x87\n", b"\xff\x0a"), picture("a JPEG XL", "djxl FILE OUT.png")),
    (128, (b"DICM",), _DICOM),
    (8, (b"CR\2\0",), RAW),
    (0, (b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"IIU\0", b"FOVb"), RAW),
    (0, (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), picture("a TIFF", "convert 'FILE[0]' OUT.png")),
    (0, (b"II\xbc\1",), Kind("a JPEG XR picture", _BY_ITS_PROGRAM)),
    (0, (b"GIF87a", b"GIF89a"), picture("a GIF", "convert 'FILE[0]' OUT.png")),
    (0, (b"8BPS\0",), picture("a Photoshop", "convert 'FILE[0]' OUT.png")),
    (0, (b"gimp xcf",), Kind("a GIMP picture", _BY_ITS_PROGRAM)),
    (0, (b"%!PS",), picture("a PostScript", "convert FILE OUT.png")),
    (0, (b"v/1\1",), picture("an OpenEXR", "convert FILE OUT.png")),
    (0, (b"#?RADIANCE", b"#?RGBE"), picture("a Radiance HDR", "convert FILE OUT.png")),
    (0, (b"%PDF-",), Kind("a PDF document", "take its pictures out: pdfimages -png FILE OUT")),
    (0, (b"\x1f\x8b\x08",), archive("a gzip archive", "gzip -dc < FILE > OUT, or: tar -xzf FILE")),
    (0, (b"\xfd7zXZ\0",), archive("an xz archive", "xz -dc < FILE > OUT, or: tar -xJf FILE")),
    (0, (b"\x28\xb5\x2f\xfd",), archive("a Zstandard archive", "zstd -dc < FILE > OUT")),
    (0, (b"7z\xbc\xaf\x27\x1c",), archive("a 7z archive", "7z x FILE")),
    (0, (b"Rar!\x1a\7",), archive("a RAR archive", "unrar x FILE")),
    (257, (b"ustar",), archive("a tar archive", "tar -xf FILE")),
    (0, (b"\x89HDF\r\n\x1a\n",), keras("an HDF5 file (.h5)")),
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
    (0, (b"\x80\2\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.",), PYTORCH),  # torch.save before 1.6
    (0, (b"\x93NUMPY",), NUMPY),
    (0, (b"7767517\n",), foreign("an ncnn model")),
    # Matroska and WebM, Ogg, MP3, FLV, MPEG; QuickTime without a brand.
    (0, (b"\x1aE\xdf\xa3", b"OggS", b"ID3", b"FLV\1", b"\0\0\1\xba"), VIDEO),
    (4, (b"moov\0\0", b"wide\0\0"), VIDEO),
    (0, (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",), OFFICE),
    (
        0,
        (b"\0\5\x16\7", b"\0\5\x16\0"),
        Kind(
            "what macOS keeps beside a file (AppleDouble)",
            "give the file of the same name without '._' in front",
        ),
    ),
    (
        0,
        (b"version https://git-lfs", b"version https://hawser"),
        Kind("a Git LFS pointer, which stands for the file", "fetch the file itself: git lfs pull"),
    ),
    (
        0,
        (b"/annex/objects/",),
        Kind("a git-annex pointer, which stands for the file", "fetch it: git annex get FILE"),
    ),
)

# Where a few bytes at one place would be too little to be sure.
PATTERNS = tuple(
    (re.compile(pattern, re.DOTALL), kind)
    for pattern, kind in (
        (rb"RIFF....WEBP", picture("a WebP", "dwebp FILE -o OUT.png")),
        (rb"RIFF....(AVI |WAVE)", VIDEO),
        (
            rb"BM.{4}\x00{4}.{4}[\x0c\x28\x34\x38\x40\x6c\x7c]\x00{3}",
            picture("a BMP", "convert FILE OUT.png"),
        ),
        (
            rb"\x00\x00\x01\x00[\x01-\x40]\x00...\x00",
            picture("an ICO", "convert 'FILE[0]' OUT.png"),
        ),
        (rb"P[1-7Ff]\s+[\d#W]", picture("a PNM or PFM", "convert FILE OUT.png")),
        (rb"BZh[1-9](1AY&SY|\x17rE8P\x90)", archive("a bzip2 archive", "bzip2 -dc < FILE > OUT")),
        # DICOM PS3.5, 7.1: without its preamble, group 0002 or 0008 comes first.
        (rb"[\x02\x08]\x00.\x00(UL\x04\x00|CS|UI|DA|LO)", _DICOM),
        (rb"\x08\x00\x05\x00.\x00{3}ISO", _DICOM),
        # Protocol buffers (onnx.proto3, saved_model.proto, node_def.proto): the first fields.
        (rb"\x08[\x01-\x1e]\x12[\x01-\x40][ -~]{1,64}[\x1a\x22\x28\x32\x3a\x42]", _ONNX),
        (rb"\x08[\x03-\x1e]\x3a[\x80-\xff]{0,4}[\x00-\x7f]\n[\x80-\xff]{0,3}[\x00-\x7f]\n", _ONNX),
        (
            rb"\x08\x01\x12[\x80-\xff]{1,4}[\x00-\x7f]\n",
            SAVED_MODEL,
        ),
        (
            rb"\n[\x80-\xff]?[\x00-\x7f]\n[\x01-\x7f][\w./-]{1,127}\x12[\x03-\x20][A-Z]\w+[\x1a\x22*]",
            foreign("a frozen TensorFlow graph (.pb)"),
        ),
        (
            rb"(\xef\xbb\xbf)?\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)?<(svg|!DOCTYPE svg)",
            picture("an SVG", "rsvg-convert FILE -o OUT.png"),
        ),
        # Model.proto of coremltools: the version, then the description and in it an input.
        (
            rb"\x08[\x02-\x0c]\x12[\x80-\xff]{0,3}[\x00-\x7f]\n[\x80-\xff]{0,2}[\x00-\x7f]\n",
            CORE_ML,
        ),
        (rb"\s*(<\?xml[^>]*>\s*)?<net\s[^>]*version=", foreign("an OpenVINO model (.xml)")),
        (rb"\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)?<PMML\b", foreign("a PMML model")),
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
            Kind(
                "a picture in base64 text",
                "decode it: sed 's/^data:[^,]*,//' FILE | base64 -di > OUT.jpg",
            ),
        ),
    )
)

# ISO 14496-12, 4.3; the brands are those of ISO 23008-12, B and of AVIF 1.1, 6.
BRANDS = {
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm"), HEIC),
    **dict.fromkeys((b"avif", b"avis"), picture("an AVIF", "avifdec FILE OUT.png")),
    b"crx ": RAW,
}
