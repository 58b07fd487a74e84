# floor 9: firmware
# Machines that come when they are first wanted: scout, post. RAM: 1 kB, no more until then.
"""begin(s)    on boards that do not sleep; `s` is the supervisor. (Not in start.py: one function
that stays keeps its whole module.)
"""

from l4mesh.counters import C_MEM_ERROR
from l4mesh.wire import T_MAIL
from l4mesh_io.unload import unload


def begin(s):
    node = s.node
    scout = None

    def lonely(now):
        """Nobody is heard by multicast: what greets each alone comes, and goes when idle."""
        nonlocal scout
        if scout is None:
            from l4mesh.scout import Scout

            scout = Scout(node)
        elif scout.idle:
            scout = scout.close()
            unload("l4mesh.scout")

    def mail(slot, buf, addr, now):
        """Mail for this node, or for a neighbour that sleeps."""
        try:
            from l4mesh.post import Post

            post = Post(node)  # which takes it from now on
            node.notes["mail"] = post.why
            post.on_mail(slot, buf, addr, now)
        except MemoryError:
            node.counters.inc(C_MEM_ERROR)

    def look(now):
        """Does a tier see us at another address than our own? Then there is a NAT."""
        seen = node.own.public[:4]
        if node.nat is None and c.nat == "auto" and seen != node.own.lan[:4] and seen != bytes(4):
            __import__("beyond_start").stand(s, now)  # by name: it is on a floor above
        return 5000

    node.hello.lonely = lonely
    node.inbox.handle(T_MAIL, mail)
    c = node.cfg
    if c.nat == "always" or c.udp_relay or c.tcp:
        __import__("beyond_start").first(s)
    elif c.nat == "auto" and c.upstream:
        s.runner.add(look)
