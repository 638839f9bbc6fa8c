"""The names under which a result is stored; whoever reads one needs no peer for them."""

from __future__ import annotations

DENSE, COMPACT, GATHERED, WINDOWS = "dense", "compact", "gathered", "windows"
"""The networks."""
CUT = (GATHERED, WINDOWS)
"""Those that the peers get with a picture cut to what they need; ours takes it whole."""
FORMS = {
    DENSE: "dense",
    COMPACT: "channels compacted",
    GATHERED: "channels and places compacted",
    WINDOWS: "channels and places compacted, in windows",
}
REWRITTEN = "lesion-edge int8, rewritten"
PLAIN = "TFLite int8, plain"
PLAIN_UNCOMPACTED = f"{PLAIN}, dead channels kept"
NOTEBOOK = "notebook"
MAIN = "1"
"""The threads of the run that all is judged on."""
