"""The connection to NATS and the one way to write to JetStream.

Works the same for the private server and for `--nats URL[,URL]`. Every failure to write is one of
two: `StoreAway` (not now; it may or may not have been stored) or `Conflict` (the store says that
somebody else wrote first, or that this subject exists). Expected sequence numbers make a repeated
or late write harmless, so callers need not know which of the two a time-out was.
"""

import asyncio
import contextlib
import logging

import nats
import nats.errors
import nats.js.errors
from nats.js import api

from ..errors import ToolError, Unavailable

log = logging.getLogger("l4tools.upstream")

WRITE_S = 3.0
# Wrong last sequence (two spellings of it), and what a full stream or a taken subject answers.
_CONFLICTS = (10071, 10164, 10077)
_EXPECT = api.Header.EXPECTED_LAST_SUBJECT_SEQUENCE.value


class StoreAway(Exception):
    """The store can't take or give it now (away, full, no quorum). Answer "not now"."""


class Conflict(Exception):
    """The store refused: what was expected of it isn't so any more. Read again, then decide."""


AWAY = (nats.errors.Error, nats.js.errors.Error, OSError, asyncio.TimeoutError)


def servers(text: str) -> list[str]:
    """`--nats` text to a list of URLs: comma-separated, `nats://` may be left out."""
    urls = [u.strip() for u in text.split(",") if u.strip()]
    if not urls:
        raise ToolError("--nats names no server. Give nats://HOST:PORT, several with commas.")
    return [u if "://" in u else "nats://" + u for u in urls]


class _Once:
    """Logs a connection's trouble once, not ten times a second, and its end."""

    def __init__(self, nc):
        self.nc = nc
        self.last = ""

    async def error(self, e):
        text = "%s: %s" % (type(e).__name__, e)
        if text != self.last:
            self.last = text
            log.warning("NATS: %s", text)

    async def disconnected(self):
        if not self.nc.is_closed:  # closed by ourselves
            log.warning("NATS: the connection is lost; trying again until it is back.")

    async def reconnected(self):
        self.last = ""
        log.warning("NATS: connected again.")


async def connect(urls, user=None, password=None, name="l4-upstream", timeout_s=5.0):
    """Connect; the connection then reconnects for ever. `nc.jetstream()` gives the context.

    `urls`: text as of `--nats`, or a list. A PrivateNats gives `url`, `user`, `password`.
    """
    urls = servers(urls) if isinstance(urls, str) else list(urls)
    nc = nats.NATS()
    once = _Once(nc)
    try:
        await asyncio.wait_for(
            nc.connect(
                servers=urls,
                user=user,
                password=password,
                name=name,
                max_reconnect_attempts=-1,
                reconnect_time_wait=0.1,
                ping_interval=5,
                error_cb=once.error,
                disconnected_cb=once.disconnected,
                reconnected_cb=once.reconnected,
            ),
            timeout_s,
        )
    except AWAY as e:
        with contextlib.suppress(Exception):
            await nc.close()
        raise Unavailable(
            "No NATS server let us in at %s (%s). Start it, or check --nats and its password."
            % (", ".join(_public(u) for u in urls), once.last or type(e).__name__)
        ) from None
    return nc


def _public(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return scheme + "://" + rest.rpartition("@")[2]


async def write(js, subject, data, expect=None, within=None, ttl_s=None, headers=None) -> int:
    """Publish and wait for the store's acknowledgement; returns the sequence number.

    `expect`: last sequence that subject must have (0 none), or, with `within` (a subject with
    wildcards), the last one of all those subjects. `ttl_s`: whole seconds until it expires.
    """
    head = dict(headers or ())
    if expect is not None:
        head[_EXPECT] = str(expect)
    if within is not None:
        head[_EXPECT + "-Subject"] = within
    # nats-py keeps what is published while it reconnects and sends it later: fail at once here.
    if not js._nc.is_connected:
        raise StoreAway("not connected")
    try:
        # Never publish_async: its future does not resolve when the store answers an error.
        ack = await js.publish(subject, data, headers=head or None, msg_ttl=ttl_s, timeout=WRITE_S)
    except nats.js.errors.APIError as e:
        if e.err_code in _CONFLICTS:
            raise Conflict(e.description) from None
        raise StoreAway(str(e)) from None
    except AWAY as e:
        raise StoreAway(str(e) or type(e).__name__) from None
    return ack.seq


async def ensure_stream(js, config: api.StreamConfig) -> None:
    """Make the stream unless it is there; one with other settings is kept as it is."""
    try:
        await js.add_stream(config)
    except nats.js.errors.APIError as e:
        if e.err_code != 10058:  # 10058: exists with another configuration
            raise StoreAway(str(e)) from None
        log.info("stream %s exists with settings of its own; they are kept", config.name)
    except AWAY as e:
        raise StoreAway(str(e) or type(e).__name__) from None


async def ensure_bucket(js, bucket, marker_ttl_s=None, replicas=1, **stream_changes) -> str:
    """Make a key-value bucket (history 1, per-key expiry allowed); returns its stream's name.

    The same stream as nats-py's create_key_value makes, so every KV client can read it.
    """
    config = api.StreamConfig(
        name="KV_" + bucket,
        subjects=["$KV.%s.>" % bucket],
        max_msgs_per_subject=1,
        allow_rollup_hdrs=True,
        allow_direct=True,
        allow_msg_ttl=True,
        deny_delete=True,
        discard=api.DiscardPolicy.NEW,
        duplicate_window=120,
        storage=api.StorageType.FILE,
        num_replicas=replicas,
        subject_delete_marker_ttl=marker_ttl_s,
    )
    await ensure_stream(js, config.evolve(**stream_changes))
    return config.name


async def last_message(js, stream, subject):
    """The newest message on a subject (from the leader, not a replica), or None."""
    try:
        return await js.get_last_msg(stream, subject)
    except nats.js.errors.NotFoundError:
        return None
    except AWAY as e:
        raise StoreAway(str(e) or type(e).__name__) from None
