"""Logs of all servers, collected in the background."""
