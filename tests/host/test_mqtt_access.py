"""MQTT access: a node reaches its own two topics with its own password, and nothing else."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import mha.umqtt
import natsbed
import pytest
from l4tools.upstream.access import UP_ALL, Access, down_subject, up_subject
from l4tools.upstream.connect import connect

A, B = "a" * 32, "b" * 32
PW_A, PW_B = "1" * 32, "2" * 32


def _granted(nats, *pairs):
    access = Access(nats)
    for node, password in pairs:
        assert access.grant(node, password)
    asyncio.run(access.flush())
    return access


async def _listen(nats, subject):
    nc = await connect(nats.url, nats.user, nats.password)
    sub = await nc.subscribe(subject)
    await nc.flush()
    return nc, sub


def _seen_by(nats, act, until):
    """Subjects and data that the service hears on l4.> while `act()` runs, up to data `until`."""

    async def main():
        nc, sub = await _listen(nats, "l4.>")
        try:
            done = asyncio.create_task(asyncio.to_thread(act))
            seen = []
            while not seen or seen[-1][1] != until:
                msg = await sub.next_msg(timeout=10)
                seen.append((msg.subject, msg.data))
            await done
            return seen
        finally:
            await nc.close()

    return asyncio.run(main())


def test_a_node_publishes_on_its_own_topic_only(tmp_path):
    with natsbed.server(tmp_path, mqtt_port=0) as nats:
        _granted(nats, (A, PW_A), (B, PW_B))

        def act():
            with natsbed.Mqtt(nats.mqtt_port, A, PW_A) as mqtt:
                # Each of these gets its PUBACK, and goes nowhere.
                for topic in ("l4/%s/up" % B, "l4/%s/down" % B, "l4/%s/down" % A, "l4/x/up"):
                    mqtt.publish(topic, b"forbidden")
                mqtt.publish("l4/%s/up" % A, b"mine")

        assert _seen_by(nats, act, b"mine") == [(up_subject(A), b"mine")]


def test_a_node_hears_its_own_topic_only(tmp_path):
    with natsbed.server(tmp_path, mqtt_port=0) as nats:
        _granted(nats, (A, PW_A), (B, PW_B))
        with (
            natsbed.Mqtt(nats.mqtt_port, A, PW_A) as mqtt,
            natsbed.Mqtt(nats.mqtt_port, B, PW_B) as other,
        ):
            for topic in ("l4/%s/down" % B, "l4/%s/up" % B, "l4/+/down", "l4/#", "#", "$MQTT/#"):
                assert mqtt.subscribe(topic) == 0x80, topic
            assert mqtt.subscribe("l4/%s/down" % A) == 0
            assert other.subscribe("l4/%s/down" % B) == 0

            async def send(js):
                await js._nc.publish(down_subject(B), b"for b")
                await js._nc.publish(down_subject(A), b"for a")
                await js._nc.flush()

            natsbed.run(nats, send)
            assert other.next() == ("l4/%s/down" % B, b"for b")
            assert mqtt.next() == ("l4/%s/down" % A, b"for a")  # the first it ever hears


def test_wrong_or_no_access_is_refused(tmp_path):
    with natsbed.server(tmp_path, mqtt_port=0) as nats:
        _granted(nats, (A, PW_A))
        for user, password in ((A, PW_B), (B, PW_B), ("", ""), (nats.user, nats.password)):
            with natsbed.Mqtt(nats.mqtt_port, user, password) as mqtt:
                assert mqtt.code in (4, 5), user
        with natsbed.Mqtt(nats.mqtt_port, A, PW_A) as mqtt:
            assert mqtt.code == 0
        # A node's password opens no NATS connection.
        with pytest.raises(Exception, match="No NATS server let us in"):
            asyncio.run(connect(nats.url, A, PW_A, timeout_s=0.5))


def test_fifty_nodes_at_once_are_few_reloads(tmp_path):
    with natsbed.server(tmp_path, mqtt_port=0) as nats:
        access = Access(nats)
        names = ["%032x" % i for i in range(50)]

        async def join(name):
            access.grant(name, PW_A)
            await access.flush()

        async def main():
            await asyncio.gather(*map(join, names))

        with natsbed.Mqtt(nats.mqtt_port, "x", "x") as nobody:
            assert nobody.code in (4, 5)
        asyncio.run(main())
        assert 1 <= access.reloads <= 2
        for name in (names[0], names[-1]):
            with natsbed.Mqtt(nats.mqtt_port, name, PW_A) as mqtt:
                assert mqtt.code == 0


def test_revoke_closes_the_link_and_leaves_the_others(tmp_path):
    with natsbed.server(tmp_path, mqtt_port=0) as nats:
        access = _granted(nats, (A, PW_A), (B, PW_B))
        with (
            natsbed.Mqtt(nats.mqtt_port, A, PW_A) as gone,
            natsbed.Mqtt(nats.mqtt_port, B, PW_B) as stays,
        ):
            assert access.revoke(A) and not access.revoke(A)
            asyncio.run(access.flush())
            with pytest.raises(ConnectionError):
                gone.ping()
                gone.ping()
            stays.ping()
        with natsbed.Mqtt(nats.mqtt_port, A, PW_A) as mqtt:
            assert mqtt.code in (4, 5)


def test_grants_outlive_a_kill_and_a_new_owner(tmp_path):
    with natsbed.server(tmp_path, mqtt_port=0) as nats:
        access = _granted(nats, (A, PW_A))
        natsbed.kill(nats)
        assert access.grant(B, PW_B)
        asyncio.run(access.flush())  # the server is away: it is in the file
        nats.start()
        for node, password in ((A, PW_A), (B, PW_B)):
            with natsbed.Mqtt(nats.mqtt_port, node, password) as mqtt:
                assert mqtt.code == 0
    with natsbed.server(tmp_path, mqtt_port=0) as nats:
        access = Access(nats)
        assert len(access) == 2 and not access.grant(A, PW_A)
        with natsbed.Mqtt(nats.mqtt_port, A, PW_A) as mqtt:
            assert mqtt.code == 0


def test_names_that_could_change_the_file_are_refused():
    access = Access(None)
    for node, password in (("a" * 31, PW_A), (A.upper(), PW_A), (A, '"' * 32), (A + "\n", PW_A)):
        with pytest.raises(ValueError):
            access.grant(node, password)
    access.grant(A, PW_A)
    asyncio.run(access.flush())  # no private server: nothing to do, no error
    assert access.reloads == 0


def test_umqtt_on_the_unix_port(tmp_path):
    # The node's end as it is on a board: umqtt in MicroPython, subscribe, publish, hear back.
    umqtt = tmp_path / "umqtt.py"
    umqtt.write_text(Path(mha.umqtt.__file__).read_text())
    script = tmp_path / "node.py"
    script.write_text(
        "import sys\n"
        "from umqtt import MQTTClient, MQTTException\n"
        "port, node, password = int(sys.argv[1]), sys.argv[2], sys.argv[3]\n"
        "try:\n"
        "    MQTTClient('bad', '127.0.0.1', port, user=node, password='0' * 32).connect()\n"
        "except MQTTException as e:\n"
        "    print('refused', e.args[0])\n"
        "c = MQTTClient('l4-' + node, '127.0.0.1', port, user=node, password=password)\n"
        "heard = []\n"
        "c.set_callback(lambda topic, data: heard.append((topic.decode(), data.decode())))\n"
        "c.connect()\n"
        "c.sock.setsockopt(6, 1, 1)\n"
        "c.subscribe('l4/' + node + '/down')\n"
        "c._publish('l4/' + 'b' * 32 + '/up', b'forged', qos=1)\n"
        "c._publish('l4/' + node + '/up', b'hello', qos=1)\n"
        "while not heard:\n"  # it may have come before the PUBACK
        "    c.wait_msg()\n"
        "print('heard', heard[0][0], heard[0][1])\n"
        "c.disconnect()\n"
    )
    with natsbed.server(tmp_path, mqtt_port=0) as nats:
        _granted(nats, (A, PW_A), (B, PW_B))
        command = [str(Path(sys.executable).parent / "micropython"), str(script)]
        command += [str(nats.mqtt_port), A, PW_A]

        async def main():
            nc, sub = await _listen(nats, UP_ALL)
            board = subprocess.Popen(
                command, cwd=tmp_path, stdout=subprocess.PIPE, start_new_session=True, text=True
            )
            try:
                msg = await sub.next_msg(timeout=20)
                await nc.publish(down_subject(A), b"welcome")
                out, _ = await asyncio.to_thread(board.communicate, timeout=20)
                return (msg.subject, msg.data), out.split("\n")
            finally:
                if board.poll() is None:
                    os.killpg(board.pid, signal.SIGKILL)
                board.wait()
                await nc.close()

        heard, out = asyncio.run(main())
    assert heard == (up_subject(A), b"hello")
    assert out[0] in ("refused 4", "refused 5")
    assert out[1] == "heard l4/%s/down welcome" % A
