"""clpsim prove: can two servers run the same group at once? Yes, by these cuts; or no, within this model."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import msgspec

from agent.cli import options
from agent.cli.client import OK, REFUSED
from agent.cli.sim import common
from agent.sim.prove import Proof, Split, prove

_MOST = 4


def add(verbs: common.Verbs) -> None:
    made = verbs.add_parser("prove", help="can two servers run the same group? the cuts that make them, shortest first")
    made.add_argument("conf", type=Path, metavar="CLP_CONF", help="the configuration")
    made.add_argument("--faults", type=_faults, default=3, metavar="N",
                      help=f"up to so many faults together, 1 to {_MOST} (default 3)")  # fmt: skip
    common.add_json(made)
    made.set_defaults(play=_prove)


def _faults(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= _MOST:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of faults from 1 to {_MOST}")
    return int(text)


def _prove(arguments: argparse.Namespace) -> int:
    proof = prove(common.cluster(arguments.conf), common.defaults(), arguments.faults)
    print(options.json_text(_object(proof)) if arguments.json else _text(proof))
    return REFUSED if proof.can_split else OK


def _object(proof: Proof) -> dict[str, Any]:
    return {"can_split": proof.can_split, **msgspec.to_builtins(proof)}


def _text(proof: Proof) -> str:
    if proof.can_split:
        lines = ["Yes: two servers can run the same group, by these cuts:"]
        lines += [f"{number:3}. {_split(split)}" for number, split in enumerate(proof.splits, 1)]
    else:
        lines = ["No: within this model no two servers can run the same group at once."]
    lines += ["", f"Played: {proof.played} cuts of up to {proof.most_faults} faults, or of every LAN, on "
                  f"{', '.join(proof.servers)}.", "It is assumed that"]  # fmt: skip
    return "\n".join([*lines, *(f"  - {sentence};" for sentence in proof.assumptions)])


def _split(split: Split) -> str:
    double = split.doubles[0]
    lasts = "for good" if double.for_s is None else f"for {double.for_s:.1f} s"
    what = f"{double.group} runs on {' and '.join(double.servers)} after {double.at_s:.1f} s, {lasts}"
    return f"{'; '.join(split.cut.faults)}: {what}"
