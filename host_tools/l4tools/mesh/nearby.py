"""Bluetooth of a mesh: where its boards stand, whose WiFi is out of reach, what radios use."""

MORE_HEAP = 160 * 1024  # what Bluetooth takes beside all else, on 64 bits
LAN_M, BOARD_M = 40, 8  # between LANs, and between the boards of one


def place_of(ip: str) -> tuple[float, float]:
    """10.77.LAN.10+K: LANs side by side, the boards of one in a row."""
    lan, host = (int(part) for part in ip.split(".")[2:])
    return (LAN_M * (lan - 1), BOARD_M * (host - 11))


def without_wifi(names: list[str], part: float) -> list[str]:
    """So many of them, spread evenly; never the first."""
    return [n for k, n in enumerate(names) if int((k + 1) * part + 1e-9) > int(k * part + 1e-9)]


def radio_word(energy: dict | None) -> dict | None:
    """Part of the time that a radio is on, in percent, and its adverts."""
    if energy is None:
        return None
    return {"on_percent": round(100 * energy["share"], 1), "adverts": energy["adverts"]}
