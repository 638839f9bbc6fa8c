"""Browsers that look at a page, as far as it can tell: some read all, some nothing.

python -m tests.support.viewers PORT READING STALLED SECONDS    prints how many bytes the first read
"""

from __future__ import annotations

import selectors
import socket
import sys
import time


def main() -> None:
    port, reading, stalled, seconds = map(float, sys.argv[1:])
    selector, clients = selectors.DefaultSelector(), []
    for number in range(int(reading + stalled)):
        client = socket.create_connection(("127.0.0.1", int(port)))
        client.sendall(b"GET /api/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        clients.append(client)  # those that read nothing are kept open, too
        if number < reading:
            selector.register(client, selectors.EVENT_READ)
    end, count = time.monotonic() + seconds, 0
    while (left := end - time.monotonic()) > 0:
        for key, _ in selector.select(left):
            assert isinstance(key.fileobj, socket.socket)
            count += len(key.fileobj.recv(1 << 20))
    print(count)


if __name__ == "__main__":
    main()
