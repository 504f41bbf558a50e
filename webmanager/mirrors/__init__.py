"""Mirror disks in the console: how both sides are, what is wrong, what a forced recovery would lose, and what to do."""
