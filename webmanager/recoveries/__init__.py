"""What happened in each failover, how long it took, and how available the groups were."""
