"""Messages about fencing: lost servers that are forced off, fence devices, watchdogs. Numbers of module rc from 400."""

from __future__ import annotations

from collections.abc import Mapping

from agent.messages.template import Template, error, info, warning

# %1 server, %2 fence device or seconds, %3 level or reason.
_SHOTS = {
    400: warning(
        "Forcing server %1 off with %2[ (level %3)].",
        "%2 によりサーバ %1 を強制停止します[ (レベル %3)]。",
    ),
    401: info(
        "Server %1 is off: %2 has confirmed it.",
        "サーバ %1 の停止を %2 が確認しました。",
    ),
    402: error(
        "Server %1 could not be forced off with %2[: %3].",
        "%2 によるサーバ %1 の強制停止に失敗しました[: %3]。",
    ),
    403: info(
        "Waiting %2 s before server %1 is forced off, so that two servers do not stop each other.",
        "サーバ同士が互いに停止し合わないよう、サーバ %1 の強制停止まで %2 秒待ちます。",
    ),
    405: warning(
        "The operator says that server %1 is off: its groups may start elsewhere.",
        "オペレータがサーバ %1 の停止を確認しました。グループは他のサーバで起動できます。",
    ),
    406: info(
        "Server %1, which had been confirmed to be off, is back.",
        "停止が確認されていたサーバ %1 が復帰しました。",
    ),
    407: error(
        "Server %1 is heard although it was confirmed to be off and has not started again since. "
        "Test its fence devices (clpfence test %1).",
        "停止が確認され再起動していないはずのサーバ %1 からの通信を受信しました。"
        "フェンスデバイスを確認してください (clpfence test %1)。",
    ),
    408: info(
        "Server %1 is heard again: it is not forced off any more.",
        "サーバ %1 からの通信が再開したため、強制停止を中止します。",
    ),
    433: error(
        "No fence device could force server %1 off; its groups stay down until it is off. The next attempt follows in "
        "%2 s. If it is certainly off, say so: clpfence confirm %1.",
        "サーバ %1 を強制停止できるフェンスデバイスがありません。停止が確認されるまでグループは起動しません。"
        "%2 秒後に再試行します。確実に停止している場合は clpfence confirm %1 を実行してください。",
    ),
}

# %1 fence device, %2 server, %3 its power or the reason.
_TESTS = {
    410: info(
        "Fence device %1 was tested for server %2[: it is %3].",
        "フェンスデバイス %1 をサーバ %2 についてテストしました[ (電源 %3)]。",
    ),
    411: error(
        "Fence device %1 failed its test for server %2[: %3]. It could not force the server off now.",
        "フェンスデバイス %1 のサーバ %2 についてのテストに失敗しました[: %3]。現在は強制停止できません。",
    ),
}

# %1 cluster or server, %2 reason.
_ARMING = {
    412: warning(
        "Fencing of cluster %1 is disarmed: watchdogs are released, and nothing is taken over from a lost server.",
        "クラスタ %1 のフェンシングを解除しました。ウォッチドッグは停止し、応答のないサーバからは引き継ぎません。",
    ),
    413: info(
        "Fencing of cluster %1 is armed.",
        "クラスタ %1 のフェンシングを有効にしました。",
    ),
    414: info(
        "The watchdog of server %1 is running[ (%2)].",
        "サーバ %1 のウォッチドッグが動作を開始しました[ (%2)]。",
    ),
    415: info(
        "The watchdog of server %1 is released[ (%2)].",
        "サーバ %1 のウォッチドッグを停止しました[ (%2)]。",
    ),
    416: error(
        "Server %1 has no watchdog[: %2]. If it hangs, nothing resets it.",
        "サーバ %1 にウォッチドッグがありません[: %2]。ハングしてもリセットされません。",
    ),
}

MESSAGES: Mapping[tuple[str, int], Template] = {
    ("rc", event): template for part in (_SHOTS, _TESTS, _ARMING) for event, template in part.items()
}
