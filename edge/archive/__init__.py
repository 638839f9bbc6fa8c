"""Many pictures on all cores of one machine or of a Ray cluster.  Needs the extra ``archive``."""
