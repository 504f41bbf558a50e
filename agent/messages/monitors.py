"""Messages about monitors and the recovery that they ask for: rm."""

from __future__ import annotations

from collections.abc import Mapping

from agent.messages.template import Template, error, info, warning

_MONITORS = {
    # %1 monitor, %2 server, %3 what it saw.
    1: info(
        "Monitor %1 has started[ on %2].",
        "モニタ %1 を開始しました[ (%2)]。",
    ),
    2: info(
        "Monitor %1 has stopped[ on %2].",
        "モニタ %1 を停止しました[ (%2)]。",
    ),
    4: warning(
        "Monitor %1 on %2 warns[: %3].",
        "%2 のモニタ %1 で警告です[: %3]。",
    ),
    7: error(
        "Monitor %1 could not be started on %2[: %3].",
        "%2 でモニタ %1 を開始できませんでした[: %3]。",
    ),
    9: error(
        "Monitor %1 has found an error on %2[: %3].",
        "モニタ %1 が %2 で異常を検出しました[: %3]。",
    ),
    # Recovery begins. %1 what is recovered, %2 monitor that asks, %3 count or reason.
    12: warning(
        "Final action of monitor %1: %2 is stopped[ (%3)].",
        "モニタ %1 の最終動作: %2 を停止します[ (%3)]。",
    ),
    13: warning(
        "%1 is restarted because monitor %2 found an error[ (%3)].",
        "モニタ %2 の異常検出により %1 を再起動します[ (%3)]。",
    ),
    14: warning(
        "Group %1 shall move to another server because monitor %2 found an error[ (%3)].",
        "モニタ %2 の異常検出によりグループ %1 をフェイルオーバします[ (%3)]。",
    ),
    15: warning(
        "Final action of monitor %1: the cluster service is stopped[ (%2)].",
        "モニタ %1 の最終動作: クラスタサービスを停止します[ (%2)]。",
    ),
    16: error(
        "Final action of monitor %1: this server is shut down[ (%2)].",
        "モニタ %1 の最終動作: このサーバをシャットダウンします[ (%2)]。",
    ),
    17: error(
        "Final action of monitor %1: this server is rebooted[ (%2)].",
        "モニタ %1 の最終動作: このサーバを再起動します[ (%2)]。",
    ),
    18: error(
        "Final action of monitor %1 failed: %2 could not be stopped[ (%3)].",
        "モニタ %1 の最終動作に失敗: %2 を停止できませんでした[ (%3)]。",
    ),
    19: error(
        "%1 could not be restarted for monitor %2[: %3].",
        "モニタ %2 の回復動作に失敗: %1 を再起動できませんでした[: %3]。",
    ),
    20: error(
        "Group %1 could not be moved for monitor %2[: %3].",
        "モニタ %2 の回復動作に失敗: グループ %1 を移動できませんでした[: %3]。",
    ),
    21: error(
        "Final action of monitor %1 failed: the cluster service could not be stopped[ (%2)].",
        "モニタ %1 の最終動作に失敗: クラスタサービスを停止できませんでした[ (%2)]。",
    ),
    22: error(
        "Final action of monitor %1 failed: this server could not be shut down[ (%2)].",
        "モニタ %1 の最終動作に失敗: このサーバをシャットダウンできませんでした[ (%2)]。",
    ),
    23: error(
        "Final action of monitor %1 failed: this server could not be rebooted[ (%2)].",
        "モニタ %1 の最終動作に失敗: このサーバを再起動できませんでした[ (%2)]。",
    ),
    24: error(
        "No recovery for monitor %1: its recovery target %2 does not exist.",
        "モニタ %1 の回復動作ができません: 回復対象 %2 が存在しません。",
    ),
    25: info(
        "No recovery for monitor %1: its recovery target %2 is not active here.",
        "モニタ %1 の回復動作を行いません: 回復対象 %2 はここで活性していません。",
    ),
    # %1 monitor, %2 server, %3 detail.
    26: info(
        "Monitor %1 is normal again on %2.",
        "モニタ %1 は %2 で正常に戻りました。",
    ),
    27: warning(
        "Monitor %1 on %2: state is not known[: %3].",
        "%2 のモニタ %1 の状態が不明です[: %3]。",
    ),
    29: info(
        "Monitor %1 is suspended[ on %2].",
        "モニタ %1 を一時停止しました[ (%2)]。",
    ),
    30: info(
        "Monitor %1 is resumed[ on %2].",
        "モニタ %1 を再開しました[ (%2)]。",
    ),
    31: error(
        "Monitor %1 could not be suspended[ on %2][: %3].",
        "モニタ %1 を一時停止できませんでした[ (%2)][: %3]。",
    ),
    32: error(
        "Monitor %1 could not be resumed[ on %2][: %3].",
        "モニタ %1 を再開できませんでした[ (%2)][: %3]。",
    ),
    35: error(
        "Final action of monitor %1: this server is reset at once[ (%2)].",
        "モニタ %1 の最終動作: このサーバを直ちにリセットします[ (%2)]。",
    ),
    49: info(
        "The warning of monitor %1 on %2 is over.",
        "%2 のモニタ %1 の警告は解消しました。",
    ),
    57: error(
        "Monitor %1 does not run: type %2 is not part of this version. What it should watch is not watched.",
        "モニタ %1 は動作しません: タイプ %2 はこの版にありません。対象は監視されていません。",
    ),
    71: warning(
        "Monitor %1 is slow on %2[: %3].",
        "モニタ %1 の応答が %2 で遅延しています[: %3]。",
    ),
    193: warning(
        "Monitor %1: no further recovery follows, as configured[ (%2)].",
        "モニタ %1: 設定により、これ以上の回復動作は行いません[ (%2)]。",
    ),
    200: warning(
        "No recovery for monitor %1: no other server is alive[ (%2)].",
        "モニタ %1 の回復動作を行いません: 他に動作中のサーバがありません[ (%2)]。",
    ),
}

MESSAGES: Mapping[tuple[str, int], Template] = {("rm", event): template for event, template in _MONITORS.items()}
