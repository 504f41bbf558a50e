"""Messages about rules that hold something back: quarantine, stalled steps, final actions that are left out."""

from __future__ import annotations

from collections.abc import Mapping

from agent.messages.template import Template, error, info, warning

# Numbers of our own: cp from 61 up. %1 server, %2 how often, %3 within how many seconds, %4 until when.
_SERVERS = {
    61: warning(
        "Server %1 is in quarantine: it was lost %2 times within %3 s. It takes no groups by itself until %4.",
        "サーバ %1 を隔離しました (%3 秒以内に %2 回ダウン)。%4 までグループを自動的には引き継ぎません。",
    ),
    62: info(
        "The quarantine of server %1 is over: it takes groups again.",
        "サーバ %1 の隔離を解除しました。グループを引き継げます。",
    ),
}

# %1 group, %2 server or groups, %3 time.
_GROUPS = {
    25: info(
        "Group %1 waits for the stop of %2 before it stops[ (%3)].",
        "グループ %1 は %2 の停止を待ってから停止します[ (%3)]。",
    ),
    26: info(
        "Group %1 need not wait any more and stops[ (%2)].",
        "グループ %1 の停止待ち合わせが完了し、停止します[ (%2)]。",
    ),
    27: warning(
        "Group %1 has waited too long for the stop of %2 and stops all the same[ (%3)].",
        "グループ %1 の %2 の停止待ち合わせが時間切れのため、そのまま停止します[ (%3)]。",
    ),
    502: error(
        "Group %1 was active on several servers; %2 survives, as configured[ (%3)].",
        "グループ %1 が複数のサーバで活性していました。設定により %2 で継続します[ (%3)]。",
    ),
}

# %1 resource, %2 group, %3 reason or action.
_RESOURCES = {
    230: error(
        "Activation of resource %1 has stalled: it did not even end at its timeout[ (%3)].",
        "リソース %1 の活性処理がストールしました (タイムアウトでも終了しません)[ (%3)]。",
    ),
    231: error(
        "Deactivation of resource %1 has stalled: it did not even end at its timeout[ (%3)].",
        "リソース %1 の非活性処理がストールしました (タイムアウトでも終了しません)[ (%3)]。",
    ),
    240: error(
        "Resource %1 of group %2 could not be activated: this server is stopped at once, as configured[ (%3)].",
        "グループ %2 のリソース %1 の活性異常により、設定に従いこのサーバを直ちに停止します[ (%3)]。",
    ),
    280: error(
        "Resource %1 of group %2 could not be deactivated: this server is stopped at once, as configured[ (%3)].",
        "グループ %2 のリソース %1 の非活性異常により、設定に従いこのサーバを直ちに停止します[ (%3)]。",
    ),
    501: warning(
        "No final action for the deactivation failure of %2: no other server is alive besides %1.",
        "%2 の非活性異常に対する最終動作を行いません: %1 以外に動作中のサーバがありません。",
    ),
    512: warning(
        "Nothing follows the activation failure of resource %1 (group %2): recovery is switched off.",
        "グループ %2 のリソース %1 の活性異常に対する回復動作は無効に設定されています。",
    ),
    513: warning(
        "Nothing follows the deactivation failure of resource %1 (group %2): recovery is switched off.",
        "グループ %2 のリソース %1 の非活性異常に対する回復動作は無効に設定されています。",
    ),
}

# %1 monitor, %2 step or script, %3 reason.
_MONITORS = {
    169: info(
        "The script of monitor %1 runs before its recovery (%2).",
        "モニタ %1 の回復動作 (%2) の前にスクリプトを実行します。",
    ),
    170: info(
        "The script of monitor %1 before its recovery (%2) has ended.",
        "モニタ %1 の回復動作 (%2) 前のスクリプトが終了しました。",
    ),
    171: warning(
        "The script of monitor %1 before its recovery (%2) has failed[: %3]. The recovery goes on.",
        "モニタ %1 の回復動作 (%2) 前のスクリプトが失敗しました[: %3]。回復動作は継続します。",
    ),
    180: warning(
        "Monitor %1 pretends a failure on %2, as asked for.",
        "要求により、%2 のモニタ %1 は擬似障害中です。",
    ),
    181: info(
        "Monitor %1 pretends no failure any more on %2.",
        "%2 のモニタ %1 の擬似障害を解除しました。",
    ),
    190: warning(
        "No recovery for monitor %1: it only observes[ (%2)].",
        "モニタ %1 は監視のみの設定のため、回復動作を行いません[ (%2)]。",
    ),
    192: warning(
        "No recovery for monitor %1: recovery is switched off[ (%2)].",
        "モニタ %1 の回復動作は無効に設定されています[ (%2)]。",
    ),
}

MESSAGES: Mapping[tuple[str, int], Template] = {
    (module, event): template
    for module, part in (("cp", _SERVERS), ("rc", _GROUPS), ("rc", _RESOURCES), ("rm", _MONITORS))
    for event, template in part.items()
}
