"""What `l4 node` does: run a HostNode until a signal, and say what happens to it.

On a terminal the state is one line that renews itself; elsewhere only changes are printed.
"""

import asyncio
import contextlib
import signal
import sys

from l4mesh import events as ev
from l4mesh.endpoint import format_endpoint
from l4mesh.peers import O_MODE, P_LAN, P_SIGNED
from l4mesh.wire import MODE_NAMES

from .dnssd import Publisher, Shown
from .hostnode import HostNode

_EVERY_S = 1.0
_PUBLISH_S = 3.0


async def run(out, network, options, publish=None) -> None:
    """Until SIGTERM or Ctrl-C. `options` are those of HostNode; `publish`: by DNS-SD, on the
    interface with this address."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    async with contextlib.AsyncExitStack() as stack:
        host = await stack.enter_async_context(HostNode(network, **options))
        if publish:
            said = await stack.enter_async_context(Publisher(publish, network.network_id))
            task = asyncio.create_task(_publish(said, host, out))
            stack.push_async_callback(_end, task)
        say = _Line()
        host.on_event = lambda e: say.change(_sentence(e))
        out.record(
            {
                "node": host.ident.id,
                "at": format_endpoint(host.link.local),
                "network": network.network_id,
                "mode": MODE_NAMES[host.node.modes.mode],
            }
        )
        out.note("It runs. Stop with Ctrl-C.")
        while not stopped.is_set():
            say.state(_state(host.node))
            try:
                async with asyncio.timeout(_EVERY_S):
                    await stopped.wait()
            except TimeoutError:
                pass
        say.end()


async def _publish(said, host, out):
    try:
        while True:
            await said.update(shown(host.node))
            await asyncio.sleep(_PUBLISH_S)
    except Exception as e:  # the node is worth more than its advertisement
        out.note("DNS-SD has stopped (%r); the node runs on." % e)


async def _end(task):
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def shown(node) -> list[Shown]:
    """This node, and the neighbours whose signed records were checked."""
    p = node.peers
    out = [Shown(node.short_id, MODE_NAMES[node.serve.mode] or "passive", node.link.local)]
    both = P_LAN | P_SIGNED
    for i in range(p.slots):
        addr = p.addr(i)
        if p.flags(i) & both == both and addr[0]:
            mode = MODE_NAMES[p.get(i, O_MODE) % 4] or "passive"
            out.append(Shown(p.short_id(i), mode, addr))
    return out


class _Line:
    """One line of state at the bottom of a terminal, sentences above it."""

    def __init__(self):
        self._live = sys.stderr.isatty()
        self._shown = ""

    def state(self, text):
        if self._live and text != self._shown:
            self._write("\r\x1b[K" + text)
            self._shown = text

    def change(self, sentence):
        if sentence:
            self._write(("\r\x1b[K" if self._live else "") + sentence + "\n")
            self._shown = ""

    def end(self):
        if self._live:
            self._write("\n")

    @staticmethod
    def _write(text):
        try:
            sys.stderr.write(text)
            sys.stderr.flush()
        except OSError:
            pass  # nobody reads; the node goes on


def _state(node):
    tier = node.tiers.first_up()
    up = "L%d" % tier.level if node.reach.up and tier is not None else "none"
    return "%s | upstream %s | joined %s | neighbours %d | cache %d of %d | served %d" % (
        MODE_NAMES[node.serve.mode],
        up,
        "yes" if node.member.joined else "no",
        sum(1 for i in range(node.peers.slots) if node.peers.flags(i) & P_LAN),
        len(node.routes),
        node.routes.slots,
        dict(node.counters.items()).get("served", 0),
    )


def _sentence(e):
    """An event (l4mesh/events.py) for people; "" for those that are not news."""
    kind = e[0]
    if kind == ev.EV_JOINED:
        return "Joined through L%d after %d ms." % (e[1], e[2])
    if kind == ev.EV_LEFT:
        return "The registration has run out."
    if kind == ev.EV_UPSTREAM:
        return "The upstream is there: L%d." % e[2] if e[1] else "The upstream is gone."
    if kind == ev.EV_NEIGHBOUR:
        return "Neighbour %s at %s." % (bytes(e[1]).hex(), format_endpoint(e[2]))
    if kind == ev.EV_GONE:
        return "Neighbour %s is gone." % bytes(e[1]).hex()
    if kind == ev.EV_REFUSED:
        return "L%d refused this node; is it of this network?" % e[2]
    if kind == ev.EV_MODE:
        return "Mode %s to %s: %s is %s, the limit %s." % e[1:6]
    return ""
