"""Messages about failover groups and their resources: rc, fip."""

from __future__ import annotations

from collections.abc import Mapping

from agent.messages.template import Template, error, info, warning

# %1 group, %2 server, %3 reason.
_GROUPS = {
    10: info(
        "Group %1 is starting on %2[: %3].",
        "グループ %1 を %2 で起動しています[: %3]。",
    ),
    11: info(
        "Group %1 is online on %2[: %3].",
        "グループ %1 が %2 で起動しました[: %3]。",
    ),
    12: error(
        "Group %1 could not be started on %2[: %3].",
        "グループ %1 を %2 で起動できませんでした[: %3]。",
    ),
    15: info(
        "Group %1 waits for %2 before it starts[ (%3)].",
        "グループ %1 は %2 を待ってから起動します[ (%3)]。",
    ),
    16: info(
        "Group %1 need not wait any more and starts[ (%2)].",
        "グループ %1 の待ち合わせが完了し、起動します[ (%2)]。",
    ),
    17: warning(
        "Group %1 has waited too long for %2 and is not started[ (%3)].",
        "グループ %1 は %2 の待ち合わせが時間切れのため起動しません[ (%3)]。",
    ),
    20: info(
        "Group %1 is stopping on %2[: %3].",
        "グループ %1 を %2 で停止しています[: %3]。",
    ),
    21: info(
        "Group %1 is offline on %2[: %3].",
        "グループ %1 が %2 で停止しました[: %3]。",
    ),
    22: error(
        "Group %1 could not be stopped on %2[: %3]. It is not started elsewhere while it may be active there.",
        "グループ %1 を %2 で停止できませんでした[: %3]。そこで活性している間は他のサーバで起動しません。",
    ),
    # %1 group, %2 from, %3 to or reason.
    50: info(
        "Group %1 is being moved from %2[ to %3][: %4].",
        "グループ %1 を %2 から[ %3 へ]移動しています[: %4]。",
    ),
    51: info(
        "Group %1 was moved from %2[ to %3].",
        "グループ %1 を %2 から[ %3 へ]移動しました。",
    ),
    52: error(
        "Group %1 could not be moved from %2[: %3].",
        "グループ %1 を %2 から移動できませんでした[: %3]。",
    ),
    60: warning(
        "Group %1 fails over from %2[ to %3][: %4].",
        "グループ %1 を %2 から[ %3 へ]フェイルオーバします[: %4]。",
    ),
    61: info(
        "Group %1 has failed over from %2[ to %3].",
        "グループ %1 は %2 から[ %3 へ]フェイルオーバしました。",
    ),
    62: error(
        "Group %1 could not fail over from %2[: %3].",
        "グループ %1 は %2 からフェイルオーバできませんでした[: %3]。",
    ),
    63: error(
        "No server is left that could run group %1[: %2].",
        "グループ %1 を起動できるサーバがありません[: %2]。",
    ),
    64: info(
        "Server %2 was chosen for group %1[: %3].",
        "グループ %1 の起動先に %2 を選びました[: %3]。",
    ),
    65: info(
        "Server %2 is passed over for group %1[: %3].",
        "グループ %1 の起動先から %2 を除外しました[: %3]。",
    ),
    66: warning(
        "Group %1 does not fail over by itself[: %2]. Start it by hand where it shall run.",
        "グループ %1 は自動ではフェイルオーバしません[: %2]。起動先を指定して手動で起動してください。",
    ),
    67: info(
        "Group %1 stays on %2[: %3].",
        "グループ %1 は %2 で継続します[: %3]。",
    ),
    69: error(
        "Group %1 has nowhere to go: another group excludes it on each server[ (%2)].",
        "グループ %1 の移動先がありません。各サーバで他のグループと排他の関係にあります[ (%2)]。",
    ),
    70: warning(
        "Group %1 is being restarted on %2[: %3].",
        "グループ %1 を %2 で再起動しています[: %3]。",
    ),
    71: info(
        "Group %1 was restarted on %2.",
        "グループ %1 を %2 で再起動しました。",
    ),
    72: error(
        "Group %1 could not be restarted on %2[: %3].",
        "グループ %1 を %2 で再起動できませんでした[: %3]。",
    ),
    74: info(
        "Group %1 goes back to its home server %2.",
        "グループ %1 をホームサーバ %2 へフェイルバックします。",
    ),
    75: info(
        "Group %1 is back on its home server %2.",
        "グループ %1 はホームサーバ %2 へフェイルバックしました。",
    ),
    76: error(
        "Group %1 could not go back to its home server %2[: %3].",
        "グループ %1 をホームサーバ %2 へフェイルバックできませんでした[: %3]。",
    ),
    77: error(
        "Group %1 cannot fail over: no other server can be reached[: %2].",
        "グループ %1 をフェイルオーバできません。他のサーバと通信できません[: %2]。",
    ),
    78: info(
        "Group %1 is tried once more on %2: its mirror disk %3 is in doubt there no longer.",
        "グループ %1 を %2 でもう一度起動します。ミラーディスク %3 は最新であることが確認できました。",
    ),
    92: error(
        "Group %1 is active on more than one server: %2. Its data may be damaged; check it[ (%3)].",
        "グループ %1 が複数のサーバで活性しています: %2。データ破損のおそれがあります。確認してください[ (%3)]。",
    ),
    503: error(
        "The servers disagree about group %1: %2[ (%3)].",
        "グループ %1 の状態がサーバ間で一致しません: %2[ (%3)]。",
    ),
}

