from l4mesh.config import Config
from l4mesh.events import EV_MODE
from l4mesh.modes import Modes
from l4mesh.prng import XorShift
from l4mesh.ring import Events
from l4mesh.ticks import MASK, add, diff
from l4mesh.wire import ACTIVE, PASSIVE, STANDARD

_JUDGE = 300


class Drive:
    """A node's loop around Modes: a sample every 10 s, poll when it asks to be polled."""

    def __init__(self, config=None, host=False, seed=1, start=MASK - 5000, **signals):
        given = {"relay": "auto"}
        given.update(config or {})
        self.events = Events(64)
        self.m = Modes(Config(given), host, XorShift(seed), self.events)
        self.now = start
        self.begin = start
        self.s = {
            "mains": False,
            "battery": 80,
            "heap_free": 60 << 10,
            "heap_largest": 40 << 10,
            "wifi": True,
            "metered": False,
        }
        if host:
            self.s["mem_free_mib"] = 2048
        self.s.update(signals)
        self.rate = (0, 0)  # requests, hits a sample
        self.seen = []
        self.at = []  # ms since start of each event
        self.step()

    def step(self):
        self.s["requests"], self.s["hits"] = self.rate
        self.m.sample(self.now, self.s)
        self.drain()

    def drain(self):
        while True:
            e = self.events.get()
            if e is None:
                return
            assert e[0] == EV_MODE and len(e) == 7
            assert e[6] == self.m.cfg.judge_s * 1000
            self.seen.append(e[1:6])
            self.at.append(diff(self.now, self.begin))

    def run(self, seconds, **signals):
        """Go on for so long with these signals; only the events of this time are kept."""
        self.seen = []
        self.at = []
        self.s.update(signals)
        end = add(self.now, seconds * 1000)
        sample = add(self.now, 10000)
        while diff(end, self.now) > 0:
            wait = self.m.poll(self.now)
            assert 1 <= wait <= 60000
            self.drain()
            nxt = min(diff(end, self.now), diff(sample, self.now), wait)
            self.now = add(self.now, nxt)
            if self.now == sample:
                sample = add(sample, 10000)
                self.step()
        self.m.poll(self.now)
        self.drain()
        return self.seen

    def why(self):
        return self.m.why(self.now)


_LONG = 3 * _JUDGE + 125  # three judgements and the longest delay


def test_a_board_on_mains_is_standard_from_the_first_sample():
    d = Drive(mains=True, battery=None)
    assert d.seen == [("passive", "standard", "wifi", 1, 1)]
    assert d.m.mode == STANDARD and not d.m.relay_full
    assert d.why()["relay"] == "quota"


def test_before_the_first_sample_it_is_passive_and_waits():
    m = Modes(Config(), False, XorShift(1), Events(4))
    assert m.mode == PASSIVE and not m.relay_full
    assert m.poll(1000) == 60000
    assert m.why(1000)["up"] == "No sample was taken yet."


def test_the_first_judgement_waits_for_the_link_but_not_for_confirmation():
    d = Drive(wifi=False)
    d.run(1000)
    assert d.m.mode == PASSIVE and d.seen == []
    d.run(10, wifi=True)
    assert d.seen == [("passive", "standard", "wifi", 1, 1)]
    d.run(_LONG, wifi=False)
    assert d.m.mode == PASSIVE
    d.run(10, wifi=True)
    assert d.m.mode == PASSIVE  # from now on a rise is confirmed
    d.run(_LONG)
    assert d.m.mode == STANDARD


_RULES = (  # signal, key, factor, rise, fall: rules of the first rung with a dead band or none
    ("wifi", "wifi", None, True, False),
    ("battery", "battery", 1, 60, 40),
    ("heap_kib", "heap_free", 1024, 40, 24),
    ("largest_kib", "heap_largest", 1024, 24, 12),
)


