"""Shown on a broker: an MQTT client of its own, in paho's thread."""

import asyncio
import logging
import os

import paho.mqtt.client as paho

from .broker_bridge import Broker
from .shown import CARRIED, TOPICS, Shown

log = logging.getLogger("l4tools.upstream")

_KEEPALIVE_S = 20
_PAUSE_S = (1, 30)


class ShownClient:
    """`broker`: where Home Assistant listens; its user may publish in the nodes' names."""

    def __init__(self, tier, broker: Broker):
        self._tier, self._broker = tier, broker
        self._client = None
        self.shown = None

    async def start(self) -> None:
        """Returns at once: the broker may come later, and go."""
        loop = asyncio.get_running_loop()
        b = self._broker
        name = "l4-shown-" + os.urandom(6).hex()
        c = paho.Client(paho.CallbackAPIVersion.VERSION2, name, protocol=paho.MQTTv311)
        if b.user:
            c.username_pw_set(b.user, b.password)
        if b.ca:
            c.tls_set_context(b.context())
        self.shown = Shown(self._say, loop.call_later)

        def connected(client, _, flags, code, properties):
            if not code.is_failure:
                client.subscribe([(t, 0) for t in TOPICS])

        def arrived(client, _, msg):
            if not loop.is_closed():
                loop.call_soon_threadsafe(self.shown.heard, msg.topic, msg.payload)

        c.on_connect, c.on_message = connected, arrived
        c.reconnect_delay_set(*_PAUSE_S)
        self._client = c
        c.connect_async(b.host, b.port, _KEEPALIVE_S)
        c.loop_start()
        self._tier.pushed.listen(CARRIED, self.shown.carried)

    async def stop(self) -> None:
        c, self._client = self._client, None
        if c is not None:
            c.disconnect()
            await asyncio.to_thread(c.loop_stop)

    def _say(self, topic, payload, retain):
        c = self._client
        if c is None or c.publish(topic, payload, retain=retain).rc != paho.MQTT_ERR_SUCCESS:
            log.debug("%s: %s was not published", self._tier.name, topic)
