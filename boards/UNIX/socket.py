# The ESP32's socket module over the virtual LAN's hub. RAM: 9 KiB.
"""Same methods and same habits as ports/esp32/modsocket.c, no more:

- a UDP socket keeps 6 unread datagrams, further ones are lost;
- an empty datagram makes recvfrom return b"" for ever, with a senseless address and poll readable,
  until bind() is called again;
- sending faster than the driver can: OSError 12;
- addresses are ("1.2.3.4", port), dotted quads only; nothing goes out while WiFi is down;
- unknown socket options print a warning and do nothing.

Error numbers are right by name: errno.ETIMEDOUT is 110 here, 116 on the chip (newlib), and the
built-in errno cannot be replaced. A refused connection is ECONNRESET, one without an answer
ECONNABORTED, as with lwIP.

Real sockets are connected to the hub on 127.0.0.1 and nothing else.
"""

import errno
import io
import time

import _hw
import usocket

AF_INET = 2
AF_INET6 = 10
SOCK_STREAM = 1
SOCK_DGRAM = 2
SOCK_RAW = 3
IPPROTO_IP = 0
IPPROTO_TCP = 6
IPPROTO_UDP = 17
SOL_SOCKET = 0xFFF
SO_REUSEADDR = 4
SO_BROADCAST = 0x20
SO_BINDTODEVICE = 0x100B
IP_ADD_MEMBERSHIP = 3
TCP_NODELAY = 1
MSG_PEEK = 1
MSG_DONTWAIT = 8

_KNOWN = ((SOL_SOCKET, SO_REUSEADDR), (SOL_SOCKET, SO_BROADCAST), (IPPROTO_TCP, TCP_NODELAY))
# What the stack of the chip's receive function happened to hold.
_JUNK = ("63.251.48.16", 4096)
_ports = {}  # bound UDP ports
_next = 49152
_tat = 0  # when the driver's send buffers are all free again, us
_quads = {}


def _quad(text):
    """4 bytes of a dotted quad, None for anything else."""
    q = _quads.get(text)
    if q is None:
        try:
            q = bytes([int(p) for p in text.split(".")])
        except ValueError:
            return None
        if len(q) != 4:
            return None
        if len(_quads) > 16:
            _quads.clear()
        _quads[text] = q
    return q


def _pack(addr):
    q = _quad(addr[0])
    if q is None:
        raise ValueError("invalid arguments")
    return q + int(addr[1]).to_bytes(2, "big")


def getaddrinfo(host, port, af=0, type=0, proto=0, flags=0):
    if host == "":
        host = "0.0.0.0"
    if _quad(host) is None:
        raise OSError(-202)  # EAI_FAIL: this network has no name server
    return [(AF_INET, type or SOCK_STREAM, proto, "", (host, int(port)))]


