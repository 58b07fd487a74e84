"""`make demo`: 12 virtual boards, three tiers and a crowd go through a hard day in two minutes."""
