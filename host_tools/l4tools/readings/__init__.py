"""The sink's side of readings: what the stored ones mean, and how people get at them."""
