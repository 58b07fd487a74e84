"""Which serial port the board is on; when that cannot be told or opened, why, and the next step.

`find(None)` takes the only port whose USB ids are those of an ESP32 board or of the serial chips
on them. `find("/dev/ttyUSB0")` takes what it is told: a tty, a pty, `socket://HOST:PORT` or
`rfc2217://HOST:PORT` (a board at another machine, by ser2net or `esp_rfc2217_server`).
"""

import errno
import os
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

from ..errors import ToolError

SCHEMES = ("socket://", "rfc2217://")
# Espressif's USB (S3, C3, C6), then serial chips on boards: CP210x, CH340, CH9102, FTDI.
USB_IDS = (
    (0x303A, 0x1001),
    (0x303A, 0x4001),
    (0x10C4, 0xEA60),
    (0x1A86, 0x7523),
    (0x1A86, 0x55D4),
    (0x0403, 0x6001),
    (0x0403, 0x6015),
)
_CABLE = (
    "Plug a board in; if one is, try another cable (many only charge) and another socket, "
    "without a hub."
)


@dataclass(frozen=True)
class Port:
    """`device` is what pyserial opens; ids are None where the port has none."""

    device: str
    vid: int | None = None
    pid: int | None = None
    serial: str = ""
    description: str = ""

    @property
    def is_url(self) -> bool:
        return self.device.startswith(SCHEMES)

    @property
    def is_pty(self) -> bool:
        """A pseudo-terminal: a virtual board. It has no control lines."""
        return self.device.startswith("/dev/pts/")

    def __str__(self) -> str:
        ids = " %04x:%04x" % (self.vid, self.pid) if self.vid is not None and self.pid else ""
        more = " (%s%s)" % (self.description, ids) if self.description else ids
        return self.device + more


def known_ids() -> set[tuple[int, int]]:
    """(vendor, product) of boards: the table above, and what boards/*.toml name."""
    ids = set(USB_IDS)
    try:
        from ..boards import all_boards
    except ImportError:
        return ids
    for spec in all_boards().values():
        ids.update((int(vid), int(pid)) for vid, pid in spec.usb_ids)
    return ids


def every() -> list[Port]:
    """All serial ports of this machine, boards or not."""
    from serial.tools.list_ports import comports

    found = [
        Port(p.device, p.vid, p.pid, p.serial_number or "", p.description or "")
        for p in comports()
    ]
    return sorted(found, key=lambda port: port.device)


def boards() -> list[Port]:
    """The ports whose USB ids a board could have."""
    ids = known_ids()
    return [port for port in every() if (port.vid, port.pid) in ids]


def find(port: str | None = None) -> Port:
    """The port to use: the one named, else the only one with a board; ToolError says why not."""
    if port is not None:
        return _named(port)
    there = boards()
    if len(there) == 1:
        return _free(there[0])
    if there:
        raise ToolError(
            "There are %d boards: %s. Say which one with --port, for instance --port %s."
            % (len(there), ", ".join(map(str, there)), there[0].device)
        )
    others = [p for p in every() if p.vid is not None]
    if others:
        raise ToolError(
            "No board was found; there are %s. If one of them is the board, pass --port %s. %s"
            % (", ".join(map(str, others)), others[0].device, _CABLE)
        )
    raise ToolError(
        "No board was found: this machine has no USB serial port. " + _CABLE + _rights()
    )


def _named(text: str) -> Port:
    if "://" in text:
        if not text.startswith(SCHEMES):
            raise ToolError(
                "%r is no port that can be used. Pass a device, socket://HOST:PORT or "
                "rfc2217://HOST:PORT." % text
            )
        return Port(text, description="over the network")
    for port in every():
        if text in (port.device, os.path.basename(port.device)):
            return _free(port)
    if sys.platform == "win32":  # pragma: no cover
        return Port(text)
    if not os.path.exists(text) and "/" not in text and os.path.exists("/dev/" + text):
        text = "/dev/" + text
    try:
        mode = os.stat(text).st_mode
    except OSError as e:
        raise ToolError(explain(text, e)) from None
    if not stat.S_ISCHR(mode):
        raise ToolError("%s is no serial port. %s" % (text, _there()))
    # A link in /dev/serial/by-id is a good name; the port it leads to is what is listed.
    real = os.path.realpath(text)
    for port in every():
        if port.device == real:
            return _free(port)
    return _free(Port(text))


