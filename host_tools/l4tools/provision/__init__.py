"""Boards get their settings and keys: one over USB, many from a signed file, WiFi by Improv."""
