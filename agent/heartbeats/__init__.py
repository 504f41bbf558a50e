"""Heartbeat resource types: their SPECs; the beating itself is one pure detector and one tiny process."""