def test_each_rule_of_the_first_rung_up_and_down():
    for signal, key, factor, rise, fall in _RULES:
        good = rise if factor is None else rise * factor
        bad = fall if factor is None else fall * factor
        value, low = (1, 0) if factor is None else (rise, fall)
        d = Drive()
        assert d.m.mode == STANDARD
        d.run(_LONG, **{key: bad})
        assert d.seen == [("standard", "passive", signal, low, low)], signal
        assert d.at[0] >= 3 * _JUDGE * 1000
        why = d.why()
        assert (why["mode"], why["relay"], why["direction"]) == ("passive", "off", "down")
        assert (why["signal"], why["value"], why["threshold"]) == (signal, low, low)
        assert "%s is %d and must be %d or more" % (signal, low, value) in why["up"]
        d.run(_LONG, **{key: good})
        assert d.seen == [("passive", "standard", signal, value, value)], signal
        assert (d.why()["signal"], d.why()["direction"]) == (signal, "up")


def test_nothing_happens_in_the_dead_band():
    for key, factor, rise, fall in (
        ("battery", 1, 60, 40),
        ("heap_free", 1024, 40, 24),
        ("heap_largest", 1024, 24, 12),
    ):
        d = Drive()
        d.run(3 * _LONG, **{key: (fall + 1) * factor})
        assert d.seen == [] and d.m.mode == STANDARD
        d.run(_LONG, **{key: fall * factor})
        assert d.m.mode == PASSIVE
        d.run(3 * _LONG, **{key: rise * factor - 1})
        assert d.seen == [] and d.m.mode == PASSIVE


def test_it_starts_passive_within_the_dead_band():
    d = Drive(battery=59)
    assert d.m.mode == PASSIVE and d.seen == []
    d.run(3 * _LONG)
    assert d.m.mode == PASSIVE


def test_critical_values_act_at_once():
    for key, bad, signal, value, threshold in (
        ("battery", 15, "battery", 15, 15),
        ("battery", 0, "battery", 0, 15),
        ("heap_free", 12 << 10, "heap_kib", 12, 12),
        ("metered", True, "unmetered", 0, 0),
    ):
        d = Drive()
        d.run(1)
        d.s[key] = bad
        d.step()
        assert d.seen == [("standard", "passive", signal, value, threshold)]
        assert d.m.mode == PASSIVE


def test_one_above_critical_is_confirmed_first():
    d = Drive()
    d.run(2 * _JUDGE, battery=16)
    assert d.m.mode == STANDARD
    d.run(_LONG)
    assert d.m.mode == PASSIVE


def test_mains_makes_the_battery_no_matter():
    d = Drive(mains=True, battery=3)
    assert d.m.mode == STANDARD
    d.run(_LONG)
    assert d.m.mode == STANDARD
    d.run(10, mains=False)
    assert d.m.mode == PASSIVE


def test_a_metered_link_in_the_config_or_in_the_signals():
    d = Drive({"metered": True})
    d.run(_LONG)
    assert d.m.mode == PASSIVE
    assert "unmetered is 0 and must be 1 or more" in d.why()["up"]
    d = Drive(metered=True)
    assert d.m.mode == PASSIVE
    d.run(_LONG, metered=False)
    assert d.seen == [("passive", "standard", "unmetered", 1, 1)]


def test_a_flapping_signal_does_not_flap_the_mode():
    d = Drive()
    d.seen = []
    for i in range(400):  # 2 minutes low, 2 minutes high, over 26 hours
        d.run(120, battery=20 if i % 2 else 90)
        assert d.seen == []
    d = Drive(battery=50)
    for i in range(400):
        d.run(120, battery=20 if i % 2 else 90)
        assert d.seen == []


def test_one_good_sample_between_judgements_starts_the_count_again():
    d = Drive()
    d.run(2 * _JUDGE + 100, battery=30)
    assert d.why()["wish"] == "passive" and d.why()["confirmed"] == "2 of 3"
    d.run(10, battery=50)
    assert "wish" not in d.why()
    d.run(2 * _JUDGE, battery=30)
    assert d.seen == [] and d.m.mode == STANDARD
    d.run(_JUDGE + 125)
    assert d.m.mode == PASSIVE


def test_the_delay_is_within_bounds_and_spread():
    delays = []
    for seed in range(1, 41):
        d = Drive(seed=seed)
        d.run(_LONG, battery=30)
        assert len(d.at) == 1
        delays.append(d.at[0] - 3 * _JUDGE * 1000)
    assert min(delays) >= 1000 and max(delays) <= 120000 + 10000
    assert min(delays) < 20000 and max(delays) > 95000
    assert len(set(delays)) > 30