# %1 resource, %2 server, %3 reason.
_RESOURCES = {
    30: info(
        "Resource %1 is being activated on %2[: %3].",
        "リソース %1 を %2 で活性しています[: %3]。",
    ),
    31: info(
        "Resource %1 is active on %2[: %3].",
        "リソース %1 が %2 で活性しました[: %3]。",
    ),
    32: error(
        "Resource %1 could not be activated on %2[: %3].",
        "リソース %1 を %2 で活性できませんでした[: %3]。",
    ),
    40: info(
        "Resource %1 is being deactivated on %2[: %3].",
        "リソース %1 を %2 で非活性にしています[: %3]。",
    ),
    41: info(
        "Resource %1 is inactive on %2[: %3].",
        "リソース %1 が %2 で非活性になりました[: %3]。",
    ),
    42: error(
        "Resource %1 could not be deactivated on %2[: %3].",
        "リソース %1 を %2 で非活性にできませんでした[: %3]。",
    ),
    80: warning(
        "Resource %1 is being restarted on %2[: %3].",
        "リソース %1 を %2 で再起動しています[: %3]。",
    ),
    81: info(
        "Resource %1 was restarted on %2.",
        "リソース %1 を %2 で再起動しました。",
    ),
    82: error(
        "Resource %1 could not be restarted on %2[: %3].",
        "リソース %1 を %2 で再起動できませんでした[: %3]。",
    ),
    # What follows a failed activation. %1 resource, %2 attempt or group, %3 reason.
    200: warning(
        "Activation of resource %1 is tried again (%2)[: %3].",
        "リソース %1 の活性を再試行します (%2)[: %3]。",
    ),
    201: warning(
        "Resource %1 could not be activated: group %2 shall move to another server[ (%3)].",
        "リソース %1 の活性異常によりグループ %2 を他のサーバへ移動します[ (%3)]。",
    ),
    202: warning(
        "Resource %1 could not be activated: group %2 is stopped, as configured[ (%3)].",
        "リソース %1 の活性異常により、設定に従いグループ %2 を停止します[ (%3)]。",
    ),
    203: warning(
        "Resource %1 of group %2 could not be activated: the cluster service here is stopped, as configured[ (%3)].",
        "グループ %2 のリソース %1 の活性異常により、設定に従いクラスタサービスを停止します[ (%3)]。",
    ),
    204: error(
        "Resource %1 of group %2 could not be activated: this server is shut down, as configured[ (%3)].",
        "グループ %2 のリソース %1 の活性異常により、設定に従いこのサーバをシャットダウンします[ (%3)]。",
    ),
    205: error(
        "Resource %1 of group %2 could not be activated: this server is rebooted, as configured[ (%3)].",
        "グループ %2 のリソース %1 の活性異常により、設定に従いこのサーバを再起動します[ (%3)]。",
    ),
    206: warning(
        "Resource %1 of group %2 could not be activated; no action follows, as configured[ (%3)].",
        "グループ %2 のリソース %1 が活性異常ですが、設定により動作は行いません[ (%3)]。",
    ),
    # What follows a failed deactivation.
    220: warning(
        "Deactivation of resource %1 is tried again (%2)[: %3].",
        "リソース %1 の非活性を再試行します (%2)[: %3]。",
    ),
    221: error(
        "Resource %1 could not be deactivated: group %2 stays as it is until you act[ (%3)].",
        "リソース %1 の非活性異常: 操作があるまでグループ %2 は現状のままです[ (%3)]。",
    ),
    222: error(
        "Resource %1 of group %2 could not be deactivated: the cluster service here is stopped, as configured[ (%3)].",
        "グループ %2 のリソース %1 の非活性異常により、設定に従いクラスタサービスを停止します[ (%3)]。",
    ),
    223: error(
        "Resource %1 of group %2 could not be deactivated: this server is rebooted, as configured[ (%3)].",
        "グループ %2 のリソース %1 の非活性異常により、設定に従いこのサーバを再起動します[ (%3)]。",
    ),
    224: error(
        "Resource %1 could not be deactivated: this server is brought down so that group %2 can run elsewhere[ (%3)].",
        "リソース %1 の非活性異常: グループ %2 を他で起動できるよう、このサーバを停止します[ (%3)]。",
    ),
    225: warning(
        "Resource %1 of group %2 could not be deactivated; the failure is ignored, as configured[ (%3)].",
        "グループ %2 のリソース %1 の非活性異常を、設定により無視します[ (%3)]。",
    ),
}

# %1 server, %2 reason.
_FINAL_ACTIONS = {
    90: error(
        "Server %1 is shut down as final action[: %2].",
        "最終動作としてサーバ %1 をシャットダウンします[: %2]。",
    ),
    91: error(
        "Server %1 is restarted as final action[: %2].",
        "最終動作としてサーバ %1 を再起動します[: %2]。",
    ),
    100: warning(
        "Server %1 was rebooted too often in a row; it is not rebooted again[: %2].",
        "サーバ %1 の連続再起動が上限に達したため、再起動しません[: %2]。",
    ),
    500: warning(
        "No final action on %1: no other server is alive[ (%2)].",
        "%1 の最終動作を行いません: 他に動作中のサーバがありません[ (%2)]。",
    ),
}

_ADDRESSES = {
    # %1 resource, %2 address, %3 who has it.
    1: error(
        "Address %2 of %1 is in use elsewhere[ (%3)] and was not taken. Find that machine, or change the address.",
        "%1 のアドレス %2 は他の機器が使用中です[ (%3)]。取得を中止しました。機器を特定するか変更してください。",
    ),
    2: info(
        "Address %2 of %1 is not used by others any more.",
        "%1 のアドレス %2 は他の機器で使用されなくなりました。",
    ),
}

MESSAGES: Mapping[tuple[str, int], Template] = {
    **{("rc", event): template for part in (_GROUPS, _RESOURCES, _FINAL_ACTIONS) for event, template in part.items()},
    **{("fip", event): template for event, template in _ADDRESSES.items()},
}
