# floor 10: firmware
# A board that has no keys yet: who it is, and Improv WiFi. RAM: 1 kB, no node.
"""`wait(s)` until somebody presses Ctrl-C, as the owner's tool does: the REPL takes the keys then
(provision.py). Enter makes the board say again who it is; so does `provision.show()` in the REPL.
A board with a /ticket trades it for its keys meanwhile (redeem.py), and restarts when it has them.
"""

import os
import time

import console
import machine
import safe_mode
from l4mesh.endpoint import parse_endpoint
from l4mesh.identity import Identity
from l4mesh_io import clock, recorder
from l4mesh_io.udp import Udp
from provision import keep, open_store

_TICKET = "ticket"


def tell(public):
    console.say("UNPROVISIONED " + public)
    console.say("give it its keys: `l4 provision`, see docs/cli.md; Ctrl-C for the REPL")


def wait(s, public):
    tell(public)
    s.serial.on_enter = lambda: tell(public)
    trade = _trade(s)
    window = _window(s)
    while True:
        now = clock.now()
        ms = min(s.serial.poll(now), s.poll_wifi(now), window(now))
        if trade is not None:
            try:
                ms = min(ms, trade.poll(now))
            except ValueError as e:
                console.say("/ticket: %s" % e)
                trade = None
            if ms < 0:
                _restart(trade.keys)
                trade = None
        s.dog.feed()
        time.sleep_ms(max(0, ms))


def _window(s):
    """Improv by Bluetooth, where the board has that and no WiFi configured (or a button)."""
    if s.ble and not isinstance(s.ble, str) and (not s.cfg.wifi or s.cfg.button_pin is not None):
        from improv_ble import alone

        try:
            return alone(s, console.say)
        except (OSError, MemoryError) as e:
            console.say("Improv by Bluetooth: not possible here (%r)" % e)
    return lambda now: 100


def _trade(s):
    """What trades the ticket, if there is one and somebody to ask."""
    if _TICKET not in os.listdir("/"):
        return None
    if not s.cfg.upstream:
        console.say("it has a one-time ticket, but no upstream in its settings to trade it at")
        return None
    from redeem import Trade

    store = open_store()
    ident = Identity(store.load("seed"), store.load("public"))

    def open_link():
        ip, mask = s.address()
        return Udp(ip, s.cfg.port, parse_endpoint("%s:%d" % (s.cfg.group, s.cfg.port)), True, mask)

    try:
        with open("/" + _TICKET, "rb") as f:
            return Trade(f.read(), s, ident, open_link, console.say)
    except (OSError, ValueError) as e:
        console.say("/ticket: %s" % e)


def _restart(keys):
    """Keep the keys, then do away with the ticket: start.py does, when the power fails between."""
    if not keep(keys, open_store(), " by ticket"):
        return
    try:
        os.remove("/" + _TICKET)
    except OSError as e:
        console.say("/ticket stays: %r" % e)  # it is worth nothing any more
    recorder.flush()
    safe_mode.planned_reset()
    machine.reset()
