"""The witness: a voting member of a cluster that holds no groups, and its stand-alone server `clpwitness`."""
