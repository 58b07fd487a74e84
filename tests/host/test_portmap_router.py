"""A port from a real home router (miniupnpd), by PCP and NAT-PMP: open while it is mapped."""

import pytest
from l4tools.natlab import needs
from l4tools.natlab.portmaps import OUTSIDE
from natbed import lab_json


@pytest.fixture(scope="module")
def found():
    if needs.tool("miniupnpd") is None:
        pytest.skip("needs miniupnpd, a home router's daemon: make nat-deps")
    return lab_json("portmaps")


@pytest.mark.parametrize("host", ["pcp", "pmp", "hard"])
def test_a_mapped_port_is_open_to_strangers_until_it_is_given_back(found, host):
    row = found[host]
    assert row["mapped"] == OUTSIDE + ":4104", row
    assert (row["before"], row["opened"], row["closed"]) == (False, True, True)


def test_a_router_without_a_public_address_maps_nothing(found):
    row = found["refuses"]
    assert row["mapped"] is None and row["why"].startswith("the router has no"), row
