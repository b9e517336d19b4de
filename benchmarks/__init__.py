"""What a session layer adds to a request, measured: ``python -m benchmarks`` (or ``--quick``).

Everything is a ratio within one run: subjects take turns (A B A B), each figure is a median of several rounds, and
CPU time counts. `cost` measures single requests without sockets, `databases` Redis and PostgreSQL, `lost` the updates
that concurrent requests lose, `throughput` a server under load, `scaling` sizes and numbers, `parts` where the
time goes, `instructions` what valgrind counts. `report` and `chart` write it down.
"""
