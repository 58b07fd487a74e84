# floor 8: effects
# All that reaching peers beyond NATs takes, put together. RAM: 35 kB on a board; loaded then.
"""from l4mesh_io import beyond

    ways = beyond.of(node, now)       node.ways, with meet.py and natcheck.py; made if not there
    ways.open(id16, now)              what an application calls to reach a node that it cannot
    beyond.wanted(node)               is this node to be found from outside? config `nat`
    beyond.stand(node, now)           be found: places at relays and assistants
    beyond.router(node, gateway)      ask the home router for a fixed port (portmap.py), gateway()
                                      -> its 4 bytes or None; the PortMap
    beyond.rests(node)                on battery: ping as seldom as the router allows (nat_life.py)

`auto`: when a NAT was seen, which is when a tier sees another address than our own. `always`:
also behind a firewall that translates nothing. `never`: no.
"""

from l4mesh.compat import const
from l4mesh.record import NO_ENDPOINT
from l4mesh.ways import Ways

_PLACES = const(8)
_PLACES_HOST = const(64)


def wanted(node) -> bool:
    cfg = node.cfg.nat
    own = node.own
    if cfg == "auto":
        return own.public != NO_ENDPOINT and own.public[:4] != own.lan[:4]
    return cfg == "always" and node.member.joined


def of(node, now: int, host: bool = False):
    if isinstance(node.ways, Ways):
        return node.ways
    from l4mesh import natcheck
    from l4mesh.meet import Meet

    check = node.nat or natcheck.begin(node)
    meet = Meet(node)
    check.on_change = meet.set_nat
    if check.seen is not None:
        meet.set_nat(check.summary, now)
    return Ways(node, meet, _PLACES_HOST if host else _PLACES)


def stand(node, now: int, host: bool = False):
    ways = of(node, now, host)
    if not ways.asks.keep:
        ways.stand(True, now)
    return ways


def router(node, gateway):
    from l4mesh.portmap import PortMap

    pm = PortMap(node, gateway, lambda at, now: node.nat.fixed(at))
    node.late.append(pm)
    node.notes["router"] = pm.why
    return pm


def rests(node):
    from l4mesh.nat_life import NatLife

    life = NatLife(node.nat)

    def known(keep_ms, now):
        node.reach.every_ms = keep_ms

    life.on_change = known
    node.late.append(life)
    return life
