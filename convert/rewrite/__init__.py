"""Makes the int8 graph faster without changing one value of it.

Two kinds of change, and the proof:

* :func:`compact`, before quantisation: channels and units that are constant, or that nothing looks
  at, leave the network.  Exact in real arithmetic; judged by the parity gate like all else.
* :func:`rewrite`, after it: the same sums in another layout.  Scales and zero points stay, so the
  int8 values of the body are the same ones, bit for bit, and the graph's outside doesn't change.
* :func:`verify` runs both graphs, as the device runs them, and compares the body's values.

What a body goes through, and why each step is exact, is in the module that does it: dead int8
channels (:mod:`.body`), places that dense1 doesn't look at (:mod:`.lattice`), rows and columns that
no whole window of a pool holds (:mod:`.plan`), batches of strips (:mod:`.apply`), columns packed,
shifts and phases (:mod:`.layouts`).  The reshape before dense1 goes: the layer flattens its input
itself; so do reshapes of reshapes.

Measured with ai-edge-litert 2.3 on an x86-64 core with AVX512-VNNI, in turns, as the ratio of the
plain conversion's time to this one's: least / median / median of the first invoke after another
model's, which finds the caches full of that one (the machine was shared):

==============================================  ==================  ===================
one thread                                      ai-edge-litert 2.3  tflite-runtime 2.14
==============================================  ==================  ===================
dense weights, rewritten                        1.45 / 1.40 / 1.26  0.91 / 0.92
8 + 8 live channels, compacted                  2.14 / 2.10 / 1.98  1.69 / 1.69
8 + 8 live channels, compacted and rewritten    4.65 / 4.46 / 3.76  2.12 / 2.10
8 + 8 live channels, not compacted, rewritten   3.23 / 3.28 / 2.94  1.81 / 1.81
==============================================  ==================  ===================

Where dense1 looks at every eighth place of every eighth row, as in the default model, the int8
invoke goes from 2.2 ms (8 + 8 live channels, compacted, plain) to 0.16; at every fourth, to 0.54.
The float networks are made that way before they are converted (:mod:`.sampled_network`): 5.6 to
0.49 ms.

tflite-runtime 2.14 computes int8 with TFLite's own kernels, which don't pad channels; there
packing gains nothing, and what gains is compaction and the phases that fill a narrow convolution.

What paid, for the dense network (ms, least of many; plain 4.6 to 4.8):

* conv1 over two packed columns, two shifts, rows in turns: 3.5.  Conv1 itself goes from 2.9 to
  1.75, the copies cost 0.1.  Four shifts with four packed columns do equally well here, and are
  chosen for Arm.
* pool1 without the last row and column, which pool2 drops: 1.5 % less.
* two strips as one batch: 3.3.  XNNPACK keeps a pointer for each place and kernel column, 16 MB
  for conv1 and 8 MB for conv2, and the images of a batch share them.
* five parts of each strip, for conv1 only: 3.1, and the median closer to it.

and for 8 + 8 channels (compacted, plain 2.2):

* conv1 over four packed columns with four phases, 32 outputs: 1.7 to 0.6, of which 0.56 is what a
  core at its peak needs for that many lanes; the pool sees 16 channels a pixel instead of 8;
* conv2 with two phases, 16 outputs: 0.40 to 0.26.

What did not pay, and is not here:

* strips one after the other, so that conv1's output (7.9 MB) fits the cache: at most 1 %, from 3 to
  5 strips; more cost more in operations than they gain.  More than two strips of the whole body:
  overlapping rows of pool1 are computed twice.
* vertical phases (a kernel of five rows, step two): fewer lanes, 40 an output instead of 64, but
  more kernel columns, and then a maximum over halves of the channels: 0.85 to 0.92 against 0.74.
* the two shifts as separate convolutions and MAXIMUM, or as a batch of two and a pool over it: no
  less for the copies saved, and in tflite-runtime 2.14 a slow MAXIMUM.
* pooling over whole rows as one pixel: 0.26 instead of 0.34 for pool1, but the reshape before it
  is a copy of 7.9 MB in XNNPACK, 0.17.
* phases or shifts for conv2 of the dense network, which fills its tiles already: 1.22 to 1.54
  against 1.08.
* two rows interleaved, so that 24 bytes fill three groups of 8 exactly: reckoned, not built; the
  copies of 12 bytes would cost more than the quarter of conv1 that it saves.

What bounds it: conv2 of the dense network runs at 450 to 500 billion multiply-adds a second, the
highest int8 rate seen on that core; conv1 pads 12 bytes to 16 and requantises after only 64
multiply-adds; dense1 reads 3.8 MB of weights, ten units padded to 16.
"""

from __future__ import annotations

from .apply import apply_plan
from .body import drop_dead, read_body
from .dead import CompactReport, Liveness, compact
from .graph import Graph
from .network import build_compacted, by_place
from .plan import Plan, choose
from .proof import Proof, body_only, verify
from .sampled import SampledPlan
from .sampled_network import build_sampled, find_lattice

__all__ = [
    "CompactReport",
    "Liveness",
    "Plan",
    "Proof",
    "SampledPlan",
    "body_only",
    "build_compacted",
    "build_sampled",
    "by_place",
    "compact",
    "find_lattice",
    "plan",
    "rewrite",
    "verify",
]


def plan(int8_flatbuffer: bytes, *, tune_for: str = "x86") -> Plan | SampledPlan:
    """Return what :func:`rewrite` would do with a graph.

    Args:
        int8_flatbuffer: the quantiser's.
        tune_for: ``x86`` or ``arm``.

    Raises:
        ExportError: the graph is not as the quantiser writes it.
        UsageError: another processor.

    """
    return choose(drop_dead(read_body(Graph(int8_flatbuffer))), tune_for)


def rewrite(int8_flatbuffer: bytes, *, tune_for: str = "x86") -> bytes:
    """Return a graph with the same answers, bit for bit, that is faster to compute.

    Input and output stay as they are: int8 (1, 500, 500, 3), scale 1, zero point -128, and
    float32 (1, 1).  So does every scale and zero point between.  The same arguments always give
    the same bytes.  Nothing is run here; :func:`verify` compares the two.

    Args:
        int8_flatbuffer: the quantiser's.
        tune_for: ``x86`` or ``arm``: to how many input channels the kernel library there pads.

    Raises:
        ExportError: the graph is not as the quantiser writes it.
        UsageError: another processor.

    """
    graph = Graph(int8_flatbuffer)
    body = drop_dead(read_body(graph))
    apply_plan(graph, body, choose(body, tune_for))
    return graph.to_bytes()
