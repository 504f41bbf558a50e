"""The manager as a witness: the same mind as clpwitness has, with a database row for each cluster."""
