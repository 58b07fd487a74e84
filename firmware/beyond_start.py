# floor 11: firmware
# What a board loads when it sees that it is behind a NAT, or that UDP is blocked. RAM: 45 kB.
"""stand(s, now)    be found: assistants, relays, and what kind of NAT it is (ondemand.py calls it)
first(s)         where settings ask for something at the start: `udp_relay`, this board relays for
                 others; `tcp`, tiers by TCP where UDP does not pass, at once if it was so the last
                 time; `nat: always`, found also behind what translates nothing
"""

import gc

import console
from l4mesh.endpoint import parse_endpoint


def _sockets(s):
    if s.node.sockets is None:
        from l4mesh_io.sockets import Sockets

        s.node.sockets = Sockets(s.runner, True)


def gateway(s):
    """The router's address, 4 bytes; None without WiFi, or without a router."""
    text = s.wlan.ifconfig()[2] if s.wifi.up else "0.0.0.0"
    return None if text == "0.0.0.0" else parse_endpoint(text + ":1")[:4]


def stand(s, now, detour=None):
    gc.collect()
    try:
        from l4mesh_io import beyond

        _sockets(s)
        ways = beyond.stand(s.node, now)
        beyond.router(s.node, lambda: gateway(s))
        if not s.board.signals()["mains"]:
            beyond.rests(s.node)
    except MemoryError:  # trying again would not make any room
        gc.collect()
        s.node.cfg.nat = "never"
        console.say("behind a NAT, and no room for what would make this board reachable")
        return
    if detour is not None:
        ways.on_silence = detour.silence
        detour.on_change = ways.rerouted
    console.say("behind a NAT: reachable by assistants and relays")


def first(s):
    node = s.node
    cfg = node.cfg
    if cfg.udp_relay:
        from l4mesh import relaying

        relaying.begin(node)
    detour = _detour(s, node, cfg) if cfg.tcp else None

    def look(now):
        if node.nat is None and cfg.nat != "never":
            if _wanted(node) or detour is not None and detour.blocked:
                stand(s, now, detour)
        return 2000

    if cfg.nat != "never":
        s.runner.add(look)


def _wanted(node):
    """As beyond.wanted(), which would bring all the rest along."""
    own = node.own
    seen = own.public[:4]
    forced = node.cfg.nat == "always" and node.member.joined
    return forced or seen != own.lan[:4] and seen != bytes(4)


def _detour(s, node, cfg):
    from l4mesh_io import clock
    from l4mesh_io.detour import Detour
    from l4mesh_io.tcp_link import TcpLink
    from provision import open_store

    tls = None
    if cfg.tcp_ca:
        from l4mesh_io.mqtt_tls import Tls

        tls = Tls(cfg.tcp_ca)
    _sockets(s)
    where = [(level, parse_endpoint(text)) for level, text in cfg.tcp]
    make = lambda level, addr: TcpLink(node, level, addr, node.sockets, tls)
    remember = lambda blocked: s.save("noudp", bytes((blocked,)))
    d = Detour(node, where, make, remember)
    node.late.append(d)
    node.notes["upstream by"] = d.note
    if open_store().load("noudp") == b"\x01":
        d.silence(clock.now())
    return d
