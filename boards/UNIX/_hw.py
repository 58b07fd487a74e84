# The virtual board's wires to its bench desk and hub. RAM: 1 KiB. Stand-ins only.
"""What stands for hardware is outside this process: the desk (sensors, pins, radio, NVS, RTC
memory, watchdog) answers over loopback UDP, so it survives what this process does not.

ask(op, data, size) -> bytes: one request, repeated until answered. Without L4_DESK: b"".
"""

import os
import time

import usocket

cause = int(os.getenv("L4_CAUSE") or 1)
ip = os.getenv("L4_IP") or "10.77.1.11"
mac = os.getenv("L4_MAC")
bootloader = os.getenv("L4_BOOTLOADER")
tx_us = int(os.getenv("L4_TX_US") or 2000)
tx_burst = int(os.getenv("L4_TX_BURST") or 16)

_s = None
_seq = 0
_wifi = None
_asked = 0


def loopback(env):
    """Socket address of "127.0.0.1:port" in the environment; anything else is refused."""
    text = os.getenv(env)
    if not text:
        return None
    host, port = text.split(":")
    if not host.startswith("127."):
        raise ValueError("%s must be on loopback, like 127.0.0.1:5000" % env)
    return usocket.getaddrinfo(host, int(port))[0][-1]


hub = loopback("L4_HUB")
desk = loopback("L4_DESK")


def tell(op, seq=0, data=b""):
    """Send without waiting for the answer (seq 0: none is made)."""
    global _s
    if desk is None:
        return
    if _s is None:
        _s = usocket.socket(usocket.AF_INET, usocket.SOCK_DGRAM)
        _s.connect(desk)
        _s.settimeout(0.2)
    try:
        _s.send(b"%d %s %s\n" % (seq, ip, op) + data)
    except OSError:
        pass


def ask(op, data=b"", size=96):
    """The desk's answer; OSError with its number when it says so."""
    global _seq
    if desk is None:
        return b""
    _seq += 1
    for _ in range(25):
        tell(op, _seq, data)
        try:
            while True:
                r = _s.recv(size)
                i = r.find(b"\n")
                head = r[:i].split()
                if int(head[0]) == _seq:
                    break
        except OSError:
            continue
        if int(head[1]):
            raise OSError(int(head[1]))
        return r[i + 1 :]
    raise OSError(5)


def wifi(fresh=True):
    """(status, rssi) of the station, asked at most every 50 ms."""
    global _wifi, _asked
    now = time.ticks_ms()
    if _wifi is None or fresh and time.ticks_diff(now, _asked) >= 50:
        r = ask("wifi").split()
        _wifi = (int(r[0]), int(r[1])) if r else (1010, -50)
        _asked = now
    return _wifi


def changed():
    """The next wifi() asks again."""
    global _wifi
    _wifi = None


def die(op):
    """Have the supervisor pull the reset line; never returns."""
    while desk:
        tell(op)
        time.sleep_ms(100)
    raise SystemExit(op)
