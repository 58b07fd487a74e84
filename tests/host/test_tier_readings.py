"""Readings through real tiers: stored once, whatever is repeated, killed or in the way."""

import asyncio
import threading

import pytest
from l4mesh.wire import HEAD, T_BATCH
from l4tools.link import now_ms
from natsbed import Mqtt
from tierbed import Bed, give_queue, kill, run, submit, until


@pytest.fixture(scope="module")
def bed(tmp_path_factory):
    with Bed(tmp_path_factory.mktemp("readings"), mqtt=True) as bed:
        yield bed


class Uplink:
    """MQTT for a node: what l4mesh_io/mqtt.py is on a board."""

    up = True

    def __init__(self, node, mqtt):
        self._mqtt, self._topic = mqtt, "l4/%s/" % node.ident.id.hex()
        self.frames = []
        assert mqtt.subscribe(self._topic + "down") == 0
        loop = asyncio.get_running_loop()

        def listen():
            try:
                while True:
                    _, data = mqtt.next()
                    loop.call_soon_threadsafe(node._receive, data, bytes(6))
            except (OSError, RuntimeError):
                pass  # closed, or the test is over

        mqtt.sock.settimeout(None)
        threading.Thread(target=listen, daemon=True).start()

    def publish(self, buf, n):
        self.frames.append(bytes(buf[:n]))
        return self.raw(self.frames[-1])

    def raw(self, frame):
        name = (self._topic + "up").encode()
        self._mqtt._send(0x30, len(name).to_bytes(2, "big") + name + frame)
        return True

    def why(self):
        return "Connected."


async def login(bed, node):
    """The MQTT connection that the node's key opens, once L3 has let it in."""
    user = node.ident.id.hex()
    password = bed.network.mqtt_password(node.ident.id)

    def attempt():
        try:
            mqtt = Mqtt(bed.tiers[3].ready["mqtt"], user, password)
        except OSError:  # its server is just starting
            return None
        if mqtt.code == 0:
            return mqtt
        mqtt.sock.close()
        return None

    return await until(attempt, "MQTT log-in after joining")


def spy(node):
    """Payloads of all batches that leave."""
    payloads, send = [], node.node.sync._send

    def spying(buf, n, now):
        payloads.append(bytes(buf[HEAD : HEAD + n]))
        return send(buf, n, now)

    node.node.sync._send = spying
    return payloads


def send_again(node, payload, level=3) -> None:
    """The same batch in a new frame, as after a lost acknowledgement."""
    tx = node.node.tx
    tier = next(t for t in node.node.tiers.list if t.level == level)
    o = tx.begin(T_BATCH, tier.peer, link=True, sealed=True)
    tx.buf[o : o + len(payload)] = payload
    assert tx.send(o + len(payload), tier.addr)


async def stored_by(bed, node):
    return [r[1:] for r in await bed.stored() if r[0] == node.ident.id]


async def emptied(node, queue):
    await until(lambda: queue.pending == 0, "everything acknowledged")


def texts(n, name="t"):
    return ["%s=%d C" % (name, i) for i in range(n)]


def numbered(items):
    return list(enumerate(items))


def test_readings_arrive_once_over_udp(bed):
    async def main():
        async with bed.node("udp") as n:
            await n.join()
            queue = give_queue(n)
            payloads = spy(n)
            submit(n, texts(60))
            await emptied(n, queue)
            assert await stored_by(bed, n) == numbered(texts(60))
            before = (await n.info(bed.network.tier_id(1)))["readings"]["again"]
            send_again(n, payloads[0])

            async def again():
                return (await n.info(bed.network.tier_id(1)))["readings"]["again"] > before

            await until(again, "L1 sees the batch again")
            assert await stored_by(bed, n) == numbered(texts(60))

    run(main())


def test_readings_arrive_once_over_mqtt(bed):
    async def main():
        async with bed.node("mqtt") as n:
            await n.join()
            mqtt = await login(bed, n)
            try:
                n.node.uplink = up = Uplink(n, mqtt)
                queue = give_queue(n)
                payloads = spy(n)
                submit(n, texts(40))
                await emptied(n, queue)
                assert up.frames, "they went by MQTT"
                assert await stored_by(bed, n) == numbered(texts(40))
                # .. the same batch over UDP as well, and an old frame once more over MQTT
                before = (await n.info(bed.network.tier_id(1)))["readings"]["again"]
                send_again(n, payloads[0])
                up.raw(up.frames[0])

                async def again():
                    return (await n.info(bed.network.tier_id(1)))["readings"]["again"] > before

                await until(again, "L1 sees the batch again")
                assert await stored_by(bed, n) == numbered(texts(40))
            finally:
                mqtt.sock.close()

    run(main())


