# floor 4: tables
# The settings of a node, one attribute a key. RAM: 0.7 KiB; the checks can be unloaded.
"""Config(dict) takes a flat dict, as json.load gives it. A missing key has its default; an unknown
key, a wrong type, a value out of range or two values that contradict each other raise BadConfig:
one sentence that names the key and what is allowed. Keys and seeds are no config: they live in the
store.

    name network            text for people; network id, 8 hex digits ("" until provisioned)
    port group              mesh UDP port; the LAN's multicast group (on the same port)
    upstream mqtt           [[tier, "ip:port"], ..]; "host:port" of an MQTT broker, or ""
    mqtt_user mqtt_password for a broker of one's own; "": node id and the password made of its key
    mqtt_tls mqtt_ca        TLS, and the file on the board with the CA's certificate (needed then)
    ha                      over MQTT: Home Assistant's discovery and states, and commands
    ntp                     who is asked for the time when the mesh does not know it; "": nobody
    ble ble_company         auto: Bluetooth where the board has it, or never; the maker's id in
                            advertisements (65535 is for tests, docs/protocol.md 11)
    ble_name button_pin     true: tell anybody `name` by Bluetooth; button to ground for Improv
    wifi metered            [[name, password], ..] in order of liking; true: traffic costs money
    mode relay              auto or the user's own word; never: answer within the quota only
    cache p2p               slots of the look-up cache; neighbours asked outside the own LAN
    hello_min_s hello_max_s lifetime_min       hello timer; how long a record lives
    battery_pin battery_divider led_pin        ADC pin, null = mains; its divider; LED pin or null
    interval_s queue_segments volatile         sensors; segments of 4 KiB for readings; in RAM only
    custody                 auto: readings go by a neighbour while cut off, and neighbours' by us
    nat                     auto: behind a NAT, be found by relays and assistants; always; never
    udp_relay               true: relay for members that reach no tier, within limits (relay.py)
    tcp tcp_ca              [[tier, "ip:port"], ..]: by TCP where UDP is blocked; CA's file: by TLS
    rise_* fall_* critical_* largest_block_kib judge_s window_s confirm jitter_s demand_*
                            when modes change (modes.py)
    quota_per_s limits      look-ups answered before full relay; other figures for limits.py
    sleep_s                 deep sleep between wake-ups in s, 0: never (docs/sleep.md)
    ota good_s              auto: take signed updates, or never; s of health until one is good
    log_level               0 silent, 1 errors, 2 changes, 3 everything
"""

from .endpoint import parse_endpoint


class BadConfig(ValueError):
    pass


class Config:
    def __init__(self, given=None):
        # Imported here: table and checks are 3 KiB of code that only the start needs.
        from .config_check import checked

        try:
            for key, value in checked({} if given is None else given):
                setattr(self, key, value)
        except ValueError as e:
            raise BadConfig(str(e))

    def tiers(self):
        """`upstream` as [(tier, 6-byte endpoint)]."""
        return [(t, parse_endpoint(text)) for t, text in self.upstream]
