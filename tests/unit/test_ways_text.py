from l4mesh.ways_text import WORDS, name, reason, word


def test_each_status_of_the_protocol_has_words():
    assert len(WORDS) == 10 and len(set(WORDS)) == 10
    assert word(2) == "the peer has no place there" and word(6) == "its quota is used up"
    assert word(-1) == "silent" and word(99) == "refused"


def test_why_there_is_no_way():
    assert reason(-1, False) == "no relay answers"
    assert reason(3, True) == "no relay carries: full"


def test_names_of_relays():
    assert name("l3") == "l3" and name(b"\x01\x02\x03\x04\x05\x06\x07\x08") == "0102030405060708"
