"""Hydrogen, a whole web client, in Chromium."""
