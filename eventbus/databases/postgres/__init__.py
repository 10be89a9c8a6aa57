"""Reaching PostgreSQL, 13 or newer, within bounds."""
