"""What `make bench` measures: each module has some rows of the table in benchmarks/README.md."""
