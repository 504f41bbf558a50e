"""The hands of a mirror disk: processes of one md resource that carry out what its mind (agent/mirror) decides."""
