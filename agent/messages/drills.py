"""Messages about drills, failures on purpose: apisv, numbers of our own from 61 up."""

from __future__ import annotations

from collections.abc import Mapping

from agent.messages.template import Template, error, info, warning

BEGUN, OVER, BACK, GIVEN_UP = 61, 62, 63, 64

# %1 id of the drill, %2 server.
_DRILLS = {
    # %3 what fails, %4 seconds, %5 who asked.
    BEGUN: warning(
        "Drill on %2: %3, for at most %4 s, as %5 asked (%1). It ends by itself.",
        "%2 で障害訓練を開始します: %3、最長 %4 秒、要求者 %5 (%1)。自動的に終了します。",
    ),
    # %3 why.
    OVER: info(
        "The drill on %2 is over: %3 (%1).",
        "%2 の障害訓練が終了しました: %3 (%1)。",
    ),
    # %3 seconds in which the groups were taken down, %4 seconds of silence; %5 to %7 are times for programs.
    BACK: info(
        "The drill on %2 is over: its groups were taken down within %3 s, then it was away for %4 s (%1).",
        "%2 の障害訓練が終了しました: %3 秒でグループを停止し、その後 %4 秒間停止していました (%1)。",
    ),
    GIVEN_UP: error(
        "The drill on %2 was given up before anything failed: %3 (%1).",
        "%2 の障害訓練は、障害を起こす前に中止されました: %3 (%1)。",
    ),
}

MESSAGES: Mapping[tuple[str, int], Template] = {("apisv", number): text for number, text in _DRILLS.items()}
