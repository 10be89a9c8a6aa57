"""The demonstration: starts the whole shop on this machine, sends orders through it, and checks every one."""
