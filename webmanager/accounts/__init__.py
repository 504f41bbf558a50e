"""People and agents: roles, signing in, sessions, second factor, audit, enrolment."""
