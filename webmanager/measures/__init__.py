"""What was measured: monitors, heartbeats, response times."""
