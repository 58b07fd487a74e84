"""`l4 identify`: which of the boards on the desk is it? Its LED blinks."""

from typing import Annotated

import typer

from ..session import Session
from . import verb
from ._board import MaybeNode, Port, by_order, usb
from ._node import Upstream, Via

app = verb("Blink a board's LED.")

_BLINK = """
import json, time
from machine import Pin
pin = %r
if pin is None:
 try:
  with open('/config.json') as f:
   pin = json.load(f).get('led_pin')
 except (OSError, ValueError):
  pass
print(pin)
if pin is not None:
 p = Pin(pin, Pin.OUT)
 for i in range(%d):
  p.value(i & 1)
  time.sleep_ms(125)
 p.value(0)
"""


@app.command("identify")
def identify(
    ctx: typer.Context,
    node: MaybeNode = None,
    port: Port = None,
    seconds: Annotated[
        int, typer.Option("--seconds", help="how long it blinks", min=1, max=600)
    ] = 10,
    pin: Annotated[
        int | None,
        typer.Option("--pin", help="the LED's pin; default: led_pin of config.json (USB only)"),
    ] = None,
    upstream: Upstream = None,
    via: Via = None,
) -> None:
    """Blink a board's LED: over USB or, with NODE, over the network, where it goes on working.

    Example: l4 identify 7f3a --seconds 30
    """
    session: Session = ctx.obj
    if usb(port, node):
        from ..errors import ToolError
        from ..usb.repl import Repl

        with Repl(port) as repl:
            repl.enter()
            said = repl.exec(_BLINK % (pin, seconds * 8), timeout=seconds + 30).strip()
            repl.soft_reset()
        if said == "None":
            raise ToolError(
                "The board's config.json names no led_pin. Say where the LED is with --pin N."
            )
        session.out.record({"port": repl.port.device, "pin": int(said), "seconds": seconds})
        return
    from l4mesh.orders import DO_IDENTIFY

    target, _ = by_order(
        session, node, upstream, via,
        lambda orders, t: orders.give(t.id, DO_IDENTIFY, seconds, addr=t.addr),
    )  # fmt: skip
    session.out.record({"node": target.id.hex(), "name": target.name, "seconds": seconds})