def test_a_topic_speaks_for_its_own_node_only(bed):
    async def main():
        async with bed.node("honest") as a, bed.node("thief") as b:
            await a.join()
            await b.join()
            mqtt = await login(bed, b)
            try:
                up = Uplink(b, mqtt)
                give_queue(a)
                queue_b = give_queue(b)
                b.node.uplink = up
                a.node.uplink = Stolen(up)  # a's frames, on b's topic
                submit(a, texts(3))
                await until(lambda: a.node.uplink.tried, "a frame on the wrong topic")
                submit(b, texts(3, "own"))
                await emptied(b, queue_b)
                assert await stored_by(bed, b) == numbered(texts(3, "own"))
                assert await stored_by(bed, a) == []
            finally:
                mqtt.sock.close()

    run(main())


class Stolen:
    up = True

    def __init__(self, uplink):
        self._uplink, self.tried = uplink, 0

    def publish(self, buf, n):
        self.tried += 1
        return self._uplink.raw(bytes(buf[:n]))

    def why(self):
        return ""


def test_a_node_speaks_for_itself_only(bed):
    async def main():
        async with bed.node("victim") as victim, bed.node("liar") as liar:
            await victim.join()
            await liar.join()
            queue = give_queue(liar)
            payloads = spy(liar)
            submit(liar, texts(2))
            await emptied(liar, queue)
            for level in (3, 2, 1):
                tier = next(t for t in liar.node.tiers.list if t.level == level)
                await until(lambda tier=tier: tier.heard, "the tier answers")
                name = bed.network.tier_id(level)
                before = (await victim.info(name, "counters")).get("bad_parse", 0)
                send_again(liar, victim.ident.id + payloads[0][16:], level)

                async def refused(name=name, before=before):
                    counted = await victim.info(name, "counters")
                    return counted.get("bad_parse", 0) > before

                await until(refused, "a batch in another's name is counted")
            assert await stored_by(bed, victim) == []

    run(main())


def test_nothing_acknowledged_is_lost_or_doubled_by_kill_9(tmp_path):
    with Bed(tmp_path) as bed:

        async def main():
            async with bed.node("n") as n:
                await n.join()
                queue = give_queue(n)
                payloads = spy(n)
                submit(n, texts(30))
                await emptied(n, queue)
                for level in (3, 2, 1):
                    await asyncio.to_thread(bed.cut_power, level)
                submit(n, texts(10, "u"))  # taken while nobody is there
                for level in (1, 2, 3):
                    await asyncio.to_thread(bed.restart, level)
                n.node.reach.start(now_ms())
                n.node.member.register(now_ms())
                n._wake.set()
                await emptied(n, queue)

                async def again():
                    send_again(n, payloads[0])  # a tier that starts anew wants a cookie first
                    return (await n.info(bed.network.tier_id(1)))["readings"]["again"] > 0

                await until(again, "L1 sees the batch again")
                assert await stored_by(bed, n) == numbered(texts(30) + texts(10, "u"))

        run(main())


def test_the_store_away_is_not_now_and_nothing_is_lost(tmp_path):
    with Bed(tmp_path) as bed:

        async def main():
            async with bed.node("n") as n:
                await n.join()
                queue = give_queue(n)
                sent = []
                for turn in range(4):
                    part = texts(25, "r%d" % turn)
                    sent += part
                    submit(n, part)
                    kill(bed.nats_pid(1))
                    await until(lambda: _restarted(bed), "the private server runs again")
                await emptied(n, queue)
                # Each stored once; after an outage the newest go first.
                assert sorted(await stored_by(bed, n)) == numbered(sent)
                assert any("runs again" in line for line in bed.tiers[1].log)

        run(main())


def test_mqtt_works_again_after_its_server_was_killed(tmp_path):
    with Bed(tmp_path, mqtt=True) as bed:

        async def main():
            async with bed.node("n") as n:
                await n.join()
                (await login(bed, n)).sock.close()
                kill(bed.nats_pid(3))
                await until(lambda: _restarted(bed, 3), "the private server runs again")
                mqtt = await login(bed, n)  # the users are in a file
                try:
                    n.node.uplink = Uplink(n, mqtt)
                    queue = give_queue(n)
                    submit(n, texts(5))
                    await emptied(n, queue)
                    assert await stored_by(bed, n) == numbered(texts(5))
                finally:
                    mqtt.sock.close()

        run(main())


def _restarted(bed, level=1):
    """The pid in the file is alive: a killed one is not."""
    try:
        with open("/proc/%d/stat" % bed.nats_pid(level)) as f:
            return f.read().rpartition(")")[2].split()[0] != "Z"
    except (OSError, ValueError):
        return False
