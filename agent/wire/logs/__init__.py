"""A collection of logs: how each server's part is fetched, and what is made of all; for clplogcc and the manager."""
