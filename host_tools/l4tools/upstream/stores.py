"""What a tier keeps, and the NATS it is kept in; brings a private server back when it ends.

L1 has the registry and the readings, L3 and L2 a cache of records, a tier with an MQTT listener
its users. Everything is also in memory, so look-ups go on while the store is away; what must be
on disk (a registration, a reading) is refused until it is back.
"""

import asyncio
import concurrent.futures
import logging
from pathlib import Path

from ..errors import ToolError
from .access import Access
from .connect import StoreAway, connect
from .private_nats import PrivateNats
from .readings import Readings
from .record_cache import Cache
from .registry import Registry
from .revoked import Revoked
from .ticket_book import TicketBook

log = logging.getLogger("l4tools.upstream")

_LOOK_S = 0.1
_PAUSE_S = (0.2, 5.0)


class Stores:
    """`await start()`, `await stop()`. `registry`, `readings`, `cache`, `access` may be None."""

    def __init__(self, cfg):
        self._cfg = cfg
        self._name = "L%d" % cfg.tier
        self.nats = self.nc = None
        self.registry = self.readings = self.cache = self.access = self.tickets = None
        self.registered = self.revoked = None
        self._restarting = False
        self._task = None
        # The private server ends with the thread that started it: one thread for good.
        self._thread = concurrent.futures.ThreadPoolExecutor(1, "nats")

    @property
    def url(self) -> str:
        return self._cfg.nats or (self.nats.url if self.nats else "")

    async def start(self) -> None:
        """ToolError (Unavailable, StoreAway as such) when it can't be had."""
        cfg = self._cfg
        try:
            if cfg.nats is None:
                folder = Path(cfg.data) / "nats"
                folder.parent.mkdir(parents=True, exist_ok=True)
                self.nats = PrivateNats(folder, cfg.mqtt_port, cfg.mqtt_listen)
                await self._in_thread(self.nats.start)
                self.nc = await connect(self.nats.url, self.nats.user, self.nats.password)
            else:
                self.nc = await connect(cfg.nats)
            await self._open()
        except StoreAway as e:
            await self.stop()
            raise ToolError(
                "%s's store at %s can't be read (%s). Check that JetStream is on and has room."
                % (self._name, self.url, e)
            ) from None
        except BaseException:
            await self.stop()
            raise
        self._task = asyncio.create_task(self._watch())

    async def _open(self):
        cfg, js = self._cfg, self.nc.jetstream()
        if cfg.tier == 1:
            self.registry = Registry(js, shared=cfg.nats is not None)
            await self.registry.start()
            self.readings = Readings(js)
            await self.readings.start()
            self.revoked = Revoked(js)
            await self.revoked.start()
            self.tickets = TicketBook(js)
            await self.tickets.start()
        else:
            self.cache = Cache(js, "l4_cache_%d" % cfg.tier)
            await self.cache.start()
        if cfg.mqtt:
            self.access = Access(self.nats)

    async def stop(self) -> None:
        """Write what is still to be written; end the private server."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self.nc is not None:
            alive = self.nc.is_connected
            for part in (self.cache, self.registry, self.tickets, self.revoked):
                if part is not None and alive:
                    await part.stop()
            try:
                await asyncio.wait_for(self.nc.close(), 2.0)
            except Exception as e:  # it is being thrown away
                log.debug("%s: closing: %s", self._name, e)
        if self.nats is not None:
            await self._in_thread(self.nats.stop)
        self._thread.shutdown(wait=False)

    def trouble(self) -> str:
        """What is wrong with the store now, as a sentence, or an empty string."""
        if self._restarting:
            return "The private nats-server ended; it is being started again."
        if self.nc is None or not self.nc.is_connected:
            return "No connection to NATS at %s; nothing can be stored." % self.url
        return ""

    # -- inside ------------------------------------------------------------------------------

    def _in_thread(self, work):
        return asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def _watch(self):
        turn = 0
        while True:
            await asyncio.sleep(_LOOK_S)
            if self.nats is not None and not self.nats.alive:
                await self._restart()
            if self.registry is not None and turn % 5 == 0:
                self.registered = await self.registry.count()
            turn += 1

    async def _restart(self):
        self._restarting = True
        log.warning("%s: the private nats-server ended; starting it again.", self._name)
        pause_s, said = _PAUSE_S[0], ""
        while not self.nats.alive:
            try:
                await self._in_thread(self.nats.start)
            except (ToolError, OSError) as e:
                if str(e) != said:
                    said = str(e)
                    log.warning("%s: %s", self._name, e)
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _PAUSE_S[1])
        self._restarting = False
        log.warning("%s: the private nats-server runs again.", self._name)
