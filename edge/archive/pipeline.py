"""The parts of an archive as a Ray Data pipeline: on this machine alone, or on a cluster."""

from __future__ import annotations

import logging
import os
import re
import socket
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, Any

# Ray reads these as it is imported.  No figures of its use are sent to its makers.
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
# Its switch for systems whose firewall would ask: all of a Ray that we start listens on loopback
# only.  Who reaches a Ray's ports may run anything on it.
os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")

import pyarrow as pa
import ray
import ray.data
from ray._private.node import Node

from edge.errors import LesionEdgeError, OutputError

from .worker import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_ANSWER_S = 10.0
_OBJECTS_BYTES = 256 << 20
"""The shared memory of a Ray on this machine alone; what is more goes to the disk."""


@contextmanager
def started(address: str | None, workers: int) -> Iterator[None]:
    """Start Ray on this machine, or join a cluster's.

    Args:
        address: that of the cluster; None is this machine alone.
        workers: how many cores of this machine.

    Raises:
        OutputError: it can't be reached.

    """
    settings: dict[str, Any] = {"address": address}
    host, mark, port = (address or "").rpartition(":")
    if mark and port.isdecimal():  # Ray itself would try for minutes
        try:
            socket.create_connection((host.strip("[]"), int(port)), _ANSWER_S).close()
        except (OSError, OverflowError) as error:
            raise OutputError(f"--address {address}: no Ray answers there: {error}") from error
    if address is None:
        settings = {
            "address": "local",
            "num_cpus": workers,
            "include_dashboard": False,
            "object_store_memory": _OBJECTS_BYTES,
        }
        # What is left of the dashboard without the dashboard asks clouds' metadata addresses where
        # it is, for statistics that are off.  There is no public way to do without.
        Node.start_api_server = lambda *_, **__: None
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    # Standard output is ours: Ray would tell there what it does about a node that died.
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
        # On a machine with much other work the 30 seconds that it gives itself may be too few.
        for tries_left in (1, 0) if address is None else (0,):
            try:
                ray.init(**settings, log_to_driver=False, logging_level=logging.CRITICAL)
                break
            except Exception as error:  # it raises bare ones
                ray.shutdown()
                if not tries_left:
                    reason = str(error).strip().partition("\n")[0]
                    raise OutputError(f"Ray can't be started or joined: {reason}") from error
        try:
            yield
        finally:
            ray.shutdown()


def keep(names: Sequence[str]) -> ray.ObjectRef[Any]:
    """Put the names of a part's pictures into Ray's memory, the one place that holds them."""
    return ray.put(pa.table({"name": pa.array(map(os.fsencode, names), pa.binary())}))


def run(
    parts: Sequence[ray.ObjectRef[Any]], workers: int | None, **arguments: Any
) -> Iterator[list[str | None]]:
    """Yield the labels of each part once it is written, as :class:`Worker` returns them.

    Args:
        parts: what :func:`keep` returned.
        workers: how many, each on a core; None is all cores that Ray has.
        arguments: those of :class:`Worker`.

    Raises:
        LesionEdgeError: what a worker raised, or what Ray did, in one line.

    """
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    workers = workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
    pool = ray.data.ActorPoolStrategy(min_size=1, max_size=workers, initial_size=workers)
    answers = ray.data.from_arrow_refs(parts).map_batches(
        Worker,
        fn_constructor_kwargs=arguments,
        compute=pool,
        batch_size=None,
        batch_format="pyarrow",
        num_cpus=1,
    )
    try:
        for batch in answers.iter_batches(batch_size=None, batch_format="pyarrow"):
            yield batch["label"].to_pylist()
    except ray.exceptions.RayError as error:
        raise _ours(error) from error


def _ours(error: BaseException) -> LesionEdgeError:
    """Return the error of ours that Ray wraps, or one that says what Ray does."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, LesionEdgeError) and not isinstance(seen, ray.exceptions.RayError):
            return seen
        seen = getattr(seen, "cause", None) or seen.__cause__
    # What a worker raises as it starts reaches us as text only.
    if told := re.findall(r"^edge\.errors\.\w+: (.+)$", str(error), re.MULTILINE):
        return LesionEdgeError(told[-1])
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return OutputError(f"Ray ended the work: {lines[-1].strip()}; run the same again to go on")
