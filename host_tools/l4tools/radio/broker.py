"""The broker between boards' `bluetooth` modules and the air; and the air's knobs.

A board opens two TCP connections on loopback. Calls: `[number, method, args..]` a line, answered
`[number, errno, result]`. Events: first `["events", key]`, then events come as
`[code, query, data..]` and `[reports taken, query, value]` goes back (query 0: none was asked).
When a board's calls end without "off", its power went: links to it end by the others' time-out.
"""

import asyncio
import errno
import json
import logging
import threading
from collections.abc import Callable

from l4tools.errors import NotFound, ToolError

try:
    from l4tools.radio.air import Air
    from l4tools.radio.station import Station
except ImportError as e:
    raise ToolError(
        "The simulated radio needs the package bumble (%s). Install it: make .venv/.ble" % e
    )

log = logging.getLogger(__name__)
for _name in ("bumble", "asyncio"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)

_CALLS = frozenset(
    "config_get config_set gap_advertise gap_scan gap_connect gap_connect_cancel gap_disconnect "
    "gatts_register_services gatts_read gatts_write gatts_notify gatts_indicate gatts_set_buffer "
    "gattc_discover_services gattc_discover_characteristics gattc_discover_descriptors gattc_read "
    "gattc_write gattc_exchange_mtu".split()
)


