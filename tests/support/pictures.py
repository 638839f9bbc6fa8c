"""Where the project's own pictures and models are."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
SAMPLES = sorted((ROOT / "pictures" / "samples").rglob("*.jpg"))
CALIBRATION = sorted((ROOT / "pictures" / "calibration").rglob("*.jpg"))
HELD_OUT = sorted((ROOT / "pictures" / "held_out").rglob("*.jpg"))
MODELS = {
    variant: ROOT / "models" / f"lesion-{variant}.tflite"
    for variant in ("float32", "float16", "dynamic", "int8")
}
