"""Recorded cases of other cluster managers, played with our engine and compared: who runs what, who was fenced."""