class Radio:
    """`Radio(seed=1).start()` runs it in a thread; every method but `start` is thread-safe then.

    `address` is for L4_RADIO of a board. Boards are named by what they say (their IP).
    """

    def __init__(
        self,
        *,
        seed: int = 1,
        loss: float = 0.0,
        conn_interval: float | None = None,
        places: dict[str, tuple[float, float]] | None = None,
    ):
        self.air = Air(seed=seed, loss=loss, conn_interval=conn_interval)
        self.air.places.update({n: tuple(p) for n, p in (places or {}).items()})
        self.stations: dict[str, Station] = {}
        self.refused: set[str] = set()
        self.loop: asyncio.AbstractEventLoop | None = None
        self.address: tuple[str, int] = ("127.0.0.1", 0)
        self.used: dict[str, dict] = {}  # energy of stations that are off by now
        self._keys: dict[int, Station] = {}
        self._next = 0
        self._server = None
        self._thread: threading.Thread | None = None
        self._closing: list[Callable] = []
        self._serving: set = set()

    # -- life ----------------------------------------------------------------------------------
    def start(self) -> "Radio":
        """In a thread of its own, until close()."""
        ready = threading.Event()
        loop = asyncio.new_event_loop()

        def run():
            asyncio.set_event_loop(loop)
            loop.run_until_complete(self.serve())
            ready.set()
            loop.run_forever()
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()

        self._thread = threading.Thread(target=run, name="radio", daemon=True)
        self._thread.start()
        ready.wait(10)
        return self

    async def serve(self) -> None:
        """In the running loop."""
        self.loop = asyncio.get_running_loop()
        self._server = await asyncio.start_server(self._client, "127.0.0.1", 0)
        self.address = self._server.sockets[0].getsockname()[:2]

    def close(self) -> None:
        if self._thread is None or self.loop is None:
            return
        asyncio.run_coroutine_threadsafe(self.shut(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self._thread = None

    async def shut(self) -> None:
        self._server.close()
        for pair in list(self.air.pairs.values()):
            pair.cancel()
        tasks = [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def __enter__(self) -> "Radio":
        return self.start()

    def __exit__(self, *exc) -> None:
        self.close()

    def call(self, fn: Callable, *args):
        """Run `fn(*args)` in the radio's loop; its result. A coroutine is awaited."""
        if self._thread is None or threading.current_thread() is self._thread:
            return fn(*args)

        async def run():
            result = fn(*args)
            return await result if asyncio.iscoroutine(result) else result

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(30)

    # -- knobs and faults ----------------------------------------------------------------------
    def place(self, name: str, x: float, y: float) -> None:
        """Put a board there (metres). One without a place hears everybody, and is heard."""
        self.call(self.air.places.__setitem__, name, (x, y))

    def wall(self, a: str, b: str, up: bool = True) -> None:
        """Nothing passes between these two."""
        self.call((self.air.walls.add if up else self.air.walls.discard), frozenset((a, b)))

    def lose(self, part: float) -> None:
        """So much of all that is sent gets lost, 0 to 1."""
        self.call(setattr, self.air, "loss", part)

    def silence(self, name: str, on: bool = True) -> None:
        """A radio that nobody hears and that hears nobody; the board does not know."""
        self.call(lambda: setattr(self._station(name).controller, "silent", on))

    def vanish_after(self, name: str, packets: int) -> None:
        """Its radio is gone after so many more packets on links: in the middle of an exchange."""
        self.call(lambda: setattr(self._station(name).controller, "dies_after", packets))

    def refuse(self, name: str, on: bool = True) -> None:
        """active(True) fails there: no memory for the controller, as beside WiFi and TLS."""
        self.call((self.refused.add if on else self.refused.discard), name)

    def _station(self, name) -> Station:
        if name not in self.stations:
            known = ", ".join(sorted(self.stations)) or "none"
            raise NotFound("No radio %r is on. On are: %s." % (name, known))
        return self.stations[name]

    # -- what is seen --------------------------------------------------------------------------
    def on(self) -> list[str]:
        return self.call(lambda: sorted(self.stations))

    def links(self) -> int:
        return self.call(lambda: len(self.air.pairs))

    def energy(self) -> dict[str, dict]:
        """Per board: seconds the radio was on, of how many, since it was switched on last."""

        def count():
            now = {n: s.controller.energy() for n, s in self.stations.items() if s.controller}
            return {**self.used, **now}

        return self.call(count)

    def dropped(self) -> dict[str, int]:
        """Per board: scan reports that it was too slow for."""
        return self.call(lambda: {n: s.dropped for n, s in self.stations.items()})

    # -- boards --------------------------------------------------------------------------------
    async def _client(self, reader, writer):
        station = None
        try:
            while line := await reader.readline():
                message = json.loads(line)
                if message[0] == "events":
                    await self._events(self._keys.pop(message[1]), reader, writer)
                    return
                number, method, *args = message
                if method == "on":
                    station = Station(self.air, args[0])
                    answer = await self._answer(number, self._on, station, *args)
                elif method == "off":
                    answer = await self._answer(number, self._off, station, True)
                    station = None
                elif station is None or method not in _CALLS:
                    answer = [number, errno.ENODEV, None]
                else:
                    answer = await self._answer(number, getattr(station, method), *args)
                writer.write(json.dumps(answer, separators=(",", ":")).encode() + b"\n")
        except (ConnectionError, ValueError, KeyError, IndexError, TypeError) as e:
            log.info("a board's line: %r", e)
        finally:
            if station is not None:
                await self._off(station, False)
            writer.close()

    async def _answer(self, number, fn, *args):
        try:
            return [number, 0, await fn(*args)]
        except OSError as e:
            return [number, e.errno if e.errno is not None else errno.EIO, None]
        except Exception:
            log.exception("call %s %s", fn, args)
            return [number, errno.EIO, None]

    async def _on(self, station, name, mac):
        if name in self.refused:
            raise OSError(errno.ENOMEM, "")
        await station.on(bytes.fromhex(mac))
        old = self.stations.get(name)
        if old is not None:
            await self._off(old, False)
        self.stations[name] = station
        self._next += 1
        self._keys[self._next] = station
        return self._next

    async def _off(self, station, word):
        if station.controller is None:
            return
        if self.stations.get(station.name) is station:
            del self.stations[station.name]
            self.used[station.name] = station.controller.energy()
        await station.off(word)
        if station.writer is not None:
            station.writer.close()

    async def _events(self, station, reader, writer):
        station.attach(writer)
        while line := await reader.readline():
            station.taken(json.loads(line))
