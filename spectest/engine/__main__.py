"""`python -m spectest.engine CHANNEL HEARTBEAT`: the child process of a session."""

from spectest.engine.worker import main

main()
