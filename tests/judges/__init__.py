"""Other people's programs that judge our decisions: crm_simulate for placement, corosync-vqsim for quorum."""
