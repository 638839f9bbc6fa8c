"""Many pictures on all cores of one machine or of a Ray cluster.  Needs the extra ``archive``."""

from edge.picture.limits import limit_opencv

# A worker's process on another node begins here, and its modules load OpenCV.
limit_opencv()
