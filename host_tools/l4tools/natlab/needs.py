"""What the lab needs of a machine: two Debian packages, and root or a user namespace.

    why = cannot()                  None, or a sentence with the cure
    argv = entered(argv)            the command, inside a user namespace where we are not root

Nothing of it touches the machine's own network: every namespace is empty when it is made, and
gone with the last process that holds it.
"""

import functools
import os
import shutil
import subprocess
import sys

CURE_PACKAGES = "Run `make nat-deps` as root (Debian: iproute2, nftables)."
CURE_RIGHTS = "Run it as root, or allow unprivileged user namespaces."
REQUIRED = "NATLAB_REQUIRED"
# In a user namespace of an ordinary user nft may not enlarge its netlink buffer (natlab/kinds.py).
SMALL = "NATLAB_SMALL"

_TRY = (
    "add table ip t; add chain ip t c { type nat hook postrouting priority 100; }; "
    "add rule ip t c masquerade fully-random"
)


def tool(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin:/usr/local/sbin")


@functools.cache
def cannot() -> str | None:
    """None when the lab can run here, else why not and what to do about it."""
    if not sys.platform.startswith("linux"):
        return "The NAT lab needs Linux. Run it in a virtual machine or a container."
    for name in ("ip", "nft", "unshare"):
        if tool(name) is None:
            return "The NAT lab needs the command %r. %s" % (name, CURE_PACKAGES)
    argv = entered(["unshare", "-n", tool("nft"), _TRY])
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        return "The NAT lab cannot have network namespaces here (%s). %s" % (said, CURE_RIGHTS)
    return None


def required() -> bool:
    return os.environ.get(REQUIRED, "") not in ("", "0")


def entered(argv: list[str]) -> list[str]:
    """`argv` as it has to be started to have a lab."""
    if os.geteuid() == 0:
        return argv
    return [tool("unshare") or "unshare", "-Urn", *argv]


def environment() -> dict[str, str]:
    """The environment for what entered() starts."""
    env = dict(os.environ)
    if os.geteuid() != 0:
        env[SMALL] = "1"
    return env
