# floor 3: codecs
# Reads settings: the table of keys and the checks. RAM: 5 KiB while loaded; needed once, at start.
"""checked(given) -> pairs (key, value) of every key there is, defaults filled in; for config.py.

ValueError is one sentence that names the key and what is allowed. Nothing holds on to this module:
firmware may take it out of sys.modules once the config is read.
"""

from .endpoint import parse_endpoint

# key, kind, default ("-" is empty), then what the kind needs (see _kinds).
_TABLE = """name s - 32
network h - 8
port i 4104 1024 65535
group g 239.76.52.1
upstream u -
mqtt e -
mqtt_user s - 64
mqtt_password s - 128
mqtt_tls b 0
mqtt_ca s - 64
ha b 1
ntp s pool.ntp.org 64
wifi w -
metered b 0
mode c auto passive standard active
relay c auto never
ble c auto never
ble_company i 65535 0 65535
ble_name b 0
cache i 50 8 5000
p2p i 4 0 16
hello_min_s i 1 1 60
hello_max_s i 60 1 3600
lifetime_min i 30 1 1440
battery_pin n - 0 99
battery_divider i 2 1 20
led_pin n - 0 99
button_pin n - 0 99
interval_s i 10 1 86400
queue_segments i 16 2 4096
volatile b 0
custody c auto never
rise_battery i 60 1 100
fall_battery i 40 1 100
critical_battery i 15 0 100
rise_heap_kib i 40 1 65535
fall_heap_kib i 24 1 65535
critical_heap_kib i 12 0 65535
largest_block_kib i 24 0 65535
judge_s i 300 1 3600
window_s i 300 6 86400
confirm i 3 1 10
jitter_s i 120 1 600
demand_requests i 100 1 100000
demand_hits_pct i 50 0 99
nat c auto always never
udp_relay b 0
tcp u -
tcp_ca s - 64
quota_per_s i 2 0 1000
limits l -
ota c auto never
good_s i 60 5 600
sleep_s i 0 0 65000
log_level i 2 0 3"""

# Each of these must be below the next one.
_ORDER = (
    ("critical_battery", "fall_battery", "rise_battery"),
    ("critical_heap_kib", "fall_heap_kib", "rise_heap_kib"),
    ("hello_min_s", "hello_max_s"),
)


def _is_int(v, low, high):
    return isinstance(v, int) and not isinstance(v, bool) and int(low) <= v <= int(high)


def _is_text(v, low, high):
    return isinstance(v, str) and low <= len(v.encode()) <= high


def _is_endpoint(v):
    try:
        return isinstance(v, str) and bool(parse_endpoint(v))
    except ValueError:
        return False


def _is_host(v):
    """An address or a name, with a port?"""
    host, _, port = v.rpartition(":") if isinstance(v, str) else ("", "", "")
    if not 0 < len(host) <= 64 or not port or port.strip("0123456789") or len(port) > 5:
        return False
    if not host.strip("0123456789."):
        return _is_endpoint(v)
    letters = host.lower().strip("abcdefghijklmnopqrstuvwxyz0123456789.-")
    return 0 < int(port) < 65536 and not letters and host[0] not in ".-" and ".." not in host


def _is_hex(v, digits):
    return isinstance(v, str) and len(v) == digits and not v.lower().strip("0123456789abcdef")


def _pairs(v, first, second):
    """A list of pairs, each with a good first and a good second item?"""
    if not isinstance(v, (list, tuple)):
        return False
    for p in v:
        if not isinstance(p, (list, tuple)) or len(p) != 2 or not (first(p[0]) and second(p[1])):
            return False
    return True


def _kind(kind, v, args):
    """(is the value good, what is allowed) for a value of a kind."""
    if kind == "i":
        return _is_int(v, args[0], args[1]), "a whole number from %s to %s" % tuple(args)
    if kind == "n":
        ok = v is None or _is_int(v, args[0], args[1])
        return ok, "null or a whole number from %s to %s" % tuple(args)
    if kind == "b":
        return isinstance(v, bool), "true or false"
    if kind == "c":
        return v in args, "one of " + ", ".join(args)
    if kind == "s":
        return _is_text(v, 0, int(args[0])), "text of at most %s bytes" % args[0]
    if kind == "h":
        return v == "" or _is_hex(v, int(args[0])), "%s hex digits" % args[0]
    if kind == "e":
        return v == "" or _is_host(v), 'like "192.168.1.5:1883" or "broker.lan:8883", or ""'
    if kind == "g":
        ok = isinstance(v, str) and v[:4] == "239." and _is_endpoint(v + ":1")
        return ok, 'a multicast group of one\'s own site, like "239.76.52.1"'
    if kind == "u":
        ok = _pairs(v, lambda t: _is_int(t, 1, 3), _is_endpoint)
        return ok, 'a list of [tier, "ip:port"] with tier 1, 2 or 3'
    if kind == "l":
        ok = isinstance(v, dict) and all(_is_int(v[k], 1, 100000) for k in v)
        return ok, 'an object of figures from limits.py, like {"id_s": 8}, each 1 to 100000'
    ok = _pairs(v, lambda t: _is_text(t, 1, 32), lambda t: t == "" or _is_text(t, 8, 63))
    return ok, "a list of [name, password] with passwords of 8 to 63 bytes, or none"


def _default(kind, text):
    if kind == "i":
        return int(text)
    if kind == "b":
        return text == "1"
    if kind == "n":
        return None
    if kind == "l":
        return {}
    if kind in "uw":
        return []
    return "" if text == "-" else text


def _nearest(key, names):
    """The name that shares most letters and pairs of letters with `key`."""

    def score(n):
        pairs = sum(n[i : i + 2] in key for i in range(len(n) - 1))
        within = 9 if key in n or ("_" + key).find("_" + n) >= 0 else 0
        letters = sum(c in key for c in n)
        return within + 2 * pairs + 2 * letters - len(n) - abs(len(n) - len(key))

    return max(names, key=score)


def _in_order(values):
    for chain in _ORDER:
        for i in range(len(chain) - 1):
            low, high = values[chain[i]], values[chain[i + 1]]
            if low >= high:
                raise ValueError(
                    "%s is %d, but must be below %s, which is %d."
                    % (chain[i], low, chain[i + 1], high)
                )


def checked(given):
    """`given`: a flat dict, as json.load gives it -> pairs of key and value."""
    if not isinstance(given, dict):
        raise ValueError('The config must be an object of keys, like {"name": "porch"}.')
    values = {}
    for line in _TABLE.split("\n"):
        line = line.split(" ")
        key, kind = line[0], line[1]
        # The default of a choice is one of the choices.
        args = line[2:] if kind == "c" else line[3:]
        values[key] = v = _default(kind, line[2])
        if key in given:
            values[key] = v = given[key]
            ok, allowed = _kind(kind, v, args)
            if not ok:
                # What holds passwords is never shown.
                shown = "" if kind == "w" or "password" in key else ", not " + repr(v)[:40]
                raise ValueError("%s must be %s%s." % (key, allowed, shown))
    for key in given:
        if key not in values:
            near = _nearest(key, sorted(values))
            raise ValueError("%s is no setting; the nearest is %s." % (str(key)[:40], near))
    _in_order(values)
    if values["sleep_s"] and values["mode"] in ("standard", "active"):
        raise ValueError("sleep_s makes a passive node: leave mode away, or sleep_s.")
    if values["mqtt_tls"] and not values["mqtt_ca"]:
        raise ValueError(
            "mqtt_tls needs mqtt_ca, the file with the CA of the broker's certificate: TLS to "
            "whoever answers protects nothing."
        )
    return values.items()
