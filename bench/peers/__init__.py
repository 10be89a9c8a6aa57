"""The same work for eventbus and for what one would use instead of it: `script/bench peers`, `all`, `quick`.

One process a run. Every client publishes to one exchange with exactly one bound quorum queue: the same
exchange and the same queue for all (Dramatiq knows the default exchange only), fresh before each run. The
history stream of the namespace is unbound unless a case says "history". Each run's end is checked: the depth
of the queue after publishing, the number handled and an empty queue after consuming.

`command` is the door; `cases` says who does what; `running` runs one job in a process of its own; `client` is
that process, and `clients/` holds one file for each of those compared. Only `clients/` imports them, in the
environment of `requirements.lock`; raw aio-pika and eventbus run in that of the project.
"""
