"""Settings that this version does not act on are marked; our own ones all have their effect."""

from __future__ import annotations

from agent.clpconf import policies
from agent.clpconf.model import Cluster
from agent.clpconf.sections import SECTIONS


def test_every_setting_of_our_own_is_read_into_the_model():
    own = {param.path for param in SECTIONS["openclp"].params}

    assert set(policies._OWN.values()) == own
    assert set(policies._OWN) <= set(Cluster.__struct_fields__)
    assert not any(param.unused for param in SECTIONS["openclp"].params)


def test_what_is_read_is_not_marked_as_unused():
    read = {"cluster": policies._OF_CLUSTER, "rc": policies._OF_RC, "rm": policies._OF_RM}

    for name, paths in read.items():
        marked = {param.path for param in SECTIONS[name].params if param.unused}
        assert not marked & set(paths.values())
        assert SECTIONS[name].ready
