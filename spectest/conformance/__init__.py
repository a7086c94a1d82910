"""`pytest --pyargs spectest.conformance --selector pkg.mod:name`: every case of a run as a test of its own."""
