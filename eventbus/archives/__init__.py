"""History that outlives the broker's: a copy of the log on SQLite or PostgreSQL, in parts of a month each.

Each adapter fulfils the port `eventbus.archive`; neither knows the other, nor is imported before it is used.
"""
