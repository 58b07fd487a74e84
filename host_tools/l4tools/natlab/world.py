"""A network of the lab's own: its keys, its tiers on public hosts, settings for its nodes.

world = World(lab, folder)           puts public hosts `l1`, `l3`, .. into the lab
with lab, world:                     real tier processes, each with its own NATS
    world.settings("a", seed=1)      what device/node.py and labnode.py are given
"""

from hashlib import sha256
from pathlib import Path

from l4mesh.keys import node_id

from .. import fastsig
from ..network import Network
from ..upstream.config import tier_config
from ..upstream.process import TierProcess

MESH_PORT = 4104
TCP_PORT = 4143  # stands for 443: nobody else is on these hosts
GROUP = "239.76.52.1"


class World:
    def __init__(self, lab, folder, levels=(1, 3), **options):
        """`options` go to each tier's settings (upstream/config.py)."""
        self.lab = lab
        self.network = Network.create("lab")
        self.folder = Path(folder)
        self.tiers = {}
        self._options = options
        self.at = {
            level: "%s:%d" % (lab.public("l%d" % level), MESH_PORT) for level in sorted(levels)
        }

    def __enter__(self) -> "World":
        try:
            for level, at in self.at.items():
                up = {k: v for k, v in self.at.items() if k < level}
                doc = tier_config(
                    self.network, level, self.folder / ("l%d" % level), up=up,
                    listen=at.partition(":")[0], port=MESH_PORT, tcp_port=TCP_PORT,
                    **self._options,
                )  # fmt: skip
                self.tiers[level] = tier = TierProcess(doc)
                with self.lab.spaces["l%d" % level]:
                    tier.start(wait=False)
            for tier in self.tiers.values():
                tier.wait_ready()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def close(self) -> None:
        for tier in self.tiers.values():
            tier.stop()

    def kill(self, level: int) -> None:
        """As a power cut would."""
        self.tiers[level].kill()

    def start(self, level: int, wait: bool = True) -> None:
        with self.lab.spaces["l%d" % level]:
            self.tiers[level].start(wait)

    def upstream(self) -> list:
        return [[level, at] for level, at in sorted(self.at.items(), reverse=True)]

    def settings(self, host: str, seed: object, port: int = MESH_PORT, **config) -> dict:
        """The document of a node on `host`; its identity comes from `seed`."""
        secret = sha256(b"nat lab node %r" % (seed,)).digest()
        public = fastsig.public_key(secret)
        given = self.network.provision(public)
        tcp = [[level, "%s:%d" % (at.partition(":")[0], TCP_PORT)]
               for level, at in self.upstream()]  # fmt: skip
        public_host = self.lab.kind.get(host) == "pub"
        return {
            "seed": secret.hex(),
            "public": public.hex(),
            "id": node_id(public).hex(),
            "network": given["network"],
            "nodekey": given["nodekey"],
            "group": "%02x%s" % (given["group"][0], given["group"][1]),
            "ip": self.lab.address[host],
            "mask": "255.255.0.0" if public_host else "255.255.255.0",
            "port": port,
            "multicast": "%s:%d" % (GROUP, port),
            "config": {
                "name": host,
                "port": port,
                "upstream": self.upstream(),
                "tcp": tcp,
                **config,
            },
        }