def _free(port: Port) -> Port:
    """`port`, if this user may open it and nobody else reads from it."""
    if port.is_url or sys.platform == "win32":
        return port
    if not os.access(port.device, os.R_OK | os.W_OK):
        denied = errno.EACCES if os.path.exists(port.device) else errno.ENOENT
        raise ToolError(explain(port.device, OSError(denied, os.strerror(denied))))
    if not port.is_pty and holders(port.device):
        raise ToolError(explain(port.device, OSError(errno.EBUSY, os.strerror(errno.EBUSY))))
    return port


def explain(device: str, error: BaseException) -> str:
    """What `error`, got while opening `device`, means, and the next step."""
    code = getattr(error, "errno", None)
    text = str(error)
    if device.startswith(SCHEMES):
        return (
            "Nothing could be reached at %s (%s). Check host and port, and that the program that "
            "offers the board there runs." % (device, text)
        )
    if code in (errno.EACCES, errno.EPERM):
        return "This user may not open %s. %s" % (device, _permission(device))
    if code in (errno.EBUSY, errno.EAGAIN, errno.EWOULDBLOCK):
        who = holders(device)
        name = "another program (%s)" % ", ".join(who) if who else "another program"
        return (
            "%s is in use by %s. Close it (a serial monitor, an editor with a board view, "
            "another l4) and try again." % (device, name)
        )
    if code in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
        return "There is no port %s. %s" % (device, _there())
    return "%s could not be opened (%s). Unplug the board, plug it in again and retry." % (
        device,
        text,
    )


def holders(device: str) -> list[str]:
    """ "name (pid N)" of other processes that have `device` open; those of this user, on Linux."""
    found = []
    real = os.path.realpath(device)
    for proc in Path("/proc").glob("[0-9]*"):
        if int(proc.name) == os.getpid():
            continue
        try:
            if any(os.path.realpath(fd) == real for fd in (proc / "fd").iterdir()):
                name = (proc / "comm").read_text().strip()
                found.append("%s (pid %s)" % (name, proc.name))
        except OSError:
            continue  # ended meanwhile, or another user's
    return sorted(found)


def _there() -> str:
    names = [str(p) for p in every()]
    return "These are there: %s." % ", ".join(names) if names else "There is none. " + _CABLE


def _permission(device: str) -> str:
    if not sys.platform.startswith("linux"):
        return "Allow this user to read and write it, then try again."
    group = _group(device)
    if group and group != "root":
        return (
            "It belongs to the group %s: run `sudo usermod -aG %s $USER`, log out and in again. "
            "Until then `sudo chmod a+rw %s` helps." % (group, group, device)
        )
    return (
        'No group was given the right to: write `SUBSYSTEM=="tty", MODE="0660", '
        'GROUP="dialout", TAG+="uaccess"` to /etc/udev/rules.d/60-l4.rules, run '
        "`sudo udevadm control --reload`, and plug the board in again."
    )


def _group(device: str) -> str:
    import grp

    try:
        return grp.getgrgid(os.stat(device).st_gid).gr_name
    except (OSError, KeyError):
        return ""


def _rights() -> str:
    """What a Linux user may lack even when a port comes."""
    if not sys.platform.startswith("linux") or os.geteuid() == 0:
        return ""
    import grp

    for name in ("dialout", "uucp"):
        try:
            group = grp.getgrnam(name)
        except KeyError:
            continue
        if group.gr_gid in os.getgroups():
            return ""
        return " Ports will belong to the group %s: `sudo usermod -aG %s $USER`." % (name, name)
    return ""
