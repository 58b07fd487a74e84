# Runs on MicroPython's unix port: modules that a chip has and this port lacks, in virtual time.
"""machine, network, esp32, dht, time, select and socket, as far as the firmware uses them. `world`
(set by world.py) is what the sockets and the LED are connected to.
"""

import sys
from time import gmtime, time_ns

_READY = ((None, 1),)

world = None


class Flash:
    def __init__(self, f):
        self._f = f

    def readblocks(self, n, buf, off=0):
        self._f.seek(n * 4096 + off)
        self._f.readinto(buf)

    def writeblocks(self, n, buf, off=0):
        self._f.seek(n * 4096 + off)
        self._f.write(buf)

    def ioctl(self, op, arg):
        return {4: 512, 5: 4096}.get(op, 0)


class Time:
    ms = 0

    def ticks_ms(self):
        return self.ms

    def ticks_us(self):
        return self.ms * 1000

    def ticks_diff(self, a, b):
        return a - b

    def ticks_add(self, a, b):
        return a + b

    def sleep_ms(self, n):
        Time.ms += n

    def sleep(self, s):
        Time.ms += int(s * 1000)

    def time_ns(self):
        return time_ns()

    def gmtime(self, s=None):
        return gmtime(s)


class Machine:
    DEEPSLEEP_RESET = 4

    class WDT:
        def __init__(self, timeout):
            pass

        def feed(self):
            pass

    class Pin:
        OUT = 1

        def __init__(self, n, mode=0):
            pass

        def value(self, v):
            world.taken += v

    class RTC:
        def memory(self, data=None):
            return b""

        def datetime(self, t):
            pass

    class ADC:
        ATTN_11DB = 3

        def __init__(self, pin):
            pass

        def atten(self, n):
            pass

        def read_uv(self):
            return 2000000

    def reset_cause(self):
        return 1

    def unique_id(self):
        return b"123456"

    def reset(self):
        world.report(1)


class Wlan:
    PM_NONE = 0

    def active(self, on=True):
        return True

    def config(self, **kw):
        pass

    def connect(self, *a):
        pass

    def disconnect(self):
        pass

    def isconnected(self):
        return True

    def ifconfig(self):
        return ("10.77.1.11", "255.255.255.0", "10.77.1.1", "0.0.0.0")

    def status(self, what=""):
        return -60


class Network:
    STA_IF = 0
    AP_IF = 1
    wlan = Wlan()

    def WLAN(self, n):
        return self.wlan

    def hostname(self, name):
        pass


class Nvs:
    kept = {}

    def __init__(self, space):
        pass

    def get_blob(self, key, buf):
        if key not in self.kept:
            raise OSError(-4354)
        v = self.kept[key]
        buf[: len(v)] = v
        return len(v)

    def set_blob(self, key, v):
        self.kept[key] = bytes(v)

    def get_i32(self, key):
        raise OSError(-4354)

    def set_i32(self, key, v):
        pass

    def commit(self):
        pass


class Esp32:
    HEAP_DATA = 4
    NVS = Nvs

    def idf_heap_info(self, n):
        return [(100000, 60000, 50000, 40000)]


class Dht:
    class DHT22:
        def __init__(self, pin):
            pass

        def measure(self):
            pass

        def temperature(self):
            return 21.5

        def humidity(self):
            return 40.1


class Poll:
    stdin = False

    def register(self, what, *a):
        self.stdin = what is sys.stdin

    unregister = register

    def poll(self, ms):
        if self.stdin:
            return ()  # nobody types
        return _READY if world.wait(ms) else ()


class Select:
    POLLIN = 1
    poll = Poll


class Sock:
    def __init__(self, *a):
        pass

    def setblocking(self, on):
        pass

    def setsockopt(self, *a):
        pass

    bind = setsockopt

    def connect(self, addr):
        raise OSError(113)

    def close(self):
        pass

    def recvfrom(self, n):
        if not world.inbox:
            raise OSError(11)
        return world.inbox.pop(0)

    def sendto(self, data, addr):
        world.heard(data, addr)
        return len(data)


class Socket:
    AF_INET = SOCK_DGRAM = 2
    socket = Sock

    def getaddrinfo(self, host, port):
        return [(2, 2, 0, "", (host, port))]


def install():
    """Put them where `import` finds them first."""
    for name, what in (
        ("machine", Machine),
        ("network", Network),
        ("esp32", Esp32),
        ("dht", Dht),
        ("time", Time),
        ("select", Select),
        ("socket", Socket),
    ):
        sys.modules[name] = what()
