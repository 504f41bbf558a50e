"""The state of each cluster over time, and the page that goes back and forth in it."""
