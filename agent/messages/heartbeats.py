"""Messages about the silences between heartbeats and a server that suspects itself: cp from 90 up."""

from __future__ import annotations

from collections.abc import Mapping

from agent.messages.template import Template, warning

_HEARTBEATS = {
    # %1 heartbeat, %2 server, %3 "365 ms, 73 %".
    90: warning(
        "Heartbeat %1 from server %2 was silent for %3 of the timeout.",
        "サーバ %2 からのハートビート %1 の受信間隔がタイムアウトに近づきました (タイムアウト比: %3)。",
    ),
    # %1 server, %2 "365 ms, 73 %".
    91: warning(
        "Server %1 was silent on all paths for %2 of the timeout. Lengthen the timeout, or find what delays it: "
        "clpstat --hb shows the figures.",
        "サーバ %1 からの受信間隔が全経路でタイムアウトに近づきました (タイムアウト比: %2)。"
        "タイムアウトを延長するか、遅延の原因を調べてください (clpstat --hb で確認できます)。",
    ),
    # %1 server, %2 and %3 seconds.
    92: warning(
        "Server %1 was starved for %2 s: it suspects itself first, and waits up to %3 s longer for the others.",
        "サーバ %1 は %2 秒間動作が滞りました。まず自分自身を疑い、他のサーバを最大 %3 秒長く待ちます。",
    ),
}

MESSAGES: Mapping[tuple[str, int], Template] = {("cp", number): template for number, template in _HEARTBEATS.items()}
