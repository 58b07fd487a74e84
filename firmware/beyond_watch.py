# floor 10: firmware
# Waits for a sign that this board is behind a NAT, or that UDP is blocked. RAM: 0.7 kB.
"""watch(s) adds a job to the runner, where there is something to wait for; see beyond_start.py."""

from l4mesh.record import NO_ENDPOINT


def watch(s):
    node = s.node
    cfg = node.cfg
    if s.safe or node.keys.link_seal(None) is None:
        return
    # By name: not a board in a thousand that reads this line needs what comes then.
    detour = None
    if cfg.tcp or cfg.udp_relay:
        detour = __import__("beyond_start").first(s)
    if cfg.nat == "never" or not cfg.upstream:
        return
    todo = [True]

    def look(now):
        own = node.own
        seen = own.public != NO_ENDPOINT and own.public[:4] != own.lan[:4]
        if seen or cfg.nat == "always" and node.member.joined or detour and detour.blocked:
            if todo:
                todo.clear()
                __import__("beyond_start").stand(s, detour, now)
        return 5000

    s.runner.add(look)
