"""Round trips by UDP from this machine to a board: over its network, or the hub's virtual one.

`ping(n)` gives milliseconds of those that came back; leaving the
`with` tells the board to stop.
"""

import socket
import time
from collections.abc import Callable

from ..errors import ToolError
from ..lan.cable import BlockingCable

PORT = 5007
_WAIT_S = 0.5


class Way:
    """`send(data)` and `recv(seconds) -> bytes or None`."""

    port = PORT

    def __init__(
        self,
        send: Callable[[bytes], None],
        recv: Callable[[float], bytes | None],
        close: Callable[[], None],
    ):
        self._send, self._recv, self._close = send, recv, close

    def __enter__(self) -> "Way":
        return self

    def __exit__(self, *exc: object) -> None:
        self._close()

    def ping(self, n: int) -> list[float]:
        out: list[float] = []
        silent = 0
        for i in range(n):
            data = b"l4b%08d" % i + bytes(53)
            start = time.perf_counter()
            self._send(data)
            if self._await(data, start + _WAIT_S):
                out.append((time.perf_counter() - start) * 1000)
                silent = 0
            else:
                silent += 1
                if silent == 5 and not out:
                    break  # there is no way
        self._send(b"END")
        return out

    def _await(self, data: bytes, end: float) -> bool:
        """A late answer to an earlier question is let pass."""
        while True:
            left = end - time.perf_counter()
            if left <= 0:
                return False
            if self._recv(left) == data:
                return True


def real(ip: str) -> Way:
    """A socket on the interface that reaches the board: the system's routes choose it."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.connect((ip, PORT))
    except OSError as e:
        sock.close()
        raise ToolError(
            "This machine has no way to %s (%s). Join the board's network, or do without."
            % (ip, e)
        ) from None

    def send(data: bytes) -> None:
        try:
            sock.send(data)
        except OSError:
            pass  # refused, or unreachable: counted as lost

    def recv(seconds: float) -> bytes | None:
        sock.settimeout(max(0.001, seconds))
        try:
            return sock.recv(256)
        except OSError:
            return None

    return Way(send, recv, sock.close)


def virtual(hub, ip: str) -> Way:
    """A place of our own on the board's LAN."""
    lan = ip.rpartition(".")[0]
    cable = BlockingCable(hub, "%s.249:%d" % (lan, PORT))

    def recv(seconds: float) -> bytes | None:
        got = cable.recv(max(0.001, seconds))
        return got[0] if got else None

    return Way(lambda data: cable.send(data, addr="%s:%d" % (ip, PORT)), recv, cable.close)


def hub_of(device: str) -> str | None:
    """The hub of the running virtual mesh whose board is at this terminal."""
    from ..mesh import client, place

    for here in place.running():
        try:
            state = client.state(here)
        except (ToolError, OSError):
            continue
        if any(board.get("tty") == device for board in state["boards"]):
            return state["hub"]
    return None
