"""Host tools of l4mesh: the `l4` command, the upstream tiers, virtual boards, bench and demo."""

__version__ = "0.1.0"
