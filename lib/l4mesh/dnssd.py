# floor 3: codecs
# DNS-SD questions and answers (RFC 6763 over RFC 6762). RAM: none; loaded to browse.
"""One question, and what any responder may say to it.

    n = question(buf, ident, name)        PTR, for one-shot queries (RFC 6762 5.1, 6.7)
    parse(buf, n, ident) -> records       [(kind, name, value), ..], or None: no answer to that
    instances(records, name) -> [(label, host, endpoint, {key: value}), ..]    of that service

Names are tuples of bytes, one a label, as they came; they are compared without regard to case of
letters A to Z. Values: a name (PTR), (port, name) (SRV), {key: value} in bytes (TXT), 4 bytes (A).
Other kinds are skipped. Whatever is malformed ends the parse: what came before it counts. At most
48 records are looked at; a pointer of a name leads back only, at most 8 times, so none is a loop.
"""

from .compat import const
from .wire import put16, u16

PTR = const(12)
SRV = const(33)
TXT = const(16)
A = const(1)

_HEAD = const(12)
_RECORDS = const(48)
_JUMPS = const(8)
_LABELS = const(12)
_LONGEST = const(255)
_TEXTS = const(16)
SERVICE = (b"_l4mesh", b"_udp", b"local")


def subtype(mode: bytes):
    """The name to ask for nodes in one mode (RFC 6763 7.1)."""
    return (b"_" + mode, b"_sub") + SERVICE


def lower(name):
    return tuple([label.lower() for label in name])


def question(buf, ident: int, name) -> int:
    """Write it at the start of `buf`; an answer by unicast is fine (RFC 6762 5.4)."""
    buf[0:_HEAD] = bytes(_HEAD)
    put16(buf, 0, ident)
    buf[5] = 1
    o = _HEAD
    for label in name:
        buf[o] = len(label)
        buf[o + 1 : o + 1 + len(label)] = label
        o += 1 + len(label)
    buf[o : o + 5] = b"\x00\x00\x0c\x80\x01"
    return o + 5


class _Bad(Exception):
    pass


def _name(buf, o, n):
    """The name at `o` and where it ends. Each jump leads to before the place it is read at."""
    out = []
    after = -1
    size = 0
    floor = o
    for _ in range(_JUMPS + _LABELS):
        if o >= n:
            raise _Bad
        k = buf[o]
        if k >= 0xC0:
            if o + 1 >= n:
                raise _Bad
            if after < 0:
                after = o + 2
            o = (k & 0x3F) << 8 | buf[o + 1]
            if not _HEAD <= o < floor:
                raise _Bad
            floor = o
        elif k > 63 or o + 1 + k > n:
            raise _Bad
        elif k == 0:
            return tuple(out), after if after >= 0 else o + 1
        else:
            size += k + 1
            if size > _LONGEST or len(out) >= _LABELS:
                raise _Bad
            out.append(bytes(buf[o + 1 : o + 1 + k]))
            o += 1 + k
    raise _Bad


def _texts(buf, o, end):
    out = {}
    while o < end and len(out) < _TEXTS:
        k = buf[o]
        if o + 1 + k > end:
            raise _Bad
        key, eq, value = bytes(buf[o + 1 : o + 1 + k]).partition(b"=")
        key = key.lower()
        if key and key not in out:  # RFC 6763 6.4: the first one counts
            out[key] = value
        o += 1 + k
    return out


def _value(buf, kind, o, size, n):
    if kind == PTR:
        return _name(buf, o, n)[0]
    if kind == SRV and size > 6:
        return u16(buf, o + 4), _name(buf, o + 6, n)[0]
    if kind == TXT:
        return _texts(buf, o, o + size)
    if kind == A and size == 4:
        return bytes(buf[o : o + 4])
    return None


def parse(buf, n: int, ident: int):
    if n < _HEAD or u16(buf, 0) != ident or buf[2] & 0xF8 != 0x80 or buf[3] & 15:
        return None  # another number, no response, another operation, or an error
    out = []
    try:
        o = _HEAD
        for _ in range(u16(buf, 4)):
            o = _name(buf, o, n)[1] + 4
            if o > n:
                raise _Bad
        for _ in range(min(u16(buf, 6) + u16(buf, 8) + u16(buf, 10), _RECORDS)):
            name, o = _name(buf, o, n)
            if o + 10 > n:
                raise _Bad
            kind = u16(buf, o)
            alive = buf[o + 4 : o + 8] != bytes(4)  # no goodbye
            size = u16(buf, o + 8)
            o += 10
            if o + size > n:
                raise _Bad
            value = _value(buf, kind, o, size, n)
            if value is not None and alive:
                out.append((kind, name, value))
            o += size
    except _Bad:
        pass  # what came before it counts
    return out


def instances(records, name):
    """Those that the records tell in full: pointer, place, address; a TXT if there is one."""
    want = lower(name)
    places = {}
    texts = {}
    hosts = {}
    for kind, owner, value in records:
        owner = lower(owner)
        if kind == SRV:
            places[owner] = value
        elif kind == TXT:
            texts[owner] = value
        elif kind == A:
            hosts[owner] = value
    out = []
    for kind, owner, value in records:
        if kind == PTR and lower(owner) == want and len(value) > 1:
            port, host = places.get(lower(value), (0, ()))
            ip = hosts.get(lower(host))
            if ip is not None and port:
                at = ip + bytes((port >> 8, port & 255))
                out.append((value[0], host, at, texts.get(lower(value), {})))
    return out