class socket(io.IOBase):
    def __init__(self, af=AF_INET, type=SOCK_STREAM, proto=0):
        if af != AF_INET or type not in (SOCK_STREAM, SOCK_DGRAM):
            raise OSError(errno.EINVAL)
        self._udp = type == SOCK_DGRAM
        self._port = 0
        self._peer = self._wait = None  # time-out: None blocks, 0 does not
        self._greet = False  # TCP: the hub's byte is still to come
        self._stuck = False
        self._s = usocket.socket(usocket.AF_INET, type)
        if self._udp:
            if _hw.hub is None:
                raise OSError(errno.EHOSTUNREACH)
            self._s.connect(_hw.hub)
            self._read_at = [0] * 6  # when the last six datagrams were read, us
            self._reads = 0

    def ioctl(self, req, arg):
        if req == 10:  # GET_FILENO: poll() waits on the real socket
            return self._s.fileno()
        if req == 4:
            self.close()
            return 0
        return -22

    def fileno(self):
        return self._s.fileno()

    def makefile(self, *args):
        return self

    def settimeout(self, s):
        self._wait = s
        self._s.settimeout(s)

    def setblocking(self, flag):
        self.settimeout(None if flag else 0)

    def close(self):
        if self._port:
            _ports.pop(self._port, None)
            self._port = 0
            try:
                self._s.send(b"U")
            except OSError:
                pass
        self._s.close()

    def _mine(self, e):
        """The OSError of the real socket as the chip has it."""
        n = e.args[0]
        if n == errno.EAGAIN and self._wait:
            n = errno.ETIMEDOUT  # the unix port says EAGAIN when the time is over
        return OSError(n)

    # -- UDP ----------------------------------------------------------------------------------
    def bind(self, addr):
        if not self._udp:
            raise OSError(errno.EOPNOTSUPP)  # no TCP servers on a virtual board
        port = addr[1]
        if addr[0] not in ("", "0.0.0.0", _hw.ip):
            raise OSError(errno.EINVAL)
        self._stuck = False
        if port and port == self._port:
            return
        if port in _ports or port == 5353:  # stock firmware's own mDNS has 5353
            raise OSError(errno.EADDRINUSE)
        self._attach(port)

    def _attach(self, port):
        """Take a port; 0 means any. The hub says when it knows."""
        global _next
        while not port or port in _ports:
            port = _next
            _next = 49152 + (_next + 1) % 16384
        self._s.settimeout(0.1)
        for _ in range(50):
            try:
                self._s.send(b"B" + _pack((_hw.ip, port)) + b"\x01")
                while self._s.recv(8)[:7] != b"\0\0\0\0\0\0B":
                    pass
                break
            except OSError:
                pass
        else:
            raise OSError(errno.EHOSTUNREACH)
        self._s.settimeout(self._wait)
        _ports.pop(self._port, None)
        self._port = port
        _ports[port] = True

    def setsockopt(self, level, opt, value):
        if level == IPPROTO_IP and opt == IP_ADD_MEMBERSHIP:
            if not isinstance(value, (bytes, bytearray)) or len(value) != 8:
                raise ValueError
            if self._udp:
                if not self._port:
                    self._attach(0)
                self._s.send(b"G" + bytes(value[:4]) + b"\0\0")
        elif level == SOL_SOCKET and opt == 20:
            pass
        elif (level, opt) not in _KNOWN:
            print("Warning: lwip.setsockopt() option not implemented")

    def sendto(self, buf, addr):
        global _tat
        if not self._udp:
            return self.send(buf)
        to = _pack(addr)
        if _hw.wifi(False)[0] != 1010:
            raise OSError(errno.EHOSTUNREACH)
        now = time.ticks_us()
        if _tat < now:
            _tat = now
        if _tat - now > _hw.tx_us * _hw.tx_burst:
            raise OSError(errno.ENOMEM)
        _tat += _hw.tx_us
        if not self._port:
            self._attach(0)
        try:
            self._s.send(b"D" + to + buf)
        except OSError as e:
            if e.args[0] not in (
                errno.EAGAIN,
                errno.ECONNREFUSED,
            ):  # hub busy or gone: lost, as on the air
                raise self._mine(e)
        return len(buf)

    def recvfrom(self, n, flags=0):
        if not self._udp:
            return self.recv(n), None
        while not self._stuck:
            try:
                d = self._s.recv(n + 12)
            except OSError as e:
                if e.args[0] == errno.ECONNREFUSED:
                    continue  # the hub's port was closed for a moment
                raise self._mine(e)
            if len(d) < 12 or not self._room(int.from_bytes(d[6:12], "big")):
                continue
            if len(d) > 12:
                return d[12:], (
                    "%d.%d.%d.%d" % (d[0], d[1], d[2], d[3]),
                    d[4] << 8 | d[5],
                )
            self._stuck = True
        return b"", _JUNK

    def _room(self, at):
        """Was there room in the mailbox when this came? It needs the sixth last to be read."""
        i = self._reads % 6
        if self._reads >= 6 and at < self._read_at[i]:
            return False
        self._read_at[i] = time.ticks_us()
        self._reads += 1
        return True

    # -- TCP ----------------------------------------------------------------------------------
    def connect(self, addr):
        to = _pack(addr)
        if self._udp:
            self._peer = addr
            return
        if _hw.wifi(False)[0] != 1010 or _hw.hub is None:
            raise OSError(errno.EHOSTUNREACH)
        self._s.settimeout(1)
        try:
            self._s.connect(_hw.hub)
            self._s.send(_pack((_hw.ip, 0)) + to)
        except OSError as e:
            raise self._mine(e)
        self._greet = True
        self._s.settimeout(self._wait)
        if self._wait == 0:
            raise OSError(errno.EINPROGRESS)
        self._greeted()

    def _greeted(self):
        """Take the hub's answer to connect() if it is still due."""
        if self._greet:
            try:
                r = self._s.recv(1)
            except OSError as e:
                raise self._mine(e)
            self._greet = False
            if r != b"\0":
                raise OSError(errno.ECONNABORTED if r == b"\2" else errno.ECONNRESET)

    def _do(self, f, *args):
        try:
            return f(*args)
        except OSError as e:
            raise self._mine(e)

    def send(self, buf, flags=0):
        if self._udp:
            if self._peer is None:
                raise OSError(errno.ENOTCONN)
            return self.sendto(buf, self._peer)
        return self._do(self._s.send, buf)

    def sendall(self, buf, flags=0):
        if self._udp:
            self.send(buf)
        else:
            self._do(self._s.sendall, buf)

    def write(self, *args):
        if self._udp:
            return self.send(args[0])
        return self._do(self._s.write, *args)

    def recv(self, n, flags=0):
        if self._udp:
            return self.recvfrom(n)[0]
        self._greeted()
        return self._do(self._s.recv, n)

    def read(self, *args):
        try:
            self._greeted()
        except OSError as e:
            if e.args[0] == errno.EAGAIN:
                return None
            raise e
        return self._do(self._s.read, *args)

    def readinto(self, *args):
        if self._udp:
            d = self.recvfrom(len(args[0]))[0]
            args[0][: len(d)] = d
            return len(d)
        try:
            self._greeted()
        except OSError as e:
            if e.args[0] == errno.EAGAIN:
                return None
            raise e
        return self._do(self._s.readinto, *args)

    def readline(self, *args):
        self._greeted()
        return self._do(self._s.readline, *args)

    def listen(self, backlog=2):
        raise OSError(errno.EOPNOTSUPP)

    def accept(self):
        raise OSError(errno.EOPNOTSUPP)
