"""What a user might run instead: one module a library, all on the same weights and pictures.

A peer is made once (:attr:`~.base.Peer.make` writes its files into a folder) and then opened any
number of times, in any process, so that its memory can be measured alone.  Each is set up as its
documentation advises for one picture at a time on a CPU; the module says how.

What is timed is one invoke, from an input that already lies where and as the library wants it
(bytes made floats, channels first) to the probability.  That leaves out work that most peers need
and ours doesn't, to their advantage.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import (
    keras_peer,
    litert,
    ncnn_peer,
    onnxruntime_peer,
    opencv_peer,
    openvino_peer,
    tflite_old,
)
from .base import MissingPeerError, Network, Peer, Route, WrongAnswerError, check_answers, reason

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "PEERS",
    "MissingPeerError",
    "Network",
    "Peer",
    "Route",
    "WrongAnswerError",
    "check_answers",
    "reason",
]

PEERS: Sequence[Peer] = (
    *litert.PEERS,
    *tflite_old.PEERS,
    *onnxruntime_peer.PEERS,
    *openvino_peer.PEERS,
    *opencv_peer.PEERS,
    *ncnn_peer.PEERS,
    *keras_peer.PEERS,
)
