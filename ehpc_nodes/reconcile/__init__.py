"""One level-triggered reconciler over two pure tables: what an instance is, and what comes next.

`phases` and `plan` are the tables, pure. `observer` reads the cluster, `actuator` writes, `reconciler` is the loop,
`result` makes the state; `operations` puts them together for create, update, refresh and destroy. Nothing here knows
Pulumi.
"""
