"""The whole command on a cluster of two Ray nodes: it is killed, and then one of the nodes."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.pictures import ROOT, SAMPLES
from tests.support.s3_server import s3_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytest.importorskip("ray", reason="the extra archive isn't installed")
pq = pytest.importorskip("pyarrow.parquet")

PARTS, PART = 12, 8
COMMAND = f"""
import sys
import edge.archive.__main__ as archive
archive.PART = {PART}
sys.exit(archive.main(sys.argv[1:]))
"""


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    settings = {
        "PYTHONPATH": str(ROOT),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "AWS_ACCESS_KEY_ID": "anything",
        "AWS_SECRET_ACCESS_KEY": "anything",
        # A node that is gone is known to be after so long.
        "RAY_health_check_period_ms": "500",
        "RAY_health_check_failure_threshold": "3",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    from ray.cluster_utils import Cluster

    arguments = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": 100 << 20}
    try:
        cluster = Cluster(initialize_head=True, head_node_args=arguments)
        cluster.second = cluster.add_node(num_cpus=1, object_store_memory=100 << 20)
    except Exception as error:  # noqa: BLE001 - it raises bare ones
        pytest.skip(f"Ray's nodes didn't start in the 30 seconds that it gives them: {error}")
    yield cluster
    cluster.shutdown()


def wait_for_parts(out: Path, number: int, process: subprocess.Popen[str]) -> None:
    """Wait until so many parts are written; the process must be at work until then."""
    while len(list(out.glob("*/part-*.parquet"))) < number:
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)


@pytest.mark.slow
def test_killed_command_and_killed_node_give_the_same_rows(cluster: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with s3_server() as store:
        for number in range(PARTS * PART):
            kind = {11: "failing-", 50: "cut-"}.get(number, "")
            # Each part takes as long as its slow picture.
            kind = "slow-" if number % PART == 0 else kind
            picture = SAMPLES[number % len(SAMPLES)].read_bytes()
            store.objects[f"in/{number:04d}-{kind}picture.jpg"] = picture
        source = f"s3://archive/in{store.address}"
        command = [
            *(sys.executable, "-c", COMMAND, source, "--out", str(out)),
            *("--address", cluster.address, "--json"),
        ]

        def start() -> subprocess.Popen[str]:
            return subprocess.Popen(
                command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )

        killed = start()
        wait_for_parts(out, 2, killed)
        killed.kill()
        killed.communicate()
        (folder,) = out.iterdir()
        (folder / "part-torn.parquet").write_bytes(b"PAR1 half a file")
        there = len(list(folder.glob("part-*.parquet"))) - 1
        again = start()
        wait_for_parts(out, there + 1, again)
        cluster.remove_node(cluster.second, allow_graceful=False)
        printed, told = again.communicate(timeout=240)
    assert again.returncode == 1, told
    assert printed, told
    summary = json.loads(printed)
    rows = pq.read_table(folder, columns=["image", "label"]).to_pylist()
    assert sorted(row["image"].partition("archive/")[2] for row in rows) == sorted(store.objects)
    assert summary["pictures"] == len(rows)
    assert 0 < summary["new"] < len(rows)
    assert summary["failed"] == 2
    assert sum(summary["labels"].values()) == len(rows) - 2
    failed = sorted(row["image"][-16:] for row in rows if row["label"] is None)
    assert len(failed) == 2
    assert "Traceback" not in told, told
