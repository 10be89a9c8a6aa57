"""What survives a crash on our side of the broker: SQLite, PostgreSQL, Redis, or this process's memory.

Each adapter fulfils the port `eventbus.store`; none knows another, and none is imported before it is used.
"""
