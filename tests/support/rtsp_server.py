"""An RTSP camera on loopback, by Debian's GStreamer, for the system's Python, which has it.

Takes a port (0: any), prints it, and serves noise of 320x240 at 25 frames a second until killed:
rtsp://127.0.0.1:PORT/live.
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402 - versions come first

Gst.init(None)
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service(sys.argv[1])
factory = GstRtspServer.RTSPMediaFactory()
# RTP carries JPEG of 4:2:0 and 4:2:2 only (RFC 2435, 4.1).
factory.set_launch(
    "( videotestsrc is-live=true pattern=snow"
    " ! video/x-raw,format=I420,width=320,height=240,framerate=25/1"
    " ! jpegenc ! rtpjpegpay name=pay0 pt=26 )"
)
server.get_mount_points().add_factory("/live", factory)
server.attach(None)
print(server.get_bound_port(), flush=True)
GLib.MainLoop().run()
