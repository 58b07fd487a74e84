from l4mesh.late import helper


class Late:
    """What helper() wants of a node."""

    def __init__(self, helps=True):
        self.helps = helps
        self.tx = self.counters = None
        self.late = []
        self.kinds = []
        self.inbox = self

    def handle(self, kind, f):
        self.kinds.append(kind)


def test_an_assistant_comes_with_the_first_who_asks():
    n = Late()
    assert not helper(n, 35) and not helper(n, 7) and n.late == []
    assert helper(n, 31) and n.helps and sorted(n.kinds) == [31, 33, 35] and len(n.late) == 1
    n = Late(False)
    assert not helper(n, 31) and not helper(n, 33) and n.late == []
    assert helper(Late(), 33)
