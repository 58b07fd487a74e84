"""The bridge on somebody else's broker: the tier is one of its MQTT clients.

Who may publish what is up to that broker. A stranger it lets in can send frames in a node's name,
but they fail their tag, or are old.

paho-mqtt runs in a thread of its own, connects again by itself and sees a dead connection within
half a minute. Frames are QoS 0: what is lost on the way, nodes and tiers send again.
"""

import asyncio
import logging
import os
import ssl
from dataclasses import dataclass

import paho.mqtt.client as paho

from ..errors import ToolError
from .bridge import Bridge

log = logging.getLogger("l4tools.upstream")

_KEEPALIVE_S = 20
_PAUSE_S = (1, 30)
_UP_ALL = "l4/+/up"


@dataclass
class Broker:
    """Where it is and how to log in. `ca`: PEM text of the CA: TLS, checked; "": no TLS."""

    host: str
    port: int
    user: str = ""
    password: str = ""
    ca: str = ""

    @classmethod
    def parse(cls, where: str, **more) -> "Broker":
        """From "host:port". ToolError says what it should look like."""
        host, _, port = where.rpartition(":")
        if not host or not port.isdigit() or not 0 < int(port) < 65536:
            raise ToolError(
                "%s is no address of a broker. Give host and port, like 192.168.1.5:1883." % where
            )
        return cls(host, int(port), **more)

    @classmethod
    def of(cls, doc: dict) -> "Broker":
        """From a tier's settings; the password is never in the sentence."""
        try:
            broker = cls(**doc)
            broker.context()
            texts = (broker.host, broker.user, broker.password, broker.ca)
            if all(isinstance(t, str) for t in texts) and 0 < broker.port < 65536:
                return broker
        except (TypeError, ssl.SSLError):
            pass
        raise ToolError("broker in the tier's settings is wrong. It has host, port, user, ..")

    def context(self):
        """The TLS context, None without TLS."""
        if not self.ca:
            return None
        return ssl.create_default_context(cadata=self.ca)

    @property
    def where(self) -> str:
        return "%s:%d" % (self.host, self.port)


class BrokerBridge(Bridge):
    def __init__(self, tier, broker: Broker):
        super().__init__(tier)
        self._broker = broker
        self._client = self._loop = None
        self._why = "not connected yet"
        self._said = ""

    def trouble(self) -> str:
        if not self._why:
            return ""
        return "No connection to the MQTT broker at %s: %s." % (self._broker.where, self._why)

    async def start(self) -> None:
        """Returns at once: the broker may come later, and go."""
        self._loop = asyncio.get_running_loop()
        b = self._broker
        name = "l4-l%d-%s" % (self._tier.level, os.urandom(6).hex())
        c = paho.Client(paho.CallbackAPIVersion.VERSION2, name, protocol=paho.MQTTv311)
        if b.user:
            c.username_pw_set(b.user, b.password)
        if b.ca:
            c.tls_set_context(b.context())
        c.on_connect = self._connected
        c.on_connect_fail = self._failed
        c.on_disconnect = self._gone
        c.on_message = self._message
        c.on_subscribe = self._subscribed
        c.reconnect_delay_set(*_PAUSE_S)
        self._client = c
        c.connect_async(b.host, b.port, _KEEPALIVE_S)
        c.loop_start()

    async def stop(self) -> None:
        c, self._client = self._client, None
        if c is not None:
            c.disconnect()
            await asyncio.to_thread(c.loop_stop)

    def _publish(self, node, frame):
        c = self._client
        if c is None or self._why:
            return False
        return c.publish("l4/%s/down" % node, frame).rc == paho.MQTT_ERR_SUCCESS

    # -- in paho's thread --------------------------------------------------------------------

    def _call(self, f, *args):
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(f, *args)

    def _connected(self, client, _, flags, code, properties):
        if code.is_failure:
            self._call(self._tell, "it refuses: %s" % code)
        else:
            client.subscribe(_UP_ALL)

    def _subscribed(self, client, _, mid, codes, properties):
        if codes and codes[0].is_failure:
            self._call(self._tell, "this user may not subscribe to " + _UP_ALL)
        else:
            self._call(self._tell, "")

    def _failed(self, client, _):
        self._call(self._tell, "nobody answers, or TLS fails; see its log")

    def _gone(self, client, _, flags, code, properties):
        if code.is_failure:
            self._call(self._tell, str(code))

    def _message(self, client, _, msg):
        if not msg.retain:
            self._call(self.arrive, msg.topic.split("/")[1], msg.payload)

    # -- in the tier's loop ------------------------------------------------------------------

    def _tell(self, why):
        self._why = why
        text = self.trouble() or "Connected to the MQTT broker at %s." % self._broker.where
        if text != self._said:
            self._said = text
            log.info("L%d: %s", self._tier.level, text)