def test_the_shortest_delay_is_a_second():
    d = Drive({"jitter_s": 1, "judge_s": 10, "confirm": 1})
    d.run(15, battery=30)
    assert d.seen[0][:2] == ("standard", "passive")
    assert d.at == [11000]


def test_a_change_is_checked_again_when_its_delay_is_over():
    d = Drive(seed=5)
    for _ in range(_LONG // 10):
        if d.m.due < 0:
            d.run(10, battery=30)
    left = diff(d.m.due, d.now)
    assert d.why()["change_ms"] == left > 10000
    assert d.why()["confirmed"] == "3 of 3"
    d.s["battery"] = 45
    d.step()
    d.run(200)
    assert d.m.mode == STANDARD and d.seen == [] and d.m.due < 0


def test_the_window_alone_can_undo_a_pending_rise():
    d = Drive({"judge_s": 10, "confirm": 1, "jitter_s": 600, "window_s": 60}, mains=True)
    d.rate = (50, 50)
    d.run(40)
    assert d.why()["wish"] == "standard+relay" and d.m.due >= 0
    due = d.m.due
    d.m.poll(add(due, 1))  # no sample since, but the window has slid away by then
    d.drain()
    assert d.m.rung == 1 and d.m.due < 0


def test_a_pending_rise_is_checked_again_without_a_new_sample():
    d = Drive({"confirm": 1, "jitter_s": 250, "window_s": 60}, seed=2, mains=True)
    d.rate = (50, 50)
    for _ in range(_JUDGE // 10 + 1):
        if d.m.due < 0:
            d.run(10)
    assert d.m.due >= 0 and diff(d.m.due, d.now) > 70000
    assert diff(d.m.judge_at, d.m.due) > 0
    d.m.poll(add(d.m.due, 1))
    d.drain()
    assert d.m.rung == 1 and d.m.due < 0


def test_old_samples_confirm_nothing():
    m = Modes(Config({"relay": "auto"}), False, XorShift(1), Events(8))
    m.sample(0, {"wifi": True, "battery": 80})
    m.sample(1000, {"wifi": True, "battery": 30})
    for i in range(1, 100):
        m.poll(i * _JUDGE * 1000)
    assert m.mode == STANDARD and m.streak == 1


def test_requests_make_it_a_full_relay_and_their_end_undoes_it():
    d = Drive(mains=True)
    d.rate = (5, 4)  # 150 in 300 s, 80 %
    d.run(_LONG)
    assert d.seen == [("standard", "standard+relay", "requests", d.seen[0][3], 101)]
    assert d.seen[0][3] > 100
    assert d.m.mode == STANDARD and d.m.relay_full
    assert d.why()["relay"] == "full" and d.why()["mode"] == "standard"
    d.rate = (3, 2)  # 90: in the dead band
    d.run(3 * _LONG)
    assert d.seen == [] and d.m.relay_full
    d.rate = (1, 1)  # 30
    d.run(_JUDGE + _LONG)
    assert [e[:3] for e in d.seen] == [("standard+relay", "standard", "requests")]
    assert d.seen[0][3] <= 50 and d.seen[0][4] == 50
    assert d.m.mode == STANDARD and not d.m.relay_full


def test_the_hit_rate_counts_as_well():
    d = Drive(mains=True)
    d.rate = (10, 5)  # 50 % is not more than 50 %
    d.run(2 * _LONG)
    assert d.seen == []
    assert "hits_pct is 50 and must be 51 or more" in d.why()["up"]
    d.rate = (10, 6)
    d.run(_JUDGE + _LONG)
    assert [e[:3] for e in d.seen] == [("standard", "standard+relay", "hits_pct")]
    d.rate = (10, 3)
    d.run(_JUDGE + _LONG)
    assert [e[:3] for e in d.seen] == [("standard+relay", "standard", "hits_pct")]
    assert d.seen[0][3] <= 40 and d.seen[0][4] == 40


def test_demand_alone_lifts_no_passive_node():
    d = Drive(battery=50)
    d.rate = (100, 100)
    d.run(3 * _LONG)
    assert d.m.mode == PASSIVE and d.seen == []


def test_the_window_is_of_now_and_not_since_boot():
    d = Drive(mains=True)
    d.rate = (1, 1)  # 30 in 300 s, for 10 hours: 3,600 since boot
    d.run(36000)
    assert d.seen == [] and not d.m.relay_full


def test_a_full_relay_with_a_low_battery_goes_all_the_way_down():
    d = Drive()
    d.rate = (5, 4)
    d.run(_LONG)
    assert d.m.relay_full
    d.run(_LONG, battery=40)
    assert d.seen == [("standard+relay", "passive", "battery", 40, 40)]
    assert not d.m.relay_full


def test_the_lowest_rung_asked_for_counts():
    d = Drive()
    d.rate = (5, 4)
    d.run(_LONG)
    d.rate = (0, 0)  # demand and battery gone at once
    d.run(_JUDGE + _LONG, battery=40)
    assert d.seen == [("standard+relay", "passive", "battery", 40, 40)]


def test_a_host_climbs_to_active_one_rung_at_a_time():
    d = Drive(host=True)
    d.rate = (10, 8)
    d.run(_LONG)
    assert [e[:2] for e in d.seen] == [("standard", "standard+relay")]
    d.run(_LONG)
    assert d.seen == [("standard+relay", "active", "host", 1, 1)]  # nothing else was ever missing
    assert d.m.mode == ACTIVE and d.m.relay_full
    why = d.why()
    assert why["active"] == "" and why["up"] == "This is the top."


def test_each_rule_of_active():
    for key, low, high, bad, signal in (
        ("mem_free_mib", 1024, 1025, 768, "free_mib"),
        ("battery", 50, 51, 45, "battery"),
    ):
        d = Drive(host=True, **{"battery": 70, key: low if key != "battery" else 70})
        d.rate = (10, 8)
        d.run(_LONG, **{key: low})
        d.run(2 * _LONG)
        assert d.m.mode == STANDARD and d.m.relay_full
        assert "%s is %d and must be %d or more" % (signal, low, high) in d.why()["active"]
        d.run(_LONG, **{key: high})
        assert d.seen == [("standard+relay", "active", signal, high, high)]
        d.run(3 * _LONG, **{key: bad + 1})
        assert d.seen == []
        d.run(_LONG, **{key: bad})
        assert d.seen == [("active", "standard+relay", signal, bad, bad)]


def test_active_ends_with_the_demand():
    d = Drive(host=True, mains=True)
    d.rate = (10, 8)
    d.run(2 * _LONG)
    assert d.m.mode == ACTIVE
    d.rate = (0, 0)
    d.run(_JUDGE + _LONG)
    assert d.seen == [("active", "standard", "requests", d.seen[0][3], 50)]


def test_a_board_never_becomes_active():
    d = Drive(mains=True, mem_free_mib=8192)
    d.rate = (50, 50)
    d.run(6 * _LONG)
    assert d.m.mode == STANDARD and d.m.relay_full
    assert d.why()["active"] == d.why()["up"]
    assert "Linux hosts" in d.why()["active"] and "board" in d.why()["active"]


def test_active_in_a_boards_config_is_refused_with_the_reason():
    d = Drive({"mode": "active"}, mains=True)
    assert d.seen[0] == ("passive", "passive", "host", 0, 1)
    assert d.m.mode == STANDARD  # and goes on as auto
    assert "this is a board" in d.why()["active"]
    d.run(_LONG, wifi=False)
    assert d.m.mode == PASSIVE


def test_the_users_mode_wins_over_everything():
    d = Drive({"mode": "passive"}, mains=True, lonely=True)
    d.rate = (50, 50)
    d.run(3 * _LONG)
    assert d.seen == [] and d.m.mode == PASSIVE
    assert d.why()["up"] == "mode: passive in the config keeps it here."
    d = Drive({"mode": "standard"}, battery=1, heap_free=0, wifi=False, metered=True)
    assert d.seen == [("passive", "standard", "mode", 1, 1)]
    d.run(3 * _LONG)
    assert d.seen == [] and d.m.mode == STANDARD
    d = Drive({"mode": "active"}, host=True, battery=1, mem_free_mib=100)
    assert d.seen == [("passive", "active", "mode", 3, 3)]
    d.run(3 * _LONG)
    assert d.seen == [] and d.m.mode == ACTIVE and d.m.relay_full


def test_mode_standard_still_becomes_a_full_relay_but_never_active():
    d = Drive({"mode": "standard"}, host=True, mains=True)
    d.rate = (10, 8)
    d.run(3 * _LONG)
    assert [e[:3] for e in d.seen] == [("standard", "standard+relay", "requests")]
    assert d.why()["up"] == "mode: standard in the config keeps it here."


def test_relay_never_wins_as_well():
    d = Drive({"relay": "never"}, mains=True)
    d.rate = (50, 50)
    d.run(3 * _LONG)
    assert d.seen == [] and d.m.mode == STANDARD and not d.m.relay_full
    assert d.why()["up"] == "relay: never in the config keeps it here."
    d = Drive({"relay": "never"}, host=True, mains=True)
    d.rate = (50, 50)
    d.run(3 * _LONG)
    assert d.m.mode == STANDARD
    assert d.why()["active"] == "relay: never in the config keeps it here."
    d = Drive({"relay": "never", "mode": "active"}, host=True)
    assert d.m.mode == ACTIVE and not d.m.relay_full


def test_a_lonely_neighbour_lifts_it_at_once_out_of_the_dead_band():
    d = Drive(battery=41)
    d.run(_LONG)
    assert d.m.mode == PASSIVE
    d.run(10, lonely=True)
    assert d.seen == [("passive", "standard", "lonely", 1, 1)]
    d.run(3 * _LONG, battery=20)  # and only a critical value takes it down again
    assert d.seen == []
    d.run(10, battery=15)
    assert d.seen == [("standard", "passive", "battery", 15, 15)]
    d.run(3 * _LONG, battery=40)
    assert d.seen == []


def test_a_lonely_neighbour_is_no_demand():
    d = Drive(mains=True, lonely=True)
    d.run(3 * _LONG)
    assert d.seen == [] and not d.m.relay_full
    d.rate = (5, 4)
    d.run(_JUDGE + _LONG)
    assert [e[:3] for e in d.seen] == [("standard", "standard+relay", "requests")]


def test_when_the_neighbour_is_lonely_no_more_the_usual_rules_hold():
    d = Drive(battery=41)
    d.run(10, lonely=True)
    d.run(_LONG, lonely=False)
    assert d.m.mode == STANDARD  # 41 is above the fall
    d.run(_LONG, battery=40)
    assert d.seen == [("standard", "passive", "battery", 40, 40)]


def test_why_counts_time():
    d = Drive(mains=True)
    d.run(100)
    why = d.why()
    assert why["since_ms"] == 100000 and why["next_ms"] == 200000
    for _ in range(20):
        d.run(86400)
    assert abs(d.why()["since_ms"] - (20 * 86400 + 100) * 1000) <= 60000
    assert 0 <= d.why()["next_ms"] <= 300000


def test_missing_signals_are_no_hindrance():
    m = Modes(Config(), True, XorShift(1), Events(8))
    m.sample(5, {})
    assert m.mode == STANDARD
    m.sample(10, {"requests": None, "hits": None})
    assert m.mode == STANDARD


def test_the_same_seed_gives_the_same_history():
    def history(start):
        d = Drive(seed=9, start=start)
        out = []
        for i in range(30):
            d.run(1300, battery=i * 37 % 100)
            out.append((tuple(d.seen), tuple(d.at)))
        return out

    first = history(0)
    assert first == history(MASK - 7000000)
    assert sum(len(seen) for seen, _ in first) > 2


def test_a_mode_that_is_set_later_is_taken_with_the_next_sample():
    d = Drive(battery=50)
    assert d.m.mode == PASSIVE  # within the dead band: nothing lifts it
    d.m.cfg.mode = "standard"
    d.m.bound("standard")
    d.run(20)
    assert d.m.mode == STANDARD and d.seen[0][1:4] == ("standard", "mode", 1)
    d.run(_LONG, battery=30)
    assert d.m.mode == STANDARD  # the floor holds
    d.m.cfg.mode = "passive"
    d.m.bound("passive")
    d.run(20)
    assert d.m.mode == PASSIVE and d.m.last == ("mode", 0, 0, "down")
    d.m.cfg.mode = "auto"
    d.m.bound("auto")
    d.run(_LONG, battery=90)
    assert d.m.mode == STANDARD
