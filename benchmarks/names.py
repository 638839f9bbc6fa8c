"""The names under which a result is stored; whoever reads one needs no peer for them."""

from __future__ import annotations

DENSE, COMPACT, GATHERED = "dense", "compact", "gathered"
"""The sets of weights."""
FORMS = {
    DENSE: "dense",
    COMPACT: "channels compacted",
    GATHERED: "channels and places compacted",
}
REWRITTEN = "lesion-edge int8, rewritten"
PLAIN = "TFLite int8, plain"
PLAIN_UNCOMPACTED = f"{PLAIN}, dead channels kept"
NOTEBOOK = "notebook"
