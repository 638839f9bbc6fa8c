"""``python -m benchmarks.report``: tables and plots of every stored result, measuring nothing.

``benchmarks/results/<machine>/result.json`` gives ``report.md`` and the plots beside it.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from .render import to_markdown

RESULTS = Path(__file__).resolve().parent / "results"
RESULT, REPORT = "result.json", "report.md"


def main() -> int:
    """Render all results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS, help=argparse.SUPPRESS)
    results = parser.parse_args().results
    stored = sorted(results.glob(f"*/{RESULT}"))
    if not stored:
        message = f"nothing measured yet in {results}: python -m benchmarks.measure"
        print(message, file=sys.stderr)
        return 1
    for path in stored:
        write(path.parent)
    return 0


def write(folder: Path) -> None:
    """Write the report and the plots of one stored result."""
    result = json.loads((folder / RESULT).read_text(encoding="utf-8"))
    try:
        from .plots import draw
    except ImportError as error:  # matplotlib is in an extra; plots from an earlier time stay
        print(f"no plots: {error}; pip install '.[bench-peers]'", file=sys.stderr)
    else:
        draw(result, folder)
    plots = sorted(plot.name for plot in folder.glob("*.png"))
    (folder / REPORT).write_text(to_markdown(result, plots), encoding="utf-8")
    print(folder / REPORT)


if __name__ == "__main__":
    sys.exit(main())
