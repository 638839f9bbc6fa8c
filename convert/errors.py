"""What goes wrong while a model is made: the errors of :mod:`convert`.

Like those of :mod:`edge.errors`, each is also the built-in it is a case of.
"""

from __future__ import annotations

from edge.errors import LesionEdgeError


class ConvertError(LesionEdgeError):
    """The base of them all."""


class WeightsError(ConvertError, ValueError):
    """A weights file that is missing, damaged, of another network or not safe to read."""


class FetchError(ConvertError, OSError):
    """The weights could not be found, fetched or kept."""


class UsageError(ConvertError, ValueError):
    """A command line that can't mean anything."""

    exit_status = 2


class ParityError(ConvertError, AssertionError):
    """The exported model does not answer like the network it was made from."""


class ExportError(ConvertError, RuntimeError):
    """The network could not be turned into a model file."""
