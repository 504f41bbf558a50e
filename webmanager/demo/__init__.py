"""The demo: a real cluster in network namespaces of this machine, its faults, and a client that measures outages."""
