"""Durability rounds: processes killed and power cut at random moments, then everything acknowledged is asked for.

``python -m tests.torture --help``; ``make torture ROUNDS=200`` for the full rounds. The method is explained in
``docs/adr/0002-pack-durability.md``.
"""
