"""Network namespaces without names, held by file descriptors.

    a, b = Space(), Space()
    a.ip("link set lo up")          queued; Space.settle(spaces) runs all of them
    with a: ...                     this thread is in it: what it opens or starts stays there

A namespace lives as long as somebody holds it open. Ours end with the process that made them,
even when that is killed: nothing is left to clean up, and labs that run side by side can't meet.
"""

import ctypes
import fcntl
import os
import signal
import socket
import struct
import subprocess

from .needs import tool

GATE = "198.18.255.254"  # the next hop of everybody on the lab's Internet (switch.py)
GATE_MAC = "02:ff:ff:ff:ff:ff"

_NEWNET = 0x40000000
_SELF = "/proc/thread-self/ns/net"
_PDEATHSIG = 1
_SIOCETHTOOL = 0x8946
_STXCSUM = 0x17
_libc = ctypes.CDLL(None, use_errno=True)


def _enter(fd):
    if _libc.setns(fd, _NEWNET):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def die_with_parent() -> None:
    """In a child, before exec: SIGKILL when the thread that started it ends."""
    _libc.prctl(_PDEATHSIG, signal.SIGKILL)


class Space:
    """An empty network namespace; its loopback is up once settle() ran."""

    def __init__(self):
        back = os.open(_SELF, os.O_RDONLY)
        try:
            if _libc.unshare(_NEWNET):
                code = ctypes.get_errno()
                raise OSError(code, os.strerror(code))
            self.fd = os.open(_SELF, os.O_RDONLY)
            _enter(back)
        finally:
            os.close(back)
        self._links = []
        self._then = ["link set lo up"]
        self._back = []

    @property
    def path(self) -> str:
        """For `ip link add .. netns PATH`."""
        return "/proc/%d/fd/%d" % (os.getpid(), self.fd)

    def __enter__(self):
        self._back.append(os.open(_SELF, os.O_RDONLY))
        _enter(self.fd)
        return self

    def __exit__(self, *_):
        back = self._back.pop()
        _enter(back)
        os.close(back)

    def link(self, name: str, other: "Space", there: str, mac: str) -> None:
        """A cable from here to another namespace; `mac` is of its other end."""
        self._links.append(
            "link add %s type veth peer name %s address %s netns %s"
            % (name, there, mac, other.path)
        )

    def knows(self, ip: str, mac: str, device: str) -> None:
        """A neighbour that need not be asked for by ARP."""
        self.ip("neigh add %s lladdr %s dev %s nud permanent" % (ip, mac, device))

    def ip(self, line: str) -> None:
        self._then.append(line)

    def run(self, argv: list[str], text: str = "") -> str:
        """A tool in this namespace; RuntimeError with its words when it fails."""
        with self:
            done = subprocess.run(
                [tool(argv[0]) or argv[0], *argv[1:]], input=text, capture_output=True, text=True
            )
        if done.returncode:
            raise RuntimeError("%s\n%s\n%s" % (" ".join(argv), text[:2000], done.stderr.strip()))
        return done.stdout

    def set(self, name: str, value: int) -> None:
        """A kernel setting of this namespace; where it has no such setting nothing happens."""
        with self:
            try:
                with open("/proc/sys/net/" + name, "w") as f:
                    f.write(str(value))
            except FileNotFoundError:
                pass

    @staticmethod
    def settle(spaces) -> None:
        """Run what was queued: all cables first, as the rest names their ends."""
        for what in ("_links", "_then"):
            for s in spaces:
                lines = getattr(s, what)
                if lines:
                    s.run(["ip", "-batch", "-"], "\n".join(lines) + "\n")
                    lines.clear()
        for s in spaces:
            with s:
                _checksums()

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def _checksums():
    """Have UDP checksums made at once.

    A veth leaves them to hardware that is not there; a switch in user space, and NAT behind it,
    would pass wrong ones on. It also ends segments larger than a frame.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        for _, name in socket.if_nameindex():
            value = ctypes.create_string_buffer(struct.pack("II", _STXCSUM, 0))
            request = struct.pack("16sP", name.encode(), ctypes.addressof(value))
            try:
                fcntl.ioctl(s, _SIOCETHTOOL, request.ljust(40, b"\0"))
            except OSError:
                pass  # loopback, a bridge
