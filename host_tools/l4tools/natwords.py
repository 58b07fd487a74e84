"""What the 8 bytes of lib/l4mesh/nat_type.py mean for a person, and for pairs with others.

doc = explain(said)        `said`: what topic 5 of INFO gives; adds type, sub, means, pairs
say(out, label, doc)
"""

from l4mesh import nat_pair as pair
from l4mesh import nat_type as nat

_MEANS = {
    nat.UNKNOWN: "Not enough assistants answered to tell. Two are needed at different addresses, "
    "three to test what comes in; until then pairs try everything, over a relay meanwhile.",
    nat.PUBLIC: "Anybody can send to it: no hole has to be punched, and it helps others best.",
    nat.FULL_CONE: "Once it has sent anything, everybody can send to its mapped address.",
    nat.RESTRICTED: "Who it has sent to can answer, from any port. Pairs punch at the same "
    "moment.",
    nat.PORT_RESTRICTED: "Who it has sent to can answer, from the same port only: the ordinary "
    "home router. Pairs punch at the same moment.",
    nat.SYMMETRIC: "Each peer sees another port, which has to be guessed.",
    nat.BLOCKED: "UDP does not get out. Everything goes by TCP over a tier.",
}
_SUBS = {
    nat.SEQUENTIAL: "Ports come one after the other, so the next one can be told.",
    nat.BLOCK: "They lie close together, so all of them can be tried.",
    nat.LOW: "Ports below 1024 stay below, so few are left to try.",
    nat.RANDOM: "Any port may come: only who is open, or lucky, gets through.",
    nat.FIREWALL: "There is no translation, but a firewall that lets in answers only.",
    nat.PRESERVING: "The port outside is the one inside.",
}
_FLAGS = {
    nat.FIXED: "The router maps a fixed port on request (PCP or NAT-PMP): as good as public.",
    nat.METERED: "The link is metered: it never guesses ports.",
    nat.STEADY: "All see the same address; what comes in could not be tested.",
    nat.EARLY: "A packet that comes too early spoils the mapping; the other side waits for it.",
}


def _peer(kind, sub=0, width=0):
    return bytes(
        (kind, sub, 1 if sub == nat.SEQUENTIAL else 0, 0, 128, 0, width >> 8, width & 255)
    )


PEERS = (
    ("public, or a mapped port", _peer(nat.PUBLIC)),
    ("full cone", _peer(nat.FULL_CONE)),
    ("restricted cone", _peer(nat.RESTRICTED)),
    ("port restricted cone", _peer(nat.PORT_RESTRICTED)),
    ("symmetric, sequential", _peer(nat.SYMMETRIC, nat.SEQUENTIAL)),
    ("symmetric, block", _peer(nat.SYMMETRIC, nat.BLOCK, 512)),
    ("symmetric, low ports", _peer(nat.SYMMETRIC, nat.LOW)),
    ("symmetric, random", _peer(nat.SYMMETRIC, nat.RANDOM)),
    ("udp blocked", _peer(nat.BLOCKED)),
)
_WAYS = {
    pair.DIRECT: "direct",
    pair.HOLE_PUNCH: "hole punch",
    pair.NEED_RELAY: "relay",
    pair.TRY_ALL: "relay, while all is tried",
}


def with_peer(mine: bytes, theirs: bytes) -> dict:
    """What the pair does; `guesses`: ports that the side which has to guess them tries."""
    strategy = pair.strategy(mine, theirs)
    plans = pair.plan(mine, theirs), pair.plan(theirs, mine)
    return {
        "way": _WAYS[strategy],
        "relay": strategy in (pair.NEED_RELAY, pair.TRY_ALL),
        "guesses": max(p.count for p in plans),
    }


def explain(said: dict) -> dict:
    """`said` with words; a document that makes no sense counts as nothing known."""
    raw = said.get("nat")
    try:
        mine = bytes(raw)
    except (TypeError, ValueError):
        mine = b""
    if len(mine) != nat.LEN or mine[0] >= len(nat.TYPES) or mine[1] >= len(nat.SUBS):
        mine = nat.NOTHING
    means = [_MEANS[mine[0]]]
    if mine[1]:
        means.append(_SUBS[mine[1]])
    means += [text for flag, text in _FLAGS.items() if mine[3] & flag]
    fields = {k: said.get(k) for k in ("seen", "mapped", "fixed", "local", "asked", "took_ms")}
    return {
        "type": nat.TYPES[mine[0]],
        "sub": nat.SUBS[mine[1]],
        "means": " ".join(means),
        **fields,
        "nat": mine.hex(),
        "pairs": [{"peer": name, **with_peer(mine, theirs)} for name, theirs in PEERS],
    }


def say(out, label: str, doc: dict) -> None:
    kind = ", ".join(t for t in (doc["type"], doc["sub"]) if t)
    out.line("%s: %s." % (label, kind))
    out.line(doc["means"])
    seen = [doc["seen"]] if doc["seen"] else []
    more = [m for m in doc["mapped"] or [] if m not in seen]
    if seen:
        out.line("Seen from outside as %s (here it is %s)." % (doc["seen"], doc["local"]))
    if more:
        out.line("Other sockets were seen as %s." % ", ".join(more))
    if doc["fixed"]:
        out.line("The router maps %s." % doc["fixed"])
    if doc["asked"] is not None:
        out.line("Assistants were asked at %d addresses." % doc["asked"])
    out.table(
        [
            {"with": p["peer"], "way": p["way"], "ports guessed": p["guesses"] or None}
            for p in doc["pairs"]
        ]
    )
